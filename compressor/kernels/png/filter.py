"""PNG filtering (W3C PNG, third edition, clause 9), and the choice of a filter type for each row.

Filtering has no dependency from byte to byte; LLVM vectorizes it over the row.
"""

import numpy as np

from compressor.kernels.declare import function, kernel
from compressor.kernels.png.unfilter import AVERAGE, NONE, PAETH, READONLY, ROWS, SUB, UP, predict

SUMS, BIGRAMS = 5, 6  # ways to choose for each row, beyond the five types themselves

READONLY_ROWS = "const u1[:, ::1]"
WORDS = "u8[::1]"
SEEN_WORDS = (1 << 16) // 64


@function
def _cost(residual):
    """Return |residual| of a byte taken as signed (clause 12.7)."""
    residual = np.uint8(residual)
    return np.int32(min(residual, np.uint8(-residual)))


@function
def _cheapest(row, above, bpp):
    """Return the filter type whose sum of absolute differences over a row is smallest; the lower one on a tie."""
    none = sub = up = average = paeth = np.int32(0)  # enough for rows of 16 million bytes
    first = min(bpp, row.size)
    for i in range(first):
        x, b = np.int32(row[i]), np.int32(above[i])
        none = np.int32(none + _cost(x))
        sub = np.int32(sub + _cost(x))
        up = np.int32(up + _cost(x - b))
        average = np.int32(average + _cost(x - (b >> 1)))
        paeth = np.int32(paeth + _cost(x - b))
    # Slices and indices from 0 on: an index that might be negative keeps LLVM from vectorizing.
    right, here = row[first:], above[first:]
    for i in range(right.size):
        x, a, b, c = np.int32(right[i]), np.int32(row[i]), np.int32(here[i]), np.int32(above[i])
        none = np.int32(none + _cost(x))
        sub = np.int32(sub + _cost(x - a))
        up = np.int32(up + _cost(x - b))
        average = np.int32(average + _cost(x - ((a + b) >> 1)))
        paeth = np.int32(paeth + _cost(x - predict(a, b, c)))
    kind, cost = NONE, none
    if sub < cost:
        kind, cost = SUB, sub
    if up < cost:
        kind, cost = UP, up
    if average < cost:
        kind, cost = AVERAGE, average
    if paeth < cost:
        kind = PAETH
    return kind


@function
def filter_row(kind, row, above, bpp, out):
    """Compute out = row - prediction, by filter type `kind`."""
    first = min(bpp, row.size)
    right, here, target = row[first:], above[first:], out[first:]
    # A loop for each type: of one loop that selects the prediction, LLVM 22.1 makes wrong code for AVX-512.
    if kind in (UP, PAETH):
        for i in range(first):
            out[i] = np.uint8(row[i] - above[i])
    elif kind == AVERAGE:
        for i in range(first):
            out[i] = np.uint8(row[i] - (above[i] >> 1))
    else:
        for i in range(first):
            out[i] = row[i]
    if kind == SUB:
        for i in range(right.size):
            target[i] = np.uint8(right[i] - row[i])
    elif kind == UP:
        for i in range(right.size):
            target[i] = np.uint8(right[i] - here[i])
    elif kind == AVERAGE:
        for i in range(right.size):
            target[i] = np.uint8(right[i] - ((np.int32(row[i]) + np.int32(here[i])) >> 1))
    elif kind == PAETH:
        for i in range(right.size):
            prediction = predict(np.int32(row[i]), np.int32(here[i]), np.int32(above[i]))
            target[i] = np.uint8(right[i] - prediction)
    else:
        # Not target[:] = right: that alone takes 3.7 s to compile, for the text of an error that can't happen.
        for i in range(right.size):
            target[i] = right[i]


@function
def _bigrams(filtered, seen):
    """Count the different pairs of adjacent bytes: deflate compresses repetitions.

    seen  (1024,) uint64  scratch, a bit for each pair
    """
    for word in range(SEEN_WORDS):
        seen[word] = 0
    count = np.int64(0)
    for i in range(1, filtered.size):
        pair = (np.uint64(filtered[i - 1]) << np.uint64(8)) | np.uint64(filtered[i])
        word = seen[pair >> np.uint64(6)]
        bit = pair & np.uint64(63)
        count += np.int64(1) - np.int64((word >> bit) & np.uint64(1))
        seen[pair >> np.uint64(6)] = word | (np.uint64(1) << bit)
    return count


@function
def _fewest_bigrams(row, above, bpp, seen, scratch):
    """Return the filter type that leaves the fewest different pairs of bytes; the lower one on a tie."""
    best, fewest = NONE, np.int64(1) << 62
    for kind in range(5):
        filter_row(kind, row, above, bpp, scratch)
        found = _bigrams(scratch, seen)
        if found < fewest:
            best, fewest = kind, found
    return best


@kernel(f"i8({READONLY_ROWS}, i8, {READONLY}, i8, {WORDS}, {ROWS})")
def filter_rows(rows, bpp, previous, choice, seen, out):
    """Filter scanlines, each by the type that `choice` gives or selects.

    rows      (n, w)     uint8  scanlines
    bpp       bytes per complete pixel, rounded up to 1
    previous  (w,)       uint8  the scanline above the first; zeros at the top of an image
    choice    0 to 4: that type for all; SUMS: for each row the type whose sum of absolute differences is smallest
              (clause 12.7); BIGRAMS: the one that leaves the fewest different pairs of bytes. Ties go to the lower type
    seen      (1024,)    uint64 scratch
    out       (n, 1 + w) uint8  filled: the filter type, then the filtered bytes

    Return n, or -1 if an array is too small.
    """
    if previous.size < rows.shape[1] or seen.size < SEEN_WORDS or out.shape[0] < rows.shape[0]:
        return -1
    for r in range(rows.shape[0]):
        above = rows[r - 1] if r else previous[: rows.shape[1]]
        kind = choice
        if choice == SUMS:
            kind = _cheapest(rows[r], above, bpp)
        elif choice == BIGRAMS:
            kind = _fewest_bigrams(rows[r], above, bpp, seen, out[r, 1:])
        out[r, 0] = kind
        filter_row(kind, rows[r], above, bpp, out[r, 1:])
    return rows.shape[0]
