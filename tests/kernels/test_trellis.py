"""The trellis: no values cost less than those it chooses."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.kernels import trellis as kernel
from tests.reference import trellis as reference

Floats = NDArray[np.float32]


def annex_k(seed: int = 0) -> Floats:
    """Return lengths like those of photographs' codes: longer with the run and with the size, and no two equal."""
    run, ssss = np.divmod(np.arange(256), 16)
    lengths = np.minimum(1.5 + 0.9 * ssss + 0.6 * run + 0.4 * run * ssss, 16).astype(np.float32)
    lengths[[0x00, 0xF0]] = 4, 11
    return lengths + np.random.default_rng(seed).uniform(0, 0.5, 256).astype(np.float32)


def any_lengths(seed: int) -> Floats:
    """Return lengths in random order."""
    return np.random.default_rng(seed).uniform(1, 16, 256).astype(np.float32)


def laplacian(blocks: int, scale: float, seed: int = 0) -> Floats:
    """Return coefficients that decrease along the zig-zag, like those of photographs."""
    spread = scale * 40 / (1 + np.arange(64)) ** 1.2
    return np.random.default_rng(seed).laplace(0, spread, (blocks, 64)).astype(np.float32)


def sparse(blocks: int, nonzero: int, seed: int = 0) -> Floats:
    """Return few coefficients, anywhere, so that runs are long."""
    random = np.random.default_rng(seed)
    x = random.uniform(-0.49, 0.49, (blocks, 64))
    for row in x:
        row[random.integers(1, 64, nonzero)] = random.uniform(-3, 3, nonzero)
    return x.astype(np.float32)


def tables(lengths: Floats) -> tuple[Floats, Floats]:
    rate, margin = np.empty(kernel.RATES, np.float32), np.empty(kernel.MARGINS, np.float32)
    kernel.rates(lengths, rate, margin)
    return rate, margin


def quantize(x: Floats, weight: float | Floats, lengths: Floats) -> NDArray[np.int16]:
    out = np.full(x.shape, 0x5555, np.int16)
    kernel.trellis(x, 0, len(x), np.broadcast_to(np.float32(weight), len(x)).copy(), *tables(lengths), out)
    return out


def assert_optimal(x: Floats, weight: float, lengths: Floats) -> None:
    """Assert that the values are candidates, and cost as much as those of the reference."""
    bits = lengths.tolist()
    for row, values in zip(x.tolist(), quantize(x, weight, lengths).tolist(), strict=True):
        assert all(v == 0 or v in reference.candidates(c) for c, v in zip(row[1:], values[1:], strict=True))
        least = reference.least_cost(row, float(np.float32(weight)), bits)
        # What counts are the differences that a choice makes: of float32 numbers up to about 1024, 63 times.
        assert reference.cost(row, values, float(np.float32(weight)), bits) <= least + 1e-4 * (1 + weight)


def test_tables_have_the_bits_of_every_run_and_size() -> None:
    for lengths in (annex_k(), any_lengths(1)):
        rate, margin = tables(lengths)
        expected, least = reference.rates(lengths.tolist())

        np.testing.assert_allclose(rate.reshape(64, 16)[1:, 1:11], expected, rtol=1e-5)
        assert (rate.reshape(64, 16)[1:, 0] == kernel.NO_CODE).all() and rate[0] == lengths[0]
        np.testing.assert_allclose(margin, least, atol=1e-4)


@pytest.mark.parametrize("weight", [0.02, 0.08, 0.2, 1.0, 5.0])
@pytest.mark.parametrize("scale", [0.03, 0.1, 0.4, 1.5, 30])
def test_no_values_cost_less(scale: float, weight: float) -> None:
    assert_optimal(laplacian(10, scale), weight, annex_k())


@pytest.mark.parametrize("weight", [0.05, 0.3, 2.0])
def test_no_values_cost_less_whatever_the_lengths(weight: float) -> None:
    for seed in range(8):
        assert_optimal(laplacian(4, 0.3, seed), weight, any_lengths(seed))
        assert_optimal(sparse(4, 6, seed), weight, any_lengths(seed))


@pytest.mark.parametrize("nonzero", [1, 2, 3, 5, 20])
def test_no_values_cost_less_over_long_runs(nonzero: int) -> None:
    for weight in (0.02, 0.08, 0.2):
        assert_optimal(sparse(12, nonzero), weight, annex_k())


@pytest.mark.parametrize("weight", [0.05, 0.2, 1.0])
def test_the_reference_is_as_good_as_the_best_of_all_combinations(weight: float) -> None:
    for seed in range(4):
        bits = any_lengths(seed).tolist()
        for row in sparse(2, 4, seed).tolist():
            choices = [[0, *reference.candidates(c)] for c in row[1:]]
            least = min(reference.cost(row, [0, *v], weight, bits) for v in itertools.product(*choices))
            assert reference.least_cost(row, weight, bits) == pytest.approx(least, rel=1e-12)


def test_without_a_weight_all_is_rounded() -> None:
    x = laplacian(200, 1.0)

    np.testing.assert_array_equal(quantize(x, 0.0, annex_k()), np.rint(x))


def test_with_a_huge_weight_all_but_dc_is_zero() -> None:
    x = laplacian(50, 1.0)
    out = quantize(x, 1e8, annex_k())

    assert not out[:, 1:].any()
    np.testing.assert_array_equal(out[:, 0], np.rint(x[:, 0]))


def test_dc_is_rounded_with_ties_to_even() -> None:
    x = np.zeros((6, 64), np.float32)
    x[:, 0] = -2.5, -1.5, -0.5, 0.5, 1.5, 1023.6

    assert quantize(x, 0.1, annex_k())[:, 0].tolist() == [-2, -2, 0, 0, 2, 1024]


def test_values_end_at_1023_and_runs_at_the_last_coefficient() -> None:
    """All large, of both signs; and one alone at each position, after every run."""
    large = np.full((3, 64), 5000, np.float32)
    large[1] = -1023.4
    large[2, 1:63] = 0
    alone = np.diag(np.full(64, -300.2, np.float32))

    assert quantize(large, 0.1, annex_k())[:2, 1:].tolist() == [[1023] * 63, [-1023] * 63]
    assert quantize(large, 0.1, annex_k())[2].nonzero()[0].tolist() == [0, 63]
    np.testing.assert_array_equal(quantize(alone, 0.1, annex_k()), np.rint(alone))
    for x in (large, alone, np.full((2, 64), 1, np.float32), np.full((2, 64), 0.51, np.float32)):
        for weight in (0.01, 0.1, 1.0):
            assert_optimal(x, weight, annex_k())


def test_every_state_is_kept_if_none_is_better() -> None:
    """Codes that are longer for shorter runs make the stack of states as deep as possible."""
    lengths = np.repeat(np.arange(16, 0, -1), 16).astype(np.float32)
    lengths[0xF0] = 0.1
    x = np.full((4, 64), 0.6, np.float32)
    x[1:, 40:] = 1.1
    x[2:, 63] = 7.7

    for weight in (0.01, 0.05, 0.2, 1.0):
        assert_optimal(x, weight, lengths)


def test_large_values_leave_small_ones_their_precision() -> None:
    x = laplacian(30, 0.1)
    x[:, 1:4] = 900.3, -700.4, 1023.9

    for weight in (0.02, 0.08):
        assert_optimal(x, weight, annex_k())


def test_only_the_requested_blocks_are_filled_each_with_its_weight() -> None:
    x, lengths = laplacian(6, 0.3), annex_k()
    weight = np.array([0, 0.01, 0.05, 0.2, 1, 0], np.float32)
    out = np.full((6, 64), 9, np.int16)
    kernel.trellis(x, 1, 4, weight, *tables(lengths), out)

    for block in range(1, 5):
        np.testing.assert_array_equal(out[block], quantize(x[block : block + 1], weight[block], lengths)[0])
    assert (out[[0, 5]] == 9).all()


def test_nan_and_infinity_stay_inside_the_arrays() -> None:
    x = laplacian(40, 0.5)
    x.ravel()[::7] = np.tile(np.array([np.inf, -np.inf, np.nan, 3e38], np.float32), 92)[: len(x.ravel()[::7])]
    x[:, 0] = 0
    for weight in (0.1, np.inf, np.nan, -1.0):
        assert abs(quantize(x, weight, annex_k()).astype(int)).max() <= 1023
