"""The generators, counters and checks of the benchmarks: if one of them is wrong, every figure is worthless."""

import io
import socket
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import fidelity, generate, judges, ms_ssim, photos, record, scores, sources
from benchmarks.harness.proxy import CountingProxy, sink_address
from tests.reference import ms_ssim as reference


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


@pytest.mark.parametrize("with_photographs", [True, False])
def test_sources_are_different_files_of_one_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_photographs: bool
) -> None:
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path))
    size = sources.Size(120, 80)
    if not with_photographs:
        monkeypatch.setattr(sources, "covering", lambda _: [])

    files = sources.files(size, 5)

    assert len(set(files)) == 5
    assert files == sources.files(size, 5)
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size, image.info.get("progressive")) == ("JPEG", (120, 80), None)
    assert ("mosaics" in sources.description(size)) != with_photographs


def test_the_middle_of_an_image_is_scored() -> None:
    pixels = np.zeros((514, 1000, 3), np.uint8)
    pixels[1:-1, 116:-116] = 9

    assert fidelity.middle(pixels).shape == (512, 768, 3) and (fidelity.middle(pixels) == 9).all()
    assert fidelity.middle(pixels[:20, :30]).shape == (20, 30, 3)


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
    for name in ("cpu", "numpy", "pillow", "commit", "ratio"):
        assert f'"{name}"' in text


def test_the_load_before_a_run_is_printed() -> None:
    assert record.load_line().startswith(f"load average {record.LOAD_AT_START:.2f} on ")
    assert record.machine()["load"] == record.LOAD_AT_START


def test_ms_ssim_is_that_of_its_reference() -> None:
    """Samples of sizes that are odd at several scales, smaller than the window at the coarsest."""
    random = np.random.default_rng(7)
    source = (128 + 60 * np.sin(np.arange(21 * 34 * 3) / 9)).reshape(21, 34, 3).astype(np.uint8)
    result = np.clip(source + random.normal(0, 12, source.shape), 0, 255).astype(np.uint8)

    found = ms_ssim.ms_ssim(source, result)

    assert found == pytest.approx(reference.ms_ssim(source.tolist(), result.tolist()), rel=1e-9)
    assert ms_ssim.ms_ssim(source, source) == 1
    assert 0 < ms_ssim.ms_ssim(source, 255 - source) < 0.01


def test_judges_scales_rise_with_quality() -> None:
    better = {"ms_ssim": 0.99, "butteraugli": 0.8, "ssimulacra2": 80.0, "cvvdp": 9.8}
    worse = {"ms_ssim": 0.98, "butteraugli": 1.2, "ssimulacra2": 70.0, "cvvdp": 9.5}

    for name, judge in judges.BY_NAME.items():
        assert judge.rising(better[name]) > judge.rising(worse[name])
    assert judges.MS_SSIM.rising(1) == judges.BUTTERAUGLI.rising(0) == float("inf")


def test_a_judge_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    judges.cvvdp_missing.cache_clear()

    assert judges.usable() == ["ms_ssim", "ssimulacra2"]
    assert "libjxl-devtools" in judges.BUTTERAUGLI.missing()
    assert "compressor[judges]" in judges.CVVDP.missing()
    judges.cvvdp_missing.cache_clear()


def test_a_display_model_that_does_not_load_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setitem(sys.modules, "pycvvdp", ModuleType("pycvvdp"))
    monkeypatch.setattr(sys.modules["pycvvdp"], "__spec__", ModuleSpec("pycvvdp", None))
    monkeypatch.setattr(judges, "display_model", fails)
    judges.cvvdp_missing.cache_clear()

    assert judges.CVVDP.missing() == "cvvdp does not load: operator torchvision::nms does not exist"
    judges.cvvdp_missing.cache_clear()


def test_scores_are_kept_by_the_version_of_the_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = photos.pixels(photos.packaged()[0])[:40, :40]

    def judge(version: str, figure: float) -> judges.Judge:
        return judges.Judge("ms_ssim", "", lambda _: figure, float, lambda: version, str)

    found = []
    for version, figure in (("1", 0.5), ("1", 0.6), ("2", 0.7), ("1", 0.8)):
        monkeypatch.setitem(judges.BY_NAME, "ms_ssim", judge(version, figure))
        with scores.Scores(source, tmp_path, ["ms_ssim"]) as known:
            found.append(known.score(source)["ms_ssim"])

    assert found == [0.5, 0.5, 0.7, 0.5]


def test_scores_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with the output of butteraugli counts its calls."""
    tool = tmp_path / judges.BUTTERAUGLI_PROGRAM
    tool.write_text(f"#!/bin/sh\necho called >> {tmp_path}/calls\necho 2.5\necho '3-norm: 1.250000'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    source = photos.pixels(photos.packaged()[0])[:64, :64]
    result = np.ascontiguousarray(source // 2)

    for _ in range(2):
        with scores.Scores(source, tmp_path / "cache", ["ssimulacra2", "butteraugli"]) as known:
            assert known.score(source)["ssimulacra2"] > 99
            found = known.score(result)
            assert found["ssimulacra2"] < 60 and found["butteraugli"] == 1.25

    assert (tmp_path / "calls").read_text().count("called") == 2
