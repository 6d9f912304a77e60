"""`python -m benchmarks savings`: its arithmetic with invented results, its search for equal quality, a small run."""

import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.harness import encoders, fidelity, photos, scores
from benchmarks.savings import measure, run, table
from benchmarks.savings.measure import RecodedFile, ToolResult
from tests import ROOT

RESULT = ToolResult(
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


def result(tool: str, cpu_seconds: float, saved: int, score: float | None = 80.0) -> ToolResult:
    return dataclasses.replace(RESULT, tool=tool, cpu_seconds=(cpu_seconds,), saved=saved, score=score)


def cost(one: ToolResult, utilization: float = 1.0) -> table.CostPerGb:
    found = table.cost_of(one, utilization)
    assert found is not None
    return found


def test_a_gb_in_sixty_seconds_with_a_gb_of_memory_is_the_worked_example() -> None:
    found = cost(RESULT)

    assert found.cpu_seconds == 60  # the median
    assert [round(value) for value in found.joules] == [131, 269, 747]
    assert [round(a - b, 3) for a, b in zip(found.grams, found.grams_running, strict=True)] == [0.003, 0.007, 0.017]
    assert found.days_running is not None and found.days is not None
    assert found.days_running.high == pytest.approx(365 * 60 / 950, rel=0.01)
    assert found.days.high == pytest.approx(365 * 60 / 788, rel=0.01)
    assert found.year_grams.low == pytest.approx(1160 / 2, rel=0.01)  # half of a TB of originals is saved


def test_break_evens_match_the_methodology() -> None:
    assert round(table.break_even(365).low, -1) == 950
    assert round(table.break_even(365).central, -1) == 9480
    assert round(table.break_even(30).low) == 78
    assert table.break_even(365, grams=True).low < table.break_even(365).low


def test_costs_are_proportional_to_cpu_time_per_byte_saved() -> None:
    twice = cost(dataclasses.replace(RESULT, cpu_seconds=(120.0,)))
    half = cost(dataclasses.replace(RESULT, saved=RESULT.saved // 2))

    for found in (twice, half):
        assert [*found.joules] == pytest.approx([2 * value for value in cost(RESULT).joules])


def test_an_idle_share_costs_power_memory_and_servers() -> None:
    shared, half = cost(RESULT), cost(RESULT, utilization=0.5)

    memory = 60 * 0.625 * 1.35
    assert half.joules.high - shared.joules.high == pytest.approx(60 * 2.17 * 1.35 + memory)
    manufacture = [found.grams.high - found.grams_running.high for found in (shared, half)]
    assert manufacture[1] == pytest.approx(2 * manufacture[0])
    assert half.year_grams.low < shared.year_grams.low


def test_a_tool_that_saves_nothing_never_pays() -> None:
    nothing = result("mozjpeg", 5.0, 0)

    assert table.cost_of(nothing) is None
    console = Console(width=100, file=io.StringIO())
    for found in table.tables([RESULT, nothing], files=2):
        console.print(found)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("never") >= 5


def test_an_additional_gb_is_compared_with_the_next_cheaper_tool_that_saves_less() -> None:
    results = [
        result("best", 20.0, 120_000_000),
        result("fast", 5.0, 100_000_000),
        result("mozjpeg", 90.0, 110_000_000),
        result("balanced", 10.0, 110_000_000),
    ]

    assert table.cpu_seconds_per_additional_gb(results) == {
        "fast": pytest.approx(50.0),
        "balanced": pytest.approx(500.0),
        "best": pytest.approx(1000.0),
        "mozjpeg": None,
    }
    assert "take 500 CPU-s per GB: below the break-even of a year with manufacture, 790" in table.headline(results)


def test_tables_fit_a_hundred_columns() -> None:
    """Even with 8,100 CPU seconds per GB, twice the time of the slowest tool."""
    results = [result(name, 1_000.0, 123_456_789) for name in measure.BY_NAME]

    for found in table.tables(results, files=12):
        found.caption = None  # it is as wide as the table
        assert Console(width=500).measure(found).maximum <= 100, found.title


@pytest.mark.parametrize("target", [30.0, 61.3, 80.2, 99.9])
def test_the_matching_quality_is_found(target: float) -> None:
    def score(quality: int) -> float:
        return 20 + 8 * math.sqrt(quality)

    found = {80: score(80)}
    while (following := measure.next_quality(found, target, 0.5)) is not None:
        assert following not in found
        found[following] = score(following)

    nearest = min(range(1, 101), key=lambda quality: abs(score(quality) - target))
    assert nearest in found and len(found) < 9


def test_means_cover_the_photographs_that_the_reference_changed() -> None:
    """Ours leaves one of two photographs unchanged: its score, which is no achievement, is not in the means."""
    changed, kept = Path("changed.jpg"), Path("kept.jpg")

    def recode_all(qualities: dict[str, int]) -> dict[Path, dict[str, RecodedFile]]:
        def one(name: str, quality: int, path: Path) -> RecodedFile:
            same = path == kept and name == "balanced"
            return RecodedFile("", 1, same, 100.0 if same else quality / 2 + (40 if name == "balanced" else 42), None)

        return {
            path: {name: one(name, quality, path) for name, quality in qualities.items()} for path in (changed, kept)
        }

    found = measure.match_quality(["balanced", "jpegli"], "ssimulacra2", recode_all)

    assert {name: quality for name, (quality, _) in found.items()} == {"balanced": 80, "jpegli": 76}


def test_unequal_quality_is_reported() -> None:
    results = [RESULT, result("jpegli", 1.0, 1, score=80.4), result("mozjpeg", 1.0, 1, score=79.2)]

    assert table.quality_mismatches(results, "ssimulacra2") == [
        "mozjpeg: ssimulacra2 is 79.200 at quality 80, not 80.000"
    ]


def photograph() -> fidelity.Pixels:
    return np.ascontiguousarray(photos.pixels(photos.packaged()[0])[:160, 100:260])


def jpeg(pixels: fidelity.Pixels, quality: int = 96, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_metadata_is_not_image_data(progressive: bool) -> None:
    plain = jpeg(photograph(), progressive=progressive)
    exif = Image.Exif()
    exif[271] = "a maker"
    more = jpeg(photograph(), progressive=progressive, comment=b"text", exif=exif, icc_profile=b"p" * 99_999)

    assert fidelity.image_data_bytes(more + b"a trailer") == fidelity.image_data_bytes(plain)
    assert 0 < len(plain) - fidelity.image_data_bytes(plain) < 30  # APP0
    with pytest.raises(ValueError, match="end"):
        fidelity.image_data_bytes(plain[:-2])


def test_wrong_results_are_detected() -> None:
    """Lossless tools must not change a pixel, others none by much; a larger result is not kept."""
    data = jpeg(photograph())
    source = fidelity.decoded(data)
    worse, smaller, other = jpeg(photograph(), 90), jpeg(photograph()[:80]), jpeg(255 - photograph(), 50)

    def recode(result: bytes, lossless: bool) -> RecodedFile:
        tool = encoders.Recoder("", lambda data, quality: result, lossless=lossless)
        with scores.Scores(fidelity.middle(source), None, ["ssimulacra2"]) as known:
            return measure.recode_one(data, source, tool, 80, known)

    assert recode(worse, True).problem == "is not lossless"
    assert recode(worse, False).problem == ""
    assert "shapes differ" in recode(smaller, False).problem
    assert "PSNR" in recode(other, False).problem
    larger = recode(jpeg(photograph(), 100), False)
    assert (larger.saved, larger.unchanged, larger.score) == (0, True, 100.0)


def test_savings_are_measured_printed_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run ours and Pillow in processes of their own on two small photographs, one of a quality below 80."""
    (tmp_path / "camera").mkdir()
    (tmp_path / "camera" / "fine.jpg").write_bytes(jpeg(photograph()))
    (tmp_path / "camera" / "small.jpg").write_bytes(jpeg(photograph(), 70))
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path))
    few = ("balanced", "Pillow, optimize", "lossless")
    monkeypatch.setattr(encoders, "RECODERS", tuple(one for one in encoders.RECODERS if one.name in few))

    words = ["--repeats", "2", "--jobs", "1", "--cache", str(tmp_path / "cache")]
    assert run.run(tmp_path / "out", words)

    (path,) = (tmp_path / "out").glob("savings-*.json")
    results = json.loads(path.read_text())["results"]
    assert [line["tool"] for line in results["tools"]] == [*few]
    for line in results["tools"]:
        assert len(line["cpu_seconds"]) == 2 and min(line["cpu_seconds"]) > 0
        assert 10 << 20 < line["peak_bytes"] < 1 << 30
        assert line["saved"] > 0
    ours, pillow, _ = results["tools"]
    assert abs(ours["score"] - pillow["score"]) <= measure.DIFFERENCE_MAX["ssimulacra2"]
    assert "CPU-s to save a GB" in capsys.readouterr().out


def test_estimates_in_the_methodology_match_the_model() -> None:
    """They are computed from the measured CPU seconds and memory on the same page."""
    page = (ROOT / "docs" / "methodology.md").read_text()
    section = page.partition("## What saving costs, measured")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    measured = {row[0]: row for row in rows if len(row) == 8}
    estimated = {row[0]: row for row in rows if len(row) == 6}

    assert len(measured) == 2 + len(measure.BY_NAME)  # two header lines
    for name, row in list(measured.items())[2:]:
        seconds, megabytes = float(row[4].replace(",", "")), float(row[6])
        one = dataclasses.replace(
            RESULT,
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
