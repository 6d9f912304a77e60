"""The search for the form and filters that compress an image best, in a first pass over its scanlines.

No whole image is held in memory: the requirements on the form are a few flags and at most 256 colors, and the trials
use a sample of runs of lines from all over the image.
"""

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.kernels.png.rgba16 import COLORS_MAX, SLOTS, find_colors, needs, pack_rgba16
from compressor.png.chunks import Chunk
from compressor.png.filters import choices, trial_size
from compressor.png.forms import Form, candidates, convert_chunks, is_form_independent
from compressor.png.header import SAMPLES, ByteArray, PngHeader
from compressor.png.policy import kept_chunks
from compressor.png.rgba16 import Expander, Rgba16Pixels, pixel_checksum
from compressor.settings import Effort, Metadata

RUNS = {Effort.FAST: 4, Effort.BALANCED: 8, Effort.BEST: 16}  # runs of lines in the sample
# Of a run. Counted in pixels, not in bytes: a result that is compressed again must give the same sample, or the second
# run might choose another form.
RUN_PIXELS = 1 << 14
RUN_WIDTH = 1 << 13  # pixels of a line in the sample
# Bytes at libdeflate's level 12, relative to those of a trial: 0.91 for drawn graphics (`png.deflate`), and a margin.
LEVELS_SAVE_TO = 0.85
GOLDEN, GOLDEN_ONE = 40503, 1 << 16  # the golden ratio's fraction: its multiples modulo 1 are evenly distributed


class Packer:
    """Packs pixels into scanlines of a form."""

    def __init__(self, form: Form) -> None:
        self._channels, self._depth = SAMPLES[form.color_type], form.bit_depth
        self._colors = np.zeros(COLORS_MAX if form.palette else 0, np.uint64)
        self._slots = np.full(SLOTS, -1, np.int64)
        if form.palette:
            find_colors(np.array([form.palette], np.uint64), self._colors, self._slots, 0)

    def __call__(self, pixels: Rgba16Pixels) -> ByteArray:
        """Return the scanlines in a new array."""
        n, width = pixels.shape
        rows = scratch.empty((n, (width * self._channels * self._depth + 7) // 8), np.uint8)
        status = pack_rgba16(pixels, self._channels, self._depth, self._colors, self._slots, rows)
        assert status == n, "the form was made for these pixels"
        return rows


@dataclass(frozen=True, slots=True)
class ReductionPlan:
    """The form and filters in which to write an image.

    header  of the result
    form    form to convert scanlines to, or None to keep them
    choice  of filters
    notice  notice of a changed form, or ""
    """

    source: PngHeader
    header: PngHeader
    form: Form | None
    choice: int
    notice: str = ""

    def rows(self, bands: Iterator[ByteArray]) -> Iterator[ByteArray]:
        """Yield the source's scanlines in the form, any number at a time."""
        if self.form is None:
            yield from bands
            return
        expand, pack = Expander(self.source), Packer(self.form)
        for band in bands:
            for pixels in expand(band):
                yield pack(pixels)


class Survey:
    """Surveys all scanlines of an image, then plans how to write it.

    checksum  of all pixels, complete when all scanlines have been added
    """

    def __init__(self, header: PngHeader, effort: Effort) -> None:
        self._header, self._effort = header, effort
        self._expand = Expander(header)
        self.checksum = pixel_checksum(header)
        self._needs = 0
        self._colors: NDArray[np.uint64] = np.zeros(COLORS_MAX, np.uint64)
        self._slots = np.full(SLOTS, -1, np.int64)
        self._count = 0
        self._line = 0
        # Whole bytes of whole pixels: eight pixels are whole bytes at any depth.
        self._run_bytes = min(header.row_bytes, RUN_WIDTH * header.bits_per_pixel // 8)
        self._run_lines = max(1, RUN_PIXELS // min(header.width, RUN_WIDTH))
        self._stride = max(self._run_lines, -(-header.height // RUNS[effort]))
        self._runs: list[list[ByteArray]] = []

    @property
    def colors(self) -> int:
        """Return the number of different colors so far, COLORS_MAX + 1 if there are more."""
        return self._count

    def add(self, rows: ByteArray) -> None:
        """Add the next scanlines."""
        for pixels in self._expand(rows):
            self.checksum.update(pixels.data)
            self._needs |= needs(pixels)
            if self._count <= COLORS_MAX:
                self._count = find_colors(pixels, self._colors, self._slots, self._count)
        self._take_sample(rows)

    def _take_sample(self, rows: ByteArray) -> None:
        """Sample a run of lines in every stride, at varying positions: images can be periodic, like icons in a grid."""
        at = 0
        while at < len(rows):
            number, inside = divmod(self._line + at, self._stride)
            start = (number * GOLDEN % GOLDEN_ONE) * (self._stride - self._run_lines) // GOLDEN_ONE
            end = start + self._run_lines
            count = (end if inside >= start else start) - inside if inside < end else self._stride - inside
            count = min(count, len(rows) - at)
            if start <= inside < end:
                if inside == start:
                    self._runs.append([])
                self._runs[-1].append(rows[at : at + count, : self._run_bytes].copy())
            at += count
        self._line += len(rows)

    def plan(self, metadata: Metadata) -> ReductionPlan:
        """Return the plan that compresses the sample best, the first one on a tie."""
        best = self.plan_within(metadata, sys.maxsize)
        assert best is not None
        return best

    def plan_within(self, metadata: Metadata, limit: int) -> ReductionPlan | None:
        """Return the same if the image may have fewer bytes than a limit.

        None if a trial of the sample, which is a part of it, has so many more that no level makes up for them.
        """
        header = self._header
        chunks = kept_chunks(header.chunks, metadata)
        forms: list[Form | None] = []
        if all(is_form_independent(chunk) for chunk in kept_chunks(header.trailing, metadata)):
            colors = self._colors[: self._count].tolist() if self._count <= COLORS_MAX else []
            forms += candidates(header, chunks, self._needs, colors)
        best = self._best(forms or [None], chunks, int(limit / LEVELS_SAVE_TO))
        self._runs.clear()
        return best

    def _best(self, forms: list[Form | None], chunks: list[Chunk], limit: int) -> ReductionPlan | None:
        """Try every form with every choice of filters."""
        expand, best, smallest = self._expand, None, limit
        runs = [np.concatenate(run) for run in self._runs]
        sampled = sum(map(len, runs)) * min(self._header.width, RUN_WIDTH)
        pixels = self._header.width * self._header.height
        for form in forms:
            header = self._header if form is None else convert_header(self._header, form, chunks)
            notice = (
                "" if form is None or describe_form(header) == describe_form(self._header) else self._notice(header)
            )
            parts = runs if form is None else list(map(Packer(form), itertools.chain.from_iterable(map(expand, runs))))
            tables = sum(12 + len(chunk.data) for chunk in header.chunks if chunk.type in (b"PLTE", b"tRNS"))
            share = tables * sampled // pixels  # that of the sample: a palette may take more than it saves
            for choice in choices(header, self._effort):
                size = share + trial_size(header, parts, choice, smallest - share)
                if size < smallest:
                    best, smallest = ReductionPlan(self._header, header, form, choice, notice), size
        return best

    def _notice(self, header: PngHeader) -> str:
        return f"stored as {describe_form(header)} instead of {describe_form(self._header)}: lossless and smaller"


def describe_form(header: PngHeader) -> str:
    """Return a human-readable description of an image's form."""
    return replace(header, interlaced=False).description.removeprefix("PNG, ")


def convert_header(source: PngHeader, form: Form, chunks: list[Chunk]) -> PngHeader:
    """Return the header of an image in another form. chunks: those of the source to keep."""
    changed = convert_chunks(chunks, source, form)
    assert changed is not None, "the chunks allow every candidate"
    data = {chunk.type: chunk.data for chunk in changed}
    return replace(
        source,
        color_type=form.color_type,
        bit_depth=form.bit_depth,
        interlaced=False,
        palette=data.get(b"PLTE", b""),
        transparency=data.get(b"tRNS"),
        chunks=changed,
        image_data=None,
    )
