"""Packed coefficients, as described in the docstring of `compressor.kernels.packing`."""

import struct

import numpy as np
from numpy.typing import NDArray


def token(run: int, value: int) -> bytes:
    """Return the token of a non-zero AC coefficient after `run` < 16 zeros."""
    if 1 <= value <= 6:
        return bytes([16 * run + value])
    if -6 <= value <= -1:
        return bytes([16 * run + 6 - value])
    if -128 <= value <= 127:
        return struct.pack("<Bb", 16 * run + 13, value)
    return struct.pack("<Bh", 16 * run + 14, value)


def pack(coefficients: NDArray[np.int16]) -> bytes:
    """Pack (n, 64) int16."""
    out = b""
    for zz in coefficients.tolist():
        out += struct.pack("<h", zz[0])
        run = 0
        for value in zz[1:]:
            if value == 0:
                run += 1
                continue
            out += b"\xf0" * (run // 16) + token(run % 16, value)
            run = 0
        out += b"\x00"
    return out
