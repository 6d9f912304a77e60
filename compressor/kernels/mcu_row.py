"""Whole MCU rows in one call: what the layers above would otherwise do in several, at a few microseconds each.

Pixels are worked on in segments of SEGMENT pixels, so that sample planes stay in the first-level cache.
"""

from numba import njit, types

from compressor.kernels.color import PIXELS, planes
from compressor.kernels.dct import transform
from compressor.kernels.huffman_encode import encode_mcus, stuff

SEGMENT = 512
LAYOUT = types.int64[:, ::1]
SAMPLES = types.int16[:, ::1]
SCRATCH = types.UniTuple(SAMPLES, 3)
CODES = types.uint32[:, ::1]


@njit(nogil=True)
def _transform_segment(pixels, row, x, count, layout, reciprocal, scratch, tail, out, at):
    """`count` pixels of an MCU row from `x` on → coefficients, which lie in `out` as if they began at pixel `at`."""
    y, cb, cr = scratch
    channels = layout.shape[0]
    h, v = layout[0, 2], layout[0, 3]
    planes(pixels, row, x, count, channels, h, v, y, cb, cr, tail)
    for line in range(v):
        transform(y, 8 * line, count // 8, reciprocal, 0, out, layout[0, 0] + line * layout[0, 1] + at // 8)
    if channels == 3:
        blocks, first = count // (8 * h), at // (8 * h)
        transform(cb, 0, blocks, reciprocal, 1, out, layout[1, 0] + first)
        transform(cr, 0, blocks, reciprocal, 2, out, layout[2, 0] + first)


@njit(
    types.void(PIXELS, types.int64, LAYOUT, types.float32[:, ::1], SCRATCH, types.uint8[:, ::1], SAMPLES),
    nogil=True,
    cache=True,
)
def transform_row(pixels, row, layout, reciprocal, scratch, tail, out):
    """Pixels → the quantized coefficients of one MCU row.

    pixels      (rows, width * channels) uint8, grey or RGB: a layout of 1 or 3 components
    row         first pixel row of the MCU row; below the last row that one is repeated
    layout      (1 or 3, 4) int64 as in `Frame.layout`; luma is component 0, the others have h = v = 1
    reciprocal  (components, 64) float32, rows made by `dct.reciprocals`
    scratch     y (16, SEGMENT), cb and cr (8, SEGMENT) int16
    tail        (1, 192) uint8, scratch
    out         (blocks, 64) int16, zig-zag
    """
    padded = layout[0, 1] * 8  # width in whole MCUs
    for x in range(0, padded, SEGMENT):
        count = min(SEGMENT, padded - x)
        _transform_segment(pixels, row, x, count, layout, reciprocal, scratch, tail, out, x)


@njit(
    types.int64(
        SAMPLES, LAYOUT, types.int64, types.int64, CODES, CODES, CODES,
        types.int64[::1], types.uint8[::1], types.uint8[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def encode_row(coefficients, layout, first, mcus, dc, ac, small, state, raw, out):
    """MCUs of one row of coefficients → entropy-coded, stuffed bytes. Parameters as in `encode_mcus` and `stuff`,
    but for `raw`: at least 40 + BLOCK_BYTES_MAX for every block, so that `stuff` may read on."""
    return stuff(raw, encode_mcus(coefficients, layout, first, mcus, dc, ac, small, state, raw), out)


@njit(
    types.int64(
        PIXELS, types.int64, LAYOUT, LAYOUT, types.float32[:, ::1], SCRATCH, types.uint8[:, ::1], SAMPLES,
        CODES, CODES, CODES, types.int64[::1], types.uint8[::1], types.uint8[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def encode_band(pixels, start, layout, segment, reciprocal, scratch, tail, blocks, dc, ac, small, state, raw, out):
    """A band of pixels, whole MCU rows but for the image's last, → entropy-coded, stuffed bytes. Stops where another
    segment might not fit into `out`: then state[7] is the segment to go on with, -1 where the band is done.

    Coefficients of one segment at a time are all that is held: a wide image takes no more than a narrow one.

    start    the segment of the band to begin with
    segment  the layout of an image that is SEGMENT pixels wide
    blocks   (blocks of `segment`, 64) int16, scratch
    raw      for the blocks of `segment`, as in `encode_row`
    out      at least twice as large as `raw`

    The others as in `transform_row` and `encode_row`. Only `state` is carried from one segment to the next.
    """
    written = 0
    padded = layout[0, 1] * 8
    across = -(-padded // SEGMENT)
    down = -(-pixels.shape[0] // (8 * layout[0, 3]))
    for number in range(start, across * down):
        if written + 2 * raw.shape[0] > out.shape[0]:
            state[7] = number
            return written
        first, x = number // across * 8 * layout[0, 3], number % across * SEGMENT
        count = min(SEGMENT, padded - x)
        _transform_segment(pixels, first, x, count, segment, reciprocal, scratch, tail, blocks, 0)
        size = encode_mcus(blocks, segment, 0, count // (8 * layout[0, 2]), dc, ac, small, state, raw)
        written += stuff(raw, size, out[written:])
    state[7] = -1
    return written
