"""The format `auto`: which formats are possible, which one is chosen, and what is promised of it."""

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import compress, pipeline
from compressor.errors import LimitError, SettingsError, UnsupportedError
from compressor.memory import Resources
from compressor.metadata import orientation
from compressor.pipeline import full_chroma, target
from compressor.pipeline.features import RepeatedShare, is_drawing
from compressor.raster import reader
from compressor.settings import Format, Report, Settings
from compressor.sniff import sniff
from tests.pipeline.test_fallback_to_444 import sampling, silk, stripes
from tests.pipeline.test_scores import file_of, picture, tiles_of

WANTED = target.score_of_quality(80)


def photograph(width: int = 160, height: int = 120) -> Image.Image:
    return picture(width, height)


def drawing(mode: str = "RGB") -> Image.Image:
    """Return rectangles of a few colors."""
    y, x = np.mgrid[:96, :128]
    pixels = np.stack([(x // 32 % 2) * 200, (y // 24 % 2) * 180, ((x + y) // 60 % 2) * 90], 2).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


PHOTOGRAPH, DRAWING = file_of(photograph(), "PNG"), file_of(drawing(), "PNG")
CAMERA = file_of(photograph(), "JPEG", quality=95)


def auto(source: Any, **settings: Any) -> Report:
    result = compress(source, format="auto", **settings)
    assert sniff(result.data) == result.report.format
    return result.report


def test_a_photograph_becomes_avif_with_the_score_of_the_quality() -> None:
    report = auto(PHOTOGRAPH)

    assert report.format == "avif" and report.outcome == "compressed"
    assert report.score is not None and abs(report.score - WANTED) < 3
    assert report.encodings <= 2
    assert report.format_reason.startswith("looks like a photograph (")
    assert f"AVIF has {report.bytes_out} bytes at a score of {report.score:.1f}" in report.format_reason


@pytest.mark.parametrize("accept, formats", [("webp", {"webp"}), ("jpeg,webp", {"jpeg", "webp"}), ("png", {"png"})])
def test_only_an_accepted_format_is_chosen(accept: str, formats: set[Any]) -> None:
    source = file_of(photograph(), "BMP")
    report = auto(source, accept=accept)

    assert report.format in formats
    sizes = {}
    for format in formats:
        made = compress(source, format=format, score=True).report
        assert made.score is not None
        sizes[format] = made.bytes_out * np.exp(0.05 * (WANTED - made.score))
    assert report.format == min(sizes, key=lambda format: sizes[format])


def test_a_drawing_is_encoded_losslessly_and_lossily_and_the_smaller_one_wins() -> None:
    report = auto(DRAWING)
    others = [compress(DRAWING, format="webp", lossless=True), compress(DRAWING, format="avif")]

    assert report.bytes_out <= min(len(other.data) for other in others)
    assert "looks like a drawing" in report.format_reason and "lossless WebP has" in report.format_reason


def test_without_a_score_fast_compares_the_bytes() -> None:
    report = auto(DRAWING, effort="fast")

    assert report.score is None or report.score == 100
    assert report.encodings == 2
    assert auto(PHOTOGRAPH, effort="fast").encodings == 1


@pytest.mark.parametrize("source", [PHOTOGRAPH, DRAWING], ids=["photograph", "drawing"])
@pytest.mark.parametrize("accept", [None, "jpeg,webp", "jpeg,png"])
def test_a_target_score_is_reached(source: bytes, accept: str | None) -> None:
    report = auto(source, target_score=70, accept=accept)

    assert report.score is not None and report.score >= 70
    assert report.bytes_out <= report.bytes_in


def test_a_target_that_no_lossy_result_has_becomes_lossless() -> None:
    report = auto(file_of(photograph(), "BMP"), target_score=100)

    assert report.score == 100 and report.format in ("png", "webp")
    with pytest.raises(LimitError, match="target_score: no result has a score of 100"):
        auto(file_of(photograph(), "BMP"), target_score=100, accept="avif")


@pytest.mark.parametrize("source", [PHOTOGRAPH, DRAWING], ids=["photograph", "drawing"])
@pytest.mark.parametrize("more", [{}, {"quality": 95}, {"target_score": 90}])
def test_a_maximum_size_is_kept(source: bytes, more: dict[str, Any]) -> None:
    smallest = auto(source, quality=50).bytes_out
    report = auto(source, max_bytes=smallest + 100, **more)

    assert report.bytes_out <= smallest + 100
    with pytest.raises(LimitError, match="^max_bytes"):
        auto(source, max_bytes=50, **more)


def test_lossless_is_kept_by_png_or_webp_and_a_jpeg_stays_one() -> None:
    for source in (PHOTOGRAPH, DRAWING):
        result = compress(source, format="auto", lossless=True)
        assert result.report.format in ("png", "webp")
        with Image.open(io.BytesIO(source)) as one, Image.open(io.BytesIO(result.data)) as other:
            assert one.convert("RGB").tobytes() == other.convert("RGB").tobytes()
    report = auto(file_of(photograph(), "JPEG", quality=95), lossless=True)
    assert report.format == "jpeg" and "AVIF (would not keep its coefficients)" in report.format_reason


def test_alpha_is_no_jpeg_without_a_background() -> None:
    image = photograph().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    source = file_of(image, "PNG")

    without = auto(source, accept="jpeg,png")
    assert without.format == "png" and "JPEG (has no alpha, and no background is given)" in without.format_reason
    assert auto(source, accept="jpeg,png", background=(255, 255, 255)).format == "jpeg"
    assert auto(source).format in ("avif", "webp")
    with pytest.raises(UnsupportedError, match="auto: no accepted format is possible: JPEG"):
        auto(source, accept="jpeg")


def test_sixteen_bits_stay_a_png() -> None:
    deep = Image.fromarray((np.arange(64 * 48).reshape(48, 64) * 20).astype(np.uint16))
    report = auto(file_of(deep, "PNG"))

    assert report.format == "png"
    assert "AVIF (more than 8 bits per sample)" in report.format_reason
    assert auto(file_of(deep, "TIFF"), accept="png").format == "png"


@pytest.mark.parametrize("kind, options", [("PNG", {"save_all": True}), ("WEBP", {"save_all": True}), ("GIF", {})])
def test_animations_are_returned_unless_their_format_is_not_accepted(kind: str, options: dict[str, Any]) -> None:
    frames = [drawing(), drawing().rotate(90), drawing().rotate(180)]
    source = file_of(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    result = compress(source, format="auto")

    assert result.data == source and result.report.outcome == "unchanged"
    with pytest.raises(UnsupportedError, match="can't be converted"):
        compress(source, format="auto", accept="jpeg")


def test_a_cmyk_jpeg_stays_one() -> None:
    report = auto(file_of(photograph().convert("CMYK"), "JPEG", quality=95))

    assert report.format == "jpeg"
    assert re.search("AVIF \\([a-z ]*cmyk is not kept\\)", report.format_reason)


def test_what_memory_does_not_allow_is_no_candidate() -> None:
    source = file_of(photograph(600, 500), "PNG")
    resources = Resources(memory_budget=12 << 20)
    with pipeline.stream([source], Settings(format=Format.AUTO), resources=resources) as job:
        data = b"".join(job)
        report = job.report

    assert sniff(data) == report.format == "jpeg"
    assert "AVIF (needs" in report.format_reason and "WebP (needs" in report.format_reason
    assert report.reserved_bytes <= 12 << 20


def test_an_image_that_is_too_long_for_webp_becomes_another_format() -> None:
    pixels = np.random.default_rng(1).integers(0, 9, (2, 16400, 3), dtype=np.uint8)
    report = auto(pixels, effort="fast", accept="webp,png")

    assert report.format == "png"
    assert "WebP (WebP: 16400 x 2 pixels, at most 16383 per side)" in report.format_reason


@pytest.mark.parametrize(
    "source", [PHOTOGRAPH, DRAWING, file_of(photograph(), "JPEG", quality=95)], ids=["p", "d", "j"]
)
@pytest.mark.parametrize("settings", [{}, {"effort": "fast"}, {"accept": "jpeg,webp"}, {"target_score": 75}], ids=str)
def test_a_second_run_changes_nothing(source: bytes, settings: dict[str, Any]) -> None:
    once = compress(source, format="auto", **settings)
    twice = compress(once.data, format="auto", **settings)

    assert twice.data == once.data and twice.report.outcome == "unchanged"


def test_results_do_not_depend_on_the_chunks() -> None:
    settings = Settings(format=Format.AUTO)
    made = set()
    for step in (len(DRAWING), 97):
        with pipeline.stream([DRAWING[at : at + step] for at in range(0, len(DRAWING), step)], settings) as job:
            made.add(b"".join(job))
    assert len(made) == 1


def test_nothing_gets_larger_and_min_saving_counts() -> None:
    once = compress(DRAWING, format="auto").data

    assert auto(once, accept="jpeg,png,webp,avif").outcome == "unchanged"
    report = auto(PHOTOGRAPH, min_saving=0.99)
    assert report.outcome == "unchanged" and "less than min_saving" in report.reason
    larger = compress(file_of(drawing(), "PNG"), format="auto", accept="jpeg").report
    assert larger.format == "jpeg"


def test_raw_tiles_and_arrays_are_taken() -> None:
    pixels = np.asarray(photograph())
    raw, tiles = tiles_of(pixels)
    with pipeline.stream(tiles, Settings(format=Format.AUTO), raw=raw) as job:
        data = b"".join(job)

    assert data == compress(pixels, format="auto").data
    assert sniff(data) == "avif"


@pytest.mark.parametrize("policy", ["keep", "color", "strip"])
@pytest.mark.parametrize("accept", ["avif", "webp", "png", "jpeg"])
def test_metadata_policies_hold_for_what_is_written(policy: Any, accept: str) -> None:
    from PIL import ImageCms

    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "a secret text"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = file_of(photograph(), "JPEG", quality=97, exif=exif, icc_profile=profile)
    data = compress(source, format="auto", accept=accept, metadata=policy).data
    opened = reader.open(io.BytesIO(data))

    assert sniff(data) == accept
    assert orientation(opened.metadata.exif) == 6
    assert (b"a secret text" in data) == (policy == "keep")
    assert (opened.metadata.icc is not None) == (policy != "strip")


def test_a_jpeg_made_here_stays_one_unless_it_is_not_accepted() -> None:
    once = compress(photograph(), quality=60, format="jpeg").data

    assert auto(once).format == auto(once, quality=30).format == "jpeg"
    assert auto(once, target_score=70).reason == "made by compressor before"
    assert auto(once, accept="avif").format == "avif"


def test_the_source_is_returned_only_in_an_accepted_format() -> None:
    webp = file_of(drawing(), "WEBP", lossless=True)

    assert (
        auto(webp).outcome == "unchanged"
        and auto(webp).reason == "another lossy encoding would lose quality a second time"
    )
    assert auto(webp, accept="png").format == "png"
    assert auto(b"\xff\x0a" + bytes(100)).outcome == "unchanged"  # JPEG XL
    with pytest.raises(UnsupportedError):
        compress(b"\xff\x0a" + bytes(100), format="auto", accept="png")
    with pytest.raises(SettingsError):
        compress(webp, format="png", accept="png")


@pytest.mark.parametrize("lines", [1, 3, 4, 7, 48])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_repeated_share_does_not_depend_on_the_bands(lines: int, channels: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 2, (48, 31, channels), dtype=np.uint8)
    share = RepeatedShare(31, channels)
    for top in range(0, 48, lines):
        share.add(pixels[top : top + lines].reshape(-1, 31 * channels))
    expected = np.mean([[(line[i] == line[i - 1]).all() for i in range(1, 31)] for line in pixels[::4]])

    assert share.value == pytest.approx(expected)


def test_drawings_are_told_from_photographs() -> None:
    shares = []
    for image in (photograph(), drawing()):
        share = RepeatedShare(image.width, 3)
        share.add(np.asarray(image).reshape(image.height, -1))
        shares.append(share.value)

    assert [is_drawing(share) for share in shares] == [False, True]
    assert RepeatedShare(1, 3).value == 0.0


def shaded_drawing() -> bytes:
    """Return a PNG of rectangles, some of which are noise: more than 256 colors, and most pixels repeat."""
    pixels = np.asarray(drawing()).copy()
    pixels[:24, :64] = np.random.default_rng(3).integers(60, 200, (24, 64, 3))
    return file_of(Image.fromarray(pixels), "PNG")


def test_a_palette_is_tried_only_with_png_colors_and_counts_by_its_score() -> None:
    source = shaded_drawing()
    few = auto(source, accept="png", png_colors=64, target_score=60)
    assert few.format == "png" and few.path == "pixels" and few.score is not None and 60 <= few.score < 100

    among_all = auto(source, png_colors=64, target_score=60)
    assert among_all.bytes_out <= few.bytes_out and among_all.score is not None and among_all.score >= 60
    assert f"PNG has {few.bytes_out} bytes at a score of {few.score:.1f}" in among_all.format_reason
    assert "PNG has" not in auto(source, accept="webp,avif", target_score=60).format_reason
    assert auto(source, accept="png").path == "lossless"


@pytest.mark.parametrize("settings", [{"quality": 80}, {"quality": 90}, {"target_score": 80}], ids=str)
def test_where_4_2_0_falls_short_avif_gets_4_4_4(settings: dict[str, Any]) -> None:
    result = compress(silk(), format="auto", **settings)
    report = result.report
    wanted = settings.get("target_score") or target.score_of_quality(settings["quality"])

    assert report.format == "avif" and sampling(result.data) == "4:4:4"
    assert report.score is not None and not full_chroma.is_short(report.score, wanted)
    assert report.score >= settings.get("target_score", 0)
    assert report.notices[0].startswith("subsampling is 4:4:4: with 4:2:0 the best of ")
    assert f"AVIF with 4:4:4 has {report.bytes_out} bytes at a score of {report.score:.1f}" in report.format_reason
    assert report.encodings <= 5


@pytest.mark.parametrize("settings", [{"quality": 90}, {"target_score": 84}], ids=str)
def test_jpeg_gets_a_trial_where_the_other_formats_fall_short(settings: dict[str, Any]) -> None:
    report = auto(silk(), subsampling="420", **settings)

    assert report.format == "jpeg" and report.score is not None and report.score >= 84
    assert "AVIF has" in report.format_reason
    others = {format: compress(silk(), format=format, quality=90, subsampling="420") for format in ("avif", "webp")}
    assert all(other.report.score is not None and other.report.score < 80 for other in others.values())


@pytest.mark.parametrize("accept, format", [("webp", "webp"), ("jpeg,png", "png"), ("jpeg,webp", "webp")])
def test_where_every_lossy_format_is_far_from_the_score_a_lossless_result_is_delivered(
    accept: str, format: str
) -> None:
    report = auto(stripes(), accept=accept)

    assert (report.format, report.score) == (format, 100)
    assert re.search("(JPEG|WebP) has [0-9]+ bytes at a score of -[0-9]", report.format_reason)
    finest = auto(stripes(), accept="jpeg")
    assert finest.format == "jpeg" and finest.score is not None and finest.score < 0


def test_a_jpeg_gets_4_4_4_for_a_target_score_only() -> None:
    result = compress(stripes(), format="auto", accept="jpeg", target_score=75)
    assert sampling(result.data) == "4:4:4" and result.report.score is not None and result.report.score >= 75

    source = file_of(Image.fromarray(stripes()), "JPEG", quality=98, subsampling=2)
    kept = compress(source, format="auto", accept="jpeg", target_score=60)
    assert sampling(kept.data) == "4:2:0"


def test_a_maximum_size_is_kept_by_4_4_4_too() -> None:
    free = auto(silk(), quality=90).bytes_out
    result = compress(silk(), format="auto", quality=90, max_bytes=free * 3 // 4)

    assert result.report.bytes_out <= free * 3 // 4 and sampling(result.data) == "4:4:4"
    assert result.report.score is not None and result.report.score > 74  # that of 4:2:0 at three times the bytes


def test_a_target_score_that_no_jpeg_has_with_either_subsampling() -> None:
    dark = np.random.default_rng(5).integers(0, 6, (33, 33, 3)).astype(np.uint8)
    source = file_of(Image.fromarray(dark), "PNG")
    with pytest.raises(LimitError, match="no result has a score of 90"):
        auto(source, accept="jpeg", target_score=90)

    assert auto(source, accept="jpeg,png", target_score=90).format == "png"
