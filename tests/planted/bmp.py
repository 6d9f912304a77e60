"""BMP files with marks in reserved fields, gaps, palettes, paddings and profiles of all headers."""

import struct

from tests.planted import Planted, mark
from tests.planted.profiles import wide_profile

SRGB, LINKED, EMBEDDED = 0x73524742, 0x4C494E4B, 0x4D424544
SIZES = {"core": 12, "info": 40, "v2": 52, "v3": 56, "os2": 64, "v4": 108, "v5": 124}
P3_ENDPOINTS = tuple(round(v * 2**30) for v in (0.68, 0.32, 0.0, 0.265, 0.69, 0.045, 0.15, 0.06, 0.79))


def info(
    size: int,
    width: int,
    height: int,
    bits: int,
    *,
    compression: int = 0,
    pixel_bytes: int = 0,
    density: bytes = bytes(8),
    colors: int = 0,
    rest: bytes = b"",
) -> bytes:
    """Build an information header; `rest` begins after its first 40 bytes."""
    if size == SIZES["core"]:
        return struct.pack("<I4H", size, width, height, 1, bits)
    start = struct.pack("<IiiHHII", size, width, height, 1, bits, compression, pixel_bytes)
    return (start + density + struct.pack("<II", colors, 0) + rest).ljust(size, b"\0")


def bmp(header: bytes, palette: bytes, gap: bytes, pixels: bytes, after: bytes, reserved: bytes = bytes(4)) -> bytes:
    """Put a file together."""
    offset = 14 + len(header) + len(palette) + len(gap)
    total = offset + len(pixels) + len(after)
    return b"BM" + struct.pack("<I4sI", total, reserved, offset) + header + palette + gap + pixels + after


def rows(width: int, height: int, bits: int, seed: int = 3, padding: bytes = b"\0") -> bytes:
    """Return uncompressed rows."""
    used, row = (width * bits + 7) // 8, (width * bits + 31) // 32 * 4
    lines = (bytes((x * seed + y * 5) % 256 for x in range(used)) for y in range(height))
    return b"".join(line + (padding * 4)[: row - used] for line in lines)


def palette(entries: int, entry_bytes: int = 4, reserved: bytes = b"") -> bytes:
    """Return colors, with the bytes of `reserved` where entries of four bytes have one to spare."""
    found = b""
    for index in range(entries):
        found += bytes([(index * 7) % 256, (index * 13 + 5) % 256, (255 - index) % 256])
        found += reserved[index : index + 1] or b"\0" if entry_bytes == 4 else b""
    return found


def _plain(name: str, header: bytes, colors: bytes, pixels: bytes, reserved: bool = False) -> Planted:
    marks = {place: mark(f"bmp {name} {place}") for place in ("gap", "after the pixels")}
    fields = b"\1\2\3\4" if reserved else bytes(4)
    return Planted(
        f"bmp-{name}", "bmp", bmp(header, colors, marks["gap"], pixels, marks["after the pixels"], fields), marks
    )


def plain_files() -> list[Planted]:
    """Return files of all headers that have no color space."""
    masks = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
    stray = mark("bmp os2 rest")
    os2 = _plain("os2-v2", info(64, 32, 24, 4, rest=b"\0\0\0\0\0\0\0\0" + stray), palette(16), rows(32, 24, 4))
    top_down = info(40, 32, -24, 32)
    return [
        _plain("core-8-bit", info(12, 30, 24, 8), palette(256, 3), rows(30, 24, 8)),
        _plain("core-24-bit", info(12, 31, 24, 24), b"", rows(31, 24, 24), reserved=True),
        _plain("info-1-bit", info(40, 33, 24, 1, colors=2), palette(2), rows(33, 24, 1)),
        _plain("info-8-bit-short-palette", info(40, 32, 24, 8, colors=99), palette(99), bytes(range(96)) * 8),
        _plain("info-24-bit-top-down", info(40, 31, -24, 24), b"", rows(31, 24, 24)),
        _plain("info-32-bit", top_down, b"", rows(32, 24, 32)),
        _plain("info-masks", info(40, 31, 24, 16, compression=3) + masks, b"", rows(31, 24, 16)),
        _plain("v2-16-bit", info(52, 31, 24, 16, compression=3, rest=masks), b"", rows(31, 24, 16)),
        _plain("v3-16-bit", info(56, 31, 24, 16, compression=3, rest=masks), b"", rows(31, 24, 16)),
        Planted(os2.name, "bmp", os2.data, {**os2.marks, "fields of OS/2": stray}),
    ]


def odd_places() -> Planted:
    """Build a file with marks in the endpoints of a color space that has none, and in colors beyond the depth."""
    marks = {
        place: mark(f"bmp odd {place}") for place in ("endpoints that do not count", "entries beyond the depth")
    }  # fmt: skip
    colors = palette(16) + marks["entries beyond the depth"]
    rest = bytes(16) + struct.pack("<I", SRGB) + marks["endpoints that do not count"]
    header = info(108, 32, 24, 4, colors=20, rest=rest)
    return Planted("bmp-odd-places", "bmp", bmp(header, colors, b"", rows(32, 24, 4), b""), marks)


def run_lengths(bits: int) -> Planted:
    """Build run lengths, absolute runs, deltas, and codes after the end."""
    marks = {place: mark(f"bmp rle{bits} {place}") for place in ("after the end of bitmap", "after the pixels")}
    line = bytes([20, 0x12, 0, 5, *((1, 2, 3, 4, 5, 0) if bits == 8 else (0x12, 0x34, 0x50, 0)), 7, 0x21])
    codes = (line + b"\0\0") * 22 + b"\0\2\3\1" + bytes([29, 0x33, 0, 1]) + marks["after the end of bitmap"]
    header = info(40, 32, 24, bits, compression=1 if bits == 8 else 2, pixel_bytes=len(codes), colors=1 << bits)
    data = bmp(header, palette(1 << bits), b"", codes, marks["after the pixels"])
    return Planted(f"bmp-rle{bits}", "bmp", data, marks)


def v5(space: str, before: bool = False) -> Planted:
    """Build a file with a color space of V5: embedded or linked profile, or calibrated RGB."""
    name = f"v5-{space}{'-before-pixels' if before else ''}"
    marks = {place: mark(f"bmp {name} {place}") for place in ("profile", "after the profile", "gap", "after all")}
    if space == "embedded":
        code, profile = EMBEDDED, wide_profile(marks["profile"]) + marks["after the profile"]
    elif space == "linked":
        code, profile = LINKED, b"C:\\" + marks["profile"] + b".icc\0" + marks["after the profile"]
    else:
        code, profile = 0, b""
        del marks["profile"], marks["after the profile"]
    fields = struct.pack("<9i3I", *P3_ENDPOINTS, *[round(1.8 * 65536)] * 3) if space == "calibrated" else bytes(48)
    pixels, gap = rows(31, 24, 24), marks["gap"] + bytes(4)
    at = (124 + len(gap) if before else 124 + len(gap) + len(pixels) + 4) if profile else 0
    rest = bytes(16) + struct.pack("<I", code) + fields + struct.pack("<4I", 4, at, len(profile), 0)
    header = info(124, 31, 24, 24, rest=rest)
    if before:
        data = bmp(header, b"", gap + profile, pixels, marks["after all"])
    else:
        data = bmp(header, b"", gap, pixels, bytes(4 if profile else 0) + profile + marks["after all"])
    return Planted(
        f"bmp-{name}", "bmp", data, marks, frozenset({"profile"}) if space == "embedded" else frozenset()
    )  # fmt: skip


def files() -> list[Planted]:
    """Return all of them."""
    return [
        *plain_files(),
        odd_places(),
        run_lengths(8),
        run_lengths(4),
        v5("embedded"),
        v5("embedded", before=True),
        v5("linked"),
        v5("calibrated"),
    ]
