"""Adaptive quantization: unquantized coefficients are weighted by visual masking, which depends on neighboring blocks,
then quantized with a dead zone or by a trellis.

    bands of pixels, or the slabs of a file  →  spectra, each of an MCU row  →  slabs

An MCU row is quantized when the one below it is known: masking uses the means of all neighbors. With a dead zone one
kernel call does all this for a slab. The trellis takes a millisecond for 1,024 blocks, and is called for these.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg import perceptual, static_codes
from compressor.jpeg.frame import Frame, Slab
from compressor.jpeg.tables import Table
from compressor.kernels import dering, sharp, spectrum
from compressor.kernels.dct import TRANSPOSED
from compressor.kernels.huffman_encode import code_table
from compressor.kernels.quantize import reciprocals
from compressor.settings import Effort
from compressor.tiles import Band, band_lines

TRELLIS_BLOCKS = 1024  # in one call, a millisecond or less
DERINGED_BLOCKS = 512  # in one call, five milliseconds or less
# For each block of a row: two spectra, their energies, the factor, contrast and mean luma, means above and below.
BYTES_PER_BLOCK = 2 * (64 + 3) * 4 + 3 * 4 + 2 * 4


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Coefficients (n, 64) and energy (3, n) of an MCU row, float32, see kernels/spectrum.py."""

    coefficients: NDArray[np.float32]
    energy: NDArray[np.float32]

    @classmethod
    def empty(cls, blocks: int) -> "Spectrum":
        """Allocate a spectrum of `blocks` blocks."""
        return cls(np.empty((blocks, 64), np.float32), np.empty((3, blocks), np.float32))


def row_windows(bands: Iterable[Band], lines: int, step: int, margin: int) -> Iterator[tuple[Band, int]]:
    """Yield MCU rows with lines above and below: (n, samples) and the index of the row's first line.

    lines   lines that are copied at once
    step    lines of an MCU row
    margin  lines on either side, fewer only at the edges of the image

    Each is valid until the next one is requested. Lines are copied only if a row and its margins span two bands.
    """
    held = np.empty((0, 0), np.uint8)
    top = base = start = end = 0  # lines of the image: of the next row, of the band, of `held` and after it
    for band in bands:
        stop = base + len(band)
        if not len(held):
            held = np.empty((lines + step + 2 * margin, band.shape[1]), np.uint8)
        while end < stop:
            while base <= max(0, top - margin) and top + step + margin <= stop:
                yield band, top - base
                top += step
                start = end = max(0, top - margin)
            first = min(max(0, top - margin), end)
            held[: end - first] = held[first - start : end - start].copy()
            start, count = first, min(lines, stop - end)
            held[end - start : end - start + count] = band[end - base : end - base + count]
            end += count
            while top + step + margin <= end:
                yield held[: end - start], top - start
                top += step
        base = stop
    while top < end:
        yield held[: end - start], top - start
        top += step


def row_window_bytes(lines: int, step: int, samples: int) -> int:
    """Return the bytes that `row_windows` holds for lines of `samples` bytes."""
    return (lines + 2 * (step + 2 * sharp.MARGIN)) * samples


def plane_shapes(frame: Frame) -> list[tuple[int, int]]:
    """Return the shapes of Y, Cb and Cr for an MCU row; grey has minimal chroma planes."""
    stride = -(-int(frame.layout[0, 1]) * 8 // 32) * 32
    chroma = (8, stride // frame.h_max) if len(frame.components) == 3 else (1, 32)
    return [(8 * frame.v_max, stride), chroma, chroma]


def plane_bytes(frame: Frame) -> int:
    """Return the bytes of these planes."""
    return 2 * sum(lines * stride for lines, stride in plane_shapes(frame))


class PixelSpectra:
    """The spectra of bands of pixels, each valid until the next but one is requested.

    bands      (lines, width * components) uint8, of any height
    overshoot  luma's quantization table if samples may leave the range (kernels/dering.py), else None
    """

    def __init__(self, frame: Frame, bands: Iterable[Band], overshoot: Table | None = None) -> None:
        self._frame, self._bands = frame, bands
        self._shrink = None if overshoot is None else dering.shrinkage(overshoot)

    def __iter__(self) -> Iterator[Spectrum]:
        frame = self._frame
        step = 8 * frame.v_max
        y, cb, cr = (np.empty(shape, np.int16) for shape in plane_shapes(frame))
        pixels, chroma = sharp.sharp_scratch()
        spectra = [Spectrum.empty(frame.blocks_per_row) for _ in range(2)]
        for number, (window, top) in enumerate(
            row_windows(self._bands, band_lines(frame.width, step), step, sharp.MARGIN)
        ):
            made = spectra[number % 2]
            sharp.sharp_planes(window, top, frame.layout, y, cb, cr, pixels, chroma)
            self._dering(y)
            spectrum.from_planes((y, cb, cr), frame.layout, made.coefficients, made.energy)
            yield made

    def _dering(self, luma: NDArray[np.int16]) -> None:
        if self._shrink is None or not self._shrink.any():
            return
        scratch = np.empty((7, 64), np.float32)
        across, down = int(self._frame.layout[0, 1]), int(self._frame.layout[0, 3])
        for line in range(down):
            for first in range(0, across, DERINGED_BLOCKS):
                dering.dering(luma, 8 * line, first, min(DERINGED_BLOCKS, across - first), self._shrink, scratch)


class CoefficientSpectra:
    """The spectra of slabs quantized by `tables`, one for each component; valid as those of `PixelSpectra`."""

    def __init__(self, frame: Frame, slabs: Iterable[Slab], tables: Sequence[Table], chroma: bool) -> None:
        self._frame, self._slabs, self._chroma = frame, slabs, chroma
        self._tables = transposed(tables)

    def __iter__(self) -> Iterator[Spectrum]:
        spectra, number, layout = [Spectrum.empty(self._frame.blocks_per_row) for _ in range(2)], 0, self._frame.layout
        for slab in self._slabs:
            for row in slab.reshape(-1, self._frame.blocks_per_row, 64):
                made, number = spectra[number % 2], number + 1
                spectrum.from_quantized(row, layout, self._chroma, self._tables, made.coefficients, made.energy)
                yield made


def transposed(tables: Sequence[Table]) -> NDArray[np.float32]:
    """Return tables in the order of spectra, (components, 64) float32."""
    found = np.empty((len(tables), 64), np.float32)
    found[:, TRANSPOSED] = tables
    return found


Input = TypeVar("Input")


class _Work:
    """The arrays of one image, whose MCU rows are quantized when the next one is known."""

    def __init__(self, frame: Frame, means: tuple[NDArray[np.float32], ...]) -> None:
        rows = [Spectrum.empty(frame.blocks_per_row) for _ in range(2)]
        self.spectra = tuple(array for row in rows for array in (row.coefficients, row.energy))
        self.means, self.state = means, np.zeros(spectrum.STATE, np.int64)
        self.out = frame.new_slab()
        self._left, self._blocks = frame.mcu_rows, frame.blocks_per_row

    def slabs(
        self, inputs: Iterable[tuple[int, Input]], call: Callable[[Input], int], nothing: Input
    ) -> Iterator[Slab]:
        """Yield what `call` leaves in `out`, for each input and its number of MCU rows."""
        for rows, given in inputs:
            self._left -= rows
            self.state[spectrum.LAST] = self._left == 0
            if made := call(given):
                yield self.out[: made * self._blocks]
        if self.state[spectrum.WAITING]:
            yield self.out[: call(nothing) * self._blocks]


@lru_cache(64)
def quantization(tables: tuple[bytes, ...], distance: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return reciprocals and slopes for `quantize.dead_zone`.

    tables  each component's, 64 uint16 in zig-zag order
    """
    made = [reciprocals(np.frombuffer(table, np.uint16)) for table in tables]
    return np.array(made), perceptual.dead_zones(distance, len(tables))


class AdaptiveQuantizer:
    """Quantization of spectra to slabs.

    tables    each component's, zig-zag
    distance  of `perceptual`, for dead zones and codes
    chroma    whether the second and the third component are chroma
    """

    def __init__(self, frame: Frame, tables: Sequence[Table], distance: float, effort: Effort, chroma: bool) -> None:
        self._frame, self._chroma, self._best = frame, chroma, effort is Effort.BEST
        count = len(frame.components)
        self._quantization = quantization(tuple(table.tobytes() for table in tables), distance)
        self._lengths: list[NDArray[np.float32]] = []
        if self._best:
            codes = static_codes.codes_for(distance, 3)
            self._weights = perceptual.trellis_weights(distance, count)
            self._lengths = [
                (code_table(*codes.specs[1, int(chroma and c > 0)]) & 63).astype(np.float32) for c in range(count)
            ]
            self._trellis = np.empty((TRELLIS_BLOCKS, 64), np.float32), np.empty(TRELLIS_BLOCKS, np.float32)
        self._lines = frame.layout.tolist()[: 1 if chroma else count]
        blocks, across = frame.blocks_per_row, int(frame.layout[:, 1].max())
        self._factor, self._scratch = np.empty(blocks, np.float32), np.empty((2, blocks), np.float32)
        self._above, self._below = (np.empty((count, across), np.float32) for _ in range(2))

    def requantized(self, slabs: Iterable[Slab], source: Sequence[Table]) -> Iterator[Slab]:
        """Yield slabs from those of a file with the tables `source`; the array is reused for each."""
        if self._best:
            yield from self.quantized(CoefficientSpectra(self._frame, slabs, source, self._chroma))
            return
        tables = transposed(source)
        work = _Work(self._frame, (self._above, self._below, self._scratch, self._factor))

        def requantized(slab: Slab) -> int:
            count: int = spectrum.requantize(
                slab, self._frame.layout, self._chroma, tables, self._quantization,
                work.spectra, work.means, work.state, work.out,
            )  # fmt: skip
            return count

        blocks = self._frame.blocks_per_row
        yield from work.slabs(((len(slab) // blocks, slab) for slab in slabs), requantized, work.out[:0])

    def from_pixels(self, bands: Iterable[Band], overshoot: Table | None) -> Iterator[Slab]:
        """Yield slabs from bands of pixels; the array is reused for each. Parameters as in `PixelSpectra`."""
        if self._best:
            yield from self.quantized(PixelSpectra(self._frame, bands, overshoot))
            return
        frame, step = self._frame, 8 * self._frame.v_max
        work = _Work(frame, (self._above, self._below, self._scratch, self._factor))
        sharp_arrays = *(np.empty(shape, np.int16) for shape in plane_shapes(frame)), *sharp.sharp_scratch()

        def quantized(window: Band) -> int:
            count: int = spectrum.quantize_pixels(
                window, frame.layout, sharp_arrays, self._quantization, work.spectra, work.means, work.state, work.out
            )
            return count

        def windows() -> Iterator[tuple[int, Band]]:
            left = frame.mcu_rows
            lines = band_lines(frame.width, step)
            for window, top in row_windows(bands, lines, step * frame.slab_rows, sharp.MARGIN):
                rows = min(left, frame.slab_rows)
                left -= rows
                work.state[spectrum.TOP], work.state[spectrum.ROWS] = top, rows
                yield rows, window
            work.state[spectrum.ROWS] = 0

        yield from work.slabs(windows(), quantized, np.empty((0, 0), np.uint8))

    def quantized(self, spectra: Iterable[Spectrum]) -> Iterator[Slab]:
        """Yield slabs; the array is reused for each."""
        blocks = self._frame.blocks_per_row
        slab, filled = self._frame.new_slab(), 0
        for _ in self._quantized_rows(spectra, slab):
            filled += blocks
            if filled == len(slab):
                yield slab
                filled = 0
        if filled:
            yield slab[:filled]

    def _quantized_rows(self, spectra: Iterable[Spectrum], slab: Slab) -> Iterator[None]:
        """Quantize rows to the rows of a slab, in turn."""
        above, below = self._above, self._below
        rows = cycle(slab.reshape(-1, self._frame.blocks_per_row, 64))
        waiting: Spectrum | None = None
        for made in spectra:
            if waiting is None:
                self._line(made, 0, above)
            else:
                self._line(made, 0, below)
                self._quantize(waiting, above, below, next(rows))
                yield
                self._line(waiting, -1, above)
            waiting = made
        if waiting is not None:
            self._line(waiting, -1, below)
            self._quantize(waiting, above, below, next(rows))
            yield

    def _line(self, made: Spectrum, number: int, out: NDArray[np.float32]) -> None:
        """Copy the means of the first (0) or the last (-1) line of blocks of each component, except chroma."""
        for c, (first, across, _, down) in enumerate(self._lines):
            at = first + (number % down) * across
            out[c, :across] = made.energy[2, at : at + across]

    def _quantize(self, made: Spectrum, above: NDArray[np.float32], below: NDArray[np.float32], row: Slab) -> None:
        layout = self._frame.layout
        spectrum.factors(layout, self._chroma, above, made.energy, below, self._scratch, self._factor)
        if self._best:
            self._search(made, row)
        else:
            spectrum.quantize_row(made.coefficients, layout, self._quantization, self._factor, row)

    def _search(self, made: Spectrum, row: Slab) -> None:
        """Quantize a row by the trellis, in parts."""
        for c, (first, across, _, down) in enumerate(self._frame.layout.tolist()):
            for at in range(first, first + across * down, TRELLIS_BLOCKS):
                count = min(TRELLIS_BLOCKS, first + across * down - at)
                spectrum.trellis_part(
                    made.coefficients, at, count, self._quantization[0][c], self._factor, self._weights[c],
                    self._lengths[c], self._trellis, row,
                )  # fmt: skip
