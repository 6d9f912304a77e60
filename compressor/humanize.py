"""Sizes, times and untrusted text in a form for people, on a terminal and on a page."""

from collections.abc import Iterable
from decimal import Decimal

ENERGY_UNITS = ((1.0, "J"), (3.6e3, "Wh"), (3.6e6, "kWh"), (3.6e9, "MWh"), (3.6e12, "GWh"))
FORMAT_TITLES = {"webp": "WebP", "jp2": "JPEG 2000", "jxl": "JPEG XL", "raw": "samples"}  # the others are abbreviations
SIZE_UNITS = {"": 1, "b": 1}
SIZE_UNITS |= {f"{prefix}ib": 1 << 10 * power for power, prefix in enumerate("kmgt", 1)}
SIZE_UNITS |= {f"{prefix}b": 10 ** (3 * power) for power, prefix in enumerate("kmgt", 1)}
MASS_UNITS = ((1e-6, "µg"), (1e-3, "mg"), (1.0, "g"), (1e3, "kg"), (1e6, "t"), (1e9, "kt"))


def human_bytes(count: float) -> str:
    """Return a size with three digits and a decimal unit: 17 B, 3.42 MB."""
    if abs(count) < 1000:
        return f"{count:.0f} B"
    units = ["PB", "TB", "GB", "MB", "kB"]
    value = count / 1000
    while abs(value) >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop()
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {units[-1]}"


def parse_size(text: str) -> int:
    """Return the bytes that a person wrote: "1048576", "1024KiB", "1.5 MiB" or "2GB" (2 * 10**9).

    Raise ValueError, with the reason, if it is no size or no whole number of bytes.
    """
    text = text.strip()
    unit = text.lstrip("0123456789.").strip().lower()
    digits = text[: len(text) - len(text.lstrip("0123456789."))]
    try:
        count = float(digits) * SIZE_UNITS[unit]
        whole = int(count)
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a size such as 65536, 512KiB, 256MiB or 2GiB") from None
    if count != whole:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return whole


def many(objects: int) -> str:
    """Return a number of objects: 1 object, 48,000 objects."""
    return f"{objects:,} object{'' if objects == 1 else 's'}"


def human_seconds(seconds: float) -> str:
    """Return a duration with one or two units: 0.21 s, 12.3 s, 2 min 05 s, 3 h 04 min, 2 d 07 h."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if hours == 0:
        return f"{minutes} min {int(seconds) % 60:02d} s"
    return f"{hours} h {minutes % 60:02d} min" if days == 0 else f"{days} d {hours % 24:02d} h"


def human_saving(share: float) -> str:
    """Return a share of the bytes that was saved, or added: 87.0% saved, 5.0% larger."""
    return f"{share:.1%} saved" if share >= 0 else f"{-share:.1%} larger"


def human_format(format: str) -> str:
    """Return the title of a format, which `sniff` names."""
    return FORMAT_TITLES.get(format, format.upper())


def human_formats(format: str, result_format: str) -> str:
    """Return the title of a source's format, with that of its result if it is another: JPEG → WebP."""
    titles = [human_format(format), *([human_format(result_format)] if result_format else [])]
    return " → ".join(titles)


def printable(text: str) -> str:
    """Return the text on one line, with escapes for characters that are not printable: control characters, lone
    surrogates, bidirectional marks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def two_digits(value: float) -> str:
    """Return a number with two significant digits, in at most ten characters: 1.6, 35, 1,500, 0.00021, 9.5e-06."""
    rounded = Decimal(f"{value:.2g}")
    if rounded == 0:
        return "0"
    return f"{rounded:,f}" if Decimal("1e-4") <= abs(rounded) < 10**6 else f"{value:.1e}"


def human_range(low: float, high: float, units: tuple[tuple[float, str], ...]) -> str:
    """Return a range with two digits, in the largest unit in which `high` is at least 1: 12 to 97 kWh."""
    return range_in(common_unit((high,), units), low, high)


def range_in(unit: tuple[float, str], low: float, high: float) -> str:
    """Return a range with two digits in a unit."""
    size, name = unit
    return f"{two_digits(low / size)} to {two_digits(high / size)} {name}"


def common_unit(values: Iterable[float], units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    """Return the largest unit in which the largest value is at least 1 and no other is less than 0.01, so that people
    can compare them; values of 0 do not count. The smallest unit if there is none."""
    sizes = [abs(value) for value in values if value]
    if not sizes:
        return units[0]
    limit = min(max(sizes), 100 * min(sizes))
    return next((unit for unit in reversed(units) if limit >= unit[0]), units[0])
