"""The arithmetic of SSIMULACRA2 on 8 pixels of both pictures.

Of a component with samples a and b of the two pictures, p = a + b and e = a - b are kept. The metric's variances and
its covariance are then

    s_a + s_b = (blur(p^2) - blur(p)^2 + blur(e^2) - blur(e)^2) / 2
    s_a + s_b - 2 s_ab = blur(e^2) - blur(e)^2

so that four planes are blurred and not five, and the SSIM map of similar pictures is no difference of nearly equal
numbers: float32 suffices. No multiplication and addition are fused, so that all CPUs have the same results.
"""

import math

from compressor.kernels.declare import intrinsic, ir, types
from compressor.kernels.lanes import F32, I32, I64, call, load, shuffle, splat, store, vector

LANES = 8
ROWS = 9  # of the ring: the blur's taps
SLOT = 2 * LANES  # p and e of 8 pixels
BLOCK = ROWS * SLOT
SEGMENT = 512  # pixels whose vertical sums are made before the horizontal ones
SUMS_STRIDE = SEGMENT + 2 * LANES  # of `sums`: 8 pixels more on either side
MAPS = 6  # mean and 4-norm of SSIM, of artifacts, and of lost detail
FOURTH_POWERS = 2.0**64  # the factor of their sums: no power is so small that the CPU is slow

# The impulse response of the reference's recursive filter (sigma 1.5; lib/jxl/gauss_blur.cc of libjxl), from the center
# on. The last one is moved by 4e-10, so that all nine of float32 add up to 1.
TAPS = (0.2646211087703705, 0.21292859315872192, 0.10933537036180496, 0.036011114716529846, 0.009414367377758026)
OPSIN = ((0.30, 0.622, 0.078), (0.23, 0.692, 0.078), (0.24342268924547819, 0.20476744424496821, 0.5518098665095536))
BIAS = 0.0037930732552754493
CUBE_ROOT = 1419902976.0  # bits of x^(-1/3): this minus a third of the bits of x. Least |1 - x y^3| for 0.0037 .. 1.004
C2 = 0.0009


def constant(value):
    return splat(F32, LANES, value)


def total(builder, values):
    """Add from left to right."""
    first, *rest = values
    for value in rest:
        first = builder.fadd(first, value)
    return first


def at(builder, index, move):
    return builder.add(index, ir.Constant(I64, move))


def positive(builder, x):
    return builder.select(builder.fcmp_ordered(">", x, constant(0.0)), x, constant(0.0))


def absolute(builder, x):
    return call(builder, f"llvm.fabs.v{LANES}f32", x.type, [x])


def cube_root(builder, x):
    """Return the cube root of 0.0037 .. 1.004, off by at most 1.1e-7 of it.

    y approaches x^(-1/3) by Householder's method of third order, then the root x y^2 is refined by one of first order.
    """
    words = vector(I32, LANES)
    bits = builder.sitofp(builder.bitcast(x, words), x.type)
    bits = builder.fsub(constant(CUBE_ROOT), builder.fmul(bits, constant(1 / 3)))
    y = builder.bitcast(builder.fptosi(bits, words), x.type)
    cube = builder.fmul(builder.fmul(y, y), y)
    h = builder.fsub(constant(1.0), builder.fmul(x, cube))
    step = builder.fadd(builder.fmul(h, constant(14 / 81)), constant(2 / 9))
    step = builder.fadd(builder.fmul(h, step), constant(1 / 3))
    y = builder.fadd(y, builder.fmul(builder.fmul(y, h), step))
    root = builder.fmul(x, builder.fmul(y, y))
    h = builder.fsub(constant(1.0), builder.fmul(root, y))
    return builder.fadd(root, builder.fmul(root, builder.fmul(h, constant(2 / 3))))


def components(builder, light, count):
    """Return Y, X and B - Y, the first `count` of them, without their constants, of linear light."""
    if len(light) == 1:
        return [cube_root(builder, builder.fadd(light[0], constant(BIAS)))]
    roots = []
    for row in OPSIN[: 2 if count < 3 else 3]:
        parts = [builder.fmul(x, constant(weight)) for x, weight in zip(light, row)]  # noqa: B905
        roots.append(cube_root(builder, total(builder, [*parts, constant(BIAS)])))
    y = builder.fmul(builder.fadd(roots[0], roots[1]), constant(0.5))
    found = [y]
    if count > 1:
        found.append(builder.fmul(builder.fsub(roots[0], roots[1]), constant(7.0)))
    if count > 2:
        found.append(builder.fsub(roots[2], y))
    return found


MOVES = (0.01 - math.cbrt(BIAS), 0.42, 0.55)  # of Y, X and B - Y, the constants that make them positive


@intrinsic(prefer_literal=True)
def components_lanes(typing, planes, count, light, a, b, stride, ring, to, apart):
    """Write p and e of 8 pixels, 8 float32 each, to flat ring[to], for `count` components, `apart` from each other.

    planes, count  constants: 1 of 1, or 3 of 1, 2 or 3
    a, b, stride   linear light of the two pictures at flat light[a] and [b], its planes `stride` apart
    """
    if not isinstance(planes, types.IntegerLiteral) or not isinstance(count, types.IntegerLiteral):
        return None
    channels, wanted = planes.literal_value, count.literal_value

    def codegen(context, builder, signature, arguments):
        _, _, light, a, b, stride, ring, to, apart = arguments
        pictures = []
        for first in (a, b):
            indexes = [builder.add(first, builder.mul(stride, ir.Constant(I64, c))) for c in range(channels)]
            samples = [load(context, builder, signature.args[2], light, index, F32, LANES) for index in indexes]
            pictures.append(components(builder, samples, wanted))
        for c in range(wanted):
            one, other = pictures[0][c], pictures[1][c]
            p = builder.fadd(builder.fadd(one, other), constant(2 * MOVES[c]))
            store(context, builder, signature.args[6], ring, to, p)
            store(context, builder, signature.args[6], ring, at(builder, to, LANES), builder.fsub(one, other))
            to = builder.add(to, apart)
        return context.get_dummy_value()

    index = types.intp
    return types.void(planes, count, light, index, index, index, ring, index, index), codegen


@intrinsic
def vertical_lanes(typing, ring, block, middle, sums, to):
    """Write vertical sums of p, e, p^2 and e^2 of 8 pixels to sums[to], each SUMS_STRIDE after the one before.

    block   flat index of the pixels' nine rows in `ring`
    middle  the slot of the middle row
    """

    def codegen(context, builder, signature, arguments):
        ring, block, middle, sums, to = arguments

        def row(move):
            slot = at(builder, middle, move if move >= 0 else move + ROWS)
            over = builder.icmp_signed(">=", slot, ir.Constant(I64, ROWS))
            slot = builder.select(over, at(builder, slot, -ROWS), slot)
            first = builder.add(block, builder.mul(slot, ir.Constant(I64, SLOT)))
            return [load(context, builder, signature.args[0], ring, at(builder, first, n), F32, LANES) for n in (0, 8)]

        p, e = row(0)
        parts = [[builder.fmul(x, constant(TAPS[0]))] for x in (p, e, builder.fmul(p, p), builder.fmul(e, e))]
        for move in range(1, 5):
            (p, e), (p2, e2) = row(-move), row(move)
            squares = [builder.fadd(builder.fmul(x, x), builder.fmul(y, y)) for x, y in ((p, p2), (e, e2))]
            for part, x in zip(parts, (builder.fadd(p, p2), builder.fadd(e, e2), *squares)):  # noqa: B905
                part.append(builder.fmul(x, constant(TAPS[move])))
        for n, part in enumerate(parts):
            store(context, builder, signature.args[3], sums, at(builder, to, n * SUMS_STRIDE), total(builder, part))
        return context.get_dummy_value()

    index = types.intp
    return types.void(ring, index, index, sums, index), codegen


def horizontal(context, builder, array_type, sums, index):
    """Return blur(p), blur(e), blur(p^2) and blur(e^2) of the 8 pixels at sums[index]."""

    def moved(n, move):
        return load(context, builder, array_type, sums, at(builder, index, n * SUMS_STRIDE + move), F32, LANES)

    blurred = []
    for n in range(4):
        parts = [builder.fmul(moved(n, 0), constant(TAPS[0]))]
        for move in range(1, 5):
            both = builder.fadd(moved(n, -move), moved(n, move))
            parts.append(builder.fmul(both, constant(TAPS[move])))
        blurred.append(total(builder, parts))
    return blurred


def error_maps(builder, p, e, blurred):
    """Return the maps of SSIM, artifacts and lost detail."""
    mean_p, mean_e, square_p, square_e = blurred
    mean_e2 = builder.fmul(mean_e, mean_e)
    variance_p = builder.fsub(square_p, builder.fmul(mean_p, mean_p))
    variance_e = builder.fsub(square_e, mean_e2)
    below = builder.fadd(builder.fmul(builder.fadd(variance_p, variance_e), constant(0.5)), constant(C2))
    above = builder.fsub(below, variance_e)
    ssim = builder.fdiv(builder.fadd(variance_e, builder.fmul(mean_e2, above)), below)
    edge_p, edge_e = builder.fsub(p, mean_p), builder.fsub(e, mean_e)
    a, b = absolute(builder, builder.fadd(edge_p, edge_e)), absolute(builder, builder.fsub(edge_p, edge_e))
    edges = builder.fdiv(builder.fsub(b, a), builder.fadd(a, constant(2.0)))
    return [positive(builder, x) for x in (ssim, edges, builder.fsub(constant(0.0), edges))]


@intrinsic
def maps_lanes(typing, sums, x, ring, middle, totals):
    """Add the maps of 8 pixels, and FOURTH_POWERS times their fourth powers, to six vectors of 8 float32.

    sums, x  vertical sums; the pixels are at sums[x]
    middle   flat index of the pixels' p and e in `ring`
    """

    def codegen(context, builder, signature, arguments):
        sums, x, ring, middle, totals = arguments
        blurred = horizontal(context, builder, signature.args[0], sums, x)
        p, e = (load(context, builder, signature.args[2], ring, at(builder, middle, n), F32, LANES) for n in (0, 8))
        for n, value in enumerate(error_maps(builder, p, e, blurred)):
            square = builder.fmul(builder.fmul(value, value), constant(FOURTH_POWERS**0.5))
            for k, more in enumerate((value, builder.fmul(square, square))):
                to = ir.Constant(I64, (2 * n + k) * LANES)
                before = load(context, builder, signature.args[4], totals, to, F32, LANES)
                store(context, builder, signature.args[4], totals, to, builder.fadd(before, more))
        return context.get_dummy_value()

    return types.void(sums, types.intp, ring, types.intp, totals), codegen


@intrinsic
def half_lanes(typing, light, above, below, to):
    """Write the means of 2 x 2 of 16 pixels of two rows, at flat light[above] and [below], to light[to]."""

    def codegen(context, builder, signature, arguments):
        kind, (light, above, below, to) = signature.args[0], arguments
        rows = [load(context, builder, kind, light, index, F32, 2 * LANES) for index in (above, below)]
        both = builder.fadd(*rows)
        even, odd = (shuffle(builder, both, both, range(n, 2 * LANES, 2)) for n in (0, 1))
        store(context, builder, kind, light, to, builder.fmul(builder.fadd(even, odd), constant(0.25)))
        return context.get_dummy_value()

    return types.void(light, types.intp, types.intp, types.intp), codegen
