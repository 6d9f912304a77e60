"""Dequantization (T.81 A.3.4) and the inverse DCT (A.3.3), with exactly the samples that libjpeg computes.

The standard leaves the accuracy of the transform to the decoder. This is the accurate integer one of libjpeg
(jidctint.c, "islow"): the transform of Loeffler, Ligtenberg and Moschytz (Proc. ICASSP 1989, pp. 988-991) with
constants of 13 bits; first the columns, rounded to two more bits than samples have, then the rows. It differs from
exact arithmetic by less than one unit of a sample, and all decoders that use it agree on every pixel.

Sums over 16 bits, which no encoder's coefficients cause, are treated as in libjpeg-turbo's vector code: products of
dequantization wrap around, columns saturate.
"""

from compressor.kernels.dct import transpose
from compressor.kernels.declare import intrinsic, ir, kernel, types
from compressor.kernels.lanes import I8, I16, I32, I64, load, nonzero_mask, shuffle, splat, store, vector
from compressor.t81 import ZIGZAG

CONST_BITS = 13  # fractional bits of the constants
PASS1_BITS = 2  # more than samples have, between the passes
LEFT = 32  # first column of samples in a plane: room for the edge sample and for vectors that begin before it
RIGHT = 128  # columns after the last block: room for vectors that end after it

# Position of natural index 8 v + u in zig-zag order.
PLACE = [int(k) for k in ZIGZAG.argsort()]


def _fixed(value):
    return round(value * (1 << CONST_BITS))


def _dot(builder, pair, factors):
    """Return a * factors[0] + b * factors[1], int32, of two interleaved int16 vectors: one pmaddwd."""
    count = pair.type.count
    both = ir.Constant(vector(I32, count), list(factors) * (count // 2))
    products = builder.mul(builder.sext(pair, vector(I32, count)), both)
    even, odd = (shuffle(builder, products, products, range(first, count, 2)) for first in (0, 1))
    return builder.add(even, odd)


def _interleaved(builder, a, b):
    count = a.type.count
    return shuffle(builder, a, b, [lane for i in range(count) for lane in (i, count + i)])


def _transform(builder, s, bits):
    """Transform eight int16 vectors, coefficients 0..7 of each lane, to eight int32 vectors: samples 0..7, rounded off
    `bits`.

    Products of sums are multiplied out, so that every factor has 16 bits; modulo 2^32 that changes nothing.
    """
    count = s[0].type.count
    add, sub = builder.add, builder.sub
    f0298, f0390, f0541, f0765 = map(_fixed, (0.298631336, 0.390180644, 0.541196100, 0.765366865))
    f0899, f1175, f1501, f1847 = map(_fixed, (0.899976223, 1.175875602, 1.501321110, 1.847759065))
    f1961, f2053, f2562, f3072 = map(_fixed, (1.961570560, 2.053119869, 2.562915447, 3.072711026))

    def scaled(x):
        """Scale to the fractional bits of products, and add half of what will be rounded off."""
        wide = builder.shl(builder.sext(x, vector(I32, count)), splat(I32, count, CONST_BITS))
        return add(wide, splat(I32, count, 1 << bits - 1))

    s26 = _interleaved(builder, s[2], s[6])
    t2 = _dot(builder, s26, (f0541, f0541 - f1847))
    t3 = _dot(builder, s26, (f0541 + f0765, f0541))
    t0, t1 = scaled(add(s[0], s[4])), scaled(sub(s[0], s[4]))
    even = [add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)]

    sums = _interleaved(builder, add(s[7], s[3]), add(s[5], s[1]))
    s71, s53 = _interleaved(builder, s[7], s[1]), _interleaved(builder, s[5], s[3])
    y3 = _dot(builder, sums, (f1175 - f1961, f1175))
    y4 = _dot(builder, sums, (f1175, f1175 - f0390))
    odd = [
        add(_dot(builder, s71, (-f0899, f1501 - f0899)), y4),
        add(_dot(builder, s53, (-f2562, f3072 - f2562)), y3),
        add(_dot(builder, s53, (f2053 - f2562, -f2562)), y4),
        add(_dot(builder, s71, (f0298 - f0899, -f0899)), y3),
    ]
    out = [add(e, o) for e, o in zip(even, odd, strict=True)]
    out += [sub(e, o) for e, o in zip(reversed(even), reversed(odd), strict=True)]
    return [builder.ashr(x, splat(I32, count, bits)) for x in out]


def _clamped(builder, x, element, low, high, narrow):
    """Clamp lanes of `x` to low .. high, then truncate to `narrow`. LLVM makes saturating pack instructions of it."""
    count = x.type.count
    least, most = splat(element, count, low), splat(element, count, high)
    x = builder.select(builder.icmp_signed(">", x, least), x, least)
    x = builder.select(builder.icmp_signed("<", x, most), x, most)
    return builder.trunc(x, vector(narrow, count))


def _narrowed(builder, values):
    """Join pairs of eight vectors of 8 int32 to four vectors of 16 int16."""
    pairs = (shuffle(builder, *values[i : i + 2], range(16)) for i in range(0, 8, 2))
    return [_clamped(builder, pair, I32, -32768, 32767, I16) for pair in pairs]


def _samples(builder, columns):
    """Convert samples [x], lanes y, int32 around 0, to four vectors of 16 bytes 0..255: two lines each."""
    words = _narrowed(builder, columns)
    a, b, c, d = (
        builder.xor(_clamped(builder, pair, I16, -128, 127, I8), splat(I8, 16, 0x80)) for pair in words
    )  # two columns each
    low, high = ([lane for i in range(8) for lane in (i + half, 16 + i + half)] for half in (0, 8))
    t04, t15, t26, t37 = (shuffle(builder, *ab, lanes) for ab in ((a, c), (b, d)) for lanes in (low, high))
    upper = [shuffle(builder, t04, t26, lanes) for lanes in (low, high)]  # columns 0 2 4 6, lines 0..3 and 4..7
    lower = [shuffle(builder, t15, t37, lanes) for lanes in (low, high)]  # columns 1 3 5 7
    return [shuffle(builder, upper[half], lower[half], lanes) for half in (0, 1) for lanes in (low, high)]


@intrinsic
def idct_block(typing, blocks, block, table, row, plane, index, stride):
    """Transform a block of coefficients to 8x8 samples.

    blocks  (n, 64) int16, zig-zag; block number `block`
    table   (m, 64) uint16, Q in zig-zag order; row number `row`
    plane   uint8, `stride` a line; the first sample goes to flat plane[index]
    """

    def codegen(context, builder, signature, a):
        sixty_four = I64(64)
        s = load(context, builder, signature.args[0], a[0], builder.mul(a[1], sixty_four), I16, 64)
        q = load(context, builder, signature.args[2], a[2], builder.mul(a[3], sixty_four), I16, 64)
        dequantized = builder.mul(s, q)
        rows = [shuffle(builder, dequantized, dequantized, PLACE[8 * v : 8 * v + 8]) for v in range(8)]
        columns = _narrowed(builder, _transform(builder, rows, CONST_BITS - PASS1_BITS))  # [y], lanes u
        lines = [shuffle(builder, pair, pair, range(at, at + 8)) for pair in columns for at in (0, 8)]
        out = _transform(builder, transpose(builder, lines), CONST_BITS + PASS1_BITS + 3)  # [x], lanes y
        for n, pair in enumerate(_samples(builder, out)):
            for half in (0, 1):
                at = builder.add(a[5], builder.mul(a[6], I64(2 * n + half)))
                line = shuffle(builder, pair, pair, range(8 * half, 8 * half + 8))
                store(context, builder, signature.args[4], a[4], at, line)
        return context.get_dummy_value()

    return types.void(blocks, types.intp, table, types.intp, plane, types.intp, types.intp), codegen


@intrinsic
def fill_block(typing, plane, index, stride, sample):
    """Fill 8x8 samples with one value."""

    def codegen(context, builder, signature, a):
        one = builder.insert_element(splat(I8, 8, 0), builder.trunc(a[3], I8), I32(0))
        line = shuffle(builder, one, one, [0] * 8)
        for n in range(8):
            at = builder.add(a[1], builder.mul(a[2], I64(n)))
            store(context, builder, signature.args[0], a[0], at, line)
        return context.get_dummy_value()

    return types.void(plane, types.intp, types.intp, types.int64), codegen


@kernel("void(i2[:, ::1], i8, i8, u2[:, ::1], i8, u1[:, ::1], i8, i8)")
def inverse(coefficients, first, blocks, table, row, plane, line, samples):
    """Dequantize and transform a line of blocks, and repeat the edge samples on both sides.

    coefficients  (n, 64) int16, zig-zag; blocks `first` … first + blocks - 1
    table         (tables, 64) uint16, Q in zig-zag order; row `row` is used
    plane         (lines, >= LEFT + 8 * blocks + RIGHT) uint8; lines `line` … line + 7 are filled from column LEFT on
    samples       that the component has in a line (A.1.1), at most 8 * blocks
    """
    stride = plane.shape[1]
    for block in range(blocks):
        at = line * stride + LEFT + 8 * block
        if nonzero_mask(coefficients, first + block) <= 1:  # DC alone: both passes with one term
            dc = types.int64(types.int16(coefficients[first + block, 0] * types.int64(table[row, 0])))
            fill_block(plane, at, stride, min(max((4 * dc + 16 >> 5) + 128, 0), 255))
        else:
            idct_block(coefficients, first + block, table, row, plane, at, stride)
    for y in range(line, line + 8):
        plane[y, LEFT - 1] = plane[y, LEFT]
        plane[y, LEFT + samples] = plane[y, LEFT + samples - 1]
