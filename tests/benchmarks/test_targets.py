"""The benchmark of target scores: its statistics, and a run without photographs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import record
from benchmarks.targets import measure, run, table
from benchmarks.targets.measure import QUALITIES, Encoded


def made_up(scores: list[float]) -> list[list[Encoded]]:
    """Return an image for each offset: scores and bytes rise with the quality."""
    return [
        [Encoded(int(1000 * 1.1**number), 40 + 6 * number + offset) for number in range(len(QUALITIES))]
        for offset in scores
    ]


def test_results_are_summarized() -> None:
    reached = [Encoded(1000, 70.1, 1), Encoded(1000, 70.4, 2), Encoded(1000, 70.9, 3), Encoded(1000, 70.0, 4)]
    found = measure.summary("best", 70, reached, made_up([0, 0, 0, 0]))

    assert (found.hits, found.close, found.trials) == (1, 0.75, (0.25, 0.25, 0.25, 0.25))
    assert found.shortest == 70 and found.problem == ""
    # Quality number 5 has a score of 70 and 1610 bytes; a target is cheaper where photographs differ.
    assert found.against["minimum"] == pytest.approx(1000 / 1610, rel=0.01)


def test_a_missed_target_is_a_problem() -> None:
    found = measure.summary("fast", 76, [Encoded(1000, 75.9, 3), Encoded(1000, 76.1, 3)], made_up([0, 0]))

    assert found.hits == 0.5
    assert found.problem == "a result has a score of 75.90, less than 76"


def test_an_equal_minimum_takes_more_bytes_at_a_fixed_quality() -> None:
    fixed = made_up([-3, 0, 3])
    reached = [Encoded(int(1000 * 1.1 ** ((70 - 40 - offset) / 6)), 70.0, 2) for offset in (-3, 0, 3)]
    found = measure.summary("best", 70, reached, fixed).against

    assert found["mean"] == pytest.approx(1, abs=0.01)
    assert found["minimum"] == pytest.approx(1.1**-0.5, abs=0.01)


def test_statistics_outside_the_measured_qualities_are_unknown() -> None:
    assert np.isnan(measure.relative_bytes([Encoded(1, 99.0)], made_up([0]), measure.STATISTICS["mean"]))


def test_the_table_marks_problems() -> None:
    found = measure.summary("fast", 76, [Encoded(1000, 75.9, 3)], made_up([0]))
    console = record.console()
    with console.capture() as capture:
        console.print(table.targets_table([found, dataclasses.replace(found, effort="best")]))
    assert "fast" in capture.get() and "0%" in capture.get()


def test_photographs_are_encoded_for_targets_and_qualities() -> None:
    pixels = np.random.default_rng(1).integers(90, 110, (24, 24, 3), dtype=np.uint8)
    reached, fixed = measure.measure(pixels, "fast", [30])

    assert reached[0].score >= 30
    assert len(fixed) == len(QUALITIES)


def test_without_a_corpus_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path / "missing"))
    assert run.run(tmp_path)


def test_a_run_saves_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    from PIL import Image

    folder = tmp_path / "corpus" / "kodak"
    folder.mkdir(parents=True)
    smooth = np.add.outer(np.arange(32), np.arange(32))[..., None] * 3 + rng.integers(0, 9, (32, 32, 3))
    Image.fromarray(smooth.astype(np.uint8)).save(folder / "one.png")
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path / "corpus"))

    assert run.run(tmp_path / "out", ["--efforts", "fast", "--targets", "30", "--jobs", "1"])
    [path] = (tmp_path / "out").glob("targets-*.json")
    content = json.loads(path.read_text())["results"]
    assert content["problems"] == []
    assert content["results"][0]["hits"] == 1
