"""The SSIMULACRA2 score of a picture against its source."""

import math

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float64]
Band = NDArray[np.uint8]

SIGMA, C2, SIDE_MIN, SCALES_MAX = 1.5, 0.0009, 8, 6
OPSIN = np.array(
    [[0.30, 0.622, 0.078], [0.23, 0.692, 0.078], [0.24342268924547819, 0.20476744424496821, 0.5518098665095536]]
)
BIAS = 0.0037930732552754493
# By component, scale, norm (1-norm, 4-norm) and map (SSIM, artifacts, detail lost). With fewer than six scales the
# program reads them in the same order without gaps, so that Y of two scales has weights of X.
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


def linear(samples: NDArray[np.uint8]) -> Planes:
    """Return sRGB samples (height, width, 1 or 3) as linear light (3, height, width)."""
    x = np.broadcast_to(samples, (*samples.shape[:2], 3)).astype(np.float64) / 255
    return np.moveaxis(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4), -1, 0)


def positive_xyb(light: Planes) -> Planes:
    """Return linear light (3, height, width) as X, Y and B - Y, scaled and moved such that none is negative."""
    roots = np.cbrt(np.einsum("kc,chw->khw", OPSIN, light) + BIAS) - np.cbrt(BIAS)
    x, y = (roots[0] - roots[1]) / 2, (roots[0] + roots[1]) / 2
    return np.stack([14 * x + 0.42, y + 0.01, roots[2] - y + 0.55])


def halved(light: Planes) -> Planes:
    """Return means of 2 x 2, the last column and line repeated if their number is odd."""
    even = np.pad(light, ((0, 0), (0, light.shape[1] % 2), (0, light.shape[2] % 2)), "edge")
    return np.asarray((even[:, ::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, ::2] + even[:, 1::2, 1::2]) / 4)


def coefficients() -> tuple[int, Planes, Planes]:
    """Return the radius of the filter, and the factors of its input and of its last output, for three cosines."""
    radius = round(3.2795 * SIGMA + 0.2546)
    omega = np.pi / (2 * radius) * np.array([1, 3, 5])
    signs = np.array([1, -1, 1])
    p = signs / np.tan(omega / 2)
    r = signs * p**2 / np.sin(omega)
    rho = np.exp(-(SIGMA**2) * omega**2 / 2) / radius
    d = p * np.roll(r, -1) - r * np.roll(p, -1)  # of 1 and 3, 3 and 5, 5 and 1
    zeta = d[1] / d[0], d[2] / d[0]
    system = np.array([p, r, [*zeta, 1]])
    gamma = np.array([1, radius**2 - SIGMA**2, zeta[0] * rho[0] + zeta[1] * rho[1] + rho[2]])
    return radius, -np.linalg.solve(system, gamma) * np.cos(omega * (radius + 1)), -2 * np.cos(omega)


def blurred_lines(planes: Planes) -> Planes:
    """Filter along the second last axis; outside the image there are zeros."""
    radius, n2, d1 = coefficients()
    length = planes.shape[-2]
    padded = np.zeros((*planes.shape[:-2], length + 2 * radius + 2, planes.shape[-1]))
    padded[..., radius + 1 : radius + 1 + length, :] = planes
    out = np.empty_like(planes)
    last = [np.zeros((*planes.shape[:-2], planes.shape[-1])) for _ in range(6)]
    for n in range(1 - radius, length):
        both = sum(
            padded[..., n + k + radius + 1, :] if 0 <= n + k + radius + 1 < padded.shape[-2] else 0.0
            for k in (-radius - 1, radius - 1)
        )
        now = [n2[k] * both - d1[k] * last[k] - last[3 + k] for k in range(3)]
        last = [*now, *last[:3]]
        if n >= 0:
            out[..., n, :] = now[0] + now[1] + now[2]
    return out


def blurred(planes: Planes) -> Planes:
    return blurred_lines(blurred_lines(planes).swapaxes(-1, -2)).swapaxes(-1, -2)


def norms(a: Planes, b: Planes) -> Planes:
    """Return the norms (component, norm, map) of one scale."""
    mu_a, mu_b, s_aa, s_bb, s_ab = (blurred(x) for x in (a, b, a * a, b * b, a * b))
    structure = (2 * (s_ab - mu_a * mu_b) + C2) / (s_aa - mu_a**2 + s_bb - mu_b**2 + C2)
    ssim = np.maximum(1 - (1 - (mu_a - mu_b) ** 2) * structure, 0)
    edges = (1 + np.abs(b - mu_b)) / (1 + np.abs(a - mu_a)) - 1
    maps = np.stack([ssim, np.maximum(edges, 0), np.maximum(-edges, 0)], 1)
    return np.stack([maps.mean((2, 3)), (maps**4).mean((2, 3)) ** 0.25], 1)


def all_norms(source: NDArray[np.uint8], result: NDArray[np.uint8]) -> list[Planes]:
    """Return the norms of each scale. The scale after one of at least 8 x 8 is included, even if it is smaller."""
    a, b = linear(source), linear(result)
    found: list[Planes] = []
    while len(found) < SCALES_MAX and min(a.shape[1:]) >= SIDE_MIN:
        if found:
            a, b = halved(a), halved(b)
        found.append(norms(positive_xyb(a), positive_xyb(b)))
    return found


def score_of(found: list[Planes]) -> float:
    """Return the score of the norms of all scales."""
    flat = np.stack(found, 1).ravel() if found else np.zeros(0)
    x = 0.9562382616834844 * math.fsum(flat * WEIGHTS[: flat.size])
    x = 2.326765642916932 * x - 0.020884521182843837 * x**2 + 6.248496625763138e-05 * x**3
    return 100 - 10 * x**0.6276336467831387 if x > 0 else 100.0


def score(source: NDArray[np.uint8], result: NDArray[np.uint8]) -> float:
    """Return the score of a picture (height, width, 1 or 3) against its source."""
    return score_of(all_norms(source, result))


def memory_bytes(width: int, channels: int) -> int:
    """Return the bytes that scoring allocates at its largest."""
    return 1 << 20


class Ssimulacra2:
    """The SSIMULACRA2 score of a picture against its source, both arriving in bands."""

    def __init__(self, width: int, height: int, channels: int) -> None:
        self._shape = height, width, channels
        self._bands: tuple[list[Band], list[Band]] = ([], [])

    def add(self, source: Band, result: Band) -> None:
        """Add the same lines (n, width, channels) or (n, width * channels) of both."""
        for bands, band in zip(self._bands, (source, result), strict=True):
            bands.append(band.copy().reshape(-1, *self._shape[1:]))

    def score(self) -> float:
        """Return the score, at most 100, once all lines were added."""
        return float(score(*(np.concatenate(bands) for bands in self._bands)))
