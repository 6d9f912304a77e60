"""What the benchmarks measure with: a generator that lies, or a check that misses, makes every figure worthless."""

import io
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import check, generate, memory, memory_plot, photos, record, repeated
from benchmarks.proxy import CountingProxy, sink_address


def test_generated_png_holds_the_bands_it_was_made_of() -> None:
    """Pillow reads what was written, with all filter types and an edge that fits no band."""
    data = b"".join(generate.png(203, 150, seed=7))

    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.size) == ("RGB", (203, 150))
        np.testing.assert_array_equal(np.asarray(image), np.concatenate(list(generate.bands(203, 150, seed=7))))


def test_generated_picture_depends_on_its_seed_alone() -> None:
    first, again, other = (b"".join(generate.png(64, 64, seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_generated_picture_costs_about_as_much_as_a_photograph() -> None:
    """0.5 to 1.5 bits a pixel at quality 80, where photographs lie."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(generate.bands(512, 512)))).save(file, "JPEG", quality=80)

    assert 0.5 < 8 * file.tell() / 512**2 < 1.5


def test_psnr_is_the_formula() -> None:
    a = np.zeros((300, 4, 3), np.uint8)

    assert check.psnr(a, a) == float("inf")
    assert check.psnr(a, a + np.uint8(5)) == pytest.approx(20 * np.log10(255 / 5))
    with pytest.raises(ValueError, match="shapes differ"):
        check.psnr(a, a[:-1])


def test_eighths_tell_a_good_jpeg_from_another_picture(tmp_path: Path) -> None:
    eighths = check.Eighths(203, 150)
    for band in generate.bands(203, 150):
        eighths.add(band)
    for seed, name in ((1, "same.jpg"), (2, "other.jpg")):
        Image.fromarray(np.concatenate(list(generate.bands(203, 150, seed)))).save(tmp_path / name, quality=80)

    assert eighths.psnr(tmp_path / "same.jpg") > 40
    assert eighths.psnr(tmp_path / "other.jpg") < 30


def test_transparent_pixels_are_compared_on_white() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(file, "PNG")

    assert (check.decoded(file.getvalue()) == 255).all()


def test_mosaic_has_any_size_and_only_pixels_of_its_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPRESSOR_CORPUS", str(tmp_path))
    (tmp_path / "kodak").mkdir()
    for name, level in (("a.png", 40), ("b.png", 200)):
        Image.new("RGB", (70, 260), (level, level, level)).save(tmp_path / "kodak" / name)

    image, made_of = photos.mosaic(101, 503)

    assert image.shape == (503, 101, 3)
    assert set(np.unique(image)) == {40, 200}
    assert made_of == "2 Kodak photographs"


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


def test_results_say_what_made_them(tmp_path: Path) -> None:
    path = record.save(tmp_path, "speed", {"ratio": 1.0})

    text = path.read_text()
    for name in ("cpu", "numba", "pillow", "commit", "ratio"):
        assert f'"{name}"' in text


@pytest.mark.parametrize("size", [(203, 150), (64, 64), (1, 700), (3, 65)])
@pytest.mark.parametrize("kind", ["png", "interlaced"])
def test_copied_png_holds_what_was_drawn(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    files = repeated.Files(tmp_path, *size)

    with Image.open(files[kind]) as image:
        assert bool(image.info.get("interlace")) == (kind == "interlaced")
        np.testing.assert_array_equal(np.asarray(image), np.concatenate(list(files.picture.bands())))


@pytest.mark.parametrize("size", [(203, 150), (64, 64), (17, 1200)])
def test_copied_jpegs_are_twins_that_look_like_what_was_drawn(tmp_path: Path, size: tuple[int, int]) -> None:
    files = repeated.Files(tmp_path, *size)

    baseline, progressive = (check.decoded(files[kind].read_bytes()) for kind in ("baseline", "progressive"))

    np.testing.assert_array_equal(baseline, progressive)
    assert check.psnr(baseline, np.concatenate(list(files.picture.bands()))) > 30
    assert files.picture.eighths().psnr(files["progressive"]) > 40


def test_eighths_of_a_repeated_picture_are_those_of_its_bands() -> None:
    picture = repeated.Picture(203, 1210)
    eighths = check.Eighths(203, 1210)
    for band in picture.bands():
        eighths.add(band)

    np.testing.assert_array_equal(picture.eighths().means, eighths.means)


def row(megapixels: float, peak_bytes: int | None, effort: str = "fast", problem: str = "") -> memory.Row:
    what = {"name": "PNG → JPEG", "by": "service", "seconds": 1.0, "bytes_in": 9, "bytes_out": 5, "psnr_db": 40.0}
    return memory.Row(
        **what, effort=effort, megapixels=megapixels, peak_bytes=peak_bytes, reserved_bytes=1 << 20, problem=problem
    )


def test_memory_that_passes_a_target_or_grows_is_a_problem() -> None:
    assert memory.problems([row(100, 5 << 20), row(400, 6 << 20)]) == []
    assert "1.3 MiB for 100 MP more" in memory.problems([row(100, 5 << 20), row(400, 9 << 20)])[0]
    assert "more memory than the target" in memory.problems([row(16, 49 << 20)])[0]
    assert memory.problems([row(16, 49 << 20, "balanced")]) == []
    assert memory.problems([row(16, None, problem="it was refused")])[0].endswith("it was refused")


def test_memory_is_drawn(tmp_path: Path) -> None:
    path = memory_plot.draw([row(1, 1 << 20), row(400, 2 << 20)], tmp_path / "plot.png")

    with Image.open(path) as image:
        assert image.size == (1600, 862)


def test_a_result_with_other_rows_or_pixels_is_noticed(tmp_path: Path) -> None:
    picture, path = repeated.Picture(64, 128), tmp_path / "result.png"
    right = np.concatenate(list(picture.bands()))
    for pixels, found in ((right, None), (right[:-1], "result has"), (np.concatenate([right, right]), "more rows")):
        Image.fromarray(pixels).save(path)
        if found is None:
            assert memory.psnr_of(path, "png", picture) == float("inf")
        else:
            with pytest.raises(ValueError, match=found):
                memory.psnr_of(path, "png", picture)
    assert memory.problem_of(45.0, "png", "png", 1)
    assert not memory.problem_of(45.0, "baseline", "png", 1)
