"""Quantization with a dead zone in float64."""

import numpy as np
from numpy.typing import NDArray

from compressor.t81 import ZIGZAG


def slopes(table: NDArray[np.float32]) -> NDArray[np.float64]:
    """Reorder (..., 64) from [u][v] to zig-zag."""
    turned = np.asarray(table, np.float64).reshape(*table.shape[:-1], 8, 8).swapaxes(-1, -2)
    return turned.reshape(table.shape)[..., ZIGZAG]


def least(slope: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest quotients, (blocks, 64), that do not become zero.

    slope   (64,) of the component, zig-zag
    factor  (blocks,)
    """
    return 0.5 + factor[:, None] * slope


def dead_zone(quotients: NDArray[np.float64], threshold: NDArray[np.float64]) -> NDArray[np.int16]:
    """Quantize: values below their threshold become zero, all others are rounded, ties to even."""
    return np.where(abs(quotients) < threshold, 0, np.rint(quotients)).astype(np.int16)
