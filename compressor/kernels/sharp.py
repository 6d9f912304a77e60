"""Sample planes of better quality: a sharper chroma filter, and luma that compensates for chroma downsampling.

Chroma is downsampled by [-0.2, 1, 1, -0.2] / 1.6 in each halved direction, which the decoder's triangle filter blurs
less than the mean of two. The filter is linear, as the color conversion is, so that it is applied first: to red, green
and blue as [-1, 5, 5, -1], exactly, in 16-bit integers.

Where chroma changes, a decoder shows each pixel's luma with its neighbors' chroma, too bright or too dark. Luma is
therefore chosen such that the pixel keeps its luminance under the interpolated chroma (kernels/luminance.py).

Planes hold Q11.4 int16, level-shifted, as those of kernels/color.py. Beyond the image the last column and row are
repeated: decoders interpolate with these samples (jdsample.c, jdmainct.c of libjpeg).
"""

import numpy as np

from compressor.kernels.color import MATRIX, PIXELS, planes
from compressor.kernels.declare import function, intrinsic, kernel, types
from compressor.kernels.lanes import F32, I8, I16, I32, load, shuffle, splat, store, vector
from compressor.kernels.luminance import limited, luma_lanes, rounded, weighted_sum

MARGIN = 3  # lines above and below an MCU row that 4:2:0 reads: a line of chroma on either side, and one pixel
SEGMENT = 512  # pixels that are processed at a time, so that they stay in the first caches
LEFT = 32  # columns of `bands` and `chroma` before the first of a segment
LANES = 32  # pixels a step
LINES = 16 + 2 * MARGIN
BAND_STRIDE = LEFT + SEGMENT + 2 * LANES
CHROMA_STRIDE = LEFT + SEGMENT // 2 + LANES
LAYOUT = "i8[:, ::1]"
SAMPLES = "i2[:, ::1]"
SCRATCH_BYTES = LINES * 3 * BAND_STRIDE + 2 * 10 * CHROMA_STRIDE * 4  # for images of any width


def sharp_scratch() -> tuple[np.ndarray, np.ndarray]:
    """Allocate the scratch of `sharp_planes`: pixels by color, chroma with one more line and column on each side."""
    return np.empty((LINES * 3, BAND_STRIDE), np.uint8), np.empty((2 * 10, CHROMA_STRIDE), np.float32)


@intrinsic
def split_lanes(typing, pixels, index, bands, to, stride):
    """Split 32 RGB pixels at flat pixels[index] into 32 bytes each of three colors at flat [to], `stride` apart."""

    def codegen(context, builder, signature, a):
        packed = load(context, builder, signature.args[0], a[0], a[1], I8, 3 * LANES)
        to = a[3]
        for c in range(3):
            band = shuffle(builder, packed, packed, range(c, 3 * LANES, 3))
            store(context, builder, signature.args[2], a[2], to, band)
            to = builder.add(to, a[4])
        return context.get_dummy_value()

    return types.void(pixels, types.intp, bands, types.intp, types.intp), codegen


def sharpened(builder, taps):
    """Return 5 (b + c) - (a + d)."""
    a, b, c, d = taps
    inner = builder.mul(builder.add(b, c), splat(I16, 16, 5))
    return builder.sub(inner, builder.add(a, d))


def across(context, builder, array_type, array, index):
    """Filter the 32 bytes from flat `index` on to 16 values, one for each pair, -510 .. 2550."""
    eight = splat(I16, 16, 8)
    taps = []
    for move in (-1, 1):  # little-endian: even bytes are low
        both = load(context, builder, array_type, array, builder.add(index, index.type(move)), I8, 32)
        both = builder.bitcast(both, vector(I16, 16))
        taps += [builder.and_(both, splat(I16, 16, 255)), builder.lshr(both, eight)]
    return sharpened(builder, taps)


@intrinsic
def chroma_lanes(typing, bands, a_, b_, c_, d_, stride, chroma, cb_to, cr_to):
    """Compute 16 samples each of Cb and Cr from four lines of `bands`.

    a_, b_, c_, d_  flat index of the first pair's red byte in each line. For 4:2:2 all four are the same line, which
                    only multiplies by 8
    """

    def codegen(context, builder, signature, a):
        sums = []
        for c in range(3):
            lines = [builder.add(at, builder.mul(a[5], at.type(c))) for at in a[1:5]]
            filtered = [across(context, builder, signature.args[0], a[0], at) for at in lines]
            q6 = sharpened(builder, filtered)  # 64 times the value, -10200 .. 26520
            sums.append(builder.sitofp(builder.sext(q6, vector(I32, 16)), vector(F32, 16)))
        for row, to in ((1, a[7]), (2, a[8])):
            total = weighted_sum(builder, sums, [weight / 4 for weight in MATRIX[row]])  # Q6 → Q4
            store(context, builder, signature.args[6], a[6], to, limited(builder, total, -2048.0, 2047.0))
        return context.get_dummy_value()

    index = types.intp
    return types.void(bands, index, index, index, index, index, chroma, index, index), codegen


@intrinsic
def round_lanes(typing, chroma, index, plane, to):
    """Round 8 samples at flat chroma[index] to int16 at flat plane[to]."""

    def codegen(context, builder, signature, a):
        q4 = load(context, builder, signature.args[0], a[0], a[1], F32, 8)
        store(context, builder, signature.args[2], a[2], a[3], builder.trunc(rounded(builder, q4), vector(I16, 8)))
        return context.get_dummy_value()

    return types.void(chroma, types.intp, plane, types.intp), codegen


@function
def _split(pixels, line, x, count, bands, to):
    """Split columns x - 3 to x + count + 3 of a line of pixels by color. Columns outside the image repeat its edge."""
    width, row_bytes, stride = pixels.shape[1] // 3, pixels.shape[1], bands.shape[1]
    at, end = line * row_bytes, min(x + count + LANES, width)
    begin = max(x - LEFT, 0)
    for i in range(begin, end - LANES + 1, LANES):
        split_lanes(pixels, at + 3 * i, bands, to * stride + LEFT + i - x, stride)
    done = begin + (end - begin) // LANES * LANES
    if done < end and end - begin >= LANES:  # the last vector overlaps the one before
        split_lanes(pixels, at + 3 * (end - LANES), bands, to * stride + LEFT + end - LANES - x, stride)
        done = end
    for c in range(3):
        for i in range(done, x + count + 4):
            bands[to + c, LEFT + i - x] = pixels[line, 3 * min(i, width - 1) + c]
        for i in range(x - 3, begin):
            bands[to + c, LEFT + i - x] = pixels[line, c]


@function
def _chroma(bands, row, x, count, height, width, v, chroma):
    """Downsample bands to ten lines of Cb and ten of Cr. The MCU row begins with the second for 4:2:0, with the first
    for 4:2:2.

    count  samples a line; one more is made on either side
    """
    stride, to_stride = bands.shape[1], chroma.shape[1]
    first, last = 0, min(7, height - 1 - row)
    if v == 2:
        first, last = 1 if row == 0 else 0, min(9, (height - 1 - row) // 2 + 1)
    columns = (width + 1) // 2 - x // 2  # samples that belong to pixels
    down = 3 * stride if v == 2 else 0
    for k in range(first, last + 1):
        at, to = k * v * 3 * stride + LEFT, k * to_stride + LEFT
        for i in range(-1, count + 1, 16):
            b = at + 2 * i
            chroma_lanes(
                bands, b, b + down, b + 2 * down, b + 3 * down, stride, chroma, to + i, to + i + 10 * to_stride
            )
        for line in (k, k + 10):
            if x == 0:
                chroma[line, LEFT - 1] = chroma[line, LEFT]
            for i in range(columns, count + 1):
                chroma[line, LEFT + i] = chroma[line, LEFT + columns - 1]
    for plane in (0, 10):
        for k in range(first):
            for i in range(LEFT - 1, LEFT + count + 1):
                chroma[plane + k, i] = chroma[plane + first, i]
        for k in range(last + 1, 10):
            for i in range(LEFT - 1, LEFT + count + 1):
                chroma[plane + k, i] = chroma[plane + last, i]


@function
def _luma(bands, row, x, count, height, width, v, chroma, y):
    """Compute luma from bands and the chroma that their pixels will be shown with."""
    stride, chroma_stride = bands.shape[1], chroma.shape[1]
    above = MARGIN if v == 2 else 0
    lines = min(8 * v, height - row)
    columns = min(count, width - x)
    for r in range(lines):
        near, far = r, r
        if v == 2:
            near = r // 2 + 1
            far = near + 1 if r % 2 else near - 1
        at, to = (above + r) * 3 * stride + LEFT, r * y.shape[1] + x
        near, far = near * chroma_stride + LEFT, far * chroma_stride + LEFT
        for i in range(0, columns, 16):
            luma_lanes(bands, at + i, stride, chroma, near + i // 2, far + i // 2, 10 * chroma_stride, y, to + i)
        for i in range(columns, count):
            y[r, x + i] = y[r, x + columns - 1]
    for r in range(lines, 8 * v):
        for i in range(x, x + count):
            y[r, i] = y[lines - 1, i]


@kernel(f"void({PIXELS}, i8, {LAYOUT}, {SAMPLES}, {SAMPLES}, {SAMPLES}, u1[:, ::1], f4[:, ::1])")
def sharp_planes(pixels, row, layout, y, cb, cr, bands, chroma):
    """Convert one MCU row of pixels to sample planes.

    pixels   (rows, width * channels) uint8, grey or RGB: a layout of 1 or 3 components. The MCU row and MARGIN lines
             above and below it, fewer only at the edges of the image
    row      first pixel row of the MCU row within `pixels`
    layout   (1 or 3, 4) int64 as in `Frame.layout`; luma is component 0, the others have h = v = 1
    y        (>= 8 v, stride) int16 Q11.4; stride at least the width in whole MCUs, and for grey and 4:4:4 a multiple
             of 32 (of all planes)
    cb, cr   (>= 8, stride) int16 Q11.4, filled from the left; not touched for grey
    bands, chroma  of `sharp_scratch`

    Without halved chroma (grey, 4:4:4) the planes are equal to those of `color.planes`.
    """
    height, padded = pixels.shape[0], layout[0, 1] * 8
    h, v = layout[0, 2], layout[0, 3]
    if h == 1:
        planes(pixels, row, 0, padded, layout.shape[0], 1, 1, (y, cb, cr), bands)
        return
    width = pixels.shape[1] // 3
    above = MARGIN if v == 2 else 0
    for x in range(0, padded, SEGMENT):
        count = min(SEGMENT, padded - x)
        for n in range(8 * v + 2 * above):
            _split(pixels, min(max(row - above + n, 0), height - 1), x, count, bands, 3 * n)
        _chroma(bands, row, x, count // 2, height, width, v, chroma)
        for r in range(8):
            at, to = (v - 1 + r) * CHROMA_STRIDE + LEFT, r * cb.shape[1] + x // 2
            for i in range(0, count // 2, 8):
                round_lanes(chroma, at + i, cb, to + i)
                round_lanes(chroma, at + 10 * CHROMA_STRIDE + i, cr, to + i)
        _luma(bands, row, x, count, height, width, v, chroma, y)
