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
    y, cb, cr = scratch
    channels = layout.shape[0]
    h, v = layout[0, 2], layout[0, 3]
    padded = layout[0, 1] * 8  # width in whole MCUs
    for x in range(0, padded, SEGMENT):
        count = min(SEGMENT, padded - x)
        planes(pixels, row, x, count, channels, h, v, y, cb, cr, tail)
        for line in range(v):
            transform(y, 8 * line, count // 8, reciprocal, 0, out, layout[0, 0] + line * layout[0, 1] + x // 8)
        if channels == 3:
            blocks, first = count // (8 * h), x // (8 * h)
            transform(cb, 0, blocks, reciprocal, 1, out, layout[1, 0] + first)
            transform(cr, 0, blocks, reciprocal, 2, out, layout[2, 0] + first)


@njit(
    types.int64(SAMPLES, LAYOUT, CODES, CODES, CODES, types.int64[::1], types.uint8[::1], types.uint8[::1]),
    nogil=True,
    cache=True,
)
def encode_row(coefficients, layout, dc, ac, small, state, raw, out):
    """One MCU row of coefficients → entropy-coded, stuffed bytes. Parameters as in `encode_mcus` and `stuff`,
    but for `raw`: at least 40 + BLOCK_BYTES_MAX for every block, so that `stuff` may read on."""
    mcus = layout[0, 1] // layout[0, 2]
    return stuff(raw, encode_mcus(coefficients, layout, mcus, dc, ac, small, state, raw), out)


@njit(
    types.int64(
        PIXELS, LAYOUT, types.float32[:, ::1], SCRATCH, types.uint8[:, ::1], SAMPLES,
        CODES, CODES, CODES, types.int64[::1], types.uint8[::1], types.uint8[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def encode_band(pixels, layout, reciprocal, scratch, tail, row, dc, ac, small, state, raw, out):
    """A band of pixels, whole MCU rows but for the image's last, → entropy-coded, stuffed bytes.

    Parameters as in `transform_row` (`row` is its `out`) and `encode_row`; `out` has room for all MCU rows of the band.
    Nothing but `state` is carried from one MCU row to the next, and `raw` is used anew by each.
    """
    written = 0
    for first in range(0, pixels.shape[0], 8 * layout[0, 3]):
        transform_row(pixels, first, layout, reciprocal, scratch, tail, row)
        written += encode_row(row, layout, dc, ac, small, state, raw, out[written:])
    return written
