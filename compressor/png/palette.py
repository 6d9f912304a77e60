"""The palette for a histogram: median cut, then rounds of k-means.

Boxes are split where the squared error is largest, along the axis with the largest variance, at the mean (X. Wu, 1991,
splits likewise by variance). Rounds of k-means (S. Lloyd, 1982) then move each entry to the mean of the colors that it
is nearest to. All of it in the space of the module `kernels.png.palette`.
"""

import numpy as np
from numpy.typing import NDArray

from compressor.kernels.png.histogram import SUMS
from compressor.kernels.png.palette import ENTRIES, ROWS, nearest_entries, place_colors
from compressor.png.header import ByteArray

ROUNDS = 6
# Share of a squared distance, relative to the mean, by which a color's weight is raised: 1.4 % fewer bytes at equal
# SSIMULACRA2 than without.
RAISE, RAISED_MAX = 0.3, 4.0
CALL_POINTS = 1 << 14  # that one call of the kernel takes: a few milliseconds

Points = NDArray[np.int32]
Sums = NDArray[np.int64]
TRANSPARENT = np.zeros((1, 4), np.uint8)
# Bytes of a cell while a palette is made: its sums, twice; point, weight, nearest entry, distance and products of them.
CELL_BYTES = 2 * 8 * SUMS + 112


def best_palette(sums: Sums, count: int, fixed: ByteArray) -> ByteArray:
    """Return a palette, (n, 4) uint8 RGBA with n <= count: translucent colors first, each part by brightness.

    sums   of the cells of a histogram, (n, SUMS); see `kernels.png.histogram`
    count  2 … 256
    fixed  colors that the palette must have, fewer than `count`, (n, 4); transparent pixels add one more
    """
    seen = sums[:, 1] > 0
    if not seen.all():
        fixed = np.concatenate([fixed, TRANSPARENT])
    sums = sums[seen]
    made = fixed
    if len(sums) and count > len(fixed):
        points, weights = points_of(colors_of(sums)), sums[:, 0].astype(np.float64)
        centers = refined(points, weights, median_cut(points, weights, count - len(fixed)))
        entries, _ = nearest(points, prepared(centers))
        totals = np.stack([np.bincount(entries, sums[:, k], len(centers)) for k in range(SUMS)], 1)
        made = np.concatenate([fixed, colors_of(totals[totals[:, 0] > 0])])
    made[made[:, 3] == 0] = 0
    made = np.unique(made, axis=0)
    brightness = made[:, :3] @ np.array([299, 587, 114])
    # tRNS ends with the last entry that is not opaque. The order is one that `forms` tries anyway.
    ordered: ByteArray = made[np.lexsort((*made.T, brightness, made[:, 3] == 255))]
    return ordered


def colors_of(sums: NDArray[np.float64] | Sums) -> ByteArray:
    """Return the mean color of each cell, (n, 4) uint8 RGBA."""
    opacity = np.maximum(sums[:, 1:2], 1)
    means = np.concatenate([sums[:, 2:] / opacity, sums[:, 1:2] / np.maximum(sums[:, :1], 1)], 1)
    colors: ByteArray = np.rint(means).astype(np.uint8)
    return colors


def points_of(colors: ByteArray) -> Points:
    """Return the points of colors, (n, 4)."""
    points = np.empty((len(colors), 4), np.int32)
    status = place_colors(colors, points)
    assert status == len(colors), "the array has their size"
    return points


def prepared(points: Points) -> Points:
    """Return a palette in the form of `kernels.png.palette`, (5, 256)."""
    palette = np.empty((ROWS, ENTRIES), np.int32)
    palette[:4] = points[np.minimum(np.arange(ENTRIES), len(points) - 1)].T
    distances = np.zeros((len(points), len(points)), np.int64)
    for axis in range(4):
        distances += np.subtract.outer(points[:, axis], points[:, axis]).astype(np.int64) ** 2
    np.fill_diagonal(distances, np.iinfo(np.int32).max)
    nearest_other = distances.min(1) // 4
    palette[4] = nearest_other[np.minimum(np.arange(ENTRIES), len(points) - 1)]
    return palette


def nearest(points: Points, palette: Points, count: int = ENTRIES) -> tuple[Points, Points]:
    """Return the nearest entry of each point, and the square of its distance."""
    entries, distances = np.empty(len(points), np.int32), np.empty(len(points), np.int32)
    for first in range(0, len(points), CALL_POINTS):
        part = slice(first, min(first + CALL_POINTS, len(points)))
        status = nearest_entries(points[part], palette, count, entries[part], distances[part])
        assert status == part.stop - first, "the arrays have their size"
    return entries, distances


class ColorBox:
    """Colors that one entry stands for.

    members  indices of points
    error    weighted sum of squared distances to the mean
    axis     the one with the largest variance
    """

    def __init__(self, points: Points, weights: NDArray[np.float64], members: NDArray[np.int64]) -> None:
        self.members = members
        own, weight = points[members].astype(np.float64), weights[members, None]
        total = weight.sum()
        self.mean = (weight * own).sum(0) / total
        variances = (weight * (own - self.mean) ** 2).sum(0)
        self.error, self.axis = float(variances.sum()), int(variances.argmax())

    def split(self, points: Points, weights: NDArray[np.float64]) -> "tuple[ColorBox, ColorBox] | None":
        """Return two boxes, divided at the mean; None if all points are equal."""
        above = points[self.members, self.axis] > self.mean[self.axis]
        if above.all() or not above.any():
            return None
        return ColorBox(points, weights, self.members[~above]), ColorBox(points, weights, self.members[above])


def median_cut(points: Points, weights: NDArray[np.float64], count: int) -> Points:
    """Return the means of at most `count` boxes, (n, 4)."""
    boxes = [ColorBox(points, weights, np.arange(len(points)))]
    while len(boxes) < count:
        worst = max(range(len(boxes)), key=lambda number: boxes[number].error)
        halves = boxes[worst].split(points, weights) if boxes[worst].error > 0 else None
        if halves is None:
            break
        boxes[worst] = halves[0]
        boxes.append(halves[1])
    return np.rint([box.mean for box in boxes]).astype(np.int32)


def refined(points: Points, weights: NDArray[np.float64], centers: Points) -> Points:
    """Return centers after ROUNDS of k-means.

    Colors that are far from their center weigh more in the next mean. A center that no point is nearest to moves to one
    with a large error.
    """
    total = weights.sum()
    for _ in range(ROUNDS):
        entries, distances = nearest(points, prepared(centers), len(centers))
        mean = max((weights * distances).sum() / total, 1e-9)
        raised = weights * np.minimum(RAISED_MAX, np.sqrt(1 + RAISE * distances / mean))
        totals = np.bincount(entries, raised, len(centers))
        moved = [np.bincount(entries, raised * points[:, k], len(centers)) for k in range(4)]
        used = totals > 0
        changed = centers.copy()
        changed[used] = np.rint(np.stack(moved, 1)[used] / totals[used, None])
        unused = np.flatnonzero(~used)
        worst = np.argsort(-weights * distances, kind="stable")[: len(unused)]
        changed[unused[: len(worst)]] = points[worst]
        if np.array_equal(changed, centers):
            break
        centers = changed
    return centers


def palette_bytes(cells: int) -> int:
    """Return the bytes of making a palette of so many cells."""
    return cells * CELL_BYTES + ENTRIES * ENTRIES * 24
