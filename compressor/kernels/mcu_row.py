"""Whole slabs in one call: coefficients to bytes, and pixels to coefficients or bytes.

Pixels are processed in segments of SEGMENT pixels, so that sample planes stay in the first-level cache.
"""

import numpy as np

from compressor.kernels import masking
from compressor.kernels.color import LANES, PIXELS, planes
from compressor.kernels.dct import fdct
from compressor.kernels.declare import function, kernel
from compressor.kernels.huffman_encode import (
    BLOCK_BYTES_MAX,
    CODES,
    NEXT_MCU,
    NEXT_SEGMENT,
    PRED,
    blocks_of,
    encode_mcus,
    stuff,
)
from compressor.kernels.lanes import copy32_find_ff
from compressor.kernels.quantize import QUANTIZATION, dead_zone

SEGMENT = 256
SEGMENT_BLOCKS = SEGMENT // 8 * 3  # at most: 4:4:4, and 4:2:0 with two lines of luma
LAYOUT = "i8[:, ::1]"
SAMPLES = "i2[:, ::1]"
FLOATS = "f4[:, ::1]"
LAYOUTS = f"({LAYOUT}, {LAYOUT})"  # of the image, and of one that is SEGMENT pixels wide
BUFFERS = f"({SAMPLES}, u1[::1])"  # blocks, raw
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
def _transform_segment(pixels, row, x, count, layout, quantization, scratch, out, at):
    """Transform `count` pixels of an MCU row from `x` on. In `out` they are placed as if they began at pixel `at`."""
    y, cb, cr, tail, coefficients, energy, factors = scratch
    channels = layout.shape[0]
    h, v = layout[0, 2], layout[0, 3]
    planes(pixels, row, x, count, channels, h, v, (y, cb, cr), tail)
    across = count // 8
    for line in range(v):
        fdct(y, 8 * line, across, coefficients, line * across)
    masked = quantization[1][0, 63] > 0  # else all coefficients are rounded, whatever the factor
    if masked:
        masking.energies(coefficients, 0, v * across, masking.LUMA, energy, 0)
        masking.luma(energy, 0, factors[0], v * across, factors[2])
    for line in range(v):
        to = layout[0, 0] + line * layout[0, 1] + at // 8
        dead_zone(coefficients, line * across, across, quantization, 0, factors[2], line * across, out, to)
    if channels == 3:
        blocks, first = across // h, v * across
        fdct(cb, 0, blocks, coefficients, first)
        fdct(cr, 0, blocks, coefficients, first + blocks)
        if masked:
            masking.energies(coefficients, first, 2 * blocks, masking.CHROMA, energy, first)
            _chroma_factors(count, layout, energy, factors, first)
        to = at // (8 * h)
        dead_zone(coefficients, first, blocks, quantization, 1, factors[2], 0, out, layout[1, 0] + to)
        dead_zone(coefficients, first + blocks, blocks, quantization, 2, factors[2], 0, out, layout[2, 0] + to)


@function
def _segment(pixels, number, layouts, quantization, scratch, blocks):
    """Transform a segment of a band, numbered row by row, to `blocks`. Return the number of its MCUs."""
    layout, segment = layouts
    padded = layout[0, 1] * 8
    across = -(-padded // SEGMENT)
    row, x = number // across * 8 * layout[0, 3], number % across * SEGMENT
    count = min(SEGMENT, padded - x)
    _transform_segment(pixels, row, x, count, segment, quantization, scratch, blocks, 0)
    return count // (8 * layout[0, 2])


@kernel(f"void({PIXELS}, i8, {LAYOUT}, {QUANTIZATION}, {SCRATCH}, {SAMPLES})")
def transform_row(pixels, row, layout, quantization, scratch, out):
    """Transform pixels to the quantized coefficients of one MCU row.

    pixels        (rows, width * channels) uint8, grey or RGB: a layout of 1 or 3 components
    row           first pixel row of the MCU row; the last row is repeated below it
    layout        (1 or 3, 4) int64 as in `Frame.layout`; luma is component 0, the others have h = v = 1
    quantization  reciprocal (components, 64) float32, rows made by `quantize.reciprocals`;
                  slope (components, 64) float32, [u][v]: the dead zone, see `quantize`
    scratch       of `segment_scratch`
    out           (blocks, 64) int16, zig-zag
    """
    padded = layout[0, 1] * 8  # width in whole MCUs
    for x in range(0, padded, SEGMENT):
        count = min(SEGMENT, padded - x)
        _transform_segment(pixels, row, x, count, layout, quantization, scratch, out, x)


@kernel(f"i8({SAMPLES}, {LAYOUT}, {CODES}, i8[::1], u1[::1], u1[::1])")
def encode_slab(coefficients, layout, codes, state, raw, out):
    """Encode a slab to stuffed bytes, from MCU state[NEXT_MCU] on. Return the number of bytes.

    Stop where more MCUs might not fit into `out`: state[NEXT_MCU] is then the one to continue with, else 0.

    coefficients  (n, 64) int16, zig-zag: whole MCU rows
    raw           uint8, at least 40 + BLOCK_BYTES_MAX for every block of an MCU: `stuff` may read beyond the last
    out           uint8, at least twice as large as `raw`

    Other parameters as in `encode_mcus`.
    """
    blocks = blocks_of(layout)
    across = layout[0, 1] // layout[0, 2]  # MCUs of a row
    step = (raw.shape[0] - 40) // (BLOCK_BYTES_MAX * (blocks // across))
    written = 0
    for row in range(state[NEXT_MCU] // across, coefficients.shape[0] // blocks):
        first = state[NEXT_MCU] - row * across
        while first < across:
            if written + 2 * raw.shape[0] > out.shape[0]:
                return written
            mcus = min(step, across - first)
            size = encode_mcus(coefficients[row * blocks :], layout, first, mcus, codes, state, raw)
            written += stuff(raw, size, out[written:])
            first += mcus
            state[NEXT_MCU] += mcus
    state[NEXT_MCU] = 0
    return written


@kernel(f"i8({PIXELS}, {LAYOUTS}, {QUANTIZATION}, {SCRATCH}, {CODES}, {BUFFERS}, i8[::1], u1[::1])")
def encode_band(pixels, layouts, quantization, scratch, codes, buffers, state, out):
    """Encode a slab of pixels, whole MCU rows except the image's last, to stuffed bytes, from segment
    state[NEXT_SEGMENT] on. Return the number of bytes.

    Stop where another segment might not fit into `out`: state[NEXT_SEGMENT] is then the segment to continue with, else
    0. Only the coefficients of one segment at a time are held: a wide image takes no more than a narrow one.

    layouts  of the image, and of one that is SEGMENT pixels wide
    buffers  blocks (blocks of a segment, 64) int16, and raw, for these blocks, as in `encode_slab`: scratch
    out      at least twice as large as `raw`

    Other parameters as in `transform_row` and `encode_slab`. Only `state` is carried from one segment to the next.
    """
    # The loop repeats the code of `_segment`: to call it costs 2 %.
    layout, segment = layouts
    blocks, raw = buffers
    written = 0
    padded = layout[0, 1] * 8
    across = -(-padded // SEGMENT)
    down = -(-pixels.shape[0] // (8 * layout[0, 3]))
    for number in range(state[NEXT_SEGMENT], across * down):
        if written + 2 * raw.shape[0] > out.shape[0]:
            state[NEXT_SEGMENT] = number
            return written
        first, x = number // across * 8 * layout[0, 3], number % across * SEGMENT
        count = min(SEGMENT, padded - x)
        _transform_segment(pixels, first, x, count, segment, quantization, scratch, blocks, 0)
        size = encode_mcus(blocks, segment, 0, count // (8 * layout[0, 2]), codes, state, raw)
        written += stuff(raw, size, out[written:])
    state[NEXT_SEGMENT] = 0
    return written


@kernel(f"i8({PIXELS}, i8, {LAYOUTS}, {QUANTIZATION}, {SCRATCH}, {CODES}, {BUFFERS}, i8[::1], u1[::1])")
def encode_part(pixels, stop, layouts, quantization, scratch, codes, buffers, state, out):
    """Encode segments state[NEXT_SEGMENT] to `stop - 1` of a slab of pixels, without byte stuffing, for
    `huffman_encode.join`. Stop where another segment might not fit into `out`: state[NEXT_SEGMENT] is then the segment
    to continue with, else `stop`.

    out    at least as large as `raw`; 40 bytes after those that are returned are free
    state  as in `encode_mcus`; PRED is that of `last_dc` for the segment before the first

    Other parameters as in `encode_band`.
    """
    _, segment = layouts
    blocks, raw = buffers
    written = 0
    for number in range(state[NEXT_SEGMENT], stop):
        if written + raw.shape[0] > out.shape[0]:
            state[NEXT_SEGMENT] = number
            return written
        mcus = _segment(pixels, number, layouts, quantization, scratch, blocks)
        size = encode_mcus(blocks, segment, 0, mcus, codes, state, raw)
        # Copied, not encoded in place: a slice of an array in the loop cost 20 % while its references were counted.
        for i in range(0, size, 32):
            copy32_find_ff(out, written + i, raw, i)
        written += size
    state[NEXT_SEGMENT] = stop
    return written


@kernel(f"void({PIXELS}, i8, {LAYOUTS}, {QUANTIZATION}, {SCRATCH}, {SAMPLES}, i8[::1])")
def last_dc(pixels, number, layouts, quantization, scratch, blocks, state):
    """Write the DC coefficients of the last MCU of a segment to state[PRED:], the predictions of the next (F.1.1.5.1).

    DC is only rounded, whatever its neighbors, so that transforming this one MCU is enough.

    number  of the segment in the slab
    blocks  (blocks of a segment, 64) int16, scratch

    Other parameters as in `encode_part`.
    """
    layout, segment = layouts
    mcu = 8 * layout[0, 2]
    padded = layout[0, 1] * 8
    across = -(-padded // SEGMENT)
    end = min(padded, (number % across + 1) * SEGMENT)
    x = (end - mcu) // LANES * LANES
    row = number // across * 8 * layout[0, 3]
    _transform_segment(pixels, row, x, end - x, segment, quantization, scratch, blocks, 0)
    last = (end - x) // mcu - 1
    for c in range(layout.shape[0]):
        h, v = layout[c, 2], layout[c, 3]
        state[PRED + c] = blocks[segment[c, 0] + (v - 1) * segment[c, 1] + last * h + h - 1, 0]
