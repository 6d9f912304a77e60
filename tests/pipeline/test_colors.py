"""Color profiles and pixel aspect ratios across formats: carried over exactly, or reported in a notice."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import icc, pipeline
from tests.pipeline.test_to_png import encoded, form_of, photograph
from tests.planted.profiles import rgb_profile
from tests.reference.pngfilter import chunk
from tests.test_icc import LINEAR, SRGB

SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + struct.pack(
    ">5i", *(round(65536 * value) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)


def grey_profile(curve: bytes) -> bytes:
    """Build a grey profile of version 2 that has only a tone curve."""
    table = struct.pack(">I4sII", 1, b"kTRC", 144, len(curve))
    header = struct.pack(">I4sI4s4s4s", 144 + len(curve), b"test", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    return header.ljust(36, b"\0") + b"acsp" + bytes(88) + table + curve


PROFILES = {
    "P3": rgb_profile(b"Display P3"),
    "sRGB": SRGB,
    "linear grey": grey_profile(LINEAR),
    "sRGB grey": grey_profile(SRGB_CURVE),
}
GREY = {"linear grey", "sRGB grey"}
GREY_RESULT = {("L", "jpeg"), ("L", "png"), ("L", "avif"), ("LA", "png")}


def source(mode: str, profile: str, format: str) -> bytes:
    picture = Image.fromarray(photograph()).convert(mode)
    return encoded(picture, format, icc_profile=PROFILES[profile])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize(
    "mode, format", [("L", "PNG"), ("RGB", "PNG"), ("L", "JPEG"), ("RGB", "JPEG"), ("RGB", "TIFF")]
)
def test_a_profile_is_carried_over_if_it_fits_the_pixels(mode: str, format: str, target: Any, profile: str) -> None:
    result = pipeline.compress(source(mode, profile, format), format=target)

    found = Image.open(io.BytesIO(result.data)).info.get("icc_profile")
    fits = (profile in GREY) == ((mode, target) in GREY_RESULT)
    native = format.lower() == target  # chunks and segments are kept
    named = [notice for notice in result.report.notices if "ICC profile" in notice]
    assert found == (PROFILES[profile] if fits or native else None)
    assert len(named) == (0 if fits or native or profile in ("sRGB", "sRGB grey") else 1)


def test_a_png_keeps_a_color_type_that_its_profile_fits() -> None:
    pixels = np.arange(256, dtype=np.uint8)[None, :, None] + np.zeros((64, 1, 3), np.uint8)
    plain = encoded(pixels, "TIFF")
    with_profile = encoded(pixels, "TIFF", icc_profile=PROFILES["P3"])

    assert form_of(pipeline.compress(plain, format="png").data)[0] == 0
    made = pipeline.compress(with_profile, format="png")
    assert form_of(made.data)[0] in (2, 3)
    assert Image.open(io.BytesIO(made.data)).info["icc_profile"] == PROFILES["P3"]


# --- pixels that are not square ---------------------------------------------------------------------------------------


def png_with(x: int, y: int, unit: int) -> bytes:
    """Build a PNG with a pHYs chunk."""
    data = encoded(photograph(), "PNG")
    phys: bytes = chunk(b"pHYs", struct.pack(">IIB", x, y, unit))
    return data[:33] + phys + data[33:]


def jfif(data: bytes) -> tuple[int, ...]:
    """Return units, Xdensity and Ydensity."""
    assert data[6:11] == b"JFIF\0"
    return struct.unpack(">BHH", data[13:18])


@pytest.mark.parametrize(
    "x, y, found",
    [(3, 2, (0, 3, 2)), (1, 1, (0, 1, 1)), (200_000, 100_000, (0, 65535, 32768)), (1, 1_000_000, (0, 1, 65535))],
)
def test_an_aspect_ratio_is_carried_from_png_to_jpeg(x: int, y: int, found: tuple[int, int, int]) -> None:
    result = pipeline.compress(png_with(x, y, 0), format="jpeg")

    assert jfif(result.data) == found
    assert not result.report.notices


def test_an_aspect_ratio_is_kept_in_a_png_and_carried_from_jpeg_to_png() -> None:
    wanted = chunk(b"pHYs", struct.pack(">IIB", 3, 2, 0))
    assert wanted in pipeline.compress(png_with(3, 2, 0)).data
    data = encoded(photograph(), "JPEG")
    jpeg = data[:13] + struct.pack(">BHH", 0, 3, 2) + data[18:]
    assert wanted in pipeline.compress(jpeg, format="png").data
    assert wanted in pipeline.compress(jpeg, format="png", effort="fast").data


@pytest.mark.parametrize("resolution, found", [((3.0, 2.0), (3, 2)), ((1.5, 1.0), (3, 2)), ((2.0, 2.0), None)])
def test_an_aspect_ratio_is_carried_from_tiff_to_png(
    resolution: tuple[float, float], found: tuple[int, int] | None
) -> None:
    tags = {296: 1, 282: resolution[0], 283: resolution[1]}  # TIFF 6.0: ResolutionUnit, XResolution, YResolution
    made = pipeline.compress(encoded(photograph(), "TIFF", tiffinfo=tags), format="png").data

    assert Image.open(io.BytesIO(made)).info.get("aspect") == found


@pytest.mark.parametrize("format", ["webp", "avif"])
@pytest.mark.parametrize(
    "x, y, unit, named", [(3, 2, 0, True), (1, 1, 0, False), (4000, 8000, 1, True), (2835, 2834, 1, False)]
)
def test_pixels_that_are_not_square_are_reported_if_the_format_can_not_hold_it(
    format: Any, x: int, y: int, unit: int, named: bool
) -> None:
    notices = pipeline.compress(png_with(x, y, unit), format=format).report.notices

    assert any("not square" in notice for notice in notices) == named


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_a_lost_color_space_is_reported(format: Any) -> None:
    data = encoded(photograph(), "PNG")
    source = data[:33] + chunk(b"cICP", b"\x09\x10\0\1") + data[33:]
    for policy in ("keep", "color", "strip"):
        notices = pipeline.compress(source, format=format, metadata=policy, effort="fast").report.notices
        assert notices == ("the color space (cICP: BT.2020 with PQ) is not carried over: colors will differ",)


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_color_code_points_of_a_png_are_carried_over_as_a_profile(format: Any, mode: str) -> None:
    data = encoded(Image.fromarray(photograph()).convert(mode), "PNG")
    source = data[:33] + chunk(b"cICP", b"\x0c\x08\0\1") + data[33:]
    result = pipeline.compress(source, format=format, effort="fast")

    profile = Image.open(io.BytesIO(result.data)).info.get("icc_profile")
    if mode == "L" and format == "webp":
        assert profile is None
        assert "is for GRAY pixels" in result.report.notices[0]
    else:
        assert profile is not None and "Display P3" in icc.profile_name(profile) and not result.report.notices
        assert icc.color_space(profile) == {"L": "GRAY", "RGB": "RGB"}[mode]
