"""MS-SSIM of luma by loops over samples: Wang, Simoncelli and Bovik (Asilomar 2003), formulas 1 to 7."""

import math

Plane = list[list[float]]
POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def mirrored(at: int, size: int) -> int:
    """Return the position of a sample outside 0 … size - 1, which is mirrored at the edge: cba|abc|cba."""
    at %= 2 * size
    return at if at < size else 2 * size - 1 - at


def window(plane: Plane, row: int, column: int) -> list[tuple[float, float]]:
    """Return weights and samples around a position, 11 × 11, of a Gaussian with a standard deviation of 1.5."""
    taps = [math.exp(-(n * n) / (2 * 1.5**2)) for n in range(-5, 6)]
    height, width = len(plane), len(plane[0])
    return [
        (a * b / sum(taps) ** 2, plane[mirrored(row + y, height)][mirrored(column + x, width)])
        for y, a in zip(range(-5, 6), taps, strict=True)
        for x, b in zip(range(-5, 6), taps, strict=True)
    ]


def similarity(x: Plane, y: Plane, coarsest: bool) -> float:
    """Return the mean over all positions of contrast times structure, and of luminance too at the coarsest scale."""
    c1, c2, total = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 0.0
    for row in range(len(x)):
        for column in range(len(x[0])):
            pairs = [(w, a, b) for (w, a), (_, b) in zip(window(x, row, column), window(y, row, column), strict=True)]
            mean_a, mean_b = sum(w * a for w, a, _ in pairs), sum(w * b for w, _, b in pairs)
            variance_a = sum(w * (a - mean_a) ** 2 for w, a, _ in pairs)
            variance_b = sum(w * (b - mean_b) ** 2 for w, _, b in pairs)
            covariance = sum(w * (a - mean_a) * (b - mean_b) for w, a, b in pairs)
            local = (2 * covariance + c2) / (variance_a + variance_b + c2)
            total += local * (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) if coarsest else local
    return total / (len(x) * len(x[0]))


def halved(plane: Plane) -> Plane:
    """Return means of 2 × 2 samples: rows 2n - 1 and 2n, columns likewise."""
    height, width = len(plane), len(plane[0])
    return [
        [
            sum(plane[mirrored(row + y, height)][mirrored(column + x, width)] for y in (-1, 0) for x in (-1, 0)) / 4
            for column in range(0, width, 2)
        ]
        for row in range(0, height, 2)
    ]


def luma(image: list[list[list[int]]]) -> Plane:
    """Return luma by Rec. ITU-R BT.601."""
    return [[0.299 * r + 0.587 * g + 0.114 * b for r, g, b in row] for row in image]


def ms_ssim(a: list[list[list[int]]], b: list[list[list[int]]]) -> float:
    """Return the MS-SSIM of two images of rows of RGB samples."""
    x, y, product = luma(a), luma(b), 1.0
    for scale, power in enumerate(POWERS):
        product *= similarity(x, y, scale == 4) ** power
        x, y = halved(x), halved(y)
    return product
