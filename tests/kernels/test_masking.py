"""Masking factors, compared with their formulas."""

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.kernels import masking
from compressor.kernels.dct import SCALE, TRANSPOSED
from tests.reference import masking as reference

Array = NDArray[np.float64]
RELATIVE = 1e-3


def scaled(coefficients: Array) -> NDArray[np.float32]:
    """Return S in zig-zag order as `fdct` leaves it."""
    out = np.empty(coefficients.shape, np.float32)
    out[:, TRANSPOSED] = coefficients * SCALE[TRANSPOSED]
    return out


def blocks(seed: int, count: int) -> Array:
    """Return blocks of all degrees of activity, falling towards high frequencies at all rates; mean luma 0 to 255."""
    rng = np.random.default_rng(seed)
    strength, decay = 10 ** rng.uniform(-2, 3, (count, 1)), rng.uniform(0, 0.2, (count, 1))
    found = rng.normal(0, strength * np.exp(-decay * np.arange(64)), (count, 64))
    found[:, 0] = 8 * rng.uniform(-128, 127, count)
    return np.clip(found, -1024, 1024)


def measured(coefficients: Array, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    energy = np.empty((3, len(coefficients)), np.float32)
    masking.energies(scaled(coefficients), 0, len(coefficients), weight, energy, 0)
    return energy


def luma(coefficients: Array, contrast: Array) -> NDArray[np.float32]:
    out = np.empty(len(coefficients), np.float32)
    masking.luma(measured(coefficients, masking.LUMA), 0, contrast.astype(np.float32), len(out), out)
    return out


def chroma(cb: Array, cr: Array, light: Array) -> NDArray[np.float32]:
    out = np.empty(len(cb), np.float32)
    energy = measured(np.concatenate([cb, cr]), masking.CHROMA)
    masking.chroma(energy, 0, len(cb), len(cb), light.astype(np.float32), out)
    return out


def test_energies_are_mean_squares_and_the_mean_sample() -> None:
    found = blocks(1, 500)

    near, far, light = measured(found, masking.LUMA)
    np.testing.assert_allclose(near, reference.rms(found, 1, 9) ** 2, rtol=1e-5)
    np.testing.assert_allclose(far, reference.rms(found, 28, 63) ** 2, rtol=1e-5)
    np.testing.assert_allclose(light, reference.mean(found), atol=1e-4)
    both = measured(found, masking.CHROMA)[0]
    np.testing.assert_allclose(both, reference.rms(found, 1, 63) ** 2, rtol=1e-5)


def test_energies_of_only_the_requested_blocks_are_measured() -> None:
    found = blocks(2, 9)
    out = np.full((3, 12), -1, np.float32)

    masking.energies(scaled(found), 3, 4, masking.LUMA, out, 5)

    np.testing.assert_array_equal(out[:, 5:9], measured(found[3:7], masking.LUMA))
    assert (out[:, :5] == -1).all() and (out[:, 9:] == -1).all()


def test_luma_factors_agree_with_the_formula_and_reach_both_clips() -> None:
    found = blocks(3, 20_000)
    contrast = 10 ** np.random.default_rng(4).uniform(-1, 3, len(found))
    exact = reference.luma(found, contrast)

    np.testing.assert_allclose(luma(found, contrast), exact, rtol=RELATIVE)
    assert exact.min() == 0.3 and exact.max() == 2.5 and ((exact > 0.3) & (exact < 2.5)).mean() > 0.3


def test_chroma_factors_agree_with_the_formula_and_reach_both_clips() -> None:
    cb, cr = blocks(5, 20_000), blocks(6, 20_000)
    light = np.random.default_rng(7).uniform(0, 255, len(cb))
    exact = reference.chroma(cb, cr, light)

    np.testing.assert_allclose(chroma(cb, cr, light), exact, rtol=RELATIVE)
    assert exact.min() == 0.25 and exact.max() == 4 and ((exact > 0.25) & (exact < 4)).mean() > 0.3


@pytest.mark.parametrize("value", [-1024, 0, 1024])
def test_blocks_of_one_color_have_finite_factors(value: int) -> None:
    """From black, whose mean has no logarithm, to one step beyond white."""
    flat = np.zeros((1, 64))
    flat[0, 0] = value
    light = reference.mean(flat)

    np.testing.assert_allclose(luma(flat, np.zeros(1)), 0.3, rtol=1e-6)
    np.testing.assert_allclose(chroma(flat, flat, light), reference.chroma(flat, flat, light), rtol=RELATIVE)


def test_full_scale_blocks_stay_within_the_clips() -> None:
    full = np.random.default_rng(8).choice([-1024.0, 1024.0], (50, 64))
    factors = luma(full, np.full(50, 2000.0))

    assert (factors >= np.float32(0.3)).all() and (factors <= 2.5).all()
    assert (chroma(full, full, np.full(50, 255.0)) == 4).all()


def test_structure_masks_errors_and_noise_does_not() -> None:
    structure, noise = np.zeros((2, 1, 64))
    structure[0, 1:10] = 10
    noise[0, 1:10], noise[0, 28:] = 10, 6
    contrast = np.array([masking.CONTRAST])

    assert luma(noise, contrast) < 0.6 * luma(structure, contrast)
