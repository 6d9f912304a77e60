"""Packed coefficients: byte for byte as described, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels import packing
from tests.reference import packing as reference

INT16 = st.integers(-32768, 32767)
VALUES = st.one_of(st.integers(-8, 8), st.integers(-130, 130), INT16)
BLOCK = st.dictionaries(st.integers(0, 63), VALUES)
BLOCKS = st.lists(BLOCK, min_size=1, max_size=6)


def array(blocks: list[dict[int, int]]) -> NDArray[np.int16]:
    """Return (n, 64) from {k: value} of each block."""
    out = np.zeros((len(blocks), 64), np.int16)
    for row, block in zip(out, blocks, strict=True):
        row[list(block)] = list(block.values())
    return out


def pack(coefficients: NDArray[np.int16]) -> bytes:
    """Pack into an array no larger than required."""
    out = np.full(packing.BLOCK_BYTES_MAX * len(coefficients), 0xAA, np.uint8)
    ends = np.empty(len(coefficients), np.int64)
    size = packing.pack(coefficients, 0, len(coefficients), 1, ends, out)
    assert ends[-1] == size and (np.diff(ends) > 0).all()
    return out[:size].tobytes()


def unpack(packed: bytes, blocks: int, start: int = 0) -> tuple[NDArray[np.int16], int]:
    out = np.full((blocks, 64), 0x5555, np.int16)
    end = start + packing.unpack(np.frombuffer(packed[start:], np.uint8), 0, blocks, out)
    return out, end


@given(BLOCKS)
def test_pack_agrees_with_its_description(blocks: list[dict[int, int]]) -> None:
    assert pack(array(blocks)) == reference.pack(array(blocks))


@given(BLOCKS, st.binary(max_size=5), st.binary(max_size=5))
def test_unpack_reverses_pack(blocks: list[dict[int, int]], before: bytes, after: bytes) -> None:
    packed = reference.pack(array(blocks))
    out, end = unpack(before + packed + after, len(blocks), len(before))

    np.testing.assert_array_equal(out, array(blocks))
    assert end == len(before) + len(packed)


@pytest.mark.parametrize(
    "value", [1, 6, 7, 12, 13, 14, 127, 128, 129, 255, 256, 1023, 2047, 32767, -1, -6, -7, -128, -129, -1023, -32768]
)
def test_every_size_of_value_survives_in_every_place(value: int) -> None:
    blocks = array([{k: value} for k in range(64)] + [dict.fromkeys(range(64), value)])

    assert pack(blocks) == reference.pack(blocks)
    np.testing.assert_array_equal(unpack(pack(blocks), len(blocks))[0], blocks)


def test_every_value_survives() -> None:
    blocks = np.arange(-32768, 32768, dtype=np.int16).reshape(-1, 64)

    np.testing.assert_array_equal(unpack(pack(blocks), len(blocks))[0], blocks)


@pytest.mark.parametrize("run", [0, 1, 14, 15, 16, 17, 30, 31, 32, 33, 46, 47, 48, 61, 62])
@pytest.mark.parametrize("value", [1, -6, 7, 300])
def test_runs_of_every_length_survive(run: int, value: int) -> None:
    blocks = array([{1 + run: value}, {1: value, min(2 + run, 63): value}])

    assert pack(blocks) == reference.pack(blocks)
    np.testing.assert_array_equal(unpack(pack(blocks), 2)[0], blocks)


def test_a_block_of_zeros_takes_three_bytes() -> None:
    assert pack(array([{}, {}])) == bytes(6)


def test_the_largest_block_takes_block_bytes_max() -> None:
    assert len(pack(np.full((3, 64), -32768, np.int16))) == 3 * packing.BLOCK_BYTES_MAX


def test_blocks_can_be_unpacked_one_at_a_time() -> None:
    blocks = array([{0: -2, 63: 500}, {}, {5: 7, 40: -1}])
    packed, at = pack(blocks), 0
    for block in blocks:
        out, at = unpack(packed, 1, at)
        np.testing.assert_array_equal(out[0], block)
    assert at == len(packed)


def test_only_the_requested_blocks_are_packed_and_filled() -> None:
    blocks = array([{1: 1}, {2: 2}, {3: 3}])
    packed = np.zeros(3 * packing.BLOCK_BYTES_MAX, np.uint8)
    out = np.full((3, 64), 9, np.int16)

    size = packing.pack(blocks, 1, 1, 1, np.empty(1, np.int64), packed)

    assert packed[:size].tobytes() == reference.pack(blocks[1:2])
    assert packing.unpack(packed, 1, 1, out) == size
    np.testing.assert_array_equal(out[1], blocks[1])
    assert (out[::2] == 9).all()


@given(BLOCKS)
def test_masks_mark_coefficients_by_magnitude(blocks: list[dict[int, int]]) -> None:
    packed = reference.pack(array(blocks))
    out, masks = np.empty((len(blocks), 64), np.int16), np.empty((packing.LEVELS, len(blocks)), np.uint64)

    size = packing.unpack_with_masks(np.frombuffer(packed, np.uint8), 0, len(blocks), out, masks)

    assert size == len(packed)
    np.testing.assert_array_equal(out, array(blocks))
    made = np.empty_like(masks)
    packing.make_masks(out, made)
    np.testing.assert_array_equal(made, masks)
    for al, level in enumerate(masks):
        for mask, zz in zip(level.tolist(), out.tolist(), strict=True):
            assert mask == sum(1 << k for k, value in enumerate(zz) if abs(value) >> al)
