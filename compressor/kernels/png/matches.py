"""PNG filter types by what deflate will make of a row: matches with the filtered bytes before it, and literals.

The other ways to choose (`filter.filter_rows`) judge a row alone. Repeated content, such as text and flat color, costs
deflate next to nothing under the filter type of the row that it repeats.
"""

import numpy as np

from compressor.kernels.declare import function, kernel
from compressor.kernels.png.filter import READONLY_ROWS, filter_row
from compressor.kernels.png.unfilter import READONLY, ROWS

BYTES = "u1[::1]"
WORDS = "i8[::1]"

WINDOW = 1 << 15  # bytes that a match can go back (RFC 1951, clause 2)
LENGTH_MAX = 258  # of a match (clause 3.2.5)
HASH_BITS = 12  # 10 to 15 take the same bytes within 0.1 %
# Words of the state: the last place of each hash of four bytes, the weight of each byte as a literal, two numbers.
WEIGHTS = 1 << HASH_BITS
FILLED, DROPPED = WEIGHTS + 256, WEIGHTS + 257  # bytes in the window; bytes that have left it
STATE_WORDS = WEIGHTS + 258
# Costs are in 1/16 bit. 10 bits for the two codes of a match, beside their extra bits: 8 to 12 take the same bytes
# within 0.2 % (13 drawn graphics, libdeflate's level 10).
MATCH_COST = 10 << 4
WEIGHT, WEIGHT_MIN = 16, 4  # of a byte of the last row; of one that has long not been seen
WEIGHT_FIRST = 4 * WEIGHT  # of every byte at the top of an image: others of seven took up to 1 % more or the same


def window_bytes(width: int) -> int:
    """Return the bytes of the window for rows of `width` bytes: it is moved only when it is full."""
    return 2 * WINDOW + 1 + width


@function
def _width(x):
    """Return the bits of a number: 0 for 0."""
    n = np.int64(0)
    while x:
        x >>= 1
        n += 1
    return n


@function
def _log2(x):
    """Return 16 times the logarithm of x > 0, linear between powers of two."""
    n = _width(x) - 1
    return (n << 4) + ((x << 4) >> n) - 16


@function
def _slot(window, i):
    """Return the hash of the four bytes at i."""
    four = (
        np.uint64(window[i]) | (np.uint64(window[i + 1]) << np.uint64(8)) | (np.uint64(window[i + 2]) << np.uint64(16))
        | (np.uint64(window[i + 3]) << np.uint64(24))
    )  # fmt: skip
    return np.int64(((four * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)) >> np.uint64(32 - HASH_BITS))


@function
def _match(window, before, i, end):
    """Return how many bytes at i equal those at `before`, at most LENGTH_MAX."""
    most = min(end - i, LENGTH_MAX)
    n = np.int64(0)
    while n < most and window[before + n] == window[i + n]:
        n += 1
    return n


@function
def _longest(window, state, i, end, bpp, row_bytes):
    """Return length and distance of the longest match of those tried: the last row with the same four bytes, the byte
    before, the pixel before, the byte above; the earlier of these on a tie."""
    length = distance = np.int64(0)
    before = state[_slot(window, i)] - 1 - state[DROPPED]
    if before >= 0 and i - before <= WINDOW:
        length, distance = _match(window, before, i, end), i - before
    for back in (np.int64(1), bpp, row_bytes):
        if back <= i and back <= WINDOW and length < LENGTH_MAX:
            found = _match(window, i - back, i, end)
            if found > length:
                length, distance = found, back
    return length, distance


@function
def _cost(window, state, start, row_bytes, bpp, costs, most):
    """Return what a row in the window costs, parsed greedily; any number from `most` on if it is not less.

    A match is taken where it costs less than its bytes as literals.
    """
    i, end = start, start + row_bytes
    total = np.int64(0)
    while i < end and total < most:
        if i + 4 <= end:
            length, distance = _longest(window, state, i, end, bpp, row_bytes)
            if length >= 4:
                match = MATCH_COST + 16 * (max(0, _width(distance - 1) - 2) + max(0, _width(length - 3) - 3))
                literals = np.int64(0)
                for k in range(length):
                    literals += costs[window[i + k]]
                    if literals > match:
                        break
                if literals > match:
                    total += match
                    i += length
                    continue
        total += costs[window[i]]
        i += 1
    return total


@function
def _weigh(state, costs):
    """Compute the costs of literals from their weights."""
    total = np.int64(0)
    for value in range(256):
        total += max(state[WEIGHTS + value], WEIGHT_MIN)
    most = _log2(total)
    for value in range(256):
        costs[value] = most - _log2(max(state[WEIGHTS + value], WEIGHT_MIN))


@function
def _make_room(window, state, row_bytes):
    """Keep the last WINDOW bytes where a row has no room behind them. Return its place."""
    filled = state[FILLED]
    if filled + row_bytes > window.size:
        kept = min(filled, WINDOW)
        for i in range(kept):
            window[i] = window[filled - kept + i]
        state[DROPPED] += filled - kept
        state[FILLED] = filled = kept
    return filled


@function
def _add_row(window, state, start, row_bytes):
    """Add a row to the state: places of its bytes, and weights of those that are not in the middle of three equal."""
    for value in range(256):
        state[WEIGHTS + value] = (state[WEIGHTS + value] * 31) >> 5
    for i in range(start, start + row_bytes - 1):
        value = window[i]
        if i == 0 or window[i - 1] != value or window[i + 1] != value:
            state[WEIGHTS + value] += WEIGHT
    for i in range(max(start - 3, 0), start + row_bytes - 3):
        state[_slot(window, i)] = state[DROPPED] + i + 1
    state[FILLED] = start + row_bytes


@kernel(f"i8({READONLY_ROWS}, i8, {READONLY}, {BYTES}, {WORDS}, {WORDS}, {ROWS})")
def filter_rows_by_matches(rows, bpp, previous, window, state, costs, out):
    """Filter scanlines, each by the type that deflate is estimated to take the fewest bits for; the lower on a tie.

    rows      (n, w)     uint8  scanlines
    bpp       bytes per complete pixel, rounded up to 1
    previous  (w,)       uint8  the scanline above the first; zeros at the top of an image
    window    (window_bytes(w),) uint8  what was filtered before; kept from call to call
    state     (STATE_WORDS,) int64  zeros at the top of an image, but for 256 times WEIGHT_FIRST; kept from call to call
    costs     (256,)     int64  scratch
    out       (n, 1 + w) uint8  filled: the filter type, then the filtered bytes

    Return n, or -1 if an array is too small.
    """
    n, w = rows.shape
    if previous.size < w or state.size < STATE_WORDS or costs.size < 256 or out.shape[0] < n or out.shape[1] < 1 + w:
        return -1
    if window.size < WINDOW + 1 + w or state[FILLED] < 0 or state[FILLED] > window.size or bpp < 1:
        return -1
    for r in range(n):
        above = rows[r - 1] if r else previous[:w]
        start = _make_room(window, state, 1 + w)
        _weigh(state, costs)
        best, least = np.int64(0), np.int64(1) << 62
        target = window[start + 1 : start + 1 + w]
        for kind in range(5):
            window[start] = kind
            filter_row(kind, rows[r], above, bpp, target)
            cost = _cost(window, state, start, 1 + w, bpp, costs, least)
            if cost < least:
                best, least = np.int64(kind), cost
        window[start] = best
        filter_row(best, rows[r], above, bpp, target)
        _add_row(window, state, start, 1 + w)
        for i in range(1 + w):
            out[r, i] = window[start + i]
    return n
