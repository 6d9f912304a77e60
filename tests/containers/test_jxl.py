"""Removal of metadata from JPEG XL: the unchanged codestream, rejected metadata in it, and broken files."""

import struct
from typing import Any

import pytest

from compressor import containers
from compressor.containers import jxl_codestream
from compressor.errors import FormatError, UnsupportedError
from compressor.parsers.boxes import Extents
from compressor.settings import Metadata
from compressor.spool import BytesSource
from tests.containers.box_support import POLICIES, mutants, reduced, survives
from tests.planted import marks_in
from tests.planted.box import box
from tests.planted.jxl import LOSSLESS, LOSSY, SECTIONS, files, jxl

FILES = {planted.name: planted for planted in files()}
CODESTREAMS = {"jxl-everywhere": LOSSY, "jxl-in-parts": SECTIONS, "jxl-bare": LOSSLESS}
each_file = pytest.mark.parametrize("planted", FILES.values(), ids=FILES)


class Writer:
    """A bit writer, least significant bit first."""

    def __init__(self) -> None:
        self._bits: list[int] = []

    def __call__(self, *fields: tuple[int, int]) -> "Writer":
        """Write values, each with its number of bits."""
        for value, count in fields:
            self._bits += [value >> bit & 1 for bit in range(count)]
        return self

    def aligned(self) -> "Writer":
        self._bits += [0] * (-len(self._bits) % 8)
        return self

    def data(self) -> bytes:
        bits = self.aligned()._bits
        return bytes(sum(bit << n for n, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8))


def signed() -> Writer:
    """Write the signature and a size of 8 x 8: div8, 1, ratio 1."""
    return Writer()((0xFF, 8), (0x0A, 8), (1, 1), (0, 5), (1, 3))


def header(*fields: tuple[int, int]) -> Writer:
    """Write an image header other than the default one. fields: those after the bit depth of 8."""
    return signed()((0, 1), (0, 1), (0, 1), (0, 2), (1, 1), *fields)


@each_file
@pytest.mark.parametrize("policy", POLICIES)
def test_only_the_codestream_is_left(planted: Any, policy: Any) -> None:
    assert marks_in(planted, planted.data) == set(planted.marks)

    result, _ = reduced(planted.data, policy)

    assert marks_in(planted, result) == set()
    assert result.endswith(CODESTREAMS[planted.name])
    assert reduced(result, policy)[0] == result


def test_the_level_and_the_codestream_in_one_box_are_kept() -> None:
    assert reduced(FILES["jxl-everywhere"].data, Metadata.STRIP)[0] == jxl(box(b"jxll", b"\x05"), box(b"jxlc", LOSSY))
    assert reduced(FILES["jxl-in-parts"].data, Metadata.STRIP)[0] == jxl(box(b"jxlc", SECTIONS))
    assert reduced(FILES["jxl-bare"].data, Metadata.STRIP)[0] == LOSSLESS


def test_removed_data_is_reported() -> None:
    assert reduced(FILES["jxl-everywhere"].data, Metadata.STRIP)[1] == [
        "content credentials (C2PA) were removed",
        "the original JPEG can no longer be reconstructed from the file",
        "32 bytes after the image were removed",
    ]
    assert reduced(FILES["jxl-bare"].data, Metadata.STRIP)[1] == ["16 bytes after the image were removed"]
    assert containers.unmapped_metadata("jxl", BytesSource(FILES["jxl-everywhere"].data)) == [
        "Exif", "XMP", "content credentials (C2PA)", "reconstruction data of the original JPEG", "box zzzz",
        "box uuid", "16 bytes after the image",
    ]  # fmt: skip


def test_frames_are_parsed_up_to_the_last_one() -> None:
    """Two frames of one section each, 3 and 5 bytes long; the first is not the last."""
    image = signed()((1, 1), (1, 1)).aligned()
    first = ((0, 1), (0, 2), (0, 1), (0, 2), (0, 2), (0, 6), (0, 2), (0, 1), (0, 2), (0, 1), (0, 2), (0, 1), (0, 2))
    image(*first, (1, 1), (0, 2))  # the loop filter's default, no extensions
    image((0, 1)).aligned()((0, 2), (3, 10)).aligned()((0xABCDEF, 24))
    image((1, 1), (0, 1)).aligned()((0, 2), (5, 10)).aligned()((0, 40))
    data = image.data()

    assert jxl_codestream.end(Extents(BytesSource(data + b"more"), [(0, len(data) + 4)])) == len(data)


@pytest.mark.parametrize(
    "data, problem",
    [
        (header((1, 2), (0, 1), (0, 2), (0, 1), (0, 2), (0, 2), (1, 2), (4, 4)).data(), "an extra channel has a name"),
        (header((0, 2), (1, 1), (0, 1), (1, 1)).data(), "the codestream has an ICC profile"),
        (header((0, 2), (1, 1), (1, 1), (1, 2), (3, 4)).data(), "the codestream has extensions"),
        (signed()((1, 1), (1, 1)).aligned()((1, 1), (1, 1)).data(), "a frame has permuted sections"),
    ],
)
@pytest.mark.parametrize("boxed", [True, False])
def test_metadata_in_the_codestream_is_rejected(data: Any, problem: str, boxed: bool) -> None:
    padded = data + bytes(64)

    with pytest.raises(UnsupportedError, match=problem):
        reduced(jxl(box(b"jxlc", padded)) if boxed else padded, Metadata.STRIP)


@pytest.mark.parametrize(
    "data, problem",
    [
        (LOSSLESS[:-1], "truncated"),
        (jxl(box(b"jxlc", LOSSLESS[:20])), "truncated"),
        (jxl(box(b"jxlc", LOSSLESS), box(b"jxlc", LOSSLESS)), "incomplete or out of order"),
        (jxl(box(b"jxlp", struct.pack(">I", 0), LOSSLESS)), "incomplete or out of order"),
        (jxl(box(b"xml ")), "incomplete or out of order"),
        (jxl(box(b"jxlc", b"\xff\x0b" + LOSSLESS)), "does not begin with its signature"),
        (jxl()[:20], "does not begin with a signature and a file type"),
    ],
)
def test_errors_describe_what_is_broken(data: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        reduced(data, Metadata.STRIP)


@each_file
def test_broken_files_end_in_an_error_or_a_result(planted: Any) -> None:
    for mutant in mutants(planted.data, seed=len(planted.data), count=1000):
        assert survives(mutant)
