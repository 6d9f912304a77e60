"""A histogram of colors in a table of fixed size, for palettes.

A cell collects the pixels of one color or, if there are too many colors, of colors that are equal without their lowest
bits. It holds sums, so that its mean is exact.
"""

import numpy as np

from compressor.kernels.declare import function, kernel

PIXELS = "const u1[:, :, ::1]"
LINE = "const u1[:, ::1]"

COUNT, SHIFT, TABLE = range(3)  # of the state: cells; bits that keys are without; the table in use
SUMS = 5  # of a cell: weight; weight * alpha; weight * alpha * red, green, blue
SHIFT_MAX = 7  # leaves 16 colors


@function
def rgba8(pixels, r, i):
    """Return a pixel of 1 to 4 channels as red, green, blue and alpha; all are 0 if it is fully transparent."""
    channels = pixels.shape[2]
    red = np.int32(pixels[r, i, 0])
    green = blue = red
    alpha = np.int32(255)
    if channels > 2:
        green, blue = np.int32(pixels[r, i, 1]), np.int32(pixels[r, i, 2])
    if channels == 2 or channels == 4:
        alpha = np.int32(pixels[r, i, channels - 1])
    if alpha == 0:
        red = green = blue = np.int32(0)
    return red, green, blue, alpha


@function
def difference(pixels, r, i, line, k):
    """Return the largest difference of the samples of pixel (r, i) and of pixel k of a line."""
    most = np.int32(0)
    for c in range(pixels.shape[2]):
        most = max(most, abs(np.int32(pixels[r, i, c]) - np.int32(line[k, c])))
    return most


@function
def activity(pixels, r, i, above):
    """Return the largest difference of a pixel from its neighbors on the left, on the right and above."""
    line = pixels[r]
    found = difference(pixels, r, i, above, i)
    found = max(found, difference(pixels, r, i, line, max(i - 1, 0)))
    return max(found, difference(pixels, r, i, line, min(i + 1, pixels.shape[1] - 1)))


@function
def _slot(key, keys, sums):
    """Return the slot of a key, or the free one for it; half of the slots at least are free."""
    last = np.uint64(keys.size - 1)
    place = ((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & last
    for _ in range(keys.size):
        if sums[place, 0] == 0 or keys[place] == key:
            break
        place = (place + np.uint64(1)) & last
    return place


@function
def _mask(shift):
    """Return the bits of a key that are left without the lowest ones of each sample."""
    return np.uint32(((0xFF << shift) & 0xFF) * 0x01010101)


@function
def _coarsen(keys, sums, state):
    """Move all cells to the other table, without one more bit of each sample."""
    old, new = state[TABLE], 1 - state[TABLE]
    state[SHIFT] += 1
    state[TABLE] = new
    state[COUNT] = 0
    mask = _mask(state[SHIFT])
    for i in range(keys.shape[1]):
        for k in range(SUMS):
            sums[new, i, k] = 0
    for i in range(keys.shape[1]):
        if sums[old, i, 0] == 0:
            continue
        key = keys[old, i] & mask
        place = _slot(key, keys[new], sums[new])
        if sums[new, place, 0] == 0:
            keys[new, place] = key
            state[COUNT] += 1
        for k in range(SUMS):
            sums[new, place, k] += sums[old, i, k]


@function
def _cell(color, keys, sums, state):
    """Return the slot of a color's cell in the table in use, which may be a new cell; cells may be merged for it."""
    table = state[TABLE]
    key = color & _mask(state[SHIFT])
    place = _slot(key, keys[table], sums[table])
    if sums[table, place, 0] != 0:
        return place
    while state[COUNT] >= keys.shape[1] >> 1 and state[SHIFT] < SHIFT_MAX:
        _coarsen(keys, sums, state)
    table = state[TABLE]
    key = color & _mask(state[SHIFT])
    place = _slot(key, keys[table], sums[table])
    if sums[table, place, 0] == 0:
        keys[table, place] = key
        state[COUNT] += 1
    return place


@kernel(f"i8({PIXELS}, {LINE}, const i8[::1], u4[:, ::1], i8[:, :, ::1], i8[::1])")
def count_colors(pixels, above, weights, keys, sums, state):
    """Add pixels to a histogram. Fully transparent ones are one color.

    pixels   (n, width, channels)  uint8   grey, grey and alpha, RGB or RGBA
    above    (width, channels)     uint8   the line above the first; at the top of an image the first one itself
    weights  (256,)                int64   of a pixel by its `activity`, at least 1
    keys     (2, slots)            uint32  the lowest bits of a cell's color, red lowest; `slots` is a power of two
    sums     (2, slots, 5)         int64   SUMS of a cell; the weight of a free one is 0
    state    (3,)                  int64   COUNT, SHIFT and TABLE, all 0 at first

    Half of the slots are used at most; then cells are merged. Sums do not overflow: weights up to 16 and 10^12 pixels.

    Return n, or -1 if an array is too small.
    """
    n, width, channels = pixels.shape
    slots = keys.shape[1]
    if weights.size < 256 or keys.shape[0] < 2 or slots < 64 or (slots & (slots - 1)) != 0:
        return -1
    if sums.shape[0] < 2 or sums.shape[1] != slots or sums.shape[2] < SUMS or state.size < 3:
        return -1
    if channels < 1 or channels > 4 or above.shape[0] < width or above.shape[1] != channels:
        return -1
    if state[TABLE] < 0 or state[TABLE] > 1 or state[SHIFT] < 0 or state[SHIFT] > SHIFT_MAX:
        return -1
    for r in range(n):
        top = pixels[r - 1] if r else above
        for i in range(width):
            red, green, blue, alpha = rgba8(pixels, r, i)
            weight = weights[activity(pixels, r, i, top)]
            color = np.uint32(red | (green << 8) | (blue << 16)) | (np.uint32(alpha) << np.uint32(24))
            place = _cell(color, keys, sums, state)
            table = state[TABLE]
            opacity = weight * alpha
            sums[table, place, 0] += weight
            sums[table, place, 1] += opacity
            sums[table, place, 2] += opacity * red
            sums[table, place, 3] += opacity * green
            sums[table, place, 4] += opacity * blue
    return n
