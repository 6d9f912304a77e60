"""Histograms, nearest colors and error diffusion, compared with the twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels.png import palette as kernels
from compressor.kernels.png.histogram import COUNT, SHIFT, SUMS, TABLE, count_colors
from compressor.kernels.png.palette import diffuse, nearest_entries, place_colors
from compressor.png.histogram import Histogram, pixel_weights
from compressor.png.palette import points_of, prepared
from compressor.png.quantization import shares
from tests.reference import palette as reference

Image = NDArray[np.uint8]


def picture(height: int, width: int, channels: int, seed: int, steps: int = 256) -> Image:
    """Return a picture with flat, smooth and noisy parts; alpha is 0 in some of it."""
    rng = np.random.default_rng((height, width, channels, seed))
    slope = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None] + np.arange(channels) * 40
    found = slope + rng.integers(0, 60, (height, width, channels)) * (rng.random((height, width, 1)) < 0.3)
    found[: height // 3] = 77
    found[height // 2 :, : width // 3] = rng.integers(0, 256, channels)
    found = (found % 256) * steps // 256 * (256 // steps)
    if channels in (2, 4):
        found[..., -1][rng.random((height, width)) < 0.2] = 0
        found[..., -1][rng.random((height, width)) < 0.3] = 255
    return found.astype(np.uint8)


def counted(image: Image, slots: int, lines: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sums of all cells, sorted, and the state; `lines` are added at a time."""
    keys, sums = np.zeros((2, slots), np.uint32), np.zeros((2, slots, SUMS), np.int64)
    state = np.zeros(3, np.int64)
    above = image[0]
    for first in range(0, len(image), lines):
        part = image[first : first + lines]
        assert count_colors(part, above, pixel_weights(), keys, sums, state) == len(part)
        above = part[-1]
    found = sums[state[TABLE]]
    return np.array(sorted(found[found[:, 0] > 0].tolist())), state


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("height, width", [(1, 1), (7, 1), (1, 9), (20, 33)])
@pytest.mark.parametrize("lines", [1, 3])
def test_histograms_agree_with_the_reference(height: int, width: int, channels: int, lines: int) -> None:
    image = picture(height, width, channels, 1)

    found, state = counted(image, 2048, lines)

    expected = reference.histogram(image.tolist(), pixel_weights().tolist(), 1024)
    assert found.tolist() == expected
    assert state[COUNT] == len(expected)
    assert state[SHIFT] == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("slots", [64, 128, 256])
def test_cells_are_merged_as_by_the_reference_before_the_table_is_more_than_half_full(
    channels: int, slots: int
) -> None:
    image = np.random.default_rng(slots).integers(0, 256, (40, 40, channels), dtype=np.uint8)

    found, state = counted(image, slots, 7)

    assert found.tolist() == reference.histogram(image.tolist(), pixel_weights().tolist(), slots // 2)
    assert state[SHIFT] > 0
    assert state[COUNT] == len(found) <= slots // 2


def test_arrays_of_wrong_sizes_are_rejected() -> None:
    image = picture(4, 5, 3, 1)
    weights, state = pixel_weights(), np.zeros(3, np.int64)
    keys, sums = np.zeros((2, 64), np.uint32), np.zeros((2, 64, SUMS), np.int64)

    assert count_colors(image, image[0], weights[:255], keys, sums, state) == -1
    assert count_colors(image, image[0, :4], weights, keys, sums, state) == -1
    assert count_colors(image, image[0], weights, keys[:, :63].copy(), sums[:, :63].copy(), state) == -1
    assert count_colors(image, image[0], weights, keys, sums[:1], state) == -1
    table, errors, out = np.zeros((5, 256), np.int32), np.zeros((5, 4), np.int32), np.zeros((4, 5), np.uint8)
    assert diffuse(image, image[0], table[:4], 2, shares(), errors, out) == -1
    assert diffuse(image, image[0], table, 257, shares(), errors, out) == -1
    assert diffuse(image, image[0], table, 2, shares(), errors[:4], out) == -1
    assert diffuse(image, image[0], table, 2, shares(), errors, out[:, :4].copy()) == -1
    entries = np.zeros(3, np.int32)
    assert nearest_entries(np.zeros((4, 4), np.int32), table, 2, entries, entries.copy()) == -1
    assert place_colors(np.zeros((4, 4), np.uint8), np.zeros((3, 4), np.int32)) == -1


def test_points_agree_with_the_formula_and_squares_of_distances_have_23_bits() -> None:
    samples = [0, 1, 2, 100, 127, 128, 254, 255]
    colors = np.array([(r, 255 - r, g, a) for r in samples for g in samples for a in (0, 1, 90, 254, 255)], np.uint8)

    points = points_of(colors)

    assert points.tolist() == [list(reference.point(tuple(color))) for color in colors.tolist()]
    sides = [2 * limit for limit in (kernels.RED_MAX, kernels.GREEN_MAX, kernels.BLUE_MAX)] + [kernels.ALPHA_MAX]
    assert sum(side**2 for side in sides) < 1 << 23
    assert (np.abs(points) <= [kernels.RED_MAX, kernels.GREEN_MAX, kernels.BLUE_MAX, kernels.ALPHA_MAX]).all()


@settings(max_examples=30)
@given(st.integers(1, 256), st.integers(0, 1000))
def test_the_nearest_entry_is_that_of_the_reference(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    palette = points_of(rng.integers(0, 256, (count, 4), dtype=np.uint8))
    points = points_of(rng.integers(0, 256, (40, 4), dtype=np.uint8))
    entries, distances = np.zeros(40, np.int32), np.zeros(40, np.int32)

    assert nearest_entries(points, prepared(palette), count, entries, distances) == 40

    assert entries.tolist() == [reference.nearest(point, palette.tolist()) for point in points.tolist()]
    assert distances.tolist() == [
        reference.distance(point, palette[entry]) for point, entry in zip(points.tolist(), entries, strict=True)
    ]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("height, width", [(1, 1), (9, 1), (1, 9), (24, 35)])
@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 200])
def test_diffusion_agrees_with_the_reference_in_bands_of_any_height(
    height: int, width: int, channels: int, count: int
) -> None:
    image = picture(height, width, channels, 2)
    palette = points_of(np.random.default_rng(count).integers(0, 256, (count, 4), dtype=np.uint8))
    expected = reference.diffused(image.tolist(), palette.tolist(), shares().tolist())

    for lines in (1, 4, height):
        errors, found = np.zeros((width, 4), np.int32), np.zeros((height, width), np.uint8)
        for first in range(0, height, lines):
            part = image[first : first + lines]
            above = image[max(first - 1, 0)]
            out = found[first : first + len(part)]
            assert diffuse(part, above, prepared(palette), count, shares(), errors, out) == len(part)
        assert found.tolist() == expected


def test_a_flat_area_stays_flat_whatever_errors_arrive() -> None:
    image = np.full((20, 20, 3), 100, np.uint8)
    image[:, 10:] = 200
    palette = points_of(np.array([[90, 90, 90, 255], [220, 220, 220, 255], [110, 110, 110, 255]], np.uint8))
    errors, out = np.full((20, 4), 5000, np.int32), np.zeros((20, 20), np.uint8)

    diffuse(image, image[0], prepared(palette), 3, shares(), errors, out)

    assert len(np.unique(out[:, :9])) == 1
    assert (out[:, 11:] == 1).all()


def test_the_histogram_of_a_large_picture_is_bounded() -> None:
    histogram = Histogram(4000, 4000)
    for seed in range(6):
        histogram.add(np.random.default_rng(seed).integers(0, 256, (10, 4000, 4), dtype=np.uint8))

    cells = histogram.cells()

    assert len(cells) <= 1 << 15
    assert cells[:, 0].min() >= 1
