"""The logarithm and the exponential of `masking`, compared with NumPy's."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from compressor.kernels import masking

# Intrinsics and compiled functions have other signatures than type checkers see.
LOG2: Any = masking.log2
EXP2: Any = masking.exp2


def _each_log2(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    for i in range(x.size):
        out[i] = LOG2(x[i])


def _each_exp2(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    for i in range(x.size):
        out[i] = EXP2(x[i])


each_log2: Any = njit(_each_log2)
each_exp2: Any = njit(_each_exp2)


def test_log2_is_exact_at_powers_of_two_and_close_between_them() -> None:
    powers = np.arange(-126, 128)
    x = np.concatenate([2.0**powers, np.geomspace(2.0**-126, 2.0**127, 100_000), np.linspace(0.5, 4, 100_000)])
    x = x.astype(np.float32)
    out = np.empty_like(x)
    each_log2(x, out)

    assert out[: powers.size].tolist() == powers.tolist()
    error = abs(out - np.log2(x.astype(float)))
    assert error[abs(np.log2(x)) < 8].max() < 2e-4
    assert error.max() < 2e-4 + 2**-17  # a float32 of 126 has steps of 2^-17


def test_exp2_is_exact_at_integers_and_close_between_them() -> None:
    powers = np.arange(-126, 128)
    x = np.concatenate([powers, np.linspace(-126, 126.99, 200_000), np.linspace(-2, 2, 100_000)]).astype(np.float32)
    out = np.empty_like(x)
    each_exp2(x, out)

    assert out[: powers.size].tolist() == (2.0**powers).tolist()
    assert (abs(out / np.exp2(x.astype(float)) - 1) < 2e-4).all()
