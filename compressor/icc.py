"""ICC profiles (ICC.1:2022): their name, color space, and equivalence to sRGB."""

import struct

# Colorants of sRGB (IEC 61966-2-1) adapted to D50: rXYZ, gXYZ, bXYZ.
SRGB_COLORANTS = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7142))
COLORANT_TOLERANCE = 0.002
CURVE_TOLERANCE = 0.01  # a gamma of 2.2 differs from sRGB by less in the middle of the curve
TAGS_MAX = 256
HEADER_BYTES = 128


def color_space(profile: bytes) -> str:
    """Return the data color space (7.2.6) without trailing spaces ("RGB", "GRAY", …), or ""."""
    return profile[16:20].decode("ascii", "replace").strip() if len(profile) >= 20 else ""


def profile_name(profile: bytes) -> str:
    """Return the profile's description (9.2.41) for messages, or "unnamed"."""
    data = _tag(profile, b"desc")
    try:
        if data[:4] == b"desc":  # textDescriptionType of version 2
            (count,) = struct.unpack_from(">I", data, 8)
            text = data[12 : 12 + min(count, 100)].split(b"\0")[0].decode("ascii", "replace")
        elif data[:4] == b"mluc":  # multiLocalizedUnicodeType (10.15): the first record
            size, offset = struct.unpack_from(">II", data, 20)
            text = data[offset : offset + min(size, 200)].decode("utf-16-be", "replace")
        else:
            text = ""
    except struct.error:
        text = ""
    return "".join(c for c in text if c.isprintable()).strip() or "unnamed"


def trimmed(profile: bytes) -> bytes:
    """Return a profile without bytes after the size in its header (7.2.2)."""
    size = int.from_bytes(profile[:4], "big")
    return profile[:size] if HEADER_BYTES <= size < len(profile) else profile


def profile_is_srgb(profile: bytes) -> bool:
    """Return whether a profile is equivalent to sRGB, which readers assume for an image without a profile.

    For grey only the tone curve matters.
    """
    space = color_space(profile)
    if space == "GRAY":
        return _is_srgb_curve(_tag(profile, b"kTRC"))
    if space != "RGB" or _tag(profile, b"A2B0"):
        return False
    for tag, expected in zip((b"rXYZ", b"gXYZ", b"bXYZ"), SRGB_COLORANTS, strict=True):
        data = _tag(profile, tag)
        if len(data) < 20:
            return False
        found = (value / 65536 for value in struct.unpack_from(">3i", data, 8))
        if any(abs(a - b) > COLORANT_TOLERANCE for a, b in zip(found, expected, strict=True)):
            return False
    return all(_is_srgb_curve(_tag(profile, tag)) for tag in (b"rTRC", b"gTRC", b"bTRC"))


def _tag(profile: bytes, signature: bytes) -> bytes:
    """Return a tag's data (7.3), b"" where it is missing or outside the profile."""
    if len(profile) < 132:
        return b""
    (count,) = struct.unpack_from(">I", profile, 128)
    for at in range(132, min(132 + 12 * min(count, TAGS_MAX), len(profile) - 11), 12):
        found, offset, size = struct.unpack_from(">4sII", profile, at)
        if found == signature:
            return profile[offset : offset + size] if offset + size <= len(profile) else b""
    return b""


def _is_srgb_curve(data: bytes) -> bool:
    """Return whether a tone curve (curveType 10.6, parametricCurveType 10.18) is that of sRGB at 1/4, 1/2 and 3/4."""
    try:
        return all(abs(_evaluate(data, x) - ((x + 0.055) / 1.055) ** 2.4) <= CURVE_TOLERANCE for x in (0.25, 0.5, 0.75))
    except (struct.error, ValueError, IndexError, ZeroDivisionError, OverflowError):
        return False


def _evaluate(data: bytes, x: float) -> float:
    if data[:4] == b"curv":
        (count,) = struct.unpack_from(">I", data, 8)
        if count == 0:
            return x
        if count == 1:
            (gamma,) = struct.unpack_from(">H", data, 12)
            return float(x ** (gamma / 256))
        position = x * (count - 1)
        low = int(position)
        first, second = struct.unpack_from(">2H", data, 12 + 2 * min(low, count - 2))
        return float(first + (second - first) * (position - min(low, count - 2))) / 65535
    if data[:4] == b"para":
        (kind,) = struct.unpack_from(">H", data, 8)
        values = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", data, 12)]
        gamma = values[0]
        a, b = (values[1], values[2]) if kind else (1.0, 0.0)
        offset = values[3] if kind == 2 else values[5] if kind == 4 else 0.0
        power = (a * x + b) ** gamma + offset  # above the linear segment, where all three points are
        return float(complex(power).real)
    raise ValueError("not a curve")
