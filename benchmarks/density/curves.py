"""Rate-distortion curves, and the BD-rate of two of them: the mean difference of bytes at equal score.

After G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, but with monotone cubic
interpolation (PCHIP) instead of one polynomial through all points, as has become common.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.harness.judges import BY_NAME, JUDGES

Float64s = npt.NDArray[np.float64]

# In SSIMULACRA2. According to its author 50 is medium, 70 high and 90 visually lossless quality.
RANGES = {"50-90": (50.0, 90.0), "50-70": (50.0, 70.0), "70-82": (70.0, 82.0), "82-90": (82.0, 90.0)}
METRICS = tuple(judge.name for judge in JUDGES)


@dataclass(frozen=True)
class Point:
    """The size of one image at one quality, and its scores: each judge's own figures, None if not measured."""

    quality: int
    bytes: int
    ssimulacra2: float
    butteraugli: float | None = None
    ms_ssim: float | None = None
    cvvdp: float | None = None

    def score(self, metric: str) -> float:
        """Return the score on a scale on which more is better; NaN if not measured."""
        figure: float | None = getattr(self, metric)
        return math.nan if figure is None else BY_NAME[metric].rising(figure)


PointsByEncoder = dict[str, list[Point]]
PhotographSet = dict[str, PointsByEncoder]  # by the name of the photograph
DensityResults = dict[str, PhotographSet]  # by the name of the set


def increasing(points: Sequence[Point], metric: str) -> tuple[Float64s, Float64s]:
    """Return scores and logarithms of bytes without points that are no better than a smaller one.

    Points without a finite score, as that of an identical image may be, do not count either.
    """
    pairs: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: point.bytes):
        score = point.score(metric)
        if not math.isfinite(score):
            continue
        if not pairs or (score > pairs[-1][0] + 1e-6 and point.bytes > math.exp(pairs[-1][1]) + 0.5):
            pairs.append((score, math.log(point.bytes)))
    return np.array([score for score, _ in pairs]), np.array([size for _, size in pairs])


class Curve:
    """ln(bytes) as a function of a score."""

    def __init__(self, points: Sequence[Point], metric: str) -> None:
        from scipy.interpolate import PchipInterpolator

        self.scores, sizes = increasing(points, metric)
        if len(self.scores) < 2:
            raise ValueError(f"{len(points)} points do not define a curve by {metric}")
        self._sizes = PchipInterpolator(self.scores, sizes)
        self._score = PchipInterpolator(sizes, self.scores)

    def sizes(self, scores: Float64s) -> Float64s:
        """Return ln(bytes) at these scores; NaN outside the curve."""
        inside = (scores >= self.scores[0]) & (scores <= self.scores[-1])
        return np.where(inside, self._sizes(np.clip(scores, self.scores[0], self.scores[-1])), np.nan)

    def extended(self, score: float) -> float:
        """Return ln(bytes) at a score, outside the curve along its tangent at the nearer end."""
        nearest = min(max(score, self.scores[0]), self.scores[-1])
        return float(self._sizes(nearest) + self._sizes.derivative()(nearest) * (score - nearest))

    def mean(self, low: float, high: float) -> float:
        """Return the mean of ln(bytes) between two scores of the curve."""
        return float(self._sizes.integrate(low, high)) / (high - low)

    def score_at(self, size: float) -> float:
        """Return the score at ln(bytes)."""
        return float(self._score(size))


@functools.cache
def curve(points: tuple[Point, ...], metric: str) -> Curve:
    """Return a cached curve: each is compared with several others, over several ranges."""
    return Curve(points, metric)


def bd_rate(points: Sequence[Point], reference: Sequence[Point], metric: str, limits: tuple[float, float]) -> float:
    """Return the mean difference of bytes at equal score, relative to the reference: -0.1 means 10 % less.

    limits  in SSIMULACRA2. For another metric the scores at the same points of the reference's curve are used, so that
            both metrics cover the same part of it.

    Only scores that both curves reach count; NaN if they are less than a tenth of the range.
    """
    ours, theirs = curve(tuple(points), metric), curve(tuple(reference), metric)
    scale = curve(tuple(reference), "ssimulacra2")
    ends = np.clip(limits, scale.scores[0], scale.scores[-1])
    low, high = (theirs.score_at(size) for size in scale.sizes(ends)) if metric != "ssimulacra2" else limits
    from_, to = max(low, ours.scores[0], theirs.scores[0]), min(high, ours.scores[-1], theirs.scores[-1])
    if to - from_ < 0.1 * (high - low) or high <= low:
        return math.nan
    return math.exp(ours.mean(from_, to) - theirs.mean(from_, to)) - 1


def mean(figures: Sequence[float]) -> float:
    """Return the mean of all figures that are not NaN; NaN without any."""
    found = [figure for figure in figures if not math.isnan(figure)]
    return sum(found) / len(found) if found else math.nan
