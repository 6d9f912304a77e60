"""The forward DCT and quantization by the formulas of T.81, in float64."""

import math

import numpy as np
from numpy.typing import NDArray

from compressor.t81 import ZIGZAG


def fdct_formula(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transform (8, 8) samples s[y, x] to (8, 8) coefficients S[v, u] by the formula of A.3.3."""
    out = np.zeros((8, 8))
    for v in range(8):
        for u in range(8):
            total = 0.0
            for y in range(8):
                for x in range(8):
                    total += (
                        s[y, x] * math.cos((2 * x + 1) * u * math.pi / 16) * math.cos((2 * y + 1) * v * math.pi / 16)
                    )
            c_u, c_v = (1 / math.sqrt(2) if k == 0 else 1.0 for k in (u, v))
            out[v, u] = c_u * c_v * total / 4
    return out


BASIS = np.array([[math.cos((2 * x + 1) * u * math.pi / 16) / 2 for x in range(8)] for u in range(8)])
BASIS[0] /= math.sqrt(2)


def fdct(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transform (..., 8, 8) samples by A.3.3 as a product of matrices."""
    return np.asarray(BASIS @ s @ BASIS.T)


def quotients(plane: NDArray[np.float64], table: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return S[k] / Q[k] of a plane of samples, not rounded (A.3.4), (blocks, 64), in zig-zag order, line by line.

    plane  (8 m, 8 n), centered on 0
    table  (64,) Q in zig-zag order
    """
    lines, samples = plane.shape
    blocks = plane.reshape(lines // 8, 8, samples // 8, 8).swapaxes(1, 2)
    return fdct(blocks).reshape(-1, 64)[:, ZIGZAG] / table
