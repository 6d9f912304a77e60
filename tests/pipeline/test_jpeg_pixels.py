"""JPEG to PNG, WebP and AVIF: the pixels of libjpeg, metadata carried over, nothing lost without a notice."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor import pipeline
from compressor.errors import FormatError, UnsupportedError
from compressor.jpeg.attachments import attachments_of, segments_for
from compressor.jpeg.frame import Segment
from compressor.metadata import Attachments, orientation_exif
from compressor.settings import Metadata
from tests.jpeg.test_mpf import file_of
from tests.jpeg.test_scans_memory import measured
from tests.jpeg_files import jpeg, photo
from tests.reference import huffman as reference

ICC = b"\0" * 16 + b"RGB " + bytes(range(256)) * 400  # two segments


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L"}, {"keep_rgb": True}], ids=str)
@pytest.mark.parametrize("delivery", ["safe", "immediate"])
def test_a_png_has_the_pixels_that_libjpeg_decodes(options: dict[str, Any], delivery: Any) -> None:
    data = jpeg(203, 141, **options)
    result = pipeline.compress(data, format="png", delivery=delivery)

    np.testing.assert_array_equal(pixels_of(result.data), pixels_of(data))
    assert result.report.path == "pixels" and not result.report.notices
    assert result.report.stage_seconds["decode"] > 0


@pytest.mark.parametrize("format", ["webp", "avif"])
def test_webp_and_avif_are_made_from_the_same_pixels(format: Any) -> None:
    data = jpeg(120, 90)
    lossless = format == "webp"
    result = pipeline.compress(data, format=format, lossless=lossless, quality=95)
    difference = pixels_of(result.data).astype(int) - pixels_of(data)

    assert np.abs(difference).mean() < (1e-9 if lossless else 8)


def test_cmyk_is_decoded_by_pillow() -> None:
    out = io.BytesIO()
    photo(40, 30).convert("CMYK").save(out, "JPEG")

    assert any("CMYK" in notice for notice in pipeline.compress(out.getvalue(), format="png").report.notices)


def test_metadata_are_carried_over_to_png() -> None:
    exif = orientation_exif(6)
    data = jpeg(64, 48, exif=b"Exif\0\0" + exif, icc_profile=ICC, comment="hallö".encode(), xmp=b"<x/>", dpi=(300, 300))
    made = Image.open(io.BytesIO(pipeline.compress(data, format="png").data))

    assert made.size == (64, 48)
    assert made.getexif()[274] == 6
    assert made.info["icc_profile"] == ICC
    assert made.info["Comment"] == "hallö"
    assert made.info["XML:com.adobe.xmp"] == "<x/>"
    assert made.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    reduced = Image.open(io.BytesIO(pipeline.compress(data, format="png", metadata="color").data))
    assert reduced.getexif()[274] == 6 and "icc_profile" in reduced.info and "Comment" not in reduced.info
    stripped = Image.open(io.BytesIO(pipeline.compress(data, format="png", metadata="strip").data))
    assert stripped.getexif()[274] == 6 and set(stripped.info) == {"exif"}


def test_segments_that_can_not_be_carried_over_are_reported() -> None:
    data = jpeg(16, 16)
    extra = reference.segment(0xED, b"Photoshop 3.0\0x") + reference.segment(0xE5, b"\xff\0")
    report = pipeline.compress(data[:2] + extra + data[2:], format="png").report

    assert report.notices == ("not carried over from JPEG: APP13 (Photoshop 3.0), APP5",)


def test_additional_pictures_and_trailing_bytes_are_reported() -> None:
    pictures = file_of(np.asarray(photo(64, 48)), np.asarray(photo(32, 32)))
    notices = pipeline.compress(pictures, format="png").report.notices
    assert "additional images in the file (MPF) were removed" in notices

    for progressive in (False, True):
        for delivery in ("safe", "immediate"):
            data = jpeg(64, 48, progressive=progressive) + b"trailer"
            notices = pipeline.compress(data, format="png", delivery=delivery).report.notices
            assert notices == ("7 bytes after the image were removed",)


def test_segments_after_the_scan_are_reported() -> None:
    data = jpeg(16, 16)
    data = data[:-2] + reference.segment(0xFE, b"late") + data[-2:]

    assert pipeline.compress(data, format="png").report.notices == (
        "1 metadata segments after the first scan were dropped",
    )


def test_segments_and_attachments_convert_both_ways() -> None:
    given = Attachments(icc=ICC, exif=orientation_exif(3), xmp=b"<x/>", comments=("a", "ü"), density=(11811, 11811))
    segments, _ = segments_for(given)
    found = attachments_of(segments)

    assert (found.icc, found.exif, found.xmp, found.comments) == (given.icc, given.exif, given.xmp, given.comments)
    assert found.density == (11800, 11800)  # dots per centimeter
    assert not found.notices
    assert found.reduced(Metadata.STRIP) == Attachments(
        exif=orientation_exif(3), notices=("the ICC profile (unnamed) was removed: colors will differ",)
    )


def test_an_icc_profile_with_a_missing_piece_is_reported() -> None:
    segments = [Segment(0xE2, b"ICC_PROFILE\0" + bytes([2, 2]) + b"rest")]

    assert attachments_of(segments).icc is None
    assert attachments_of(segments).notices == ("the ICC profile is incomplete: not carried over",)


def test_a_broken_or_unsupported_jpeg_is_an_error() -> None:
    with pytest.raises(FormatError, match="cut off"):
        pipeline.compress(jpeg(64, 64)[:1500], format="png")
    sampling = [(3, 1), (2, 1), (1, 1)]
    planes = [np.zeros((5, 8 * h, 64), int) for h, _ in sampling]
    with pytest.raises(UnsupportedError, match="no whole ratio"):
        pipeline.compress(reference.encode(planes, 40, 40, sampling), format="png")


def large(path: Path, side: int, progressive: bool) -> None:
    picture = photo(512, 512).resize((side, side), Image.Resampling.NEAREST)
    picture.save(path, "JPEG", quality=80, progressive=progressive)


@pytest.mark.parametrize("progressive", [False, True])
def test_memory_stays_within_what_is_reserved(tmp_path: Path, progressive: bool) -> None:
    small, big = tmp_path / "small.jpg", tmp_path / "big.jpg"
    small.write_bytes(jpeg(64, 64, progressive=progressive))
    large(big, 2500, progressive)
    found = measured(small, big, format="png", effort="fast", delivery="immediate")

    assert found["size"] > 1 << 20
    assert found["peak"] <= found["reserved"] < 8 << 20


@pytest.mark.heavy
@pytest.mark.parametrize("progressive", [False, True])
def test_the_memory_of_four_hundred_megapixels_depends_on_their_width_only(tmp_path: Path, progressive: bool) -> None:
    small, big = tmp_path / "small.jpg", tmp_path / "big.jpg"
    small.write_bytes(jpeg(64, 64, progressive=progressive))
    large(big, 20000, progressive)
    found = measured(small, big, format="png", effort="fast", delivery="immediate")

    assert found["peak"] <= found["reserved"] < 16 << 20
