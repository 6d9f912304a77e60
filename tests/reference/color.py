"""Color conversion and downsampling by the formulas of the standards, in float64, for a whole MCU row at once."""

import numpy as np
from numpy.typing import NDArray


def ycc(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Convert (..., 3) red, green, blue to (..., 3) Y - 128, Cb - 128, Cr - 128 (JFIF 1.02, BT.601)."""
    red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([y - 128, (blue - y) / 1.772, (red - y) / 1.402], axis=-1)


def planes(pixels: NDArray[np.uint8], row: int, h: int, v: int) -> list[NDArray[np.float64]]:
    """Return the sample planes of the MCU row that starts at pixel row `row`, centered on 0.

    pixels  (height, width, 1 or 3) uint8; the last row and column are repeated beyond the edge (T.81 A.2.4)
    h, v    luma sampling factors; a chroma sample is the mean of h x v pixels
    """
    height, width, channels = pixels.shape
    rows = [min(row + r, height - 1) for r in range(8 * v)]
    columns = [min(x, width - 1) for x in range(-(-width // (8 * h)) * 8 * h)]
    band = pixels[rows][:, columns]
    if channels == 1:
        return [band[..., 0].astype(np.float64) - 128]
    y, cb, cr = np.moveaxis(ycc(band), -1, 0)
    means = [sum(chroma[j::v, i::h] for j in range(v) for i in range(h)) / (h * v) for chroma in (cb, cr)]
    return [y, *means]
