"""Rate-distortion curves, and what lies between two of them: BD-rate, the mean difference of bytes at equal score.

After G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, with monotone cubic
pieces (PCHIP) in place of one polynomial through all points, as is usual since.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# By SSIMULACRA2: 50 is medium, 70 high, 90 visually lossless quality, says its author.
RANGES = {"50-90": (50.0, 90.0), "50-70": (50.0, 70.0), "70-82": (70.0, 82.0), "82-90": (82.0, 90.0)}
METRICS = ("ssimulacra2", "butteraugli")


@dataclass(frozen=True)
class Point:
    """A result of one image.

    butteraugli  the 3-norm over the image: 0 is the same image; None where it was not measured
    """

    quality: int
    bytes: int
    ssimulacra2: float
    butteraugli: float | None

    def score(self, metric: str) -> float:
        """By a scale on which more is better: SSIMULACRA2, or the logarithm of 1 / butteraugli."""
        if metric == "ssimulacra2":
            return self.ssimulacra2
        return math.nan if not self.butteraugli else -math.log(self.butteraugli)


def rising(points: Sequence[Point], metric: str) -> tuple[Floats, Floats]:
    """Scores and logarithms of bytes; a point that is no better than a smaller one is left out."""
    pairs: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: point.bytes):
        if not pairs or (point.score(metric) > pairs[-1][0] + 1e-6 and point.bytes > math.exp(pairs[-1][1]) + 0.5):
            pairs.append((point.score(metric), math.log(point.bytes)))
    scores, sizes = zip(*pairs, strict=True)
    return np.array(scores), np.array(sizes)


class Curve:
    """ln(bytes) over a score."""

    def __init__(self, points: Sequence[Point], metric: str) -> None:
        from scipy.interpolate import PchipInterpolator

        self.scores, sizes = rising(points, metric)
        if len(self.scores) < 2 or not np.isfinite(self.scores).all():
            raise ValueError(f"no curve by {metric} through {len(points)} points")
        self._sizes = PchipInterpolator(self.scores, sizes)
        self._score = PchipInterpolator(sizes, self.scores)

    def sizes(self, scores: Floats) -> Floats:
        """ln(bytes); NaN outside of the curve."""
        inside = (scores >= self.scores[0]) & (scores <= self.scores[-1])
        return np.where(inside, self._sizes(np.clip(scores, self.scores[0], self.scores[-1])), np.nan)

    def mean(self, low: float, high: float) -> float:
        """Of ln(bytes) between two scores of the curve."""
        return float(self._sizes.integrate(low, high)) / (high - low)

    def score_at(self, size: float) -> float:
        return float(self._score(size))


@functools.cache
def curve(points: tuple[Point, ...], metric: str) -> Curve:
    """Made once: each is compared with several others, over several ranges."""
    return Curve(points, metric)


def bd_rate(points: Sequence[Point], reference: Sequence[Point], metric: str, limits: tuple[float, float]) -> float:
    """Bytes more (a fraction; less: negative) than the reference at equal score, in the mean over the scores.

    limits  in SSIMULACRA2. For another metric they are those scores that the reference has where its SSIMULACRA2 is at
            the limits, so that both metrics judge the same part of its curve.
    Only where both curves reach is measured; NaN where that is less than a tenth of the range.
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
    """Of those that are numbers."""
    found = [figure for figure in figures if not math.isnan(figure)]
    return sum(found) / len(found) if found else math.nan
