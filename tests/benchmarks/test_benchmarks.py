"""The benchmarks' generators and checks: if one of them is wrong, every figure is worthless."""

import io
import json
import socket
import threading
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import pytest
from PIL import Image

import compressor
from benchmarks import concurrency
from benchmarks.__main__ import NAMES, load
from benchmarks.density import curves, sheet, table
from benchmarks.density import measure as density
from benchmarks.density import run as density_run
from benchmarks.harness import encoders, fidelity, generate, photos, record, scores
from benchmarks.harness.proxy import CountingProxy, sink_address
from benchmarks.memory import measure, plot, tiled_images
from benchmarks.speed import measure as speed


class Module(Protocol):
    def options(self, words: Sequence[str]) -> Namespace: ...


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_be_run_by_its_name(name: str) -> None:
    benchmark = load(name)

    assert callable(benchmark.run)
    if hasattr(benchmark, "options"):
        with pytest.raises(SystemExit) as ended:
            cast(Module, benchmark).options(["--help"])
        assert ended.value.code == 0


def test_generated_png_contains_its_bands() -> None:
    """Pillow reads the file, with all filter types and a size that is not a multiple of a band."""
    data = b"".join(generate.png(203, 150, seed=7))

    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.size) == ("RGB", (203, 150))
        np.testing.assert_array_equal(np.asarray(image), np.concatenate(list(generate.bands(203, 150, seed=7))))


def test_generated_image_depends_on_its_seed_alone() -> None:
    first, again, other = (b"".join(generate.png(64, 64, seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_generated_image_compresses_like_a_photograph() -> None:
    """It takes 0.5 to 1.5 bits per pixel at quality 80, as photographs do."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(generate.bands(512, 512)))).save(file, "JPEG", quality=80)

    assert 0.5 < 8 * file.tell() / 512**2 < 1.5


def test_psnr_matches_the_formula() -> None:
    a = np.zeros((300, 4, 3), np.uint8)

    assert fidelity.psnr(a, a) == float("inf")
    assert fidelity.psnr(a, a + np.uint8(5)) == pytest.approx(20 * np.log10(255 / 5))
    with pytest.raises(ValueError, match="shapes differ"):
        fidelity.psnr(a, a[:-1])


def test_eighths_distinguish_a_good_jpeg_from_another_image(tmp_path: Path) -> None:
    eighths = fidelity.Eighths(203, 150)
    for band in generate.bands(203, 150):
        eighths.add(band)
    for seed, name in ((1, "same.jpg"), (2, "other.jpg")):
        Image.fromarray(np.concatenate(list(generate.bands(203, 150, seed)))).save(tmp_path / name, quality=80)

    assert eighths.psnr(tmp_path / "same.jpg") > 40
    assert eighths.psnr(tmp_path / "other.jpg") < 30


def test_transparent_pixels_are_compared_on_white() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(file, "PNG")

    assert (fidelity.decoded(file.getvalue()) == 255).all()


def test_mosaic_of_any_size_consists_of_unscaled_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path))
    (tmp_path / "kodak").mkdir()
    for name, level in (("a.png", 40), ("b.png", 200)):
        Image.new("RGB", (70, 260), (level, level, level)).save(tmp_path / "kodak" / name)

    image, description = photos.mosaic(101, 503)

    assert image.shape == (503, 101, 3)
    assert set(np.unique(image)) == {40, 200}
    assert description == "2 Kodak photographs"


def test_proxy_counts_every_byte_of_both_directions() -> None:
    stop = threading.Event()
    host, port = sink_address(stop)
    with CountingProxy(f"{host}:{port}") as proxy:
        proxy_host, _, proxy_port = proxy.address.rpartition(":")
        with socket.create_connection((proxy_host, int(proxy_port))) as connection:
            connection.sendall(bytes(300_000))
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b"!"
        assert proxy.counts() == (300_000, 1)
    stop.set()


def test_results_record_the_machine_and_the_versions(tmp_path: Path) -> None:
    path = record.save(tmp_path, "speed", {"ratio": 1.0})

    text = path.read_text()
    for name in ("cpu", "numba", "pillow", "commit", "ratio"):
        assert f'"{name}"' in text


@pytest.mark.parametrize("size", [(203, 150), (64, 64), (1, 700), (3, 65)])
@pytest.mark.parametrize("kind", ["png", "interlaced"])
def test_tiled_png_contains_the_generated_image(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    files = tiled_images.Files(tmp_path, *size)

    with Image.open(files[kind]) as image:
        assert bool(image.info.get("interlace")) == (kind == "interlaced")
        np.testing.assert_array_equal(np.asarray(image), np.concatenate(list(files.picture.bands())))


@pytest.mark.parametrize("size", [(203, 150), (64, 64), (17, 1200)])
def test_tiled_jpegs_are_identical_and_similar_to_the_generated_image(tmp_path: Path, size: tuple[int, int]) -> None:
    files = tiled_images.Files(tmp_path, *size)

    baseline, progressive = (fidelity.decoded(files[kind].read_bytes()) for kind in ("baseline", "progressive"))

    np.testing.assert_array_equal(baseline, progressive)
    assert fidelity.psnr(baseline, np.concatenate(list(files.picture.bands()))) > 30
    assert files.picture.eighths().psnr(files["progressive"]) > 40


def test_eighths_of_a_tiled_image_are_those_of_its_bands() -> None:
    picture = tiled_images.Picture(203, 1210)
    eighths = fidelity.Eighths(203, 1210)
    for band in picture.bands():
        eighths.add(band)

    np.testing.assert_array_equal(picture.eighths().means, eighths.means)


def conversion(
    megapixels: float, peak_bytes: int | None, effort: str = "fast", problem: str = ""
) -> measure.ConversionResult:
    return measure.ConversionResult(
        name="PNG → JPEG",
        runner="service",
        effort=effort,
        megapixels=megapixels,
        peak_bytes=peak_bytes,
        reserved_bytes=1 << 20,
        seconds=1.0,
        bytes_in=9,
        bytes_out=5,
        psnr_db=40.0,
        problem=problem,
    )


def test_memory_above_its_target_or_growth_limit_is_a_problem() -> None:
    assert measure.problems_of([conversion(100, 5 << 20), conversion(400, 6 << 20)]) == []
    assert (
        "1.3 MiB per additional 100 MP" in measure.problems_of([conversion(100, 5 << 20), conversion(400, 9 << 20)])[0]
    )
    assert "more memory than the target" in measure.problems_of([conversion(16, 49 << 20)])[0]
    assert measure.problems_of([conversion(16, 49 << 20, "balanced")]) == []
    assert measure.problems_of([conversion(16, None, problem="it was refused")])[0].endswith("it was refused")


def test_memory_is_plotted(tmp_path: Path) -> None:
    path = plot.draw([conversion(1, 1 << 20), conversion(400, 2 << 20)], tmp_path / "plot.png")

    with Image.open(path) as image:
        assert image.size == (1600, 862)


def test_a_result_with_other_rows_or_pixels_is_detected(tmp_path: Path) -> None:
    picture, path = tiled_images.Picture(64, 128), tmp_path / "result.png"
    right = np.concatenate(list(picture.bands()))
    for pixels, found in (
        (right, None),
        (right[:-1], "a band of"),
        (np.concatenate([right, right]), "more rows"),
    ):
        Image.fromarray(pixels).save(path)
        if found is None:
            assert measure.psnr_of(path, "png", picture) == float("inf")
        else:
            with pytest.raises(ValueError, match=found):
                measure.psnr_of(path, "png", picture)
    assert measure.problem_of(45.0, "png", "png", 1)
    assert not measure.problem_of(45.0, "baseline", "png", 1)


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


def test_scores_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with the output of butteraugli counts its calls."""
    tool = tmp_path / scores.BUTTERAUGLI
    tool.write_text(f"#!/bin/sh\necho called >> {tmp_path}/calls\necho 2.5\necho '3-norm: 1.250000'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    source = photos.pixels(photos.packaged()[0])[:64, :64]
    result = np.ascontiguousarray(source // 2)

    for _ in range(2):
        with scores.Scores(source, tmp_path / "cache") as known:
            assert known.score(source)[0] > 99
            score, distance = known.score(result)
            assert score < 60 and distance == 1.25

    assert (tmp_path / "calls").read_text().count("called") == 2


def test_results_of_equal_bytes_are_found() -> None:
    def encode(quality: int) -> bytes:
        return bytes(1000 + 10 * quality)

    assert sheet.equal_bytes(encode, 1504)[0] == 50
    assert sheet.equal_bytes(encode, 1506)[0] == 51
    assert sheet.equal_bytes(encode, 1)[0] == 1
    assert sheet.equal_bytes(encode, 10**6)[0] == 100


def test_encoders_are_timed_and_their_results_compared() -> None:
    image = np.ascontiguousarray(photos.pixels(photos.packaged()[0])[:96, 100:228])
    names = [one.name for one in speed.ENCODERS]

    results = speed.compare(image, names, cores=1, rounds=1)

    assert [one.encoder for one in results] == names
    assert [one.problem for one in results] == [""] * len(names)
    assert next(one for one in results if one.encoder == "Pillow").ratio == 1
    assert all(one.mp_per_second > 0 and 0.3 < one.bytes < 1.5 for one in results)


def test_results_far_below_pillows_quality_are_detected() -> None:
    pillow = (40.0, 80.0)

    assert speed.problem_of("fast", (38.0, 78.5), pillow) == ""
    assert speed.problem_of("fast", (38.0, 76.5), pillow) == "SSIMULACRA2 is 3.5 below Pillow's"
    assert speed.problem_of("mozjpeg", (20.0, 80.0), pillow) == "20.0 dB"
    assert speed.problem_of("bare kernels", (39.8, 80.0), pillow) == "-0.20 dB below Pillow's"


def test_concurrent_calls_are_timed_and_compared() -> None:
    results = concurrency.compare("JPEG, lossless", 64, (1, 2), rounds=2)

    assert [(one.threads, one.problem) for one in results] == [(1, ""), (2, "")]
    assert results[0].ratio == 1 and all(one.mp_per_second > 0 for one in results)


def test_wrong_results_of_concurrent_calls_are_detected() -> None:
    data = concurrency.source(64, "JPEG")
    smaller = compressor.compress(data, quality=70).data

    assert concurrency.problem_of(data, [smaller, smaller], lossless=False) == ""
    assert concurrency.problem_of(data, [smaller, smaller], lossless=True) == "not lossless"
    assert (
        concurrency.problem_of(data, [smaller, smaller + b"\0"], lossless=False) == "results of concurrent calls differ"
    )
    assert concurrency.problem_of(data, [data], lossless=False) == "not smaller"
    grey = compressor.compress(np.full((64, 64), 128, np.uint8)).data
    assert concurrency.problem_of(data, [grey, grey], lossless=False).endswith(" dB")
