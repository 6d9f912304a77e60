"""The benchmark of bytes at equal visual quality: its curves, its checks and a small run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.density import curves, sheet, table
from benchmarks.density import measure as density
from benchmarks.density import run as density_run
from benchmarks.harness import encoders, photos


def small_photographs(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 2) -> None:
    """Create a corpus of `count` Kodak photographs, the first of the tuning set, from one of scikit-image's."""
    source = photos.pixels(photos.packaged()[0])
    (folder / "kodak").mkdir()
    for number in range(1, count + 1):
        part = source[32 * number : 32 * number + 64, 100:196]
        Image.fromarray(np.ascontiguousarray(part)).save(folder / "kodak" / f"kodim{number:02}.png")
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(folder))
    monkeypatch.setattr(photos, "PACKAGED", ())


def curve_of(factor: float, qualities: tuple[int, ...] = (30, 50, 70, 85, 95)) -> list[curves.Point]:
    """Return the curve of an encoder whose files are `factor` times as large at equal visual quality."""
    return [curves.Point(q, round(factor * 100 * 1.05**q), 40 + q / 2, 4 * 0.98**q) for q in qualities]


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
    worse = curves.Point(60, 900, 55.0, None)
    assert "falls by 10.0" in density.problems_of([curves.Point(50, 800, 65.0, None), worse])[0]
    assert "1.0 at quality 90" in density.problems_of([curves.Point(90, 800, 1.0, None)])[0]


def test_a_quality_scale_that_differs_from_libjpegs_is_detected() -> None:
    points = curve_of(1)
    off = [curves.Point(p.quality, p.bytes, p.ssimulacra2 + 2 * (p.quality == 70), p.butteraugli) for p in points]
    results = {"Kodak": {f"{n}": {"Pillow": points, "fast": points, "balanced": off} for n in range(18)}}

    scale = table.quality_scale(results, ("fast", "balanced"))

    assert table.scale_problems(results, scale) == [
        "Kodak, balanced: SSIMULACRA2 at quality 70 differs by +2.0 from libjpeg-turbo's"
    ]


def test_density_is_measured_saved_and_plotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure all encoders on two small images: both of Kodak's sets, and their union."""
    small_photographs(tmp_path, monkeypatch)
    words = ["--qualities", "40,70,90", "--jobs", "1", "--cache", str(tmp_path / "cache")]

    assert density_run.run(tmp_path / "out", words)

    (path,) = (tmp_path / "out").glob("density-*.json")
    results = json.loads(path.read_text())["results"]
    assert results["problems"] == []
    assert set(results["points"]) == {"Kodak, tuning", "Kodak, hold-out"}
    peers = {"Pillow", "Pillow, progressive", "mozjpeg", "jpegli", "jpegli, sequential"}
    assert set(results["points"]["Kodak, tuning"]["kodim01"]) == peers | set(encoders.EFFORTS)
    progressive = [rate for rate in results["bd_rates"] if rate["encoder"] == "Pillow, progressive"]
    assert {rate["set"] for rate in progressive} == {"Kodak 2", "Kodak, tuning", "Kodak, hold-out"}
    for name in (".png", "-crops-40.png", "-crops-60.png", "-crops-80.png"):
        with Image.open(path.with_name(path.stem + name)) as image:
            assert image.width > 1000
    assert len(list((tmp_path / "cache").glob("scores-*.json"))) == 2


def test_results_of_equal_bytes_are_found() -> None:
    def encode(quality: int) -> bytes:
        return bytes(1000 + 10 * quality)

    assert sheet.equal_bytes(encode, 1504)[0] == 50
    assert sheet.equal_bytes(encode, 1506)[0] == 51
    assert sheet.equal_bytes(encode, 1)[0] == 1
    assert sheet.equal_bytes(encode, 10**6)[0] == 100
