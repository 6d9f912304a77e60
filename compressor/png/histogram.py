"""The histogram of an image's colors, collected in one pass for `palette`."""

import numpy as np
from numpy.typing import NDArray

from compressor.kernels.png.histogram import SUMS, TABLE, count_colors
from compressor.png.header import ByteArray

SLOTS_MAX, SLOTS_MIN = 1 << 16, 1 << 8
WEIGHT = 16  # of a pixel in a flat area
HALVED_AT = 32  # difference from a neighbor at which a pixel has half that weight: errors are seen less there
CALL_PIXELS = 1 << 16  # that one call of the kernel counts: some milliseconds


def pixel_weights() -> NDArray[np.int64]:
    """Return the weight of a pixel by its activity, (256,), from WEIGHT down to 1."""
    return np.maximum(1, WEIGHT * HALVED_AT // (HALVED_AT + np.arange(256, dtype=np.int64)))


class Histogram:
    """Colors of an image and their weights, in a table whose size is bounded."""

    def __init__(self, width: int, height: int) -> None:
        slots = slots_for(width, height)
        self._keys = np.zeros((2, slots), np.uint32)
        self._sums = np.zeros((2, slots, SUMS), np.int64)
        self._state = np.zeros(3, np.int64)
        self._weights = pixel_weights()
        self._above: ByteArray | None = None

    def add(self, pixels: ByteArray) -> None:
        """Add the next lines, (n, width, channels) uint8."""
        lines = max(1, CALL_PIXELS // pixels.shape[1])
        for first in range(0, len(pixels), lines):
            part = pixels[first : first + lines]
            above = part[0] if self._above is None else self._above
            status = count_colors(part, above, self._weights, self._keys, self._sums, self._state)
            assert status == len(part), "the arrays were made for these pixels"
            self._above = part[-1].copy()

    def cells(self) -> NDArray[np.int64]:
        """Return the sums of all cells, (n, SUMS), in the order of the table."""
        sums = self._sums[self._state[TABLE]]
        used: NDArray[np.int64] = sums[sums[:, 0] > 0]
        return used


def slots_for(width: int, height: int) -> int:
    """Return the slots of the table: as many as hold a small image's pixels, a power of two."""
    return max(SLOTS_MIN, min(SLOTS_MAX, 1 << (2 * width * height - 1).bit_length()))


def histogram_bytes(width: int, height: int) -> int:
    """Return the bytes of a histogram, and of the line above."""
    return 2 * slots_for(width, height) * (4 + 8 * SUMS) + 4 * width
