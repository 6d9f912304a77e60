"""Reading JPEG files: headers (T.81 Annex B) and coefficient rows, against the bit-by-bit twin and against Pillow."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg.quality import estimated_quality
from compressor.jpeg.reader import read_header, read_rows
from compressor.t81 import K1_LUMINANCE, ZIGZAG
from tests.reference import huffman as reference

CORPUS = Path(os.environ.get("COMPRESSOR_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))


def photo(width, height, mode="RGB"):
    """Smooth shapes and some noise: all kinds of blocks."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + 5 * c) + y / (11 + 3 * c)) for c in range(len(mode))]
    noise = rng.normal(0, 20, (height, width, len(mode))) * (x > width / 2)[..., None]
    pixels = np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)


def jpeg(width=40, height=24, mode="RGB", **options):
    out = io.BytesIO()
    photo(width, height, mode).save(out, "JPEG", **options)
    return out.getvalue()


def pieces(data, size):
    return (data[n : n + size] for n in range(0, len(data), size or 1))


def header_of(data):
    return read_header(ByteStream([data]))


def planes_of(rows, frame):
    """Coefficients of each component (lines, blocks_per_line, 64) from coefficient rows."""
    planes = [[] for _ in frame.components]
    for row in rows:
        for plane, (first, per_line, _, v) in zip(planes, frame.layout, strict=True):
            plane.append(row[first : first + v * per_line].reshape(v, per_line, 64).copy())
    return [np.concatenate(plane) for plane in planes]


def read(data, chunk=None):
    """Coefficients, header and what is left in the stream."""
    stream = ByteStream(pieces(data, chunk or len(data)))
    header = read_header(stream)
    planes = planes_of(read_rows(stream, header), header.frame)
    return planes, header, b"".join(stream.drain())


def assert_same(planes, expected):
    for plane, want in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(plane, want)


# --- coefficients


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [1, 50, 85, 100])
def test_colour_files_decode_like_the_reference(subsampling, quality):
    data = jpeg(quality=quality, subsampling=subsampling)
    planes, header, _ = read(data)

    assert header.frame.subsampling == subsampling
    assert_same(planes, reference.decode(data))


@pytest.mark.parametrize("width, height", [(1, 1), (8, 8), (9, 7), (15, 17), (16, 16), (33, 31), (100, 3)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_odd_sizes_decode_like_the_reference(width, height, mode):
    data = jpeg(width, height, mode)

    assert_same(read(data)[0], reference.decode(data))


@pytest.mark.parametrize("options", [{"optimize": True}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("chunk", [1, 7, 64, None])
def test_optimized_tables_and_restart_intervals_decode_like_the_reference(options, chunk):
    data = jpeg(70, 90, **options)
    planes, header, _ = read(data, chunk)

    assert not header.notices
    assert_same(planes, reference.decode(data))


SAMPLINGS = [
    ("4:4:0", [(1, 2), (1, 1), (1, 1)]),
    ("4:1:1", [(4, 1), (1, 1), (1, 1)]),
    ("4:1:0", [(4, 2), (1, 1), (1, 1)]),
    ("grey", [(2, 2)]),
    ("2x2,2x1,1x2", [(2, 2), (2, 1), (1, 2)]),
    ("1x1,3x2,1x1", [(1, 1), (3, 2), (1, 1)]),
    ("4:2:2", [(2, 1), (1, 1), (1, 1), (2, 1)]),
    ("2x2,1x1,1x1,1x1", [(2, 2), (1, 1), (1, 1), (1, 1)]),
    ("4:2:2", [(2, 1), (1, 1)]),
]


@pytest.mark.parametrize("name, sampling", SAMPLINGS)
@pytest.mark.parametrize("interval", [0, 3])
def test_all_sampling_factors_decode_to_what_was_encoded(name, sampling, interval):
    inside = sampling if len(sampling) > 1 else [(1, 1)]
    planes = reference.random_planes(np.random.default_rng(3), 75, 41, inside)
    got, header, _ = read(reference.encode(planes, 75, 41, sampling, interval=interval))

    assert header.frame.subsampling == name
    assert_same(got, planes)


def test_a_scan_in_another_order_than_the_frame_is_followed():
    sampling = [(2, 1), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(4), 40, 20, sampling)

    assert_same(read(reference.encode(planes, 40, 20, sampling, order=(2, 0, 1)))[0], planes)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 13, 101, 1009, 65536, None])
@pytest.mark.parametrize("density", [0.1, 2.0])
def test_coefficients_do_not_depend_on_the_chunks(chunk, density):
    sampling = [(2, 2), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(6), 64, 64, sampling, density)
    data = reference.encode(planes, 64, 64, sampling, interval=5)
    got, _, rest = read(data + b"behind", chunk)

    assert_same(got, planes)
    assert rest == b"behind"


def test_more_data_than_a_window_holds():
    """Dense blocks, so that windows end inside rows, and restart markers in each of them."""
    sampling = [(2, 1), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(7), 2400, 16, sampling, 3.0)
    for interval in (0, 1):
        data = reference.encode(planes, 2400, 16, sampling, interval=interval)
        assert len(data) > 2**16
        assert_same(read(data)[0], planes)


def test_more_restart_markers_in_a_window_than_are_noted():
    planes = [np.zeros((100, 50, 64), int)]
    planes[0][..., 0] = np.arange(5000).reshape(100, 50) % 7

    assert_same(read(reference.encode(planes, 400, 800, [(1, 1)], interval=1))[0], planes)


def dct_matrix():
    u, x = np.mgrid[:8, :8]
    return np.where(u == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * u * np.pi / 16)


@pytest.mark.parametrize("mode", ["L", "YCbCr"])
def test_dequantized_coefficients_are_the_pixels_that_pillow_decodes(mode):
    """A.3.3 in float. libjpeg's integer IDCT is within 1 of it; YCbCr is asked for so that no colour is converted."""
    data = jpeg(45, 29, "L" if mode == "L" else "RGB", quality=90, subsampling="4:4:4")
    planes, header, _ = read(data)
    with Image.open(io.BytesIO(data)) as image:
        image.draft(mode, None)
        pixels = np.asarray(image).reshape(29, 45, -1)
    for c, plane in enumerate(planes):
        natural = np.zeros(plane.shape)
        natural[..., ZIGZAG] = plane * header.quantization[header.frame.components[c].tq].astype(float)
        blocks = dct_matrix().T @ natural.reshape(*plane.shape[:2], 8, 8) @ dct_matrix() + 128
        samples = blocks.swapaxes(1, 2).reshape(plane.shape[0] * 8, -1)[:29, :45]
        assert np.abs(np.clip(samples, 0, 255) - pixels[..., c]).max() < 1.5


def test_camera_files_decode_completely_in_any_chunks():
    """Whole and in odd chunks: the same coefficients. (Where the corpus is not present there is nothing to do.)"""
    for path in sorted(CORPUS.glob("camera/*.jpg")):
        data = path.read_bytes()
        if header_of(data).streams:
            whole, header, rest = read(data)
            parts, again, rest_again = read(data, 4099)
            assert_same(parts, whole)
            assert (header.notices, rest) == (again.notices, rest_again)


# --- headers


def test_a_header_says_what_is_in_the_file():
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


def test_sixteen_bit_quantization_tables_are_read():
    values = list(range(1, 128, 2)), list(range(300, 364))
    dqt = bytes([0, *values[0], 0x12]) + b"".join(v.to_bytes(2) for v in values[1])
    planes = reference.random_planes(np.random.default_rng(8), 8, 8, [(1, 1)])
    header = header_of(reference.encode(planes, 8, 8, [(1, 1)], dqt=dqt))

    assert header.quantization[0].tolist() == values[0]
    assert header.quantization[2].tolist() == values[1]


@pytest.mark.parametrize("mode, color", [("L", "grey"), ("RGB", "ycbcr"), ("CMYK", "cmyk")])
def test_colour_is_known(mode, color):
    assert header_of(jpeg(8, 8, mode)).color == color


def test_rgb_is_known_by_its_adobe_segment():
    header = header_of(jpeg(8, 8, keep_rgb=True))

    assert (header.adobe_transform, header.color) == (0, "rgb")


def test_what_does_not_stream_is_recognised_and_said():
    sampling = [(1, 1)] * 3
    planes = reference.random_planes(np.random.default_rng(9), 8, 8, sampling)
    plain = reference.encode(planes, 8, 8, sampling)
    sof = plain.index(b"\xff\xc0")
    cases = {
        "progressive": jpeg(progressive=True),
        "arithmetic": plain.replace(b"\xff\xc0", b"\xff\xc9", 1),
        "lossless": plain.replace(b"\xff\xc0", b"\xff\xc3", 1),
        "hierarchical": plain.replace(b"\xff\xc0", b"\xff\xc5", 1),
        "12-bit": plain[: sof + 4] + b"\x0c" + plain[sof + 5 :],
        "DNL": plain[: sof + 5] + b"\0\0" + plain[sof + 7 :],
        "own": plain[: plain.index(b"\xff\xda")] + reference.segment(0xDA, b"\1\1\0\0\x3f\0"),
        "identifier": plain[: sof + 10] + b"\2" + plain[sof + 11 :],
    }
    cases["identifier"] = plain[: sof + 10] + b"\2" + plain[sof + 11 : plain.index(b"\xff\xda")]
    cases["identifier"] += reference.segment(0xDA, b"\1\2\0\0\x3f\0")
    for word, data in cases.items():
        stream = ByteStream([data])
        header = read_header(stream)
        assert word in header.obstacle and not header.streams
        with pytest.raises(UnsupportedError, match=word):
            next(read_rows(stream, header))


def test_extended_sequential_frames_stream():
    planes = reference.random_planes(np.random.default_rng(9), 8, 8, [(1, 1)])
    got, header, _ = read(reference.encode(planes, 8, 8, [(1, 1)], sof=0xC1))

    assert header.process == "extended"
    assert_same(got, planes)


# --- what is tolerated


def test_standard_huffman_tables_stand_in_for_missing_ones():
    sampling = [(1, 1)] * 3
    planes = reference.random_planes(np.random.default_rng(10), 20, 20, sampling)

    assert_same(read(reference.encode(planes, 20, 20, sampling, dht=False))[0], planes)


def test_a_missing_eoi_is_taken_with_a_notice():
    data = jpeg()
    for end in (data[:-2], data[:-1]):
        planes, header, _ = read(end)
        assert_same(planes, reference.decode(data))
        assert header.notices == ["the file has no EOI marker"]


def test_fill_bytes_are_no_garbage():
    data = jpeg(restart_marker_blocks=1)
    filled = data
    for marker in (b"\xff\xe0", b"\xff\xdb", b"\xff\xd0", b"\xff\xd1", b"\xff\xd9"):
        filled = filled.replace(marker, b"\xff\xff\xff" + marker)
    for chunk in (1, None):
        planes, header, _ = read(filled, chunk)
        assert_same(planes, reference.decode(data))
        assert not header.notices


def test_garbage_between_segments_and_behind_the_scan_is_named():
    data = jpeg()
    dqt = data.index(b"\xff\xdb")
    planes, header, rest = read(data[:dqt] + b"garbage\xff\0" + data[dqt:-2] + b"more\xff\xd9after")

    assert_same(planes, reference.decode(data))
    assert [n.split(" bytes")[0] for n in header.notices] == ["9", "4"]
    assert rest == b"after"


def test_garbage_before_a_restart_marker_is_named():
    data = jpeg(restart_marker_blocks=1)
    planes, header, _ = read(data.replace(b"\xff\xd0", b"xx\xff\xd0", 1))

    assert_same(planes, reference.decode(data))
    assert header.notices == ["2 bytes in the scan that belong to no MCU were ignored"]


def test_segments_behind_the_scan_are_kept_apart():
    data = jpeg(restart_marker_rows=1)
    late = reference.segment(0xFE, b"late")
    planes, header, rest = read(data[:-2] + b"\xff\xd3" + reference.segment(0xDC, b"\0\x18") + late + b"\xff\xd9")

    assert [s.data for s in header.trailing] == [b"late"]
    assert (header.notices, rest) == ([], b"")


# --- what is refused


def fault(data):
    with pytest.raises(FormatError) as caught:
        read(data)
    return caught.value


def test_every_truncation_is_an_error_that_says_where():
    data = jpeg(17, 17, optimize=True)
    for end in range(len(data) - 2):
        error = fault(data[:end])
        assert error.format == "JPEG" and error.offset <= end


def test_truncation_in_the_scan_names_the_row_and_the_offset():
    data = jpeg(200, 200, quality=95)
    error = fault(data[: len(data) // 2])

    assert error.place == "SOS"
    assert "MCU row 6 of 13" in str(error)
    assert error.offset == len(data) // 2


def with_segment(marker, data):
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
        ("DQT", with_segment(0xDB, b"\0" + b"\1" * 63 + b"\0")),
        ("DQT", with_segment(0xDB, b"\x10" + b"\1" * 64)),
        ("DHT", with_segment(0xC4, b"\0" + b"\0" * 15 + b"\1")),
        ("DHT", with_segment(0xC4, b"\0\2" + b"\0" * 15 + b"ab")),
        ("DHT", with_segment(0xC4, b"\0\0\0\0\0\0\0\xff\xff" + b"\0" * 8 + b"a" * 510)),
        ("DHT", with_segment(0xC4, b"\x20\1" + b"\0" * 15 + b"a")),
        ("DRI", with_segment(0xDD, b"\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\0\1\1\x11\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x01\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x51\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x11\4")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\2\1\x11\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\0")),
        ("SOF0", with_segment(0xC0, b"\x08\0\x08\0\x08\1\1\x11\0")),
        ("SOS", with_segment(0xDA, b"\1\1\0\0\x3f\0")),
        ("FFF0", with_segment(0xF0, b"")),
        ("APP0", b"\xff\xd8\xff\xe0\0\2" + b"x" * 70000),
    ],
)
def test_broken_segments_are_named_with_their_place(place, data):
    error = fault(data)

    assert error.place == place
    assert error.offset <= len(data)


def test_scans_must_name_components_of_the_frame_and_have_their_tables():
    data = jpeg(8, 8)
    sos = data.index(b"\xff\xda")
    assert "component 9" in str(fault(data[: sos + 5] + b"\x09" + data[sos + 6 :]))
    assert "component 2" in str(fault(data[: sos + 5] + b"\x02" + data[sos + 6 :]))
    assert "0/3 is missing" in str(fault(data[: sos + 6] + b"\x30" + data[sos + 7 :]))
    assert "must be at most 3" in str(fault(data[: sos + 6] + b"\x50" + data[sos + 7 :]))
    assert "length" in str(fault(data[: sos + 4] + b"\5" + data[sos + 5 :]))
    assert "quantization table 1" in str(fault(data.replace(b"\xff\xdb\0\x43\1", b"\xff\xdb\0\x43\2")))


def test_more_than_ten_blocks_in_an_mcu_are_refused():
    planes = reference.random_planes(np.random.default_rng(1), 8, 8, [(4, 2), (2, 1), (1, 1)])

    assert "11 blocks" in str(fault(reference.encode(planes, 8, 8, [(4, 2), (2, 1), (1, 1)])))


def test_restart_markers_must_come_in_order_and_on_time():
    data = jpeg(restart_marker_blocks=1)
    assert "RST2 in MCU row 0 of 2, expected RST0" in str(fault(data.replace(b"\xff\xd0", b"\xff\xd2", 1)))
    assert "cut off" in str(fault(data.replace(b"\xff\xd0", b"\xff\xd9", 1)))
    dri = data.index(b"\xff\xdd")
    assert "cut off" in str(fault(data[: dri + 4] + b"\0\3" + data[dri + 6 :]))
    assert fault(data[: dri + 4] + b"\0\0" + data[dri + 6 :]).place == "SOS"


def test_dc_coefficients_beyond_16_bits_are_refused():
    """Differences of 2047 in every block: the 17th is past 32767."""
    planes = [np.zeros((1, 20, 64), int)]
    planes[0][0, :, 0] = 2047 * np.arange(1, 21)

    assert "DC" in str(fault(reference.encode(planes, 160, 8, [(1, 1)])))


def test_metadata_is_limited():
    segment = reference.segment(0xE1, b"x" * 65000)
    with pytest.raises(LimitError, match="bytes"):
        header_of(b"\xff\xd8" + segment * 300)
    with pytest.raises(LimitError, match="segments"):
        header_of(b"\xff\xd8" + reference.segment(0xFE, b"") * 5000)


def test_a_huge_claim_costs_one_row():
    """65535 x 65535 in under a kilobyte: the rows end in an error after little work."""
    sampling = [(2, 2), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(1), 16, 16, sampling)
    data = reference.encode(planes, 16, 16, sampling)
    sof = data.index(b"\xff\xc0")

    assert "row 0 of 4096" in str(fault(data[: sof + 5] + b"\xff" * 4 + data[sof + 9 :]))


# --- quality


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 80, 95, 99, 100])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_quality_of_libjpeg_files_is_found(quality, mode):
    assert estimated_quality(header_of(jpeg(quality=quality, mode=mode))) == quality


def test_other_tables_get_the_nearest_quality():
    table = np.clip((K1_LUMINANCE * 0.5).round() + (np.arange(64).reshape(8, 8) % 3), 1, 255).astype(int)
    data = jpeg(qtables=[table.ravel().tolist()] * 2)

    assert 60 <= estimated_quality(header_of(data)) <= 80
