"""Palettes for histograms, and images reduced to them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.kernels.png.histogram import SUMS
from compressor.png.header import GREY, PngHeader, new_header
from compressor.png.histogram import Histogram, histogram_bytes, slots_for
from compressor.png.palette import best_palette
from compressor.png.quantization import UnfitChunkError, packed, quantization
from compressor.settings import Metadata
from tests.reference.pngfilter import samples

NO_COLORS = np.zeros((0, 4), np.uint8)


def sums_of(colors: NDArray[np.uint8], weights: list[int]) -> NDArray[np.int64]:
    """Return cells of these colors."""
    sums = np.zeros((len(colors), SUMS), np.int64)
    alpha = colors[:, 3].astype(np.int64)
    sums[:, 0] = weights
    sums[:, 1] = weights * alpha
    sums[:, 2:] = sums[:, 1:2] * colors[:, :3]
    return sums


def test_a_palette_has_every_color_if_there_is_room() -> None:
    colors = np.random.default_rng(1).integers(1, 256, (50, 4), dtype=np.uint8)

    found = best_palette(sums_of(colors, [3] * 50), 50, NO_COLORS)

    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, colors.tolist()))


def test_colors_that_are_frequent_or_fixed_or_transparent_are_in_the_palette() -> None:
    rng = np.random.default_rng(2)
    colors = rng.integers(0, 256, (400, 4), dtype=np.uint8)
    colors[:, 3] = 255
    colors[0], colors[1] = (10, 20, 30, 255), (0, 0, 0, 0)
    fixed = np.array([[1, 2, 3, 255]], np.uint8)

    found = best_palette(sums_of(colors, [10**9, *[5] * 399]), 16, fixed).tolist()

    assert len(found) <= 16
    assert [10, 20, 30, 255] in found
    assert [1, 2, 3, 255] in found
    assert found[0] == [0, 0, 0, 0]


def test_translucent_colors_come_first_each_part_by_brightness() -> None:
    colors = np.array([[255, 255, 255, 255], [0, 0, 0, 255], [200, 200, 200, 9], [90, 90, 90, 200]], np.uint8)

    found = best_palette(sums_of(colors, [1, 1, 1, 1]), 8, NO_COLORS)

    assert found[:, 3].tolist() == [200, 9, 255, 255]
    assert found[:, 0].tolist() == [90, 200, 0, 255]


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("width", [1, 7, 8, 13])
def test_indices_are_packed_leftmost_in_the_high_bits(depth: int, width: int) -> None:
    indices = np.random.default_rng(width).integers(0, 1 << depth, (3, width), dtype=np.uint8)

    rows = packed(indices, depth)

    assert [samples(row.tolist(), depth, width) for row in rows] == indices.tolist()


@pytest.mark.parametrize("count, depth", [(2, 1), (4, 2), (16, 4), (17, 8), (256, 8)])
def test_the_bit_depth_follows_from_the_number_of_colors(count: int, depth: int) -> None:
    pixels = np.random.default_rng(count).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    histogram = Histogram(30, 20)
    histogram.add(pixels)

    plan = quantization(new_header(30, 20, 3), histogram, count, Metadata.KEEP)

    assert len(plan.colors) <= count
    assert plan.header.bit_depth == depth
    assert plan.header.palette == plan.colors[:, :3].tobytes()


def test_a_background_that_takes_the_last_color_is_an_obstacle() -> None:
    from compressor.png.chunks import Chunk

    header = PngHeader(width=2, height=1, bit_depth=8, color_type=GREY, chunks=[Chunk(b"bKGD", b"\0\x07")])
    histogram = Histogram(2, 1)
    histogram.add(np.array([[[1], [200]]], np.uint8))

    with pytest.raises(UnfitChunkError, match="bKGD"):
        quantization(header, histogram, 1, Metadata.KEEP)
    assert len(quantization(header, histogram, 2, Metadata.STRIP).colors) == 2


def test_the_table_grows_with_small_pictures_only() -> None:
    assert slots_for(1, 1) == 256
    assert slots_for(100, 100) == 1 << 15
    assert slots_for(20_000, 20_000) == 1 << 16
    assert histogram_bytes(20_000, 20_000) < 6 << 20
