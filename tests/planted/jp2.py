"""JPEG 2000 files and codestreams with a mark in every place that can hold one."""

import io
import struct

from PIL import Image

from tests.planted import Planted
from tests.planted.box import Marks, box
from tests.planted.heif import C2PA, profile

SIGNATURE = box(b"jP  ", b"\r\n\x87\n")
SOT, SOD = b"\xff\x90", b"\xff\x93"


def codestream(mode: str = "RGB", **options: object) -> bytes:
    """Return the codestream of a gradient, 32 x 24, without a comment."""
    image = Image.linear_gradient("L").resize((32, 24))
    out = io.BytesIO()
    image.convert(mode).save(out, "JPEG2000", no_jp2=True, **options)
    data = out.getvalue()
    at = data.index(b"\xff\x64")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">HH", marker, 2 + len(content)) + content


def with_segments(data: bytes, main: bytes, tile: bytes) -> bytes:
    """Add segments to a codestream's main header and to the header of each tile-part."""
    at = data.index(SOT)
    out = data[:at] + main
    while data[at : at + 2] == SOT:
        (length,) = struct.unpack_from(">I", data, at + 6)
        sod = data.index(SOD, at)
        out += data[at : at + 6] + struct.pack(">I", length + len(tile)) + data[at + 10 : sod] + tile
        out += data[sod : at + length]
        at += length
    return out + data[at:]


def jp2(
    coded: bytes,
    colr: bytes,
    components: int = 3,
    brands: bytes = b"jp2 " + bytes(4) + b"jp2 ",
    in_header: bytes = b"",
    before: bytes = b"",
    after: bytes = b"",
    to_the_end: bool = False,
    depth: int = 7,
) -> bytes:
    ihdr = box(b"ihdr", struct.pack(">IIHBBBB", 24, 32, components, depth, 7, 0, 1))
    header = box(b"jp2h", ihdr, box(b"colr", colr), in_header)
    jp2c = struct.pack(">I4s", 0, b"jp2c") + coded if to_the_end else box(b"jp2c", coded)
    return SIGNATURE + box(b"ftyp", brands) + header + before + jp2c + after


def enumerated(space: int) -> bytes:
    return struct.pack(">BBBI", 1, 0, 0, space)


def everywhere() -> Planted:
    marks = Marks("jp2-everywhere")
    coded = with_segments(
        codestream(tile_size=(16, 24)),
        segment(0xFF64, b"\0\1" + marks("comment in the main header")) + segment(0xFF6F, marks("unknown segment")),
        segment(0xFF64, b"\0\0" + marks("comment in tile-parts")),
    )
    coded += marks("after EOC")
    colors = b"\2\0\0" + profile(marks("ICC profile")) + marks("after the ICC profile")
    resolution = box(b"res ", box(b"resc", struct.pack(">HHHHBB", 300, 1, 300, 1, 2, 2), marks("slack in resc")))
    in_header = resolution + box(b"lbl ", marks("label")) + box(b"colr", b"\4\0\0" + marks("colr of a vendor"))
    before = (
        box(b"xml ", b"<a>" + marks("xml") + b"</a>")
        + box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), marks("XMP"))
        + box(b"uuid", b"JpgTiffExif->JP2", marks("Exif"))
        + box(b"uuid", C2PA, marks("C2PA"))
        + box(b"uinf", box(b"ulst", b"\0\1", bytes(16)), box(b"url ", bytes(4), marks("URL")))
        + box(b"jp2i", marks("intellectual property"))
        + box(b"rreq", marks("rreq"))
        + box(b"free", marks("free"))
    )
    data = jp2(
        coded, colors, brands=b"jpx " + bytes(4) + b"jpx jp2 " + marks("brands"),
        in_header=in_header, before=before, after=box(b"asoc", marks("asoc")) + marks("after the end"),
    )  # fmt: skip
    return Planted("jp2-everywhere", "jp2", data, marks, frozenset({"ICC profile"}))


def bare() -> Planted:
    marks = Marks("j2k-bare")
    coded = with_segments(
        codestream(), segment(0xFF64, b"\0\1" + marks("comment")), segment(0xFF64, b"\0\1" + marks("comment of a tile"))
    )
    return Planted("j2k-bare", "jp2", coded + marks("after EOC"), marks)


def to_the_end() -> Planted:
    """Return a file whose codestream box and last tile-part extend to the end of the file."""
    marks = Marks("jp2-to-the-end")
    coded = with_segments(codestream("L"), segment(0xFF64, b"\0\1" + marks("comment")), b"")
    at = coded.index(SOT) + 6
    coded = coded[:at] + bytes(4) + coded[at + 4 :]
    return Planted("jp2-to-the-end", "jp2", jp2(coded, enumerated(17), 1, to_the_end=True), marks)


def palette() -> Planted:
    marks = Marks("jp2-palette")
    colors = bytes(value for index in range(256) for value in (index, 255 - index, 7))
    pclr = box(b"pclr", struct.pack(">HB", 256, 3), b"\7\7\7", colors, marks("slack in pclr"))
    cmap = box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3)))
    data = jp2(codestream("L"), enumerated(16), 1, in_header=pclr + cmap)
    return Planted("jp2-palette", "jp2", data, marks)


def files() -> list[Planted]:
    return [everywhere(), bare(), to_the_end(), palette()]
