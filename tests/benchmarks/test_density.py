"""The benchmark of bytes at equal visual quality: its curves, its checks and a small run."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.density import curves, rates, scale, sheet, table
from benchmarks.density import measure as density
from benchmarks.density import run as density_run
from benchmarks.harness import encoders, photos


def small_photographs(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 2) -> None:
    """Create a corpus from one of scikit-image's photographs.

    It has `count` Kodak photographs, the first of the tuning set, and another photograph for tuning and for validation.
    """
    source = photos.pixels(photos.packaged()[0])
    names = [f"kodak/kodim{number:02}" for number in range(1, count + 1)]
    for number, name in enumerate(["photos/tuning/a", "photos/validation/b", *names]):
        part = source[32 * (number % 3) : 32 * (number % 3) + 64, 100 + number : 196 + number]
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(part)).save(path)
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(folder))
    monkeypatch.setattr(photos, "PACKAGED", ())


def curve_of(factor: float, qualities: tuple[int, ...] = (30, 50, 70, 85, 95)) -> list[curves.Point]:
    """Return the curve of an encoder whose files are `factor` times as large at equal visual quality."""
    return [
        curves.Point(q, round(factor * 100 * 1.05**q), 40 + q / 2, 4 * 0.98**q, 1 - 0.05 * 0.97**q, 8 + q / 50)
        for q in qualities
    ]


@pytest.mark.parametrize("metric", curves.METRICS)
def test_bd_rate_is_the_difference_of_bytes_at_equal_score(metric: str) -> None:
    limits = curves.RANGES["50-90"]

    assert curves.bd_rate(curve_of(0.8), curve_of(1), metric, limits) == pytest.approx(-0.2, abs=1e-3)
    assert curves.bd_rate(curve_of(1.1), curve_of(1), metric, limits) == pytest.approx(0.1, abs=1e-3)
    assert curves.bd_rate(curve_of(1, (35, 60, 90)), curve_of(1), metric, limits) == pytest.approx(0, abs=1e-3)


def test_bd_rate_of_curves_that_do_not_overlap_is_nan() -> None:
    low, high = curve_of(1, (1, 10, 20)), curve_of(1, (85, 90, 95))

    assert np.isnan(curves.bd_rate(low, high, "ssimulacra2", (50, 90)))
    assert np.isnan(curves.mean([float("nan")]))
    assert curves.mean([1.0, float("nan"), 3.0]) == 2


def test_scores_that_no_working_encoder_has_are_detected() -> None:
    assert density.problems_of(curve_of(1)) == []
    worse = curves.Point(60, 900, 55.0)
    assert "falls by 10.0" in density.problems_of([curves.Point(50, 800, 65.0), worse])[0]
    assert "1.0 at quality 90" in density.problems_of([curves.Point(90, 800, 1.0)])[0]


def test_points_without_a_finite_score_are_left_out_of_a_curve() -> None:
    points = [*curve_of(1), curves.Point(100, 10**6, 100.0, 0.0, 1.0, 10.0)]

    assert np.isfinite(curves.Curve(points, "butteraugli").scores).all()
    with pytest.raises(ValueError, match="cvvdp"):
        curves.Curve([curves.Point(q, 10 * q, q) for q in (40, 60, 80)], "cvvdp")


def test_a_quality_scale_that_differs_from_libjpegs_is_detected() -> None:
    points = curve_of(1)
    off = [dataclasses.replace(p, ssimulacra2=p.ssimulacra2 + 2 * (p.quality == 70)) for p in points]
    results = {"Kodak": {f"{n}": {"Pillow": points, "fast": points, "balanced": off} for n in range(18)}}
    efforts = ("fast", "balanced")

    found = scale.quality_scale(results, efforts)

    assert scale.scale_problems(results, found, scale.means_by_quality(results, efforts, scale.deficit)) == [
        "Kodak, balanced: SSIMULACRA2 at quality 70 differs by +2.0 from libjpeg-turbo's"
    ]


def test_a_score_that_libjpeg_reaches_with_fewer_bytes_is_detected() -> None:
    """The score of `low` is by one judge that of a quality 1.2 lower, which takes 5.7 % fewer bytes."""
    points = curve_of(1)
    low = [dataclasses.replace(p, cvvdp=8 + (p.quality - 1.2 * (p.quality <= 50)) / 50) for p in points]
    results = {"Kodak": {f"{n}": {"Pillow": points, "fast": low} for n in range(18)}}

    found = scale.means_by_quality(results, ["fast"], scale.deficit)

    assert found["Kodak"]["fast"]["cvvdp"][30] == pytest.approx(100 * (1 - 1.05**-1.2), abs=0.2)
    assert found["Kodak"]["fast"]["cvvdp"][70] == pytest.approx(0, abs=1e-9)
    assert found["Kodak"]["fast"]["ms_ssim"] == dict.fromkeys((30, 50, 70, 85, 95), 0)
    problems = scale.scale_problems(results, scale.quality_scale(results, ["fast"]), found)
    assert len(problems) == 1
    assert problems[0].startswith("Kodak, fast: libjpeg-turbo reaches our ColorVideoVDP with up to ")
    assert problems[0].endswith(" % fewer bytes, at quality 30, 50")
    single = {"Kodak": {"1": results["Kodak"]["1"]}}
    assert scale.scale_problems(single, scale.quality_scale(single, ["fast"]), found) == []


def test_an_excess_is_relative_to_libjpegs_bytes_at_our_score() -> None:
    """With 20 % fewer bytes than libjpeg at the same quality and score, and with 20 % more."""
    results = {"Kodak": {"1": {"Pillow": curve_of(1), "fast": curve_of(0.8), "best": curve_of(1.2)}}}

    found = scale.means_by_quality(results, ["fast", "best"], scale.excess)["Kodak"]

    for metric in curves.METRICS:
        assert found["fast"][metric][70] == pytest.approx(-20, abs=0.1)
        assert found["best"][metric][70] == pytest.approx(20, abs=0.1)
    assert table.greatest({"cvvdp": {70: 1.0}, "ms_ssim": {70: 2.0, 50: 3.0}}, 70) == "+2.0 MS-SSIM"


def test_an_effort_is_held_against_the_better_peer_by_each_judge() -> None:
    def verdict(ms_ssim: float, cvvdp: float) -> rates.Verdict:
        return rates.Verdict({"ms_ssim": ms_ssim, "cvvdp": cvvdp}, (ms_ssim + cvvdp) / 2)

    lines = {"best": verdict(-5, -4), "mozjpeg": verdict(-6, -2), "jpegli": verdict(-1, 4)}

    ahead = rates.margins({"Kodak": lines, "no peers": {"best": verdict(0, 0)}}, ["best"])

    assert ahead == {"Kodak": {"best": verdict(1, -2)}}
    assert ahead["Kodak"]["best"].worst == "ms_ssim"
    assert ahead["Kodak"]["best"].mean == -0.5


def test_the_column_of_a_judge_that_is_missing_says_so() -> None:
    points = [dataclasses.replace(point, cvvdp=None) for point in curve_of(1)]
    better = [dataclasses.replace(point, cvvdp=None) for point in curve_of(0.9)]
    results = {"Kodak": {"1": {"best": better, "Pillow": points}}}
    found = rates.bd_rates(results)

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table.means_table(results, found, rates.verdicts(found)))

    assert "missing" in console.export_text(clear=False)
    (row,) = [line.split() for line in console.export_text().splitlines() if "best" in line]
    assert row == ["best", *["-10.0"] * 4, "-", *["-10.0"] * 4]


def test_density_is_measured_saved_and_plotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure all encoders on four small images: two sets for tuning, two for validation and the union of these."""
    small_photographs(tmp_path, monkeypatch)
    words = ["--qualities", "40,70,90", "--jobs", "1", "--cache", str(tmp_path / "cache")]

    sets = {"Kodak, tuning", "photographs, tuning", "Kodak, validation", "photographs, validation"}

    assert density_run.run(tmp_path / "out", words)

    (path,) = (tmp_path / "out").glob("density-*.json")
    results = json.loads(path.read_text())["results"]
    assert results["problems"] == []
    assert set(results["points"]) == sets
    assert set(results["judges"]) >= {"ms_ssim", "ssimulacra2"}
    peers = {"Pillow", "Pillow, progressive", "mozjpeg", "jpegli", "jpegli, sequential"}
    assert set(results["points"]["Kodak, tuning"]["kodim01"]) == peers | set(encoders.EFFORTS)
    progressive = [rate for rate in results["bd_rates"] if rate["encoder"] == "Pillow, progressive"]
    assert {rate["set"] for rate in progressive} == {"validation", *sets}
    assert {rate["metric"] for rate in progressive} == set(results["judges"])
    assert set(results["margins"]["validation"]) == set(encoders.EFFORTS)
    (point, *_) = results["points"]["Kodak, tuning"]["kodim01"]["best"]
    assert set(point) == {"quality", "bytes", *curves.METRICS}
    for name in (".png", "-crops-40.png", "-crops-60.png", "-crops-80.png"):
        with Image.open(path.with_name(path.stem + name)) as image:
            assert image.width > 1000
    assert len(list((tmp_path / "cache").glob("scores-*.json"))) == 4


def test_results_of_equal_bytes_are_found() -> None:
    def encode(quality: int) -> bytes:
        return bytes(1000 + 10 * quality)

    assert sheet.equal_bytes(encode, 1504)[0] == 50
    assert sheet.equal_bytes(encode, 1506)[0] == 51
    assert sheet.equal_bytes(encode, 1)[0] == 1
    assert sheet.equal_bytes(encode, 10**6)[0] == 100


def test_a_quick_run_has_few_photographs_for_tuning_and_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = photos.packaged()
    small_photographs(tmp_path, monkeypatch, count=6)
    monkeypatch.setattr(photos, "packaged", lambda: packaged[:3])

    quick = density_run.chosen_sets(density_run.options(["--quick"]))
    whole = density_run.chosen_sets(density_run.options([]))

    assert photos.OTHERS in whole and photos.OTHERS not in quick
    assert {name: len(images) for name, images in quick.items()} == {
        "Kodak, tuning": 2,
        "photographs, tuning": 1,
        "Kodak, validation": 2,
        "photographs, validation": 1,
    }
