"""The encoders' own quality numbers of WebP and AVIF that give the score of a JPEG of the same quality.

SCALES are made by `python -m benchmarks formats --scales`: for each of QUALITIES the number at which the photographs
for tuning have, on average, the SSIMULACRA2 of our JPEG of that quality (`balanced`). Make them again when Pillow has
another libwebp, libavif or libaom. These are of Pillow 13.0 (libwebp 1.6.0, libavif 1.4.2). Only AVIF of `best` has the
table of `balanced`, with which its score is 0.8 points higher (7 photographs).
"""

from functools import cache

import numpy as np

from compressor.settings import Effort

QUALITIES = (1, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 98, 100)
SCALES: dict[str, dict[Effort, tuple[float, ...]]] = {
    "webp": {
        Effort.FAST: (0, 3.4, 14.6, 30.9, 44.5, 56.6, 66.3, 76.1, 79.4, 82.9, 86.8, 91.6, 98, 100, 100),
        Effort.BALANCED: (0, 3.5, 14.7, 30.9, 44.7, 56.8, 66, 76.1, 79.6, 83, 86.8, 91.7, 98.4, 100, 100),
        Effort.BEST: (0, 3.5, 14.7, 30.9, 44.7, 56.8, 66, 76.1, 79.6, 83, 86.8, 91.7, 98.4, 100, 100),
    },
    "avif": {
        Effort.FAST: (1, 12.5, 32.1, 41.7, 47.7, 52.6, 56, 61.8, 64.9, 69.3, 75.5, 84.5, 95, 99.7, 100),
        Effort.BALANCED: (1, 9.5, 29.6, 39.5, 45.2, 50.7, 54.2, 60, 63, 67.5, 73.6, 83.3, 94.2, 99.7, 100),
        Effort.BEST: (1, 9.5, 29.6, 39.5, 45.2, 50.7, 54.2, 60, 63, 67.5, 73.6, 83.3, 94.2, 99.7, 100),
    },
}
# One number for each of the 64 quantizers that libavif 1.4.2 maps 0 … 100 to: the others give the same bytes.
AVIF_NUMBERS = (
    1, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 35, 37, 39, 40, 42, 44, 45, 47, 49, 50, 52, 54, 55,
    56, 58, 59, 60, 62, 63, 64, 66, 67, 68, 70, 71, 72, 74, 75, 76, 78, 79, 80, 82, 83, 84, 86, 87, 88, 90, 91, 92, 94,
    95, 96, 98, 99, 100,
)  # fmt: skip
# On a scale with equal steps: the quantizers' steps are about equal (54–58: 1.6, 1.2, 1.2 points on 9 photographs
# for tuning), but these numbers are rounded, and the mean of three undoes most of that.
AVIF_POSITIONS = np.convolve(
    np.pad(np.array(AVIF_NUMBERS, float), 1, "reflect", reflect_type="odd"), np.ones(3) / 3, "valid"
)


def own_number(format: str, effort: Effort, quality: float) -> float:
    """Return the encoder's own number, 0 to 100, for a quality from 1 to 100; that of AVIF is one of AVIF_NUMBERS."""
    found = float(np.interp(quality, QUALITIES, SCALES[format][effort]))
    return float(AVIF_NUMBERS[np.argmin(abs(AVIF_POSITIONS - found))]) if format == "avif" else found


@cache
def distinct_qualities(format: str, effort: Effort) -> tuple[float, ...]:
    """Return a quality for each number that an encoder distinguishes, rising; () if it distinguishes all."""
    if format != "avif":
        return ()
    scale = np.array(SCALES[format][effort])
    positions = AVIF_POSITIONS[(scale[0] <= AVIF_POSITIONS) & (scale[-1] >= AVIF_POSITIONS)]
    return tuple(float(quality) for quality in np.interp(positions, scale, QUALITIES))
