"""Reconstruction of PNG scanlines from filtered ones (W3C PNG, third edition, clause 9). `filter` is the reverse.

A pixel's neighbors are named as in Figure 19: a to the left, b above, c above left, x the byte itself; `bpp` bytes
apart (1 if pixels are smaller than a byte). Undoing Sub, Average and Paeth is serial from pixel to pixel, so for
the two usual distances, 3 and 4, one pixel is one small vector that stays in a register: <4 x i8> in a uint32, and
<4 x i16> in a uint64 for Paeth.
"""

import numpy as np

from compressor.kernels.declare import function, intrinsic, kernel, types
from compressor.kernels.lanes import I8, I16, I32, I64, call, load, splat, store, vector

NONE, SUB, UP, AVERAGE, PAETH = range(5)

READONLY = "const u1[::1]"  # takes writable arrays as well
ROW = "u1[::1]"
ROWS = "u1[:, ::1]"


@intrinsic
def load4(typing, array, index):
    """Load four bytes from flat `index` on, as the lanes of a uint32."""

    def codegen(context, builder, signature, arguments):
        piece = load(context, builder, signature.args[0], arguments[0], arguments[1], I8, 4)
        return builder.bitcast(piece, I32)

    return types.uint32(array, types.intp), codegen


@intrinsic
def store4(typing, array, index, pixel):
    """Write the four byte lanes of a uint32 from flat `index` on."""

    def codegen(context, builder, signature, arguments):
        piece = builder.bitcast(arguments[2], vector(I8, 4))
        store(context, builder, signature.args[0], arguments[0], arguments[1], piece)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint32), codegen


@intrinsic
def add4(typing, a, b):
    """Return a + b modulo 256 in each byte lane."""

    def codegen(context, builder, signature, arguments):
        a, b = (builder.bitcast(value, vector(I8, 4)) for value in arguments)
        return builder.bitcast(builder.add(a, b), I32)

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def average4(typing, a, b):
    """Return floor((a + b) / 2) in each byte lane (clause 9.2, type 3)."""

    def codegen(context, builder, signature, arguments):
        # (a & b) + ((a ^ b) >> 1) needs no ninth bit.
        a, b = (builder.bitcast(value, vector(I8, 4)) for value in arguments)
        half = builder.lshr(builder.xor(a, b), splat(I8, 4, 1))
        return builder.bitcast(builder.add(builder.and_(a, b), half), I32)

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def widen4(typing, pixel):
    """Widen four byte lanes of a uint32 to four 16-bit lanes of a uint64."""

    def codegen(context, builder, signature, arguments):
        wide = builder.zext(builder.bitcast(arguments[0], vector(I8, 4)), vector(I16, 4))
        return builder.bitcast(wide, I64)

    return types.uint64(types.uint32), codegen


@intrinsic
def narrow4(typing, pixel):
    """Return the low bytes of four 16-bit lanes."""

    def codegen(context, builder, signature, arguments):
        narrow = builder.trunc(builder.bitcast(arguments[0], vector(I16, 4)), vector(I8, 4))
        return builder.bitcast(narrow, I32)

    return types.uint32(types.uint64), codegen


@intrinsic
def unpaeth4(typing, a, b, c, x):
    """Return (x + PaethPredictor(a, b, c)) modulo 256 in each 16-bit lane (clause 9.4); all lanes in 0 .. 255.

    The predictor takes the neighbor that is nearest to a + b - c. Let lo and hi be the smaller and the larger of a, b.
    If c is between them, lo is at distance hi - c, hi at c - lo, and c at |(hi - c) - (c - lo)|: so lo wins
    if 2 hi <= 3 c - lo, hi wins if 3 c - hi <= 2 lo, else c; with t = 3 c - a - b that is hi <= t and t <= lo.
    If c is outside, the same two comparisons choose the one farther from c, which is correct. Ties go to a, then b, as
    in the standard: a and b are equally near only if c is nearer still, or all three are equal. The path from a to the
    result is six instructions long; with the three distances it would be ten.
    """

    def codegen(context, builder, signature, arguments):
        a, b, c, x = (builder.bitcast(value, vector(I16, 4)) for value in arguments)
        lo = call(builder, "llvm.umin.v4i16", vector(I16, 4), [a, b])
        hi = call(builder, "llvm.umax.v4i16", vector(I16, 4), [a, b])
        ahead = builder.sub(builder.mul(c, splat(I16, 4, 3)), b)  # needs no `a`: off the serial path
        t = builder.sub(ahead, a)
        prediction = builder.select(builder.icmp_signed("<=", hi, t), lo, c)
        prediction = builder.select(builder.icmp_signed("<=", t, lo), hi, prediction)
        return builder.bitcast(builder.and_(builder.add(x, prediction), splat(I16, 4, 255)), I64)

    return types.uint64(types.uint64, types.uint64, types.uint64, types.uint64), codegen


@function
def predict(a, b, c):
    """Return PaethPredictor(a, b, c) (clause 9.4) of any integers in 0 .. 255."""
    t = 3 * c - a - b
    lo, hi = min(a, b), max(a, b)
    if hi <= t:
        return lo
    return hi if t <= lo else c


@function
def _unsub(filtered, start, bpp, row):
    """Compute x = filtered + a."""
    i = 0
    if bpp == 3 or bpp == 4:
        a = np.uint32(0)
        # Four bytes are loaded and stored even where a pixel has three: the fourth is overwritten by the next pixel,
        # and the last pixel of such a row is left to the loop below.
        while i <= row.size - 4:
            a = add4(a, load4(filtered, start + i))
            store4(row, i, a)
            i += bpp
    while i < row.size:
        left = row[i - bpp] if i >= bpp else np.uint8(0)
        row[i] = np.uint8(filtered[start + i] + left)
        i += 1


@function
def _unaverage(filtered, start, bpp, above, row):
    """Compute x = filtered + floor((a + b) / 2)."""
    i = 0
    if bpp == 3 or bpp == 4:
        a = np.uint32(0)
        while i <= row.size - 4:
            a = add4(average4(a, load4(above, i)), load4(filtered, start + i))
            store4(row, i, a)
            i += bpp
    while i < row.size:
        left = np.int64(row[i - bpp]) if i >= bpp else 0
        row[i] = np.uint8(filtered[start + i] + ((left + above[i]) >> 1))
        i += 1


@function
def _unpaeth(filtered, start, bpp, above, row):
    """Compute x = filtered + PaethPredictor(a, b, c)."""
    i = 0
    if bpp == 3 or bpp == 4:
        a = np.uint64(0)
        c = np.uint64(0)
        while i <= row.size - 4:
            b = widen4(load4(above, i))
            a = unpaeth4(a, b, c, widen4(load4(filtered, start + i)))
            store4(row, i, narrow4(a))
            c = b
            i += bpp
    while i < row.size:
        if i >= bpp:
            prediction = predict(np.int64(row[i - bpp]), np.int64(above[i]), np.int64(above[i - bpp]))
        else:
            prediction = np.int64(above[i])
        row[i] = np.uint8(filtered[start + i] + prediction)
        i += 1


@kernel(f"i8({READONLY}, i8, {ROW}, {ROWS})")
def unfilter(filtered, bpp, previous, out):
    """Undo the filters of scanlines (clause 9.2).

    filtered  (n * (1 + w),) uint8  n scanlines, each after its filter type byte
    bpp       bytes per complete pixel, rounded up to 1
    previous  (w,)   uint8  the unfiltered scanline above the first; zeros at the top of an image
    out       (n, w) uint8  filled

    Return n, or -1 - r if scanline r has a filter type that does not exist; the ones before it are filled.
    """
    width = out.shape[1]
    if filtered.size < out.shape[0] * (1 + width) or previous.size < width or bpp < 1:
        return -1
    for r in range(out.shape[0]):
        start = r * (1 + width) + 1
        kind = filtered[start - 1]
        row = out[r]
        above = out[r - 1] if r else previous[:width]
        if kind == NONE:
            for i in range(width):
                row[i] = filtered[start + i]
        elif kind == SUB:
            _unsub(filtered, start, bpp, row)
        elif kind == UP:
            for i in range(width):
                row[i] = np.uint8(filtered[start + i] + above[i])
        elif kind == AVERAGE:
            _unaverage(filtered, start, bpp, above, row)
        elif kind == PAETH:
            _unpaeth(filtered, start, bpp, above, row)
        else:
            return -1 - r
    return out.shape[0]
