"""Removal of metadata from GIF: loops and delays are kept, extensions removed; truncated and broken files."""

from typing import Any

import numpy as np
import pytest
import pyvips

from compressor import containers
from compressor.containers import piece_table
from compressor.errors import FormatError, LimitError
from compressor.settings import Metadata
from tests.containers.harness import Memory, frames, peak_bytes, reduced, seconds
from tests.planted import gif
from tests.planted.gif import application, blocks, control, header, image
from tests.planted.profiles import wide_profile

LOOP = application(b"NETSCAPE2.0", b"\x03\x01\x07\x00\x00")


@pytest.mark.parametrize("planted", gif.files(), ids=lambda planted: planted.name)
def test_libvips_decodes_the_same_frames_with_the_same_delays(planted: Any) -> None:
    before, after = (pyvips.Image.gifload_buffer(data, n=-1) for data in (planted.data, reduced("gif", planted.data)))

    np.testing.assert_array_equal(after.numpy(), before.numpy())
    for field in ("delay", "n-pages"):
        assert after.get_typeof(field) == before.get_typeof(field)
        assert not after.get_typeof(field) or after.get(field) == before.get(field)


def test_needed_data_is_kept_byte_for_byte() -> None:
    data = header() + LOOP + control(5, 2) + image(1) + control(6) + image(2, local=True) + b";"
    notices: list[str] = []

    assert reduced("gif", data, Metadata.STRIP, notices) == data
    assert notices == []
    assert [frame[-2:] for frame in frames(data)] == [(50, 7), (60, 7)]


def test_the_loop_count_is_found_after_other_sub_blocks_and_kept_alone() -> None:
    data = header() + application(b"NETSCAPE2.0", b"\x05\x02\1\2\3\4\x09\x01\x07\x00hidden\x00") + image(1) + b";"

    assert reduced("gif", data) == header() + LOOP + image(1) + b";"


def test_color_keeps_an_icc_profile_in_sub_blocks() -> None:
    profile = wide_profile(b"Wide")
    data = header() + application(b"ICCRGBG1012", b"\x80" + profile[:128] + blocks(profile[128:] + b"hidden"))
    data += application(b"ICCRGBG1012", blocks(b"a second one")) + image(1) + b";"
    expected = header() + application(b"ICCRGBG1012", blocks(profile)) + image(1) + b";"

    assert reduced("gif", data, Metadata.COLOR) == expected
    assert reduced("gif", data) == header() + image(1) + b";"


def test_removed_metadata_is_reported() -> None:
    data, notices = gif.still().data, list[str]()
    reduced("gif", data, Metadata.STRIP, notices)

    assert notices == [
        f"the ICC profile (Wide gamut {gif.still().marks['ICC profile'].decode()}) was removed: colors will differ",
        "content credentials (C2PA) were removed",
        "the text of a plain text extension was removed",
        "16 bytes after the image were removed",
    ]
    assert containers.unmapped_metadata("gif", Memory(data)) == [
        "content credentials (C2PA)", "application extension SOMETHING12", "extension 0xab", "plain text extension",
        "16 bytes after the image",
    ]  # fmt: skip


def test_a_missing_trailer_or_terminator_is_added() -> None:
    whole = header() + image(1) + b";"

    for data in (whole, whole[:-1], whole[:-2], whole[:-1] + bytes(100)):
        assert reduced("gif", data) == whole
    assert frames(whole[:-2]) == frames(whole)


def test_a_truncated_extension_after_the_last_image_is_removed() -> None:
    notices: list[str] = []

    assert reduced("gif", header() + image(1) + b"!\xfe\x30half", Metadata.STRIP, notices) == header() + image(1) + b";"
    assert notices == ["7 bytes after the image were removed"]


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"GIF89a" + bytes(6), "not the header"),
        (header()[:20], "global color table"),
        (header() + b";", "the file has no image"),
        (header(), "the file has no image"),
        (header() + image(1)[:-20], "the file ends within it"),
        (header() + image(1)[:8], "the file ends within it"),
        (header() + b"!\xfe\x30half", "the file ends within it"),
        (header() + b"!", "the file ends within it"),
        (header() + b"a comment" + image(1) + b";", "0x61 begins no block"),
        (header() + b"!\xf9\x02\0\0\0" + image(1) + b";", "2 bytes, 4 are needed"),
    ],
)
def test_broken_files_are_rejected(data: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        reduced("gif", data)


def test_small_sub_blocks_and_many_extensions_take_little_time() -> None:
    descriptor = image(1)[:11]
    files = [
        header() + descriptor + b"\x01\x00" * 400_000 + b"\0;",
        header() + b"!\xfe" + b"\x01a" * 400_000 + b"\0" + image(1) + b";",
        header() + b"!\xfe\0" * 50_000 + image(1) + b";",
        header() + (descriptor + b"\0!\xfe\0") * 20_000 + b";",
        header() + bytes(8 << 20) + image(1) + b";",
        header() + LOOP * 20_000 + image(1) + b";",
    ]
    for data in files:
        assert seconds("gif", data) < 10


def test_the_number_of_separate_pieces_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_table, "PIECES_MAX", 1000)
    descriptor = image(1)[:11]

    with pytest.raises(LimitError, match="separate pieces"):
        reduced("gif", header() + (descriptor + b"\0!\xfe\0") * 1100 + b";")


def test_large_images_and_comments_are_not_held_in_memory() -> None:
    data = header() + b"!\xfe" + blocks(bytes(8 << 20)) + image(1)[:-1] + blocks(bytes(8 << 20)) + b";"

    assert peak_bytes("gif", data) < 2 << 20
