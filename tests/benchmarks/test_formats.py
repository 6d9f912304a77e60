"""The benchmark of formats, with made-up results and made pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.formats import measure, run, scales
from benchmarks.formats.measure import WANTED, Encoded, Picture
from benchmarks.harness import photos
from compressor.raster.scales import QUALITIES
from compressor.settings import Effort


def result(bytes_: int, score: float = WANTED, encodings: int = 2, format: str = "avif") -> Encoded:
    return Encoded(format, bytes_, score, encodings, 0.5)


def pictures(count: int, **changed: Encoded) -> list[Picture]:
    """Return pictures whose results meet every goal, but for those that are given."""
    found = {f"{format} {quality}": result(100) for format in measure.FORMATS for quality in measure.QUALITIES}
    found |= {"JPEG, best": result(150), "auto": result(70), "PNG": result(400, 100), "avif 80": result(70)}
    named = {name.replace("_", " "): one for name, one in changed.items()}
    return [Picture(str(number), 1000, {**found, **named}) for number in range(count)]


def test_bytes_are_compared_as_if_the_scores_were_equal() -> None:
    at = {"avif 60": result(100, WANTED - 4), "avif 80": result(400, WANTED + 4), "auto": result(100, WANTED - 4)}
    one = Picture(
        "one", 1000, {**at, "PNG": result(150, 100.0, format="png"), "JPEG, best": result(250, format="jpeg")}
    )

    assert one.cost("auto") == pytest.approx(200) and one.cost("avif 80") == pytest.approx(200)
    assert one.cost("PNG") == 150 == one.best
    assert one.cost("JPEG, best") == 250
    row = measure.row([one] * 3, "auto")
    assert row is not None and row.images == 3
    assert row.against_jpeg == pytest.approx(200 / 250) and row.against_oracle == pytest.approx(200 / 150)
    assert row.cpu_seconds == pytest.approx(500)


@pytest.mark.parametrize(
    "changed, problem",
    [
        ({}, ""),
        ({"webp_60": result(100, WANTED + 1.5)}, "quality 60: mean scores differ by 1.50"),
        ({"auto": result(120), "avif_80": result(120)}, "of our best JPEG"),
        ({"auto": result(75)}, "of the best of all encodings"),
        ({"auto": result(70, encodings=3)}, "takes 3.00 encodings"),
    ],
)
def test_goals_that_are_missed_are_listed(changed: dict[str, Any], problem: str) -> None:
    rows = {measure.PHOTOGRAPHS: measure.rows(pictures(18, **changed), measure.QUALITIES)}
    found = measure.problems(rows, measure.QUALITIES)

    assert (problem in found[0]) if problem else not found
    few = {measure.PHOTOGRAPHS: measure.rows(pictures(3, **changed), measure.QUALITIES)}
    assert measure.problems(few, measure.QUALITIES) == []


def test_a_table_has_the_number_with_the_score_of_the_jpeg() -> None:
    means = [-20 + 10 * number for number in range(len(scales.NUMBERS["webp"]))]
    wanted = [means[3], *np.linspace(means[4], means[6], len(QUALITIES) - 3), 1000, 1000]
    found = scales.fitted("webp", [means, means], wanted)

    assert found[0] == scales.NUMBERS["webp"][3] and found[1] == scales.NUMBERS["webp"][4]
    assert list(found) == sorted(found) and found[-2:] == (100, 100)
    text = scales.source_text({"webp": {Effort.FAST: found}})
    assert "Effort.FAST: (35, 50, " in text


def test_the_scores_of_qualities_weigh_every_set_equally() -> None:
    found = scales.quality_scores([[[10.0, 50.0]], [[20.0, 60.0], [40.0, 80.0]]])
    assert found == (20.0, 60.0)


def test_scales_and_scores_of_qualities_are_made_from_photographs_that_are_not_for_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corpus" / "kodak").mkdir(parents=True)
    y, x = np.mgrid[:48, :64]
    for name in ("kodim01", "kodim02"):  # for tuning, for validation
        noise = np.random.default_rng(2).integers(0, 9, (48, 64, 3))
        picture = (np.stack([x * 3, y * 4, x + y], 2) + noise).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "corpus" / "kodak" / f"{name}.png")
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path / "corpus"))
    monkeypatch.setattr(photos, "packaged", list)

    sets = scales.not_for_validation()
    assert [[one.name for one in images] for images in sets] == [["kodim01"]]
    assert run.run(tmp_path / "out", ["--scales", "--efforts", "fast", "--jobs", "1"])
    [path] = (tmp_path / "out").glob("formats-scales-*.json")
    content = json.loads(path.read_text())["results"]
    scores = content["scores of qualities"]
    assert len(scores) == len(QUALITIES) and scores[-1] > scores[0]
    assert scores == pytest.approx(content["scores of JPEG"], abs=0.06)  # the photograph is no larger than a middle
    assert f"QUALITY_SCORES = ({scores[0]}" in capsys.readouterr().out


def test_without_a_corpus_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path / "missing"))
    monkeypatch.setattr(measure, "photographs", list)
    assert run.run(tmp_path)
    monkeypatch.setattr(scales, "tuning", list)
    assert run.run(tmp_path, ["--scales"])


def test_a_run_saves_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name in (("kodak", "kodim02"), ("graphics", "boxes")):
        (tmp_path / "corpus" / folder).mkdir(parents=True)
        y, x = np.mgrid[:48, :64]
        noise = np.random.default_rng(2).integers(0, 9 if folder == "kodak" else 1, (48, 64, 3))
        smooth = np.stack([x * 3, y * 4, x + y], 2) if folder == "kodak" else np.stack([x // 16 * 60] * 3, 2)
        Image.fromarray((smooth + noise).astype(np.uint8)).save(tmp_path / "corpus" / folder / f"{name}.png")
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path / "corpus"))

    assert run.run(tmp_path / "out", ["--quick", "--images", "1", "--jobs", "1"])
    [path] = (tmp_path / "out").glob("formats-*.json")
    content = json.loads(path.read_text())["results"]
    assert content["problems"] == []
    assert set(content["rows"]) == {"photographs", "drawings"}
    assert content["rows"]["photographs"]["auto"]["formats"].keys() <= {"avif", "webp", "jpeg", "png"}
