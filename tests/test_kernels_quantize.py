"""Requantization against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from compressor.kernels.quantize import requantize
from tests.reference.quantize import requantized

BLOCKS = arrays(np.int16, (3, 64), elements=st.one_of(st.integers(-40, 40), st.integers(-2047, 2047)))
STEPS = arrays(np.uint16, 64, elements=st.integers(1, 255))


def run(coefficients: NDArray[np.int16], ratio: NDArray[np.float32]) -> NDArray[np.int16]:
    out = coefficients.copy()
    requantize(out, 0, len(out), ratio)
    return out


@given(BLOCKS, STEPS, STEPS)
@settings(deadline=None)
def test_each_result_is_the_nearest_integer_to_the_exact_value(
    coefficients: NDArray[np.int16], old: NDArray[np.uint16], more: NDArray[np.uint16]
) -> None:
    """Nearest to Sq * Q / Q', but for ties: the ratio and the product are rounded by 2^-24 of themselves each."""
    new = old + more - 1
    out = run(coefficients, (old / new).astype(np.float32))
    for block, k in np.ndindex(out.shape):
        exact = Fraction(int(coefficients[block, k]) * int(old[k]), int(new[k]))
        assert abs(int(out[block, k]) - exact) <= Fraction(1, 2) + abs(exact) * Fraction(1, 2**23)


@given(BLOCKS, st.integers(1, 1 << 12))
@settings(deadline=None)
def test_with_a_ratio_of_few_bits_every_tie_goes_to_even(coefficients: NDArray[np.int16], numerator: int) -> None:
    """12 + 12 bits fit a float's 24, so nothing is rounded but the result."""
    ratio = numerator / (1 << 12)
    expected = [[round(requantized(value, ratio)) for value in block] for block in coefficients.tolist()]

    assert run(coefficients, np.full(64, ratio, np.float32)).tolist() == expected


def test_a_ratio_of_one_changes_nothing() -> None:
    coefficients = np.arange(-32768, 32768, dtype=np.int16).reshape(-1, 64)

    np.testing.assert_array_equal(run(coefficients, np.ones(64, np.float32)), coefficients)


@pytest.mark.parametrize("value, half", [(0, 0), (1, 0), (2, 1), (3, 2), (5, 2), (-1, 0), (-3, -2), (-5, -2)])
def test_halves_go_to_even(value: int, half: int) -> None:
    assert (run(np.full((1, 64), value, np.int16), np.full(64, 0.5, np.float32)) == half).all()


def test_only_the_asked_blocks_change() -> None:
    coefficients = np.full((6, 64), 10, np.int16)

    requantize(coefficients, 2, 3, np.full(64, 0.25, np.float32))

    assert coefficients[:, 0].tolist() == [10, 10, 2, 2, 2, 10]
    assert (coefficients == coefficients[:, :1]).all()


def test_each_coefficient_has_its_own_ratio() -> None:
    ratio = np.arange(64, dtype=np.float32) / np.float32(64)

    assert run(np.full((1, 64), 64, np.int16), ratio).tolist() == [list(range(64))]
