"""One form for PNG scanlines of every kind, RGBA of 16 bits a sample: conversion to it, analysis, and back.

A pixel is one uint64: red in the lowest 16 bits, then green, blue, alpha. Depths up to 8 are scaled by replication, so
that no information is added or lost (clause 13.12): 1-bit 1 is 0xFFFF, 8-bit 0xAB is 0xABAB.
"""

import numpy as np

from compressor.kernels.declare import function, kernel

SCANLINES = "const u1[:, ::1]"  # takes writable arrays as well
TABLE = "const u8[::1]"
PIXELS = "u8[:, ::1]"
READ_PIXELS = "const u8[:, ::1]"
COLORS = "u8[::1]"
INDICES = "i8[::1]"
ROWS = "u1[:, ::1]"

OPAQUE = np.uint64(0xFFFF << 48)
NOTHING = np.uint64(0)
SLOTS = 1024  # of the hash table of colors, at most a quarter of which is used
COLORS_MAX = 256
DEEP, COLORED, TRANSLUCENT, BITS4, BITS2, BITS1 = (1 << n for n in range(6))


@function
def _pixel(red, green, blue, alpha):
    """Pack four samples of 16 bits into one word."""
    return (
        np.uint64(red) | (np.uint64(green) << np.uint64(16)) | (np.uint64(blue) << np.uint64(32))
        | (np.uint64(alpha) << np.uint64(48))
    )  # fmt: skip


@function
def _sample(rows, r, at, size):
    """Return a sample of 8 or 16 bits (big-endian) as one of 16."""
    if size == 1:
        return np.uint64(rows[r, at]) * np.uint64(257)
    return (np.uint64(rows[r, at]) << np.uint64(8)) | np.uint64(rows[r, at + 1])


@function
def _expand_wide(rows, channels, size, key, has_key, out):
    """Expand grey, grey and alpha, RGB or RGBA of 8 or 16 bits. A pixel equal to `key` becomes transparent."""
    step = channels * size
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            at = i * step
            red = _sample(rows, r, at, size)
            green, blue, alpha = red, red, np.uint64(0xFFFF)
            if channels > 2:
                green, blue = _sample(rows, r, at + size, size), _sample(rows, r, at + 2 * size, size)
            if channels == 2 or channels == 4:
                alpha = _sample(rows, r, at + step - size, size)
            pixel = _pixel(red, green, blue, alpha)
            if has_key and pixel == key:
                pixel &= ~OPAQUE
            out[r, i] = pixel


@kernel(f"i8({SCANLINES}, i8, i8, {TABLE}, {PIXELS})")
def expand_rgba16(rows, channels, depth, table, out):
    """Expand scanlines to RGBA of 16 bits.

    rows      (n, w)      uint8   w >= ceil(width * channels * depth / 8)
    channels  1 to 4
    depth     bits of a sample: 1, 2, 4, 8 or 16; less than 8 only with one channel
    table     (256,)      uint64  the pixel of each sample value, for one channel of up to 8 bits: palettes and grey
              (1,)        uint64  the transparent color, as an opaque pixel
              (0,)                neither
    out       (n, width)  uint64  filled

    Return n, or -1 if a row or a table is too short.
    """
    if rows.shape[0] < out.shape[0] or rows.shape[1] * 8 < out.shape[1] * channels * depth:
        return -1
    if depth >= 8 and table.size < 256:
        key = table[0] if table.size else NOTHING
        _expand_wide(rows, channels, depth >> 3, key, table.size > 0, out)
        return out.shape[0]
    if channels != 1 or depth > 8 or table.size < 256:
        return -1
    mask = np.uint64((1 << depth) - 1)
    per_byte = 8 // depth
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            shift = 8 - depth * (1 + i % per_byte)
            out[r, i] = table[(np.uint64(rows[r, i // per_byte]) >> np.uint64(shift)) & mask]
    return out.shape[0]


@function
def _slot(color, colors, slots):
    """Return the slot of a color in the hash table, or the free one for it: open addressing."""
    place = (color * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(54)  # Fibonacci hashing: the top 10 bits
    for _ in range(SLOTS):
        number = slots[place]
        if number < 0 or colors[number] == color:
            break
        place = (place + np.uint64(1)) & np.uint64(SLOTS - 1)
    return place


@kernel(f"i8({READ_PIXELS}, {COLORS}, {INDICES}, i8)")
def find_colors(pixels, colors, slots, count):
    """Collect the different colors of an image in order of appearance, band by band.

    pixels  (n, width)  uint64
    colors  (256,)      uint64  the first `count` are those found before; new ones are appended
    slots   (1024,)     int64   hash table: indices into `colors`, -1 for free slots; kept from call to call
    count   number of colors found before, or 257 if there are more than 256

    Return the new count, 257 if there are more than 256, or -1 if an array is too short.
    """
    if colors.size < COLORS_MAX or slots.size < SLOTS:
        return -1
    last, known = NOTHING, False
    for r in range(pixels.shape[0]):
        if count > COLORS_MAX:
            break
        for i in range(pixels.shape[1]):
            color = pixels[r, i]
            if known and color == last:
                continue
            place = _slot(color, colors, slots)
            if slots[place] < 0:
                if count >= COLORS_MAX:
                    return COLORS_MAX + 1
                colors[count] = color
                slots[place] = count
                count += 1
            last, known = color, True
    return count


@kernel(f"i8({READ_PIXELS})")
def needs(pixels):
    """Return the features that are needed to represent all these pixels, a sum of

    DEEP         16 bits: some low byte differs from its high byte
    COLORED      red, green and blue: they are not equal everywhere
    TRANSLUCENT  alpha: it is not 0xFFFF everywhere
    BITS4, BITS2, BITS1  more than 4, 2, 1 bits: some sample of red is not a scaled one of that depth
    """
    deep, colored, red, alpha = NOTHING, NOTHING, NOTHING, OPAQUE
    four, two, one = NOTHING, NOTHING, NOTHING
    for r in range(pixels.shape[0]):
        for i in range(pixels.shape[1]):
            pixel = pixels[r, i]
            deep |= (pixel ^ (pixel >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
            colored |= (pixel ^ (pixel >> np.uint64(16))) & np.uint64(0xFFFFFFFF)
            alpha &= pixel
            red = pixel & np.uint64(0xFF)
            four |= (red ^ (red >> np.uint64(4))) & np.uint64(0x0F)
            two |= (red ^ (red >> np.uint64(2))) & np.uint64(0x3F)
            one |= (red ^ (red >> np.uint64(1))) & np.uint64(0x7F)
    found = DEEP if deep else 0
    found |= COLORED if colored else 0
    found |= TRANSLUCENT if alpha != OPAQUE else 0
    found |= (BITS4 if four else 0) | (BITS2 if two else 0) | (BITS1 if one else 0)
    return found


@function
def _pack_small(pixels, depth, colors, slots, out):
    """Pack palette indices, or grey if `colors` is empty, of up to 8 bits, leftmost in the high bits (clause 7.2)."""
    for r in range(pixels.shape[0]):
        held, filled, at = 0, 0, 0
        for i in range(pixels.shape[1]):
            pixel = pixels[r, i]
            if colors.size:
                value = slots[_slot(pixel, colors, slots)]
            else:
                value = np.int64(pixel & np.uint64(0xFF)) >> (8 - depth)
            held = (held << depth) | value
            filled += depth
            if filled == 8:
                out[r, at] = np.uint8(held)
                held, filled, at = 0, 0, at + 1
        if filled:
            out[r, at] = np.uint8(held << (8 - filled))


@kernel(f"i8({READ_PIXELS}, i8, i8, {COLORS}, {INDICES}, {ROWS})")
def pack_rgba16(pixels, channels, depth, colors, slots, out):
    """Pack RGBA of 16 bits to scanlines of a form that can represent it. Channels and bits beyond the form are dropped.

    pixels    (n, width)   uint64
    channels  1 to 4; alpha is the last of 2 or 4
    depth     bits of a sample: 1, 2, 4, 8 or 16; less than 8 only with one channel
    colors    (256,)       uint64  the palette, or (0,) for none
    slots     (1024,)      int64   hash table of the palette, which has every color of `pixels`
    out       (n, w)       uint8   filled, w >= ceil(width * channels * depth / 8)

    Return n, or -1 if an array is too short.
    """
    n, width = pixels.shape
    if out.shape[0] < n or out.shape[1] * 8 < width * channels * depth or (colors.size and slots.size < SLOTS):
        return -1
    if colors.size or depth < 8:
        if channels != 1 or depth > 8:
            return -1
        _pack_small(pixels, depth, colors, slots, out)
        return n
    size = depth >> 3
    for r in range(n):
        at = 0
        for i in range(width):
            pixel = pixels[r, i]
            for k in range(channels):
                sample = pixel >> np.uint64(48 if k == channels - 1 and channels in (2, 4) else 16 * k)
                if size == 2:
                    out[r, at] = np.uint8(sample >> np.uint64(8))
                    at += 1
                out[r, at] = np.uint8(sample)
                at += 1
    return n
