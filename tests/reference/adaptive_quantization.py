"""Adaptive quantization row by row: each step of `spectrum.requantize` and `spectrum.quantize_pixels` on its own."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.adaptive_quantization import Quantization, plane_shapes, row_windows, transposed
from compressor.jpeg.frame import Frame, Slab
from compressor.jpeg.tables import Table
from compressor.kernels import dct, dering, masking, quantize, sharp, spectrum, trellis
from compressor.tiles import Band


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Coefficients (n, 64) and energy (3, n) of an MCU row, float32, see kernels/spectrum.py."""

    coefficients: NDArray[np.float32]
    energy: NDArray[np.float32]

    @classmethod
    def empty(cls, blocks: int) -> "Spectrum":
        """Allocate a spectrum of `blocks` blocks."""
        return cls(np.empty((blocks, 64), np.float32), np.empty((3, blocks), np.float32))


def pixel_spectra(frame: Frame, bands: Iterable[Band], overshoot: Table | None = None) -> Iterator[Spectrum]:
    """Yield the spectra of bands of pixels. Parameters as in `AdaptiveQuantizer.from_pixels`."""
    step = 8 * frame.v_max
    shrink = np.zeros(64, np.float32) if overshoot is None else dering.shrinkage(overshoot)
    y, cb, cr = (np.empty(shape, np.int16) for shape in plane_shapes(frame))
    scratch = sharp.sharp_scratch()
    across, down = int(frame.layout[0, 1]), int(frame.layout[0, 3])
    for window, top in row_windows(bands, step, step, sharp.MARGIN):
        made = Spectrum.empty(frame.blocks_per_row)
        sharp.sharp_planes(window, top, frame.layout, y, cb, cr, *scratch)
        for line in range(down if shrink.any() else 0):
            dering.dering(y, 8 * line, 0, across, shrink, np.empty((7, 64), np.float32))
        for plane, (first, per_line, _, v) in zip((y, cb, cr), frame.layout.tolist(), strict=False):
            for line in range(v):
                dct.fdct(plane, 8 * line, per_line, made.coefficients, first + line * per_line)
        _measure(frame, made, chroma=True)
        yield made


def _measure(frame: Frame, made: Spectrum, chroma: bool) -> None:
    """Compute the energies of a row."""
    for c, (first, per_line, _, v) in enumerate(frame.layout.tolist()):
        weight = masking.CHROMA if chroma and c else masking.LUMA
        masking.energies(made.coefficients, first, per_line * v, weight, made.energy, first)


def coefficient_spectra(
    frame: Frame, slabs: Iterable[Slab], source: Sequence[Table], chroma: bool
) -> Iterator[Spectrum]:
    """Yield the spectra of slabs quantized by `source`, a table for each component."""
    tables = transposed(source)
    for slab in slabs:
        for row in slab.reshape(-1, frame.blocks_per_row, 64):
            made = Spectrum.empty(frame.blocks_per_row)
            for (first, per_line, _, v), table in zip(frame.layout.tolist(), tables, strict=True):
                part = slice(first, first + per_line * v)
                made.coefficients[part] = row[part][:, spectrum.ZIGZAGS] * table * spectrum.UNIT
            _measure(frame, made, chroma)
            yield made


def factors(frame: Frame, spectra: Sequence[Spectrum], chroma: bool) -> list[NDArray[np.float32]]:
    """Return the masking factors of each row."""
    blocks, made = frame.blocks_per_row, []
    for number, one in enumerate(spectra):
        above = _line(frame, spectra[number - 1], -1) if number else _line(frame, one, 0)
        below = _line(frame, spectra[number + 1], 0) if number + 1 < len(spectra) else _line(frame, one, -1)
        out = np.empty(blocks, np.float32)
        spectrum.factors(frame.layout, chroma, above, one.energy, below, np.empty((2, blocks), np.float32), out)
        made.append(out)
    return made


def _line(frame: Frame, made: Spectrum, number: int) -> NDArray[np.float32]:
    """Return the means of the first (0) or the last (-1) line of blocks of each component."""
    layout = frame.layout.tolist()
    out = np.zeros((len(layout), max(across for _, across, _, _ in layout)), np.float32)
    for c, (first, across, _, down) in enumerate(layout):
        at = first + (number % down) * across
        out[c, :across] = made.energy[2, at : at + across]
    return out


def quantized(frame: Frame, spectra: Iterable[Spectrum], quantization: Quantization, chroma: bool) -> Slab:
    """Return the coefficients of all rows. `quantization` is that of an `AdaptiveQuantizer`."""
    spectra, rows = list(spectra), []
    for one, factor in zip(spectra, factors(frame, spectra, chroma), strict=True):
        row = np.empty((frame.blocks_per_row, 64), np.int16)
        if len(quantization[2]):
            _search(frame, one, quantization, factor, row)
        else:
            for c, (first, across, _, down) in enumerate(frame.layout.tolist()):
                count = across * down
                quantize.dead_zone(one.coefficients, first, count, quantization[:2], c, factor, first, row, first)
        rows.append(row)
    return np.concatenate(rows)


def _search(frame: Frame, made: Spectrum, quantization: Quantization, factor: NDArray[np.float32], row: Slab) -> None:
    """Quantize a row by the trellis."""
    reciprocal, _, weight, rate, margin = quantization
    for c, (first, across, _, down) in enumerate(frame.layout.tolist()):
        part = slice(first, first + across * down)
        steps = np.ascontiguousarray((made.coefficients[part] * reciprocal[c])[:, spectrum.PLACES])
        trellis.trellis(steps, 0, len(steps), weight[c] * factor[part], rate[c], margin[c], row[part])
