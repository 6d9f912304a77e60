"""The search for a distance, with made-up curves of scores and sizes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from compressor.errors import LimitError
from compressor.jpeg import perceptual
from compressor.pipeline import target
from compressor.settings import Effort

BYTES = 100_000  # at distance 1


@dataclass(frozen=True)
class MadeUp:
    """A trial of a made-up picture."""

    distance: float
    size: int
    score: float
    is_exact: bool = False


class Picture:
    """A picture whose scores and sizes are functions of the distance; it counts its trials."""

    def __init__(
        self,
        score: Callable[[float], float],
        size: Callable[[float], float] = lambda distance: BYTES * distance**-0.72,
        exact_below: float = 0.0,
    ) -> None:
        self.score, self.size, self.exact_below, self.trials = score, size, exact_below, 0

    def __call__(self, distance: float) -> MadeUp:
        assert target.FINEST <= distance <= target.COARSEST
        self.trials += 1
        if distance < self.exact_below:
            return MadeUp(distance, BYTES, 100.0, True)
        return MadeUp(distance, int(self.size(distance)), self.score(distance))


def shifted(offset: float, slope: float = 1.0, effort: Effort = Effort.BALANCED) -> Callable[[float], float]:
    """Return a picture's scores: losses that differ from the mean by `offset` at distance 2.2 and rise `slope` times as
    fast."""
    middle = target.mean_loss(2.2, effort)
    return lambda distance: 100 - math.exp(middle + offset + slope * (target.mean_loss(distance, effort) - middle))


def noisy(curve: Callable[[float], float], noise: np.ndarray) -> Callable[[float], float]:
    """Return a curve with noise that depends on the distance."""
    return lambda distance: curve(distance) + float(noise[int(distance * 1e5) % len(noise)])


STEPS = tuple(np.geomspace(50, 0.05, 64).tolist())


@pytest.mark.parametrize("wanted", [40, 63.3, 78.2, 89])
@pytest.mark.parametrize("offset", [-0.4, -0.03, 0, 0.2, 0.4])
def test_a_score_is_reached_with_the_coarsest_step_that_has_it(wanted: float, offset: float) -> None:
    picture = Picture(shifted(offset))
    found = target.reach_score(picture, wanted, Effort.BALANCED, steps=STEPS).best

    reaching = [step for step in STEPS if picture.score(step) >= wanted]
    if not reaching:
        assert found is None
        return
    assert found is not None and found.distance in reaching
    assert picture.score(found.distance) <= max(wanted + 1.5, picture.score(max(reaching)))
    assert picture.trials <= 4


def test_a_score_that_no_step_has_ends_the_search() -> None:
    picture = Picture(lambda distance: 50 - distance)

    found = target.reach_score(picture, 60, Effort.BALANCED, steps=STEPS)
    assert found.best is None and picture.trials <= target.TRIALS_MAX


@pytest.mark.parametrize("limit", [20_000, 100_000, 300_000])
def test_a_size_is_fitted_with_the_finest_step_that_has_it(limit: int) -> None:
    picture = Picture(shifted(0))
    first = target.stepped(target.first_distance(limit, 400_000), STEPS)
    found = target.fit_bytes(picture, limit, first, steps=STEPS)

    assert found.size <= limit and found.distance in STEPS
    assert found.size > 0.8 * limit


def test_a_size_that_no_step_has_is_an_error() -> None:
    picture = Picture(shifted(0))
    with pytest.raises(LimitError, match="max_bytes is 10, and even at quality 1"):
        target.fit_bytes(picture, 10, STEPS[20], steps=STEPS)
    assert picture.trials <= target.SIZE_TRIALS_MAX


@pytest.mark.parametrize("offset, trials", [(0.0, 1), (0.02, 1), (-0.02, 1), (0.2, 2), (-0.2, 2)])
def test_the_score_of_a_quality_is_corrected_once_if_it_is_not_near(offset: float, trials: int) -> None:
    picture = Picture(shifted(offset))
    first = picture(target.mean_distance(target.loss_of(75), Effort.BALANCED))
    found = target.near_score(picture, 75.0, Effort.BALANCED, (), first)

    assert picture.trials == trials
    assert abs(found.score - 75) < 0.75


def test_no_step_is_tried_twice() -> None:
    assert target.stepped(1.0, ()) == 1.0
    assert target.stepped(1.0, (4.0, 2.0, 1.1, 0.5)) == 1.1
    assert target.stepped(1.0, (4.0, 2.0, 1.1, 0.5), above=1.1) == 2.0
    assert target.stepped(1.0, (4.0, 2.0, 1.1, 0.5), above=0.5, below=1.1) == 0.5
    assert target.stepped(1.0, (4.0, 2.0, 1.1, 0.5), finer=True) == 0.5
    assert target.stepped(0.1, (4.0, 2.0, 1.1, 0.5), finer=True) == 0.5


@pytest.mark.parametrize("effort", Effort)
def test_the_mean_loss_is_that_of_the_mean_scores_and_what_rounding_adds(effort: Effort) -> None:
    scores = target.MEAN_SCORES[effort]
    assert list(scores) == sorted(scores, reverse=True)
    for distance, score in zip(target.DISTANCES, scores, strict=True):
        assert target.mean_loss(distance, effort) == pytest.approx(math.log(100 - score), abs=0.04)
        assert target.mean_distance(target.loss_of(score), effort) == pytest.approx(distance, rel=0.12)
    assert target.mean_distance(-9, effort) == target.FINEST
    assert target.mean_distance(9, effort) == target.COARSEST


@pytest.mark.parametrize("effort", Effort)
def test_rounding_is_what_the_tables_differ_by_from_their_curve(effort: Effort) -> None:
    distances, tables = np.array([0.03, 0.7, 2.2, 9.0]), perceptual.table_set_of(effort)
    for component in range(3):
        found = target.rounding(component, distances, effort)
        for distance, row in zip(distances, found, strict=True):
            exact = np.exp(tables.logarithms(component, distance)[:3]).clip(1, 255)
            steps = perceptual.quantization_tables(distance, 3, tables)[component][:3]
            np.testing.assert_allclose(np.exp(row) * exact, steps, rtol=1e-9)


def test_what_is_expected_passes_near_the_trials_and_follows_the_mean_elsewhere() -> None:
    mean = target.mean_losses(Effort.BALANCED)
    trials = [MadeUp(distance, 1, shifted(0.2)(distance)) for distance in (3.4, 2.8)]
    expected = target.expected_losses(trials, Effort.BALANCED)

    for trial in trials:
        at = np.argmin(abs(target.GRID - trial.distance))
        assert expected[at] == pytest.approx(target.loss_of(trial.score), abs=0.003)
    near = (target.GRID > 1) & (target.GRID < 8)
    np.testing.assert_allclose((expected - mean)[near], 0.2, atol=0.02)


@pytest.mark.parametrize("score, loss", [(100, 0.1), (99.95, 0.1), (99, 1), (76, 24), (-50, 150)])
def test_losses_are_logarithms_of_what_is_missing_from_100(score: float, loss: float) -> None:
    assert target.loss_of(score) == pytest.approx(math.log(loss))


def test_a_picture_like_the_mean_takes_one_trial() -> None:
    picture = Picture(shifted(0))
    found = target.reach_score(picture, 76, Effort.BALANCED)

    assert picture.trials == 1
    assert found.best is found.finest is not None


@pytest.mark.parametrize("wanted", [60, 70, 76, 82])
@pytest.mark.parametrize("slope", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("offset", [-0.3, -0.2, -0.1, 0.1, 0.2, 0.3])
def test_targets_are_reached_closely_by_three_trials(offset: float, slope: float, wanted: float) -> None:
    picture = Picture(shifted(offset, slope))
    best = target.reach_score(picture, wanted, Effort.BALANCED).best

    assert best is not None and picture.trials <= 3
    assert wanted <= best.score <= wanted + 0.5


def test_noise_does_not_break_the_promise() -> None:
    rng = np.random.default_rng(5)
    close, counts = [], []
    for _ in range(200):
        curve = shifted(rng.normal(0, 0.1), rng.normal(1, 0.15), Effort.BEST)
        picture = Picture(noisy(curve, rng.normal(0, 0.1, 1 << 16)))
        best = target.reach_score(picture, 76, Effort.BEST).best
        assert best is not None and best.score >= 76
        close.append(best.score <= 76.5)
        counts.append(picture.trials)
    assert np.mean(close) >= 0.9
    assert np.mean(np.array(counts) <= 3) >= 0.97


def test_of_the_trials_that_reach_the_target_the_smallest_wins() -> None:
    made: list[MadeUp] = []

    def trial_at(distance: float) -> MadeUp:
        # A score that does not depend on the distance: the search gives up after three.
        made.append(MadeUp(distance, int(BYTES / distance), 90.0))
        return made[-1]

    best = target.reach_score(trial_at, 70, Effort.FAST).best
    assert len(made) == 3
    assert best is min(made, key=lambda trial: trial.size)


def test_a_flat_curve_below_the_target_ends_at_the_finest_distance() -> None:
    picture = Picture(lambda distance: 50.0)
    found = target.reach_score(picture, 76, Effort.BALANCED)

    assert found.best is None
    assert found.finest.score == 50
    assert picture.trials <= target.TRIALS_MAX


def test_a_score_that_no_distance_has_is_not_reached() -> None:
    picture = Picture(shifted(0))
    found = target.reach_score(picture, 99, Effort.BALANCED)

    assert found.best is None and found.finest.distance == target.FINEST
    assert found.finest.score == pytest.approx(target.MEAN_SCORES[Effort.BALANCED][0])


def test_a_source_that_is_no_finer_takes_one_trial() -> None:
    picture = Picture(shifted(0), exact_below=3)
    best = target.reach_score(picture, 76, Effort.BALANCED).best

    assert best is not None and best.is_exact
    assert picture.trials == 1


def test_a_distance_between_a_miss_and_the_source_is_tried() -> None:
    picture = Picture(shifted(0.25), exact_below=1.7)
    best = target.reach_score(picture, 76, Effort.BALANCED).best

    assert best is not None and best.score >= 76
    assert picture.trials == 3


@pytest.mark.parametrize("limit", [15_000, 20_000, 60_000, 150_000])
@pytest.mark.parametrize("slope", [-0.5, -0.72, -1.1])
def test_sizes_are_met_closely_by_four_trials(slope: float, limit: int) -> None:
    picture = Picture(shifted(0), lambda distance: BYTES * distance**slope)
    best = target.fit_bytes(picture, limit, target.first_distance(limit, 700_000))

    finest = BYTES * target.FINEST**slope
    coarsest = BYTES * target.COARSEST**slope
    assert coarsest < limit
    assert picture.trials <= 4
    assert min(0.95 * limit, 0.95 * finest) <= best.size <= limit


def test_sizes_with_a_large_fixed_part_are_met() -> None:
    for limit in (10_500, 12_000, 30_000):
        picture = Picture(shifted(0), lambda distance: 10_000 + BYTES * distance**-0.72)
        assert target.fit_bytes(picture, limit, 2.2).size <= limit if limit > 15_300 else True


def test_more_trials_are_made_until_one_fits() -> None:
    def steep(distance: float) -> float:
        return 100_000 if distance < 40 else 1000

    assert target.fit_bytes(Picture(shifted(0), steep), 2000, 1.0).size == 1000


def test_the_size_at_quality_1_is_named_if_it_is_too_large() -> None:
    size = int(BYTES * target.COARSEST**-0.72)
    with pytest.raises(LimitError, match=f"max_bytes is 100, and even at quality 1 the result has {size} bytes"):
        target.fit_bytes(Picture(shifted(0)), 100, 2.2)


def test_a_lossless_result_that_is_too_large_is_passed_over() -> None:
    picture = Picture(shifted(0), exact_below=2)
    best = target.fit_bytes(picture, 50_000, 1.5, (MadeUp(target.FINEST, BYTES, 100.0, True),))

    assert not best.is_exact and best.size <= 50_000
    assert math.isclose(best.size, 50_000, rel_tol=0.05)
