"""The search for the distance at which a result has a score, or a size.

A trial is an encoding at a distance. The *loss* of a score is ln(100 - score). Over the logarithm of the distance the
losses of photographs are nearly parallel: they differ from the mean by a constant of its own for each photograph (with
a standard deviation of 0.10) and, from there to a distance 1.2 times as large, by 0.011. The mean is not quite smooth,
since the steps of tables are whole numbers. So the first trial follows the mean, and each later one what is expected
of a picture after the former (`expected_losses`). Sizes shrink by 0.72 of the logarithm of the distance.
`python -m benchmarks targets` counts trials.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from compressor.errors import LimitError
from compressor.jpeg import perceptual
from compressor.settings import Effort

# Mean SSIMULACRA2 of the tuning photographs at DISTANCES, as it would be if steps were not rounded, and the losses for
# each unit of the logarithm by which rounding multiplies the steps of a component: of DC, and of the two next
# frequencies. Those of Cb make no difference. `python -m benchmarks tuning --means` prints them; ROUNDING has the mean
# over the efforts.
DISTANCES = (0.03, 0.1, 0.25, 0.5, 0.75, 1, 1.3, 1.7, 2.2, 2.9, 3.8, 5, 7, 10, 25, 60)
MEAN_SCORES = {
    Effort.FAST: (93.2, 92.9, 91.7, 89.2, 86.8, 84.6, 82.0, 79.4, 76.2, 72.4, 68.2, 62.9, 55.2, 44.6, 2.3, -49.3),
    Effort.BALANCED: (94.4, 94.0, 92.5, 89.7, 87.2, 85.0, 82.6, 79.7, 76.5, 72.9, 68.5, 63.3, 55.2, 44.6, 0.8, -50.9),
    Effort.BEST: (94.4, 94.0, 92.5, 89.7, 87.2, 85.0, 82.7, 79.8, 76.6, 73.1, 68.9, 63.9, 56.2, 46.2, 5.7, -44.9),
}
ROUNDING = {0: (0.067, 0.022, 0.022), 2: (0.013, 0.013, 0.013)}
# Mean SSIMULACRA2 of our JPEG (`balanced`) at each of `perceptual.QUALITIES`, on whole photographs none of which is for
# validation: three sets with equal weight. `python -m benchmarks formats --scales` prints it.
QUALITY_SCORES = (-49.0, -6.4, 34.0, 50.7, 59.3, 64.5, 68.6, 73.4, 75.8, 78.7, 82.0, 85.9, 89.8, 92.6, 94.1)
FINEST, COARSEST = DISTANCES[0], DISTANCES[-1]  # of the qualities 100 and 1
GRID = np.array([FINEST, *np.exp(np.arange(math.log(FINEST), math.log(COARSEST), 0.005))[1:], COARSEST])
WINDOW = 0.5  # points above the target that end a search
MARGIN = 0.2  # points above the target that are aimed at
LEAST_LOSS = 0.1  # of 100 points, so that a loss has a logarithm
# Slope below which 4:2:0 hardly reaches a target: that of photographs is at least 0.65 up to a score of 86, and the
# variance of the noise of a loss over that of slopes.
SLOW, DOUBT = 0.6, 0.02
# Of what the losses of a picture differ by from the mean: standard deviations, and the variance of WALK for each unit
# of the logarithm of the distance. From the scores of 11 photographs at 40 to 70 distances; MARGIN from how often 55,
# these and validation photographs among them, came within WINDOW.
LEVEL, TILT, WALK, NOISE = 0.1, 0.1, 0.0006, 0.003
NEAR = 0.75  # points from the score of a quality that need no correction
SAME = 1e-3  # difference of the logarithms of distances that are told apart
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


def loss_of(score: float) -> float:
    """Return ln(100 - score)."""
    return math.log(max(100 - score, LEAST_LOSS))


@cache
def mean_losses(effort: Effort) -> NDArray[np.float64]:
    """Return the loss of photographs at each of GRID: of MEAN_SCORES, and what the rounding of tables adds."""
    known = [loss_of(score) for score in MEAN_SCORES[effort]]
    losses: NDArray[np.float64] = np.interp(np.log(GRID), np.log(DISTANCES), known)
    for component, weights in ROUNDING.items():
        losses += rounding(component, GRID, effort) @ np.array(weights)
    return losses


def rounding(component: int, distances: NDArray[np.float64], effort: Effort) -> NDArray[np.float64]:
    """Return the logarithms of what rounding multiplies steps by: (n, 3), of DC and the two next frequencies."""
    tables = perceptual.table_set_of(effort)
    exact = np.array([tables.logarithms(component, distance)[:3] for distance in distances])
    exact = exact.clip(0, math.log(255))
    found: NDArray[np.float64] = np.log(np.rint(np.exp(exact))) - exact
    return found


def mean_loss(distance: float, effort: Effort) -> float:
    """Return the loss of photographs at a distance."""
    return float(np.interp(math.log(distance), np.log(GRID), mean_losses(effort)))


def mean_distance(loss: float, effort: Effort) -> float:
    """Return the distance of GRID at which photographs have about a loss."""
    return float(GRID[np.argmin(abs(mean_losses(effort) - loss))])


def score_of_quality(quality: float) -> float:
    """Return the mean score of photographs as a JPEG of a quality."""
    return float(np.interp(quality, perceptual.QUALITIES, QUALITY_SCORES))


def distance_of_score(score: float, effort: Effort, steps: Sequence[float]) -> float:
    """Return the distance of the first trial for a score that is to be reached; see `stepped` for the steps."""
    return stepped(mean_distance(loss_of(score + MARGIN), effort), steps, finer=True)


def stepped(
    distance: float, steps: Sequence[float], above: float = 0.0, below: float = math.inf, *, finer: bool = False
) -> float:
    """Return the nearest distance of `steps` between two that have been tried, or one of those if none is between.

    steps  the distances at which an encoder has another result; () if all have: then return the distance itself
    finer  none that is coarser, if there is another one
    """
    if not steps:
        return distance
    between = [step for step in steps if above * (1 + SAME) < step < below * (1 - SAME)]
    if finer:
        between = [step for step in between if step <= distance * (1 + SAME)] or between
    return min(between, key=lambda step: abs(math.log(step / distance)), default=above or below)


def is_tried(distance: float, trials: Sequence[Trial]) -> bool:
    """Return whether one of the trials is at a distance."""
    return any(abs(math.log(distance / trial.distance)) < SAME for trial in trials)


def near_score(trial_at: Callable[[float], T], wanted: float, effort: Effort, steps: Sequence[float], first: T) -> T:
    """Return the better one for a score of a trial and, if that is not near it, a second one, corrected by the mean.

    steps  see `stepped`
    """
    if abs(first.score - wanted) <= NEAR or first.is_exact:
        return first
    loss = mean_loss(first.distance, effort) + loss_of(wanted) - loss_of(first.score)
    distance = stepped(mean_distance(loss, effort), steps)
    if is_tried(distance, [first]):
        return first
    return min(first, trial_at(distance), key=lambda trial: abs(trial.score - wanted))


def reach_score(
    trial_at: Callable[[float], T],
    target: float,
    effort: Effort,
    *,
    made: int = 0,
    may_give_up: bool = False,
    known: Sequence[T] = (),
    steps: Sequence[float] = (),
) -> Found[T]:
    """Find the smallest result whose score is at least `target`, in at most TRIALS trials if one of them reaches it.

    made         trials of another kind that were made before, which count
    may_give_up  end once scores rise so slowly that another kind of result is worth a trial
    known        trials that have been made already
    steps        see `stepped`
    """
    trials = list(known) or [trial_at(distance_of_score(target, effort, steps))]
    while True:
        last, reached = trials[-1], [trial for trial in trials if trial.score >= target]
        if target <= last.score <= target + WINDOW or (reached and made + len(trials) >= TRIALS):
            break
        if last.distance <= FINEST or len(trials) >= TRIALS_MAX or (last.is_exact and len(trials) == 1):
            break
        if may_give_up and not reached and len(trials) > 1 and is_slow(trials[-2], trials[-1], effort):
            break
        gives_up = not reached and len(trials) >= TRIALS_MAX - 1
        found = FINEST if gives_up else next_distance(trials, target, effort)
        if found is None:
            break
        missed = min((trial.distance for trial in trials if trial.score < target), default=math.inf)
        coarsest = max((trial.distance for trial in reached), default=0.0)
        distance = stepped(found, steps, coarsest, missed, finer=True)
        if steps and is_tried(distance, trials):
            break
        trials.append(trial_at(distance))
    best = min(reached, key=lambda trial: (trial.size, -trial.distance), default=None)
    return Found(best, max(trials, key=lambda trial: trial.score))


def next_distance(trials: Sequence[Trial], target: float, effort: Effort) -> float | None:
    """Return the distance of GRID for the next trial, None if all between those that reach the target and those that
    miss it have been tried."""
    missed = max((trial for trial in trials if trial.score < target), key=lambda trial: trial.score, default=None)
    exact = max((trial for trial in trials if trial.is_exact), key=lambda trial: trial.distance, default=None)
    if exact is not None and missed is not None:  # between them may be a distance at which the source is fine enough
        return math.sqrt(exact.distance * missed.distance)
    fine = max((trial.distance for trial in trials if trial.score >= target), default=0.0)
    coarse = min((trial.distance for trial in trials if trial.score < target), default=math.inf)
    # The more trials have missed, the more the next one must reach the target.
    aim = target + MARGIN + (0 if fine else 0.1 * (len(trials) - 1) + 0.3 * max(0, len(trials) - 2))
    misses = abs(expected_losses(trials, effort) - loss_of(aim))
    if fine < coarse:
        misses[(fine >= GRID) | (coarse <= GRID)] = math.inf
    for trial in trials:
        misses[abs(np.log(GRID / trial.distance)) < 1e-3] = math.inf
    best = int(np.argmin(misses))
    return float(GRID[best]) if misses[best] < math.inf else None


def expected_losses(trials: Sequence[Trial], effort: Effort) -> NDArray[np.float64]:
    """Return the loss of a picture that is expected at each of GRID after some trials, by a Gaussian process.

    What it differs by from the mean is a constant, a multiple of the mean loss, a random walk along the logarithm of
    the distance, and noise.
    """
    distances = np.array([trial.distance for trial in trials])
    means = np.array([mean_loss(trial.distance, effort) for trial in trials])
    losses = np.array([loss_of(trial.score) for trial in trials])
    every = mean_losses(effort)

    def covariances(a: NDArray[np.float64], b: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = abs(np.log(a[:, None] / distances))
        found: NDArray[np.float64] = LEVEL**2 + TILT**2 * np.outer(b, to) - WALK / 2 * steps
        return found

    tilt = means - means[0]
    known = covariances(distances, tilt, tilt) + NOISE**2 * np.eye(len(trials))
    expected: NDArray[np.float64] = every + covariances(GRID, every - means[0], tilt) @ np.linalg.solve(
        known, losses - means
    )
    return expected


def is_slow(one: Trial, other: Trial, effort: Effort) -> bool:
    """Return whether the loss of a picture rises much more slowly than the mean loss.

    The closer two trials are, the more noise there is in their slope, and the less it counts.
    """
    run = mean_loss(other.distance, effort) - mean_loss(one.distance, effort)
    rise = loss_of(other.score) - loss_of(one.score)
    return (rise * run + DOUBT) / (run * run + DOUBT) < SLOW


def partner(nearest: Sequence[Trial], is_below: Callable[[Trial], bool]) -> Trial:
    """Return the trial to draw a secant to from the nearest one: on the other side of the aim if there is one."""
    return next((trial for trial in nearest[1:] if is_below(trial) != is_below(nearest[0])), nearest[1])


def first_distance(limit: int, pixels: int) -> float:
    """Return the distance at which photographs of so many pixels have about `limit` bytes."""
    bits = max(limit, 1) * 8 / pixels / BITS_PER_PIXEL
    return float(np.clip(2.2 * bits ** (1 / SIZE_SLOPE), 0.3, COARSEST))


def fit_bytes(
    trial_at: Callable[[float], T],
    limit: int,
    distance: float,
    known: Sequence[T] = (),
    steps: Sequence[float] = (),
) -> T:
    """Find the finest result of at most `limit` bytes; in at most SIZE_TRIALS trials if one of them fits.

    distance  of the first trial
    known     trials that have been made already, which count
    steps     see `stepped`

    Raise LimitError if the coarsest one is larger.
    """
    trials = list(known)
    coarsest = max(steps, default=COARSEST)
    while True:
        trials.append(last := trial_at(distance))
        count = len(trials)
        fitting = [trial for trial in trials if trial.size <= limit]
        best = min(fitting, key=lambda trial: trial.distance, default=None)
        if best is not None and (is_close(last, limit) or count >= SIZE_TRIALS):
            return best
        if best is None and last.distance >= coarsest:
            raise LimitError(f"max_bytes is {limit}, and even at quality 1 the result has {last.size} bytes")
        if best is None and count >= SIZE_TRIALS_MAX - 1:
            distance = COARSEST
        else:
            distance = next_size_distance(trials, limit, has_to_fit=count >= SIZE_TRIALS - 1 and best is None)
        over = max((trial.distance for trial in trials if trial.size > limit), default=0.0)
        distance = stepped(distance, steps, over, math.inf if best is None else best.distance)
        if best is not None and is_tried(distance, trials):
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
