"""The spool's own form of coefficients: about the size of the coded image, and quick to make and to read back.

A block is its DC coefficient as two bytes, low byte first, then a byte `run << 4 | value code` for every non-zero AC
coefficient after `run` zeros, then a zero byte:

    value code    1..6    7..12     13                   14                                0xF0 alone
    value         1..6    -1..-6    one byte follows     two bytes follow, low byte first  16 zeros, no value
"""

import numpy as np
from numba import njit, types

from compressor.kernels.lanes import nonzero_mask, trailing_zeros

U = np.uint64
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
BLOCK_BYTES_MAX = 2 + 63 * 3 + 1


@njit("i8(i2[:, ::1], i8, i8, u1[::1])", nogil=True, cache=True)
def pack(coefficients, first, blocks, out):
    """`blocks` blocks from the one numbered `first` on → bytes. Returns how many.

    coefficients  (n, 64) int16, zig-zag
    out           uint8, at least BLOCK_BYTES_MAX * blocks
    """
    o = 0
    for block in range(first, first + blocks):
        dc = np.int64(coefficients[block, 0])
        out[o] = dc & 255
        out[o + 1] = (dc >> 8) & 255
        o += 2
        mask = nonzero_mask(coefficients, block) & ~U(1)
        last = U(0)
        while mask:
            k = trailing_zeros(mask)
            mask &= mask - U(1)
            run = np.int64(k - last) - 1
            last = k
            while run >= 16:
                out[o] = 0xF0
                o += 1
                run -= 16
            value = np.int64(coefficients[block, k])
            if -7 < value < 7:
                out[o] = run << 4 | (value if value > 0 else 6 - value)
                o += 1
            elif -129 < value < 128:
                out[o] = run << 4 | 13
                out[o + 1] = value & 255
                o += 2
            else:
                out[o] = run << 4 | 14
                out[o + 1] = value & 255
                out[o + 2] = (value >> 8) & 255
                o += 3
        out[o] = 0
        o += 1
    return o


@njit(types.int64(BYTES, types.int64, types.int64, types.int16[:, ::1]), nogil=True, cache=True)
def unpack(packed, first, blocks, out):
    """What `pack` made → the blocks of `out` from `first` on. Returns the bytes read."""
    at = 0
    for block in range(first, first + blocks):
        for k in range(64):
            out[block, k] = 0
        out[block, 0] = np.int16(np.int64(packed[at]) | np.int64(packed[at + 1]) << 8)
        at += 2
        k = 0
        while True:
            token = np.int64(packed[at])
            at += 1
            if token == 0:
                break
            if token == 0xF0:
                k += 16
                continue
            k += (token >> 4) + 1
            code = token & 15
            if code < 7:
                out[block, k] = code
            elif code < 13:
                out[block, k] = 6 - code
            elif code == 13:
                out[block, k] = np.int8(packed[at])
                at += 1
            else:
                out[block, k] = np.int16(np.int64(packed[at]) | np.int64(packed[at + 1]) << 8)
                at += 2
    return at
