"""Bytes at equal quality on photographs that nothing is tuned on: no judge ranks us far below another encoder."""

import pytest

from benchmarks.density import rates
from benchmarks.density import run as density
from benchmarks.harness import encoders, judges

# In points of BD-rate behind the better of mozjpeg and jpegli: the most by any judge, and by the mean of all judges.
GOALS = {"fast": (4.0, 0.0), "balanced": (1.0, -2.0), "best": (0.0, -4.0)}


@pytest.fixture(scope="module")
def margins() -> dict[str, rates.Verdict]:
    """How far each effort is behind the better peer on two photographs of each set for validation."""
    chosen = density.options(["--quick", "--jobs", "1"])
    sets = density.chosen_sets(chosen)
    names = [rates.PILLOW, *rates.PEERS, *encoders.EFFORTS]
    with pytest.MonkeyPatch.context() as patch:
        held = {name: images for name, images in sets.items() if name.endswith(rates.VALIDATION)} or sets
        patch.setattr(density, "chosen_sets", lambda chosen: held)
        results, problems = density.collect(chosen, names, judges.usable(), lambda text: None)
    assert problems == []
    union = {"all": {image: measured for images in results.values() for image, measured in images.items()}}
    return rates.margins(rates.verdicts(rates.bd_rates(union)), encoders.EFFORTS)["all"]


@pytest.mark.heavy
@pytest.mark.parametrize("effort", GOALS)
def test_no_judge_ranks_an_effort_far_below_a_peer(effort: str, margins: dict[str, rates.Verdict]) -> None:
    """Butteraugli's program and ColorVideoVDP may be missing. The mean is that of all four judges, or is not tested."""
    behind, mean = GOALS[effort]
    verdict = margins[effort]

    assert set(verdict.figures) == set(judges.usable())
    assert max(verdict.figures.values()) <= behind, verdict
    if len(verdict.figures) == len(judges.JUDGES):
        assert verdict.mean <= mean, verdict
