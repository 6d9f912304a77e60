"""JPEG headers (T.81 Annex B): parsing, errors, and the quality of the tables."""

import numpy as np
import pytest
from PIL import ImageCms

from compressor.bytestream import ByteStream
from compressor.errors import LimitError, UnsupportedError
from compressor.jpeg.quality import estimated_quality
from compressor.jpeg.reader import read_header, read_slabs
from compressor.t81 import K1_LUMINANCE
from tests.jpeg_files import assert_same, fault, header_of, jpeg, read
from tests.reference import huffman as reference


def test_a_header_describes_the_file() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = jpeg(40, 24, quality=85, comment=b"hello", icc_profile=profile, subsampling="4:2:0", restart_marker_blocks=2)
    header = header_of(data)
    frame = header.frame

    assert (frame.width, frame.height, frame.precision, header.process) == (40, 24, 8, "baseline")
    assert [(c.id, c.h, c.v, c.tq) for c in frame.components] == [(1, 2, 2, 0), (2, 1, 1, 1), (3, 1, 1, 1)]
    assert (frame.mcus_per_row, frame.mcu_rows, frame.blocks_per_row) == (3, 2, 18)
    assert frame.layout.tolist() == [[0, 6, 2, 2], [12, 3, 1, 1], [15, 3, 1, 1]]
    assert (header.color, header.restart_interval, header.jfif) == ("ycbcr", 2, True)
    assert [s.marker for s in header.segments] == [0xE0, 0xE2, 0xFE]
    assert header.segments[1].data == b"ICC_PROFILE\0\1\1" + profile
    assert header.segments[2].data == b"hello"
    assert data[header.offset - 3 : header.offset] == b"\0\x3f\0"
    assert sorted(header.huffman) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_sixteen_bit_quantization_tables_are_read() -> None:
    values = list(range(1, 128, 2)), list(range(300, 364))
    dqt = bytes([0, *values[0], 0x12]) + b"".join(v.to_bytes(2) for v in values[1])
    planes = reference.random_planes(np.random.default_rng(8), 8, 8, [(1, 1)])
    header = header_of(reference.encode(planes, 8, 8, [(1, 1)], dqt=dqt))

    assert header.quantization[0].tolist() == values[0]
    assert header.quantization[2].tolist() == values[1]


@pytest.mark.parametrize("mode, color", [("L", "grey"), ("RGB", "ycbcr"), ("CMYK", "cmyk")])
def test_the_color_space_is_recognized(mode: str, color: str) -> None:
    assert header_of(jpeg(8, 8, mode)).color == color


def test_rgb_is_recognized_by_its_adobe_segment() -> None:
    header = header_of(jpeg(8, 8, keep_rgb=True))

    assert (header.adobe_transform, header.color) == (0, "rgb")


def test_files_that_do_not_stream_are_recognized_with_the_reason() -> None:
    sampling = [(1, 1)] * 3
    planes = reference.random_planes(np.random.default_rng(9), 8, 8, sampling)
    plain = reference.encode(planes, 8, 8, sampling)
    sof = plain.index(b"\xff\xc0")
    cases = {
        "arithmetic": plain.replace(b"\xff\xc0", b"\xff\xc9", 1),
        "lossless": plain.replace(b"\xff\xc0", b"\xff\xc3", 1),
        "hierarchical": plain.replace(b"\xff\xc0", b"\xff\xc5", 1),
        "12-bit": plain[: sof + 4] + b"\x0c" + plain[sof + 5 :],
        "arithmetic progressive": plain.replace(b"\xff\xc0", b"\xff\xca", 1),
        "arithmetic lossless": plain.replace(b"\xff\xc0", b"\xff\xcb", 1),
        "hierarchical coding": plain[:2] + reference.segment(0xDE, plain[sof + 4 : sof + 19]) + plain[2:],
        "JPEG-LS": plain.replace(b"\xff\xc0", b"\xff\xf7", 1),
        "5 components": plain[:sof]
        + reference.segment(0xC0, b"\x08\0\x08\0\x08\5" + bytes(b for c in range(1, 6) for b in (c, 17, 0)))
        + plain[sof + 19 :],
    }
    for word, data in cases.items():
        stream = ByteStream([data])
        header = read_header(stream)
        assert word in header.obstacle and not header.streams
        with pytest.raises(UnsupportedError, match=word):
            next(read_slabs(stream, header))


def test_extended_sequential_frames_stream() -> None:
    planes = reference.random_planes(np.random.default_rng(9), 8, 8, [(1, 1)])
    got, header, _ = read(reference.encode(planes, 8, 8, [(1, 1)], sof=0xC1))

    assert header.process == "extended"
    assert_same(got, planes)


def with_segment(marker: int, data: bytes) -> bytes:
    """Insert a segment into a file."""
    plain = jpeg(8, 8)
    return plain[:2] + reference.segment(marker, data) + plain[2:]


@pytest.mark.parametrize(
    "place, data",
    [
        ("SOI", b""),
        ("SOI", b"\x89PNG"),
        ("APP0", b"\xff\xd8\xff\xe0\0\1"),
        ("APP0", b"\xff\xd8\xff\xe0\xff\xff" + b"x" * 1000),
        ("SOI", with_segment(0xE1, b"x").replace(b"\xff\xe1", b"\xff\xd8")),
        ("EOI", b"\xff\xd8\xff\xd9"),
        ("DQT", with_segment(0xDB, b"\0" + b"\1" * 63)),
        ("DQT", with_segment(0xDB, b"\4" + b"\1" * 64)),
        ("DQT", with_segment(0xDB, b"\x10" + b"\1" * 64)),
        ("DHT", with_segment(0xC4, b"\0" + b"\0" * 15 + b"\1")),
        ("DHT", with_segment(0xC4, b"\0\0\0\0\0\0\0\xff\xff" + b"\0" * 8 + b"a" * 510)),
        ("DHT", with_segment(0xC4, b"\x20\1" + b"\0" * 15 + b"a")),
        ("DRI", with_segment(0xDD, b"\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\0\1\1\x11\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x01\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x51\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x11\4")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\2\1\x11\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\0")),
        ("SOF0", with_segment(0xC0, b"\x09\0\x08\0\x08\1\1\x11\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x11\0")),
        ("SOS", with_segment(0xDA, b"\1\1\0\0\x3f\0")),
        ("FFF0", with_segment(0xF0, b"")),
        ("APP0", b"\xff\xd8\xff\xe0\0\2" + b"x" * 70000),
    ],
)
def test_broken_segments_are_errors_with_their_marker(place: str, data: bytes) -> None:
    error = fault(data)

    assert error.place == place
    assert error.offset is not None and error.offset <= len(data)


def test_scans_must_name_components_of_the_frame_and_have_their_tables() -> None:
    data = jpeg(8, 8)
    sos = data.index(b"\xff\xda")
    assert "component 9" in str(fault(data[: sos + 5] + b"\x09" + data[sos + 6 :]))
    assert "component 2" in str(fault(data[: sos + 5] + b"\x02" + data[sos + 6 :]))
    assert "0/3 is missing" in str(fault(data[: sos + 6] + b"\x30" + data[sos + 7 :]))
    assert "0/5 is missing" in str(fault(data[: sos + 6] + b"\x50" + data[sos + 7 :]))
    assert "length" in str(fault(data[: sos + 4] + b"\5" + data[sos + 5 :]))
    assert "quantization table 1" in str(fault(data.replace(b"\xff\xdb\0\x43\1", b"\xff\xdb\0\x43\2")))


def test_tables_that_no_scan_uses_may_be_invalid() -> None:
    """libjpeg checks codes when it needs them (jpeg_make_d_derived_tbl), and never checks elements."""
    data = jpeg(8, 8)
    want = read(data)[0]
    for marker, unused, used in ((0xDB, b"\3", b"\0"), (0xC4, b"\3", b"\0"), (0xC4, b"\x13", b"\x10")):
        body = b"\1" * 63 + b"\0" if marker == 0xDB else b"\2" + b"\0" * 15 + b"ab"
        assert_same(read(data[:2] + reference.segment(marker, unused + body) + data[2:])[0], want)
        sos = data.index(b"\xff\xda")
        if marker == 0xC4:
            error = fault(data[:sos] + reference.segment(marker, used + body) + data[sos:])
            assert error.place == "SOS" and "more codes of length 1" in str(error)


def test_more_than_ten_blocks_in_an_mcu_are_rejected() -> None:
    planes = reference.random_planes(np.random.default_rng(1), 8, 8, [(4, 2), (2, 1), (1, 1)])

    assert "11 blocks" in str(fault(reference.encode(planes, 8, 8, [(4, 2), (2, 1), (1, 1)])))


def test_metadata_is_limited() -> None:
    segment = reference.segment(0xE1, b"x" * 65000)
    with pytest.raises(LimitError, match="bytes"):
        header_of(b"\xff\xd8" + segment * 300)
    with pytest.raises(LimitError, match="segments"):
        header_of(b"\xff\xd8" + reference.segment(0xFE, b"") * 5000)


# --- quality


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 80, 95, 99, 100])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_quality_of_libjpeg_files_is_found(quality: int, mode: str) -> None:
    assert estimated_quality(header_of(jpeg(quality=quality, mode=mode))) == quality


def test_other_tables_get_the_nearest_quality() -> None:
    table = np.clip((K1_LUMINANCE * 0.5).round() + (np.arange(64).reshape(8, 8) % 3), 1, 255).astype(int)
    data = jpeg(qtables=[table.ravel().tolist()] * 2)

    quality = estimated_quality(header_of(data))
    assert quality is not None and 60 <= quality <= 80
