"""Masking factors by the formulas of `kernels/masking.py`, in float64."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rms(coefficients: Array, first: int, last: int) -> Array:
    """Return the root mean square of the coefficients from first to last: (n, 64) zig-zag → (n,)."""
    return np.asarray(np.sqrt((coefficients[:, first : last + 1] ** 2).mean(1)))


def mean(coefficients: Array) -> Array:
    """Return the mean sample, 0 to 255: (n, 64) of luma → (n,)."""
    return np.asarray(coefficients[:, 0] / 8 + 128)


def luma(coefficients: Array, contrast: Array) -> Array:
    """Return the factors of luma: (n, 64) zig-zag and (n,) DV → (n,)."""
    light = np.clip(mean(coefficients), 8, 255)
    exponent = 0.9 * np.log(rms(coefficients, 1, 9) + 1) - 0.4 * np.log(rms(coefficients, 28, 63) + 0.5)
    exponent += 0.2 * np.log(contrast + 6) + 0.25 * np.log(light / 128) - 2.94
    return np.clip(np.exp(exponent), 0.3, 2.5)


def chroma(cb: Array, cr: Array, light: Array) -> Array:
    """Return the factors of chroma: both (n, 64) zig-zag and (n,) mean luma → (n,)."""
    activity = np.sqrt(rms(cb, 1, 63) ** 2 + rms(cr, 1, 63) ** 2)
    exponent = 0.8 * np.log(np.clip(light, 8, 255) / 128) + 0.4 * np.log(activity + 1) - 0.42
    factors: Array = np.clip(np.exp(exponent), 0.25, 4)
    return factors
