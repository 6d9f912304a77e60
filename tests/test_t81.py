"""The constants of T.81: their properties, and a comparison with the files of another implementation."""

import io
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor import t81

# Figure A.6, as printed: the position of each coefficient in the zig-zag sequence.
FIGURE_A6 = [
    [0, 1, 5, 6, 14, 15, 27, 28],
    [2, 4, 7, 13, 16, 26, 29, 42],
    [3, 8, 12, 17, 25, 30, 41, 43],
    [9, 11, 18, 24, 31, 40, 44, 53],
    [10, 19, 23, 32, 39, 45, 52, 54],
    [20, 22, 33, 38, 46, 51, 55, 60],
    [21, 34, 37, 47, 50, 56, 59, 61],
    [35, 36, 48, 49, 57, 58, 62, 63],
]
DC_TABLES = {"K.3": t81.K3_DC_LUMINANCE, "K.4": t81.K4_DC_CHROMINANCE}
AC_TABLES = {"K.5": t81.K5_AC_LUMINANCE, "K.6": t81.K6_AC_CHROMINANCE}
TABLES = DC_TABLES | AC_TABLES


def test_zigzag_is_a_permutation() -> None:
    assert sorted(t81.ZIGZAG.tolist()) == list(range(64))
    assert t81.ZIGZAG.dtype == np.uint8


def test_zigzag_is_the_inverse_of_figure_a6() -> None:
    assert np.array(FIGURE_A6).ravel()[t81.ZIGZAG].tolist() == list(range(64))


def test_zigzag_follows_diagonals_and_changes_direction_at_the_borders() -> None:
    v, u = np.divmod(t81.ZIGZAG.astype(int), 8)
    for dv, du, at in zip(np.diff(v), np.diff(u), range(64), strict=False):
        if abs(dv) == abs(du) == 1:
            assert dv == -du
        else:
            assert (dv, du) in ((0, 1), (1, 0))
            assert v[at] in (0, 7) or u[at] in (0, 7)


def test_zigzag_mirrors_itself() -> None:
    """The sequence is point-symmetric: the k-th from the end is 63 minus the k-th."""
    assert (t81.ZIGZAG.astype(int) + t81.ZIGZAG[::-1] == 63).all()


@pytest.mark.parametrize("table", [t81.K1_LUMINANCE, t81.K2_CHROMINANCE])
def test_quantization_tables_are_baseline(table: NDArray[np.uint16]) -> None:
    assert table.shape == (8, 8) and table.dtype == np.uint16
    assert table.min() >= 1 and table.max() <= 255


def test_quantization_tables_have_the_sums_of_annex_k() -> None:
    assert (t81.K1_LUMINANCE.sum(), t81.K2_CHROMINANCE.sum()) == (3688, 5505)
    np.testing.assert_array_equal(t81.K2_CHROMINANCE, t81.K2_CHROMINANCE.T)


def pillow_file() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", quality=50, optimize=False)
    return out.getvalue()


def test_quantization_tables_are_those_of_libjpeg_at_quality_50() -> None:
    """At quality 50 the scale is one, and the file has Annex K's tables."""
    data = pillow_file()
    for id, table in enumerate((t81.K1_LUMINANCE, t81.K2_CHROMINANCE)):
        assert bytes([0xFF, t81.DQT, 0, 67, id]) + bytes(table.ravel()[t81.ZIGZAG].tolist()) in data


def test_huffman_tables_are_those_of_libjpeg_without_optimization() -> None:
    data = pillow_file()
    for name, id in {"K.3": 0x00, "K.5": 0x10, "K.4": 0x01, "K.6": 0x11}.items():
        bits, huffval = TABLES[name]
        length = 2 + 1 + 16 + len(huffval)
        assert bytes([0xFF, t81.DHT, 0, length, id]) + bits + huffval in data


@pytest.mark.parametrize("name", TABLES)
def test_bits_has_sixteen_lengths_and_counts_the_values(name: str) -> None:
    bits, huffval = TABLES[name]

    assert len(bits) == 16
    assert len(huffval) == sum(bits)
    assert len(set(huffval)) == len(huffval)


@pytest.mark.parametrize("name", TABLES)
def test_codes_fill_all_but_the_code_of_ones(name: str) -> None:
    """Kraft's sum: C.2 keeps the longest code of all ones free, and these tables omit no other."""
    bits, _ = TABLES[name]
    longest = max(length for length, count in enumerate(bits, 1) if count)

    assert sum(Fraction(count, 2**length) for length, count in enumerate(bits, 1)) == 1 - Fraction(1, 2**longest)


@pytest.mark.parametrize("name", DC_TABLES)
def test_dc_tables_code_each_size(name: str) -> None:
    assert DC_TABLES[name][1] == bytes(range(t81.SSSS_DC_MAX + 1))


@pytest.mark.parametrize("name", AC_TABLES)
def test_ac_tables_code_each_run_with_each_size(name: str) -> None:
    pairs = {run << 4 | ssss for run in range(16) for ssss in range(1, t81.SSSS_AC_MAX + 1)}

    assert set(AC_TABLES[name][1]) == pairs | {t81.EOB, t81.ZRL}


def test_markers_are_distinct_and_in_their_ranges() -> None:
    """Table B.1: 00 is stuffing and FF is fill, so neither is a marker."""
    skip = {"SSSS_DC_MAX", "SSSS_AC_MAX", "EOB", "ZRL", "DIMENSION_MAX"}
    markers = {name: value for name, value in vars(t81).items() if name.isupper() and isinstance(value, int)}
    markers = {name: value for name, value in markers.items() if name not in skip}
    ranges = {"SOF": 0xC0, "RST": 0xD0, "APP": 0xE0}

    assert len(set(markers.values())) == len(markers) > 20
    for name, value in markers.items():
        assert value == t81.TEM or 0xC0 <= value <= 0xFE
        if name[:3] in ranges and name[3:].isdigit():
            assert value == ranges[name[:3]] + int(name[3:])


def test_a_file_of_another_encoder_has_these_markers_in_order() -> None:
    data = pillow_file()

    assert data[:2] == bytes([0xFF, t81.SOI]) and data[-2:] == bytes([0xFF, t81.EOI])
    for marker in (t81.APP0, t81.DQT, t81.SOF0, t81.DHT, t81.SOS):
        assert bytes([0xFF, marker, 0]) in data
