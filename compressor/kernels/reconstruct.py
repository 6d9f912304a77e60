"""Slabs of coefficients to lines of pixels in one call: inverse DCT, upsampling, color.

The samples of one MCU row are held at a time, and the lines before it that interpolation still needs: the last lines of
a row wait for the next one.
"""

from compressor.kernels.declare import function, kernel
from compressor.kernels.huffman_encode import blocks_of
from compressor.kernels.idct import inverse
from compressor.kernels.rgb import BASE, PLANES, SAMPLES, V_MAX, V, pixel_lines

# plan: as of `rgb.pixel_lines`, with a further column
KEPT = 7  # lines of the component that are kept from the row before
PLAN = 8

# state: int64 (STATE,), carried from call to call
ROW = 0  # of the slab, the next one
NUMBER = 1  # MCU rows so far
MCU_ROWS = 2  # of the image
DELAY = 3  # lines of the image that wait for the next MCU row
WIDTH, HEIGHT = 4, 5
YCC = 6  # 1: components are converted to RGB
LINES = 7  # that `out` has room for
FILLED = 8  # of these
DONE = 9  # lines of the image so far
READY = 10  # lines of the image whose samples are known
STATE = 11


@function
def keep_lines(plane, plan, c):
    """Move the lines of a component that are still needed, to make room for the next MCU row."""
    first = plane.shape[0] - plan[c, KEPT]
    for line in range(plan[c, KEPT]):
        for x in range(plane.shape[1]):
            plane[line, x] = plane[first + line, x]
    plan[c, BASE] += 8 * plan[c, V]


@function
def invert_lines(slab, row, layout, tables, plane, plan, c):
    """Transform a component of the MCU row that begins at block `row` to samples, after the lines that were kept."""
    across = layout[c, 1]
    for line in range(layout[c, 3]):
        first = row + layout[c, 0] + line * across
        inverse(slab, first, across, tables, c, plane, plan[c, KEPT] + 8 * line, plan[c, SAMPLES])


@kernel(f"i8(i2[:, ::1], i8[:, ::1], u2[:, ::1], {PLANES}, i8[:, ::1], i8[::1], u1[:, ::1], u1[::1])")
def reconstruct(slab, layout, tables, planes, plan, state, upsampled, out):
    """Convert the MCU rows of a slab, from state[ROW] on, to pixels, until `out` is full. Return 1 if it is, or if
    the image is done, and 0 if the slab is.

    slab       (n, 64) int16, zig-zag: whole MCU rows
    layout     (1 or 3, 4) int64 as in `Frame.layout`
    tables     (components, 64) uint16, Q of each component in zig-zag order
    planes     of one or three components, (KEPT + 8 v, LEFT + 8 blocks a line + RIGHT) uint8; for one, the others are
               ignored
    plan       (components, PLAN) int64
    state      (STATE,) int64; FILLED is to be set to 0 when `out` has been taken
    upsampled  of `rgb.pixel_lines`
    out        uint8, LINES lines of `WIDTH` pixels, and 96 bytes more
    """
    blocks, channels = blocks_of(layout), plan.shape[0]
    while True:
        count = min(state[LINES] - state[FILLED], state[READY] - state[DONE])
        if count > 0:
            to = state[FILLED] * state[WIDTH] * channels
            pixel_lines(planes, plan, state[YCC] != 0, state[DONE], count, state[WIDTH], upsampled, out, to)
            state[FILLED] += count
            state[DONE] += count
            if state[FILLED] == state[LINES] or state[DONE] == state[HEIGHT]:
                return 1
        if state[ROW] * blocks == slab.shape[0]:
            state[ROW] = 0
            return 0
        for c in range(channels):
            plane = planes[0]
            if c == 1:
                plane = planes[1]
            elif c == 2:
                plane = planes[2]
            if state[NUMBER] > 0:
                keep_lines(plane, plan, c)
            invert_lines(slab, state[ROW] * blocks, layout, tables, plane, plan, c)
        state[ROW] += 1
        state[NUMBER] += 1
        last = state[NUMBER] == state[MCU_ROWS]
        state[READY] = state[HEIGHT] if last else 8 * state[NUMBER] * plan[0, V_MAX] - state[DELAY]
