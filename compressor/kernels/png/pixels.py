"""Conversion of PNG scanlines to 8-bit pixels (W3C PNG clauses 7.2 and 13.12): packed samples, palettes, alpha."""

import numpy as np

from compressor.kernels.declare import kernel

# Read-only parameters take writable arrays as well.
SCANLINES = "const u1[:, ::1]"
SOURCE = "const u1[:, :, ::1]"
KEY8 = "const u1[::1]"
KEY16 = "const u2[::1]"
ROWS = "u1[:, ::1]"
PIXELS = "u1[:, :, ::1]"


@kernel(f"i8({SCANLINES}, i8, i8, {ROWS})")
def expand_bits(rows, depth, scale, out):
    """Expand samples of 1, 2 or 4 bits, leftmost in the high bits (clause 7.2), to bytes.

    rows   (n, w)      uint8  scanlines, w >= ceil(width * depth / 8)
    scale  factor of each sample: 255 / (2 ** depth - 1) for grey (clause 13.12), 1 for palette indices
    out    (n, width)  uint8  filled

    Return n, or -1 if a row is too short.
    """
    if rows.shape[1] * 8 < out.shape[1] * depth:
        return -1
    mask = (1 << depth) - 1
    per_byte = 8 // depth
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            shift = 8 - depth * (1 + i % per_byte)
            out[r, i] = np.uint8(((rows[r, i // per_byte] >> shift) & mask) * scale)
    return out.shape[0]


@kernel(f"i8({SCANLINES}, {SCANLINES}, {PIXELS})")
def look_up(indices, palette, out):
    """Replace palette indices by their colors.

    indices  (n, width)     uint8
    palette  (256, c)       uint8  all 256 entries, so that no index is outside
    out      (n, width, c)  uint8  filled

    Return n, or -1 if the palette is too short.
    """
    if palette.shape[0] < 256:
        return -1
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[r, i, k] = palette[indices[r, i], k]
    return out.shape[0]


@kernel(f"i8({SOURCE}, {KEY8}, {PIXELS})")
def color_key(pixels, key, out):
    """Add alpha: 0 for pixels of the transparent color, 255 for all others (clause 11.3.1.1).

    pixels  (n, width, c)      uint8
    key     (c,)               uint8
    out     (n, width, c + 1)  uint8  filled

    Return n.
    """
    channels = pixels.shape[2]
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            equal = True
            for k in range(channels):
                sample = pixels[r, i, k]
                out[r, i, k] = sample
                equal &= sample == key[k]
            out[r, i, channels] = 0 if equal else 255
    return out.shape[0]


@kernel(f"i8({SCANLINES}, i8, {KEY16}, {PIXELS})")
def reduce16(rows, channels, key, out):
    """Reduce big-endian 16-bit samples to 8 bits, with alpha if a transparent color is given.

        out = round(255 * sample / 65535) = (255 * sample + 32895) >> 16

    rows  (n, width * channels * 2)  uint8
    key   (channels,)                uint16  the transparent color, compared in full; or (0,)
    out   (n, width, channels)       uint8   filled; one more channel if `key` is given

    Return n, or -1 if a row is too short.
    """
    if rows.shape[1] < out.shape[1] * channels * 2:
        return -1
    for r in range(out.shape[0]):
        for i in range(out.shape[1]):
            equal = key.size == channels
            for k in range(channels):
                at = 2 * (i * channels + k)
                sample = (np.int64(rows[r, at]) << 8) | rows[r, at + 1]
                out[r, i, k] = np.uint8((sample * 255 + 32895) >> 16)
                if key.size == channels:
                    equal &= sample == key[k]
            if key.size == channels:
                out[r, i, channels] = 0 if equal else 255
    return out.shape[0]
