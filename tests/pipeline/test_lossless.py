"""`lossless` keeps every sample, or the request is rejected. Fewer bits are always reported."""

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from compressor import pipeline, raster
from compressor.errors import UnsupportedError
from compressor.raster.depth import is_deep
from compressor.settings import Outcome, Path
from tests.tiff_files import DEFLATE, build, picture

HEIGHT, WIDTH = 40, 50
RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 1 << 16, (HEIGHT, WIDTH), dtype=np.uint16)
COLOR = RNG.integers(0, 1 << 16, (HEIGHT, WIDTH, 3), dtype=np.uint16)
SMOOTH = np.add.outer(np.arange(HEIGHT) * 3, np.arange(WIDTH) * 2).astype(np.uint8)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png_samples(data: bytes) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(np.int64)


def ten_bit_avif() -> bytes:
    data: bytes = pyvips.Image.new_from_array(COLOR).heifsave_buffer(compression="av1", bitdepth=10)
    return data


def deep_files() -> dict[str, bytes]:
    grey = GREY[..., None]
    return {
        "tiff-grey": build([picture(grey, 16, photometric=1)]),
        "tiff-grey-big-endian": build([picture(grey, 16, photometric=1, compression=DEFLATE, order=">")], ">"),
        "pnm-grey": b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + GREY.astype(">u2").tobytes(),
        "jp2-grey": saved(Image.fromarray(GREY), "JPEG2000", irreversible=False),
        "tiff-rgb": build([picture(COLOR, 16, photometric=2)]),
        "pnm-rgb": b"P6 %d %d 65535\n" % (WIDTH, HEIGHT) + COLOR.astype(">u2").tobytes(),
        "avif": ten_bit_avif(),
        "png-grey": saved(Image.fromarray(GREY), "PNG"),
    }


DEEP = deep_files()


@pytest.mark.parametrize("effort", ["fast", "balanced"])
@pytest.mark.parametrize("name", ["tiff-grey", "tiff-grey-big-endian", "pnm-grey", "jp2-grey", "png-grey"])
def test_sixteen_bit_grey_is_kept_in_png(name: str, effort: Any) -> None:
    for lossless in (True, False):
        result = pipeline.compress(DEEP[name], format="png", lossless=lossless, effort=effort)
        np.testing.assert_array_equal(png_samples(result.data), GREY)
        assert not any("8 bits" in notice for notice in result.report.notices)


IMPOSSIBLE = [
    (name, format) for name in DEEP for format in ("png", "webp", "avif", "jpeg") if "rgb" in name or format != "png"
]


@pytest.mark.parametrize("name, format", [*IMPOSSIBLE, ("avif", "png")])
def test_a_conversion_that_can_not_be_lossless_is_rejected(name: str, format: Any) -> None:
    with pytest.raises(UnsupportedError, match="lossless"):
        pipeline.compress(DEEP[name], format=format, lossless=True)


@pytest.mark.parametrize("name", ["tiff-grey", "tiff-rgb", "pnm-rgb", "jp2-grey"])
def test_fewer_bits_are_reported_where_they_are_allowed(name: str) -> None:
    result = pipeline.compress(DEEP[name], format="jpeg")

    assert "more than 8 bits per sample reduced to 8" in result.report.notices


def test_twelve_bits_are_scaled_to_sixteen_without_loss() -> None:
    samples = RNG.integers(0, 1 << 12, (HEIGHT, WIDTH, 1)).astype(np.uint16)
    result = pipeline.compress(build([picture(samples, 12, photometric=1)]), format="png", lossless=True)
    found = png_samples(result.data)

    np.testing.assert_array_equal(np.rint(found * (4095 / 65535)), samples[..., 0])
    assert found.max() > 65000


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_converted_colors_are_not_lossless(mode: str) -> None:
    bands = [Image.fromarray(SMOOTH)] * len(mode)
    data = saved(Image.merge(mode, bands), "TIFF")

    with pytest.raises(UnsupportedError, match=f"^lossless: {mode}"):
        pipeline.compress(data, format="png", lossless=True)
    assert pipeline.compress(data, format="png").report.outcome in (Outcome.COMPRESSED, Outcome.LARGER)


def test_eight_bits_are_lossless() -> None:
    data = saved(Image.fromarray(SMOOTH), "TIFF")
    for format in ("png", "webp"):
        result = pipeline.compress(data, format=format, lossless=True)
        assert result.report.path is Path.PIXELS
        with Image.open(io.BytesIO(result.data)) as image:
            np.testing.assert_array_equal(np.asarray(image.convert("L")), SMOOTH)


def opened(data: bytes) -> Any:
    """Return an image of which only the file is examined."""
    return SimpleNamespace(fp=io.BytesIO(data))


def test_the_bit_depth_of_an_avif_is_found_wherever_its_configuration_is() -> None:
    data = DEEP["avif"]
    assert is_deep(opened(data), "avif")
    size = int.from_bytes(data[:4], "big")
    for padding in (65536 - data.index(b"av1C") + cut for cut in range(-4, 4)):
        padded = data[:size] + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8) + data[size:]
        assert is_deep(opened(padded), "avif")


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_lossless_webp_is_verified(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(SMOOTH).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(SMOOTH))
    data = saved(image, "TIFF")
    result = pipeline.compress(data, format="webp", lossless=True)
    with Image.open(io.BytesIO(result.data)) as shown:
        np.testing.assert_array_equal(np.asarray(shown.convert("RGBA")), np.asarray(image.convert("RGBA")))

    encode = raster.encode

    def defective(bands: Iterator[np.ndarray], *rest: Any, **options: Any) -> bytes:
        return encode((band ^ np.uint8(1) for band in bands), *rest, **options)

    monkeypatch.setattr(raster, "encode", defective)
    with pytest.raises(RuntimeError, match="did not decode"):
        pipeline.compress(data, format="webp", lossless=True)
