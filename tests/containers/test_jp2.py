"""Removal of metadata from JPEG 2000: remaining data, unchanged pixels, rejected and broken files."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import containers
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.settings import Metadata
from compressor.spool import BytesSource
from tests.containers.box_support import POLICIES, mutants, peak_bytes, reduced, shown, survives
from tests.planted import marks_in
from tests.planted.box import box
from tests.planted.heif import profile
from tests.planted.jp2 import SOT, codestream, enumerated, files, jp2, segment, with_segments

FILES = {planted.name: planted for planted in files()}
PLAIN = jp2(codestream(), enumerated(16))
each_file = pytest.mark.parametrize("planted", FILES.values(), ids=FILES)


@each_file
@pytest.mark.parametrize("policy", POLICIES)
def test_only_marks_in_color_metadata_are_left(planted: Any, policy: Any) -> None:
    assert marks_in(planted, planted.data) == set(planted.marks)

    result, _ = reduced(planted.data, policy)

    assert marks_in(planted, result) == (planted.color if policy is Metadata.COLOR else set())


@each_file
@pytest.mark.parametrize("policy", POLICIES)
def test_pixels_are_kept_and_a_second_run_changes_nothing(planted: Any, policy: Any) -> None:
    result, _ = reduced(planted.data, policy)

    np.testing.assert_array_equal(shown(result)[0], shown(planted.data)[0])
    assert reduced(result, policy)[0] == result


def test_removed_data_that_affects_the_display_is_reported() -> None:
    _, notices = reduced(FILES["jp2-everywhere"].data, Metadata.STRIP)

    assert notices == [
        "the ICC profile (sRGB built-in) was removed: colors will differ",
        "content credentials (C2PA) were removed",
        "32 bytes after the image were removed",
    ]


@pytest.mark.parametrize("mode, space, enumeration", [("RGB", b"RGB ", 16), ("L", b"GRAY", 17), ("RGBA", b"CMYK", 12)])
def test_an_enumerated_color_space_replaces_a_profile(mode: str, space: bytes, enumeration: int) -> None:
    icc = bytearray(profile(b""))
    icc[16:20] = space
    data = jp2(codestream(mode), b"\2\0\0" + bytes(icc), len(mode))
    result, _ = reduced(data, Metadata.STRIP)

    assert box(b"colr", enumerated(enumeration)) in result
    assert box(b"colr", b"\2\0\0" + bytes(icc)) in reduced(data, Metadata.COLOR)[0]


def test_the_resolution_is_kept() -> None:
    stays = box(b"res ", box(b"resc", struct.pack(">HHHHBB", 300, 1, 300, 1, 2, 2)))
    result, _ = reduced(jp2(codestream(), enumerated(16), in_header=stays), Metadata.STRIP)

    assert Image.open(io.BytesIO(result)).info["dpi"] == (762, 762)


def test_tlm_is_removed_only_where_tile_parts_became_shorter() -> None:
    coded = codestream(tile_size=(16, 24))
    lengths = segment(0xFF55, b"\0\x40" + struct.pack(">II", 100, 100))
    changed = with_segments(coded, lengths, segment(0xFF64, b"\0\1a comment"))

    assert lengths in reduced(with_segments(coded, lengths, b""), Metadata.STRIP)[0]
    assert reduced(changed, Metadata.STRIP)[0] == reduced(coded, Metadata.STRIP)[0]


def test_a_missing_eoc_is_added() -> None:
    coded = codestream()

    assert reduced(coded[:-2], Metadata.STRIP)[0] == reduced(coded, Metadata.STRIP)[0] == coded


@pytest.mark.parametrize(
    "data, problem",
    [
        (jp2(codestream(), enumerated(16), before=box(b"ftbl")), "a file with a ftbl box"),
        (jp2(codestream(), enumerated(16), brands=b"mjp2" + bytes(4) + b"mjp2"), "not compatible with JP2"),
        (jp2(codestream(), b"\2\0\0" + bytes(16) + b"Lab " + bytes(200)), "Lab colors are undefined"),
    ],
)
def test_unsupported_files_are_rejected_with_a_reason(data: Any, problem: str) -> None:
    with pytest.raises(UnsupportedError, match=problem):
        reduced(data, Metadata.STRIP)


@pytest.mark.parametrize(
    "data, problem",
    [
        (PLAIN.replace(b"jp2h", b"zzzz"), "jp2h: no complete box"),
        (PLAIN[:-20], "jp2c: no complete box"),
        (codestream()[:-20], "a tile-part of .* bytes ends outside"),
        (codestream().replace(SOT, b"\xff\x64", 1), "not a marker segment of a header"),
        (PLAIN.replace(b"colr", b"zzzz"), "no color specification"),
        (codestream()[:2] + codestream()[4:], "signature|SIZ"),
    ],
)
def test_errors_describe_what_is_broken(data: Any, problem: str) -> None:
    if data[:4] == b"\xff\x4f\0\x2f":  # not recognized as a codestream, so put into a file
        data = jp2(data, enumerated(16))

    with pytest.raises(FormatError, match=problem):
        reduced(data, Metadata.STRIP)


def test_too_many_segments_are_rejected() -> None:
    with pytest.raises(LimitError, match="marker segments"):
        reduced(with_segments(codestream(), segment(0xFF64, b"") * 270_000, b""), Metadata.STRIP)


def test_memory_does_not_grow_with_the_image() -> None:
    coded = codestream()
    at = coded.index(SOT) + 6
    coded = coded[:at] + bytes(4) + coded[at + 4 : -2] + bytes(32 << 20) + b"\xff\xd9"

    assert peak_bytes(jp2(coded, enumerated(16))) < 2 << 20


@each_file
def test_broken_files_end_in_an_error_or_a_result(planted: Any) -> None:
    for mutant in mutants(planted.data, seed=len(planted.data), count=400):
        assert survives(mutant)


def test_metadata_that_a_conversion_loses_is_listed() -> None:
    assert containers.unmapped_metadata("jp2", BytesSource(FILES["jp2-everywhere"].data)) == [
        "other fields of the JP2 header", "box xml", "XMP", "Exif",
        "content credentials (C2PA)", "box uinf", "box jp2i", "box rreq", "box free", "additional comments",
        "marker segment FF6F", "16 bytes after the image", "box asoc",
    ]  # fmt: skip
    assert containers.unmapped_metadata("jp2", BytesSource(FILES["j2k-bare"].data)) == [
        "additional comments",
        "16 bytes after the image",
    ]
    assert containers.unmapped_metadata("jp2", BytesSource(codestream())) == []


@pytest.mark.parametrize("bare", [True, False])
def test_a_conversion_of_a_plain_file_loses_nothing(bare: bool) -> None:
    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "JPEG2000", no_jp2=bare)

    assert containers.unmapped_metadata("jp2", BytesSource(out.getvalue())) == []
