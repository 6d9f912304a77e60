"""Upsampling of a component to one line of the image's width, as in libjpeg. (T.81 A.1.1 does not specify it.)

A component with half the samples is interpolated by libjpeg's triangle filter ("fancy upsampling" in jdsample.c):
3/4 of the nearest sample and 1/4 of the next nearest in each direction, ties rounded alternately up and down:

    h2v1    out[2j] = (3 s[j] + s[j - 1] + 1) >> 2      out[2j + 1] = (3 s[j] + s[j + 1] + 2) >> 2
    h1v2    out[j] = (3 near[j] + far[j] + 1 or 2) >> 2, 1 if `far` is above
    h2v2    out[2j] = (3 t[j] + t[j - 1] + 8) >> 4      out[2j + 1] = (3 t[j] + t[j + 1] + 7) >> 4, t = 3 near + far

Samples beyond the edge repeat it. Lines of fewer than three samples are replicated instead of h2v1 and h2v2. All other
whole ratios are replicated ("int_upsample"). Every result is equal to libjpeg-turbo's.
"""

from compressor.kernels.declare import intrinsic, kernel, types
from compressor.kernels.idct import LEFT
from compressor.kernels.lanes import I8, I16, I64, load, splat, store, vector

LANES = 32  # samples a step

FULL, H2V1, H1V2, H2V2, BOX = range(5)


def _samples(context, builder, array_type, array, index, move=0):
    at = builder.add(index, I64(move))
    return builder.zext(load(context, builder, array_type, array, at, I8, LANES), vector(I16, LANES))


def _thrice(builder, x):
    return builder.mul(x, splat(I16, LANES, 3))


def _rounded(builder, x, bias, bits):
    return builder.lshr(builder.add(x, splat(I16, LANES, bias)), splat(I16, LANES, bits))


def _doubled(context, builder, array_type, array, index, left, right):
    """Store left and right of each pair as adjacent bytes: bytes 0 and 1 of little-endian words."""
    pairs = builder.or_(left, builder.shl(right, splat(I16, LANES, 8)))
    store(context, builder, array_type, array, index, builder.bitcast(pairs, vector(I8, 2 * LANES)))


@intrinsic
def h2v1_lanes(typing, plane, index, out, to):
    """Upsample 32 samples at flat plane[index] to 64 at flat out[to]."""

    def codegen(context, builder, signature, a):
        before, here, after = (_samples(context, builder, signature.args[0], *a[:2], n) for n in (-1, 0, 1))
        most = _thrice(builder, here)
        left = _rounded(builder, builder.add(most, before), 1, 2)
        right = _rounded(builder, builder.add(most, after), 2, 2)
        _doubled(context, builder, signature.args[2], *a[2:], left, right)
        return context.get_dummy_value()

    return types.void(plane, types.intp, out, types.intp), codegen


@intrinsic
def h1v2_lanes(typing, plane, near, far, bias, out, to):
    """Interpolate 32 samples each at flat plane[near] and plane[far] to 32 at flat out[to].

    bias  1 or 2
    """

    def codegen(context, builder, signature, a):
        near, far = (_samples(context, builder, signature.args[0], a[0], index) for index in a[1:3])
        total = builder.add(_thrice(builder, near), far)
        one = splat(I16, LANES, 1)
        two = builder.icmp_signed("==", a[3], I64(2))
        total = builder.add(total, builder.select(two, splat(I16, LANES, 2), one))
        total = builder.lshr(total, splat(I16, LANES, 2))
        store(context, builder, signature.args[4], a[4], a[5], builder.trunc(total, vector(I8, LANES)))
        return context.get_dummy_value()

    return types.void(plane, types.intp, types.intp, types.int64, out, types.intp), codegen


@intrinsic
def h2v2_lanes(typing, plane, near, far, out, to):
    """Upsample 32 samples each at flat plane[near] and plane[far] to 64 at flat out[to]. Sums reach 16 * 255."""

    def codegen(context, builder, signature, a):
        def column_sum(move):
            near, far = (_samples(context, builder, signature.args[0], a[0], index, move) for index in a[1:3])
            return builder.add(_thrice(builder, near), far)

        before, here, after = (column_sum(move) for move in (-1, 0, 1))
        most = _thrice(builder, here)
        left = _rounded(builder, builder.add(most, before), 8, 4)
        right = _rounded(builder, builder.add(most, after), 7, 4)
        _doubled(context, builder, signature.args[3], *a[3:], left, right)
        return context.get_dummy_value()

    return types.void(plane, types.intp, types.intp, out, types.intp), codegen


@kernel("void(u1[:, ::1], i8, i8, i8, i8, i8, i8, u1[:, ::1], i8)")
def upsample(plane, kind, near, far, bias, samples, expand, out, row):
    """Upsample one line of a component to the width of the image.

    plane      (lines, LEFT + … + RIGHT) uint8 as `idct.inverse` leaves it
    kind       H2V1, H1V2, H2V2 or BOX
    near, far  lines of the plane, the nearest and the next nearest; `far` matters only for H1V2 and H2V2
    bias       rounding of H1V2: 1 or 2
    samples    samples of the component in a line
    expand     how often BOX repeats each sample
    out        (rows, >= LEFT + 2 * LANES + samples * ratio) uint8; row `row` is filled from column LEFT on
    """
    stride = plane.shape[1]
    at, far_at, to = near * stride + LEFT, far * stride + LEFT, row * out.shape[1] + LEFT
    if kind == H2V1:
        for x in range(0, samples, LANES):
            h2v1_lanes(plane, at + x, out, to + 2 * x)
    elif kind == H2V2:
        for x in range(0, samples, LANES):
            h2v2_lanes(plane, at + x, far_at + x, out, to + 2 * x)
    elif kind == H1V2:
        for x in range(0, samples, LANES):
            h1v2_lanes(plane, at + x, far_at + x, bias, out, to + x)
    else:
        for x in range(samples):
            for n in range(expand):
                out[row, LEFT + x * expand + n] = plane[near, LEFT + x]
