"""Color conversion and chroma downsampling: pixels → sample planes (JFIF 1.02; T.81 A.1.1).

    Y  =  0.299    R + 0.587    G + 0.114    B
    Cb = -0.168736 R - 0.331264 G + 0.5      B   (+ 128)
    Cr =  0.5      R - 0.418688 G - 0.081312 B   (+ 128)

Planes hold Q11.4 int16, level-shifted (T.81 A.3.1): 16 * (sample - 128) for Y, 16 * (sample - 128) for Cb and Cr,
which are centred already. Four fractional bits keep what rounding to 8 bits would lose before the DCT.
"""

import numpy as np

from compressor.kernels.declare import function, intrinsic, kernel, types
from compressor.kernels.lanes import I8, I16, I32, load, shuffle, splat, store, vector

LANES = 32  # pixels a step: their 96 bytes of RGB are three 256-bit registers
# Rows Y, Cb, Cr of the matrix above, columns red, green, blue.
MATRIX = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
PIXELS = "const u1[:, ::1]"
PLANES = "(i2[:, ::1], i2[:, ::1], i2[:, ::1])"  # y, cb, cr


def times(builder, x, factor):
    """Return floor(x * factor), 0 < factor < 1, for uint16 lanes. LLVM makes one pmulhuw of it."""
    count = x.type.count
    product = builder.mul(builder.zext(x, vector(I32, count)), splat(I32, count, round(factor * 65536)))
    return builder.trunc(builder.lshr(product, splat(I32, count, 16)), vector(I16, count))


def mix(builder, rgb, row):
    """Return row 0, 1, 2 (Y, Cb, Cr) of the matrix times Q8 red, green and blue, rounded to Q4.

    The sums stay inside 16 bits: Y in 0 .. 65280, from which 128 is taken as a flip of the sign bit; Cb and Cr in
    -32640 .. 32640. Each product is floored, half a unit too low on average: `bias` puts the means back.
    """
    count = rgb[0].type.count
    total = splat(I16, count, 8)
    bias = 0.0
    for channel, weight in zip(rgb, MATRIX[row], strict=True):
        if weight == 0.5:
            total = builder.add(total, builder.lshr(channel, splat(I16, count, 1)))
        elif weight > 0:
            total, bias = builder.add(total, times(builder, channel, weight)), bias + 0.5
        else:
            total, bias = builder.sub(total, times(builder, channel, -weight)), bias - 0.5
    total = builder.add(total, splat(I16, count, round(bias)))
    if row == 0:
        total = builder.xor(total, splat(I16, count, 0x8000))
    return builder.ashr(total, splat(I16, count, 4))


def channels(context, builder, array_type, array, index):
    """Load red, green and blue of the 32 pixels from flat `index` on, as int16 0..255."""
    packed = load(context, builder, array_type, array, index, I8, 3 * LANES)
    return [
        builder.zext(shuffle(builder, packed, packed, range(c, 3 * LANES, 3)), vector(I16, LANES)) for c in range(3)
    ]


def shifted(builder, rgb, bits):
    return [builder.shl(c, splat(I16, c.type.count, bits)) for c in rgb]


@intrinsic
def ycc444_lanes(typing, rgb, index, y, cb, cr, to):
    """Convert 32 RGB pixels at flat rgb[index] to 32 samples each of Y, Cb, Cr at flat [to]."""

    def codegen(context, builder, signature, a):
        q8 = shifted(builder, channels(context, builder, signature.args[0], a[0], a[1]), 8)
        for row in range(3):
            store(context, builder, signature.args[2 + row], a[2 + row], a[5], mix(builder, q8, row))
        return context.get_dummy_value()

    return types.void(rgb, types.intp, y, cb, cr, types.intp), codegen


@intrinsic
def ycc420_lanes(typing, rgb, upper, lower, y, y_upper, y_lower, cb, cr, to):
    """Convert two rows of 32 RGB pixels to 2 x 32 Y samples and 16 each of Cb and Cr, the means of 2 x 2 pixels."""

    def codegen(context, builder, signature, a):
        rows = [channels(context, builder, signature.args[0], a[0], index) for index in (a[1], a[2])]
        for rgb_row, to in zip(rows, (a[4], a[5]), strict=True):
            store(context, builder, signature.args[3], a[3], to, mix(builder, shifted(builder, rgb_row, 8), 0))
        sums = []
        for c in range(3):
            s = builder.add(rows[0][c], rows[1][c])
            even, odd = (shuffle(builder, s, s, range(first, LANES, 2)) for first in (0, 1))
            sums.append(builder.add(even, odd))  # of four pixels: Q2 of their mean
        q8 = shifted(builder, sums, 6)
        for row, plane in ((1, 6), (2, 7)):
            store(context, builder, signature.args[plane], a[plane], a[8], mix(builder, q8, row))
        return context.get_dummy_value()

    return types.void(rgb, types.intp, types.intp, y, types.intp, types.intp, cb, cr, types.intp), codegen


@intrinsic
def ycc400_lanes(typing, grey, index, y, to):
    """Convert 32 grey pixels to 32 Y samples."""

    def codegen(context, builder, signature, a):
        packed = load(context, builder, signature.args[0], a[0], a[1], I8, LANES)
        wide = builder.zext(packed, vector(I16, LANES))
        q4 = builder.shl(builder.sub(wide, splat(I16, LANES, 128)), splat(I16, LANES, 4))
        store(context, builder, signature.args[2], a[2], a[3], q4)
        return context.get_dummy_value()

    return types.void(grey, types.intp, y, types.intp), codegen


@function(boundscheck=False)
def _replicate(pixels, row, x, width, channel_count, tail, to):
    """Copy the pixels of `row` from `x` on to tail[to:], and repeat the last one up to 32 (T.81 A.2.4)."""
    for i in range(LANES):
        source = min(x + i, width - 1) * channel_count
        for c in range(channel_count):
            tail[0, to + i * channel_count + c] = pixels[row, source + c]


@kernel(f"void({PIXELS}, i8, i8, i8, i8, i8, i8, {PLANES}, u1[:, ::1])")
def planes(pixels, row, x, count, channel_count, h, v, ycc, tail):
    """Convert a segment of an MCU row of pixels to sample planes, padded by the last row and column (T.81 A.2.4).

    pixels         (rows, width * channel_count) uint8: grey or RGB
    row, x         first pixel row of the MCU row; first pixel of the segment, a multiple of 32
    count          pixels in the segment; the planes are filled up to the next multiple of 32
    channel_count  1 or 3
    h, v           luma sampling factors, chroma has 1 x 1: (1, 1) 4:4:4, (2, 1) 4:2:2, (2, 2) 4:2:0
    ycc            y (>= 8 v, stride) int16 Q11.4; stride a multiple of 32; cb and cr (>= 8, stride) int16 Q11.4,
                   filled from the left
    tail           (1, 192) uint8, scratch
    """
    y, cb, cr = ycc
    height, width = pixels.shape[0], pixels.shape[1] // channel_count
    row_bytes, stride, chroma_stride = pixels.shape[1], y.shape[1], cb.shape[1]
    whole = min(count, max(width - x, 0) // LANES * LANES)
    for line in range(8):
        r = line * v
        upper, lower = min(row + r, height - 1), min(row + r + v - 1, height - 1)
        at, below = upper * row_bytes + x * channel_count, lower * row_bytes + x * channel_count
        to, to_below, to_chroma = r * stride, (r + v - 1) * stride, line * chroma_stride
        if channel_count == 1:
            for i in range(0, whole, LANES):
                ycc400_lanes(pixels, at + i, y, to + i)
        elif h == 1:
            for i in range(0, whole, LANES):
                ycc444_lanes(pixels, at + 3 * i, y, cb, cr, to + i)
        else:
            # 4:2:2 reads each row twice: the mean of a row with itself is the row.
            for i in range(0, whole, LANES):
                ycc420_lanes(
                    pixels, at + 3 * i, below + 3 * i, y, to + i, to_below + i, cb, cr, to_chroma + (i >> 1)
                )  # fmt: skip
        for i in range(whole, count, LANES):
            _replicate(pixels, upper, x + i, width, channel_count, tail, 0)
            _replicate(pixels, lower, x + i, width, channel_count, tail, 96)
            if channel_count == 1:
                ycc400_lanes(tail, 0, y, to + i)
            elif h == 1:
                ycc444_lanes(tail, 0, y, cb, cr, to + i)
            else:
                ycc420_lanes(tail, 0, 96, y, to + i, to_below + i, cb, cr, to_chroma + (i >> 1))


@kernel("void(const u1[:, :, ::1], u1[::1], u1[:, ::1])")
def flatten(pixels, background, out):
    """Blend pixels with alpha onto a background.

        out = round((pixel * alpha + background * (255 - alpha)) / 255)

    pixels      (rows, width, c + 1) uint8, alpha last; c is 1 (grey) or 3
    background  (c,) uint8
    out         (rows, width * c) uint8
    """
    channels = pixels.shape[2] - 1
    for row in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            alpha = np.int32(pixels[row, x, channels])
            for c in range(channels):
                mixed = pixels[row, x, c] * alpha + background[c] * (np.int32(255) - alpha)
                out[row, x * channels + c] = (mixed + 127) // 255
