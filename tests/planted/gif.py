"""GIF files with marks in every extension, within extensions that are kept, and after the trailer."""

import struct

from tests.planted import Planted, mark
from tests.planted.profiles import wide_profile

WIDTH, HEIGHT = 32, 24
TABLE = bytes((37 * index + 11 * channel) % 256 for index in range(16) for channel in range(3))
MAGIC_TRAILER = bytes([1, *range(255, -1, -1), 0])


def blocks(data: bytes) -> bytes:
    """Divide data into sub-blocks."""
    parts = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def lzw(indices: bytes) -> bytes:
    """Code color indices of 4 bits, each as a literal: a clear code before the code size would grow."""
    bits, count = 0, 0
    for number, index in enumerate(indices):
        if number % 14 == 0:
            bits, count = bits | 16 << count, count + 5
        bits, count = bits | index << count, count + 5
    bits, count = bits | 17 << count, count + 5
    return bits.to_bytes((count + 7) // 8, "little")


def image(seed: int, local: bool = False, left: int = 0) -> bytes:
    """Build an image of a small rectangle."""
    width = WIDTH - left
    flags = 0x83 if local else 0
    indices = bytes((x * seed + y) % 16 for y in range(HEIGHT) for x in range(width))
    descriptor = struct.pack("<B4HB", 0x2C, left, 0, width, HEIGHT, flags)
    return descriptor + (TABLE[::-1] if local else b"") + b"\x04" + blocks(lzw(indices))


def application(name: bytes, sub_blocks: bytes) -> bytes:
    """Build an application extension."""
    return b"!\xff\x0b" + name + sub_blocks


def control(delay: int, transparent: int | None = None) -> bytes:
    """Build a graphic control extension."""
    return b"!\xf9\x04" + struct.pack("<BHB", 0x04 | (transparent is not None), delay, transparent or 0) + b"\0"


def header(version: bytes = b"GIF89a") -> bytes:
    """Build header, screen descriptor and global color table."""
    return version + struct.pack("<HHBBB", WIDTH, HEIGHT, 0xB3, 0, 0) + TABLE


def _extensions(marks: dict[str, bytes]) -> bytes:
    plain = b"!\x01\x0c" + struct.pack("<4H4B", 0, 0, 32, 8, 8, 8, 1, 2) + blocks(marks["plain text"])
    profile = wide_profile(marks["ICC profile"])
    return (
        b"!\xfe" + blocks(marks["comment"])
        + application(b"XMP DataXMP", b"<x:xmpmeta>" + marks["XMP"] + b"</x:xmpmeta>" + MAGIC_TRAILER)
        + application(b"ICCRGBG1012", blocks(profile + bytes(20) + marks["after the profile"]))
        + application(b"C2PA_GIF\1\0\0", blocks(b"jumb" + marks["C2PA"]))
        + application(b"SOMETHING12", blocks(marks["unknown application"]))
        + b"!\xab" + blocks(marks["unknown extension"])
        + plain
    )  # fmt: skip


PLACES = ("comment", "XMP", "ICC profile", "after the profile", "C2PA", "unknown application", "unknown extension",
          "plain text", "after the trailer")  # fmt: skip


def still() -> Planted:
    """Build one image with all extensions before it."""
    marks = {place: mark(f"gif still {place}") for place in PLACES}
    data = header() + _extensions(marks) + control(0, 3) + image(1) + b";" + marks["after the trailer"]
    return Planted("gif-still", "gif", data, marks, frozenset({"ICC profile"}))


def animated(loops: bytes) -> Planted:
    """Build two frames with loops and extensions between and after them."""
    name = f"gif-animated-{loops[:8].decode().lower()}"
    places = (*PLACES, "after the loop count", "second sub-block of the loops", "after a control", "between frames",
              "after the last frame")  # fmt: skip
    marks = {place: mark(f"{name} {place}") for place in places}
    count = blocks(b"\x01\x05\x00" + marks["after the loop count"])[:-1]
    data = (
        header() + application(loops, count + blocks(b"\x02" + marks["second sub-block of the loops"]))
        + _extensions(marks) + control(7) + image(1)
        + b"!\xfe" + blocks(marks["between frames"])
        + b"!\xf9\x04" + struct.pack("<BHB", 5, 9, 2) + blocks(marks["after a control"])
        + image(3, local=True, left=8)
        + b"!\xfe" + blocks(marks["after the last frame"]) + b";" + marks["after the trailer"]
    )  # fmt: skip
    return Planted(name, "gif", data, marks, frozenset({"ICC profile"}))


def without_trailer() -> Planted:
    """Build a file that ends with a comment, and another that GIF87a allows none of."""
    marks = {"comment": mark("gif no trailer")}
    data = header(b"GIF87a") + image(5) + b"\0\0!\xfe" + blocks(marks["comment"])
    return Planted("gif-without-trailer", "gif", data, marks)


def chunked_xmp() -> Planted:
    """Build XMP in sub-blocks, as some writers do, longer than one of them."""
    marks = {"XMP in sub-blocks": mark("gif chunked xmp")}
    packet = b"<x:xmpmeta>" + marks["XMP in sub-blocks"] + b" " * 300 + b"</x:xmpmeta>"
    data = header() + application(b"XMP DataXMP", blocks(packet)) + image(2) + b";"
    return Planted("gif-xmp-in-sub-blocks", "gif", data, marks)


def files() -> list[Planted]:
    """Return all of them."""
    return [still(), animated(b"NETSCAPE2.0"), animated(b"ANIMEXTS1.0"), without_trailer(), chunked_xmp()]
