"""Luma that preserves a pixel's luminance although its chroma is interpolated from downsampled samples.

    luminance(Y, Cb, Cr) = 0.30 lin(R) + 0.6222 lin(G) + 0.0778 lin(B)

where R, G and B are what a decoder computes from the three, limited to 0 .. 255, and lin is the transfer function of
sRGB (IEC 61966-2-1). luminance(Y, Cb', Cr') = luminance(pixel) is solved for Y. The first step starts at the pixel's
own Y and uses slopes at half way. Where chroma changes much, as for one vector of seven in photographs, a step of
Newton's method follows.

Floats are computed 8 lanes at a time, even and odd pixels separately: as bytes of a word, then as halves of one.
"""

from compressor.kernels.color import MATRIX
from compressor.kernels.declare import FUSED, intrinsic, types
from compressor.kernels.lanes import F32, F64, I8, I16, I32, I64, call, load, splat, store, vector

FLOATS = 8
WEIGHTS = (0.30, 0.6222, 0.0778)
STEP_MAX = 12.0
SLOPE_MIN = 2e-4  # the smallest divisor: black's slope is 3.04e-4
# lin above 0.04045: the polynomial of least |error| / lin' by Lawson's iterated least squares at 4001 Chebyshev
# points. Its error is at most 1.1e-4, as large as that of 0.0124 / 255 in x. Below, lin is x / 12.92.
LIN = (
    0.0009166735346124862, 0.032751296316962414, 0.5193447543671195,
    0.6672652185288467, -0.307500949751138, 0.0873335253573268,
)  # fmt: skip
KNEE = 0.04045
SCALED = tuple(c / 255**k for k, c in enumerate(LIN))  # of codes 0 .. 255
# lin' by the same method, least relative error: 0.5 % above the knee, and 1.7 % below, where it is that of the knee.
# That is enough for ratios of slopes. In Newton's method it made one pixel of noise in 50 differ by 1/16, not in 200.
STEEPNESS = tuple(
    c / 255**k for k, c in enumerate((0.03224664578422984, 1.0704252169142192, 1.7135758455901628, -0.5531768775851896))
)
NEAR, SLACK = 0.2, 0.05  # of a channel, and in codes of 0 .. 255
ROUNDING = 1.5 * 2**23  # added to a small float, leaves its nearest integer (ties to even) in the low bits


def multiply_add(builder, a, b, c):
    """Return a b + c of float32, rounded once: the results are the same on a CPU without such an instruction."""
    if FUSED:
        return call(builder, f"llvm.fma.v{a.type.count}f32", a.type, [a, b, c])
    return multiply_add_in_double(builder, a, b, c)


def multiply_add_in_double(builder, a, b, c):
    """Return a b + c of float32, rounded once, by operations on doubles.

    The product is exact. The sum is rounded to odd: to the neighbor with an odd last bit if it is not exact, which its
    error says (Knuth's TwoSum). A result with at least two bits more than float32 is then rounded as the exact sum
    would be (Boldo and Melquiond, "Emulation of a FMA and Correctly Rounded Sums", 2008).
    """
    wide, words = vector(F64, a.type.count), vector(I64, a.type.count)
    a, b, c = (builder.fpext(x, wide) for x in (a, b, c))
    product = builder.fmul(a, b)
    total = builder.fadd(product, c)
    part = builder.fsub(total, product)
    error = builder.fadd(builder.fsub(product, builder.fsub(total, part)), builder.fsub(c, part))
    bits, error_bits = builder.bitcast(total, words), builder.bitcast(error, words)
    zero, one = splat(I64, wide.count, 0), splat(I64, wide.count, 1)
    even = builder.icmp_signed("==", builder.and_(bits, one), zero)
    inexact = builder.fcmp_unordered("!=", error, splat(F64, wide.count, 0.0))
    grows = builder.icmp_signed(">=", builder.xor(bits, error_bits), zero)  # the error has the sign of the sum
    odd = builder.add(bits, builder.select(grows, one, splat(I64, wide.count, -1)))
    bits = builder.select(builder.and_(even, inexact), odd, bits)
    return builder.fptrunc(builder.bitcast(bits, wide), vector(F32, wide.count))


def constant(x, value):
    """Return `value` in as many lanes as `x` has."""
    return splat(F32, x.type.count, value)


def limited(builder, x, least, most):
    """Return min(max(x, least), most): one instruction each; x must not be NaN."""
    x = builder.select(builder.fcmp_ordered(">", x, constant(x, least)), x, constant(x, least))
    return builder.select(builder.fcmp_ordered("<", x, constant(x, most)), x, constant(x, most))


def rounded(builder, q4):
    """Round samples of Q4, limited, to int32 whose low 16 bits are the sample."""
    return builder.bitcast(builder.fadd(q4, constant(q4, ROUNDING)), vector(I32, q4.type.count))


def polynomial(builder, x, coefficients):
    """Evaluate a polynomial, lowest power first, by Horner's rule."""
    total = constant(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = multiply_add(builder, total, x, constant(x, c))
    return total


def _linear(builder, x):
    """Return lin of codes 0 .. 255."""
    dark = builder.fmul(x, constant(x, 1 / 255 / 12.92))
    above = builder.fcmp_ordered(">", x, constant(x, KNEE * 255))
    return builder.select(above, polynomial(builder, x, SCALED), dark)


def _slope(builder, x):
    """Return the derivative of `_linear`."""
    above = builder.fcmp_ordered(">", x, constant(x, KNEE * 255))
    slope = polynomial(builder, x, [k * c for k, c in enumerate(SCALED)][1:])
    return builder.select(above, slope, constant(x, 1 / 255 / 12.92))


def weighted_sum(builder, channels, weights):
    """Return the weighted sum of two or three channels."""
    if weights == (1, 1, 1):
        return builder.fadd(builder.fadd(channels[0], channels[1]), channels[2])
    weights = [constant(channels[0], weight) for weight in weights]
    total = builder.fmul(channels[1], weights[1])
    for x, weight in zip((channels[0], *channels[2:]), (weights[0], *weights[2:]), strict=True):
        total = multiply_add(builder, x, weight, total)
    return total


def _at_least(builder, x, least):
    return builder.select(builder.fcmp_ordered(">", x, constant(x, least)), x, constant(x, least))


def _newton(builder, y, offsets, target):
    """Take one Newton step towards the luma with luminance `target`. Channels at their limits have a slope of zero."""
    values, slopes = [], []
    for offset in offsets:
        free = builder.fadd(y, offset)
        x = limited(builder, free, 0.0, 255.0)
        moves = builder.fcmp_ordered("==", x, free)
        slopes.append(builder.select(moves, _slope(builder, x), constant(x, 0.0)))
        values.append(_linear(builder, x))
    missing = builder.fsub(target, weighted_sum(builder, values, WEIGHTS))
    slope = _at_least(builder, weighted_sum(builder, slopes, WEIGHTS), SLOPE_MIN)
    return builder.fadd(y, limited(builder, builder.fdiv(missing, slope), -STEP_MAX, STEP_MAX))


def _initial_step(builder, y, offsets, channels):
    """Return the luma of the first step, and a mask of the lanes where it is good enough. No luminance is computed.

    Luminance grows from x to x + d by about d times the slope half way, so that it is preserved by

        0 = sum(w lin'(x + change / 2) (change + step))

    where `change` is the effect of chroma on a channel and `step` that of luma on all channels. The step is good enough
    if no channel changes by more than a fifth, or beyond 255.
    """
    slopes, changes, products = [], [], []
    for weight, offset, x in zip(WEIGHTS, offsets, channels, strict=True):
        change = builder.fsub(builder.fadd(y, offset), x)
        middle = multiply_add(builder, change, constant(x, 0.5), x)
        middle = _at_least(builder, middle, KNEE * 255)
        slopes.append(polynomial(builder, middle, [c * weight for c in STEEPNESS]))
        products.append(builder.fmul(slopes[-1], change))
        changes.append(change)
    step = builder.fdiv(
        weighted_sum(builder, products, (1, 1, 1)), weighted_sum(builder, slopes, (1, 1, 1))
    )  # to be subtracted
    good = None
    for change, x in zip(changes, channels, strict=True):
        distance = call(builder, "llvm.fabs.v8f32", x.type, [builder.fsub(change, step)])
        most = multiply_add(builder, x, constant(x, NEAR), constant(x, SLACK))
        room = builder.fsub(constant(x, 255 + SLACK), x)
        most = builder.select(builder.fcmp_ordered("<", most, room), most, room)
        inside = builder.fcmp_ordered("<=", distance, most)
        good = inside if good is None else builder.and_(good, inside)
    return builder.fsub(y, step), good


def _solved(builder, channels, cb, cr):
    """Return the luma of 8 pixels in Q4, level-shifted, rounded, int32.

    cb, cr  Q8
    """
    own = weighted_sum(builder, channels, MATRIX[0])
    offsets = [
        builder.fmul(cr, constant(cr, 1.402 / 256)),
        weighted_sum(builder, (cb, cr), (-0.344136286 / 256, -0.714136286 / 256)),
        builder.fmul(cb, constant(cb, 1.772 / 256)),
    ]
    initial, good = _initial_step(builder, own, offsets, channels)
    done = builder.icmp_unsigned("==", builder.bitcast(good, I8), I8(255))
    before = builder.block
    with builder.if_then(builder.not_(done), likely=False):
        target = weighted_sum(builder, [_linear(builder, x) for x in channels], WEIGHTS)
        near = limited(builder, builder.fsub(initial, own), -STEP_MAX, STEP_MAX)
        newton = _newton(builder, builder.fadd(own, near), offsets, target)
        refined = builder.block
    y = builder.phi(own.type)
    y.add_incoming(initial, before)
    y.add_incoming(newton, refined)
    q4 = multiply_add(builder, y, constant(y, 16.0), constant(y, -2048.0))
    return rounded(builder, limited(builder, q4, -2048.0, 2032.0))  # a decoder shows no sample above 127


def _interpolated(context, builder, array_type, array, near, far):
    """Interpolate 8 samples of two lines to the 8 even and 8 odd ones between them, scaled by 16 (jdsample.c)."""

    def column(move):
        nearest, next_ = (
            load(context, builder, array_type, array, builder.add(at, at.type(move)), F32, FLOATS) for at in (near, far)
        )
        return multiply_add(builder, nearest, constant(nearest, 3.0), next_)

    before, here, after = (column(move) for move in (-1, 0, 1))
    most = builder.fmul(here, constant(here, 3.0))
    return [builder.fadd(most, neighbor) for neighbor in (before, after)]


@intrinsic
def luma_lanes(typing, bands, at, stride, chroma, near, far, apart, y, to):
    """Write the luma of 16 pixels to flat y[to].

    bands, at, stride  red bytes at flat bands[at]; green and blue follow, `stride` apart
    chroma, near, far  8 Cb in the nearest line and in the next nearest, float32 Q11.4; Cr is `apart` from there
    """

    def codegen(context, builder, signature, a):
        words = []
        for c in range(3):
            index = builder.add(a[1], builder.mul(a[2], a[2].type(c)))
            both = load(context, builder, signature.args[0], a[0], index, I8, 2 * FLOATS)
            words.append(builder.zext(builder.bitcast(both, vector(I16, FLOATS)), vector(I32, FLOATS)))
        even = [builder.and_(word, splat(I32, FLOATS, 255)) for word in words]
        odd = [builder.lshr(word, splat(I32, FLOATS, 8)) for word in words]
        cb = _interpolated(context, builder, signature.args[3], a[3], a[4], a[5])
        cr_lines = [builder.add(line, a[6]) for line in a[4:6]]
        cr = _interpolated(context, builder, signature.args[3], a[3], *cr_lines)
        halves = []
        for n, channels in enumerate((even, odd)):
            floats = [builder.sitofp(c, vector(F32, FLOATS)) for c in channels]
            halves.append(_solved(builder, floats, cb[n], cr[n]))
        low = builder.and_(halves[0], splat(I32, FLOATS, 0xFFFF))
        high = builder.shl(halves[1], splat(I32, FLOATS, 16))
        store(context, builder, signature.args[7], a[7], a[8], builder.bitcast(builder.or_(low, high), vector(I16, 16)))
        return context.get_dummy_value()

    index = types.intp
    return types.void(bands, index, index, chroma, index, index, index, y, index), codegen
