"""Requantization: coefficients that were quantized by one table become those of a coarser one, without pixels."""

import numpy as np
from numba import njit


@njit("void(i2[:, ::1], i8, i8, f4[::1])", nogil=True, cache=True)
def requantize(coefficients, first, blocks, ratio):
    """Sq'[k] = round(Sq[k] * Q[k] / Q'[k]) in place (T.81 A.3.4 after F.2.1.4), ties to even.

    coefficients  (n, 64) int16, zig-zag; `blocks` of them from `first` on
    ratio         (64,) float32, Q[k] / Q'[k] <= 1, zig-zag; 1 where nothing changes
    """
    for block in range(first, first + blocks):
        for k in range(64):
            coefficients[block, k] = np.int16(np.rint(np.float32(coefficients[block, k]) * ratio[k]))
