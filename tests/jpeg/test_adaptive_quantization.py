"""Spectra, masking factors and adaptive quantization by rows, compared with whole planes computed at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.jpeg import adaptive_quantization, perceptual, requantize, static_codes, writer
from compressor.jpeg.frame import Component, Frame, Slab
from compressor.kernels import spectrum as kernel
from compressor.kernels.dct import SCALE, TRANSPOSED
from compressor.kernels.huffman_encode import code_table
from compressor.settings import Effort
from compressor.t81 import ZIGZAG
from tests.pipeline.test_pipeline import photograph
from tests.reference import adaptive_quantization as reference
from tests.reference import dct, dering, sharp, spectrum, trellis

Array = NDArray[np.float64]
DISTANCE = 2.0


def unscaled(coefficients: NDArray[np.float32]) -> Array:
    """Return S in zig-zag order from the DCT's outputs."""
    values: Array = (coefficients / SCALE)[:, TRANSPOSED]
    return values


def extreme(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels with more contrast, so that many are black or white."""
    return np.clip((pixels.astype(np.int16) - 128) * 3 + 128, 0, 255).astype(np.uint8)


def grids(frame: Frame, rows: list[Array]) -> list[Array]:
    """Return the values of each component (lines, columns, …), from MCU rows in the order of `Frame.layout`."""
    return [
        np.concatenate([row[first : first + per_line * v].reshape(v, per_line, *row.shape[1:]) for row in rows])
        for first, per_line, _, v in frame.layout.tolist()
    ]


def spectra_of(frame: Frame, pixels: NDArray[np.uint8], lines: int) -> list[reference.Spectrum]:
    """Return all spectra of an image in bands of `lines`."""
    flat = pixels.reshape(len(pixels), -1)
    bands = (flat[top : top + lines] for top in range(0, len(flat), lines))
    return list(reference.pixel_spectra(frame, bands))


@pytest.mark.parametrize("lines", [1, 7, 16, 40, 1000])
@pytest.mark.parametrize("height", [1, 15, 16, 17, 50])
def test_windows_contain_each_mcu_row_with_its_margins_however_the_lines_arrive(lines: int, height: int) -> None:
    image = np.arange(height * 3, dtype=np.uint8).reshape(height, 3)
    bands = (image[top : top + lines] for top in range(0, height, lines))
    tops = range(0, height, 16)

    for top, (window, at) in zip(tops, adaptive_quantization.row_windows(bands, 32, 16, 3), strict=True):
        above, below = min(3, top), min(16 + 3, height - top)
        np.testing.assert_array_equal(window[at - above : at + below], image[top - above : top + below])
        assert at >= above and len(window) >= at + below


def test_extreme_samples_leave_the_range_if_a_table_is_given() -> None:
    page = np.tile(np.where(np.arange(64) % 11 < 3, 0, 255).astype(np.uint8), (8, 1))
    frame = writer.frame_for(64, 8, 1, "444")

    for overshoot in (None, np.full(64, 20, np.uint16)):
        (made,) = [one.coefficients for one in reference.pixel_spectra(frame, [page], overshoot)]
        blocks = np.empty((8, 64))
        blocks[:, ZIGZAG] = unscaled(made)
        samples = np.hstack(list(dering.DCT.T @ blocks.reshape(8, 8, 8) @ dering.DCT)) + 128
        np.testing.assert_allclose(np.clip(samples, 0, 255), page, atol=0.5)
        assert (samples.max() > 265) == (overshoot is not None)


@pytest.mark.parametrize("subsampling, h, v", [("420", 2, 2), ("422", 2, 1), ("444", 1, 1)])
def test_spectra_are_the_transform_of_the_sharp_planes(subsampling: str, h: int, v: int) -> None:
    pixels = photograph(48, 80)
    frame = writer.frame_for(80, 48, 3, subsampling)
    flat = np.ones(64, np.uint16)

    found = grids(frame, [unscaled(one.coefficients) for one in spectra_of(frame, pixels, 16)])
    for grid, plane in zip(found, sharp.planes(pixels, h, v), strict=True):
        expected = dct.quotients(plane / 16, flat).reshape(plane.shape[0] // 8, plane.shape[1] // 8, 64)
        lines, columns = expected.shape[:2]
        # Luma may differ by a sixteenth and, rarely, more: see the tests of the planes.
        assert np.abs(grid[:lines, :columns] - expected).mean() < 0.05
        assert np.abs(grid[:lines, :columns] - expected).max() < 4


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
def test_factors_depend_on_all_neighbors_across_rows(subsampling: str) -> None:
    frame = writer.frame_for(70, 61, 3, subsampling)
    spectra = spectra_of(frame, photograph(61, 70), 8)
    factors = [found.astype(np.float64) for found in reference.factors(frame, spectra, chroma=True)]

    luma, cb, cr = grids(frame, [unscaled(one.coefficients) for one in spectra])
    expected = [spectrum.luma_factors(luma), *[spectrum.chroma_factors(luma, cb, cr)] * 2]
    for found, wanted in zip(grids(frame, factors), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-3)


@pytest.mark.parametrize("effort", [Effort.BALANCED, Effort.BEST])
def test_rows_do_not_depend_on_how_pixels_arrive(effort: Effort) -> None:
    frame, pixels = writer.frame_for(100, 90, 3, "420"), photograph(90, 100)
    tables = perceptual.quantization_tables(DISTANCE, 3)

    def slabs(lines: int) -> Slab:
        flat = pixels.reshape(90, -1)
        bands = (flat[top : top + lines] for top in range(0, 90, lines))
        quantizer = adaptive_quantization.AdaptiveQuantizer(frame, tables, DISTANCE, effort, True)
        return np.concatenate([slab.copy() for slab in quantizer.from_pixels(bands, None)])

    whole = slabs(90)
    for lines in (1, 16, 33):
        np.testing.assert_array_equal(slabs(lines), whole)


def test_effort_best_is_as_good_as_the_trellis_of_the_reference() -> None:
    frame, pixels = writer.frame_for(64, 48, 1, "444"), photograph(48, 64, 1)
    tables = perceptual.quantization_tables(DISTANCE, 1)
    spectra = spectra_of(frame, pixels, 8)
    quantizer = adaptive_quantization.AdaptiveQuantizer(frame, tables, DISTANCE, Effort.BEST, chroma=False)
    lengths = (code_table(*static_codes.codes_for(DISTANCE, 1).specs[1, 0]) & 63).astype(np.float64)
    weight = perceptual.trellis_weights(DISTANCE, 1)[0]

    (slab,) = quantizer.from_pixels([pixels.reshape(48, 64)], None)
    rows = slab.reshape(-1, frame.blocks_per_row, 64)
    for one, factor, row in zip(spectra, reference.factors(frame, spectra, chroma=False), rows, strict=True):
        steps = unscaled(one.coefficients) / tables[0]
        for block in range(len(row)):
            lam = float(weight * factor[block])
            found = trellis.cost(steps[block].tolist(), row[block].tolist(), lam, lengths.tolist())
            least = trellis.least_cost(steps[block].tolist(), lam, lengths.tolist())
            assert found == pytest.approx(least, rel=1e-4)


def test_a_files_coefficients_are_dequantized() -> None:
    frame = Frame(50, 30, (Component(1, 2, 1, 0), Component(2, 1, 1, 1), Component(3, 1, 1, 1)))
    rng = np.random.default_rng(1)
    rows = [rng.integers(-1000, 1000, (frame.blocks_per_row, 64)).astype(np.int16) for _ in range(frame.mcu_rows)]
    tables = [rng.integers(1, 255, 64).astype(np.uint16) for _ in range(3)]

    made = list(reference.coefficient_spectra(frame, rows[-2:], tables, chroma=True))
    for one, row in zip(made, rows[-2:], strict=True):
        for (first, per_line, _, v), table in zip(frame.layout.tolist(), tables, strict=True):
            blocks = slice(first, first + per_line * v)
            expected = row[blocks].astype(np.float64) * table
            np.testing.assert_allclose(unscaled(one.coefficients[blocks]), expected, rtol=1e-5)


@pytest.mark.parametrize("effort", [Effort.BALANCED, Effort.BEST])
@pytest.mark.parametrize("chroma", [True, False])
@pytest.mark.parametrize("slab_blocks", [1, 40, 100, 2048])
def test_slabs_of_any_height_are_requantized_as_row_by_row(
    slab_blocks: int, chroma: bool, effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = Frame(50, 90, (Component(1, 2, 2, 0), Component(2, 1, 1, 1), Component(3, 1, 1, 2)))
    rng = np.random.default_rng(2)
    size = frame.mcu_rows * frame.blocks_per_row, 64
    whole = (rng.integers(-1000, 1000, size) >> rng.integers(0, 10, size)).astype(np.int16)
    source = [rng.integers(1, 9, 64).astype(np.uint16) for _ in range(3)]
    tables = perceptual.quantization_tables(DISTANCE, 3)
    monkeypatch.setattr("compressor.jpeg.frame.SLAB_BLOCKS", slab_blocks)
    step = frame.slab_blocks

    quantizer = adaptive_quantization.AdaptiveQuantizer(frame, tables, DISTANCE, effort, chroma)
    slabs = (whole[at : at + step] for at in range(0, len(whole), step))
    found = [slab.copy() for slab in quantizer.requantized(slabs, source)]
    spectra = reference.coefficient_spectra(frame, [whole], source, chroma)

    assert max(map(len, found)) <= step
    expected = reference.quantized(frame, spectra, quantizer.quantization, chroma)
    np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("subsampling, channels", [("420", 3), ("422", 3), ("444", 3), ("444", 1)])
@pytest.mark.parametrize("slab_blocks", [1, 100, 200, 2048])
@pytest.mark.parametrize("lines", [16, 48, 200])
@pytest.mark.parametrize("effort", [Effort.BALANCED, Effort.BEST])
def test_pixels_are_quantized_in_slabs_of_any_height_as_row_by_row(
    effort: Effort, lines: int, slab_blocks: int, subsampling: str, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = extreme(np.ascontiguousarray(photograph(133, 100)[..., :channels]))
    frame, flat = writer.frame_for(100, 133, channels, subsampling), pixels.reshape(133, -1)
    tables = perceptual.quantization_tables(DISTANCE, channels)
    monkeypatch.setattr("compressor.jpeg.frame.SLAB_BLOCKS", slab_blocks)

    overshoot = tables[0] if effort is Effort.BEST else None
    quantizer = adaptive_quantization.AdaptiveQuantizer(frame, tables, DISTANCE, effort, channels == 3)
    bands = (flat[top : top + lines] for top in range(0, len(flat), lines))
    found = [slab.copy() for slab in quantizer.from_pixels(bands, overshoot)]

    assert max(map(len, found)) <= frame.slab_blocks
    spectra = reference.pixel_spectra(frame, [flat], overshoot)
    expected = reference.quantized(frame, spectra, quantizer.quantization, channels == 3)
    np.testing.assert_array_equal(np.concatenate(found), expected)


@contextmanager
def results_of(name: str) -> Iterator[list[int]]:
    """Record what each call of a kernel of `spectrum` returns."""
    function, results = getattr(kernel, name), []

    def recorded(*arguments: Any) -> int:
        results.append(int(function(*arguments)))
        return results[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, name, recorded)
        yield results


@pytest.mark.parametrize("effort", [Effort.BALANCED, Effort.BEST])
def test_a_slab_of_a_photograph_takes_one_call(effort: Effort) -> None:
    pixels = photograph(512, 768)
    frame, tables = writer.frame_for(768, 512, 3, "420"), perceptual.quantization_tables(DISTANCE, 3)
    quantizer = adaptive_quantization.AdaptiveQuantizer(frame, tables, DISTANCE, effort, chroma=True)
    slabs, blocks = -(-frame.mcu_rows // frame.slab_rows), frame.mcu_rows * frame.blocks_per_row

    with results_of("quantize_pixels") as results:
        whole = np.concatenate([slab.copy() for slab in quantizer.from_pixels([pixels.reshape(512, -1)], tables[0])])
    assert len(whole) == blocks and slabs <= len(results) <= slabs + 1

    with results_of("requantize") as results:
        step = frame.slab_blocks
        for _ in quantizer.requantized((whole[at : at + step] for at in range(0, blocks, step)), tables):
            pass
    assert slabs <= len(results) <= slabs + 1


def test_a_wide_row_is_quantized_in_parts() -> None:
    """A row of more blocks than PART_MICROSECONDS are for, with samples that are deringed."""
    pixels = np.tile(extreme(photograph(32, 160)), (1, 80, 1))
    frame, flat = writer.frame_for(12800, 32, 3, "420"), pixels.reshape(32, -1)
    tables = perceptual.quantization_tables(DISTANCE, 3)
    quantizer = adaptive_quantization.AdaptiveQuantizer(frame, tables, DISTANCE, Effort.BEST, chroma=True)

    with results_of("quantize_pixels") as results:
        found = [slab.copy() for slab in quantizer.from_pixels([flat], tables[0])]

    blocks = frame.mcu_rows * frame.blocks_per_row
    assert results.count(-1) >= blocks * kernel.TRELLIS_MICROSECONDS // kernel.PART_MICROSECONDS
    spectra = reference.pixel_spectra(frame, [flat], tables[0])
    expected = reference.quantized(frame, spectra, quantizer.quantization, True)
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_a_lattice_is_kept_if_coarser_steps_would_miss_it() -> None:
    source, wanted = np.full(64, 10, np.uint16), np.arange(1, 65, dtype=np.uint16)
    kept = requantize.on_lattice(source, wanted)

    assert (kept >= source).all()
    assert (kept[:10] == 10).all()
    assert (kept[40:] == wanted[40:]).all()
