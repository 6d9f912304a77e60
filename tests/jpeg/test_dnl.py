"""Heights in a DNL segment after the first scan (T.81 B.2.5)."""

from typing import Any

import numpy as np
import pytest

from compressor import pipeline
from tests.jpeg.test_scans import APART, SIMPLE, YCC, fault, found, nth_scan, scanned
from tests.jpeg_files import assert_same, header_of, jpeg, planes_of, read
from tests.reference import huffman
from tests.reference import progressive as reference

SAMPLING = [(2, 2), (1, 1), (1, 1)]
TOGETHER = [(YCC, 0, 63, 0, 0)]
ONE_BY_ONE = [((c,), 0, 63, 0, 0) for c in YCC]


def without_height(data: bytes) -> bytes:
    """Set the height in the frame header to 0."""
    sof = min(data.index(marker) for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2") if marker in data)
    return data[: sof + 5] + b"\0\0" + data[sof + 7 :]


def end_of_scan(data: bytes, number: int = 1) -> int:
    """Return the offset of the marker that ends a scan's data."""
    at = nth_scan(data, number) + 2
    at += int.from_bytes(data[at : at + 2])
    while data[at] != 0xFF or data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
        at += 1
    return at


def with_dnl(data: bytes, lines: bytes, at: int | None = None) -> bytes:
    """Insert a DNL segment, after the first scan if no offset is given."""
    at = end_of_scan(data) if at is None else at
    return data[:at] + huffman.segment(0xDC, lines) + data[at:]


def dnl_file(data: bytes, height: int) -> bytes:
    """Move the height to a DNL segment."""
    return with_dnl(without_height(data), height.to_bytes(2))


@pytest.mark.parametrize("script, sof", [(TOGETHER, 0xC1), (ONE_BY_ONE, 0xC1), (SIMPLE, 0xC2), (APART, 0xC2)], ids=str)
@pytest.mark.parametrize("height", [1, 16, 35])
@pytest.mark.parametrize("interval", [0, 3])
def test_the_height_is_that_of_the_dnl_segment(
    script: list[reference.Scan], sof: int, height: int, interval: int
) -> None:
    planes = huffman.random_planes(np.random.default_rng(1), 41, height, SAMPLING)
    plain = reference.encode(planes, 41, height, SAMPLING, script, sof=sof, intervals=(interval,))
    data = dnl_file(plain, height)
    before = header_of(data)
    assert (before.frame.height, before.dnl, before.streams, before.obstacle) == (0, True, False, "")

    got, header, rest = scanned(data + b"behind")

    assert (header.frame.height, header.notices, rest) == (height, [], b"behind")
    assert_same(got, reference.decode(plain))


def test_fill_bytes_before_the_segment_and_a_repeated_segment_are_accepted() -> None:
    data = jpeg(40, 24, progressive=True)
    again = with_dnl(dnl_file(data, 24), b"\0\x18", end_of_scan(data, 4) + 6)
    filled = again.replace(b"\xff\xdc", b"\xff\xff\xff\xdc")
    for file in (again, filled):
        made, header = found(file)
        assert_same(planes_of(made.slabs(), header.frame), scanned(data)[0])
        assert not header.notices


@pytest.mark.parametrize(
    "progressive, settings",
    [(False, {"lossless": True}), (True, {"quality": 60}), (False, {"quality": 60, "delivery": "immediate"})],
)
def test_output_has_the_height_in_its_frame_header(progressive: bool, settings: dict[str, Any]) -> None:
    plain = jpeg(120, 75, quality=95, progressive=progressive)
    made = pipeline.compress(dnl_file(plain, 75), **settings)
    planes, header, _ = scanned(made.data)

    assert (header.frame.height, header.dnl) == (75, False)
    assert_same(planes, scanned(pipeline.compress(plain, **settings).data)[0])
    assert (made.report.height, made.report.width) == (75, 120)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_missing_empty_or_wrong_segment_is_an_error_with_its_offset(progressive: bool) -> None:
    data = without_height(jpeg(40, 24, progressive=progressive))
    at = end_of_scan(data)

    error = fault(data)
    assert error.offset == at and "expected DNL" in str(error)
    error = fault(with_dnl(data, b"\0\0"))
    assert (error.place, error.offset) == ("DNL", at)
    assert fault(with_dnl(data, b"\x18")).place == "DNL"
    assert fault(with_dnl(data, b"\0\x18\0")).place == "DNL"
    error = fault(
        data[:at] + b"\xff\xfe\0\2" + huffman.segment(0xDC, b"\0\x18") + data[at:]
    )  # not directly after the scan
    assert (error.place, error.offset) == ("COM", at)
    error = fault(data[:at])
    assert error.offset == at and "ends before the next marker" in str(error)
    assert fault(data[:at] + b"\xff\xdc\0\4\0").place == "DNL"


def test_a_segment_before_the_first_scan_or_with_another_height_is_an_error() -> None:
    data = dnl_file(jpeg(40, 24), 24)
    sos = nth_scan(data, 1)
    error = fault(with_dnl(data, b"\0\x18", sos))
    assert (error.place, error.offset) == ("DNL", sos) and "must follow the first scan" in str(error)
    error = fault(with_dnl(data, b"\0\x19", len(data) - 2))
    assert (error.place, error.offset) == ("DNL", len(data) - 2) and "25 lines, after 24" in str(error)


def test_more_lines_than_were_encoded_are_an_error_and_fewer_are_reported() -> None:
    plain = jpeg(40, 24)
    error = fault(dnl_file(plain, 40))
    assert "cut off in MCU row 2 of 3 by DNL" in str(error)
    _, header, _ = scanned(dnl_file(plain, 8))
    assert "belong to no MCU" in header.notices[0]


@pytest.mark.parametrize("lines, notices", [(b"\0\x18", 0), (b"\0\x10", 1), (b"\0\0", 1), (b"", 1)])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_segment_is_ignored_if_the_frame_header_has_a_height_as_in_libjpeg(
    lines: bytes, notices: int, progressive: bool
) -> None:
    plain = jpeg(40, 24, progressive=progressive)
    reading = scanned if progressive else read
    for at in (end_of_scan(plain), nth_scan(plain, 1)):
        planes, header, _ = reading(with_dnl(plain, lines, at))
        assert_same(planes, reading(plain)[0])
        assert len(header.notices) == notices
