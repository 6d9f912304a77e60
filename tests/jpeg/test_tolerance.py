"""Defects of a JPEG that are tolerated, as by libjpeg, and defects that are errors although libjpeg continues.

libjpeg shows something for nearly any file: it fills lost parts with grey, and reports them in a warning that nobody
sees. Here the result replaces the source, so lost parts must not be replaced: they are an error, and the file is kept.
"""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor import pipeline
from compressor.errors import FormatError
from tests.jpeg.test_scans import scanned
from tests.jpeg_files import assert_same, fault, jpeg, read
from tests.reference.huffman import K_TABLES, code_words, encode, encode_scan, random_planes, segment, stuffed

PLAIN = jpeg(40, 24)
RESTARTS = jpeg(40, 24, restart_marker_blocks=1)
LATER = jpeg(40, 24, progressive=True)
SOS, DQT, DHT, SOF = (PLAIN.index(marker) for marker in (b"\xff\xda", b"\xff\xdb", b"\xff\xc4", b"\xff\xc0"))


def libjpeg(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels that libjpeg decodes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def without_tables(data: bytes) -> bytes:
    """Remove DHT, as in frames of Motion JPEG."""
    while b"\xff\xc4" in data:
        at = data.index(b"\xff\xc4")
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]
    return data


def wide_tables(data: bytes, pq: int = 1) -> bytes:
    """Give the first quantization table 16-bit elements, in a baseline frame."""
    dqt = data.index(b"\xff\xdb")
    table = b"".join(bytes([0, q]) for q in data[dqt + 5 : dqt + 69])
    return data[:dqt] + segment(0xDB, bytes([pq << 4]) + table) + data[dqt + 69 :]


def thumbnail(data: bytes) -> bytes:
    """Insert a thumbnail in JFIF."""
    return data[:2] + segment(0xE0, data[6:18] + b"\2\2" + b"rgb" * 4) + data[20:]


def identifiers(data: bytes, *ids: int) -> bytes:
    """Set identifiers in the frame header and in the scan header."""
    out = bytearray(data)
    for n, id in enumerate(ids):
        out[SOF + 10 + 3 * n] = out[SOS + 5 + 2 * n] = id
    return bytes(out)


TOLERATED = {
    "garbage between segments": (PLAIN, PLAIN[:DQT] + b"junk\xff\0" + PLAIN[DQT:], "6 bytes between"),
    "stuffed zeros after the last MCU": (PLAIN, PLAIN[:-2] + b"\xff\0\xff\0\xff\xd9", "2 bytes in the scan"),
    "zeros after the last MCU": (PLAIN, PLAIN[:-2] + bytes(100) + b"\xff\xd9", "100 bytes in the scan"),
    "zeros after the last scan": (LATER, LATER[:-2] + bytes(100) + b"\xff\xd9", "100 bytes in scan 10"),
    "fill bytes": (PLAIN, PLAIN.replace(b"\xff\xdb", b"\xff\xff\xff\xdb"), ""),
    "fill bytes before a stuffed zero": (PLAIN, PLAIN[:SOS] + PLAIN[SOS:].replace(b"\xff\0", b"\xff\xff\xff\0"), ""),
    "no Huffman tables": (PLAIN, without_tables(PLAIN), ""),
    "a baseline frame with 16-bit tables": (PLAIN, wide_tables(PLAIN), ""),
    "Ss, Se, Ah and Al of zero": (PLAIN, PLAIN[: SOS + 11] + b"\0\0\0" + PLAIN[SOS + 14 :], ""),
    "Ss, Se, Ah and Al of nonsense": (PLAIN, PLAIN[: SOS + 11] + b"\x07\x99\x77" + PLAIN[SOS + 14 :], ""),
    "a thumbnail in JFIF": (PLAIN, thumbnail(PLAIN), ""),
    "a thumbnail of another size than it says": (PLAIN, thumbnail(PLAIN).replace(b"\2\2rgb", b"\2\3rgb"), ""),
    "JFIF of version 2": (PLAIN, PLAIN.replace(b"JFIF\0\1", b"JFIF\0\2"), ""),
    "a restart interval larger than the image": (PLAIN, PLAIN[:SOS] + segment(0xDD, b"\xff\xff") + PLAIN[SOS:], ""),
    "components of one identifier": (PLAIN, identifiers(PLAIN, 1, 1, 1), "by their order"),
    "two components of one identifier": (PLAIN, identifiers(PLAIN, 1, 2, 2), "by their order"),
    "identifiers of other standards": (PLAIN, identifiers(PLAIN, 0, 255, 7), ""),
    "an unknown marker segment": (PLAIN, PLAIN[:DQT] + segment(0xEB, b"what?") + PLAIN[DQT:], ""),
    "APP11 of length 0": (PLAIN, PLAIN[:DQT] + b"\xff\xeb\0\0" + PLAIN[DQT:], "APP11 at byte 20 has length 0"),
    "APP1 of length 1": (PLAIN, PLAIN[:SOS] + b"\xff\xe1\0\1" + PLAIN[SOS:], "has length 1: taken as 2"),
    "a comment of length 0": (LATER, LATER[:-2] + b"\xff\xfe\0\0\xff\xd9", "COM at byte"),
    "an empty DQT and an empty DHT": (PLAIN, PLAIN[:DQT] + segment(0xDB, b"") + segment(0xC4, b"") + PLAIN[DQT:], ""),
    "Pq of 15 for 16-bit elements": (PLAIN, wide_tables(PLAIN, 15), ""),
    "conditioning for arithmetic coding": (PLAIN, PLAIN[:DQT] + segment(0xCC, b"\0\x10") + PLAIN[DQT:], ""),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_files_that_libjpeg_decodes_without_loss_are_accepted(name: str) -> None:
    plain, data, notice = TOLERATED[name]
    reading = scanned if plain is LATER else read

    planes, header, _ = reading(data)

    assert_same(planes, reading(plain)[0])
    assert [notice in reported for reported in header.notices] == [True] * bool(notice)
    np.testing.assert_array_equal(libjpeg(data), libjpeg(plain))
    made = pipeline.compress(data, lossless=True).data
    np.testing.assert_array_equal(libjpeg(made), libjpeg(plain))


def test_a_dnl_segment_may_be_shorter_than_its_length() -> None:
    planes, header, _ = read(PLAIN[:-2] + b"\xff\xdc\0\1\xff\xd9")

    assert_same(planes, read(PLAIN)[0])
    assert "DNL at byte" in header.notices[0] and "0 lines instead of 24 was ignored" in header.notices[1]


def test_repeated_identifiers_become_distinct_in_the_output() -> None:
    for ids, want in (((1, 1, 1), [1, 2, 3]), ((1, 1, 2), [1, 3, 2]), ((255, 255, 255), [255, 1, 2])):
        data = identifiers(jpeg(160, 120, quality=95), *ids)
        made = pipeline.compress(data, quality=50).data

        assert [component.id for component in read(made)[1].frame.components] == want
        assert header_color(made) == "ycbcr"


def header_color(data: bytes) -> str:
    """Return the color space of a file."""
    return read(data)[1].color


def test_a_run_of_zeros_over_the_end_of_a_block_ends_it() -> None:
    """DC of 0, then ZRL four times: one zero more than fits."""
    planes = random_planes(np.random.default_rng(1), 8, 8, [(1, 1)], 0)
    planes[0][0, 0] = 0
    dc, ac = (code_words(*K_TABLES[key]) for key in (0x00, 0x10))
    plain = encode(planes, 8, 8, [(1, 1)])
    data = plain[: -2 - len(encode_scan(planes, 8, 8, [(1, 1)], [0], [(dc, ac)]))] + stuffed(dc[0] + ac[0xF0] * 4)

    assert_same(read(data + b"\xff\xd9")[0], planes)
    np.testing.assert_array_equal(libjpeg(data + b"\xff\xd9"), libjpeg(plain))


REFUSED = {
    # libjpeg fills lost parts with grey (jpeg_fill_bit_buffer), or guesses them (jpeg_resync_to_restart).
    "cut off in the scan": (PLAIN[:-40] + b"\xff\xd9", "cut off"),
    "a restart marker of the wrong number": (RESTARTS.replace(b"\xff\xd1", b"\xff\xd3", 1), "expected RST1"),
    "a restart marker missing": (RESTARTS.replace(b"\xff\xd1", b"", 1), "RST"),
    "a restart marker where none is expected": (PLAIN[:-20] + b"\xff\xd0" + PLAIN[-20:], "cut off"),
    "a restart interval that is not kept": (PLAIN[:SOS] + segment(0xDD, b"\0\1") + PLAIN[SOS:], "expected RST0"),
    # libjpeg skips any number, up to the next 0xFF.
    "much garbage between segments": (PLAIN[:DQT] + bytes(70_000) + PLAIN[DQT:], "more than 65536 bytes"),
}
REFUSED_BY_BOTH = {
    "DQT of length 0": (PLAIN[:DQT] + b"\xff\xdb\0\0" + PLAIN[DQT:], "length 0"),
    "DHT of length 1": (PLAIN[:DHT] + b"\xff\xc4\0\1" + PLAIN[DHT:], "length 1"),
    "DRI of length 0": (PLAIN[:SOS] + b"\xff\xdd\0\0" + PLAIN[SOS:], "length 0"),
    "a second SOI": (PLAIN[:DQT] + b"\xff\xd8" + PLAIN[DQT:], "not allowed here"),
    "a second frame header": (PLAIN[:SOS] + PLAIN[SOF : SOF + 19] + PLAIN[SOS:], "second frame header"),
    "no frame header": (PLAIN[:SOF] + PLAIN[SOF + 19 :], "before any frame header"),
    "no quantization table": (PLAIN.replace(b"\xff\xdb\0\x43\1", b"\xff\xdb\0\x43\3"), "table 1 of component 2"),
    "a reserved marker": (PLAIN[:DQT] + segment(0xF0, b"") + PLAIN[DQT:], "not allowed here"),
    "another scan of the same": (PLAIN[:-2] + PLAIN[SOS:], "a scan after all components"),
    "no Huffman tables for progressive scans": (without_tables(LATER), "is missing"),
    "no width": (PLAIN[: SOF + 7] + b"\0\0" + PLAIN[SOF + 9 :], "width 0"),
    "sampling factors of five": (PLAIN[: SOF + 11] + b"\x52" + PLAIN[SOF + 12 :], "5x2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_libjpeg_decodes_with_loss_are_an_error(name: str) -> None:
    data, problem = REFUSED[name]

    assert problem in str(fault(data))
    with pytest.raises(FormatError):
        pipeline.compress(data)
    assert libjpeg(data).shape == (24, 40, 3)


@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
def test_files_that_libjpeg_rejects_are_an_error(name: str) -> None:
    data, problem = REFUSED_BY_BOTH[name]

    with pytest.raises(FormatError, match=problem):
        pipeline.compress(data)
    with pytest.raises((OSError, SyntaxError, ValueError)):
        libjpeg(data)
