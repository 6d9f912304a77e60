"""Whole MCU rows in one call. Several calls would cost the layers above a few microseconds each.

Pixels are processed in segments of SEGMENT pixels, so that sample planes stay in the first-level cache.
"""

import numpy as np

from compressor.kernels import masking
from compressor.kernels.color import LANES, PIXELS, planes
from compressor.kernels.dct import fdct
from compressor.kernels.declare import function, kernel
from compressor.kernels.huffman_encode import NEXT_SEGMENT, PRED, encode_mcus, stuff
from compressor.kernels.lanes import copy32_find_ff
from compressor.kernels.quantize import dead_zone

SEGMENT = 256
SEGMENT_BLOCKS = SEGMENT // 8 * 3  # at most: 4:4:4, and 4:2:0 with two lines of luma
LAYOUT = "i8[:, ::1]"
SAMPLES = "i2[:, ::1]"
FLOATS = "f4[:, ::1]"
CODES = "u4[:, ::1]"
SCRATCH = f"({SAMPLES}, {SAMPLES}, {SAMPLES}, u1[:, ::1], {FLOATS}, {FLOATS}, {FLOATS})"


def segment_scratch() -> tuple[np.ndarray, ...]:
    """Allocate the scratch of a thread that transforms segments: sample planes, a tail of pixels, coefficients,
    energies and factors of `masking`."""
    samples = (np.empty((lines, SEGMENT), np.int16) for lines in (16, 8, 8))
    energy, factors = np.empty((3, SEGMENT_BLOCKS), np.float32), np.empty((3, SEGMENT_BLOCKS), np.float32)
    factors[0] = masking.CONTRAST
    factors[2] = 1
    return (*samples, np.empty((1, 192), np.uint8), np.empty((SEGMENT_BLOCKS, 64), np.float32), energy, factors)


@function
def _chroma_factors(count, layout, energy, factors, first):
    """Compute the mean luma of the blocks that each pair of chroma blocks covers, then their factors, at [first]."""
    h, v = layout[0, 2], layout[0, 3]
    across = count // 8
    blocks = across // h
    light, factor = factors[1], factors[2]
    for i in range(blocks):
        total = np.float32(0)
        for y in range(v):
            for x in range(h):
                total += energy[2, y * across + i * h + x]
        light[i] = total / np.float32(h * v)
    masking.chroma(energy, first, first + blocks, blocks, light, factor)


@function
def _transform_segment(pixels, row, x, count, layout, reciprocal, slope, scratch, out, at):
    """Transform `count` pixels of an MCU row from `x` on. In `out` they are placed as if they began at pixel `at`."""
    y, cb, cr, tail, coefficients, energy, factors = scratch
    channels = layout.shape[0]
    h, v = layout[0, 2], layout[0, 3]
    planes(pixels, row, x, count, channels, h, v, y, cb, cr, tail)
    across = count // 8
    for line in range(v):
        fdct(y, 8 * line, across, coefficients, line * across)
    masked = slope[0, 63] > 0  # else all coefficients are rounded, whatever the factor
    if masked:
        masking.energies(coefficients, 0, v * across, masking.LUMA, energy, 0)
        masking.luma(energy, 0, factors[0], v * across, factors[2])
    for line in range(v):
        to = layout[0, 0] + line * layout[0, 1] + at // 8
        dead_zone(coefficients, line * across, across, reciprocal, slope, 0, factors[2], line * across, out, to)
    if channels == 3:
        blocks, first = across // h, v * across
        fdct(cb, 0, blocks, coefficients, first)
        fdct(cr, 0, blocks, coefficients, first + blocks)
        if masked:
            masking.energies(coefficients, first, 2 * blocks, masking.CHROMA, energy, first)
            _chroma_factors(count, layout, energy, factors, first)
        to = at // (8 * h)
        dead_zone(coefficients, first, blocks, reciprocal, slope, 1, factors[2], 0, out, layout[1, 0] + to)
        dead_zone(coefficients, first + blocks, blocks, reciprocal, slope, 2, factors[2], 0, out, layout[2, 0] + to)


@function
def _segment(pixels, number, layout, segment, reciprocal, slope, scratch, blocks):
    """Transform a segment of a band, numbered row by row, to `blocks`. Return the number of its MCUs."""
    padded = layout[0, 1] * 8
    across = -(-padded // SEGMENT)
    row, x = number // across * 8 * layout[0, 3], number % across * SEGMENT
    count = min(SEGMENT, padded - x)
    _transform_segment(pixels, row, x, count, segment, reciprocal, slope, scratch, blocks, 0)
    return count // (8 * layout[0, 2])


@kernel(f"void({PIXELS}, i8, {LAYOUT}, {FLOATS}, {FLOATS}, {SCRATCH}, {SAMPLES})")
def transform_row(pixels, row, layout, reciprocal, slope, scratch, out):
    """Transform pixels to the quantized coefficients of one MCU row.

    pixels      (rows, width * channels) uint8, grey or RGB: a layout of 1 or 3 components
    row         first pixel row of the MCU row; the last row is repeated below it
    layout      (1 or 3, 4) int64 as in `Frame.layout`; luma is component 0, the others have h = v = 1
    reciprocal  (components, 64) float32, rows made by `quantize.reciprocals`
    slope       (components, 64) float32, [u][v]: the dead zone, see `quantize`
    scratch     of `segment_scratch`
    out         (blocks, 64) int16, zig-zag
    """
    padded = layout[0, 1] * 8  # width in whole MCUs
    for x in range(0, padded, SEGMENT):
        count = min(SEGMENT, padded - x)
        _transform_segment(pixels, row, x, count, layout, reciprocal, slope, scratch, out, x)


@kernel(f"i8({SAMPLES}, {LAYOUT}, i8, i8, {CODES}, {CODES}, {CODES}, i8[::1], u1[::1], u1[::1])")
def encode_row(coefficients, layout, first, mcus, dc, ac, small, state, raw, out):
    """Encode MCUs of one row of coefficients to stuffed bytes. Parameters as in `encode_mcus` and `stuff`, except
    `raw`: at least 40 + BLOCK_BYTES_MAX for every block, so that `stuff` may read beyond the last."""
    return stuff(raw, encode_mcus(coefficients, layout, first, mcus, dc, ac, small, state, raw), out)


@kernel(
    f"i8({PIXELS}, i8, {LAYOUT}, {LAYOUT}, {FLOATS}, {FLOATS}, {SCRATCH}, {SAMPLES}, {CODES}, {CODES}, "
    f"{CODES}, i8[::1], u1[::1], u1[::1])"
)
def encode_band(pixels, start, layout, segment, reciprocal, slope, scratch, blocks, dc, ac, small, state, raw, out):
    """Encode a band of pixels, whole MCU rows except the image's last, to stuffed bytes.

    Stop where another segment might not fit into `out`: state[NEXT_SEGMENT] is then the segment to continue with, or -1
    if the band is done.

    Only the coefficients of one segment at a time are held: a wide image takes no more than a narrow one.

    start    the segment of the band to begin with
    segment  the layout of an image that is SEGMENT pixels wide
    blocks   (blocks of `segment`, 64) int16, scratch
    raw      for the blocks of `segment`, as in `encode_row`
    out      at least twice as large as `raw`

    Other parameters as in `transform_row` and `encode_row`. Only `state` is carried from one segment to the next.
    """
    # The loop repeats the code of `_segment`: to call it costs 2 %.
    written = 0
    padded = layout[0, 1] * 8
    across = -(-padded // SEGMENT)
    down = -(-pixels.shape[0] // (8 * layout[0, 3]))
    for number in range(start, across * down):
        if written + 2 * raw.shape[0] > out.shape[0]:
            state[NEXT_SEGMENT] = number
            return written
        first, x = number // across * 8 * layout[0, 3], number % across * SEGMENT
        count = min(SEGMENT, padded - x)
        _transform_segment(pixels, first, x, count, segment, reciprocal, slope, scratch, blocks, 0)
        size = encode_mcus(blocks, segment, 0, count // (8 * layout[0, 2]), dc, ac, small, state, raw)
        written += stuff(raw, size, out[written:])
    state[NEXT_SEGMENT] = -1
    return written


@kernel(
    f"i8({PIXELS}, i8, i8, {LAYOUT}, {LAYOUT}, {FLOATS}, {FLOATS}, {SCRATCH}, {SAMPLES}, {CODES}, {CODES}, "
    f"{CODES}, i8[::1], u1[::1], u1[::1])"
)
def encode_part(
    pixels, start, stop, layout, segment, reciprocal, slope, scratch, blocks, dc, ac, small, state, raw, out
):
    """Encode segments `start` to `stop - 1` of a band, without byte stuffing, for `huffman_encode.join`. Stop where
    another segment might not fit into `out`: state[NEXT_SEGMENT] is then the segment to continue with, else `stop`.

    out    at least as large as `raw`; 40 bytes after those that are returned are free
    state  as in `encode_mcus`; PRED is that of `last_dc` for the segment before `start`

    Other parameters as in `encode_band`.
    """
    written = 0
    for number in range(start, stop):
        if written + raw.shape[0] > out.shape[0]:
            state[NEXT_SEGMENT] = number
            return written
        mcus = _segment(pixels, number, layout, segment, reciprocal, slope, scratch, blocks)
        size = encode_mcus(blocks, segment, 0, mcus, dc, ac, small, state, raw)
        # Not encoded in place: a slice of an array made in the loop costs 20 %, since its references are counted.
        for i in range(0, size, 32):
            copy32_find_ff(out, written + i, raw, i)
        written += size
    state[NEXT_SEGMENT] = stop
    return written


@kernel(f"void({PIXELS}, i8, {LAYOUT}, {LAYOUT}, {FLOATS}, {FLOATS}, {SCRATCH}, {SAMPLES}, i8[::1])")
def last_dc(pixels, number, layout, segment, reciprocal, slope, scratch, blocks, state):
    """Write the DC coefficients of the last MCU of a segment to state[PRED:], the predictions of the next (F.1.1.5.1).

    DC is only rounded, whatever its neighbors, so that transforming this one MCU is enough.

    number  of the segment in the band

    Other parameters as in `encode_part`.
    """
    mcu = 8 * layout[0, 2]
    padded = layout[0, 1] * 8
    across = -(-padded // SEGMENT)
    end = min(padded, (number % across + 1) * SEGMENT)
    x = (end - mcu) // LANES * LANES
    row = number // across * 8 * layout[0, 3]
    _transform_segment(pixels, row, x, end - x, segment, reciprocal, slope, scratch, blocks, 0)
    last = (end - x) // mcu - 1
    for c in range(layout.shape[0]):
        h, v = layout[c, 2], layout[c, 3]
        state[PRED + c] = blocks[segment[c, 0] + (v - 1) * segment[c, 1] + last * h + h - 1, 0]
