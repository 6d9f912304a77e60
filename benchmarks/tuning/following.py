"""Encoding that follows the gradient of SSIMULACRA2: what it saves says whether an effort should do so.

With `fine`, luma follows the norms of `FineLuma` instead, and chroma still the score.

The coefficients are those of `best`, in steps of quantization, and so are the masking factors and the trellis. What the
trellis is given moves from its own answer against the gradient, as often as there are steps:

    g = d(-score) / d(coefficient)  of the decoded answer, times step and masking factor, divided by the root mean
                                    square of the component in the first step
    h = 0.9 g, at most CLIP         smoothly
    s = LEAK s - RATES[i] (h - (answer - x))            x: the unquantized coefficient
    answer = the trellis for x + s

It keeps the whole image and computes slowly, see `gradient.py`.
"""

import contextlib
from collections.abc import Iterable, Iterator
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.tuning.decoding import RGB, Components, Decoder, samples, samples_transposed
from benchmarks.tuning.gradient import Array, FineLuma, Gradient
from compressor.jpeg import adaptive_quantization, perceptual, writer
from compressor.jpeg.adaptive_quantization import AdaptiveQuantizer
from compressor.jpeg.frame import Frame, Slab
from compressor.jpeg.tables import Table
from compressor.kernels import dering, sharp, spectrum, trellis
from compressor.kernels.dct import SCALE, TRANSPOSED
from compressor.tiles import Band

# Found on photographs with the tables of `table_sets.SSIMULACRA2`: with rates of nearly twice the size butteraugli took
# 4 % more bytes, and without a leak all was lost after six steps.
RATES = (0.18, 0.144, 0.115)
LEAK, CLIP, SIZE = 0.7, 0.8, 0.9
COLOR = 1.4  # factor of the steps of chroma
WEIGHT = 0.9  # factor of the weight of a bit
UNIT = 1 / SCALE[TRANSPOSED]
LUMA = np.linalg.inv(RGB)[0]  # of R, G and B

Floats = npt.NDArray[np.float32]


class Spectra:
    """Coefficients of a whole image as `best` quantizes them: in steps, (rows, columns, 64) zig-zag for each component.

    coefficients  unquantized
    factors       masking factors, (rows, columns, 1)
    """

    def __init__(self, pixels: Band, frame: Frame, quantizer: AdaptiveQuantizer, tables: list[Table]) -> None:
        self._frame, self._quantizer, self.tables = frame, quantizer, tables
        rows, factors = zip(*self._rows(pixels), strict=True)
        self.coefficients = [
            grid / table for grid, table in zip(self._grids(np.stack(rows) * UNIT), tables, strict=True)
        ]
        self.factors = self._grids(np.stack(factors)[:, :, None])

    def _rows(self, pixels: Band) -> Iterator[tuple[Floats, Floats]]:
        """Yield the coefficients and the masking factors of each MCU row. The kernel gives the factors a row later."""
        frame = self._frame
        blocks, across = frame.blocks_per_row, int(frame.layout[:, 1].max())
        planes = (np.empty(shape, np.int16) for shape in adaptive_quantization.plane_shapes(frame))
        scratch = *planes, *sharp.sharp_scratch(), dering.shrinkage(self.tables[0]), np.empty((7, 64), np.float32)
        empty = [np.empty((size, blocks), np.float32) for size in (3, 3, 2)]
        spectra = np.empty((blocks, 64), np.float32), empty[0], np.empty((blocks, 64), np.float32), empty[1]
        lines = (np.empty((3, across), np.float32) for _ in range(2))
        means = *lines, empty[2], np.empty(blocks, np.float32)
        state, out = np.zeros(spectrum.STATE, np.int64), np.empty((blocks, 64), np.int16)
        waiting = np.empty(0, np.float32)
        for row in range(frame.mcu_rows + 1):
            last = row == frame.mcu_rows
            state[[spectrum.TOP, spectrum.ROWS, spectrum.LAST]] = 8 * frame.v_max * row, int(not last), int(last)
            arguments = scratch, self._quantizer.quantization, spectra, means, state, out
            while spectrum.quantize_pixels(pixels, frame.layout, *arguments) < 0:
                pass
            if row:
                yield waiting, means[3].copy()
            waiting = spectra[2 - 2 * state[spectrum.SLOT]][:, TRANSPOSED]

    def _grids(self, rows: Floats) -> Components:
        """Return each component's blocks as (rows, columns, n), given those of MCU rows, (mcu_rows, blocks, n)."""
        found = []
        for first, across, _, down in self._frame.layout.tolist():
            part = rows[:, first : first + across * down].astype(np.float64)
            found.append(part.reshape(-1, across, rows.shape[2]))
        return found

    def quantized(self, coefficients: Components, weight: float = 1.0) -> Components:
        """Return what the trellis makes of coefficients, with a factor of the weight of a bit."""
        _, _, weights, rates, margins = self._quantizer.quantization
        found = []
        for number, component in enumerate(coefficients):
            x = component.reshape(-1, 64).astype(np.float32)
            weight_of_bit = (self.factors[number].ravel() * weights[number] * weight).astype(np.float32)
            out = np.empty(x.shape, np.int16)
            trellis.trellis(x, 0, len(x), weight_of_bit, rates[number], margins[number], out)
            found.append(out.reshape(component.shape).astype(np.float64))
        return found

    def slabs(self, quantized: Components) -> Iterator[Slab]:
        """Yield slabs of an MCU row each."""
        for row in range(self._frame.mcu_rows):
            slab = np.empty((self._frame.blocks_per_row, 64), np.int16)
            for (first, across, _, down), blocks in zip(self._frame.layout.tolist(), quantized, strict=True):
                slab[first : first + across * down] = blocks[row * down : (row + 1) * down].reshape(-1, 64)
            yield slab


class Loss:
    """The gradient that is followed: of what is lost of the score, with `fine` for luma of `FineLuma`.

    pixels  (height, width, 3)
    """

    def __init__(self, pixels: npt.NDArray[np.uint8], fine: bool) -> None:
        self._height, self._width, _ = pixels.shape
        self._score, self._decoder = Gradient(pixels), Decoder(self._width, self._height)
        self._luma = FineLuma(pixels @ LUMA) if fine else None

    def by_coefficient(self, components: Components) -> Components:
        """Return the gradient by dequantized coefficients."""
        _, by_sample = self._score(self._decoder.decoded(components))
        found = self._decoder.transposed(-by_sample, components)
        if self._luma is not None:
            found[0] = self._by_luma(self._luma, components[0])
        return found

    def _by_luma(self, luma: FineLuma, component: Array) -> Array:
        shown = samples(component) + 128
        part = np.clip(shown, 0, 255)[: self._height, : self._width]
        by_sample = np.zeros_like(shown)
        by_sample[: self._height, : self._width] = luma(part)[1]
        by_sample[(shown < 0) | (shown > 255)] = 0
        return samples_transposed(by_sample)


def followed(spectra: Spectra, loss: Loss, steps: int) -> Components:
    """Return quantized coefficients after some steps, at most as many as there are RATES."""
    answer = spectra.quantized(spectra.coefficients)
    moved = [np.zeros_like(component) for component in answer]
    sizes: list[float] = []
    for rate in RATES[:steps]:
        shown = [component * table for component, table in zip(answer, spectra.tables, strict=True)]
        for number, by_coefficient in enumerate(loss.by_coefficient(shown)):
            g = by_coefficient * spectra.tables[number] * spectra.factors[number]
            if len(sizes) == number:
                sizes.append(max(float(np.sqrt((g * g).mean())), 1e-30))
            h = SIZE / sizes[number] * g
            h /= np.sqrt(1 + (h / CLIP) ** 2)
            change = h - (answer[number] - spectra.coefficients[number])
            moved[number] = LEAK * moved[number] - rate * (COLOR if number else 1) * change
        wanted = [x + move for x, move in zip(spectra.coefficients, moved, strict=True)]
        answer = spectra.quantized(wanted, WEIGHT)
    return answer


@contextlib.contextmanager
def following(distance: float, steps: int, fine: bool = False) -> Iterator[None]:
    """Let every encoding of RGB by `best`, 4:2:0, at a distance, follow the gradient."""

    def from_pixels(quantizer: AdaptiveQuantizer, bands: Iterable[Band], _: Table | None) -> Iterator[Slab]:
        if not len(quantizer.quantization[2]):
            raise ValueError("only `best` can follow a gradient: other efforts have no trellis")
        pixels = np.concatenate([band.copy() for band in bands])
        height, width = pixels.shape[0], pixels.shape[1] // 3
        frame = writer.frame_for(width, height, 3, "420")
        spectra = Spectra(pixels, frame, quantizer, perceptual.quantization_tables(distance, 3))
        return spectra.slabs(followed(spectra, Loss(pixels.reshape(height, width, 3), fine), steps))

    with mock.patch.object(AdaptiveQuantizer, "from_pixels", from_pixels):
        yield
