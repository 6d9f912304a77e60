"""Metadata of GIF and BMP that Pillow does not read, carried over to other formats."""

import io
import struct
from typing import Any

import pytest
from PIL import Image

import compressor
from compressor import raster
from tests.planted import bmp, gif
from tests.planted.profiles import wide_profile


def opened(data: bytes) -> raster.Raster:
    return raster.open(io.BytesIO(data))


def test_all_comments_of_a_gif_are_read_also_after_its_image() -> None:
    data = gif.header() + b"!\xfe" + gif.blocks(b"caf\xe9") + b"!\xfe\0" + gif.image(1)
    data += b"!\xfe" + gif.blocks("für dich ".encode() * 100) + b";"

    assert opened(data).metadata.comments == ("café", "für dich " * 100)


@pytest.mark.parametrize("planted", [gif.still(), gif.chunked_xmp()], ids=lambda planted: planted.name)
def test_xmp_of_a_gif_is_read_in_both_of_its_forms(planted: Any) -> None:
    packet = opened(planted.data).metadata.xmp

    assert packet is not None
    assert packet.startswith(b"<x:xmpmeta>MARK") and packet.endswith(b"</x:xmpmeta>")


def test_a_profile_of_a_gif_is_read() -> None:
    profile = wide_profile(b"in sub-blocks")
    data = gif.header() + gif.application(b"ICCRGBG1012", gif.blocks(profile)) + gif.image(1) + b";"

    assert opened(data).metadata.icc == profile
    assert Image.open(io.BytesIO(compressor.compress(data, format="png").data)).info["icc_profile"] == profile


def test_metadata_of_a_gif_before_damage_is_read() -> None:
    data = gif.header() + b"!\xfe" + gif.blocks(b"hello") + gif.image(1) + b"junk"

    assert opened(data).metadata.comments == ("hello",)


def test_comments_above_the_limit_are_reported() -> None:
    data = gif.header() + b"!\xfe\x01a\0" * 1001 + gif.image(1) + b";"
    found = opened(data).metadata

    assert len(found.comments) == 1000
    assert found.notices == ("metadata above 16 MiB or 1000 comments was dropped",)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_the_profile_of_a_bmp_is_carried_over_to_every_format(format: Any, before: bool) -> None:
    data = bmp.v5("embedded", before).data
    at, size = struct.unpack_from("<II", data, 14 + 112)
    profile = data[14 + at : 14 + at + size]
    kept = compressor.compress(data, format=format)
    stripped = compressor.compress(data, format=format, metadata="strip")

    assert profile.startswith(wide_profile(bmp.v5("embedded", before).marks["profile"])[:100])
    assert Image.open(io.BytesIO(kept.data)).info["icc_profile"] == profile
    assert "icc_profile" not in Image.open(io.BytesIO(stripped.data)).info
    assert not [notice for notice in kept.report.notices if "profile" in notice]


@pytest.mark.parametrize("metadata", ["keep", "color", "strip"])
@pytest.mark.parametrize(
    "space, part", [("linked", "in another file (C:\\MARK"), ("calibrated", "the color space (calibrated RGB)")]
)
def test_other_color_spaces_of_a_bmp_are_reported(space: str, part: str, metadata: Any) -> None:
    notices = compressor.compress(bmp.v5(space).data, format="png", metadata=metadata).report.notices

    assert len([notice for notice in notices if part in notice]) == 1


def with_space(space: int, fields: bytes = bytes(48), profile: tuple[int, int] = (0, 0)) -> bytes:
    rest = bytes(16) + struct.pack("<I", space) + fields + struct.pack("<4I", 4, *profile, 0)
    return bmp.bmp(bmp.info(124, 31, 24, 24, rest=rest), b"", b"", bmp.rows(31, 24, 24), b"")


def test_a_calibrated_space_that_is_srgb_or_empty_needs_no_notice() -> None:
    srgb = (0.64, 0.33, 0.03, 0.30, 0.60, 0.10, 0.15, 0.06, 0.79)
    fields = struct.pack("<9i3I", *(round(value * 2**30) for value in srgb), *[round(2.2 * 65536)] * 3)

    for data in (with_space(0, fields), with_space(0), with_space(bmp.SRGB), with_space(0x57696E20, fields)):
        assert opened(data).notices == []
    assert opened(with_space(0, fields[:36] + bytes(12))).notices != []


@pytest.mark.parametrize("at, size", [(0xFFFFFFFF, 500), (100, 0xFFFFFFFF), (1 << 20, 500), (130, 0)])
def test_a_profile_outside_the_file_is_reported_and_never_an_error(at: Any, size: int) -> None:
    for space in (bmp.EMBEDDED, bmp.LINKED):
        source = opened(with_space(space, profile=(at, size)))
        assert source.metadata.icc is None
        assert len(source.notices) == 1
        assert "\n" not in source.notices[0]
        assert sum(len(band) for band in source.bands(8)) == 24


def test_older_headers_have_no_color_space() -> None:
    for planted in bmp.plain_files():
        assert opened(planted.data).notices == []
        assert opened(planted.data).metadata.icc is None
