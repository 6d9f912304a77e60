"""Perceptual quantization tables: nodes, order, and the scale of qualities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.jpeg import perceptual, requantize
from compressor.jpeg.tables import quantization_table
from compressor.kernels.dct import TRANSPOSED
from compressor.settings import Effort
from compressor.t81 import ZIGZAG

DISTANCES = st.floats(0.02, 200)
COMPONENTS = perceptual.PRESENT.curves


def natural(table: NDArray[np.generic]) -> NDArray[np.generic]:
    """Reorder (64,) zig-zag to (8, 8)."""
    out = np.empty(64, table.dtype)
    out[ZIGZAG] = table
    return out.reshape(8, 8)


@pytest.mark.parametrize("node", range(len(perceptual.PRESENT.distances)))
def test_nodes_have_the_tables_that_are_written_there(node: int) -> None:
    tables = perceptual.quantization_tables(perceptual.PRESENT.distances[node], 3)

    for table, curve in zip(tables, COMPONENTS, strict=True):
        np.testing.assert_array_equal(table, np.clip(np.rint(np.exp(curve[node])), 1, 255))


def test_some_entries_of_the_matrices_are_correct() -> None:
    """Some of the matrices, by row and column."""
    y, cb, cr = (natural(np.exp(curve[2])) for curve in COMPONENTS)

    assert y[0, 0] == pytest.approx(7.9) and y[1, 0] == y[0, 1] == pytest.approx(10.2)
    assert y[7, 0] == y[0, 7] == pytest.approx(41.4) and y[7, 7] == pytest.approx(48.8)
    assert cb[6, 2] == cb[2, 6] == pytest.approx(400.9) and cr[4, 3] == cr[3, 4] == pytest.approx(40.6)


@settings(deadline=None)
@given(DISTANCES)
def test_tables_are_symmetric_and_fit_eight_bits(distance: float) -> None:
    for table in perceptual.quantization_tables(distance, 3):
        assert table.shape == (64,) and table.dtype == np.uint16
        assert table.min() >= 1 and table.max() <= 255
        np.testing.assert_array_equal(natural(table), natural(table).T)


@settings(deadline=None)
@given(DISTANCES, st.floats(1, 3))
def test_a_larger_distance_has_no_finer_step(distance: float, times: float) -> None:
    near = perceptual.quantization_tables(distance, 3)
    far = perceptual.quantization_tables(distance * times, 3)

    assert all((a <= b).all() for a, b in zip(near, far, strict=True))


def test_tables_have_no_jump_at_the_nodes() -> None:
    for distance in perceptual.PRESENT.distances:
        below, above = (perceptual.quantization_tables(distance * (1 + e), 3) for e in (-1e-9, 1e-9))

        assert np.abs(np.subtract(below, above, dtype=int)).max() <= 1  # where a node is x.5, either way


def test_tables_scale_with_the_distance_beyond_the_nodes() -> None:
    """Proportionally, except the lowest frequencies above the last node."""
    y = perceptual.PRESENT.curves[0]
    below = perceptual.quantization_tables(0.55, 1)[0]
    assert abs(below - np.maximum(1, np.exp(y[0]) / 2)).max() <= 0.5 + 1e-9

    above = natural(perceptual.quantization_tables(10.0, 1)[0])
    for (v, u), exponent in {(0, 0): 1, (0, 1): 0.51, (0, 2): 0.67, (1, 1): 0.66, (0, 3): 0.74, (1, 2): 0.69}.items():
        assert above[v, u] == np.rint(natural(np.exp(y[2]))[v, u] * 2**exponent)


def test_grey_has_the_table_of_luma() -> None:
    grey, color = (perceptual.quantization_tables(2.0, components) for components in (1, 3))

    assert len(grey) == 1 and len(color) == 3
    np.testing.assert_array_equal(grey[0], color[0])


@pytest.mark.parametrize("effort", Effort)
def test_a_higher_quality_has_a_smaller_distance(effort: Effort) -> None:
    distances = [perceptual.distance_for(quality, effort) for quality in range(1, 101)]

    assert all(np.diff(distances) < 0)
    assert distances[-1] > 0
    for quality, distance in zip(perceptual.QUALITIES, perceptual.SCALES[effort], strict=True):
        assert perceptual.distance_for(quality, effort) == pytest.approx(distance)


@pytest.mark.parametrize("effort", Effort)
def test_the_best_quality_rounds_luma_only_to_integers(effort: Effort) -> None:
    assert (perceptual.quantization_tables(perceptual.distance_for(100, effort), 1)[0] == 1).all()


@pytest.mark.parametrize("components", [1, 3])
def test_dead_zones_spare_dc_and_grow_with_frequency_and_distance(components: int) -> None:
    slopes = perceptual.dead_zones(2.0, components)

    assert slopes.shape == (components, 64) and slopes.dtype == np.float32
    assert (slopes[:, 0] == 0).all() and (slopes[:, 1:] > 0).all()
    frequency = (ZIGZAG // 8 + ZIGZAG % 8)[1:]
    order = np.argsort(frequency, kind="stable")
    assert (np.diff(slopes[0, TRANSPOSED][1:][order]) >= 0).all()
    assert (perceptual.dead_zones(4.0, components)[:, 1:] > slopes[:, 1:]).all()


@pytest.mark.parametrize("effort", list(Effort))
@pytest.mark.parametrize("quality", [20, 30, 50, 60, 75, 80, 85, 90, 95])
def test_a_source_no_finer_than_requested_is_not_requantized(effort: Effort, quality: int) -> None:
    wanted = perceptual.quantization_tables(perceptual.distance_for(quality, effort), 1)[0]

    assert not requantize.is_worth_requantizing(wanted, wanted, quality)
    assert not requantize.is_worth_requantizing(quantization_table(quality, False), wanted, quality)
    assert not requantize.is_worth_requantizing(quantization_table(quality - 5, False), wanted, quality)
    assert requantize.is_worth_requantizing(quantization_table(min(100, quality + 15), False), wanted, quality)
