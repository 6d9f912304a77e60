"""Removal of metadata from PNM: comments in headers and plain rasters, several images, unusual numbers."""

import pytest

from compressor import containers
from compressor.errors import FormatError, UnsupportedError
from compressor.settings import Metadata
from tests.containers.harness import Memory, frames, peak_bytes, reduced, seconds
from tests.planted import pnm


def test_headers_are_written_in_their_shortest_form() -> None:
    assert reduced("pnm", b"P5 #one\n#two\r\t2 #x\n1\n# three\n 255\nab") == b"P5\n2 1\n255\nab"
    assert reduced("pnm", b"P4# right after\n9 1 ab") == b"P4\n9 1\nab"
    assert reduced("pnm", b"P6\n001 1 65535 abcdef") == b"P6\n1 1\n65535\nabcdef"


def test_plain_rasters_are_written_without_comments() -> None:
    assert reduced("pnm", b"P1 3 2 101 # hidden\r0 1\n0") == b"P1\n3 2\n101010\n"
    assert reduced("pnm", b"P2\n2 2\n9\n007 # hidden 5\n#\n1\t\n# 3\r2 9") == b"P2\n2 2\n9\n7 1 2 9\n"
    assert reduced("pnm", b"P3 1 1 255 1 2 3") == b"P3\n1 1\n255\n1 2 3\n"


def test_only_bytes_other_than_whitespace_after_the_images_are_reported() -> None:
    for after, expected in ((b"\n", []), (b" \r\n", []), (b"\nx", ["2 bytes after the image were removed"])):
        for data in (b"P5 2 1 255\nab", b"P2 2 1 255\n7 9"):
            notices: list[str] = []
            reduced("pnm", data + after, Metadata.STRIP, notices)
            assert notices == expected


def test_additional_images_are_kept_without_comments() -> None:
    first, second = b"P5\n2 1\n255\nab", b"P6\n1 1\n255\nxyz"
    data = first + second.replace(b"P6", b"P6 # hidden") + first

    assert reduced("pnm", data) == first + second + first
    assert containers.unmapped_metadata("pnm", Memory(data)) == ["additional images"]


def test_a_truncated_additional_image_is_removed_and_its_bytes_counted() -> None:
    notices: list[str] = []

    assert reduced("pnm", b"P5 2 1 255\nabP5 9 9 255\ncut", Metadata.STRIP, notices) == b"P5\n2 1\n255\nab"
    assert notices == ["14 bytes after the image were removed"]


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_comments_are_removed_from_rasters_longer_than_the_buffer(kind: int) -> None:
    width, height = 300, 200
    samples = width * height * (3 if kind == 3 else 1)
    numbers = [b"%d" % (index * 97 % (2 if kind == 1 else 1000)) for index in range(samples)]
    header = b"P%d %d %d%s\n" % (kind, width, height, b"" if kind == 1 else b" 999")
    expected = reduced("pnm", header + b" ".join(numbers))
    for spread in (1, 7, 900, 70_000):
        comment = b" #" + b"x# 9" * spread + b"\n"
        data = header + comment.join(b" ".join(numbers[at : at + 5000]) for at in range(0, samples, 5000))
        assert reduced("pnm", data) == expected
        assert containers.unmapped_metadata("pnm", Memory(data)) == ["comments"]
    assert frames(expected) == frames(header + b" ".join(numbers))
    assert max(map(len, expected.split(b"\n"))) <= 70


@pytest.mark.parametrize("data", [b"P5 2#\n1 255\nab", b"P5 2 1 255#\nab", b"P2 2 1 255\n1#\n2"])
def test_a_comment_right_after_a_number_is_rejected(data: bytes) -> None:
    with pytest.raises(UnsupportedError, match="comment right after"):
        reduced("pnm", data)


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"P5", "width"),
        (b"P55 1 255\nabcde", "no whitespace before it"),
        (b"P5 0 1 255\n", "0 x 1 pixels"),
        (b"P5 2 1 65536\nabcd", "of 0 to 65536"),
        (b"P5 2 1 0\nab", "of 0 to 0"),
        (b"P5 -2 1 255\nab", "not a number"),
        (b"P5 11111111111 1 255\nab", "not a number"),
        (b"P5 2 1 255\na", "1 bytes, 2 are needed"),
        (b"P2 2 1 255\n1", "1 samples early"),
        (b"P2 2 1 255\n1 256", "256, but maxval is 255"),
        (b"P2 2 1 255\n1 00000000000", "more than 10 digits"),
        (b"P2 2 1 255\n1 -1", "neither digits nor whitespace"),
        (b"P1 2 1\n12", "neither digits nor whitespace"),
        (b"P5 # never ends", "width"),
    ],
)
def test_broken_files_are_rejected(data: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        reduced("pnm", data)


def test_long_comments_and_numbers_take_little_time() -> None:
    for data in (
        b"P2 1000 1000 255\n" + b"# " * 200_000 + b"\n",
        b"P2 1000 1000 255\n" + b"#\n" * 200_000,
        b"P2 300 1000 255\n" + b"7 " * 300_000,
        b"P2 1 1 255\n" + b"0" * 400_000,
        b"P1 200 2000\n" + b"1" * 400_000,
        b"P5 1 1 255\nx" * 900,
        b"P5" + b"#\n" * 200_000 + b" 1 1 255\nx",
    ):
        assert seconds("pnm", data) < 10


def test_metadata_that_a_conversion_loses_is_listed() -> None:
    assert containers.unmapped_metadata("pnm", Memory(pnm.raw_file(6).data)) == [
        "comments",
        "16 bytes after the image",
    ]


def test_large_images_and_comments_are_not_held_in_memory() -> None:
    data = b"P5 #" + b" hidden" * 500_000 + b"\n3000 3000 255\n" + bytes(9_000_000 + (1 << 20))

    assert peak_bytes("pnm", data) < 2 << 20
