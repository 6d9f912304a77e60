"""Deringing in float64, with whole arrays and the DCT as matrices."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INDEX = np.arange(8)
DCT = np.sqrt(np.where(INDEX, 2, 1) / 8)[:, None] * np.cos((2 * INDEX + 1) * INDEX[:, None] * np.pi / 16)


def bounds(block: Array, mean_limit: float) -> tuple[Array, Array]:
    """Return the least and the most that each sample of a block may become. Samples are Q4, -2048 … 2032."""
    bright, dark = block >= 2024, block <= -2040
    low, high = block.copy(), block.copy()
    if bright.sum() > 0:
        high[bright] += min(64 * 16, (2032 - block + mean_limit).sum() / bright.sum())
    if dark.sum() > 0:
        low[dark] -= min(64 * 16, (block + 2048 + mean_limit).sum() / dark.sum())
    return low, high


def dering(block: Array, steps: Array) -> Array:
    """Dering a block (8, 8) of Q4 samples with extreme ones, quantized by `steps` (8, 8), those of AC 2 or more."""
    low, high = bounds(block, 0 if steps[0, 0] < 2 else 64 * 16)
    made = block
    for share in np.linspace(1, 0.25, 17)[1:]:
        taken = 16 * steps * share
        taken[0, 0] = 0
        found = DCT @ made @ DCT.T
        drawn = np.sign(found) * np.maximum(np.abs(found) - taken, 0)
        made = np.clip(made + 1.9 * (DCT.T @ drawn @ DCT - made), low, high)
    return made
