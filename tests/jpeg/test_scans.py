"""JPEG in several scans: rows compared with the twin that holds the whole image, and with libjpeg."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg import scans
from compressor.jpeg.frame import Header
from compressor.jpeg.reader import read_header, read_slabs
from compressor.jpeg.scans import SCANS_MAX, Scans
from compressor.spool import BytesSource
from tests.jpeg_files import Plane, assert_same, jpeg, planes_of, read
from tests.reference import huffman
from tests.reference import progressive as reference

YCC = (0, 1, 2)
# libjpeg's own script (jpeg_simple_progression), and one with every bit in a scan of its own.
SIMPLE: list[reference.Scan] = [
    (YCC, 0, 0, 0, 1), ((0,), 1, 5, 0, 2), ((2,), 1, 63, 0, 1), ((1,), 1, 63, 0, 1), ((0,), 6, 63, 0, 2),
    ((0,), 1, 63, 2, 1), (YCC, 0, 0, 1, 0), ((2,), 1, 63, 1, 0), ((1,), 1, 63, 1, 0), ((0,), 1, 63, 1, 0),
]  # fmt: skip
BITWISE: list[reference.Scan] = [(YCC, 0, 0, 0, 9), *((YCC, 0, 0, al + 1, al) for al in range(8, -1, -1))]
BITWISE += [((c,), 1, 63, al + 1 if al < 9 else 0, al) for al in range(9, -1, -1) for c in YCC]
APART: list[reference.Scan] = [((c,), 0, 0, 0, 1) for c in YCC]
APART += [((c,), 0, 0, 1, 0) for c in YCC]
APART += [((c,), 1, 63, 0, 0) for c in YCC]


def found(data: bytes) -> tuple[Scans, Header]:
    """Return the scans of a file, and its header."""
    spool = BytesSource(data)
    header = read_header(ByteStream([data]))
    return Scans(spool, header), header


def scanned(data: bytes) -> tuple[list[Plane], Header, bytes]:
    """Return coefficients, header and the bytes after the image."""
    made, header = found(data)
    return planes_of(made.slabs(), header.frame), header, data[made.end :]


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels that Pillow decodes."""
    return np.asarray(Image.open(io.BytesIO(data)))


def fault(data: bytes) -> FormatError:
    """Return the error of reading a file."""
    with pytest.raises(FormatError) as caught:
        scanned(data)
    return caught.value


def planes_for(
    width: int, height: int, sampling: huffman.Sampling, seed: int = 1, density: float = 0.5
) -> list[huffman.Plane]:
    """Return random coefficients."""
    return huffman.random_planes(np.random.default_rng(seed), width, height, sampling, density)


def made(
    planes: Sequence[huffman.Plane],
    width: int,
    height: int,
    sampling: huffman.Sampling,
    script: Sequence[reference.Scan],
    **options: Any,
) -> bytes:
    """Return a file with these coefficients and scans."""
    return reference.encode(planes, width, height, sampling, script, **options)


# --- coefficients


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:0:0"])
@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize("width, height", [(1, 1), (8, 8), (9, 17), (40, 24), (97, 75)])
@pytest.mark.parametrize("restarts", [{}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1}])
def test_progressive_files_have_the_coefficients_of_the_baseline_files(
    subsampling: str, quality: int, width: int, height: int, restarts: dict[str, Any]
) -> None:
    mode, chosen = ("L", {}) if subsampling == "4:0:0" else ("RGB", {"subsampling": subsampling})
    options = {"quality": quality, **chosen, **restarts}
    planes, header, rest = scanned(jpeg(width, height, mode, progressive=True, **options) + b"behind")

    assert (header.process, header.notices, rest) == ("progressive", [], b"behind")
    assert_same(planes, read(jpeg(width, height, mode, **options))[0])


@pytest.mark.parametrize("script", [SIMPLE, BITWISE, APART], ids=["simple", "bitwise", "apart"])
@pytest.mark.parametrize("sampling", [[(1, 1)] * 3, [(2, 1), (1, 1), (1, 1)], [(2, 2), (1, 1), (1, 2)]], ids=str)
@pytest.mark.parametrize("options", [{}, {"intervals": (3, 0, 1)}, {"tables": (reference.LONG, reference.FLAT)}])
def test_all_scripts_decode_to_what_was_encoded(
    script: list[reference.Scan], sampling: huffman.Sampling, options: dict[str, Any]
) -> None:
    planes = planes_for(41, 35, sampling)
    data = made(planes, 41, 35, sampling, script, **options)
    want = reference.clear_dummy_blocks(planes, 41, 35, sampling, dc=script is APART)
    got, header, _ = scanned(data)

    assert not header.notices
    assert_same(got, want)
    assert_same(reference.decode(data), want)


@pytest.mark.parametrize("density", [0.001, 0.02, 3.0])
@pytest.mark.parametrize("eobrun_max", [1, 5, 0x7FFF])
@pytest.mark.parametrize("interval", [0, 7])
def test_end_of_band_runs_of_every_length(density: float, eobrun_max: int, interval: int) -> None:
    planes = planes_for(200, 90, [(1, 1)], density=density)
    script: list[reference.Scan] = [((0,), 0, 0, 0, 0), ((0,), 1, 20, 0, 3), ((0,), 21, 63, 0, 1), ((0,), 21, 63, 1, 0)]
    script += [((0,), 1, 20, al + 1, al) for al in (2, 1, 0)]
    data = made(planes, 200, 90, [(1, 1)], script, eobrun_max=eobrun_max, intervals=(interval,))

    assert_same(scanned(data)[0], planes)


def test_an_end_of_band_run_over_a_whole_image() -> None:
    planes = [np.zeros((170, 200, 64), np.int64)]
    planes[0][-1, -1, 1:] = 5
    data = made(planes, 1600, 1360, [(1, 1)], [((0,), 0, 0, 0, 0), ((0,), 1, 63, 0, 1), ((0,), 1, 63, 1, 0)])

    assert_same(scanned(data)[0], planes)


@pytest.mark.parametrize("groups", [[(0,), (1,), (2,)], [(0,), (1, 2)], [(2, 0), (1,)]], ids=str)
@pytest.mark.parametrize("sampling", [[(1, 1)] * 3, [(2, 2), (1, 1), (1, 1)], [(1, 1), (3, 2), (2, 1)]], ids=str)
@pytest.mark.parametrize("interval", [0, 5])
def test_sequential_scans_of_some_components_each(
    groups: list[tuple[int, ...]], sampling: huffman.Sampling, interval: int
) -> None:
    planes = planes_for(77, 43, sampling)
    data = made(planes, 77, 43, sampling, [(g, 0, 63, 0, 0) for g in groups], sof=0xC1, intervals=(interval,))
    got, header, _ = scanned(data)
    want = reference.decode(data)

    assert not header.streams and not header.obstacle and not header.notices
    assert_same(got, want)
    assert_same([reference.clear_dummy_blocks(got, 77, 43, sampling, dc=True)[c] for c in YCC],
                reference.clear_dummy_blocks(planes, 77, 43, sampling, dc=True))  # fmt: skip


@pytest.mark.parametrize("script", [SIMPLE, BITWISE], ids=["simple", "bitwise"])
def test_libjpeg_decodes_several_scans_to_the_pixels_of_one(script: list[reference.Scan]) -> None:
    sampling = [(2, 2), (1, 1), (1, 1)]
    planes = planes_for(41, 35, sampling, density=0.02)
    several = made(planes, 41, 35, sampling, script, intervals=(0, 3))
    one = made(planes, 41, 35, sampling, [(YCC, 0, 63, 0, 0)], sof=0xC1)

    np.testing.assert_array_equal(pixels_of(several), pixels_of(one))


def test_windows_end_inside_blocks_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are only slightly larger than a block, so that each row takes many of them."""
    sampling = [(2, 1), (1, 1), (1, 1)]
    planes = planes_for(200, 16, sampling, density=3.0)
    data = made(planes, 200, 16, sampling, SIMPLE, intervals=(0, 2))
    want = reference.clear_dummy_blocks(planes, 200, 16, sampling)
    for window in (232, 251, 300, 1000):
        monkeypatch.setattr(scans, "WINDOW", (window, 2))
        assert_same(scanned(data)[0], want)


def test_tables_that_change_between_scans_of_components_are_distinguished() -> None:
    planes = planes_for(16, 16, [(1, 1)] * 3)
    first, second = (b"\0" + bytes([q] * 64) for q in (3, 7))
    data = made(planes, 16, 16, [(1, 1)] * 3, [((c,), 0, 63, 0, 0) for c in YCC], sof=0xC1, dqts=(first, second, first))
    _, header, _ = scanned(data)

    assert [int(header.quantization[c.tq][0]) for c in header.frame.components] == [3, 7, 3]


def test_segments_between_scans_are_kept() -> None:
    planes = planes_for(16, 16, [(1, 1)] * 3)
    data = made(planes, 16, 16, [(1, 1)] * 3, SIMPLE, between=huffman.segment(0xFE, b"note"))
    _, header, _ = scanned(data)

    assert [s.data for s in (*header.segments, *header.trailing)] == [b"note"] * len(SIMPLE)


def test_a_file_without_eoi_is_accepted_if_all_bits_are_complete() -> None:
    data = jpeg(progressive=True)
    planes, header, rest = scanned(data[:-2])

    assert_same(planes, scanned(data)[0])
    assert (header.notices, rest) == (["the file has no EOI marker"], b"")


def test_ac_before_dc_is_decoded_with_a_notice() -> None:
    planes = planes_for(16, 16, [(1, 1)])
    script: list[reference.Scan] = [((0,), 1, 63, 0, 0), ((0,), 0, 0, 0, 0)]
    got, header, _ = scanned(made(planes, 16, 16, [(1, 1)], script))

    assert_same(got, planes)
    assert header.notices == ["1 scans refine coefficients in an order that T.81 does not allow"]


# --- errors


def test_every_truncation_is_an_error_with_an_offset() -> None:
    data = jpeg(17, 17, progressive=True, quality=90)
    for end in range(4, len(data) - 2):
        error = fault(data[:end])
        assert error.format == "JPEG" and error.offset is not None and error.offset <= end


def test_the_error_of_truncation_in_a_late_scan_names_scan_row_and_offset() -> None:
    data = jpeg(200, 200, progressive=True, quality=95)
    error = fault(data[:-500])

    assert error.place == "SOS" and error.offset == len(data) - 500
    assert str(error).startswith(f"JPEG: SOS at byte {error.offset}: scan 10 of 10 is cut off in MCU row ")


def test_the_error_of_truncation_between_scans_names_the_component() -> None:
    data = jpeg(60, 60, progressive=True)

    assert "before component 1 is complete, after 6 of them" in str(fault(data[: nth_scan(data, 7)]))


def nth_scan(data: bytes, number: int) -> int:
    """Return the offset of a scan's marker; `number` counts from 1."""
    at = -1
    for _ in range(number):
        at = data.index(b"\xff\xda", at + 1)
    return at


@pytest.mark.parametrize(
    "scan",
    [
        ((0,), 0, 5, 0, 0), ((0,), 5, 4, 0, 0), ((0,), 1, 64, 0, 0), ((0, 1), 1, 5, 0, 0), ((0,), 1, 5, 3, 1),
        ((0,), 1, 5, 2, 2), ((0,), 0, 0, 0, 14),
    ],
)  # fmt: skip
def test_scans_that_libjpeg_rejects_are_rejected(scan: reference.Scan) -> None:
    planes = planes_for(8, 8, [(1, 1)] * 3)
    data = made(planes, 8, 8, [(1, 1)] * 3, [(YCC, 0, 0, 0, 0)])
    components, ss, se, ah, al = scan
    bad = bytes([len(components)]) + b"".join(bytes([c + 1, 0]) for c in components) + bytes([ss, se, ah * 16 + al])

    assert "do not match" in str(fault(data[:-2] + huffman.segment(0xDA, bad) + b"\0\xff\xd9"))


def test_too_many_scans_and_too_many_visits_are_over_a_limit() -> None:
    planes = planes_for(8, 8, [(1, 1)], density=0)
    many: list[reference.Scan] = [((0,), 0, 0, 0, 0), *[((0,), 1, 1, 0, 0)] * SCANS_MAX]
    thick: list[reference.Scan] = [((0,), 0, 0, 0, 0), *[((0,), 1, 63, 0, 0)] * 17]
    for script, problem in ((many, "more than 100 scans"), (thick, "more than 1024 coefficients")):
        with pytest.raises(LimitError, match=problem):
            scanned(made(planes, 8, 8, [(1, 1)], script))


def test_a_huge_claim_ends_before_anything_is_decoded() -> None:
    data = jpeg(16, 16, progressive=True)
    sof = data.index(b"\xff\xc2")

    error = fault(data[: sof + 5] + b"\xff" * 4 + data[sof + 9 :])
    assert "bytes for" in str(error) and "blocks" in str(error)


def test_coefficients_beyond_ten_bits_are_rejected() -> None:
    planes = [np.zeros((1, 1, 64), np.int64)]
    first: list[reference.Scan] = [((0,), 0, 0, 0, 0), ((0,), 1, 63, 0, 0)]
    for value in (1023, -1023):
        planes[0][0, 0, 5] = value
        assert_same(scanned(made(planes, 8, 8, [(1, 1)], first))[0], planes)
    planes[0][0, 0, 5] = 1024
    assert "too large" in str(fault(made(planes, 8, 8, [(1, 1)], first)))
    planes[0][0, 0, 5], planes[0][0, 0, 0] = 0, 2048
    assert "too large" in str(fault(made(planes, 8, 8, [(1, 1)], first)))
    planes[0][0, 0, 0] = -2048
    assert "too large" in str(fault(made(planes, 8, 8, [(1, 1)], first)))


def test_a_component_without_a_scan_and_missing_tables_are_reported() -> None:
    data = made(planes_for(8, 8, [(1, 1)] * 3), 8, 8, [(1, 1)] * 3, [((0, 1), 0, 0, 0, 0)])
    assert found(data)[0].lacking.endswith("and 64 coefficients of component 3")
    assert "component 1 is complete" in str(fault(data[:-2]))
    dht = data.index(b"\xff\xc4")
    assert "Huffman table 0/0 is missing" in str(fault(data[: dht + 1] + b"\xfe" + data[dht + 2 :]))
    dqt = data.index(b"\xff\xdb")
    assert "quantization table 0" in str(fault(data[: dqt + 1] + b"\xfe" + data[dqt + 2 :]))


def test_coefficients_that_scans_omit_are_reported() -> None:
    planes = planes_for(8, 8, [(1, 1)] * 3)
    whole, short = (made(planes, 8, 8, [(1, 1)] * 3, scans) for scans in (SIMPLE, SIMPLE[:-1]))
    lacking = [found(data)[0].lacking for data in (whole, short)]
    assert lacking == ["", "the last bits of 63 coefficients of component 1"]


def test_the_one_pass_reader_does_not_support_several_scans() -> None:
    for data in (jpeg(progressive=True), made(planes_for(8, 8, [(1, 1)] * 3), 8, 8, [(1, 1)] * 3, SIMPLE)):
        stream = ByteStream([data])
        with pytest.raises(UnsupportedError, match="several scans"):
            next(read_slabs(stream, read_header(stream)))
