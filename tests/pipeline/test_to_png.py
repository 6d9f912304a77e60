"""Every route to PNG: the smallest color type and bit depth that keep the pixels, at any size."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor import pipeline, png
from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.png.header import GREY, PALETTE, RGB, RGBA
from compressor.settings import Effort, Format, Outcome, Raw, Report, Settings, Tile

RNG = np.random.default_rng(11)


def drawn(height: int = 120, width: int = 160, colors: int = 4, channels: int = 3) -> NDArray[np.uint8]:
    """Return flat rectangles of a few colors, as in a screenshot."""
    palette = RNG.integers(0, 256, (colors, channels), dtype=np.uint8)
    parts = RNG.integers(0, colors, (-(-height // 10), -(-width // 10)))
    return palette[parts.repeat(10, 0).repeat(10, 1)[:height, :width]]


def photograph(height: int = 80, width: int = 100) -> NDArray[np.uint8]:
    """Return a gradient with noise: thousands of colors."""
    slope = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    return (slope + RNG.normal(0, 5, (height, width, 3))).clip(0, 255).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8] | Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, format, **options)
    return out.getvalue()


def tiles_of(pixels: NDArray[np.uint8]) -> tuple[Raw, list[Tile]]:
    height, width, channels = pixels.shape
    raw = Raw(width=width, height=height, channels=channels, tile_width=50, tile_height=40)
    tiles = [
        Tile(x=x, y=y, pixels=pixels[y : y + 40, x : x + 50].tobytes())
        for y in range(0, height, 40)
        for x in range(0, width, 50)
    ]
    return raw, tiles


def compressed_tiles(pixels: NDArray[np.uint8], **settings: Any) -> tuple[bytes, Report]:
    raw, tiles = tiles_of(pixels)
    with pipeline.stream(tiles, Settings(**settings), raw=raw) as job:
        return b"".join(job), job.report


def header_of(data: bytes) -> png.PngHeader:
    return png.read_header(ByteStream([data]))


def form_of(data: bytes) -> tuple[int, int]:
    """Return color type and bit depth."""
    header = header_of(data)
    return header.color_type, header.bit_depth


def shown(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels as RGBA."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


SOURCES: dict[str, dict[str, Any]] = {
    "BMP": {},
    "GIF": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "PPM": {},
    "JPEG2000": {},
}


@pytest.mark.parametrize("effort", ["balanced", "best"])
@pytest.mark.parametrize("format", SOURCES)
def test_a_file_takes_as_many_bytes_as_a_png_of_its_pixels(format: str, effort: Any) -> None:
    pixels = drawn()
    expected = pipeline.compress(encoded(pixels, "PNG"), effort=effort, metadata="strip").data

    made = pipeline.compress(encoded(pixels, format, **SOURCES[format]), format="png", effort=effort, metadata="strip")

    assert form_of(made.data) == (PALETTE, 2)
    assert len(made.data) == len(expected)
    np.testing.assert_array_equal(shown(made.data), shown(encoded(pixels, "PNG")))
    assert made.report.path == "pixels"


def test_a_jpeg_takes_as_many_bytes_as_a_png_of_its_pixels() -> None:
    grey = np.arange(256, dtype=np.uint8)[None, :, None] + np.zeros((64, 1, 3), np.uint8)
    for pixels, form in ((grey, (GREY, 8)), (photograph(), (RGB, 8))):
        source = encoded(pixels, "JPEG", quality=90)
        made = pipeline.compress(source, format="png")

        assert form_of(made.data) == form
        np.testing.assert_array_equal(shown(made.data), shown(source))
        expected = pipeline.compress(encoded(Image.open(io.BytesIO(source)), "PNG"), metadata="strip").data
        assert len(pipeline.compress(source, format="png", metadata="strip").data) == len(expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_and_tiles_are_reduced_if_delivery_is_safe(channels: int) -> None:
    pixels = drawn(channels=channels)
    array = pipeline.compress(pixels, format="png", delivery="safe").data
    tiled, report = compressed_tiles(pixels, format="png", delivery="safe")

    assert form_of(array) == (PALETTE, 2) and tiled == array
    assert report.outcome is Outcome.COMPRESSED
    expected = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).convert("RGBA")
    np.testing.assert_array_equal(shown(array), np.asarray(expected))


@pytest.mark.parametrize("settings", [{"effort": "fast"}, {"delivery": "immediate"}])
def test_one_pass_does_not_reduce_pixels(settings: dict[str, Any]) -> None:
    for source in (encoded(drawn(), "BMP"), encoded(drawn(), "JPEG"), drawn()):
        assert form_of(pipeline.compress(source, format="png", **settings).data) == (RGB, 8)


def test_alpha_is_dropped_only_if_all_pixels_are_opaque() -> None:
    pixels = np.dstack([photograph(), np.full((80, 100), 255, np.uint8)])
    assert form_of(pipeline.compress(encoded(pixels, "WEBP", lossless=True), format="png").data) == (RGB, 8)
    pixels[0, 0, 3] = 254
    source = encoded(pixels, "WEBP", lossless=True, exact=True)
    assert form_of(pipeline.compress(source, format="png").data) == (RGBA, 8)


def test_a_reduced_png_keeps_metadata() -> None:
    source = encoded(drawn(), "BMP", dpi=(300, 300))
    result = pipeline.compress(source, format="png").data

    assert Image.open(io.BytesIO(result)).info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("settings", [{}, {"effort": "fast", "lossless": True}], ids=["two passes", "one pass"])
def test_a_result_with_other_pixels_is_never_delivered(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = png.write

    def write(header: png.PngHeader, bands: Iterator[png.ByteArray], **options: Any) -> Iterator[bytes]:
        last = options["effort"] is not Effort.FAST or bool(settings)  # not the compact one in the spool
        return original(header, (band ^ np.uint8(1) if last else band for band in bands), **options)

    monkeypatch.setattr("compressor.png.write", write)
    with pytest.raises(RuntimeError, match="defect of the encoder"):
        pipeline.compress(encoded(photograph(), "BMP"), format="png", **settings)


# --- BMP under keep ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"delivery": "immediate"}, {"effort": "fast"}], ids=str)
def test_a_bmp_of_few_colors_becomes_png(mode: str, settings: dict[str, Any]) -> None:
    pixels = Image.fromarray(drawn(colors=200)).convert(mode)
    source = encoded(pixels, "BMP")

    result = pipeline.compress(source, **settings)

    assert result.report.format == "png"
    np.testing.assert_array_equal(shown(result.data), np.asarray(pixels.convert("RGBA")))


def test_a_bmp_of_two_colors_keeps_one_bit_a_pixel() -> None:
    assert form_of(pipeline.compress(encoded(Image.fromarray(drawn()).convert("1"), "BMP")).data) == (GREY, 1)


def test_a_bmp_of_more_colors_becomes_jpeg_unless_lossless_is_requested() -> None:
    few, many = np.zeros((2, 20, 30, 3), np.uint8)
    few.reshape(-1, 3)[:256, 0] = np.arange(256)
    many.reshape(-1, 3)[:256, 0] = np.arange(256)
    many[-1, -1] = (1, 2, 3)  # one more, and the last pixel

    assert pipeline.compress(encoded(few, "BMP")).report.format == "png"
    assert pipeline.compress(encoded(many, "BMP")).report.format == "jpeg"
    assert pipeline.compress(encoded(few, "BMP"), format="jpeg").report.format == "jpeg"
    pixels = photograph()
    lossless = pipeline.compress(encoded(pixels, "BMP"), lossless=True)
    assert lossless.report.format == "png"
    np.testing.assert_array_equal(shown(lossless.data)[:, :, :3], pixels)


def test_a_bmp_reserves_enough_memory_for_either_format() -> None:
    source = encoded(drawn(400, 3000), "BMP")
    reserved = {
        f: pipeline.inspect([source], Settings(format=f)).reserved_bytes for f in (Format.KEEP, Format.PNG, Format.JPEG)
    }

    assert reserved[Format.KEEP] == max(reserved[Format.PNG], reserved[Format.JPEG])
    assert pipeline.compress(source).report.reserved_bytes == reserved[Format.KEEP]


def test_keep_returns_a_gif_unchanged() -> None:
    source = encoded(drawn(), "GIF")

    assert pipeline.compress(source).data == source


# --- sides beyond JPEG's limit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("height, width", [(3, 70_000), (70_000, 3)])
@pytest.mark.parametrize("settings", [{}, {"delivery": "immediate"}, {"delivery": "safe", "effort": "fast"}], ids=str)
def test_a_png_may_be_larger_than_a_jpeg(height: int, width: int, settings: dict[str, Any]) -> None:
    pixels = drawn(height, width, colors=300)
    for source in (encoded(pixels, "PNG"), encoded(pixels, "TIFF"), encoded(pixels, "BMP"), pixels):
        result = pipeline.compress(source, format="png", **settings).data
        np.testing.assert_array_equal(shown(result)[:, :, :3], pixels)
    tiled, _ = compressed_tiles(pixels, format="png", **settings)
    np.testing.assert_array_equal(shown(tiled)[:, :, :3], pixels)
    with pytest.raises(LimitError, match="JPEG has at most 65535"):
        pipeline.compress(pixels, format="jpeg")


def test_a_bmp_that_is_too_large_for_jpeg_becomes_png() -> None:
    result = pipeline.compress(encoded(photograph(2, 66_000), "BMP"))

    assert (result.report.outcome, result.report.format) == ("compressed", "png")
