"""Quantization with a dead zone, compared with the formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from compressor.kernels.dct import SCALE, TRANSPOSED, fdct
from compressor.kernels.quantize import dead_zone, reciprocals
from compressor.t81 import K1_LUMINANCE, ZIGZAG
from tests.reference import dct as dct_reference
from tests.reference import quantize as reference

BLOCKS = arrays(np.int16, (3, 64), elements=st.one_of(st.integers(-40, 40), st.integers(-2047, 2047)))
STEPS = arrays(np.uint16, 64, elements=st.integers(1, 255))
WIDE_STEPS = arrays(np.uint16, 64, elements=st.one_of(st.integers(1, 16), st.integers(1, 255), st.integers(1, 65535)))
SAMPLES = arrays(np.int16, (8, 24), elements=st.integers(-2048, 2048))  # Q11.4
NO_SLOPE = np.zeros((1, 64), np.float32)


def quantized(
    coefficients: NDArray[np.float64],
    table: NDArray[np.uint16],
    slope: NDArray[np.float32],
    factor: NDArray[np.float32],
) -> NDArray[np.int16]:
    """Return (n, 64) S in zig-zag order, quantized by `table`."""
    scaled = np.empty(coefficients.shape, np.float32)
    scaled[:, TRANSPOSED] = coefficients * SCALE[TRANSPOSED]
    out = np.empty(coefficients.shape, np.int16)
    dead_zone(scaled, 0, len(out), (reciprocals(table)[None], slope), 0, factor, 0, out, 0)
    return out


def check_rounding(plane: NDArray[np.int16], table: NDArray[np.uint16]) -> None:
    """Check DCT and plain rounding: each result is the integer nearest to the exact quotient, or another one if that is
    within 2^-11 / Q of a tie (see the test of the DCT)."""
    blocks = plane.shape[1] // 8
    coefficients, out = np.empty((blocks, 64), np.float32), np.empty((blocks, 64), np.int16)
    fdct(plane, 0, blocks, coefficients, 0)
    dead_zone(coefficients, 0, blocks, (reciprocals(table)[None], NO_SLOPE), 0, np.ones(blocks, np.float32), 0, out, 0)

    distance = abs(out - dct_reference.quotients(plane / 16, table)) - 0.5
    assert (distance <= 2**-11 / table).all()


@given(SAMPLES, WIDE_STEPS)
def test_without_slopes_everything_is_rounded(plane: NDArray[np.int16], table: NDArray[np.uint16]) -> None:
    check_rounding(plane, table)


def test_noise_is_rounded_by_tables_of_all_sizes() -> None:
    rng = np.random.default_rng(3)
    for table in (K1_LUMINANCE.ravel()[ZIGZAG], np.arange(1, 65), *(np.full(64, q) for q in (1, 2, 5, 16, 99, 255))):
        check_rounding(rng.integers(-2048, 2048, (8, 8 * 1000)).astype(np.int16), table.astype(np.uint16))


@pytest.mark.parametrize("s, sq", [(0, 0), (8, 0), (-8, 0), (9, 1), (24, 2), (-24, -2), (40, 2), (1016, 64)])
def test_ties_of_dc_go_to_even(s: int, sq: int) -> None:
    """Q = 16: 8, 24, 40 are ties. The scale of DC is a power of two, so that all of it is exact."""
    block = np.zeros((1, 64))
    block[0, 0] = s

    out = quantized(block, np.full(64, 16, np.uint16), np.full((1, 64), 0, np.float32), np.ones(1, np.float32))
    assert out.tolist() == [[sq] + [0] * 63]


@given(
    arrays(np.float64, (3, 64), elements=st.one_of(st.floats(-3, 3), st.floats(-1000, 1000))),
    STEPS,
    arrays(np.float32, (1, 64), elements=st.floats(0, 0.5, width=32)),
    arrays(np.float32, 3, elements=st.floats(0.25, 4, width=32)),
)
@settings(max_examples=40)
def test_values_below_the_threshold_become_zero_and_all_others_are_rounded(
    steps: NDArray[np.float64], table: NDArray[np.uint16], slope: NDArray[np.float32], factor: NDArray[np.float32]
) -> None:
    """Results are those of the twin, except where single precision decides: next to the threshold and next to ties."""
    threshold = reference.least(reference.slopes(slope)[0], factor.astype(float))
    near = 1e-6 * np.maximum(1, abs(steps))
    undecided = (abs(abs(steps) - threshold) < near) | (abs(abs(steps) % 1 - 0.5) < near)

    out = quantized(steps * table, table, slope, factor)

    agrees = out == reference.dead_zone(steps, threshold)
    assert (agrees | undecided).all()
    assert (abs(out - steps)[~agrees] <= np.maximum(0.5, threshold)[~agrees] + 1e-3).all()


def test_a_larger_factor_makes_more_zeros_and_dc_has_no_dead_zone() -> None:
    steps = np.random.default_rng(2).uniform(-1.5, 1.5, (200, 64))
    slope = np.full((1, 64), 0.2, np.float32)
    slope[0, 0] = 0
    zeros = []
    for factor in (0, 0.3, 1, 2.5):
        out = quantized(steps * 16, np.full(64, 16, np.uint16), slope, np.full(200, factor, np.float32))
        zeros.append(int((out[:, 1:] == 0).sum()))
        np.testing.assert_array_equal(out[:, 0], np.rint(steps[:, 0]))

    assert zeros == sorted(set(zeros))


def test_results_that_int16_does_not_hold_are_clamped() -> None:
    block = np.array([[-1e6] + [1e6] * 63])

    out = quantized(block, np.ones(64, np.uint16), NO_SLOPE, np.ones(1, np.float32))
    assert out.tolist() == [[-32768] + [32767] * 63]


def test_only_the_requested_blocks_rows_and_factors_are_used() -> None:
    rng = np.random.default_rng(4)
    coefficients = rng.normal(0, 3000, (9, 64)).astype(np.float32)
    reciprocal = np.array([reciprocals(np.full(64, q, np.uint16)) for q in (9, 31, 255)])
    slope = rng.uniform(0, 0.3, (3, 64)).astype(np.float32)
    factor = rng.uniform(0.3, 2.5, 8).astype(np.float32)
    out, alone = np.full((9, 64), 12345, np.int16), np.empty((5, 64), np.int16)

    dead_zone(coefficients, 3, 5, (reciprocal, slope), 1, factor, 2, out, 1)
    dead_zone(coefficients[3:8], 0, 5, (reciprocal[1:2], slope[1:2]), 0, factor[2:7], 0, alone, 0)

    np.testing.assert_array_equal(out[1:6], alone)
    assert (out[:1] == 12345).all() and (out[6:] == 12345).all()
