"""PNG filters and expansion to pixels, compared with their twins (W3C PNG clauses 7.2, 9, 11.3.1.1 and 12.7)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels.png.filter import SUMS, filter_rows
from compressor.kernels.png.pixels import color_key, expand_bits, look_up, reduce16
from compressor.kernels.png.unfilter import PAETH, unfilter
from tests.reference import pngfilter as reference

DISTANCES = (1, 2, 3, 4, 6, 8)
Drawn = tuple[int, list[int], NDArray[np.uint8], list[bytes]]


@st.composite
def images(draw: st.DrawFn) -> Drawn:
    """Draw distance, filter types, the row above, and filtered bytes."""
    bpp = draw(st.sampled_from(DISTANCES))
    width = bpp * draw(st.integers(1, 9))
    kinds = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    above = np.frombuffer(draw(st.binary(min_size=width, max_size=width)), np.uint8)
    data = [draw(st.binary(min_size=width, max_size=width)) for _ in kinds]
    return bpp, kinds, above, data


@given(images())
def test_unfilter_agrees_with_the_reference(image: Drawn) -> None:
    bpp, kinds, above, data = image
    out = np.empty((len(kinds), above.size), np.uint8)
    filtered = b"".join(bytes([kind]) + row for kind, row in zip(kinds, data, strict=True))

    assert unfilter(np.frombuffer(filtered, np.uint8), bpp, above.copy(), out) == len(kinds)

    expected = [int(x) for x in above]
    for kind, row, found in zip(kinds, data, out, strict=True):
        expected = reference.unfilter_row(kind, row, expected, bpp)
        np.testing.assert_array_equal(found, expected)


@given(images())
def test_filter_rows_takes_the_cheapest_type_and_agrees_with_the_reference(image: Drawn) -> None:
    bpp, _, above, data = image
    rows = np.frombuffer(b"".join(data), np.uint8).reshape(len(data), -1)
    out = np.empty((len(data), 1 + above.size), np.uint8)

    filter_rows(rows, bpp, above, SUMS, np.zeros(1024, np.uint64), out)

    over = [int(x) for x in above]
    for row, found in zip(rows, out, strict=True):
        line = [int(x) for x in row]
        kind = reference.cheapest(line, over, bpp)
        np.testing.assert_array_equal(found, [kind, *reference.filter_row(kind, line, over, bpp)])
        over = line


@given(images())
def test_unfilter_undoes_filter_rows(image: Drawn) -> None:
    bpp, _, above, data = image
    rows = np.frombuffer(b"".join(data), np.uint8).reshape(len(data), -1)
    filtered = np.empty((len(data), 1 + above.size), np.uint8)
    filter_rows(rows, bpp, above, SUMS, np.zeros(1024, np.uint64), filtered)
    out = np.empty_like(rows)

    unfilter(filtered.reshape(-1), bpp, above.copy(), out)

    np.testing.assert_array_equal(out, rows)


@pytest.mark.parametrize("bpp", [1, 3, 4])
def test_paeth_predictor_is_right_for_neighbors_of_every_kind(bpp: int) -> None:
    """All orders of a, b, c and all ties: every fifth value, both ends, and their direct neighbors.

    Pixels are in pairs: the left one is stored as a minus its own prediction, the right one as 0, so that it decodes
    to the predictor of (a, b, c).
    """
    values = sorted({*range(0, 256, 15), 1, 2, 127, 128, 129, 253, 254, 255})
    a, b, c = (grid.reshape(-1).astype(int) for grid in np.meshgrid(values, values, values))
    above = np.repeat(np.stack([c, b], 1).reshape(-1), bpp).astype(np.uint8)
    expected = [reference.paeth_predictor(*abc) for abc in zip(a, b, c, strict=True)]
    stored = np.zeros(len(a) * 2, np.uint8)
    left, upper_left = 0, 0
    for n in range(len(a)):
        stored[2 * n] = (a[n] - reference.paeth_predictor(left, int(c[n]), upper_left)) % 256
        left, upper_left = expected[n], int(b[n])
    filtered = np.concatenate([[PAETH], np.repeat(stored, bpp)]).astype(np.uint8)
    out = np.empty((1, above.size), np.uint8)

    unfilter(filtered, bpp, above, out)

    np.testing.assert_array_equal(out[0].reshape(-1, 2, bpp)[:, 1], np.repeat(expected, bpp).reshape(-1, bpp))


def test_unfilter_names_the_row_whose_filter_type_does_not_exist() -> None:
    filtered = np.array([0, 1, 2, 3, 5, 1, 2, 3, 0, 1, 2, 3], np.uint8)
    out = np.zeros((3, 3), np.uint8)

    assert unfilter(filtered, 3, np.zeros(3, np.uint8), out) == -1 - 1
    assert out[0].tolist() == [1, 2, 3]


def test_unfilter_rejects_arrays_that_are_too_short() -> None:
    assert unfilter(np.zeros(5, np.uint8), 1, np.zeros(3, np.uint8), np.zeros((2, 3), np.uint8)) < 0
    assert unfilter(np.zeros(8, np.uint8), 1, np.zeros(2, np.uint8), np.zeros((2, 3), np.uint8)) < 0


@given(st.sampled_from((1, 2, 4)), st.integers(1, 40), st.data())
def test_expand_bits_agrees_with_the_reference(depth: int, width: int, data: Any) -> None:
    row_bytes = (width * depth + 7) // 8
    row = data.draw(st.binary(min_size=row_bytes, max_size=row_bytes))
    scale = 255 // (2**depth - 1)
    out = np.empty((1, width), np.uint8)

    expand_bits(np.frombuffer(row, np.uint8).reshape(1, -1), depth, scale, out)

    assert out[0].tolist() == [value * scale for value in reference.samples(row, depth, width)]


def test_expand_bits_rejects_rows_that_are_too_short() -> None:
    assert expand_bits(np.zeros((1, 1), np.uint8), 4, 17, np.zeros((1, 3), np.uint8)) == -1


@pytest.mark.parametrize("channels", [3, 4])
def test_look_up_uses_the_entries_of_the_palette(channels: int) -> None:
    rng = np.random.default_rng(1)
    palette = rng.integers(0, 256, (256, channels), dtype=np.uint8)
    indices = rng.integers(0, 256, (3, 100), dtype=np.uint8)
    out = np.empty((3, 100, channels), np.uint8)

    look_up(indices, palette, out)

    np.testing.assert_array_equal(out, palette[indices])


@settings(max_examples=20)
@given(st.sampled_from((1, 3)), st.binary(min_size=24, max_size=24))
def test_color_key_makes_exactly_its_color_transparent(channels: int, data: Any) -> None:
    pixels = np.frombuffer(data, np.uint8).reshape(2, -1, channels)
    key = pixels[0, 1].copy()
    out = np.empty((*pixels.shape[:2], channels + 1), np.uint8)

    color_key(pixels, key, out)

    np.testing.assert_array_equal(out[..., :channels], pixels)
    np.testing.assert_array_equal(out[..., channels], np.where((pixels == key).all(2), 0, 255))


def test_reduce16_rounds_every_value() -> None:
    """round(v / 257), which has no ties."""
    values = np.arange(65536, dtype=">u2")
    out = np.empty((1, 65536, 1), np.uint8)

    reduce16(np.frombuffer(values.tobytes(), np.uint8).reshape(1, -1), 1, np.zeros(0, np.uint16), out)

    np.testing.assert_array_equal(out[0, :, 0], np.rint(np.arange(65536) / 257))


def test_reduce16_compares_all_16_bits_with_the_key() -> None:
    rows = np.array([[0x12, 0x34, 0x12, 0x35]], np.uint8)
    out = np.empty((1, 2, 2), np.uint8)

    reduce16(rows, 1, np.array([0x1234], np.uint16), out)

    assert out[0].tolist() == [[18, 0], [18, 255]]


@given(images(), st.integers(0, 6))
def test_filter_rows_applies_the_given_type(image: Drawn, choice: int) -> None:
    bpp, _, above, data = image
    rows = np.frombuffer(b"".join(data), np.uint8).reshape(len(data), -1)
    out = np.empty((len(data), 1 + above.size), np.uint8)

    assert filter_rows(rows, bpp, above, choice, np.zeros(1024, np.uint64), out) == len(data)

    over = [int(x) for x in above]
    for row, found in zip(rows, out, strict=True):
        line = [int(x) for x in row]
        kind = {5: reference.cheapest, 6: reference.least_varied}.get(choice, lambda *_: choice)(line, over, bpp)
        np.testing.assert_array_equal(found, [kind, *reference.filter_row(kind, line, over, bpp)])
        over = line


def test_filter_rows_rejects_arrays_that_are_too_short() -> None:
    rows, above, seen = np.zeros((2, 3), np.uint8), np.zeros(3, np.uint8), np.zeros(1024, np.uint64)
    out = np.zeros((2, 4), np.uint8)

    assert filter_rows(rows, 1, above[:2].copy(), 6, seen, out) == -1
    assert filter_rows(rows, 1, above, 6, seen[:9].copy(), out) == -1
    assert filter_rows(rows, 1, above, 6, seen, out[:1]) == -1
