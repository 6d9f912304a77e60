"""Scores in a run: which objects are scored, and results that score too low."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor import pipeline
from compressor.batch.job import Job
from compressor.batch.outcomes import SCORED_FIRST, SCORED_ONE_IN, is_in_sample
from compressor.batch.request import Request, facts_of
from compressor.batch.tally import Tally
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectResult
from compressor.settings import Metadata, Report, Settings
from tests.batch.support import COPY, GLOB, IN_PLACE, Memory, jpeg, png, run_of

FILES = {f"photos/{number}.jpg": jpeg(number) for number in range(3)} | {"flat.png": png(1), "notes.txt": b"text"}
SCORES = {data: 60.0 + 10 * number for number, data in enumerate(FILES.values())}
Scored = list[bool]  # whether the score of each image was requested


class ScoringStream:
    """The pipeline's stream with a score in its report: that of `score`, by the input's bytes."""

    def __init__(self, stream: Any, score: Callable[[bytes], float] | None, data: bytes) -> None:
        self._stream, self._score, self._data = stream, score, data

    @property
    def report(self) -> Report:
        report: Report = self._stream.report
        score = None if self._score is None else self._score(self._data)
        return dataclasses.replace(report, score=score, encodings=2)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __enter__(self) -> "ScoringStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def score_of(data: bytes) -> float:
    return SCORES.get(data, 60.0)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Scored:
    """Replace the pipeline's scores by `score_of`; return whether each was requested."""
    requested: Scored = []
    original = pipeline.stream

    def stream(chunks: Any, settings: Settings, **more: Any) -> ScoringStream:
        data = b"".join(chunks)
        requested.append(settings.score)
        unscored = dataclasses.replace(settings, score=False)
        return ScoringStream(original(data, unscored, **more), score_of if settings.score else None, data)

    monkeypatch.setattr(pipeline, "stream", stream)
    return requested


def results(path: Path) -> dict[str, ObjectResult]:
    with Ledger(path) as ledger:
        return {result.key: result for result in ledger.objects()}


def test_results_below_the_minimum_are_not_used_and_all_are_scored(scored: Scored, tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()

    _, totals, _ = run_of(dataclasses.replace(COPY, min_score=70.0), source, target, tmp_path / "ledger")

    assert totals == {
        ("compressed", ""): 3,
        ("copied", "score_below_min_score"): 1,
        ("copied", "not_an_image"): 1,
    }
    assert scored == [True] * 4
    assert target.data()["photos/0.jpg"] == FILES["photos/0.jpg"]
    found = results(tmp_path / "ledger")
    assert found["photos/0.jpg"].error == "its score is 60.00, below min_score 70"
    assert {key: (one.score, one.encodings) for key, one in found.items()} == {
        "photos/0.jpg": (60.0, 2),
        "photos/1.jpg": (70.0, 2),
        "photos/2.jpg": (80.0, 2),
        "flat.png": (90.0, 2),
        "notes.txt": (None, 0),
    }


def test_in_place_an_object_whose_result_scores_too_low_stays(scored: Scored, tmp_path: Path) -> None:
    store = Memory(FILES)

    _, totals, _ = run_of(
        dataclasses.replace(IN_PLACE, min_score=75.0), store, store, tmp_path / "ledger", filters=GLOB
    )

    assert totals["kept", "score_below_min_score"] == 2
    assert store.data()["photos/0.jpg"] == FILES["photos/0.jpg"]
    assert len(store.data()["photos/2.jpg"]) < len(FILES["photos/2.jpg"])
    assert "kept/photos/0.jpg" not in store.data() and "kept/photos/2.jpg" in store.data()


def test_an_object_whose_result_scores_too_low_is_still_stripped(scored: Scored, tmp_path: Path) -> None:
    settings = Settings(metadata=Metadata.STRIP)
    source, target = Memory({"a.jpg": jpeg(0, comment=b"secret")}), Memory()

    _, totals, _ = run_of(
        Job(source="a", target="b", settings=settings, min_score=70.0), source, target, tmp_path / "ledger"
    )

    assert totals == {("stripped", "score_below_min_score"): 1}
    assert b"secret" not in target.data()["a.jpg"]


def test_a_result_without_a_score_is_not_used(scored: Scored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a service of an earlier version."""
    monkeypatch.setattr("tests.batch.test_scores.score_of", None)
    source, target = Memory({"a.jpg": jpeg(0)}), Memory()

    _, totals, _ = run_of(dataclasses.replace(COPY, min_score=0.0), source, target, tmp_path / "ledger")

    assert totals == {("copied", "score_below_min_score"): 1}


@pytest.mark.parametrize("one_in, expected", [(0, [False] * 4), (1, [True] * 4), (SCORED_ONE_IN, [True] * 4)])
def test_the_first_objects_are_in_every_sample(
    scored: Scored, one_in: int, expected: list[bool], tmp_path: Path
) -> None:
    assert len(expected) <= SCORED_FIRST

    run_of(dataclasses.replace(COPY, score_one_in=one_in), Memory(FILES), Memory(), tmp_path / "ledger")

    assert scored == expected


def test_a_sample_is_chosen_by_the_keys() -> None:
    chosen = [number for number in range(20_000) if is_in_sample(f"photos/\udcff{number}.jpg", SCORED_ONE_IN)]

    assert 900 < len(chosen) < 1100
    assert all(is_in_sample(f"{number}", 1) for number in range(100))


def test_scores_of_compressed_objects_are_tallied_also_those_of_earlier_runs(scored: Scored, tmp_path: Path) -> None:
    job = dataclasses.replace(COPY, min_score=70.0)
    source, target = Memory(FILES), Memory()
    run_of(job, source, target, tmp_path / "ledger")
    requested = len(scored)
    tally = Tally()

    run_of(job, source, target, tmp_path / "ledger", tally=tally)

    scores = tally.scores.scores()
    assert scores is not None and len(scored) == requested
    assert scores.worst == (("photos/1.jpg", 70.0), ("photos/2.jpg", 80.0), ("flat.png", 90.0))


def test_a_quality_that_is_not_given_is_a_fact_as_its_default() -> None:
    def settings(**given: Any) -> dict[str, Any]:
        job = Job(source="a", target="b", settings=Settings(**given))
        found: dict[str, Any] = json.loads(facts_of(Request(job=job))["settings"])
        return found

    assert settings() == settings(quality=80) != settings(quality=79)
    assert "quality" not in settings(target_score=70)
    assert "quality" not in settings(max_bytes=1000)


def test_the_minimum_is_a_fact_of_a_run() -> None:
    job = dataclasses.replace(COPY, min_score=70.0)

    assert facts_of(Request(job=job))["min_score"] == "70"
    assert facts_of(Request(job=COPY))["min_score"] == ""
