"""JPEG XL files and codestreams with a mark in every place that can hold one."""

import struct

from tests.planted import Planted
from tests.planted.box import Marks, box

# A gradient of 32 x 24, lossless and by DCT, and 600 x 300 of one color, in several sections: coded by libjxl, through
# pillow-jxl-plugin 1.3.8.
LOSSLESS = bytes.fromhex("ff0ac540240800010088004b2834161e858f8282920005453ae0a0181c8118380014100300d8c55f921f6600fd")
LOSSY = bytes.fromhex(
    "ff0ac506001448003801216b1500800a9551c60d5ecef57cf9a1c362dac67586b6dab6b084b1d95e1824249419db84bb9a81a3878e2d7e7a"
    "2a2a2f2a1a04000020c3db2d018853a8247186b8db5f8496710800087da12f00"
)
SECTIONS = bytes.fromhex(
    "ff0a587910090802010048000000c0066cc0033440032c004b188b15c4888588c1e3c660ea0e00c00400071001e9d70012d750310cefb064"
    "ffe11dc7102a86e11dc7104b73071001e9d70012d750310cefb064ffe11dc7102a86e11dc7104b7307100189011d947c51c07cc7104b7307"
    "1001e92100766721727d4b73071001e92100766721727d4b73071001292b00e4462c4d7f"
)
SIGNATURE = box(b"JXL ", b"\r\n\x87\n")


def jxl(*boxes: bytes, brands: bytes = b"jxl " + bytes(4) + b"jxl ") -> bytes:
    return SIGNATURE + box(b"ftyp", brands) + b"".join(boxes)


def everywhere() -> Planted:
    marks = Marks("jxl-everywhere")
    data = jxl(
        box(b"jxll", b"\x05"),
        box(b"Exif", bytes(4), b"MM\0*", marks("Exif")),
        box(b"xml ", b"<x>" + marks("XMP") + b"</x>"),
        box(b"jumb", marks("C2PA")),
        box(b"brob", b"xml ", marks("compressed XMP")),
        box(b"jbrd", marks("restoration of a JPEG")),
        box(b"zzzz", marks("unknown box")),
        box(b"free", marks("free")),
        box(b"jxli", marks("index")),
        box(b"jxlc", LOSSY, marks("after the codestream")),
        box(b"uuid", marks("uuid")),
        marks("after the end"),
        brands=b"jxl " + bytes(4) + b"jxl " + marks("brands"),
    )
    return Planted("jxl-everywhere", "jxl", data, marks)


def in_parts() -> Planted:
    marks = Marks("jxl-in-parts")
    parts = [SECTIONS[:1], SECTIONS[1:50], b"", SECTIONS[50:]]
    numbered = [
        box(b"jxlp", struct.pack(">I", number | (number == 3) << 31), part) + box(b"xml ", marks(f"after {number}"))
        for number, part in enumerate(parts)
    ]
    return Planted("jxl-in-parts", "jxl", jxl(*numbered), marks)


def bare() -> Planted:
    marks = Marks("jxl-bare")
    return Planted("jxl-bare", "jxl", LOSSLESS + marks("after the end"), marks)


def files() -> list[Planted]:
    return [everywhere(), in_parts(), bare()]
