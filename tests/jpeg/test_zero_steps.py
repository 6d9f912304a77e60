"""Quantization tables with zeros, by which libjpeg multiplies: the result has the same pixels and no zeros."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor import compress
from compressor.jpeg import zero_steps
from compressor.jpeg.frame import Slab
from tests.jpeg.test_pixels import smooth_planes
from tests.jpeg_files import header_of, jpeg, read
from tests.reference.progressive import encode

SAMPLING = [(2, 2), (1, 1), (1, 1)]
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "4:4:4": {"subsampling": "4:4:4"},
}
ZEROS = {"DC": [0], "one": [5], "some": [1, 2, 3, 40, 63], "all AC": range(1, 64), "all": range(64)}


def libjpeg(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels that libjpeg decodes."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def with_zeros(data: bytes, zeros: Iterable[int], table: int = 0) -> bytes:
    """Set elements of a quantization table to zero."""
    out, at = bytearray(data), -1
    for _ in range(table + 1):
        at = data.index(b"\xff\xdb", at + 1)
    for k in zeros:
        out[at + 5 + k] = 0
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zeros", ZEROS)
def test_coefficients_with_a_step_of_zero_count_as_zero(zeros: str, kind: str) -> None:
    plain = jpeg(97, 75, quality=85, **KINDS[kind])
    for table in range(1 if kind == "grey" else 2):
        data = with_zeros(plain, ZEROS[zeros], table)
        assert (libjpeg(data) != libjpeg(plain)).any()
        choices: list[dict[str, Any]] = [
            {"lossless": True},
            {"quality": 95},
            {"effort": "fast", "quality": 95},
            {"format": "png"},
        ]
        for settings in choices:
            result = compress(data, **settings)
            notice = f"quantization table {table} has {len(ZEROS[zeros])} zeros"

            np.testing.assert_array_equal(libjpeg(result.data), libjpeg(data))
            assert sum(notice in said for said in result.report.notices) == 1
            if result.report.outcome == "compressed" and result.report.format == "jpeg":
                assert all(steps.all() for steps in read_tables(result.data))
                assert compress(result.data, **settings).data == result.data


def read_tables(data: bytes) -> list[NDArray[np.uint16]]:
    """Return the quantization tables of a file."""
    return list(header_of(data).quantization.values())


def test_a_coarser_result_makes_no_step_finer() -> None:
    data = with_zeros(jpeg(97, 75, quality=98), [1, 10, 30])
    before, result = next(iter(read_tables(data))), compress(data, quality=40)
    after = next(iter(read_tables(result.data)))

    assert result.report.path == "coefficients"
    assert (after >= before).all() and after.all()


def test_tables_that_differ_by_component_are_distinguished() -> None:
    """Three components name the same table, which changes before each of their scans; one version has a zero."""
    planes = smooth_planes(5, 64, 48, SAMPLING)
    dqts = [bytes([0] + [9] * 64), bytes([0] + [9] * 7 + [0] + [9] * 56), bytes([0] + [7] * 64)]
    data = encode(planes, 64, 48, SAMPLING, [((c,), 0, 63, 0, 0) for c in range(3)], sof=0xC1, dqts=dqts)
    choices: list[dict[str, Any]] = [{"lossless": True}, {"format": "png"}]
    for settings in choices:
        result = compress(data, **settings)
        np.testing.assert_array_equal(libjpeg(result.data), libjpeg(data))
        assert [notice for notice in result.report.notices if "zeros" in notice] == [
            "quantization table 1 has 1 zeros: the coefficients that they multiply count as 0"
        ]


def test_rows_without_zeros_are_passed_through() -> None:
    header = read(jpeg())[1]
    rows: Iterator[Slab] = iter(())
    assert zero_steps.without_zero_steps(rows, header) is rows
