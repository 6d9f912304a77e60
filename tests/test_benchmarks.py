"""What the benchmarks measure with: a generator that lies, or a check that misses, makes every figure worthless."""

import io
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import check, generate, photos, record
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
