"""Conversion of scanlines to RGBA of 16 bits and back, compared with the twin."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels.png import rgba16
from compressor.kernels.png.rgba16 import expand_rgba16, find_colors, needs, pack_rgba16
from compressor.png.forms import Form
from compressor.png.header import DEPTHS, GREY, PALETTE, RGB, SAMPLES, PngHeader
from compressor.png.reduction import Packer
from compressor.png.rgba16 import Expander, lookup_table, rgba
from tests.reference import rgba16 as reference
from tests.reference.pngfilter import samples

FORMATS = [(color, depth) for color, depths in DEPTHS.items() for depth in depths]
BITS = {"deep": 1, "colored": 2, "translucent": 4, "bits4": 8, "bits2": 16, "bits1": 32}
NONE = np.zeros(0, np.uint64)


def header_of(color: int, depth: int, width: int, height: int, key: bytes | None = None, entries: int = 5) -> PngHeader:
    """Return a header, with a palette if the color type needs one."""
    palette = bytes(range(40, 40 + 3 * entries))[: 3 << depth] if color == PALETTE else b""
    return PngHeader(width=width, height=height, bit_depth=depth, color_type=color, palette=palette, transparency=key)


def expanded(header: PngHeader, rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Expand all rows."""
    return np.concatenate([pixels.copy() for pixels in Expander(header)(np.ascontiguousarray(rows))])


def words(lines: Iterable[Iterable[Sequence[int]]]) -> NDArray[np.uint64]:
    """Return the reference's pixels as words."""
    return np.array([[reference.word(tuple(pixel)) for pixel in line] for line in lines], np.uint64)


@pytest.mark.parametrize("color, depth", FORMATS)
@pytest.mark.parametrize("width, height", [(1, 1), (7, 3), (16, 2), (33, 5)])
def test_every_form_is_expanded_as_by_the_reference(color: int, depth: int, width: int, height: int) -> None:
    rng = np.random.default_rng(width)
    header = header_of(color, depth, width, height)
    rows = rng.integers(0, 256, (height, header.row_bytes), np.uint8)
    channels = SAMPLES[color]
    keys: list[bytes | None] = [None]
    if color in (GREY, RGB):
        values = samples(rows[0].tolist(), depth, width * channels)[:channels]
        keys += [b"".join((value | 1 << depth & 0xFFFF).to_bytes(2, "big") for value in values)]
    elif color == PALETTE:
        keys += [b"\x07\xff\x00"[: len(header.palette) // 3]]
    for key in keys:
        header.transparency = key
        expected = reference.pixels(rows, width, depth, color, header.palette, key)

        np.testing.assert_array_equal(expanded(header, rows), words(expected))


@pytest.mark.parametrize("color, depth", FORMATS)
def test_packing_reverses_expansion(color: int, depth: int) -> None:
    header = header_of(color, depth, 21, 9)
    rows = np.random.default_rng(5).integers(0, 256, (9, header.row_bytes), np.uint8)
    if color == PALETTE:
        header.palette = (
            bytes(range(3 << depth)) if depth < 8 else bytes(n * k % 256 for n in range(256) for k in (1, 3, 7))
        )
    rows[:, -1] &= 0xFF << (-21 * header.bits_per_pixel % 8) & 0xFF
    palette = (
        tuple(int(entry) for entry in lookup_table(header)[: len(header.palette) // 3]) if color == PALETTE else ()
    )
    pack = Packer(Form(color, depth, palette))

    np.testing.assert_array_equal(pack(expanded(header, rows)), rows)


@settings(max_examples=60)
@given(st.data())
def test_needs_and_colors_agree_with_the_reference(data: Any) -> None:
    sample = st.sampled_from([0, 0xFFFF, 0x5555, 0xAAAA, 0x1111, 0x8888, 0x4242, 0x4243])
    grey = data.draw(st.booleans())
    pixel = sample.map(lambda v: (v, v, v, 0xFFFF)) if grey else st.tuples(sample, sample, sample, sample)
    lines = data.draw(st.lists(st.lists(pixel, min_size=4, max_size=4), min_size=1, max_size=5))
    pixels = words(lines)
    colors, slots = np.zeros(256, np.uint64), np.full(1024, -1, np.int64)

    found = needs(pixels)
    count = 0
    for row in pixels:
        count = find_colors(row.reshape(1, -1), colors, slots, count)

    assert {name for name, bit in BITS.items() if found & bit} == reference.needs(lines)
    assert [rgba(int(color)) for color in colors[:count]] == list(dict.fromkeys(itertools.chain(*lines)))


def test_constants_are_distinct() -> None:
    names = (rgba16.DEEP, rgba16.COLORED, rgba16.TRANSLUCENT, rgba16.BITS4, rgba16.BITS2, rgba16.BITS1)

    assert names == tuple(BITS.values())


@pytest.mark.parametrize("extra, expected", [(0, 256), (1, 257)])
def test_256_colors_are_counted_and_one_more_is_too_many(extra: int, expected: int) -> None:
    pixels = (np.arange(256 + extra, dtype=np.uint64) << np.uint64(54)).reshape(1, -1)  # all in a few slots
    pixels |= np.arange(256 + extra, dtype=np.uint64)

    assert find_colors(pixels, np.zeros(256, np.uint64), np.full(1024, -1, np.int64), 0) == expected


def test_arrays_that_are_too_short_are_rejected() -> None:
    rows, pixels = np.zeros((2, 4), np.uint8), np.zeros((2, 2), np.uint64)
    colors, slots = np.zeros(256, np.uint64), np.full(1024, -1, np.int64)

    assert expand_rgba16(rows, 3, 8, NONE, pixels) == -1
    assert expand_rgba16(rows[:1], 1, 8, NONE, pixels) == -1
    assert expand_rgba16(rows, 1, 4, colors[:255].copy(), pixels) == -1
    assert expand_rgba16(rows, 2, 4, colors, pixels) == -1
    assert find_colors(pixels, colors[:255].copy(), slots, 0) == -1
    assert find_colors(pixels, colors, slots[:1023].copy(), 0) == -1
    assert pack_rgba16(pixels, 3, 8, NONE, slots, rows) == -1
    assert pack_rgba16(pixels, 1, 8, NONE, slots, rows[:1]) == -1
    assert pack_rgba16(pixels, 1, 8, colors, slots[:9].copy(), rows) == -1
    assert pack_rgba16(pixels, 2, 4, NONE, slots, rows) == -1
