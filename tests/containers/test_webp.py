"""Removal of metadata from WebP: flags, padding, alpha and frames by RFC 9649, and broken files."""

import struct
from typing import Any

import numpy as np
import pytest
import pyvips

from compressor import containers
from compressor.containers import webp as webp_container
from compressor.errors import CompressorError, FormatError
from compressor.metadata import orientation_exif
from compressor.settings import Metadata
from tests.containers.harness import Memory, frames, peak_bytes, reduced, seconds
from tests.planted import webp
from tests.planted.webp import ALPHA, ANIMATION, EXIF_XMP, ICC, chunk, chunks_of, image_chunks, picture, riff, vp8x


@pytest.mark.parametrize("planted", webp.files(), ids=lambda planted: planted.name)
def test_libvips_decodes_the_same_pixels(planted: Any) -> None:
    def decoded(data: bytes) -> Any:
        pages = {"n": -1} if ANIMATION & data[20] and data[12:16] == b"VP8X" else {}
        return pyvips.Image.webpload_buffer(data, **pages).numpy()

    np.testing.assert_array_equal(decoded(reduced("webp", planted.data)), decoded(planted.data))


def test_flags_describe_the_remaining_chunks() -> None:
    data = webp.still("flags", alpha=True, lossless=False, orientation=6).data
    upright = webp.still("flags", alpha=True, lossless=False, orientation=1).data

    assert chunks_of(reduced("webp", data, Metadata.COLOR))[b"VP8X"][0] == ICC | ALPHA | 0x08
    assert chunks_of(reduced("webp", data))[b"VP8X"][0] == ALPHA | 0x08
    assert chunks_of(reduced("webp", upright))[b"VP8X"][0] == ALPHA
    assert chunks_of(reduced("webp", data))[b"EXIF"] == orientation_exif(6)


def test_reserved_bits_and_paddings_become_zero() -> None:
    found = picture(True, True)
    header = bytearray(vp8x(ALPHA | 0xC1))
    header[9:12] = b"abc"
    image = bytearray(chunk(b"VP8L", found[b"VP8L"] + bytes(1 - len(found[b"VP8L"]) % 2), b"\x77"))
    result = reduced("webp", riff(bytes(header), bytes(image)))

    assert result[20:24] == bytes([ALPHA, 0, 0, 0])
    assert image[-1] == 0x77
    assert result[-1] == 0


def test_exif_with_a_jpeg_header_sets_the_orientation() -> None:
    data = riff(vp8x(0x08), image_chunks(picture(False, True)), chunk(b"EXIF", b"Exif\0\0" + orientation_exif(3)))

    assert chunks_of(reduced("webp", data))[b"EXIF"] == orientation_exif(3)


def test_chunks_without_their_flag_are_removed_and_listed() -> None:
    image = image_chunks(picture(False, True))
    data = riff(vp8x(0), chunk(b"ICCP", b"x" * 200), image, chunk(b"EXIF", orientation_exif(6)), chunk(b"a\nb ", b""))

    assert containers.unmapped_metadata("webp", Memory(data)) == ["chunk ICCP", "chunk EXIF", "chunk 610a6220"]
    assert reduced("webp", data) == riff(vp8x(0), image)


def test_only_the_first_of_several_images_is_kept() -> None:
    found = picture(False, False)
    data = riff(vp8x(0), image_chunks(found), chunk(b"VP8 ", b"hidden"), chunk(b"ALPH", b"hidden"))

    assert reduced("webp", data) == riff(vp8x(0), image_chunks(found))


def test_uncompressed_alpha_ends_with_its_last_sample() -> None:
    found = picture(True, False)
    width, height = webp.SIDES
    raw = b"\0" + bytes(index % 256 for index in range(width * height))
    clean = riff(vp8x(ALPHA), chunk(b"ALPH", raw), chunk(b"VP8 ", found[b"VP8 "]))
    data = riff(vp8x(ALPHA), chunk(b"ALPH", raw + b"hidden"), chunk(b"VP8 ", found[b"VP8 "]))

    assert reduced("webp", data) == clean
    assert frames(clean) == frames(data)


def test_alpha_before_a_lossless_image_is_removed() -> None:
    image = chunk(b"VP8L", picture(True, True)[b"VP8L"])

    assert reduced("webp", riff(vp8x(ALPHA), chunk(b"ALPH", b"hidden"), image)) == riff(vp8x(ALPHA), image)


def test_removed_data_is_reported() -> None:
    notices: list[str] = []
    reduced("webp", webp.still("notices", alpha=False, lossless=True, orientation=1).data, Metadata.COLOR, notices)

    assert notices == ["content credentials (C2PA) were removed", "16 bytes after the image were removed"]


def test_metadata_that_a_conversion_loses_is_listed() -> None:
    data = webp.still("names", alpha=False, lossless=True, orientation=1).data
    frames_too = webp.animated().data

    assert containers.unmapped_metadata("webp", Memory(data)) == [
        "chunk ABCD", "chunk EXIF", "content credentials (C2PA)", "16 bytes after the image",
    ]  # fmt: skip
    assert containers.unmapped_metadata("webp", Memory(frames_too)) == [
        "chunk ABCD",
        "chunk EFGH",
        "16 bytes after the image",
    ]


@pytest.mark.parametrize(
    "data, problem",
    [
        (riff(), "neither an image nor VP8X"),
        (riff(chunk(b"ABCD", b"")), "neither an image nor VP8X"),
        (riff(vp8x(0)), "no image follows"),
        (riff(chunk(b"VP8X", bytes(9))), "9 bytes, 10 are needed"),
        (riff(vp8x(ANIMATION), chunk(b"ANIM", bytes(6))), "an animation without frames"),
        (riff(vp8x(ANIMATION), chunk(b"ANMF", bytes(16))), "a frame before ANIM"),
        (riff(vp8x(ANIMATION), chunk(b"ANIM", bytes(6)), chunk(b"ANMF", bytes(16))), "a frame without an image"),
        (riff(vp8x(ANIMATION), chunk(b"ANIM", bytes(6)), chunk(b"ANMF", bytes(15))), "15 bytes, at least 16"),
        (riff(vp8x(0), chunk(b"ALPH", b"x"), chunk(b"ALPH", b"y"), chunk(b"VP8 ", b"z")), "a second one"),
        (riff(vp8x(0), struct.pack("<4sI", b"VP8 ", 1 << 31)), "are left"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "neither an image nor VP8X"),
    ],
)
def test_broken_files_are_rejected(data: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        reduced("webp", data)


def test_many_chunks_take_little_time() -> None:
    image = chunk(b"VP8L", picture(True, True)[b"VP8L"])
    frame = chunk(b"ANMF", bytes(16) + chunk(b"ALPH", b"") + chunk(b"VP8 ", b""))
    files = [
        riff(vp8x(EXIF_XMP), image, chunk(b"ABCD", b"") * 50_000),
        riff(vp8x(0), b"".join(chunk(number.to_bytes(4, "big"), b"") for number in range(20_000)), image),
        riff(vp8x(ANIMATION), chunk(b"ANIM", bytes(6)), frame * 10_000),
        riff(image, b"\0" * (8 << 20)),
    ]
    for data in files:
        assert seconds("webp", data) < 10


def test_a_large_exif_chunk_is_skipped() -> None:
    data = riff(vp8x(0x08), image_chunks(picture(False, True)), chunk(b"EXIF", orientation_exif(6) + bytes(40 << 20)))

    assert peak_bytes("webp", data) < 4 << 20
    assert len(reduced("webp", data)) < 10_000


def test_the_number_of_chunks_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp_container, "CHUNKS_MAX", 1000)
    data = riff(vp8x(0), image_chunks(picture(False, True)), chunk(b"ABCD", b"") * 1000)

    with pytest.raises(CompressorError, match="more than 1000 chunks"):
        reduced("webp", data)
