"""Adam7 deinterlacing: the pixels of a pass are moved to their positions in the image (W3C PNG clause 8.1)."""

import numpy as np

from compressor.kernels.declare import function, kernel

SCANLINES = "const u1[:, ::1]"  # takes writable arrays as well
ROWS = "u1[:, ::1]"


@function
def _spread_bytes(source, count, size, start, step, target):
    """Copy pixels of `size` bytes, `step` bytes apart in `target`. The usual sizes are constants that LLVM unrolls."""
    if step == size:
        for i in range(count * size):
            target[start + i] = source[i]
    elif size == 1:
        for i in range(count):
            target[start + i * step] = source[i]
    elif size == 3:
        for i in range(count):
            for k in range(3):
                target[start + i * step + k] = source[3 * i + k]
    elif size == 4:
        for i in range(count):
            for k in range(4):
                target[start + i * step + k] = source[4 * i + k]
    else:
        for i in range(count):
            for k in range(size):
                target[start + i * step + k] = source[size * i + k]


@function
def _spread_bits(source, count, bits, x, dx, target):
    """Copy pixels smaller than a byte, leftmost in the high bits (clause 7.2)."""
    mask = (1 << bits) - 1
    for i in range(count):
        at = i * bits
        sample = (source[at >> 3] >> (8 - bits - (at & 7))) & mask
        place = (x + i * dx) * bits
        shift = 8 - bits - (place & 7)
        target[place >> 3] = np.uint8((target[place >> 3] & ~(mask << shift)) | (sample << shift))


@kernel(f"i8({SCANLINES}, i8, i8, i8, i8, i8, i8, {ROWS})")
def spread(rows, count, bits, x, dx, y, dy, out):
    """Copy scanlines of a pass into lines of the image. Pixels of other passes do not change.

    rows   (n, w)              uint8  unfiltered, w >= ceil(count * bits / 8)
    count  pixels of each
    bits   of a pixel: 1, 2, 4, or a multiple of 8
    x, dx  column of the first pixel, and distance from one to the next
    y, dy  line of the first scanline in `out`, and distance from one to the next
    out    (lines, row_bytes)  uint8

    Return n, or -1 if a pixel or its position would be outside.
    """
    n = rows.shape[0]
    if count < 1 or bits < 1 or min(x, dx, y, dy) < 0 or rows.shape[1] * 8 < count * bits:
        return -1
    if (x + (count - 1) * dx + 1) * bits > out.shape[1] * 8 or y + (n - 1) * dy >= out.shape[0]:
        return -1
    for r in range(n):
        if bits < 8:
            _spread_bits(rows[r], count, bits, x, dx, out[y + r * dy])
        else:
            size = bits >> 3
            _spread_bytes(rows[r], count, size, x * size, dx * size, out[y + r * dy])
    return n
