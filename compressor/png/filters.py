"""Which filters an image gets: decided on what deflate makes of a sample of it (W3C PNG clause 12.7)."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from compressor.kernels.png.filter import BIGRAMS, SEEN_WORDS, SUMS, filter_rows
from compressor.kernels.png.unfilter import NONE, SUB, UP
from compressor.png.deflate import deflater
from compressor.png.header import PALETTE, PngHeader
from compressor.settings import Effort

Bytes = NDArray[np.uint8]

# What is tried. NONE is best for what repeats (text, flat colour: 2 to 20 % less than SUMS), SUMS for photographs,
# BIGRAMS for a mixture of both. One type for all rows is best for some photographs, by 2 %: tried where time is least.
CHOICES = {
    Effort.FAST: (SUMS,),
    Effort.BALANCED: (NONE, SUMS, BIGRAMS),
    Effort.BEST: (NONE, SUMS, BIGRAMS, SUB, UP),
}


def choices(header: PngHeader, effort: Effort) -> tuple[int, ...]:
    """What is worth a trial. Packed samples say nothing about their neighbours' value: filters only add noise."""
    if header.bit_depth < 8 or (header.color_type == PALETTE and effort is Effort.FAST):
        return (NONE,)
    return CHOICES[effort]


def scratch() -> NDArray[np.uint64]:
    """What the kernel needs beside its arguments."""
    return np.zeros(SEEN_WORDS, np.uint64)


def trial(header: PngHeader, parts: Iterable[Bytes], choice: int, effort: Effort) -> int:
    """Bytes of a sample: runs of scanlines (n, w), of any w, with nothing above the first of each."""
    deflate = deflater(Effort.BALANCED if effort is Effort.BEST else effort)
    seen, size = scratch(), 0
    for part in parts:
        out = np.empty((len(part), 1 + part.shape[1]), np.uint8)
        filter_rows(part, header.filter_distance, np.zeros(part.shape[1], np.uint8), choice, seen, out)
        size += len(deflate.compress(out.data))
    return size + len(deflate.flush())


def first_choice(header: PngHeader, rows: Bytes, effort: Effort) -> int:
    """The best one for the first scanlines of an image, of which no more is known; the first one on a tie."""
    tried = choices(header, effort)
    if len(tried) == 1:
        return tried[0]
    return min(tried, key=lambda choice: trial(header, [rows], choice, effort))
