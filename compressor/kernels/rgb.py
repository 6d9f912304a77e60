"""Lines of grey or RGB pixels from sample planes: upsampling, and the color conversion of JFIF as in libjpeg.

    R = Y                        + 1.402   (Cr - 128)
    G = Y - 0.34414 (Cb - 128)   - 0.71414 (Cr - 128)
    B = Y + 1.772   (Cb - 128)

(ITU-T T.871, 7.) The factors are integers / 2^16. Each sum is rounded once, half up, and limited to 0 .. 255, so that
every pixel is equal to that of libjpeg's tables (ycc_rgb_convert in jdcolor.c).
"""

from compressor.kernels.declare import function, intrinsic, kernel, types
from compressor.kernels.idct import LEFT
from compressor.kernels.lanes import I8, I16, I32, load, shuffle, splat, store, vector
from compressor.kernels.upsample import FULL, H1V2, H2V2, upsample

LANES = 32  # pixels a step
PLANES = "(u1[:, ::1], u1[:, ::1], u1[:, ::1])"

# plan: int64 (components, 7), a row for each component
KIND, EXPAND, V, V_MAX, SAMPLES, LINES, BASE = range(7)


def _bytes(context, builder, array_type, array, index):
    return load(context, builder, array_type, array, index, I8, LANES)


def _rounded_product(builder, x, factor):
    """Return round(x * factor / 2^16), half up, of int16 lanes -128 .. 127, |factor| < 2^15: one pmulhw of 2 x."""
    wide = builder.sext(builder.add(x, x), vector(I32, LANES))
    high = builder.ashr(builder.mul(wide, splat(I32, LANES, factor)), splat(I32, LANES, 16))
    half = builder.add(builder.trunc(high, vector(I16, LANES)), splat(I16, LANES, 1))
    return builder.ashr(half, splat(I16, LANES, 1))


def _converted(builder, y, cb, cr):
    """Convert to red, green and blue as int16, not limited. Multiples of 2^16 are split off to fit 16 bits."""
    red = builder.add(builder.add(y, cr), _rounded_product(builder, cr, 91881 - 65536))
    blue = builder.add(builder.add(y, builder.add(cb, cb)), _rounded_product(builder, cb, 116130 - 131072))
    mixed = splat(I32, LANES, 1 << 15)
    for chroma, factor in ((cb, -22554), (cr, 65536 - 46802)):
        wide = builder.sext(chroma, vector(I32, LANES))
        mixed = builder.add(mixed, builder.mul(wide, splat(I32, LANES, factor)))
    mixed = builder.trunc(builder.ashr(mixed, splat(I32, LANES, 16)), vector(I16, LANES))
    return red, builder.add(builder.sub(y, cr), mixed), blue


def _limited(builder, x):
    zero, most = splat(I16, LANES, 0), splat(I16, LANES, 255)
    x = builder.select(builder.icmp_signed(">", x, zero), x, zero)
    x = builder.select(builder.icmp_signed("<", x, most), x, most)
    return builder.trunc(x, vector(I8, LANES))


def _interleaved(context, builder, array_type, array, index, channels):
    red_green = shuffle(builder, *channels[:2], range(2 * LANES))
    blue = shuffle(builder, channels[2], channels[2], range(2 * LANES))
    order = [c * LANES + x for x in range(LANES) for c in range(3)]
    store(context, builder, array_type, array, index, shuffle(builder, red_green, blue, order))


@intrinsic
def ycc_lanes(typing, y, y_at, cb, cb_at, cr, cr_at, out, to):
    """Convert 32 samples of each component at flat [y_at], [cb_at], [cr_at] to 32 RGB pixels at flat out[to]."""

    def codegen(context, builder, signature, a):
        samples = [_bytes(context, builder, signature.args[n], *a[n : n + 2]) for n in (0, 2, 4)]
        wide = [builder.zext(s, vector(I16, LANES)) for s in samples]
        centred = [builder.sub(c, splat(I16, LANES, 128)) for c in wide[1:]]
        rgb = [_limited(builder, c) for c in _converted(builder, wide[0], *centred)]
        _interleaved(context, builder, signature.args[6], *a[6:], rgb)
        return context.get_dummy_value()

    return types.void(y, types.intp, cb, types.intp, cr, types.intp, out, types.intp), codegen


@intrinsic
def rgb_lanes(typing, red, red_at, green, green_at, blue, blue_at, out, to):
    """Interleave 32 samples each of red, green and blue to 32 RGB pixels at flat out[to]."""

    def codegen(context, builder, signature, a):
        samples = [_bytes(context, builder, signature.args[n], *a[n : n + 2]) for n in (0, 2, 4)]
        _interleaved(context, builder, signature.args[6], *a[6:], samples)
        return context.get_dummy_value()

    return types.void(red, types.intp, green, types.intp, blue, types.intp, out, types.intp), codegen


@intrinsic
def grey_lanes(typing, plane, at, out, to):
    """Copy 32 samples at flat plane[at] to 32 grey pixels at flat out[to]."""

    def codegen(context, builder, signature, a):
        store(context, builder, signature.args[2], *a[2:], _bytes(context, builder, signature.args[0], *a[:2]))
        return context.get_dummy_value()

    return types.void(plane, types.intp, out, types.intp), codegen


@function
def _line_of(plane, plan, c, y, upsampled):
    """Provide component `c` of image line `y` at the width of the image. Return the flat index of its first sample: in
    its plane if it has full size, else in `upsampled`."""
    kind, v, v_max, base = plan[c, KIND], plan[c, V], plan[c, V_MAX], plan[c, BASE]
    near = y * v // v_max
    if kind == FULL:
        return (near - base) * plane.shape[1] + LEFT
    far, bias = near, 1
    if kind == H1V2 or kind == H2V2:
        if y & 1:
            far, bias = min(near + 1, plan[c, LINES] - 1), 2
        else:
            far = max(near - 1, 0)
    upsample(plane, kind, near - base, far - base, bias, plan[c, SAMPLES], plan[c, EXPAND], upsampled, c)
    return c * upsampled.shape[1] + LEFT


@kernel(f"void({PLANES}, i8[:, ::1], b1, i8, i8, i8, u1[:, ::1], u1[::1], i8)")
def pixel_lines(planes, plan, ycc, first, lines, width, upsampled, out, to):
    """Convert image lines `first` … first + lines - 1 to pixels.

    planes     of one or three components as `idct.inverse` leaves them; for one, the others are ignored
    plan       (1 or 3, 7) int64, of each component: KIND of upsampling and EXPAND as in `upsample`, V and V_MAX (its
               sampling factor and the largest one), SAMPLES and LINES that the component has, BASE: the line of the
               component that is line 0 of its plane
    ycc        whether the components are Y, Cb and Cr, to be converted to RGB
    upsampled  (3, LEFT + width in whole MCUs + RIGHT) uint8, scratch
    out        uint8; filled from `to` on, `width` * (1 or 3) bytes a line; up to 96 bytes after the last line are
               written as well
    """
    y_plane, cb_plane, cr_plane = planes
    for y in range(first, first + lines):
        if plan.shape[0] == 1:
            at = (y - plan[0, BASE]) * y_plane.shape[1] + LEFT
            for x in range(0, width, LANES):
                grey_lanes(y_plane, at + x, out, to + x)
            to += width
            continue
        a, b, c = (
            _line_of(y_plane, plan, 0, y, upsampled),
            _line_of(cb_plane, plan, 1, y, upsampled),
            _line_of(cr_plane, plan, 2, y, upsampled),
        )
        one = y_plane if plan[0, KIND] == FULL else upsampled
        two = cb_plane if plan[1, KIND] == FULL else upsampled
        three = cr_plane if plan[2, KIND] == FULL else upsampled
        if ycc:
            for x in range(0, width, LANES):
                ycc_lanes(one, a + x, two, b + x, three, c + x, out, to + 3 * x)
        else:
            for x in range(0, width, LANES):
                rgb_lanes(one, a + x, two, b + x, three, c + x, out, to + 3 * x)
        to += 3 * width
