"""Removal of metadata from BMP: header fields, palettes, padding, run-length codes and color spaces."""

import struct
from typing import Any

import pytest

from compressor import containers
from compressor.errors import FormatError, UnsupportedError
from compressor.settings import Metadata
from tests.containers.harness import Memory, frames, peak_bytes, reduced, seconds
from tests.planted import bmp
from tests.planted.bmp import info, palette, rows
from tests.planted.profiles import wide_profile


def file(header: bytes, colors: bytes = b"", pixels: bytes = b"", gap: bytes = b"", after: bytes = b"") -> bytes:
    return bmp.bmp(header, colors, gap, pixels, after)


def test_needed_data_is_kept_byte_for_byte() -> None:
    data = file(info(40, 31, 24, 24, pixel_bytes=96 * 24), pixels=rows(31, 24, 24))
    notices: list[str] = []

    assert reduced("bmp", data, Metadata.STRIP, notices) == data
    assert notices == []


def test_resolution_and_reserved_fields_become_zero() -> None:
    header = info(40, 31, 24, 24, density=b"\x13\x0b\0\0\x13\x0b\0\0", pixel_bytes=5)
    data = bmp.bmp(header, b"", b"", rows(31, 24, 24), b"", b"note")

    assert reduced("bmp", data) == file(info(40, 31, 24, 24, pixel_bytes=96 * 24), pixels=rows(31, 24, 24))
    assert containers.unmapped_metadata("bmp", Memory(data)) == ["reserved fields of the header"]


@pytest.mark.parametrize("width, bits", [(1, 24), (3, 8), (33, 1), (5, 4), (100_001, 24)])
def test_the_padding_of_rows_becomes_zero(width: int, bits: int) -> None:
    colors = palette(1 << bits) if bits <= 8 else b""
    data = file(info(40, width, 3, bits), colors, rows(width, 3, bits, padding=b"\x99"))
    clean = file(info(40, width, 3, bits), colors, rows(width, 3, bits))

    assert data != clean
    assert reduced("bmp", data) == reduced("bmp", clean)
    assert frames(reduced("bmp", data)) == frames(data)


def test_reserved_bytes_of_a_palette_and_unused_masks_become_zero() -> None:
    marked = file(info(108, 32, 24, 4, rest=b"hidden words"), palette(16, reserved=b"in the palette"), rows(32, 24, 4))
    plain = file(info(108, 32, 24, 4), palette(16), rows(32, 24, 4))

    assert reduced("bmp", marked) == reduced("bmp", plain)


def test_an_unused_palette_is_removed() -> None:
    data = file(info(40, 31, 24, 24, colors=30), palette(30), rows(31, 24, 24))

    assert len(reduced("bmp", data)) == 54 + 96 * 24
    assert frames(reduced("bmp", data)) == frames(data)


def test_the_padding_of_the_last_row_can_be_missing() -> None:
    data = file(info(40, 31, 24, 24), pixels=rows(31, 24, 24))

    assert reduced("bmp", data[:-3]) == reduced("bmp", data)
    with pytest.raises(FormatError, match="the file ends 1 bytes early"):
        reduced("bmp", data[:-4])


def test_masks_and_the_order_of_the_rows_are_kept() -> None:
    masks = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
    for size in (40, 56, 108, 124):
        header = info(size, 31, -24, 16, compression=3, rest=masks)
        result = reduced("bmp", file(header, pixels=rows(31, 24, 16), gap=b"gap"))
        assert struct.unpack_from("<i", result, 22) == (-24,)
        assert result[54:66] == masks


@pytest.mark.parametrize("bits", [4, 8])
def test_a_missing_end_of_bitmap_code_is_added(bits: int) -> None:
    codes = (bytes([32, 0x12]) + b"\0\0") * 23 + bytes([32, 0x34])
    header = info(40, 32, 24, bits, compression=1 if bits == 8 else 2, colors=1 << bits)
    with_end, without = (
        file(header, palette(1 << bits), codes + end) for end in (b"\0\1", b"")
    )  # fmt: skip

    assert reduced("bmp", without) == reduced("bmp", with_end)
    assert frames(reduced("bmp", without)) == frames(with_end)


@pytest.mark.parametrize(
    "codes, problem",
    [
        (b"\x05", "ends before the end-of-bitmap code"),
        (b"\0\2\1", "within a delta"),
        (b"\0\x20abc", "within a run"),
        (b"\0\2\0\0" * 5000, "more codes than pixels"),
    ],
)
def test_broken_run_length_codes_are_rejected(codes: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        reduced("bmp", file(info(40, 32, 24, 8, compression=1), palette(256), codes))


def test_a_profile_is_moved_after_the_pixels_and_ends_with_its_stated_size() -> None:
    profile = wide_profile(b"test")
    for before in (True, False):
        data = bmp.v5("embedded", before).data
        result = reduced("bmp", data, Metadata.COLOR)
        at, size = struct.unpack_from("<II", result, 14 + 112)
        assert (14 + at, size) == (14 + 124 + 96 * 24, len(result) - 14 - at)
        assert len(result[14 + at :]) == len(wide_profile(bytes(16)))
    assert len(profile) > 128


@pytest.mark.parametrize(
    "kind, color, strip",
    [
        ("linked", ["reference to an ICC profile in another file"], ["reference to an ICC profile in another file"]),
        ("calibrated", [], ["the color space (calibrated RGB) was removed: colors will differ"]),
    ],
)
def test_a_removed_color_space_is_reported(kind: str, color: Any, strip: Any) -> None:
    for policy, expected in ((Metadata.COLOR, color), (Metadata.STRIP, strip)):
        notices: list[str] = []
        result = reduced("bmp", bmp.v5(kind).data, policy, notices)
        assert len(notices) == len(expected) + 1  # and the bytes after the image
        assert all(part in notice for part, notice in zip(expected, notices, strict=False))
        (space,) = struct.unpack_from("<I", result, 14 + 56)
        assert space == (0 if (kind, policy) == ("calibrated", Metadata.COLOR) else bmp.SRGB)


@pytest.mark.parametrize("at, size", [(0xFFFFFFFF, 500), (100, 0xFFFFFFFF), (1 << 20, 500), (130, 0)])
def test_a_linked_profile_is_removed_with_a_notice(at: Any, size: int) -> None:
    rest = bytes(16) + struct.pack("<I", bmp.EMBEDDED) + bytes(48) + struct.pack("<4I", 4, at, size, 0)
    data = file(info(124, 31, 24, 24, rest=rest), pixels=rows(31, 24, 24))
    for policy in (Metadata.COLOR, Metadata.STRIP):
        notices: list[str] = []
        result = reduced("bmp", data, policy, notices)
        assert notices == ["an ICC profile that can't be read was removed: colors may differ"]
        assert frames(result) == frames(data)


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"BM" + bytes(10), "not the header"),
        (file(info(40, 0, 24, 24)), "0 x 24 pixels"),
        (file(info(40, -5, 24, 24)), "-5 x 24 pixels"),
        (file(info(40, 31, 24, 8)), "palette"),
        (file(info(40, 31, 24, 24)), "pixels at byte 54"),
        (file(info(40, 31, 24, 24))[:40], "the file ends within it"),
        (file(info(40, 31, 24, 24, compression=1)), "run lengths of 24 bits"),
        (file(info(40, 31, 24, 8, compression=3)), "color masks with 8 bits"),
    ],
)
def test_broken_files_are_rejected(data: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        reduced("bmp", data)


@pytest.mark.parametrize(
    "header, problem",
    [
        (info(40, 31, 24, 24, compression=4), "a JPEG or PNG inside"),
        (info(40, 31, 24, 0, compression=5), "a JPEG or PNG inside"),
        (info(64, 31, 24, 24, compression=4), "compression 4"),
        (info(64, 31, 24, 1, compression=3), "compression 3"),
        (info(40, 31, 24, 64), "64 bits per pixel"),
        (info(100, 31, 24, 24), "a header of 100 bytes"),
    ],
)
def test_other_kinds_are_rejected_by_name(header: Any, problem: str) -> None:
    with pytest.raises(UnsupportedError, match=problem):
        reduced("bmp", file(header, pixels=bytes(4000)))


def test_long_run_length_codes_and_narrow_images_take_little_time() -> None:
    for data in (
        file(info(40, 30_000, 30_000, 8, compression=1), palette(256), b"\0\2\0\0" * 100_000),
        file(info(40, 1, 2_000_000, 24), pixels=bytes(8_000_000)),
        file(info(40, 2_000_000, 1, 24), pixels=bytes(6_000_000)),
    ):
        assert seconds("bmp", data) < 10


def test_large_images_are_not_held_in_memory() -> None:
    assert peak_bytes("bmp", file(info(40, 2000, 2000, 24), pixels=bytes(12_000_000), after=bytes(1 << 20))) < 2 << 20


def test_run_length_codes_after_the_last_row_are_rejected() -> None:
    """Some readers ignore an end of line in an empty row, and draw the codes that follow."""
    codes = b"\0\0" + b"\x20\x12\0\0" * 22 + b"\5\7\0\0"
    header = info(40, 32, 24, 8, compression=1, colors=256)

    assert reduced("bmp", file(header, palette(256), codes + b"\0\1"))[-2:] == b"\0\1"
    with pytest.raises(UnsupportedError, match="after the last row"):
        reduced("bmp", file(header, palette(256), codes + b"\x20\x12\0\1"))
