"""Palettes from their definitions: a histogram with merged cells, nearest colors, error diffusion; pixel by pixel."""

import math
from collections.abc import Sequence
from fractions import Fraction

Color = tuple[int, int, int, int]
Point = tuple[int, int, int, int]

WEIGHTS = (67, 134, 60)  # of red, green and blue, in 1/32
DEAD = 27


def color_of(samples: Sequence[int]) -> Color:
    """Return red, green, blue and alpha of 1 to 4 samples; all zeros where alpha is 0."""
    values = [int(sample) for sample in samples]
    alpha = values.pop() if len(values) in (2, 4) else 255
    red, green, blue = values * 3 if len(values) == 1 else values
    return (red, green, blue, alpha) if alpha else (0, 0, 0, 0)


def activity(image: Sequence[Sequence[Sequence[int]]], y: int, x: int) -> int:
    """Return the largest difference of a sample from the same one on the left, on the right and above."""
    own = image[y][x]
    around = [image[y][k] for k in (x - 1, x + 1) if 0 <= k < len(image[y])]
    around += [image[y - 1][x]] if y else []
    return max([abs(int(a) - int(b)) for other in around for a, b in zip(own, other, strict=True)], default=0)


def histogram(image: Sequence[Sequence[Sequence[int]]], weights: Sequence[int], limit: int) -> list[list[int]]:
    """Return the sums of each cell, sorted: weight, weight * alpha, and that times red, green and blue.

    limit  of cells: colors lose their lowest bits, one after the other, before there would be more
    """
    cells: dict[Color, list[int]] = {}
    shift = 0

    def key(color: Color) -> Color:
        red, green, blue, alpha = (sample >> shift << shift for sample in color)
        return red, green, blue, alpha

    for y, row in enumerate(image):
        for x, samples in enumerate(row):
            color = color_of(samples)
            while key(color) not in cells and len(cells) >= limit and shift < 7:
                shift += 1
                merged: dict[Color, list[int]] = {}
                for other, found in cells.items():
                    total = merged.setdefault(key(other), [0] * 5)
                    for k in range(5):
                        total[k] += found[k]
                cells = merged
            sums = cells.setdefault(key(color), [0] * 5)
            weight = weights[activity(image, y, x)]
            for k, share in enumerate((1, color[3], *(color[3] * sample for sample in color[:3]))):
                sums[k] += weight * share
    return sorted(cells.values())


def point(color: Color) -> Point:
    """Return the point of a color: w (2 c - 255) a / 255 for each sample, and a times the root of the sum of w^2."""
    alpha = Fraction(color[3] * 257, 65536)  # instead of color[3] / 255
    places = [
        math.floor(Fraction(w, 32) * (2 * c - 255) * alpha + Fraction(1, 2))
        for w, c in zip(WEIGHTS, color[:3], strict=True)
    ]
    return places[0], places[1], places[2], math.floor(color[3] * Fraction(161, 32) + Fraction(1, 2))


def distance(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the square of the distance of two points."""
    return sum((int(x) - int(y)) ** 2 for x, y in zip(a, b, strict=True))


def nearest(place: Sequence[int], palette: Sequence[Sequence[int]]) -> int:
    """Return the nearest entry, the first one on a tie."""
    return min(range(len(palette)), key=lambda entry: (distance(place, palette[entry]), entry))


def left_of(error: Sequence[int]) -> list[int]:
    """Return what is diffused of an error: DEAD of its length is not. In float32, as the kernel computes."""
    import numpy as np

    squared = sum(part * part for part in error)
    if squared <= DEAD * DEAD:
        return [0, 0, 0, 0]
    share = np.float32(1) - np.float32(DEAD) / np.sqrt(np.float32(squared))
    return [int(np.float32(part) * share) for part in error]


def diffused(
    image: Sequence[Sequence[Sequence[int]]], palette: Sequence[Sequence[int]], shares: Sequence[int]
) -> list[list[int]]:
    """Return the entries of all pixels after Floyd and Steinberg: 7/16 to the right, 3, 5 and 1 to the line below."""
    height, width = len(image), len(image[0])
    arriving = [[[0, 0, 0, 0] for _ in range(width)] for _ in range(height + 1)]
    limits = [round(255 * w / 32) for w in WEIGHTS]
    bounds = [*((-limit, limit) for limit in limits), (0, round(255 * 161 / 32))]
    result: list[list[int]] = []
    for y in range(height):
        result.append([])
        for x in range(width):
            color = color_of(image[y][x])
            place = list(point(color))
            share = shares[activity(image, y, x)] if color[3] else 0
            if share:
                for k, (least, most) in enumerate(bounds):
                    moved = place[k] + math.floor(Fraction(arriving[y][x][k] * share, 256) + Fraction(1, 2))
                    place[k] = min(max(moved, least), most)
            entry = nearest(place, palette)
            result[-1].append(entry)
            left = left_of([a - int(b) for a, b in zip(place, palette[entry], strict=True)])
            left = [math.floor(Fraction(part * share, 16)) for part in left]
            for dy, dx, part in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
                if 0 <= x + dx < width:
                    for k in range(4):
                        arriving[y + dy][x + dx][k] += part * left[k]
    return result
