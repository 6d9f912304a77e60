"""Every way to PNG: the smallest form of what comes as pixels, shown the same, of any size."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import pipeline, png
from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.png.header import GREY, PALETTE, RGB, RGBA
from compressor.settings import Effort, Outcome, Raw, Settings, Tile

RNG = np.random.default_rng(11)


def drawn(height=120, width=160, colors=4, channels=3):
    """Return flat rectangles of a few colours, as a screenshot has them."""
    palette = RNG.integers(0, 256, (colors, channels), dtype=np.uint8)
    parts = RNG.integers(0, colors, (-(-height // 10), -(-width // 10)))
    return palette[parts.repeat(10, 0).repeat(10, 1)[:height, :width]]


def photograph(height=80, width=100):
    """Return a slope with noise: thousands of colours."""
    slope = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    return (slope + RNG.normal(0, 5, (height, width, 3))).clip(0, 255).astype(np.uint8)


def encoded(pixels, format, **options):
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, format, **options)
    return out.getvalue()


def tiles_of(pixels):
    height, width, channels = pixels.shape
    raw = Raw(width=width, height=height, channels=channels, tile_width=50, tile_height=40)
    tiles = [
        Tile(x=x, y=y, pixels=pixels[y : y + 40, x : x + 50].tobytes())
        for y in range(0, height, 40)
        for x in range(0, width, 50)
    ]
    return raw, tiles


def compressed_tiles(pixels, **settings):
    raw, tiles = tiles_of(pixels)
    with pipeline.stream(tiles, Settings(**settings), raw=raw) as job:
        return b"".join(job), job.report


def header_of(data):
    return png.read_header(ByteStream([data]))


def form_of(data):
    header = header_of(data)
    return header.color_type, header.bit_depth


def shown(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


SOURCES = {
    "BMP": {},
    "GIF": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "PPM": {},
    "JPEG2000": {},
}


@pytest.mark.parametrize("effort", ["balanced", "best"])
@pytest.mark.parametrize("format", SOURCES)
def test_a_file_takes_the_same_bytes_as_its_pixels_in_a_png_would(format: Any, effort: str) -> None:
    pixels = drawn()
    expected = pipeline.compress(encoded(pixels, "PNG"), effort=effort, metadata="strip").data

    made = pipeline.compress(encoded(pixels, format, **SOURCES[format]), format="png", effort=effort, metadata="strip")

    assert form_of(made.data) == (PALETTE, 2)
    assert len(made.data) == len(expected)
    np.testing.assert_array_equal(shown(made.data), shown(encoded(pixels, "PNG")))
    assert made.report.path == "pixels"


def test_a_jpeg_takes_the_same_bytes_as_its_pixels_in_a_png_would() -> None:
    grey = np.arange(256, dtype=np.uint8)[None, :, None] + np.zeros((64, 1, 3), np.uint8)
    for pixels, form in ((grey, (GREY, 8)), (photograph(), (RGB, 8))):
        source = encoded(pixels, "JPEG", quality=90)
        made = pipeline.compress(source, format="png")

        assert form_of(made.data) == form
        np.testing.assert_array_equal(shown(made.data), shown(source))
        expected = pipeline.compress(encoded(Image.open(io.BytesIO(source)), "PNG"), metadata="strip").data
        assert len(pipeline.compress(source, format="png", metadata="strip").data) == len(expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_and_tiles_take_the_smallest_form_where_delivery_is_safe(channels: int) -> None:
    pixels = drawn(channels=channels)
    array = pipeline.compress(pixels, format="png", delivery="safe").data
    tiled, report = compressed_tiles(pixels, format="png", delivery="safe")

    assert form_of(array) == (PALETTE, 2) and tiled == array
    assert report.outcome is Outcome.COMPRESSED
    expected = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).convert("RGBA")
    np.testing.assert_array_equal(shown(array), np.asarray(expected))


@pytest.mark.parametrize("settings", [{"effort": "fast"}, {"delivery": "immediate"}])
def test_one_pass_keeps_the_form_of_the_pixels(settings: Any) -> None:
    for source in (encoded(drawn(), "BMP"), encoded(drawn(), "JPEG"), drawn()):
        assert form_of(pipeline.compress(source, format="png", **settings).data) == (RGB, 8)


def test_only_full_alpha_is_left_out() -> None:
    pixels = np.dstack([photograph(), np.full((80, 100), 255, np.uint8)])
    assert form_of(pipeline.compress(encoded(pixels, "WEBP", lossless=True), format="png").data) == (RGB, 8)
    pixels[0, 0, 3] = 254
    source = encoded(pixels, "WEBP", lossless=True, exact=True)
    assert form_of(pipeline.compress(source, format="png").data) == (RGBA, 8)


def test_metadata_stand_in_the_smallest_form_too() -> None:
    source = encoded(drawn(), "BMP", dpi=(300, 300))
    result = pipeline.compress(source, format="png").data

    assert Image.open(io.BytesIO(result)).info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("settings", [{}, {"effort": "fast", "lossless": True}], ids=["two passes", "one pass"])
def test_a_result_that_does_not_show_the_pixels_is_never_given_out(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = png.write

    def write(header, bands, **options):
        last = options["effort"] is not Effort.FAST or bool(settings)  # not the one that waits in the spool
        return original(header, (band ^ np.uint8(1) if last else band for band in bands), **options)

    monkeypatch.setattr("compressor.png.write", write)
    with pytest.raises(RuntimeError, match="defect of the encoder"):
        pipeline.compress(encoded(photograph(), "BMP"), format="png", **settings)


# --- BMP under keep ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"delivery": "immediate"}, {"effort": "fast"}], ids=str)
def test_a_bmp_of_few_colours_becomes_png(mode: str, settings: Any) -> None:
    pixels = Image.fromarray(drawn(colors=200)).convert(mode)
    source = encoded(pixels, "BMP")

    result = pipeline.compress(source, **settings)

    assert result.report.format == "png"
    np.testing.assert_array_equal(shown(result.data), np.asarray(pixels.convert("RGBA")))


def test_a_bmp_of_two_colours_keeps_its_one_bit() -> None:
    assert form_of(pipeline.compress(encoded(Image.fromarray(drawn()).convert("1"), "BMP")).data) == (GREY, 1)


def test_a_bmp_of_more_colours_becomes_jpeg_unless_lossless_is_asked_for() -> None:
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


def test_a_bmp_reserves_enough_for_either_format() -> None:
    source = encoded(drawn(400, 3000), "BMP")
    reserved = {f: pipeline.inspect([source], Settings(format=f)).reserved_bytes for f in ("keep", "png", "jpeg")}

    assert reserved["keep"] == max(reserved["png"], reserved["jpeg"])
    assert pipeline.compress(source).report.reserved_bytes == reserved["keep"]


def test_a_gif_comes_back_under_keep() -> None:
    source = encoded(drawn(), "GIF")

    assert pipeline.compress(source).data == source


# --- sides beyond JPEG's limit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("height, width", [(3, 70_000), (70_000, 3)])
@pytest.mark.parametrize("settings", [{}, {"delivery": "immediate"}, {"delivery": "safe", "effort": "fast"}], ids=str)
def test_a_png_has_longer_sides_than_a_jpeg(height: int, width: int, settings: Any) -> None:
    pixels = drawn(height, width, colors=300)
    for source in (encoded(pixels, "PNG"), encoded(pixels, "TIFF"), encoded(pixels, "BMP"), pixels):
        result = pipeline.compress(source, format="png", **settings).data
        np.testing.assert_array_equal(shown(result)[:, :, :3], pixels)
    tiled, _ = compressed_tiles(pixels, format="png", **settings)
    np.testing.assert_array_equal(shown(tiled)[:, :, :3], pixels)
    with pytest.raises(LimitError, match="JPEG has at most 65535"):
        pipeline.compress(pixels, format="jpeg")


def test_a_bmp_that_is_too_long_for_jpeg_becomes_png() -> None:
    result = pipeline.compress(encoded(photograph(2, 66_000), "BMP"))

    assert (result.report.outcome, result.report.format) == ("compressed", "png")
