"""The SSIMULACRA2 score of a picture against its source, both arriving in bands.

SSIMULACRA2 (J. Sneyers, Cloudinary, 2022) compares two pictures at six scales, each half the one before, in the color
space XYB. At each scale and for each component, three maps say where structure differs, where the result has edges
that the source does not have, and where it lost edges. The mean and the 4-norm of each map are added with weights that
were fitted to 17,611 scores by people. The definition is the reference program, tools/ssimulacra2.cc of libjxl, in its
version 2.1; like it, the scale after one of at least 8 x 8 pixels is included even if it is smaller, and a picture
without such a scale has a score of 100.

Components whose weights at a scale are all below WEIGHT_MIN are left out: the largest of these weights is 0.0021. That,
and float32, moves a score by at most 2e-5 of its distance from 100: by 0.0003 in photographs, by 0.002 in noise with a
score of -146.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.kernels import ssimulacra2 as kernels
from compressor.kernels.ssimulacra2_lanes import BLOCK, FOURTH_POWERS, LANES, MAPS

SCALES_MAX, SIDE_MIN = 6, 8
WEIGHT_MIN = 0.5
HEIGHTS = (8, 15, 29, 57, 113)  # the least with 2 to 6 scales
CALL_PIXELS = 1 << 17  # that one call of the kernel adds: some milliseconds
ALIGNMENT = 16  # pixels: what `half_lanes` reads
WEIGHTS = (
    # X
    0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0,
    0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752,
    0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0,
    0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0,
    0.0007289346991508072, 0.9677937080626833, 0.0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
    0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0,
    # Y
    0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262,
    0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264,
    225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985,
    176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408,
    0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0,
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    # B
    0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0,
    0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0,
    95.1080498811086, 0.9863978034400682, 0.9834382792465353,
    0.0012286405048278493, 171.2667255897307, 0.9807858872435379,
    0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scale:
    """One scale: its size, the components that count, and their weights (component, norm, map) as X, Y, B - Y."""

    width: int
    height: int
    count: int
    weights: NDArray[np.float64]

    @property
    def blocks(self) -> int:
        """Return the groups of 8 pixels in a line."""
        return -(-self.width // LANES)

    @property
    def stride(self) -> int:
        """Return the floats of a line of linear light: a multiple of 16, more than the width."""
        return (self.width // ALIGNMENT + 1) * ALIGNMENT

    def light_size(self, channels: int) -> int:
        """Return the floats of two lines of linear light of both pictures."""
        return 4 * channels * self.stride

    @property
    def ring_size(self) -> int:
        """Return the floats of the ring."""
        return self.count * self.blocks * BLOCK


def _scales(width: int, height: int, channels: int) -> list[_Scale]:
    """Return the scales of an image, up to the last one that counts.

    The reference reads the weights in order, so that with fewer than six scales a component has others.
    """
    sizes: list[tuple[int, int]] = []
    while len(sizes) < SCALES_MAX and min(width, height) >= SIDE_MIN:
        if sizes:
            width, height = -(-width // 2), -(-height // 2)
        sizes.append((width, height))
    weights = np.array(WEIGHTS)[: 18 * len(sizes)].reshape(3, len(sizes), 2, 3)
    found: list[_Scale] = []
    for n, size in enumerate(sizes):
        counts = weights[:, n].max((1, 2)) >= WEIGHT_MIN
        count = 3 if counts[2] else 2 if counts[0] else int(counts[1])
        if channels == 1:
            count = min(count, 1)
        found.append(_Scale(*size, count, weights[:, n]))
    while found and found[-1].count == 0:
        found.pop()
    return found


def memory_bytes(width: int, channels: int) -> int:
    """Return the bytes of arrays that scoring allocates for an image of any height, at its largest."""
    return max(_bytes(_scales(width, height, channels), channels) for height in HEIGHTS)


def _bytes(scales: list[_Scale], channels: int) -> int:
    floats = sum(scale.light_size(channels) + scale.ring_size for scale in scales)
    return 4 * floats + sum(array.nbytes for array in _small(len(scales)))


def _small(scales: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the plan and the totals of so many scales."""
    return np.zeros((scales, kernels.FIELDS), np.int64), np.zeros((scales, 3 * MAPS), np.float64)


def _linear_light() -> NDArray[np.float32]:
    """Return the transfer function of sRGB (IEC 61966-2-1) for all samples."""
    x = np.arange(256) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


LINEAR = _linear_light()


class Ssimulacra2:
    """The SSIMULACRA2 score of a picture against its source, both arriving in bands."""

    def __init__(self, width: int, height: int, channels: int) -> None:
        """Prepare for pictures of 1 channel (grey) or 3 (RGB)."""
        self._width, self._channels = width, channels
        self._scales = _scales(width, height, channels)
        self._plan, self._totals = _small(len(self._scales))
        light = ring = 0
        for row, scale in zip(self._plan, self._scales, strict=True):
            row[kernels.WIDTH], row[kernels.HEIGHT], row[kernels.COUNT] = scale.width, scale.height, scale.count
            row[kernels.LIGHT], row[kernels.STRIDE], row[kernels.RING] = light, scale.stride, ring
            light += scale.light_size(channels)
            ring += scale.ring_size
        self._light, self._ring = np.zeros(light, np.float32), np.zeros(ring, np.float32)

    def add(self, source: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
        """Add the same lines of both pictures, (n, width, channels) or (n, width * channels) uint8."""
        if not self._scales:
            return
        row = self._width * self._channels
        if source.shape != result.shape:
            raise ValueError(f"bands of different shapes: {source.shape} and {result.shape}")
        source, result = (np.ascontiguousarray(band).reshape(-1, row) for band in (source, result))
        lines = max(1, CALL_PIXELS // self._width)
        for at in range(0, len(source), lines):
            bands = source[at : at + lines], result[at : at + lines]
            kernels.add_lines(*bands, self._plan, self._light, self._ring, LINEAR, self._totals)

    def score(self) -> float:
        """Return the score, at most 100, once all lines were added."""
        total = 0.0
        for scale, sums in zip(self._scales, self._totals, strict=True):
            means = sums.reshape(3, 3, 2)[[1, 0, 2]] / (scale.width * scale.height)  # Y, X, B - Y to X, Y, B - Y
            fourth = (means[:, :, 1] / FOURTH_POWERS) ** 0.25
            total += float((scale.weights * np.stack([means[:, :, 0], fourth], 1)).sum())
        x = 0.9562382616834844 * total
        x = 2.326765642916932 * x - 0.020884521182843837 * x**2 + 6.248496625763138e-05 * x**3
        return float(100 - 10 * x**0.6276336467831387) if x > 0 else 100.0
