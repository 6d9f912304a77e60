"""The color of a palette that is nearest to another one, and error diffusion.

Colors are points of a space in which a distance is that of two colors composited onto black and onto white. Composited
onto black, a sample c (0 to 1) with alpha a becomes c a, onto white c a + 1 - a. With weights w of red, green and blue,

    u = w (2 c a - a)    for each of them
    v = a sqrt(sum of w^2)

the square of the Euclidean distance is twice the sum of w^2 d^2 over the three samples and both backgrounds. A palette
is an array (5, 256) int32: three rows of u, one of v, and a quarter of the square of the distance to the nearest other
entry, rounded down. Entries beyond its count repeat the last one.
"""

import numpy as np

from compressor.kernels.declare import function, kernel
from compressor.kernels.lanes import local_array
from compressor.kernels.png.histogram import LINE, PIXELS, activity, rgba8

POINTS = "const i4[:, ::1]"

# Weights in 1/32: of red, green and blue, and of alpha, the root of the sum of their squares. As large as possible:
# the square of a distance has at most 23 bits.
WEIGHTS = RED, GREEN, BLUE, ALPHA = 67, 134, 60, 161
RED_MAX, GREEN_MAX, BLUE_MAX, ALPHA_MAX = 534, 1068, 478, 1283  # 255 weights / 32, rounded
ENTRIES, ROWS, GROUP = 256, 5, 16
DEAD = 27  # the error that is not diffused: 2.7 levels of grey
FULL = 16  # the share of an error that is all of it


@function
def _place(sample, alpha, weight):
    """Return u of a sample, rounded: weight / 32 (2 sample - 255) alpha / 255, with 257 / 65536 for 1 / 255."""
    return np.int32((np.int64(weight) * (2 * sample - 255) * (alpha * 257) + (1 << 20)) >> 21)


@function
def _squared(a, b, c, d, palette, k):
    """Return the square of the distance of a point to entry k."""
    x, y, z, w = a - palette[0, k], b - palette[1, k], c - palette[2, k], d - palette[3, k]
    return np.int32(x * x + y * y + z * z + w * w)


@function
def _nearest(a, b, c, d, palette, count, found):
    """Return the entry nearest to a point, and 256 times the square of its distance: the lower entry on a tie.

    count  of entries, a multiple of GROUP
    found  (256,) int32 scratch
    """
    for k in range(count):
        found[k] = (_squared(a, b, c, d, palette, k) << np.int32(8)) | np.int32(k)
    least = found[0]
    for k in range(count):
        least = min(least, found[k])
    return least


@kernel("i8(const u1[:, ::1], i4[:, ::1])")
def place_colors(colors, points):
    """Compute the points of colors.

    colors  (n, 4)  uint8  RGBA
    points  (n, 4)  int32  filled

    Return n, or -1 if an array is too small.
    """
    n = colors.shape[0]
    if colors.shape[1] < 4 or points.shape[0] < n or points.shape[1] < 4:
        return -1
    for i in range(n):
        alpha = np.int64(colors[i, 3])
        points[i, 0] = _place(np.int64(colors[i, 0]), alpha, RED)
        points[i, 1] = _place(np.int64(colors[i, 1]), alpha, GREEN)
        points[i, 2] = _place(np.int64(colors[i, 2]), alpha, BLUE)
        points[i, 3] = (alpha * ALPHA + 16) >> 5
    return n


@kernel(f"i8({POINTS}, {POINTS}, i8, i4[::1], i4[::1])")
def nearest_entries(points, palette, count, entries, distances):
    """Find the nearest entry of each point.

    points     (n, 4)    int32
    palette    (5, 256)  int32  see the module
    count      of entries to look at, 1 to 256
    entries    (n,)      int32  filled: the lower one on a tie
    distances  (n,)      int32  filled: squares

    Return n, or -1 if an array is too small.
    """
    n = points.shape[0]
    if points.shape[1] < 4 or palette.shape[0] < 4 or palette.shape[1] < ENTRIES or count < 1 or count > ENTRIES:
        return -1
    if entries.size < n or distances.size < n:
        return -1
    found = local_array(256, np.int32)
    grouped = (count + GROUP - 1) // GROUP * GROUP
    for i in range(n):
        least = _nearest(points[i, 0], points[i, 1], points[i, 2], points[i, 3], palette, grouped, found)
        entries[i] = least & 255
        distances[i] = least >> 8
    return n


@function
def _aimed(place, error, share, least, most):
    """Return a coordinate with a share of the error that was diffused to it, between two limits."""
    return np.int32(min(max(place + ((error * share + 128) >> 8), least), most))


@function
def _keep(error, share, i, errors, right, here, before):
    """Add what is diffused of the error of pixel i: 7/16 to the right, 3, 5 and 1 to the three pixels below.

    right   7 times the last error
    here    the error for the pixel below the next one, so far; `before` for the one below the last
    """
    squared = error[0] * error[0] + error[1] * error[1] + error[2] * error[2] + error[3] * error[3]
    left = np.float32(0)
    if squared > DEAD * DEAD:
        left = np.float32(1) - np.float32(DEAD) / np.sqrt(np.float32(squared))
    for k in range(4):
        kept = np.int32((np.int32(np.float32(error[k]) * left) * share) >> 4)
        if i:
            errors[i - 1, k] = before[k] + 3 * kept
        before[k] = here[k] + 5 * kept
        here[k] = kept
        right[k] = 7 * kept


@kernel(f"i8({PIXELS}, {LINE}, {POINTS}, i8, const i4[::1], i4[:, ::1], u1[:, ::1])")
def diffuse(pixels, above, palette, count, shares, errors, out):
    """Replace pixels by entries of a palette, and diffuse the error as Floyd and Steinberg (1976) do, left to right.

    pixels   (n, width, channels)  uint8  grey, grey and alpha, RGB or RGBA
    above    (width, channels)     uint8  the line above the first; at the top of an image the first one itself
    palette  (5, 256)              int32  see the module
    count    of entries, 1 to 256
    shares   (256,)                int32  of the diffused error that a pixel takes, and of its own that it diffuses, in
                                          1/FULL, by its `activity`
    errors   (width, 4)            int32  in 1/16: what the line above has left for each pixel, 0 at the top; updated
    out      (n, width)            uint8  filled

    Of an error, DEAD is not diffused: so a gradient with enough colors has no noise. Transparent pixels take none, and
    diffuse none.

    Return n, or -1 if an array is too small.
    """
    n, width, channels = pixels.shape
    if channels < 1 or channels > 4 or above.shape[0] < width or above.shape[1] != channels or shares.size < 256:
        return -1
    if palette.shape[0] < ROWS or palette.shape[1] < ENTRIES or count < 1 or count > ENTRIES:
        return -1
    if errors.shape[0] < width or errors.shape[1] < 4 or out.shape[0] < n or out.shape[1] < width:
        return -1
    found = local_array(256, np.int32)
    right, here, before = local_array(4, np.int32), local_array(4, np.int32), local_array(4, np.int32)
    error = local_array(4, np.int32)
    grouped = (count + GROUP - 1) // GROUP * GROUP
    entry = np.int64(0)
    for r in range(n):
        top = pixels[r - 1] if r else above
        for k in range(4):
            right[k] = here[k] = before[k] = 0
        for i in range(width):
            red, green, blue, alpha = rgba8(pixels, r, i)
            share = shares[activity(pixels, r, i, top)] if alpha else np.int32(0)
            opacity = np.int64(alpha)
            a, b = _place(np.int64(red), opacity, RED), _place(np.int64(green), opacity, GREEN)
            c, d = _place(np.int64(blue), opacity, BLUE), np.int32((opacity * ALPHA + 16) >> 5)
            if share:
                a = _aimed(a, errors[i, 0] + right[0], share, -RED_MAX, RED_MAX)
                b = _aimed(b, errors[i, 1] + right[1], share, -GREEN_MAX, GREEN_MAX)
                c = _aimed(c, errors[i, 2] + right[2], share, -BLUE_MAX, BLUE_MAX)
                d = _aimed(d, errors[i, 3] + right[3], share, 0, ALPHA_MAX)
            # Nearer than half the distance to the next entry: none is nearer.
            if _squared(a, b, c, d, palette, entry) >= palette[4, entry]:
                entry = np.int64(_nearest(a, b, c, d, palette, grouped, found) & 255)
            out[r, i] = np.uint8(entry)
            error[0], error[1] = a - palette[0, entry], b - palette[1, entry]
            error[2], error[3] = c - palette[2, entry], d - palette[3, entry]
            _keep(error, share, i, errors, right, here, before)
        for k in range(4):
            errors[width - 1, k] = before[k]
    return n
