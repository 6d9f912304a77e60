"""Adaptive quantization: unquantized coefficients are weighted by visual masking, which depends on neighboring blocks,
then quantized with a dead zone or by a trellis.

    bands of pixels, or the slabs of a file  →  spectra, each of an MCU row  →  slabs

An MCU row is quantized when the one below it is known: masking uses the means of all neighbors. One kernel call does
all this for a slab. If that takes long (a page of text, noise, a row of more than a slab), it takes several calls of
10 milliseconds or less.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from compressor.cores import cores
from compressor.jpeg import perceptual, static_codes
from compressor.jpeg.frame import Frame, Slab
from compressor.jpeg.tables import Table
from compressor.kernels import dering, sharp, spectrum
from compressor.kernels.dct import TRANSPOSED
from compressor.kernels.huffman_encode import code_table
from compressor.kernels.quantize import reciprocals
from compressor.kernels.trellis import MARGINS, RATES, rates
from compressor.settings import Effort
from compressor.tiles import Band, band_lines

# For each block of a row: two spectra, their energies, the factor, contrast and mean luma, means above and below.
BYTES_PER_BLOCK = 2 * (64 + 3) * 4 + 3 * 4 + 2 * 4


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


def transposed(tables: Sequence[Table]) -> NDArray[np.float32]:
    """Return tables in the order of spectra, (components, 64) float32."""
    found = np.empty((len(tables), 64), np.float32)
    found[:, TRANSPOSED] = tables
    return found


Input = TypeVar("Input")


class _Work:
    """The arrays of one image, whose MCU rows are quantized when the next one is known."""

    def __init__(self, frame: Frame) -> None:
        blocks, count, across = frame.blocks_per_row, len(frame.components), int(frame.layout[:, 1].max())
        self.spectra = *_empty_spectrum(blocks), *_empty_spectrum(blocks)
        above, below = (np.empty((count, across), np.float32) for _ in range(2))
        self.means = above, below, np.empty((2, blocks), np.float32), np.empty(blocks, np.float32)
        self.state = np.zeros(spectrum.STATE, np.int64)
        self.out = frame.new_slab()
        self._left, self._blocks = frame.mcu_rows, blocks

    def slabs(
        self, inputs: Iterable[tuple[int, Input]], call: Callable[[Input], int], nothing: Input
    ) -> Iterator[Slab]:
        """Yield what `call` leaves in `out`, for each input and its number of MCU rows."""
        for rows, given in inputs:
            self._left -= rows
            self.state[spectrum.LAST] = self._left == 0
            if made := self._all(call, given):
                yield self.out[: made * self._blocks]
        if self.state[spectrum.WAITING]:
            yield self.out[: self._all(call, nothing) * self._blocks]

    def _all(self, call: Callable[[Input], int], given: Input) -> int:
        """Call until the input is done. Return the number of rows in `out`."""
        while (made := call(given)) < 0:
            cores.yield_if_contended()
        return made


def _empty_spectrum(blocks: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return coefficients and energy of an MCU row, see kernels/spectrum.py."""
    return np.empty((blocks, 64), np.float32), np.empty((3, blocks), np.float32)


Quantization = tuple[NDArray[np.float32], ...]


@lru_cache(64)
def dead_zone(tables: tuple[bytes, ...], distance: float) -> Quantization:
    """Return reciprocals and slopes for `quantize.dead_zone`.

    tables  each component's, 64 uint16 in zig-zag order
    """
    made = [reciprocals(np.frombuffer(table, np.uint16)) for table in tables]
    return np.array(made), perceptual.dead_zones(distance, len(tables))


NO_TRELLIS: Quantization = (
    np.empty(0, np.float32), np.empty((0, RATES), np.float32), np.empty((0, MARGINS), np.float32),
)  # fmt: skip


@lru_cache(16)
def trellis(distance: float, count: int, chroma: bool) -> Quantization:
    """Return weights, rates and margins of the trellis for `count` components."""
    rate, margin = np.empty((count, RATES), np.float32), np.empty((count, MARGINS), np.float32)
    codes = static_codes.codes_for(distance, 3)
    for c in range(count):
        lengths = code_table(*codes.specs[1, int(chroma and c > 0)]) & 63
        rates(lengths.astype(np.float32), rate[c], margin[c])
    return perceptual.trellis_weights(distance, count), rate, margin


class AdaptiveQuantizer:
    """Quantization of pixels, or of a file's coefficients, to slabs.

    tables    each component's, zig-zag
    distance  of `perceptual`, for dead zones and codes
    chroma    whether the second and the third component are chroma

    `quantization` is that of `spectrum.requantize`.
    """

    def __init__(self, frame: Frame, tables: Sequence[Table], distance: float, effort: Effort, chroma: bool) -> None:
        self._frame, self._chroma = frame, chroma
        search = trellis(distance, len(tables), chroma) if effort is Effort.BEST else NO_TRELLIS
        self.quantization = *dead_zone(tuple(table.tobytes() for table in tables), distance), *search

    def requantized(self, slabs: Iterable[Slab], source: Sequence[Table]) -> Iterator[Slab]:
        """Yield slabs from those of a file with the tables `source`; the array is reused for each."""
        tables, work = transposed(source), _Work(self._frame)

        def requantized(slab: Slab) -> int:
            count: int = spectrum.requantize(
                slab, self._frame.layout, self._chroma, tables, self.quantization,
                work.spectra, work.means, work.state, work.out,
            )  # fmt: skip
            return count

        blocks = self._frame.blocks_per_row
        yield from work.slabs(((len(slab) // blocks, slab) for slab in slabs), requantized, work.out[:0])

    def from_pixels(self, bands: Iterable[Band], overshoot: Table | None) -> Iterator[Slab]:
        """Yield slabs from bands of pixels; the array is reused for each.

        bands      (lines, width * components) uint8, of any height
        overshoot  luma's quantization table if samples may leave the range (kernels/dering.py), else None
        """
        frame, step, work = self._frame, 8 * self._frame.v_max, _Work(self._frame)
        shrink = np.zeros(64, np.float32) if overshoot is None else dering.shrinkage(overshoot)
        planes = (np.empty(shape, np.int16) for shape in plane_shapes(frame))
        sharp_arrays = *planes, *sharp.sharp_scratch(), shrink, np.empty((7, 64), np.float32)

        def quantized(window: Band) -> int:
            count: int = spectrum.quantize_pixels(
                window, frame.layout, sharp_arrays, self.quantization, work.spectra, work.means, work.state, work.out
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
