"""Scores of a run's results, added up."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.report.page import render
from compressor.report.scores import BINS, WORST_MAX, Scores, ScoreTally
from compressor.report.summary import as_json
from tests.report.summaries import HOSTILE, SCORES, summary


def tallied(values: list[float]) -> Scores:
    tally = ScoreTally()
    for number, value in enumerate(values):
        tally.add(f"{number}.jpg", "jpeg", value)
    scores = tally.scores()
    assert scores is not None
    return scores


@given(st.lists(st.floats(-50, 100), min_size=1, max_size=200), st.sampled_from([0.1, 0.5, 0.9]))
def test_quantiles_are_those_of_the_sorted_scores_rounded_up_to_a_bin(values: list[float], share: float) -> None:
    exact = sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]

    found = tallied(values).quantile(share)

    assert found == pytest.approx(max(min(values), 0.0, exact) if exact <= 0 else exact, abs=1 / BINS + 1e-9)


@given(st.lists(st.floats(-50, 100), min_size=1, max_size=200))
def test_counts_lowest_and_worst_are_exact(values: list[float]) -> None:
    scores, bounds = tallied(values), (0.1, 50, 75, 100)

    assert (scores.objects, scores.minimum) == (len(values), min(values))
    assert [score for _, score in scores.worst] == sorted(values)[:WORST_MAX]
    assert all(values[int(key.removesuffix(".jpg"))] == score for key, score in scores.worst)
    counts, total = scores.histogram(bounds)["jpeg"]
    assert counts == [sum(value <= bound for value in values) for bound in bounds]
    assert total == pytest.approx(sum(values))


def test_without_scores_nothing_is_shown() -> None:
    assert ScoreTally().scores() is None
    assert json.loads(as_json(summary()))["scores"] is None
    assert "SSIMULACRA2" not in render(summary())


def test_json_and_the_page_show_the_distribution_and_the_worst_objects() -> None:
    tally = ScoreTally()
    tally.add(HOSTILE, "jpeg", 12.34)

    fields = json.loads(as_json(summary(scores=SCORES, min_score=60.0)))
    page = render(summary(scores=SCORES, min_score=60.0))

    assert fields["scores"] == {
        "objects": 4,
        "minimum": 65.1,
        "percentile_10": 65.1,
        "median": 75.0,
        "worst": [
            {"key": "soft.jpg", "score": 65.1},
            {"key": "a/b.jpg", "score": 75.0},
            {"key": "c.jpg", "score": 80.1},
            {"key": "flat.png", "score": 100.0},
        ],
    }
    assert fields["min_score"] == 60
    assert page.index("soft.jpg") < page.index("a/b.jpg")
    assert "<td>65.1</td>" in page.replace(' class="number"', "") and "Lowest scores" in page
    assert "<script>" not in render(summary(scores=tally.scores()))
