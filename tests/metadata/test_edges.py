"""Edge cases of metadata: sizes above the limits, unusual Exif, lost color spaces, content credentials."""

import io
import struct
import time
from typing import Any

import pytest
from PIL import Image

from compressor import pipeline
from compressor.errors import LimitError
from compressor.jpeg import markers
from compressor.metadata import is_adobe_rgb, is_sound, orientation
from compressor.png import policy as png_policy
from compressor.settings import Effort, Format, Raw, Settings, Tile
from tests.jpeg_files import jpeg
from tests.pipeline.test_pipeline import decoded
from tests.planted.exif import exif
from tests.planted.jpeg import credentials, segment
from tests.planted.png import chunk
from tests.planted.profiles import rgb_profile

PLAIN = jpeg(64, 48, quality=95)[2:]


def file(*segments: bytes) -> bytes:
    data: bytes = b"\xff\xd8" + b"".join(segments) + PLAIN
    return data


def png(*chunks: bytes) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 99, 199)).save(out, "PNG")
    data = out.getvalue()
    return data[:33] + b"".join(chunks) + data[33:]


MANY = {
    "17 MiB of comments": file(segment(0xFE, bytes(65000)) * 280),
    "5,000 segments": file(segment(0xE5, b"x") * 5000),
    "17 MiB of Exif": file(segment(0xE1, b"Exif\0\0" + exif().ljust(65000, b"\0")) * 280),
    "17 MiB of profiles": file(segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65000)) * 280),
    "17 MiB of text in a PNG": png(chunk(b"tEXt", b"Comment\0" + bytes(65000)) * 280),
    "200,000 empty chunks in a PNG": png(chunk(b"prVt", b"") * 200_000),
}


@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"min_saving": 0.9999}], ids=str)
@pytest.mark.parametrize("name", MANY)
def test_strip_accepts_a_file_with_more_metadata_than_the_limit(name: Any, settings: Any) -> None:
    with pytest.raises(LimitError):
        pipeline.compress(MANY[name])

    made = pipeline.compress(MANY[name], metadata="strip", **settings)

    assert len(made.data) < 4000
    assert made.report.reserved_bytes < 13 << 20


def test_skipped_metadata_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers, "PASSED_SEGMENTS_MAX", 4000)
    monkeypatch.setattr(png_policy, "SKIPPED_CHUNKS_MAX", 4000)
    for name in ("5,000 segments", "200,000 empty chunks in a PNG"):
        with pytest.raises(LimitError, match="of metadata"):
            pipeline.compress(MANY[name], metadata="strip")


@pytest.mark.parametrize("header", [b"Exif\0\0", b"Exif\0\xff"])
@pytest.mark.parametrize("kind, value", [(1, b"\6\0\0\0"), (3, b"\0\6\0\0"), (4, b"\0\0\0\6")])
@pytest.mark.parametrize("policy", ["color", "strip"])
def test_orientation_is_read_from_odd_exif(header: bytes, kind: int, value: bytes, policy: Any) -> None:
    stream = b"MM\0*\0\0\0\x08" + struct.pack(">HHHI", 1, 0x0112, kind, 1) + value + bytes(4)
    assert orientation(stream) == 6

    for settings in ({}, {"format": "png"}, {"min_saving": 0.99}):
        made = pipeline.compress(file(segment(0xE1, header + stream)), metadata=policy, **settings)
        assert Image.open(io.BytesIO(made.data)).getexif()[0x0112] == 6


@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"min_saving": 0.99}, {"format": "png"}], ids=str)
@pytest.mark.parametrize("policy", ["color", "strip"])
def test_a_lost_color_space_in_exif_is_reported(settings: Any, policy: Any) -> None:
    stream = exif(1, adobe_rgb=True)
    assert is_adobe_rgb(stream) and not is_adobe_rgb(exif(1))

    made = pipeline.compress(file(segment(0xE1, b"Exif\0\0" + stream)), metadata=policy, **settings)

    assert [notice for notice in made.report.notices if "Adobe RGB" in notice]
    plain = pipeline.compress(file(segment(0xE1, b"Exif\0\0" + exif(1))), metadata=policy, **settings)
    assert not [notice for notice in plain.report.notices if "color" in notice]


@pytest.mark.parametrize("settings", [{}, {"format": "webp", "lossless": True}, {"format": "jpeg"}], ids=str)
def test_a_lost_color_space_in_the_exif_of_a_webp_is_reported(settings: Any) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 99, 199)).save(out, "WEBP", exif=b"Exif\0\0" + exif(1, adobe_rgb=True), lossless=True)

    made = pipeline.compress(out.getvalue(), metadata="strip", **settings)

    assert [notice for notice in made.report.notices if "Adobe RGB" in notice]


@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"min_saving": 0.99}, {"format": "png"}], ids=str)
def test_a_stripped_profile_other_than_srgb_is_reported(settings: Any) -> None:
    data = jpeg(64, 48, quality=95, icc_profile=rgb_profile(b"Wide"))

    made = pipeline.compress(data, metadata="strip", **settings)

    assert "icc_profile" not in Image.open(io.BytesIO(made.data)).info
    assert "the ICC profile (Wide) was removed: colors will differ" in made.report.notices


def test_content_credentials_are_dropped_with_a_notice_or_the_file_is_returned() -> None:
    data = file(credentials("manifest"), segment(0xEB, b"JP\0\1\0\0\0\2rest of it"), segment(0xEB, b"HDR_RI other"))

    made = pipeline.compress(data)
    assert b"c2pa" not in made.data and b"rest of it" not in made.data and b"HDR_RI" in made.data
    assert any("content credentials" in notice for notice in made.report.notices)

    same = pipeline.compress(data, content_credentials="unchanged")
    assert (same.data, same.report.reason) == (data, "has content credentials")

    changes: list[dict[str, Any]] = [{"metadata": "strip"}, {"metadata": "color"}, {"format": "png"}]
    for changed in changes:
        made = pipeline.compress(data, content_credentials="unchanged", **changed)
        assert b"c2pa" not in made.data
        assert any("content credentials" in notice for notice in made.report.notices)
    plain = file()
    assert pipeline.compress(plain, content_credentials="unchanged").data == pipeline.compress(plain).data


def test_a_png_with_content_credentials_is_treated_the_same() -> None:
    data = png(chunk(b"caBX", bytes(3000)))

    made = pipeline.compress(data)
    assert b"caBX" not in made.data and any("content credentials" in notice for notice in made.report.notices)
    assert pipeline.compress(data, content_credentials="unchanged").data == data
    assert b"caBX" not in pipeline.compress(data, content_credentials="unchanged", metadata="strip").data


def test_a_stripped_file_is_returned_even_below_the_minimum_saving() -> None:
    data = file(segment(0xFE, b"x" * 60000))

    made = pipeline.compress(data, metadata="strip", quality=100, min_saving=0.999)

    assert made.report.outcome.value == "unchanged"
    assert made.report.reason.endswith("; metadata removed")
    assert len(made.data) == len(data) - 60004
    assert (decoded(made.data) == decoded(data)).all()


def test_the_smaller_lossless_result_wins_where_metadata_is_most_of_a_file() -> None:
    """A result that is larger than the source without its metadata saves nothing."""
    small = pipeline.compress(jpeg(64, 48, quality=95), quality=30, effort="best").data
    data = small[:2] + segment(0xFE, b"x" * 60000) + small[2:]

    made = pipeline.compress(data, metadata="strip", quality=30, effort="fast")

    assert len(made.data) <= len(small)
    assert made.report.bytes_out == len(made.data)


def test_thousands_of_pointers_to_a_directory_of_thousands_take_no_time() -> None:
    entries = 30_000
    pointers = struct.pack(">HHII", 0x8769, 4, 1, 8 + 2 + 12 * entries) * entries
    directory = struct.pack(">H", entries) + bytes(12 * entries)
    stream = b"MM\0*\0\0\0\x08" + struct.pack(">H", entries) + pointers + directory
    start = time.process_time()

    assert not is_adobe_rgb(stream)
    assert time.process_time() - start < 2


def with_shared_values(entries: int, size: int) -> bytes:
    """Return Exif whose entries all point to the same bytes, with an orientation of 6 as the last one."""
    head = b"MM\0*\0\0\0\x08" + struct.pack(">H", entries + 1)
    at = len(head) + 12 * (entries + 1) + 4
    tags = b"".join(struct.pack(">HHII", 0x8000 + number, 7, size, at) for number in range(entries))
    return head + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + tags + bytes(4) + bytes(size)


@pytest.mark.parametrize(
    "exif, turned",
    [
        (with_shared_values(4000, 200_000), 6),
        (b"neither II nor MM, and long enough for a directory", 1),
        (b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x0112, 4, 1, 0xFFFFFFFF) + bytes(4), 1),
    ],
    ids=["800 MB of values", "no TIFF", "an orientation that is none"],
)
def test_exif_that_pillow_can_not_write_is_reported_and_the_orientation_kept(exif: Any, turned: int) -> None:
    raw = Raw(width=8, height=8, channels=3, tile_width=8, tile_height=8, exif=exif)
    with pipeline.stream([Tile(0, 0, bytes(192))], Settings(format=Format.AVIF, effort=Effort.FAST), raw=raw) as stream:
        data = b"".join(stream)

    assert stream.report.notices == ("damaged Exif is not carried over to AVIF",)
    assert Image.open(io.BytesIO(data)).getexif().get(0x0112, 1) == turned


def test_exif_with_values_that_share_their_bytes_is_sound() -> None:
    assert is_sound(with_shared_values(2, 40)) and not is_sound(with_shared_values(20, 400))
