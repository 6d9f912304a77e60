"""Sizes, durations and untrusted text."""

import pytest

from compressor.humanize import (
    ENERGY_UNITS,
    common_unit,
    human_bytes,
    human_format,
    human_range,
    human_seconds,
    parse_size,
    printable,
    range_in,
)


@pytest.mark.parametrize(
    "count, text",
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (34_200_000, "34.2 MB"),
        (999_600, "1.00 MB"),
        (-1500, "-1.50 kB"),
        (3.9e12, "3.90 TB"),
        (2.5e18, "2500 PB"),
    ],
)
def test_sizes_have_three_digits(count: float, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.214, "0.21 s"),
        (12.34, "12.3 s"),
        (125, "2 min 05 s"),
        (3600, "1 h 00 min"),
        (11_045, "3 h 04 min"),
        (198_000, "2 d 07 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


@pytest.mark.parametrize("format, text", [("jpeg", "JPEG"), ("webp", "WebP"), ("jp2", "JPEG 2000"), ("jxl", "JPEG XL")])
def test_formats_are_written_as_people_write_them(format: str, text: str) -> None:
    assert human_format(format) == text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("фото 1.jpg", "фото 1.jpg"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\udcff.jpg", "\\udcff.jpg"),
        ("gpj.\u202efdp", "gpj.\\u202efdp"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).encode()


@pytest.mark.parametrize("text, count", [("0", 0), (" 64 kib ", 65536), ("1.5GB", 1_500_000_000), ("1TiB", 1 << 40)])
def test_a_size_is_parsed(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "KiB", "3q", "-1", "1e3", "1.2.3MB", "9" * 400, "nan", "inf", "1 000"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size such as 65536, 512KiB"):
        parse_size(text)


def test_half_a_byte_is_no_size() -> None:
    with pytest.raises(ValueError, match=r"'1\.5' is not a whole number of bytes"):
        parse_size("1.5")


@pytest.mark.parametrize(
    "values, unit",
    [
        ((13.0, 100.0), "J"),
        ((40.0, 7_200.0), "Wh"),  # 0.011 and 2
        ((20.0, 7_200.0), "J"),  # as Wh, the first would be 0.0056
        ((3.6e6, 4e6), "kWh"),
        ((0.0, 4e6), "kWh"),
        ((1e-3, 1e9), "J"),
        ((0.0, 0.0), "J"),
        ((), "J"),
    ],
)
def test_a_common_unit_suits_the_largest_value_and_leaves_the_smallest_legible(
    values: tuple[float, ...], unit: str
) -> None:
    assert common_unit(values, ENERGY_UNITS)[1] == unit


def test_a_range_is_in_the_unit_of_its_end_unless_another_one_is_given() -> None:
    assert human_range(1_800, 7_200, ENERGY_UNITS) == "0.5 to 2 Wh"
    assert range_in((1.0, "J"), 1_800, 7_200) == "1,800 to 7,200 J"
