"""Deringing, compared with its twin in float64, and its savings."""

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.kernels import dering
from compressor.t81 import ZIGZAG
from tests.reference import dering as reference

TABLE = np.arange(4, 68, dtype=np.uint16)
STEPS = np.zeros(64)
STEPS[ZIGZAG] = TABLE
UNTOUCHED = -777


def strokes(blocks: int, seed: int = 0) -> NDArray[np.int16]:
    """Return a line of blocks like text: black on white, white on black, in between, with soft edges."""
    rng = np.random.default_rng([blocks, seed])
    soft = np.cumsum(rng.integers(-900, 900, (8, 8 * blocks)), axis=1) + rng.integers(-3000, 3000, (8, 1))
    plane: NDArray[np.int16] = np.clip(soft, -2048, 2032).astype(np.int16)
    return plane


def run(plane: NDArray[np.int16], table: NDArray[np.uint16] = TABLE) -> NDArray[np.int16]:
    out = plane.copy()
    dering.dering(out, 0, 0, plane.shape[1] // 8, dering.shrinkage(table), np.full((7, 64), np.nan, np.float32))
    return out


def blocks_of(plane: NDArray[np.int16]) -> NDArray[np.float64]:
    return plane.reshape(8, -1, 8).swapaxes(0, 1).astype(np.float64)


@pytest.mark.parametrize("seed", range(4))
def test_samples_agree_with_the_reference(seed: int) -> None:
    plane = strokes(61, seed)
    found, moved = run(plane), 0
    for block, made in zip(blocks_of(plane), blocks_of(found), strict=True):
        np.testing.assert_allclose(made, reference.dering(block, STEPS.reshape(8, 8)), atol=1)
        moved += bool((made != block).any())
    assert moved > 30


def test_only_extreme_samples_move_and_only_outwards_so_that_decoders_show_the_same() -> None:
    plane = strokes(200)
    found = run(plane)
    assert (found != plane).any()
    np.testing.assert_array_equal(np.clip(found, -2040, 2024), np.clip(plane, -2040, 2024))
    assert found.min() >= -2048 - 1024 and found.max() <= 2032 + 1024


def test_means_stay_within_the_range_if_the_step_of_dc_is_1() -> None:
    """Otherwise DC could have a category for which baseline has no code (T.81 Table F.1)."""
    fine = TABLE.copy()
    fine[0] = 1
    plane = np.full((8, 8 * 64), 2032, np.int16)
    for block in range(64):
        plane[block // 8, 9 * block % 8 + 8 * block] = -2048 if block % 2 else 1900
    for sign in (1, -1):
        means = blocks_of(run(plane if sign == 1 else -16 - plane, fine)).mean((1, 2))
        assert means.max() <= 2032.5 and means.min() >= -2048.5


def test_blocks_that_are_even_or_not_extreme_stay_as_they_are() -> None:
    plane = np.hstack([np.full((8, 8), value, np.int16) for value in (2032, 2024, -2048, -2040, 0)])
    grey = np.clip(strokes(40), -2039, 2023)
    for kept in (plane, grey):
        np.testing.assert_array_equal(run(kept), kept)


def test_black_next_to_white_leaves_the_range_at_both_ends() -> None:
    plane = np.full((8, 8), 2032, np.int16)
    plane[:, 4:] = -2048
    found = run(plane)
    assert found.max() > 2032 + 160 and found.min() < -2048 - 160


def test_only_the_requested_blocks_and_lines_are_touched() -> None:
    plane = np.full((24, 40), UNTOUCHED, np.int16)
    plane[8:16, :32] = strokes(4)
    expected = plane.copy()
    expected[8:16, :24] = run(np.ascontiguousarray(plane[8:16, :24]))
    dering.dering(plane, 8, 0, 3, dering.shrinkage(TABLE), np.empty((7, 64), np.float32))
    np.testing.assert_array_equal(plane, expected)


def test_no_sample_may_move_if_a_step_is_1() -> None:
    """AC of samples with twice the range could need more than 1023 steps (T.81 Table F.2)."""
    fine = TABLE.copy()
    fine[40] = 1
    assert not dering.shrinkage(fine).any()
    fine[40] = 2
    assert dering.shrinkage(fine).all()


def test_fewer_coefficients_are_left() -> None:
    def steps(plane: NDArray[np.int16]) -> NDArray[np.float64]:
        quotients: NDArray[np.float64] = reference.DCT @ blocks_of(plane) @ reference.DCT.T / (16 * STEPS.reshape(8, 8))
        return quotients

    page = np.where(np.arange(8 * 100) % 23 < 3, strokes(100), 2032).astype(np.int16)
    before, after = (np.count_nonzero(np.abs(steps(plane)) > 0.5) for plane in (page, run(page)))
    assert after < 0.9 * before
