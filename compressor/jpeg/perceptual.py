"""Perceptual quantization: tables that are finer where errors are visible, dead zones and the trellis' weights.

A table is a point on one of three curves, one for each component, over a *distance* (about that of jpegli: 1 is hard to
distinguish from the source); `table_sets.py` has them.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg import table_sets
from compressor.jpeg.table_sets import TableSet
from compressor.jpeg.tables import Table
from compressor.kernels.dct import TRANSPOSED
from compressor.settings import Effort
from compressor.t81 import ZIGZAG

TABLE_SETS = (table_sets.SSIMULACRA2, table_sets.FOUR_JUDGES, table_sets.ONE_PASS)  # all that files were ever made with
PRESENT = table_sets.FOUR_JUDGES  # of the efforts that choose scans; `fast` has another


# The distance at which photographs have, on average, about one point more of SSIMULACRA2 than libjpeg-turbo with 4:2:0
# at each quality. At an equal score other judges would rank results far below it, since we save most by SSIMULACRA2. By
# MS-SSIM they still do: libjpeg-turbo reaches our figure with 4 to 9 % fewer bytes than its own at 80, 9 to 11 % at 60,
# 13 to 14 % at 30 (means over the tuning photographs). Fitted by `python -m benchmarks tuning --scales 1` to half of
# these; `fast`, and below 60 the others, to all, for 1 and 1.2 points, and `fast` at 60 corrected after that. At low
# quality photographs differ by much: the standard deviation is 4 points at 20, 1 at 60. `python -m benchmarks density`
# prints how far off each effort is.
QUALITIES = (1, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 98, 100)
SCALES = {
    Effort.FAST: (60, 29.3, 13.3, 8, 5.74, 4.42, 3.57, 2.55, 2.14, 1.66, 1.22, 0.786, 0.397, 0.208, 0.03),
    Effort.BALANCED: (60, 28.7, 13.3, 8.09, 5.87, 4.52, 3.65, 2.66, 2.23, 1.76, 1.34, 0.863, 0.472, 0.212, 0.03),
    Effort.BEST: (60, 31.3, 14, 8.47, 6.12, 4.69, 3.79, 2.73, 2.25, 1.75, 1.32, 0.85, 0.469, 0.204, 0.03),
}


@cache
def distance_for(quality: float, effort: Effort) -> float:
    """Return the distance at which an effort's result has the visual quality of libjpeg-turbo's at `quality`, 1 to
    100."""
    return float(np.exp(np.interp(quality, QUALITIES, np.log(SCALES[effort]))))


def quality_for(distance: float, effort: Effort) -> float:
    """Return the quality, 1 to 100, that `distance_for` maps to a distance; a fraction between whole ones."""
    scale = np.log(SCALES[effort])
    return float(np.interp(np.log(distance), scale[::-1], QUALITIES[::-1]))


def table_set_of(effort: Effort) -> TableSet:
    """Return the set of an effort."""
    return table_sets.ONE_PASS if effort is Effort.FAST else PRESENT


def quantization_tables(distance: float, components: int, tables: TableSet = PRESENT) -> list[Table]:
    """Return a table for each component: (64,) uint16 in zig-zag order, 1 … 255."""
    return [tables.table(component, distance) for component in range(components)]


def dead_zones(distance: float, components: int) -> NDArray[np.float32]:
    """Return the slopes of `quantize.dead_zone`: (components, 64) float32, [u][v], 0 for DC.

    A slope is how much larger than half a step an AC coefficient must be in a block with a masking factor of 1.
    """
    rising = 0.056 + 0.084 * (ZIGZAG // 8 + ZIGZAG % 8) / 10  # toward high frequencies
    slopes = np.empty((components, 64), np.float32)
    slopes[:, TRANSPOSED] = np.stack([rising, *[np.full(64, 0.042)] * (components - 1)])
    slopes *= (distance / 2) ** 0.5  # zeros save more with coarse steps; fitted together with the first tables
    slopes[:, 0] = 0
    return slopes


def trellis_weights(distance: float, components: int) -> NDArray[np.float32]:
    """Return the cost of a bit, in squares of a step, for a masking factor of 1: (components,) float32."""
    # 0.056 instead of 0.08 saves 1.7 points more by ColorVideoVDP, 0.6 by butteraugli, and 0.1 less by SSIMULACRA2.
    weight = 0.044 * (distance / 2) ** 0.2
    return np.array([weight] + [weight / 2] * (components - 1), np.float32)
