"""Vector and bit operations, compared with plain Python; test_boundscheck.py tests their bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from compressor.kernels import lanes


@njit
def trailing_zeros(word):  # type: ignore[no-untyped-def]
    return lanes.trailing_zeros(word)


@njit
def leading_zeros(word):  # type: ignore[no-untyped-def]
    return lanes.leading_zeros(word)


@njit
def load_be64(buffer, index):  # type: ignore[no-untyped-def]
    return lanes.load_be64(buffer, index)


@njit
def store_be64(buffer, index, word):  # type: ignore[no-untyped-def]
    lanes.store_be64(buffer, index, word)


@njit
def copy32_find_ff(target, to, source, start):  # type: ignore[no-untyped-def]
    return lanes.copy32_find_ff(target, to, source, start)


@njit
def nonzero_mask(blocks, block):  # type: ignore[no-untyped-def]
    return lanes.nonzero_mask(blocks, block)


@njit
def count_ones(word):  # type: ignore[no-untyped-def]
    return lanes.count_ones(word)


@njit
def clear_block(blocks, block):  # type: ignore[no-untyped-def]
    lanes.clear_block(blocks, block)


@njit
def magnitude_bits(blocks, block, place):  # type: ignore[no-untyped-def]
    return lanes.magnitude_bits(blocks, block, place)


@njit
def columns_and_mask(blocks, block, columns):  # type: ignore[no-untyped-def]
    return lanes.columns_and_mask(blocks, block, columns)


@pytest.mark.parametrize("bit", range(64))
def test_zeros_below_and_above_a_bit_are_counted(bit: int) -> None:
    assert trailing_zeros(np.uint64(2**64 - 2**bit)) == bit
    assert leading_zeros(np.uint64(2 ** (bit + 1) - 1)) == 63 - bit


def test_a_word_of_zeros_has_64_of_them() -> None:
    assert leading_zeros(np.uint64(0)) == trailing_zeros(np.uint64(0)) == 64


@given(st.binary(min_size=8, max_size=40), st.data())
def test_words_are_loaded_and_stored_highest_byte_first(data: bytes, draw: st.DataObject) -> None:
    index = draw.draw(st.integers(0, len(data) - 8))
    buffer, out = np.frombuffer(data, np.uint8), np.zeros(len(data), np.uint8)
    word = int.from_bytes(data[index : index + 8], "big")

    assert load_be64(buffer, index) == word
    store_be64(out, index, np.uint64(word))
    assert out.tobytes() == bytes(index) + data[index : index + 8] + bytes(len(data) - index - 8)


@given(
    st.lists(st.sampled_from([0, 1, 127, 128, 254, 255]), min_size=40, max_size=40),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_32_bytes_are_copied_and_their_ff_are_marked(data: list[int], to: int, start: int) -> None:
    source, target = np.array(data, np.uint8), np.full(40, 7, np.uint8)

    mask = copy32_find_ff(target, to, source, start)

    piece = data[start : start + 32]
    assert mask == sum(1 << i for i, byte in enumerate(piece) if byte == 255)
    assert target.tolist() == [7] * to + piece + [7] * (8 - to)


@given(st.sets(st.integers(0, 63)), st.sampled_from([1, -1, 256, -256, -32768, 32767]), st.integers(0, 2))
def test_coefficients_that_are_not_zero_are_marked(places: set[int], value: int, block: int) -> None:
    """Also those whose low byte, or all bits but the sign, are zero."""
    blocks = np.zeros((3, 64), np.int16)
    blocks[block, list(places)] = value

    assert [nonzero_mask(blocks, i) for i in range(3)] == [
        sum(1 << k for k in places) if i == block else 0 for i in range(3)
    ]


@pytest.mark.parametrize("start", [-32768, -64, -33, -32, -31, -1, 0, 30, 31, 32, 32704])
def test_columns_are_those_of_the_table_of_small_values(start: int) -> None:
    blocks, columns = np.zeros((3, 64), np.int16), np.full(65, 7, np.uint16)
    blocks[1] = range(start, start + 64)

    assert columns_and_mask(blocks, 1, columns) == nonzero_mask(blocks, 1)
    expected = [64 * k + (value + 32 if -32 <= value <= 30 else 63) for k, value in enumerate(range(start, start + 64))]
    assert columns.tolist() == [*expected, 7]


@given(st.integers(0, 2**64 - 1))
def test_one_bits_are_counted(word: int) -> None:
    assert count_ones(np.uint64(word)) == word.bit_count()


def test_only_the_requested_block_is_cleared() -> None:
    blocks = np.ones((3, 64), np.int16)
    clear_block(blocks, 1)

    assert blocks.sum(1).tolist() == [64, 0, 64]


@given(st.lists(st.integers(-32767, 32767), min_size=64, max_size=64), st.integers(0, 14))
def test_a_bit_of_all_magnitudes_is_extracted(values: list[int], place: int) -> None:
    blocks = np.zeros((2, 64), np.int16)
    blocks[1] = values

    want = sum((abs(value) >> place & 1) << k for k, value in enumerate(values))
    assert magnitude_bits(blocks, 1, place) == want
