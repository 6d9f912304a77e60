"""The search for the distance at which a result has a score, or a size.

A trial is an encoding at a distance. Scores fall and sizes shrink with the logarithm of the distance, nearly linearly:
by 13.6 points, with a standard deviation of 2.3, and by 0.72 of the logarithm of the size (Kodak's 24 and 27 other
photographs, `best`). So the first trial follows the mean of photographs, the second the slope, the third the secant.
`python -m benchmarks targets` counts trials.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from compressor.errors import LimitError
from compressor.jpeg.perceptual import SCALES
from compressor.settings import Effort

# Mean SSIMULACRA2 at the distances of SCALES: that of libjpeg-turbo's 4:2:0 at each of QUALITIES, on Kodak's 24
# photographs and 20 others (cameras', reduced, and scikit-image's), both sets with equal weight, and 0.8 more.
MEAN_SCORES = (-62.3, -9.7, 32.0, 48.6, 57.6, 63.4, 67.3, 72.6, 75.1, 78.2, 81.3, 85.0, 89.2, 92.0, 93.1)
FINEST, COARSEST = 0.03, 60.0  # distances of the qualities 100 and 1
WINDOW = 0.5  # points above the target that end a search
MARGIN = 0.2  # points above the target that are aimed at
FLATTER = 0.04  # larger steps by so much for each point above 2: the scores of simple pictures fall more slowly
CAUTION = 0.2  # points to aim higher for each point that a secant extrapolates
SLOPE = -13.6  # points per logarithm of the distance
SLOPES = 0.3, 3.0  # of a picture's score over the mean score: the least and the most that are believed
TRIALS, TRIALS_MAX = 3, 8  # for a score; the latter if none of the former reached it
SIZE_SLOPE, SIZE_SLOPES = -0.72, (-1.5, -0.25)  # logarithm of the size per logarithm of the distance
SIZE_TRIALS, SIZE_TRIALS_MAX = 4, 12
CLOSE = 0.98  # share of the maximum size that ends a search
AIM = 0.99  # share of the maximum size that is aimed at
BITS_PER_PIXEL = 1.1  # of photographs at distance 2.2


class Trial(Protocol):
    """A result at a distance.

    is_exact  whether it shows the source's own samples, so that its distance says nothing about its size
    """

    @property
    def distance(self) -> float: ...

    @property
    def size(self) -> int: ...

    @property
    def score(self) -> float: ...

    @property
    def is_exact(self) -> bool: ...


T = TypeVar("T", bound=Trial)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """The end of a search.

    best    the trial to deliver, None if none is good enough
    finest  the trial with the highest score
    """

    best: T | None
    finest: T


def mean_distance(score: float, effort: Effort) -> float:
    """Return the distance at which photographs have a score on average."""
    if score >= MEAN_SCORES[-1]:
        return FINEST
    return float(np.exp(np.interp(score, MEAN_SCORES, np.log(SCALES[effort]))))


def mean_score(distance: float, effort: Effort) -> float:
    """Return the mean score of photographs at a distance."""
    return float(np.interp(-math.log(distance), -np.log(SCALES[effort]), MEAN_SCORES))


def reach_score(trial_at: Callable[[float], T], target: float, effort: Effort) -> Found[T]:
    """Find the smallest result whose score is at least `target`, in at most TRIALS trials if one of them reaches it."""
    trials: list[T] = []
    distance = mean_distance(target + MARGIN, effort)
    while True:
        trials.append(trial_at(distance))
        last, reached = trials[-1], [trial for trial in trials if trial.score >= target]
        if target <= last.score <= target + WINDOW or (reached and len(trials) >= TRIALS):
            break
        if last.distance <= FINEST or len(trials) >= TRIALS_MAX or (last.is_exact and len(trials) == 1):
            break
        gives_up = not reached and len(trials) >= TRIALS_MAX - 1
        distance = FINEST if gives_up else next_distance(trials, target, effort)
        if any(abs(math.log(distance / trial.distance)) < 1e-3 for trial in trials):
            break
    best = min(reached, key=lambda trial: (trial.size, -trial.distance), default=None)
    return Found(best, max(trials, key=lambda trial: trial.score))


def next_distance(trials: Sequence[Trial], target: float, effort: Effort) -> float:
    """Return the distance of the next trial: by the mean curve, shifted to the only trial, then by a secant."""
    missed = max((trial for trial in trials if trial.score < target), key=lambda trial: trial.score, default=None)
    exact = max((trial for trial in trials if trial.is_exact), key=lambda trial: trial.distance, default=None)
    if exact is not None and missed is not None:  # between them may be a distance at which the source is fine enough
        return math.sqrt(exact.distance * missed.distance)
    reached = any(trial.score >= target for trial in trials)
    # The more trials have missed, the more the next one must reach the target.
    aim = target + MARGIN + (0 if reached else 0.1 * (len(trials) - 1) + 0.3 * max(0, len(trials) - 2))
    nearest = sorted(trials, key=lambda trial: abs(trial.score - aim))
    near = nearest[0]
    if len(nearest) == 1:
        above = near.score - aim
        return moved(near.distance, -above * (1 + FLATTER * max(0.0, above - 2)), effort)
    other = partner(nearest, lambda trial: trial.score < aim)
    if (near.score < aim) == (other.score < aim):  # beyond both: curves get steeper
        aim += CAUTION * max(0.0, abs(near.score - aim) - WINDOW)
    run = mean_score(other.distance, effort) - mean_score(near.distance, effort)
    slope = (other.score - near.score) / run if run else 1.0
    return moved(near.distance, (aim - near.score) / float(np.clip(slope, *SLOPES)), effort)


def moved(distance: float, points: float, effort: Effort) -> float:
    """Return the distance at which the mean score is so many points higher; beyond the ends by SLOPE."""
    score = mean_score(distance, effort) + points
    if MEAN_SCORES[0] < score < MEAN_SCORES[-2]:
        return mean_distance(score, effort)
    return float(np.clip(distance * math.exp(points / SLOPE), FINEST, COARSEST))


def partner(nearest: Sequence[Trial], is_below: Callable[[Trial], bool]) -> Trial:
    """Return the trial to draw a secant to from the nearest one: on the other side of the aim if there is one."""
    return next((trial for trial in nearest[1:] if is_below(trial) != is_below(nearest[0])), nearest[1])


def first_distance(limit: int, pixels: int) -> float:
    """Return the distance at which photographs of so many pixels have about `limit` bytes."""
    bits = max(limit, 1) * 8 / pixels / BITS_PER_PIXEL
    return float(np.clip(2.2 * bits ** (1 / SIZE_SLOPE), 0.3, COARSEST))


def fit_bytes(trial_at: Callable[[float], T], limit: int, distance: float, known: Sequence[T] = ()) -> T:
    """Find the finest result of at most `limit` bytes; in at most SIZE_TRIALS trials if one of them fits.

    distance  of the first trial
    known     trials that have been made already, which count

    Raise LimitError if the coarsest one is larger.
    """
    trials = list(known)
    while True:
        trials.append(last := trial_at(distance))
        count = len(trials)
        fitting = [trial for trial in trials if trial.size <= limit]
        best = min(fitting, key=lambda trial: trial.distance, default=None)
        if best is not None and (is_close(last, limit) or count >= SIZE_TRIALS):
            return best
        if best is None and last.distance >= COARSEST:
            raise LimitError(f"max_bytes is {limit}, and even at quality 1 the result has {last.size} bytes")
        if best is None and count >= SIZE_TRIALS_MAX - 1:
            distance = COARSEST
        else:
            distance = next_size_distance(trials, limit, has_to_fit=count >= SIZE_TRIALS - 1 and best is None)
        if best is not None and any(abs(math.log(distance / trial.distance)) < 1e-3 for trial in trials):
            return best


def is_close(trial: Trial, limit: int) -> bool:
    """Return whether a trial fits, and no other could be much better."""
    close = trial.size >= CLOSE * limit or trial.is_exact or trial.distance <= FINEST
    return trial.size <= limit and close


def next_size_distance(trials: Sequence[Trial], limit: int, *, has_to_fit: bool) -> float:
    """Return the distance of the next trial: by the mean slope from the only one, then by a secant.

    has_to_fit  aim lower: no other trial has fitted
    """
    over = max((trial.distance for trial in trials if trial.size > limit), default=FINEST)
    lossy = [trial for trial in trials if not trial.is_exact]
    if not lossy:
        return min(COARSEST, 1.5 * over)
    # The more trials have been too large, the smaller the next one must be.
    aim = math.log(limit * (AIM if not has_to_fit else max(0.3, 0.96 - 0.1 * (len(trials) - SIZE_TRIALS + 1))))
    nearest = sorted(lossy, key=lambda trial: abs(math.log(trial.size) - aim))
    near, slope = nearest[0], SIZE_SLOPE
    if len(nearest) > 1:
        other = partner(nearest, lambda trial: math.log(trial.size) < aim)
        run = math.log(other.distance / near.distance)
        if run:
            slope = float(np.clip(math.log(other.size / near.size) / run, *SIZE_SLOPES))
    found = near.distance * math.exp((aim - math.log(near.size)) / slope)
    fits = min((trial.distance for trial in trials if trial.size <= limit), default=COARSEST)
    if found <= over or (found >= fits and fits < COARSEST):  # both bound it: sizes shrink with the distance
        found = math.sqrt(over * fits) if fits < COARSEST else over * 1.25
    return float(np.clip(found, FINEST, COARSEST))
