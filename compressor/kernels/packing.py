"""Packed coefficients for the spool: about the size of the coded image, and fast to write and to read.

A block is its DC coefficient as two bytes, low byte first, then a byte `run << 4 | value code` for every non-zero AC
coefficient after `run` zeros, then a zero byte:

    value code    1..6    7..12     13                   14                                0xF0 alone
    value         1..6    -1..-6    one byte follows     two bytes follow, low byte first  16 zeros, no value
"""

import numpy as np

from compressor.kernels.declare import inlined, kernel
from compressor.kernels.lanes import clear_block, magnitude_mask, nonzero_mask, trailing_zeros

U = np.uint64
BYTES = "const u1[::1]"
# For each value from -128 on: its code in the low four bits, and above it the bytes that the token takes.
CODES = np.array([16 + v if 0 < v < 7 else 16 + 6 - v if -7 < v < 0 else 32 + 13 for v in range(-128, 128)], np.uint8)
LEVELS = 4  # magnitudes that masks are made for
BLOCK_BYTES_MAX = 2 + 63 * 3 + 1


@inlined
def put_coefficient(out, o, run, value):
    """Write a token and, needed or not, a byte of the value: only rare cases need a branch. Return the new offset."""
    while run >= 16:
        out[o] = 0xF0
        o += 1
        run -= 16
    if U(value + 128) > U(255):
        out[o] = run << 4 | 14
        out[o + 1] = value & 255
        out[o + 2] = (value >> 8) & 255
        return o + 3
    code = np.int64(CODES[U(value + 128)])
    out[o] = run << 4 | code & 15
    out[o + 1] = value & 255
    return o + (code >> 4)


@kernel("i8(i2[:, ::1], i8, i8, i8, i8[::1], u1[::1])")
def pack(coefficients, first, blocks, step, ends, out):
    """Pack `blocks` blocks from block `first` on. Return the number of bytes.

    coefficients  (n, 64) int16, zig-zag
    ends          (>= blocks / step,) int64: out: the number of bytes after each `step` blocks, and after the last
    out           uint8, at least BLOCK_BYTES_MAX * blocks; bytes after the packed ones may be overwritten
    """
    o = 0
    for done in range(blocks):
        block = U(first + done)
        dc = np.int64(coefficients[block, U(0)])
        out[o] = dc & 255
        out[o + 1] = (dc >> 8) & 255
        o += 2
        mask = nonzero_mask(coefficients, block) & ~U(1)
        last = U(0)
        while mask:
            k = trailing_zeros(mask)
            mask &= mask - U(1)
            o = put_coefficient(out, o, np.int64(k - last) - 1, np.int64(coefficients[block, k]))
            last = k
        out[o] = 0
        o += 1
        ends[done // step] = o
    return o


@inlined
def read_value(packed, at, code):
    """Return the value of a token whose code is not 0, and the offset after its bytes, which begin at `at`."""
    if code < 13:
        return code if code < 7 else 6 - code, at
    if code == 13:
        return np.int64(np.int8(packed[at])), at + U(1)
    return np.int64(np.int16(np.int64(packed[at]) | np.int64(packed[at + U(1)]) << 8)), at + U(2)


@inlined
def unpack_block(packed, at, out, block):
    """Unpack one block. Return the offset of the next one."""
    clear_block(out, block)
    out[block, U(0)] = np.int16(np.int64(packed[at]) | np.int64(packed[at + U(1)]) << 8)
    at += U(2)
    k = U(0)
    while True:
        token = U(packed[at])
        at += U(1)
        code = np.int64(token & U(15))
        k += (token >> U(4)) + U(1)
        if code == 0:
            if token == U(0):
                return at
            continue  # sixteen zeros
        value, at = read_value(packed, at, code)
        out[block, k] = value


@kernel(f"i8({BYTES}, i8, i8, i2[:, ::1])")
def unpack(packed, first, blocks, out):
    """Unpack the bytes of `pack` to the blocks of `out` from `first` on. Return the number of bytes read."""
    at = U(0)
    for block in range(U(first), U(first + blocks)):
        at = unpack_block(packed, at, out, block)
    return np.int64(at)


@inlined
def write_masks(blocks, block, masks):
    """Write the masks of a block."""
    masks[U(0), block] = nonzero_mask(blocks, block)
    masks[U(1), block] = magnitude_mask(blocks, block, np.int64(2))
    masks[U(2), block] = magnitude_mask(blocks, block, np.int64(4))
    masks[U(3), block] = magnitude_mask(blocks, block, np.int64(8))


@inlined
def unpack_block_with_masks(packed, at, out, block, masks):
    """Unpack one block and make its masks. Return the offset of the next one.

    Masks are made of the values, not of the block: loading what has just been stored in pieces stalls the processor.
    """
    clear_block(out, block)
    value = np.int64(np.int16(np.int64(packed[at]) | np.int64(packed[at + U(1)]) << 8))
    out[block, U(0)] = value
    magnitude = U(abs(value))
    mask, of_2, of_4, of_8 = U(magnitude > U(0)), U(magnitude > U(1)), U(magnitude > U(3)), U(magnitude > U(7))
    at += U(2)
    k = U(0)
    while True:
        token = U(packed[at])
        at += U(1)
        code = np.int64(token & U(15))
        k += (token >> U(4)) + U(1)
        if code == 0:
            if token == U(0):
                break
            continue  # sixteen zeros
        value, at = read_value(packed, at, code)
        out[block, k] = value
        magnitude = U(abs(value))
        mask |= U(1) << k
        of_2 |= U(magnitude > U(1)) << k
        of_4 |= U(magnitude > U(3)) << k
        of_8 |= U(magnitude > U(7)) << k
    masks[U(0), block], masks[U(1), block], masks[U(2), block], masks[U(3), block] = mask, of_2, of_4, of_8
    return at


@kernel(f"i8({BYTES}, i8, i8, i2[:, ::1], u8[:, ::1])")
def unpack_with_masks(packed, first, blocks, out, masks):
    """Unpack as `unpack` does, and make bitmasks of the coefficients by magnitude.

    masks  (LEVELS, n) uint64: out: bit k of masks[al, block] is set if |out[block, k]| >> al is not 0
    """
    at = U(0)
    for block in range(U(first), U(first + blocks)):
        at = unpack_block_with_masks(packed, at, out, block, masks)
    return np.int64(at)


@kernel("void(i2[:, ::1], u8[:, ::1])", releases_gil=False)
def make_masks(coefficients, masks):
    """Make the masks of `unpack_with_masks` of all blocks of a slab."""
    for block in range(U(coefficients.shape[0])):
        write_masks(coefficients, block, masks)
