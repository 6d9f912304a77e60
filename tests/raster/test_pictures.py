"""Pillow images as input: pixels, metadata and notices equal those of a file of the same kind."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngImageFile, PngInfo

import compressor
from compressor.errors import FormatError, UnsupportedError
from compressor.metadata import orientation
from tests.planted.profiles import wide_profile

PROFILE = wide_profile(b"for pictures")
XMP = b"<x:xmpmeta/>"
RNG = np.random.default_rng(11)
PIXELS = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def exif_of(turned: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = turned, "a picture"
    exif.get_ifd(0x8825)[29] = "2026:11:30"
    return exif


def saved(format: str, image: Image.Image | None = None, **options: Any) -> Image.Image:
    out = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(out, format, **options)
    out.seek(0)
    return Image.open(out)


def described(format: str) -> Image.Image:
    more: dict[str, Any] = {"dpi": (300, 300)} if format in ("JPEG", "PNG") else {}
    return saved(format, icc_profile=PROFILE, exif=exif_of(), xmp=XMP, **more)


def result_of(image: Image.Image, **settings: Any) -> tuple[Image.Image, tuple[str, ...]]:
    result = compressor.compress(image, **settings)
    return Image.open(io.BytesIO(result.data)), result.report.notices


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_metadata_of_a_pillow_image_is_carried_over_to_every_format(source: str, target: str) -> None:
    found, notices = result_of(described(source), format=target, effort="fast")

    assert found.info["icc_profile"] == PROFILE
    assert found.getexif()[0x0112] == 6
    assert found.getexif()[0x010E] == "a picture"
    assert found.getexif().get_ifd(0x8825)[29] == "2026:11:30"
    assert source == "PNG" or found.info["xmp"] == XMP
    if target in ("jpeg", "png") and source in ("JPEG", "PNG"):
        assert found.info["dpi"] == pytest.approx((300, 300), abs=0.5)
    assert notices == ()


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
def test_the_policy_applies_to_pillow_images(target: Any) -> None:
    color, _ = result_of(described("JPEG"), format=target, metadata="color")
    data = compressor.compress(described("JPEG"), format=target, metadata="strip").data

    assert color.info["icc_profile"] == PROFILE
    assert dict(color.getexif()) == {0x0112: 6}
    assert "xmp" not in color.info
    assert b"a picture" not in data and b"xmpmeta" not in data and PROFILE not in data


def test_unchanged_exif_is_kept_byte_for_byte() -> None:
    exif = (
        b"II*\0\x08\0\0\0\x02\0"
        + b"\x12\1\3\0\1\0\0\0\3\0\0\0"
        + b"\x7c\x92\7\0\4\0\0\0note"
        + bytes(4)
        + b"unreferenced"
    )
    image = saved("PNG", exif=exif)

    assert orientation(exif) == 3
    assert result_of(image, format="png")[0].info["exif"].removeprefix(b"Exif\0\0") == exif
    image.getexif()
    assert result_of(image, format="png")[0].info["exif"].removeprefix(b"Exif\0\0") == exif


def test_exif_that_the_caller_changed_is_written() -> None:
    image = described("JPEG")
    image.getexif()[0x0112] = 3
    image.getexif().get_ifd(0x8825).clear()
    found, _ = result_of(image)

    assert found.getexif()[0x0112] == 3
    assert not found.getexif().get_ifd(0x8825)
    del image.getexif()[0x0112], image.getexif()[0x010E], image.getexif()[0x8825]
    assert not result_of(image)[0].getexif()


def test_exif_that_the_caller_made_is_written() -> None:
    image = Image.fromarray(PIXELS)
    image.getexif()[0x0112] = 8

    assert result_of(image)[0].getexif()[0x0112] == 8


def test_an_orientation_in_xmp_alone_is_ignored() -> None:
    image = Image.fromarray(PIXELS)
    image.info["xmp"] = b'<rdf:Description tiff:Orientation="6"/>'

    assert image.getexif()[0x0112] == 6
    assert "exif" not in result_of(image)[0].info


def test_damaged_exif_is_kept_unchanged() -> None:
    image = Image.fromarray(PIXELS)
    image.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"

    assert result_of(image, format="webp")[0].info["exif"] == b"II*\0\xff\xff\xff\xff"


def test_comments_and_texts_are_carried_over() -> None:
    text = PngInfo()
    text.add_text("Title", "a title")
    jpeg = saved("JPEG", comment="für dich")

    assert result_of(jpeg)[0].info["comment"] == "für dich".encode()
    made, _ = result_of(saved("PNG", pnginfo=text), format="png")
    assert isinstance(made, PngImageFile) and made.text == {"Title": "a title"}


def test_a_tiff_is_made_upright_and_keeps_its_descriptive_tags() -> None:
    found, _ = result_of(saved("TIFF", tiffinfo={0x0112: 6, 0x010E: "a picture"}, icc_profile=PROFILE), format="png")

    assert found.size == (24, 32)
    assert dict(found.getexif()) == {0x010E: "a picture"}
    assert found.info["icc_profile"] == PROFILE


def test_sixteen_bits_are_rounded_and_reported_like_those_of_a_file() -> None:
    values = np.array([[0, 128, 129, 257, 40000, 65535]], np.uint16)
    png = saved("PNG", Image.fromarray(values))
    for image in (Image.fromarray(values), png, saved("PPM", Image.fromarray(values))):
        found, notices = result_of(image, format="png")
        assert np.asarray(found.convert("L")).tolist() == [[0, 0, 1, 1, 156, 255]]
        assert notices == ("more than 8 bits per sample reduced to 8",)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_of_unknown_range_are_rejected(mode: str) -> None:
    with pytest.raises(UnsupportedError, match=f"pixels of Pillow's mode {mode}"):
        compressor.compress(Image.fromarray(PIXELS).convert(mode), format="png")
    with pytest.raises(UnsupportedError, match=f"pixels of Pillow's mode {mode}"):
        compressor.compress(saved("TIFF", Image.fromarray(PIXELS).convert(mode)), format="png")


@pytest.mark.parametrize("mode, notice", [("YCbCr", "YCbCr converted to RGB"), ("LAB", "LAB converted to RGB")])
def test_a_profile_for_other_colors_is_not_attached_to_rgb(mode: str, notice: str) -> None:
    image = Image.fromarray(PIXELS, mode=None).convert("YCbCr") if mode == "YCbCr" else Image.new("LAB", (32, 24))
    image.info["icc_profile"] = PROFILE
    found, notices = result_of(image, format="png")

    assert notices == (notice,)
    assert "icc_profile" not in found.info


def test_cmyk_is_converted_like_that_of_a_file() -> None:
    plain, damaged = Image.new("CMYK", (16, 16), (0, 0, 0, 0)), Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    damaged.info["icc_profile"] = b"not a profile" * 20

    for image, notice in (
        (plain, "CMYK converted to RGB without a profile: colors may differ"),
        (damaged, "CMYK converted to RGB without its ICC profile, which is damaged"),
    ):
        found, notices = result_of(image, format="png")
        assert notices == (notice,)
        assert "icc_profile" not in found.info
        assert np.asarray(found.convert("RGB")).min() > 250


def test_additional_frames_are_reported() -> None:
    image = saved("GIF", save_all=True, append_images=[Image.fromarray(255 - PIXELS)])

    assert result_of(image, format="png")[1] == ("only the current frame of several was used",)


def test_a_pillow_image_of_a_truncated_file_is_a_format_error() -> None:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "PNG")

    with pytest.raises(FormatError, match="^PNG: pixels"):
        compressor.compress(Image.open(io.BytesIO(out.getvalue()[:800])))


def test_an_srgb_profile_of_a_grey_image_is_harmless() -> None:
    image = Image.fromarray(PIXELS).convert("L")
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert result_of(image, format="png")[0].mode in ("L", "P", "RGB")
