"""The forward DCT, compared with the formula of A.3.3."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from compressor.kernels import dct
from compressor.t81 import ZIGZAG
from tests.reference import dct as reference

LOW, HIGH = -128 * 16, 128 * 16  # of Q11.4 samples; HIGH itself is one more than any sample has
BLOCKS = arrays(np.int16, (8, 24), elements=st.integers(LOW, HIGH))


def run(plane: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return S of all blocks, (blocks, 64), in zig-zag order."""
    blocks = plane.shape[1] // 8
    out = np.empty((blocks, 64), np.float32)
    dct.fdct(plane, 0, blocks, out, 0)
    return np.asarray((out / dct.SCALE)[:, dct.TRANSPOSED])


def check(plane: NDArray[np.int16]) -> None:
    """Check that errors are within 2^-11: a coefficient has magnitudes up to 1024 and a float 24 bits, so that each
    operation rounds by up to 2^-14 of S = 1; measured, the worst: 2^-11.9, of samples that are all lowest or
    highest."""
    error = abs(run(plane) - reference.quotients(plane / 16, np.ones(64, np.uint16)))
    n, k = np.unravel_index(np.argmax(error), error.shape)
    assert error.max() <= 2**-11, f"block {n}, k = {k}: off by {error.max()}"


def extremes() -> dict[str, NDArray[np.int16]]:
    """Return planes of 8 lines with full-scale patterns, including each basis function's sign pattern."""
    y, x = np.mgrid[:8, :8]
    patterns = {
        "all lowest": np.full((8, 8), LOW),
        "all highest": np.full((8, 8), HIGH),
        "checkerboard": np.where((x + y) % 2, LOW, HIGH),
        "columns": np.where(x % 2, LOW, HIGH),
        "rows": np.where(y % 2, LOW, HIGH),
        "one sample": np.where(x + y == 0, HIGH, 0),
        "zero": np.zeros((8, 8)),
    }
    signs = [np.where(np.outer(v, u) >= 0, HIGH, LOW) for v in reference.BASIS for u in reference.BASIS]
    patterns["signs of every basis function"] = np.hstack(signs)
    return {name: pattern.astype(np.int16) for name, pattern in patterns.items()}


def test_the_matrix_form_is_the_formula() -> None:
    """A check of the reference: the tests below use the formula of A.3.3."""
    s = np.random.default_rng(1).uniform(-128, 128, (8, 8))

    np.testing.assert_allclose(reference.fdct(s), reference.fdct_formula(s), rtol=0, atol=1e-11)


@given(BLOCKS)
def test_coefficients_agree_with_the_formula(plane: NDArray[np.int16]) -> None:
    check(plane)


@pytest.mark.parametrize("pattern", extremes())
def test_full_scale_patterns_agree_with_the_formula(pattern: str) -> None:
    check(extremes()[pattern])
    check(-extremes()[pattern])


def test_noise_agrees_with_the_formula() -> None:
    rng = np.random.default_rng(1)
    check(rng.integers(LOW, HIGH, (8, 8 * 8000)).astype(np.int16))
    check(rng.choice([LOW, HIGH], (8, 8 * 8000)).astype(np.int16))
    check(np.clip(rng.normal(0, 300, (8, 8 * 8000)), LOW, HIGH).astype(np.int16))


def test_a_flat_block_has_dc_only_and_exactly() -> None:
    """S of a flat block is 8 times its sample, which is exact in floats."""
    for sample in (LOW, -24, 0, 2, 1016):
        assert run(np.full((8, 8), sample, np.int16)).tolist() == [[sample / 2] + [0] * 63]


def test_each_basis_function_has_one_coefficient_at_its_transposed_position() -> None:
    for k in range(64):
        v, u = divmod(int(ZIGZAG[k]), 8)
        basis = np.outer(reference.BASIS[v], reference.BASIS[u])
        block = np.rint(1024 * basis / abs(basis).max()).astype(np.int16)

        assert np.flatnonzero(abs(run(block)) > 2).tolist() == [k]  # samples are rounded to sixteenths
        assert dct.TRANSPOSED[k] == 8 * u + v


@pytest.mark.parametrize("blocks", range(6))
def test_a_line_may_have_any_number_of_blocks(blocks: int) -> None:
    noise = np.random.default_rng(5).integers(LOW, HIGH, (8, 8 * 6)).astype(np.int16)
    whole, out = np.full((2, 7, 64), 12345, np.float32)

    dct.fdct(noise, 0, 6, whole, 0)
    dct.fdct(noise, 0, blocks, out, 0)

    np.testing.assert_array_equal(out[:blocks], whole[:blocks])
    assert (out[blocks:] == 12345).all()


def test_only_the_requested_blocks_and_lines_are_used() -> None:
    plane = np.random.default_rng(4).integers(LOW, HIGH, (24, 64)).astype(np.int16)
    alone, out = np.empty((5, 64), np.float32), np.full((9, 64), 12345, np.float32)

    dct.fdct(np.ascontiguousarray(plane[8:16, :40]), 0, 5, alone, 0)
    dct.fdct(plane, 8, 5, out, 2)

    np.testing.assert_array_equal(out[2:7], alone)
    assert (out[:2] == 12345).all() and (out[7:] == 12345).all()
