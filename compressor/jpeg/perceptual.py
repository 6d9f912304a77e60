"""Perceptual quantization tables: finer where SSIMULACRA2 detects errors, coarser where it does not.

A table is a point on one of three curves, one for each component, over a *distance* (about that of jpegli: 1 is hard to
distinguish from the source). Their shape was found by coordinate search on six photographs, one group of
frequencies at a time, starting from jpegli's tables (its base matrix of YCbCr and its scaling by distance), and checked
on others.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.tables import Table
from compressor.kernels.dct import TRANSPOSED
from compressor.settings import Effort
from compressor.t81 import ZIGZAG

DISTANCES = (1.1, 2.4, 5.0)


def _symmetric(lower: str) -> NDArray[np.float64]:
    """Return the logarithm of a symmetric table, given its lower triangle: (64,) zig-zag."""
    table = np.empty((8, 8))
    table[np.tril_indices(8)] = lower.split()
    table.T[np.tril_indices(8)] = lower.split()
    curve: NDArray[np.float64] = np.log(table.ravel()[ZIGZAG])
    return curve


# At each of the distances: Y, Cb, Cr; symmetric, real numbers. The irregular values at high frequencies of chroma do
# not matter: these coefficients are zero.
Y = (
    _symmetric(
        """
          1.7
          3.3   4.3
          6.0   7.0   7.7
          6.9   7.0   8.1   8.8
          8.7   8.2   9.4   9.6  10.5
          8.2   8.2   9.0  11.0  11.1  12.3
         10.0   9.3   8.6  10.8  12.6  12.5  13.3
          8.9   9.2   9.6  10.4  13.4  14.9  13.2  10.7
        """
    ),
    _symmetric(
        """
          3.8
          6.3   8.9
         12.5  13.3  14.8
         13.4  13.7  15.2  18.2
         18.0  16.7  19.1  21.2  23.2
         16.8  17.0  19.9  23.3  26.5  29.3
         20.7  20.5  19.0  24.7  30.0  27.2  29.1
         19.7  20.4  22.8  24.8  29.3  32.6  28.9  23.4
        """
    ),
    _symmetric(
        """
          7.9
         10.2  16.1
         22.8  22.2  25.9
         23.3  24.5  26.1  35.8
         35.4  32.6  36.6  44.6  49.0
         32.8  33.6  41.8  46.2  60.1  66.4
         40.7  43.1  40.2  52.4  68.0  56.8  60.6
         41.4  43.2  51.7  56.2  61.1  67.8  60.2  48.8
        """
    ),
)
CB = (
    _symmetric(
        """
          1.1
          2.5   4.7
          5.5   6.4   8.1
          7.2   7.8  10.6  10.0
          7.1   9.0   9.6  10.1  15.3
          8.6   9.3  16.1  21.8  12.7  25.7
         10.6  19.8  88.2  25.3  13.8  37.9  12.5
         17.4  18.7  21.7  35.1  50.0  12.5  12.5  96.4
        """
    ),
    _symmetric(
        """
          2.1
          5.3   9.7
         11.4  12.1  16.4
         14.0  16.0  24.2  24.8
         15.5  22.4  23.3  24.9  33.5
         21.4  22.9  39.8  45.6  27.7  56.0
         26.2  48.9 192.4  53.0  30.1  82.6  27.2
         43.1  40.9  47.4  76.5 109.1  27.3  27.2 210.2
        """
    ),
    _symmetric(
        """
          4.1
          9.4  17.3
         20.5  20.0  30.4
         24.1  30.4  50.4  58.7
         32.3  52.8  53.6  58.8  69.7
         50.5  54.1  94.0  88.9  57.8 116.6
         61.9 115.5 400.9 103.3  62.8 172.1  56.7
        101.8  85.2  98.8 159.3 227.2  56.8  56.6 438.0
        """
    ),
)
CR = (
    _symmetric(
        """
          2.4
          3.8   4.9
          6.4   6.6   6.7
          5.9   5.4   7.4   7.0
          7.2   8.1   7.9   8.9   6.9
          8.2   7.2   8.5   8.9  10.6   9.1
          9.7   9.1   8.8   9.8   8.1  10.5  16.6
         10.5   9.5  10.0  10.6  10.2  15.4  15.2 127.4
        """
    ),
    _symmetric(
        """
          5.5
          7.1   9.4
         12.3  12.6  13.6
         11.5  11.2  14.9  15.2
         16.0  17.7  16.9  19.5  15.1
         17.9  15.7  18.6  18.7  23.2  19.9
         21.2  19.9  19.1  20.4  17.7  22.8  36.2
         22.9  20.7  21.7  23.1  22.2  33.5  33.1 278.1
        """
    ),
    _symmetric(
        """
         11.8
         11.2  15.6
         20.6  21.1  25.5
         20.1  21.5  27.3  31.7
         33.6  36.9  34.2  40.6  31.5
         37.2  32.7  38.7  36.4  48.2  41.4
         44.2  41.5  39.8  39.9  36.8  47.6  75.5
         47.6  43.2  45.3  48.1  46.2  69.8  69.0 579.3
        """
    ),
)
# Beyond the nodes, tables scale as in jpegli: proportional to the distance, except that the lowest frequencies
# (zig-zag) have a smaller exponent above the last node.
EXPONENT = np.ones(64)
EXPONENT[[1, 2]], EXPONENT[[3, 5]], EXPONENT[4], EXPONENT[[6, 9]], EXPONENT[[7, 8]] = 0.51, 0.67, 0.66, 0.74, 0.69


# The distance at which photographs have, on average, the SSIMULACRA2 of libjpeg-turbo with 4:2:0 at each quality. It is
# interpolated between measured scores of Kodak's 24 and of 20 others (cameras', reduced, and scikit-image's), both sets
# with equal weight. `python -m benchmarks density` prints how far off each effort is.
QUALITIES = (1, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 98, 100)
SCALES = {
    Effort.FAST: (60, 32, 17.2, 10.0, 6.95, 5.32, 4.32, 3.15, 2.68, 2.14, 1.64, 1.15, 0.67, 0.32, 0.1),
    Effort.BALANCED: (60, 32, 17.4, 10.05, 6.97, 5.35, 4.36, 3.2, 2.735, 2.21, 1.75, 1.24, 0.75, 0.43, 0.1),
    Effort.BEST: (60, 33, 18.3, 10.2, 6.9, 5.25, 4.29, 3.14, 2.68, 2.17, 1.71, 1.21, 0.735, 0.42, 0.1),
}


@cache
def distance_for(quality: int, effort: Effort) -> float:
    """Return the distance at which an effort's result has the visual quality of libjpeg-turbo's at `quality`, 1 to
    100."""
    return float(np.exp(np.interp(quality, QUALITIES, np.log(SCALES[effort]))))


def quality_for(distance: float, effort: Effort) -> float:
    """Return the quality, 1 to 100, that `distance_for` maps to a distance; a fraction between whole ones."""
    scale = np.log(SCALES[effort])
    return float(np.interp(np.log(distance), scale[::-1], QUALITIES[::-1]))


def quantization_tables(distance: float, components: int) -> list[Table]:
    """Return a table for each component: (64,) uint16 in zig-zag order, 1 … 255."""
    return [_table(curve, distance) for curve in (Y, CB, CR)[:components]]


def dead_zones(distance: float, components: int) -> NDArray[np.float32]:
    """Return the slopes of `quantize.dead_zone`: (components, 64) float32, [u][v], 0 for DC.

    A slope is how much larger than half a step an AC coefficient must be in a block with a masking factor of 1.
    """
    rising = 0.08 + 0.12 * (ZIGZAG // 8 + ZIGZAG % 8) / 10  # toward high frequencies
    slopes = np.empty((components, 64), np.float32)
    slopes[:, TRANSPOSED] = np.stack([rising, *[np.full(64, 0.06)] * (components - 1)])
    slopes *= (distance / 2) ** 0.5  # zeros save more with coarse steps; fitted together with the tables
    slopes[:, 0] = 0
    return slopes


def trellis_weights(distance: float, components: int) -> NDArray[np.float32]:
    """Return the cost of a bit, in squares of a step, for a masking factor of 1: (components,) float32."""
    weight = 0.08 * (distance / 2) ** 0.2
    return np.array([weight] + [weight / 2] * (components - 1), np.float32)


def _table(curve: Sequence[NDArray[np.float64]], distance: float) -> Table:
    """Interpolate a curve at a distance."""
    x, nodes = np.log(distance), np.log(DISTANCES)
    if x <= nodes[0]:
        found = curve[0] + (x - nodes[0])
    elif x >= nodes[-1]:
        found = curve[-1] + EXPONENT * (x - nodes[-1])
    else:
        upper = int(np.searchsorted(nodes, x))
        share = (x - nodes[upper - 1]) / (nodes[upper] - nodes[upper - 1])
        found = (1 - share) * curve[upper - 1] + share * curve[upper]
    table: Table = np.clip(np.rint(np.exp(found)), 1, 255).astype(np.uint16)
    return table
