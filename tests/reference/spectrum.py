"""Masking factors of whole planes of blocks in float64: neighbors are used, whatever MCU row they are in."""

import numpy as np
from numpy.typing import NDArray

from tests.reference import masking

Array = NDArray[np.float64]


def contrast(dc: Array) -> Array:
    """Return the standard deviation over 3 x 3, the edge repeated: (lines, columns)."""
    lines, columns = dc.shape
    padded = np.pad(dc, 1, mode="edge")
    around = [padded[y : y + lines, x : x + columns] for y in range(3) for x in range(3)]
    return np.asarray(np.std(around, axis=0))


def luma_factors(coefficients: Array) -> Array:
    """Return the factors of a luma plane: (lines, columns, 64) zig-zag → (lines, columns)."""
    lines, columns, _ = coefficients.shape
    dv = contrast(coefficients[:, :, 0])
    return masking.luma(coefficients.reshape(-1, 64), dv.ravel()).reshape(lines, columns)


def chroma_factors(luma: Array, cb: Array, cr: Array) -> Array:
    """Return the factors of a pair of chroma planes, whose blocks cover equal rectangles of luma blocks."""
    lines, columns, _ = cb.shape
    v, h = luma.shape[0] // lines, luma.shape[1] // columns
    light = (luma[:, :, 0] / 8 + 128).reshape(lines, v, columns, h).mean((1, 3))
    return masking.chroma(cb.reshape(-1, 64), cr.reshape(-1, 64), light.ravel()).reshape(lines, columns)
