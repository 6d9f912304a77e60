"""Visual masking: a factor for each block, large where error is hidden by detail, small where the block is flat.

The factors scale the dead zone of `quantize` and the weight of `trellis`. From the unquantized coefficients:

    luma      m = clip(exp(.9 ln(E1 + 1) - .4 ln(E3 + .5) + .2 ln(DV + 6) + .25 ln(M / 128) - 2.94), .3, 2.5)
    chroma    m = clip(exp(.8 ln(M / 128) + .4 ln(A + 1) - .42), .25, 4)

E1 and E3 are root mean squares of AC coefficients 1 to 9 and 28 to 63 (zig-zag): structured edges hide
error, noise does not. DV is the standard deviation of DC over the block and its eight neighbors, M the mean luma, 0 to
255, and A the square root of the sum of both chroma blocks' mean squares of AC coefficients. Form and constants were
fitted to SSIMULACRA2 on six photographs and checked on others; -2.94 and -.42 are means over ten, so that a typical
block has a factor of 1.
"""

import numpy as np

from compressor.kernels.dct import SCALE, TRANSPOSED
from compressor.kernels.declare import inlined, intrinsic, ir, kernel, types
from compressor.kernels.lanes import F32, I32, I64, load, shuffle, store, vector

f32 = np.float32
LN2 = f32(np.log(2))
MEAN = f32(1 / (SCALE[0] * 8))  # of DC: a block's mean is an eighth of it
CONTRAST = 60.0  # a typical DV, for callers without the neighbors


def weights(*spans: tuple[int, int]) -> np.ndarray:
    """Return weights for `energies`: (len(spans), 64) float32, [u][v]. A span is the first and last coefficient."""
    table = np.zeros((len(spans), 64))
    for row, (first, last) in zip(table, spans, strict=True):
        places = TRANSPOSED[first : last + 1]
        row[places] = 1 / (SCALE[places] ** 2 * (last + 1 - first))
    return table.astype(np.float32)


LUMA = weights((1, 9), (28, 63))
CHROMA = weights((1, 63), (1, 63))


@intrinsic
def _sums(typing, coefficients, at, weight, energy, to, stride):
    """Write both weighted sums of squares of 64 coefficients at flat [at] to flat energy[to], energy[to + stride]."""

    def codegen(context, builder, signature, a):
        totals = [ir.Constant(vector(F32, 8), None)] * 2
        for u in range(8):
            at = builder.add(a[1], ir.Constant(I64, 8 * u))
            c = load(context, builder, signature.args[0], a[0], at, F32, 8)
            square = builder.fmul(c, c)
            for i in range(2):
                w = load(context, builder, signature.args[2], a[2], ir.Constant(I64, 64 * i + 8 * u), F32, 8)
                totals[i] = builder.fadd(totals[i], builder.fmul(square, w))
        for i, total in enumerate(totals):
            for width in (4, 2, 1):
                upper = shuffle(builder, total, total, range(width, 2 * width))
                total = builder.fadd(shuffle(builder, total, total, range(width)), upper)
            to = builder.add(a[4], builder.mul(a[5], ir.Constant(I64, i)))
            store(context, builder, signature.args[3], a[3], to, total)
        return context.get_dummy_value()

    return types.void(coefficients, types.intp, weight, energy, types.intp, types.intp), codegen


# t + t (1 - t) p(t) for log2(1 + t) and 2^t - 1, 0 <= t < 1: least squares on Chebyshev points, off by 1.3e-4, 1.5e-4.
LOG2 = (0.43837933, -0.23750133, 0.08065316)
EXP2 = (-0.30414315, -0.07914497)


def _polynomial(builder, t, terms):
    """Return t + t (1 - t) p(t)."""
    total = ir.Constant(F32, terms[-1])
    for term in reversed(terms[:-1]):
        total = builder.fadd(builder.fmul(total, t), ir.Constant(F32, term))
    between = builder.fmul(t, builder.fsub(ir.Constant(F32, 1.0), t))
    return builder.fadd(t, builder.fmul(between, total))


@intrinsic
def log2(typing, x):
    """Return log2 of a normal positive float32. Bit operations alone, so that LLVM vectorizes loops over it."""

    def codegen(context, builder, signature, a):
        bits = builder.bitcast(a[0], I32)
        exponent = builder.sub(builder.lshr(bits, ir.Constant(I32, 23)), ir.Constant(I32, 127))
        mantissa = builder.or_(builder.and_(bits, ir.Constant(I32, 0x7FFFFF)), ir.Constant(I32, 0x3F800000))
        t = builder.fsub(builder.bitcast(mantissa, F32), ir.Constant(F32, 1.0))
        return builder.fadd(builder.sitofp(exponent, F32), _polynomial(builder, t, LOG2))

    return types.float32(types.float32), codegen


@intrinsic
def exp2(typing, x):
    """Return 2^x of a float32 in -126 .. 127."""

    def codegen(context, builder, signature, a):
        moved = builder.fadd(a[0], ir.Constant(F32, 127.0))  # positive, so that truncation is the floor
        whole = builder.fptosi(moved, I32)
        t = builder.fsub(moved, builder.sitofp(whole, F32))
        scale = builder.bitcast(builder.shl(whole, ir.Constant(I32, 23)), F32)
        return builder.fmul(scale, builder.fadd(ir.Constant(F32, 1.0), _polynomial(builder, t, EXP2)))

    return types.float32(types.float32), codegen


@inlined
def _within(low, x, high):
    """Clamp in a form that LLVM vectorizes; Numba's min and max check for NaN."""
    x = low if x < low else x  # noqa: FURB136
    return high if x > high else x  # noqa: FURB136


@kernel("void(f4[:, ::1], i8, i8, f4[:, ::1], f4[:, ::1], i8)")
def energies(coefficients, first, blocks, weight, out, to):
    """Compute the energies of blocks, for `luma` and `chroma`.

    coefficients  (n, 64) float32 as `dct.fdct` leaves them; from block `first` on
    weight        LUMA or CHROMA
    out           (3, m) float32, filled from [to] on: both weighted sums of squares, and the mean sample, 0 to 255
    """
    stride = out.shape[1]
    for block in range(blocks):
        _sums(coefficients, 64 * (first + block), weight, out, to + block, stride)
        out[2, to + block] = coefficients[first + block, 0] * MEAN + f32(128)


@kernel("void(f4[:, ::1], i8, f4[::1], i8, f4[::1])")
def luma(energy, first, contrast, blocks, out):
    """Compute the factors of luma blocks.

    energy    (3, n) float32 of `energies` with LUMA, from [first] on
    contrast  (blocks,) float32: DV
    out       (blocks,) float32
    """
    low, high, mean = energy[0, first:], energy[1, first:], energy[2, first:]
    for i in range(blocks):
        near, far = np.sqrt(low[i]) + f32(1), np.sqrt(high[i]) + f32(0.5)
        x = f32(0.9) * log2(near) - f32(0.4) * log2(far) + f32(0.2) * log2(contrast[i] + f32(6))
        x += f32(0.25) * (log2(_within(f32(8), mean[i], f32(255))) - f32(7)) - f32(2.94) / LN2
        out[i] = _within(f32(0.3), exp2(x), f32(2.5))


@kernel("void(f4[:, ::1], i8, i8, i8, f4[::1], f4[::1])")
def chroma(energy, cb, cr, blocks, light, out):
    """Compute the factors of pairs of chroma blocks.

    energy  (3, n) float32 of `energies` with CHROMA: Cb from [cb] on, Cr from [cr] on
    light   (blocks,) float32: mean luma at the same positions, 0 to 255
    out     (blocks,) float32, the same for Cb and Cr
    """
    first, second = energy[0, cb : cb + blocks], energy[0, cr : cr + blocks]
    for i in range(blocks):
        activity = np.sqrt(first[i] + second[i]) + f32(1)
        x = f32(0.8) * (log2(_within(f32(8), light[i], f32(255))) - f32(7)) + f32(0.4) * log2(activity)
        out[i] = _within(f32(0.25), exp2(x - f32(0.42) / LN2), f32(4))
