"""PNG results with few colors: `png_colors`, its floor, and what is never lost."""

import io
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

import compressor
from compressor import pipeline
from compressor.errors import LimitError, SettingsError
from compressor.settings import PALETTE_SCORE_MIN, Format, Outcome, Path, Raw, Settings, Tile
from tests.reference.pngfilter import chunk, png

EFFORTS = ["fast", "balanced", "best"]


def drawing(height: int = 220, width: int = 330, alpha: bool = False) -> NDArray[np.uint8]:
    """Return a drawing with a gradient with grain, discs with smooth edges, and a flat ground: thousands of colors."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    image = np.empty((height, width, 4 if alpha else 3))
    image[...] = 250
    image[: height // 3, :, 0] = 40 + 150 * x[: height // 3] / width
    image[: height // 3, :, 1] = 90 + 100 * y[: height // 3] / height
    image[: height // 3, :, 2] = 200
    image[: height // 3, :, :3] += np.random.default_rng(1).normal(0, 3, (height // 3, width, 3))
    for number in range(12):
        edge = np.hypot(x - 20 - 26 * number, y - height * 2 / 3) - 10
        share = np.clip(0.5 - edge, 0, 1)[..., None]
        color = np.array([(number * 90) % 256, (number * 50 + 30) % 256, (number * 130) % 256, 255])
        image = image * (1 - share) + share * color[: image.shape[2]]
    if alpha:
        image[..., 3] = np.clip(500 - 3 * np.hypot(x - width / 2, y - height / 2), 0, 255)
    drawn: NDArray[np.uint8] = np.rint(image).clip(0, 255).astype(np.uint8)
    return drawn


def noise(colors: int, side: int = 90) -> NDArray[np.uint8]:
    """Return so many random colors in random places."""
    rng = np.random.default_rng(colors)
    palette = rng.integers(0, 256, (colors, 3), dtype=np.uint8)
    found: NDArray[np.uint8] = palette[rng.permutation(np.arange(side * side) % colors).reshape(side, side)]
    return found


def encoded(pixels: NDArray[Any], **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **options)
    return out.getvalue()


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def colors_in(data: bytes) -> int:
    return len(np.unique(decoded(data).reshape(-1, 4), axis=0))


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("count", [64, 256])
def test_a_png_gets_at_most_so_many_colors_and_says_so(effort: Any, alpha: bool, count: int) -> None:
    source = encoded(drawing(alpha=alpha))

    result = pipeline.compress(source, png_colors=count, effort=effort)

    report = result.report
    assert report.outcome is Outcome.COMPRESSED
    assert report.path is Path.PIXELS
    assert 2 < colors_in(result.data) <= count
    assert report.notices == (f"reduced to at most {count} colors",)
    assert report.score is not None
    assert PALETTE_SCORE_MIN <= report.score < 100
    assert len(result.data) < len(pipeline.compress(source, effort=effort).data)
    assert report.encodings == 1


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("alpha", [False, True])
def test_a_second_run_changes_nothing(effort: Any, alpha: bool) -> None:
    for count in (20, 256):
        once = pipeline.compress(encoded(drawing(alpha=alpha)), png_colors=count, effort=effort, target_score=20).data
        again = pipeline.compress(once, png_colors=count, effort=effort, target_score=20)

        assert again.data == once
        assert again.report.outcome is Outcome.UNCHANGED


@pytest.mark.parametrize("effort", EFFORTS)
def test_few_colors_stay_lossless(effort: Any) -> None:
    pixels = noise(40)

    result = pipeline.compress(encoded(pixels, compress_level=0), png_colors=40, effort=effort)

    np.testing.assert_array_equal(decoded(result.data)[..., :3], pixels)
    assert result.report.path is Path.LOSSLESS
    assert result.report.score is None


def test_the_lossless_result_is_given_below_the_target_score_and_says_so() -> None:
    source = encoded(drawing())
    found = pipeline.compress(source, png_colors=32).report.score
    assert found is not None

    reached = pipeline.compress(source, png_colors=32, target_score=found - 0.1)
    missed = pipeline.compress(source, png_colors=32, target_score=found + 0.1)

    assert reached.report.score == found
    assert reached.report.path is Path.PIXELS
    assert missed.report.path is Path.LOSSLESS
    assert missed.report.score == 100
    assert missed.report.encodings == 2
    said = f"32 colors have a score of {int(found)}, less than {found + 0.1:g}: the result is lossless"
    assert missed.report.notices[0] == said
    np.testing.assert_array_equal(decoded(missed.data), decoded(source))


def test_without_a_target_the_floor_is_the_documented_score() -> None:
    source = encoded(noise(5000))

    result = pipeline.compress(source, png_colors=2)

    assert result.report.path in (Path.LOSSLESS, Path.NONE)
    np.testing.assert_array_equal(decoded(result.data), decoded(source))
    assert pipeline.compress(source, png_colors=2, target_score=0, score=True).report.notices


def test_a_lossless_result_that_is_no_larger_is_given() -> None:
    ramp = np.repeat(np.arange(0, 255, dtype=np.uint8)[None], 300, 0)
    pixels = np.dstack([ramp, ramp, ramp])  # filtered by Sub, it takes fewer bytes than 200 colors

    result = pipeline.compress(encoded(pixels, compress_level=0), png_colors=200, target_score=10)

    np.testing.assert_array_equal(decoded(result.data)[..., :3], pixels)
    assert result.report.notices[0] == "200 colors take no fewer bytes: the result is lossless"
    assert result.report.encodings == 2
    assert result.report.score == 100


def test_16_bits_become_8_and_the_report_says_so() -> None:
    deep = (drawing()[..., 1].astype(np.uint16) * 257) ^ np.arange(330, dtype=np.uint16)
    source = encoded(deep)

    result = pipeline.compress(source, png_colors=64)

    assert "16-bit samples reduced to 8" in result.report.notices
    assert Image.open(io.BytesIO(result.data)).mode in ("P", "L")
    assert result.report.score is not None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_raw_tiles_get_few_colors(channels: int) -> None:
    pixels = drawing(alpha=True)[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    height, width = pixels.shape[:2]
    raw = Raw(width=width, height=height, channels=channels, tile_width=64, tile_height=32)

    def tiles() -> Iterator[Tile]:
        for y in range(0, height, 32):
            for x in range(0, width, 64):
                yield Tile(x, y, pixels[y : y + 32, x : x + 64].tobytes())

    with pipeline.stream(tiles(), Settings(format=Format.PNG, png_colors=50), raw=raw) as job:
        data = b"".join(job)

    assert colors_in(data) <= 50
    assert job.report.score is not None
    assert job.report.notices[-1].startswith("reduced to")
    assert data == pipeline.compress(pixels, format="png", png_colors=50).data


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_other_formats_that_become_png_get_few_colors(kind: str) -> None:
    out = io.BytesIO()
    Image.fromarray(drawing()).save(out, kind)

    result = pipeline.compress(out.getvalue(), format="png", png_colors=24, target_score=20)

    assert colors_in(result.data) <= 24
    assert result.report.score is not None
    assert any(notice.startswith("reduced to") for notice in result.report.notices)


def test_only_png_results_are_affected() -> None:
    pixels = drawing()

    assert pipeline.compress(pixels, png_colors=16).data == pipeline.compress(pixels, delivery="safe").data
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG")
    assert pipeline.compress(jpeg.getvalue(), png_colors=16).data == pipeline.compress(jpeg.getvalue()).data


def test_fully_transparent_pixels_share_one_entry() -> None:
    pixels = drawing(alpha=True)
    hidden = pixels.copy()
    hidden[hidden[..., 3] == 0, :3] = np.random.default_rng(1).integers(0, 256, (int((hidden[..., 3] == 0).sum()), 3))
    assert (hidden[..., 3] == 0).sum() > 1000

    data = pipeline.compress(encoded(hidden), png_colors=32, target_score=10).data

    found = decoded(data)
    assert ((found[..., 3] == 0) == (pixels[..., 3] == 0)).mean() > 0.97
    assert not found[pixels[..., 3] == 0].any()


def test_opaque_pictures_stay_opaque() -> None:
    opaque = np.dstack([drawing(), np.full((220, 330), 255, np.uint8)])

    data = pipeline.compress(encoded(opaque), png_colors=32).data

    assert "transparency" not in Image.open(io.BytesIO(data)).info
    assert data == pipeline.compress(encoded(drawing()), png_colors=32).data


def test_metadata_is_kept_by_the_policy_and_so_are_bytes_after_the_image() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a drawing")
    source = encoded(drawing(), pnginfo=texts, dpi=(72, 72)) + b"after the image"

    kept = pipeline.compress(source, png_colors=32)
    stripped = pipeline.compress(source, png_colors=32, metadata="strip")

    assert Image.open(io.BytesIO(kept.data)).info["Title"] == "a drawing"
    assert kept.data.endswith(b"after the image")
    assert "Title" not in Image.open(io.BytesIO(stripped.data)).info
    assert stripped.data.endswith(b"IEND\xaeB`\x82")
    assert pipeline.compress(kept.data, png_colors=32).data == kept.data


def with_chunk(source: bytes, kind: bytes, data: bytes) -> bytes:
    """Return a PNG with another chunk after IHDR."""
    return source[:33] + chunk(kind, data) + source[33:]


def test_a_background_is_one_of_the_colors() -> None:
    source = with_chunk(encoded(drawing()), b"bKGD", bytes([0, 1, 0, 2, 0, 3]))

    data = pipeline.compress(source, png_colors=32).data

    image = Image.open(io.BytesIO(data))
    at = data.index(b"bKGD")
    palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
    assert palette[data[at + 4]].tolist() == [1, 2, 3]
    assert len(palette) <= 32
    assert pipeline.compress(data, png_colors=32).data == data


def test_a_chunk_that_fits_no_palette_leaves_the_picture_lossless() -> None:
    source = with_chunk(encoded(drawing()), b"quAL", b"depends on the image data")  # unsafe to copy, unknown

    result = pipeline.compress(source, png_colors=32)

    assert result.report.notices == ("png_colors has no effect: quAL can't be carried over to a palette",)
    np.testing.assert_array_equal(decoded(result.data), decoded(source))


def test_palettes_get_fewer_colors() -> None:
    pixels = Image.fromarray(drawing()).quantize(200)
    rows = np.asarray(pixels)
    plte = bytes(pixels.getpalette("RGB") or ())[:600]
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    source = png(330, 220, 8, 3, data, before=[(b"PLTE", plte)])

    result = pipeline.compress(source, png_colors=20, target_score=10)

    assert colors_in(result.data) <= 20


def test_max_bytes_is_still_a_limit() -> None:
    source = encoded(drawing())
    size = len(pipeline.compress(source, png_colors=32).data)

    assert len(pipeline.compress(source, png_colors=32, max_bytes=size).data) == size
    with pytest.raises(LimitError, match="has few colors"):
        pipeline.compress(source, png_colors=32, max_bytes=size - 1)


def test_the_chunking_of_the_input_does_not_matter() -> None:
    source = encoded(drawing(300, 400))

    with pipeline.stream((source[at : at + 97] for at in range(0, len(source), 97)), Settings(png_colors=64)) as job:
        pieces = b"".join(job)

    assert pieces == pipeline.compress(source, png_colors=64).data


@pytest.mark.parametrize("value", [1, 257, True, 16.0, "16"])
def test_only_2_to_256_colors_are_accepted(value: Any) -> None:
    with pytest.raises(SettingsError, match="png_colors"):
        Settings(png_colors=value)


def test_lossless_contradicts_png_colors() -> None:
    with pytest.raises(SettingsError, match="png_colors: contradicts lossless"):
        compressor.compress(drawing(), png_colors=16, lossless=True)
