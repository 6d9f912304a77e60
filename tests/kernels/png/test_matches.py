"""Filter types by what deflate will make of a row, compared with their twin."""

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels.png import matches
from compressor.kernels.png.matches import STATE_WORDS, WEIGHT_FIRST, WEIGHTS, filter_rows_by_matches, window_bytes
from tests.reference import pngfilter
from tests.reference import pngmatches as reference


def new_state() -> NDArray[np.int64]:
    state = np.zeros(STATE_WORDS, np.int64)
    state[WEIGHTS : WEIGHTS + 256] = WEIGHT_FIRST
    return state


def filtered(rows: NDArray[np.uint8], bpp: int, at_once: int = 1 << 20) -> bytes:
    """Return the filtered scanlines of an image, `at_once` in a call."""
    width = rows.shape[1]
    window, state, costs = np.zeros(window_bytes(width), np.uint8), new_state(), np.zeros(256, np.int64)
    above, made = np.zeros(width, np.uint8), b""
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        out = np.empty((len(part), 1 + width), np.uint8)
        assert filter_rows_by_matches(part, bpp, above, window, state, costs, out) == len(part)
        above, made = part[-1].copy(), made + out.tobytes()
    return made


def drawn(seed: int, height: int, row_bytes: int, letters: int = 12) -> NDArray[np.uint8]:
    """Return scanlines of a few letters that repeat, or of a slope, at random."""
    rng = np.random.default_rng(seed)
    alphabet = rng.integers(0, 256, (letters, 8, 6), dtype=np.uint8)
    lines = [np.hstack(list(alphabet[rng.integers(0, letters, row_bytes // 6 + 1)])) for _ in range(height // 8 + 1)]
    text = np.vstack(lines)[:height, :row_bytes]
    slope = np.add.outer(np.arange(height), np.arange(row_bytes) // 3).astype(np.uint8)
    return np.where(rng.random((height, 1)) < 0.5, text, slope).astype(np.uint8)


@pytest.mark.parametrize("bpp", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("height, row_bytes", [(1, 1), (3, 2), (40, 3), (24, 48), (30, 130)])
def test_rows_are_filtered_as_by_the_twin(bpp: int, height: int, row_bytes: int) -> None:
    for rows in (drawn(bpp, height, row_bytes), pngfilter.random_rows(bpp, height, row_bytes)):
        expected = reference.filtered_by_matches([[int(x) for x in row] for row in rows], bpp)

        assert filtered(rows, bpp) == expected


@given(st.data(), st.sampled_from([1, 3, 4]))
def test_any_small_image_is_filtered_as_by_the_twin(data: Any, bpp: int) -> None:
    width, height = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 6))
    values = st.lists(st.sampled_from([0, 1, 2, 200, 255]), min_size=width * height, max_size=width * height)
    rows = np.array(data.draw(values), np.uint8).reshape(height, width)

    assert filtered(rows, bpp) == reference.filtered_by_matches(rows.tolist(), bpp)


def test_matches_end_where_the_window_ends() -> None:
    """Noise that comes back after 36,000 bytes is too far for a match; after 24,000 it is not."""
    rows = np.random.default_rng(5).integers(0, 256, (4, 11_999), dtype=np.uint8)
    rows[3, :6000], rows[3, 6000:] = rows[0, :6000], rows[1, 6000:]

    assert filtered(rows, 3) == reference.filtered_by_matches(rows.tolist(), 3)


@pytest.mark.parametrize("row_bytes", [5, 70, 3000])
def test_calls_of_any_number_of_rows_give_the_same(row_bytes: int) -> None:
    rows = drawn(1, 41, row_bytes)

    assert filtered(rows, 1, 1) == filtered(rows, 1, 7) == filtered(rows, 1)


def test_the_window_is_moved_without_losing_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the smallest window, which is moved before each row, the rows are the same."""
    rows = drawn(2, 60, 2000)
    usual = filtered(rows, 3)
    monkeypatch.setitem(globals(), "window_bytes", lambda width: matches.WINDOW + 1 + width)

    assert filtered(rows, 3) == usual


def test_text_below_a_slope_takes_fewer_bytes_than_with_any_single_type() -> None:
    letters = np.random.default_rng(6).integers(0, 256, (12, 8, 6), dtype=np.uint8)
    lines = np.random.default_rng(7).integers(0, 12, (12, 100))
    text = np.vstack([np.hstack(list(letters[line])) for line in lines])
    slope = (np.add.outer(np.arange(96) ** 2, np.arange(600) ** 2 // 7) % 256).astype(np.uint8)
    rows = np.vstack([slope, text])
    sizes = [len(zlib.compress(pngfilter.filtered_rows(rows, [kind] * len(rows), 1), 9)) for kind in range(5)]

    assert len(zlib.compress(filtered(rows, 1), 9)) < min(sizes)


def test_arrays_that_are_too_short_are_rejected() -> None:
    rows, above, out = np.zeros((2, 3), np.uint8), np.zeros(3, np.uint8), np.zeros((2, 4), np.uint8)
    window, state, costs = np.zeros(window_bytes(3), np.uint8), new_state(), np.zeros(256, np.int64)

    assert filter_rows_by_matches(rows, 1, above[:2].copy(), window, state, costs, out) == -1
    assert filter_rows_by_matches(rows, 1, above, window[: matches.WINDOW + 3].copy(), state, costs, out) == -1
    assert filter_rows_by_matches(rows, 1, above, window, state[:-1].copy(), costs, out) == -1
    assert filter_rows_by_matches(rows, 1, above, window, state, costs[:-1].copy(), out) == -1
    assert filter_rows_by_matches(rows, 1, above, window, state, costs, out[:1]) == -1
    assert filter_rows_by_matches(rows, 0, above, window, state, costs, out) == -1
