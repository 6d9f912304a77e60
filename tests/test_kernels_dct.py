"""The forward DCT and quantization against the formulas of A.3.3 and A.3.4."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from compressor.kernels import dct
from compressor.t81 import K1_LUMINANCE, ZIGZAG
from tests.reference import dct as reference

LOW, HIGH = -128 * 16, 128 * 16  # of Q11.4 samples; HIGH itself is one more than any sample has
BLOCKS = arrays(np.int16, (8, 24), elements=st.integers(LOW, HIGH))
TABLES = arrays(np.uint16, 64, elements=st.one_of(st.integers(1, 16), st.integers(1, 255), st.integers(1, 65535)))


def run(plane: NDArray[np.int16], table: NDArray[np.uint16]) -> NDArray[np.int16]:
    blocks = plane.shape[1] // 8
    out = np.empty((blocks, 64), np.int16)
    dct.transform(plane, 0, blocks, dct.reciprocals(table)[None], 0, out, 0)
    return out


def check(plane: NDArray[np.int16], table: NDArray[np.uint16]) -> None:
    """Each result is the integer nearest to the exact quotient, or another one where that is next to a tie.

    Next to: within 2^-13 / Q. A coefficient has magnitudes up to 1024 and a float 24 bits, so that each operation
    rounds by up to 2^-14 of S = 1; measured for noise of ±128, the worst: 2^-14.4.
    """
    exact = reference.quotients(plane / 16, table)
    distance = np.abs(run(plane, table) - exact) - 0.5
    k = np.unravel_index(np.argmax(distance * table), exact.shape)
    assert (distance <= 2**-13 / table).all(), f"block {k[0]}, k = {k[1]}: off by {distance[k] + 0.5}, exact {exact[k]}"


def flat(q: int) -> NDArray[np.uint16]:
    return np.full(64, q, np.uint16)


def extremes() -> dict[str, NDArray[np.int16]]:
    """Planes of 8 lines: full-scale patterns, each basis function's sign pattern among them."""
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
    """The twins' own check: what the tests below use is A.3.3 letter by letter."""
    s = np.random.default_rng(1).uniform(-128, 128, (8, 8))

    np.testing.assert_allclose(reference.fdct(s), reference.fdct_formula(s), rtol=0, atol=1e-11)


@given(BLOCKS, TABLES)
@settings(deadline=None)
def test_quantized_coefficients_agree_with_the_formula(plane: NDArray[np.int16], table: NDArray[np.uint16]) -> None:
    check(plane, table)


@pytest.mark.parametrize("q", [1, 2, 3, 16, 255, 65535])
@pytest.mark.parametrize("pattern", extremes())
def test_full_scale_patterns_agree_with_the_formula(pattern: str, q: int) -> None:
    check(extremes()[pattern], flat(q))
    check(-extremes()[pattern], flat(q))


@pytest.mark.parametrize("q", [1, 2, 5, 16, 99])
def test_noise_agrees_with_the_formula(q: int) -> None:
    rng = np.random.default_rng(q)
    check(rng.integers(LOW, HIGH, (8, 8 * 4000)).astype(np.int16), flat(q))
    check(rng.choice([LOW, HIGH], (8, 8 * 4000)).astype(np.int16), flat(q))
    check(np.clip(rng.normal(0, 300, (8, 8 * 4000)), LOW, HIGH).astype(np.int16), flat(q))


@pytest.mark.parametrize("s, sq", [(0, 0), (8, 0), (-8, 0), (9, 1), (24, 2), (-24, -2), (40, 2), (1016, 64)])
def test_ties_of_dc_go_to_even(s: int, sq: int) -> None:
    """A flat block of sample value s / 8 has S = s at k = 0, which floats hold exactly. Q = 16: 8, 24, 40 are ties."""
    block = np.full((8, 8), 2 * s, np.int16)

    assert run(block, flat(16)).tolist() == [[sq] + [0] * 63]


def test_coefficients_are_in_zigzag_order() -> None:
    """A block of one basis function has one coefficient, at the place that Figure A.6 gives it."""
    for k in range(64):
        v, u = divmod(int(ZIGZAG[k]), 8)
        basis = np.outer(reference.BASIS[v], reference.BASIS[u])
        block = np.rint(1024 * basis / abs(basis).max()).astype(np.int16)

        assert np.flatnonzero(run(block, flat(40))).tolist() == [k]


def test_each_coefficient_has_its_own_divisor() -> None:
    table = K1_LUMINANCE.ravel()[ZIGZAG]
    noise = np.random.default_rng(3).integers(LOW, HIGH, (8, 8 * 500)).astype(np.int16)

    check(noise, table)
    check(noise, np.arange(1, 65, dtype=np.uint16))


@pytest.mark.parametrize("blocks", range(6))
def test_a_line_may_have_any_number_of_blocks(blocks: int) -> None:
    noise = np.random.default_rng(5).integers(LOW, HIGH, (8, 8 * 6)).astype(np.int16)
    out = np.full((7, 64), 12345, np.int16)

    dct.transform(noise, 0, blocks, dct.reciprocals(flat(7))[None], 0, out, 0)

    np.testing.assert_array_equal(out[:blocks], run(noise, flat(7))[:blocks])
    assert (out[blocks:] == 12345).all()


def test_only_the_asked_blocks_lines_and_tables_are_used() -> None:
    rng = np.random.default_rng(4)
    plane = rng.integers(LOW, HIGH, (24, 64)).astype(np.int16)
    tables = [flat(9), flat(31), flat(255)]
    out = np.full((9, 64), 12345, np.int16)

    dct.transform(plane, 8, 5, np.array([dct.reciprocals(table) for table in tables]), 1, out, 2)

    np.testing.assert_array_equal(out[2:7], run(np.ascontiguousarray(plane[8:16, :40]), tables[1]))
    assert (out[:2] == 12345).all() and (out[7:] == 12345).all()
