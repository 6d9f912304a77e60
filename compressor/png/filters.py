"""The choice of filters by compressing a sample of the image (W3C PNG clause 12.7)."""

import sys
from collections.abc import Iterable

import numpy as np

from compressor.kernels.png.filter import BIGRAMS, SEEN_WORDS, SUMS, filter_rows
from compressor.kernels.png.matches import STATE_WORDS, WEIGHT_FIRST, WEIGHTS, filter_rows_by_matches, window_bytes
from compressor.kernels.png.unfilter import NONE, SUB, UP
from compressor.png.deflate import LEVELS, TRIAL_BYTES, Deflater
from compressor.png.header import PALETTE, ByteArray, PngHeader
from compressor.settings import Effort

MATCHES = 7  # beside the choices of `filter_rows`: that of `filter_rows_by_matches`
# Filter choices to try. NONE is best for much repeated content (text, flat color), MATCHES where that meets gradients
# and outlines, BIGRAMS for photographs. The three take 0.1 % more bytes than the best of nine for 23 drawn graphics.
# SUB, SUMS and UP are best for some gradients: BEST alone tries the last two.
CHOICES = {
    Effort.FAST: (NONE, SUMS),
    Effort.BALANCED: (NONE, MATCHES, BIGRAMS, SUB),
    Effort.BEST: (NONE, MATCHES, BIGRAMS, SUMS, SUB, UP),
}
# Of libdeflate in a trial. It chooses the filters that level 10 would, for all but 0.1 % of the bytes; so does level 9,
# in three times the time (drawn graphics).
TRIAL_LEVEL = 6


def choices(header: PngHeader, effort: Effort) -> tuple[int, ...]:
    """Return the filter choices to try. Filters do not help packed samples: these do not predict their neighbors."""
    if header.bit_depth < 8 or (header.color_type == PALETTE and effort is Effort.FAST):
        return (NONE,)
    return CHOICES[effort]


def level(effort: Effort, choice: int | None) -> int:
    """Return libdeflate's level for an image whose filters are known.

    Where content repeats, level 11 takes 2 % fewer bytes than level 10; for photographs, which have other filters, it
    takes as many in 1.5 times the time.
    """
    return 11 if effort is Effort.BALANCED and choice in (NONE, MATCHES) else LEVELS[effort]


class RowFilter:
    """Filters the scanlines of an image by a choice of filters.

    choice  as for `filter_rows`, or MATCHES
    """

    def __init__(self, header: PngHeader, choice: int) -> None:
        self._choice, self._distance = choice, header.filter_distance
        if choice == MATCHES:
            self._window = np.zeros(window_bytes(header.row_bytes), np.uint8)
            self._state = np.zeros(STATE_WORDS, np.int64)
            self._state[WEIGHTS : WEIGHTS + 256] = WEIGHT_FIRST
            self._costs = np.zeros(256, np.int64)
        else:
            self._seen = np.zeros(SEEN_WORDS, np.uint64)

    def __call__(self, rows: ByteArray, above: ByteArray, out: ByteArray) -> None:
        """Filter the next scanlines.

        rows   (n, w), w at most the row bytes of the header
        above  (w,) the scanline above the first, zeros at the top
        out    (n, 1 + w) filled: the filter type, then the filtered bytes
        """
        if self._choice == MATCHES:
            done = filter_rows_by_matches(rows, self._distance, above, self._window, self._state, self._costs, out)
        else:
            done = filter_rows(rows, self._distance, above, self._choice, self._seen, out)
        assert done == len(rows), "the arrays were made for these scanlines"


def trial_size(header: PngHeader, parts: Iterable[ByteArray], choice: int, limit: int = sys.maxsize) -> int:
    """Return the compressed bytes of a sample. If they are not fewer than a limit, the size of a part may be returned.

    parts  runs of scanlines (n, w), any w, with nothing above the first
    limit  the best size so far
    """
    deflate, filtered, size = Deflater(TRIAL_LEVEL, TRIAL_BYTES), RowFilter(header, choice), 0
    for part in parts:
        out = np.empty((len(part), 1 + part.shape[1]), np.uint8)
        filtered(part, np.zeros(part.shape[1], np.uint8), out)
        size += len(deflate.compress(out.data))
        if size >= limit:
            return size
    return size + len(deflate.flush())


def best_choice(header: PngHeader, rows: ByteArray, effort: Effort) -> int:
    """Return the best choice for some scanlines of an image, the first one on a tie."""
    tried = choices(header, effort)
    if len(tried) == 1:
        return tried[0]
    best, smallest = tried[0], sys.maxsize
    for choice in tried:
        size = trial_size(header, [rows], choice, smallest)
        if size < smallest:
            best, smallest = choice, size
    return best
