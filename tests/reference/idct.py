"""Decoding of coefficients to samples to pixels, one number at a time, as libjpeg's documentation describes it."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from compressor.t81 import ZIGZAG


def exact(coefficients: NDArray[np.int64]) -> NDArray[np.float64]:
    """Transform 64 dequantized coefficients in zig-zag order to (8, 8) samples around 0 by the formula of A.3.3."""
    natural = np.zeros(64)
    natural[ZIGZAG] = coefficients
    basis = np.array([[math.cos((2 * x + 1) * u * math.pi / 16) / 2 for x in range(8)] for u in range(8)])
    basis[0] /= math.sqrt(2)
    return np.asarray(basis.T @ natural.reshape(8, 8) @ basis)


def doubled(samples: list[Fraction]) -> list[Fraction]:
    """Interpolate linearly at the centers of twice as many samples, edges repeated; not rounded."""
    out = []
    for j, here in enumerate(samples):
        before, after = samples[max(j - 1, 0)], samples[min(j + 1, len(samples) - 1)]
        out += [(3 * here + before) / 4, (3 * here + after) / 4]
    return out


def rgb(y: int, cb: int, cr: int) -> tuple[int, ...]:
    """Convert to RGB (T.871, 7), each factor a multiple of 1 / 2^16, rounded half up."""
    one = 1 << 16
    red = Fraction(round(1.402 * one), one) * (cr - 128)
    green = -Fraction(round(0.34414 * one), one) * (cb - 128) - Fraction(round(0.71414 * one), one) * (cr - 128)
    blue = Fraction(round(1.772 * one), one) * (cb - 128)
    return tuple(min(max(math.floor(y + part + Fraction(1, 2)), 0), 255) for part in (red, green, blue))
