"""The form and the filters that an image takes fewest bytes in, found in a first pass over its scanlines.

Nothing whole-image is held: what the form must be able to say is a few numbers and at most 256 colours, and what is
tried is a sample of runs of lines from all over the image.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compressor.kernels.png.rgba16 import COLORS_MAX, SLOTS, find_colors, needs, pack_rgba16
from compressor.png.chunks import Chunk
from compressor.png.filters import choices, trial
from compressor.png.forms import Form, candidates, converted, may_stay
from compressor.png.header import SAMPLES, PngHeader
from compressor.png.policy import kept
from compressor.png.reader import Bytes
from compressor.png.rgba16 import Expander, Pixels, new_digest
from compressor.settings import Effort, Metadata

RUNS = {Effort.BALANCED: 8, Effort.BEST: 16}  # of lines in the sample
# Of one. Counted in pixels, not in bytes: a result that is given back in its new form must show the same sample, or a
# second run might choose otherwise.
RUN_PIXELS = 1 << 14
RUN_WIDTH = 1 << 13  # of these in a line: what is to the right is not looked at
GOLDEN, GOLDEN_ONE = 40503, 1 << 16  # the golden ratio's fraction: multiples of it fall everywhere in 0 to 1


class Packer:
    """Pixels to scanlines of a form."""

    def __init__(self, form: Form) -> None:
        self._channels, self._depth = SAMPLES[form.color_type], form.bit_depth
        self._colors = np.zeros(COLORS_MAX if form.palette else 0, np.uint64)
        self._slots = np.full(SLOTS, -1, np.int64)
        if form.palette:
            find_colors(np.array([form.palette], np.uint64), self._colors, self._slots, 0)

    def __call__(self, pixels: Pixels) -> Bytes:
        """A new array."""
        n, width = pixels.shape
        rows = np.empty((n, (width * self._channels * self._depth + 7) // 8), np.uint8)
        status = pack_rgba16(pixels, self._channels, self._depth, self._colors, self._slots, rows)
        assert status == n, "the form was made for these pixels"
        return rows


@dataclass(frozen=True, slots=True)
class Plan:
    """How an image is to be written.

    header  of the result
    form    to put its scanlines into, or None where they stay as they are
    choice  of filters
    notice  what is different, or ""
    """

    source: PngHeader
    header: PngHeader
    form: Form | None
    choice: int
    notice: str = ""

    def rows(self, bands: Iterator[Bytes]) -> Iterator[Bytes]:
        """The source's scanlines in the form; any number of them at a time."""
        if self.form is None:
            yield from bands
            return
        expand, pack = Expander(self.source), Packer(self.form)
        for band in bands:
            for pixels in expand(band):
                yield pack(pixels)


class Survey:
    """Takes all scanlines of an image, then knows how to write it.

    digest  of all pixels, complete when all scanlines have been added
    """

    def __init__(self, header: PngHeader, effort: Effort) -> None:
        self._header, self._effort = header, effort
        self._expand = Expander(header)
        self.digest = new_digest(header)
        self._needs = 0
        self._colors: NDArray[np.uint64] = np.zeros(COLORS_MAX, np.uint64)
        self._slots = np.full(SLOTS, -1, np.int64)
        self._count = 0
        self._line = 0
        # Whole bytes of whole pixels: eight pixels are whole bytes at any depth.
        self._run_bytes = min(header.row_bytes, RUN_WIDTH * header.bits_per_pixel // 8)
        self._run_lines = max(1, RUN_PIXELS // min(header.width, RUN_WIDTH))
        self._stride = max(self._run_lines, -(-header.height // RUNS[effort]))
        self._runs: list[list[Bytes]] = []

    def add(self, rows: Bytes) -> None:
        """The next scanlines."""
        for pixels in self._expand(rows):
            self.digest.update(pixels.data)
            self._needs |= needs(pixels)
            if self._count <= COLORS_MAX:
                self._count = find_colors(pixels, self._colors, self._slots, self._count)
        self._take_sample(rows)

    def _take_sample(self, rows: Bytes) -> None:
        """One run of lines in every stride, not always in the same place: images are periodic, as icons in a grid."""
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

    def plan(self, metadata: Metadata) -> Plan:
        """The way that makes least of the sample; of equals the first."""
        header = self._header
        chunks = kept(header.chunks, metadata)
        forms: list[Form | None] = []
        if all(may_stay(chunk) for chunk in kept(header.trailing, metadata)):
            colors = self._colors[: self._count].tolist() if self._count <= COLORS_MAX else []
            forms += candidates(header, chunks, self._needs, colors)
        best = min(self._trials(forms or [None], chunks), key=lambda tried: tried[0])[1]
        self._runs.clear()
        return best

    def _trials(self, forms: list[Form | None], chunks: list[Chunk]) -> Iterator[tuple[int, Plan]]:
        expand = Expander(self._header)
        runs = [np.concatenate(run) for run in self._runs]
        for form in forms:
            header = self._header if form is None else reformed(self._header, form, chunks)
            notice = "" if form is None or described(header) == described(self._header) else self._notice(header)
            parts = runs if form is None else list(map(Packer(form), itertools.chain.from_iterable(map(expand, runs))))
            for choice in choices(header, self._effort):
                yield trial(header, parts, choice, self._effort), Plan(self._header, header, form, choice, notice)

    def _notice(self, header: PngHeader) -> str:
        return f"stored as {described(header)}, which says the same in less than {described(self._header)}"


def described(header: PngHeader) -> str:
    """The form of an image, for people."""
    return replace(header, interlaced=False).description.removeprefix("PNG, ")


def reformed(source: PngHeader, form: Form, chunks: list[Chunk]) -> PngHeader:
    """The header of the same image in another form. chunks: of the source, those that are kept."""
    changed = converted(chunks, source, form)
    assert changed is not None, "candidates are forms that the chunks allow"
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
