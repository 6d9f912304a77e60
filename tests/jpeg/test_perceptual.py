"""Perceptual quantization tables: nodes, order, and the scale of qualities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.jpeg import perceptual, requantize, table_sets
from compressor.jpeg.tables import quantization_table
from compressor.kernels.dct import TRANSPOSED
from compressor.settings import Effort
from compressor.t81 import ZIGZAG

DISTANCES = st.floats(0.02, 200)
FIRST = table_sets.SSIMULACRA2


def natural(table: NDArray[np.generic]) -> NDArray[np.generic]:
    """Reorder (64,) zig-zag to (8, 8)."""
    out = np.empty(64, table.dtype)
    out[ZIGZAG] = table
    return out.reshape(8, 8)


@pytest.mark.parametrize("tables", perceptual.TABLE_SETS)
def test_nodes_have_the_tables_that_are_written_there(tables: table_sets.TableSet) -> None:
    for node, distance in enumerate(tables.distances):
        made = perceptual.quantization_tables(distance, 3, tables)
        for table, curve in zip(made, tables.curves, strict=True):
            np.testing.assert_array_equal(table, np.clip(np.rint(np.exp(curve[node])), 1, 255))


def test_some_entries_of_the_matrices_are_correct() -> None:
    """Some of the matrices, by row and column."""
    y, cb, cr = (natural(np.exp(curve[2])) for curve in FIRST.curves)

    assert y[0, 0] == pytest.approx(7.9) and y[1, 0] == y[0, 1] == pytest.approx(10.2)
    assert y[7, 0] == y[0, 7] == pytest.approx(41.4) and y[7, 7] == pytest.approx(48.8)
    assert cb[6, 2] == cb[2, 6] == pytest.approx(400.9) and cr[4, 3] == cr[3, 4] == pytest.approx(40.6)


@given(DISTANCES, st.sampled_from(perceptual.TABLE_SETS))
def test_tables_are_symmetric_and_fit_eight_bits(distance: float, tables: table_sets.TableSet) -> None:
    for table in perceptual.quantization_tables(distance, 3, tables):
        assert table.shape == (64,) and table.dtype == np.uint16
        assert table.min() >= 1 and table.max() <= 255
        np.testing.assert_array_equal(natural(table), natural(table).T)


@given(DISTANCES, st.floats(1, 3), st.sampled_from(perceptual.TABLE_SETS))
def test_a_larger_distance_has_no_finer_step(distance: float, times: float, tables: table_sets.TableSet) -> None:
    near = perceptual.quantization_tables(distance, 3, tables)
    far = perceptual.quantization_tables(distance * times, 3, tables)

    assert all((a <= b).all() for a, b in zip(near, far, strict=True))


@pytest.mark.parametrize("tables", perceptual.TABLE_SETS)
def test_tables_have_no_jump_at_the_nodes(tables: table_sets.TableSet) -> None:
    for distance in tables.distances:
        below, above = (perceptual.quantization_tables(distance * (1 + e), 3, tables) for e in (-1e-9, 1e-9))

        assert np.abs(np.subtract(below, above, dtype=int)).max() <= 1  # where a node is x.5, either way


def test_tables_scale_with_the_distance_beyond_the_nodes() -> None:
    """Proportionally, except the lowest frequencies above the last node."""
    y = FIRST.curves[0]
    below = perceptual.quantization_tables(0.55, 1, FIRST)[0]
    assert abs(below - np.maximum(1, np.exp(y[0]) / 2)).max() <= 0.5 + 1e-9

    above = natural(perceptual.quantization_tables(10.0, 1, FIRST)[0])
    for (v, u), exponent in {(0, 0): 1, (0, 1): 0.51, (0, 2): 0.67, (1, 1): 0.66, (0, 3): 0.74, (1, 2): 0.69}.items():
        assert above[v, u] == np.rint(natural(np.exp(y[2]))[v, u] * 2**exponent)


@pytest.mark.parametrize("effort", Effort)
def test_the_present_tables_are_between_robidouxs_and_the_first_set(effort: Effort) -> None:
    """Luma: a geometric mean, when Robidoux's table is scaled to the mean of 28 steps; DC and chroma are multiplied."""
    for distance in (1.3, 4.0, 12.0):
        ours, first = (np.log(tables.table(0, distance)) for tables in (perceptual.table_set_of(effort), FIRST))
        robidoux = table_sets.ROBIDOUX + (first - table_sets.ROBIDOUX)[:28].mean()
        low, high = np.minimum(first, robidoux), np.maximum(first, robidoux)
        inside = (ours >= low - 0.2) & (ours <= high + 0.2)  # all are rounded
        assert inside[1:].all()


@pytest.mark.parametrize("tables", perceptual.TABLE_SETS)
def test_tables_at_several_distances_are_those_at_each(tables: table_sets.TableSet) -> None:
    distances = np.array([0.03, 0.5, 1.1, 1.7, 2.4, 3.3, 5.0, 7.0, 60.0])
    for component in range(3):
        each = [tables.table(component, float(distance)) for distance in distances]
        np.testing.assert_array_equal(tables.tables(component, distances), each)


@pytest.mark.parametrize("factors", [{"dc": 2.0, "color": 1.0}, {"dc": 1.0, "color": 1.5, "cb": 1.2}])
def test_a_scaled_set_has_coarser_steps_of_dc_of_chroma_and_of_cb(factors: dict[str, float]) -> None:
    scaled, dc, color, cb = FIRST.scaled(**factors), factors["dc"], factors["color"], factors.get("cb", 1.0)
    for component, factor in enumerate((1, color * cb, color)):
        ratio = np.exp(scaled.curves[component][1] - FIRST.curves[component][1])
        assert ratio[0] == pytest.approx(factor * dc)
        assert ratio[1:] == pytest.approx(factor)


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


def test_a_blend_of_nothing_is_the_first_set_and_a_full_one_has_the_shape_of_robidouxs_table() -> None:
    none, full = table_sets.blend(FIRST, 0, 0), table_sets.blend(FIRST, 1, 1)
    for distance in (0.7, 2.0, 9.0):
        for component in range(3):
            np.testing.assert_array_equal(none.table(component, distance), FIRST.table(component, distance))
    steps = full.table(0, 5.0)[:28] / np.exp(table_sets.ROBIDOUX[:28])
    assert steps.max() / steps.min() < 1.06  # rounded
    ours = np.log(FIRST.table(0, 5.0)[:28]).mean()
    assert np.log(full.table(0, 5.0)[:28]).mean() == pytest.approx(ours, abs=0.02)
