"""`python -m benchmarks savings`: its arithmetic with made-up readings, its search for an equal look, a small run."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.harness import encoders, fidelity, photos, scores
from benchmarks.savings import measure, table
from benchmarks.savings.measure import Judged, Reading
from tests import ROOT

READING = Reading(
    tool="balanced",
    quality=80,
    score=80.0,
    butteraugli=1.1,
    bytes_in=2_000_000_000,
    saved=1_000_000_000,
    kept=0,
    cpu_seconds=(55.0, 60.0, 90.0),
    peak_bytes=1_000_000_000,
)


def reading(tool: str, cpu_seconds: float, saved: int, score: float | None = 80.0) -> Reading:
    return dataclasses.replace(READING, tool=tool, cpu_seconds=(cpu_seconds,), saved=saved, score=score)


def cost(one: Reading, busy: float = 1.0) -> table.Cost:
    found = table.cost_of(one, busy)
    assert found is not None
    return found


def test_a_gb_in_sixty_seconds_with_a_gb_of_memory_is_the_worked_example() -> None:
    found = cost(READING)

    assert found.cpu_seconds == 60  # the median
    assert [round(value) for value in found.joules] == [131, 269, 747]
    assert [round(a - b, 3) for a, b in zip(found.grams, found.grams_running, strict=True)] == [0.003, 0.007, 0.017]
    assert found.days_running is not None and found.days is not None
    assert found.days_running.high == pytest.approx(365 * 60 / 950, rel=0.01)
    assert found.days.high == pytest.approx(365 * 60 / 788, rel=0.01)
    assert found.year_grams.low == pytest.approx(1160 / 2, rel=0.01)  # of a TB of originals half is saved


def test_break_evens_are_those_of_the_methodology() -> None:
    assert round(table.break_even(365).low, -1) == 950
    assert round(table.break_even(365).central, -1) == 9480
    assert round(table.break_even(30).low) == 78
    assert table.break_even(365, grams=True).low < table.break_even(365).low


def test_costs_go_with_cpu_time_over_bytes_saved() -> None:
    twice = cost(dataclasses.replace(READING, cpu_seconds=(120.0,)))
    half = cost(dataclasses.replace(READING, saved=READING.saved // 2))

    for found in (twice, half):
        assert [*found.joules] == pytest.approx([2 * value for value in cost(READING).joules])


def test_an_idle_share_costs_power_memory_and_servers() -> None:
    shared, half = cost(READING), cost(READING, busy=0.5)

    memory = 60 * 0.625 * 1.35
    assert half.joules.high - shared.joules.high == pytest.approx(60 * 2.17 * 1.35 + memory)
    manufacture = [found.grams.high - found.grams_running.high for found in (shared, half)]
    assert manufacture[1] == pytest.approx(2 * manufacture[0])
    assert half.year_grams.low < shared.year_grams.low


def test_what_saves_nothing_never_pays() -> None:
    nothing = reading("mozjpeg", 5.0, 0)

    assert table.cost_of(nothing) is None
    console = Console(width=100, file=io.StringIO())
    for found in table.tables([READING, nothing], files=2):
        console.print(found)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("never") >= 5


def test_a_further_gb_is_counted_from_the_next_cheaper_tool_that_saves_less() -> None:
    readings = [
        reading("best", 20.0, 120_000_000),
        reading("fast", 5.0, 100_000_000),
        reading("mozjpeg", 90.0, 110_000_000),
        reading("balanced", 10.0, 110_000_000),
    ]

    assert table.further(readings) == {
        "fast": pytest.approx(50.0),
        "balanced": pytest.approx(500.0),
        "best": pytest.approx(1000.0),
        "mozjpeg": None,
    }
    assert "takes 500 CPU-s a GB: within that of a year with servers' manufacture, 790" in table.headline(readings)


def test_tables_fit_a_hundred_columns() -> None:
    """With 8,100 CPU seconds for a GB, twice what the slowest takes."""
    readings = [reading(name, 1_000.0, 123_456_789) for name in measure.BY_NAME]

    for found in table.tables(readings, files=12):
        found.caption = None  # that is as wide as the table
        assert Console(width=500).measure(found).maximum <= 100, found.title


@pytest.mark.parametrize("target", [30.0, 61.3, 80.2, 99.9])
def test_the_quality_of_an_equal_look_is_found(target: float) -> None:
    def score(quality: int) -> float:
        return 20 + 8 * quality**0.5

    found = {80: score(80)}
    while (following := measure.next_quality(found, target, 0.5)) is not None:
        assert following not in found
        found[following] = score(following)

    nearest = min(range(1, 101), key=lambda quality: abs(score(quality) - target))
    assert nearest in found and len(found) < 9


def test_looks_are_equal_over_what_the_anchor_changed() -> None:
    """One of two photographs is kept as it is by ours: its score, which is no merit, is not in the means."""
    changed, kept = Path("changed.jpg"), Path("kept.jpg")

    def judge(wanted: dict[str, int]) -> dict[Path, dict[str, Judged]]:
        def one(name: str, quality: int, path: Path) -> Judged:
            same = path == kept and name == "balanced"
            return Judged("", 1, same, 100.0 if same else quality / 2 + (40 if name == "balanced" else 42), None)

        return {path: {name: one(name, quality, path) for name, quality in wanted.items()} for path in (changed, kept)}

    found = measure.equal_look(["balanced", "jpegli"], "ssimulacra2", judge)

    assert {name: quality for name, (quality, _) in found.items()} == {"balanced": 80, "jpegli": 76}


def test_a_look_that_is_not_equal_is_told() -> None:
    readings = [READING, reading("jpegli", 1.0, 1, score=80.4), reading("mozjpeg", 1.0, 1, score=79.2)]

    assert table.off_target(readings, "ssimulacra2") == ["mozjpeg: ssimulacra2 is 79.200 at quality 80, not 80.000"]


def photograph() -> fidelity.Pixels:
    return np.ascontiguousarray(photos.pixels(photos.packaged()[0])[:160, 100:260])


def jpeg(pixels: fidelity.Pixels, quality: int = 96, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_metadata_is_no_part_of_the_picture(progressive: bool) -> None:
    plain = jpeg(photograph(), progressive=progressive)
    exif = Image.Exif()
    exif[271] = "a maker"
    more = jpeg(photograph(), progressive=progressive, comment=b"text", exif=exif, icc_profile=b"p" * 99_999)

    assert fidelity.picture_bytes(more + b"a trailer") == fidelity.picture_bytes(plain)
    assert 0 < len(plain) - fidelity.picture_bytes(plain) < 30  # APP0
    with pytest.raises(ValueError, match="end"):
        fidelity.picture_bytes(plain[:-2])


def test_a_result_that_is_not_the_picture_is_noticed() -> None:
    """Lossless tools may change no pixel, others none by much; a larger result is not kept."""
    data = jpeg(photograph())
    source = fidelity.decoded(data)
    worse, smaller, other = jpeg(photograph(), 90), jpeg(photograph()[:80]), jpeg(255 - photograph(), 50)

    def judged(result: bytes, lossless: bool) -> Judged:
        tool = encoders.Recoder("", lambda data, quality: result, lossless=lossless)
        with scores.Scores(measure.middle(source), None) as known:
            return measure.judged_one(data, source, tool, 80, known)

    assert judged(worse, True).problem == "is not lossless"
    assert judged(worse, False).problem == ""
    assert "shapes differ" in judged(smaller, False).problem
    assert "PSNR" in judged(other, False).problem
    larger = judged(jpeg(photograph(), 100), False)
    assert (larger.saved, larger.same, larger.score) == (0, True, 100.0)


def test_savings_are_measured_told_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours and Pillow in processes of their own, on two small photographs, one of them no finer than quality 80."""
    (tmp_path / "camera").mkdir()
    (tmp_path / "camera" / "fine.jpg").write_bytes(jpeg(photograph()))
    (tmp_path / "camera" / "small.jpg").write_bytes(jpeg(photograph(), 70))
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path))
    few = ("balanced", "Pillow, optimize", "lossless")
    monkeypatch.setattr(encoders, "RECODERS", tuple(one for one in encoders.RECODERS if one.name in few))

    words = ["--repeats", "2", "--jobs", "1", "--cache", str(tmp_path / "cache")]
    assert measure.run(tmp_path / "out", words)

    (path,) = (tmp_path / "out").glob("savings-*.json")
    results = json.loads(path.read_text())["results"]
    assert [line["tool"] for line in results["tools"]] == [*few]
    for line in results["tools"]:
        assert len(line["cpu_seconds"]) == 2 and min(line["cpu_seconds"]) > 0
        assert 10 << 20 < line["peak_bytes"] < 1 << 30
        assert line["saved"] > 0
    ours, pillow, _ = results["tools"]
    assert abs(ours["score"] - pillow["score"]) <= measure.OFF_MAX["ssimulacra2"]
    assert "CPU-s to save a GB" in capsys.readouterr().out


def test_estimates_on_the_page_are_the_models() -> None:
    """Of the CPU seconds and the memory that stand there as measured."""
    page = (ROOT / "docs" / "methodology.md").read_text()
    section = page.partition("## What saving costs, measured")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    measured = {row[0]: row for row in rows if len(row) == 8}
    estimated = {row[0]: row for row in rows if len(row) == 6}

    assert len(measured) == 2 + len(measure.BY_NAME)  # two lines of the head
    for name, row in list(measured.items())[2:]:
        seconds, megabytes = float(row[4].replace(",", "")), float(row[6])
        one = dataclasses.replace(
            READING,
            cpu_seconds=(seconds,),
            saved=10**9,
            bytes_in=round(1e11 / float(row[3])),
            peak_bytes=round(megabytes * 1e6),
        )
        found = cost(one)
        for cell, range_ in (
            (1, found.joules),
            (2, found.grams * 1e3),
            (3, found.days_running),
            (4, found.days),
        ):
            assert range_ is not None
            stated = [float(value.replace(",", "")) for value in estimated[name][cell].split(" / ")]
            assert stated == pytest.approx([*range_][::-1], rel=0.06), (name, cell)
        stated = [float(value.replace(",", "")) for value in estimated[name][5].split(" / ")]
        assert stated == pytest.approx([*found.year_grams], rel=0.06, abs=10), name
