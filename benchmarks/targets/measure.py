"""Photographs encoded for target scores, and at fixed qualities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import photos
from benchmarks.harness.fidelity import Pixels
from compressor import compress
from compressor.errors import LimitError
from compressor.settings import Effort

TARGETS = (70, 76, 82)
EFFORTS = ("fast", "balanced", "best")
QUALITIES = (40, 55, 65, 72, 78, 83, 87, 90, 93)  # of the comparison
WINDOW = 0.5  # points above the target
TRIALS = 3


@dataclass(frozen=True)
class Encoded:
    """A result, and the number of encodings that were made for it."""

    bytes: int
    score: float
    encodings: int = 1


@dataclass(frozen=True)
class TargetResult:
    """The results for a target score and an effort.

    hits      share with at least the target
    close     share within WINDOW above it
    trials    shares that took 1, 2, 3, and more encodings
    shortest  the lowest score
    against   bytes relative to a fixed quality with an equal mean, 10th percentile and minimum of the scores;
              NaN where none of QUALITIES has it
    """

    effort: str
    target: float
    images: int
    hits: float
    close: float
    trials: tuple[float, float, float, float]
    shortest: float
    mean: float
    against: Mapping[str, float]

    @property
    def problem(self) -> str:
        """Return what breaks the promise, or ""."""
        if self.hits < 1:
            return f"a result has a score of {self.shortest:.2f}, less than {self.target:g}"
        return ""


STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda scores: float(np.mean(scores)),
    "10th percentile": lambda scores: float(np.percentile(scores, 10)),
    "minimum": lambda scores: float(np.min(scores)),
}


def images() -> list[photos.Photograph]:
    """Return Kodak's photographs and those of the corpus' `photos`; [] without a corpus."""
    paths = photos.from_corpus("kodak") + photos.from_corpus("photos/tuning") + photos.from_corpus("photos/validation")
    return [photos.Photograph(path, photos.factor_of(path)) for path in paths]


def encoded(pixels: Pixels, effort: str, **settings: Any) -> Encoded:
    """Encode an image to JPEG and measure its score."""
    report = compress(pixels, format="jpeg", effort=Effort(effort), score=True, **settings).report
    assert report.score is not None
    return Encoded(report.bytes_out, report.score, report.encodings)


def for_target(pixels: Pixels, effort: str, target: float) -> Encoded:
    """Encode an image for a target score; where no result has it, return the finest one, which counts as a miss."""
    try:
        return encoded(pixels, effort, target_score=target)
    except LimitError:
        finest = encoded(pixels, effort, quality=100)
        return Encoded(finest.bytes, finest.score, TRIALS + 1)


def measure(pixels: Pixels, effort: str, targets: Sequence[float]) -> tuple[list[Encoded], list[Encoded]]:
    """Return the results for the targets, and those at QUALITIES."""
    reached = [for_target(pixels, effort, target) for target in targets]
    return reached, [encoded(pixels, effort, quality=quality) for quality in QUALITIES]


def summary(effort: str, target: float, reached: Sequence[Encoded], fixed: Sequence[Sequence[Encoded]]) -> TargetResult:
    """Summarize the results for a target.

    reached  of each image
    fixed    of each image, at each of QUALITIES
    """
    scores = np.array([one.score for one in reached])
    counts = np.array([one.encodings for one in reached])
    trials = [float(np.mean(counts == number)) for number in range(1, TRIALS + 1)]
    return TargetResult(
        effort=effort,
        target=target,
        images=len(reached),
        hits=float(np.mean(scores >= target)),
        close=float(np.mean((scores >= target) & (scores <= target + WINDOW))),
        trials=(trials[0], trials[1], trials[2], float(np.mean(counts > TRIALS))),
        shortest=float(scores.min()),
        mean=float(scores.mean()),
        against={name: relative_bytes(reached, fixed, of) for name, of in STATISTICS.items()},
    )


def relative_bytes(
    reached: Sequence[Encoded], fixed: Sequence[Sequence[Encoded]], statistic: Callable[[Sequence[float]], float]
) -> float:
    """Return the geometric mean of bytes relative to the fixed quality at which a statistic of the scores is equal."""
    levels = [statistic([one[number].score for one in fixed]) for number in range(len(QUALITIES))]
    sizes = [np.mean([np.log(one[number].bytes) for one in fixed]) for number in range(len(QUALITIES))]
    wanted = statistic([one.score for one in reached])
    if not min(levels) <= wanted <= max(levels):
        return float("nan")
    size = np.interp(wanted, np.maximum.accumulate(levels), sizes)
    return float(np.exp(np.mean([np.log(one.bytes) for one in reached]) - size))
