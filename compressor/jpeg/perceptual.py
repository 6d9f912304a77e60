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

TABLE_SETS = (table_sets.SSIMULACRA2,)  # all that files were ever made with, the present one last
PRESENT = TABLE_SETS[-1]


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


def quantization_tables(distance: float, components: int, tables: TableSet = PRESENT) -> list[Table]:
    """Return a table for each component: (64,) uint16 in zig-zag order, 1 … 255."""
    return [tables.table(component, distance) for component in range(components)]


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
