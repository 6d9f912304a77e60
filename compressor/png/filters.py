"""The choice of filters by compressing a sample of the image (W3C PNG clause 12.7)."""

import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from compressor.kernels.png.filter import BIGRAMS, SEEN_WORDS, SUMS, filter_rows
from compressor.kernels.png.unfilter import NONE, SUB, UP
from compressor.png.deflate import deflater
from compressor.png.header import PALETTE, ByteArray, PngHeader
from compressor.settings import Effort

# Filter choices to try. NONE is best for repeated content (text, flat color: 2 to 20 % less than SUMS), SUMS for
# photographs, BIGRAMS for mixed content. A single type for all rows is best for some photographs, by 2 %: BEST alone
# tries it.
CHOICES = {
    Effort.FAST: (SUMS,),
    Effort.BALANCED: (NONE, SUMS, BIGRAMS),
    Effort.BEST: (NONE, SUMS, BIGRAMS, SUB, UP),
}


def choices(header: PngHeader, effort: Effort) -> tuple[int, ...]:
    """Return the filter choices to try. Filters do not help packed samples: these do not predict their neighbors."""
    if header.bit_depth < 8 or (header.color_type == PALETTE and effort is Effort.FAST):
        return (NONE,)
    return CHOICES[effort]


def seen_pairs() -> NDArray[np.uint64]:
    """Return the kernel's scratch array of pairs of bytes."""
    return np.zeros(SEEN_WORDS, np.uint64)


def trial_size(
    header: PngHeader, parts: Iterable[ByteArray], choice: int, effort: Effort, limit: int = sys.maxsize
) -> int:
    """Return the compressed bytes of a sample. If they are not fewer than a limit, the size of a part may be returned.

    parts  runs of scanlines (n, w), any w, with nothing above the first
    limit  the best size so far
    """
    deflate = deflater(Effort.BALANCED if effort is Effort.BEST else effort)
    seen, size = seen_pairs(), 0
    for part in parts:
        out = np.empty((len(part), 1 + part.shape[1]), np.uint8)
        filter_rows(part, header.filter_distance, np.zeros(part.shape[1], np.uint8), choice, seen, out)
        size += len(deflate.compress(out.data))
        if size >= limit:
            return size
    return size + len(deflate.flush())


def first_choice(header: PngHeader, rows: ByteArray, effort: Effort) -> int:
    """Return the best choice for the first scanlines of an image, the first one on a tie."""
    tried = choices(header, effort)
    if len(tried) == 1:
        return tried[0]
    best, smallest = tried[0], sys.maxsize
    for choice in tried:
        size = trial_size(header, [rows], choice, effort, smallest)
        if size < smallest:
            best, smallest = choice, size
    return best
