"""JPEG 2000 files (ISO/IEC 15444-1 annex I) and bare codestreams, reduced to what a metadata policy keeps.

Kept: the file type, the header with size, depth, colour, palette, channels and resolution, and the first codestream.
"""

import struct
from collections.abc import Iterator

from compressor import icc
from compressor.containers import j2k
from compressor.errors import CompressorError, FormatError, UnsupportedError
from compressor.metadata import CREDENTIALS_REMOVED, removed_behind
from compressor.parsers import boxes
from compressor.parsers.boxes import Box, Fields
from compressor.settings import Metadata
from compressor.sniff import J2K_CODESTREAM
from compressor.spool import Readable

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
# Boxes of ISO/IEC 15444-2 (JPX) and -3 (Motion JPEG 2000) that say where else pictures are, or how to combine them.
OTHER_PICTURES = {b"ftbl", b"flst", b"comp", b"dtbl", b"jpch", b"jplh", b"jclx", b"moov", b"mdat", b"copt"}
SRGB, GREY, CMYK, LAB, JAB = 16, 17, 12, 14, 19  # enumerated colour spaces (I.5.3.3, 15444-2 M.11.7.3.1)
# What takes the place of a profile, by the colour space of its data.
IN_PLACE = {"RGB": SRGB, "GRAY": GREY, "CMYK": CMYK}
# UUIDs whose content has a name.
UUIDS = {
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "XMP",
    b"JpgTiffExif->JP2": "Exif",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "IPTC",
    bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03"): "GeoTIFF",
    boxes.C2PA_UUID: "content credentials (C2PA)",
}


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file with its picture alone; see `compressor.containers.without_metadata`."""
    said: list[str] = []
    if source.read(0, 4) == J2K_CODESTREAM:
        pieces, end = j2k.reduced(source, 0, source.size)
        behind = source.size - end
        head = b""
    else:
        head, pieces, behind = _reduced_file(source, policy is Metadata.COLOR, said)
    said += removed_behind(behind)
    notices += dict.fromkeys(said)
    yield head
    yield from j2k.copied(source, pieces)


def _reduced_file(source: Readable, color: bool, said: list[str]) -> tuple[bytes, list[j2k.Piece], int]:
    """Return what precedes the codestream, the codestream, and how many bytes behind it are no known box."""
    top, end = boxes.top_level(source)
    kinds = [box.kind for box in top]
    if kinds[:2] != [b"jP  ", b"ftyp"] or source.read(0, 12) != SIGNATURE:
        raise FormatError("JPEG 2000", "ftyp", 0, "does not begin with a signature and a file type box")
    brands = boxes.content("JPEG 2000", source, top[1])
    if b"jp2 " not in [brands[at : at + 4] for at in (0, *range(8, len(brands) - 3, 4))]:
        raise UnsupportedError("JPEG 2000: metadata can't be removed from a file that is not compatible with JP2")
    if found := sorted(OTHER_PICTURES.intersection(kinds)):
        raise UnsupportedError(f"JPEG 2000: metadata can't be removed from a file with a box {boxes.name(found[0])}")
    for kind in (b"jp2h", b"jp2c"):
        if kind not in kinds:
            raise FormatError("JPEG 2000", boxes.name(kind), None, "there is no complete box of this type")
    header = _header(boxes.content("JPEG 2000", source, top[kinds.index(b"jp2h")]), color, said)
    codestream = top[kinds.index(b"jp2c")]
    pieces, last = j2k.reduced(source, codestream.content, codestream.end)
    if kinds.count(b"jp2c") > 1:
        said.append(f"further codestreams were removed, which JP2 readers do not show: {kinds.count(b'jp2c') - 1}")
    if any(_uuid(source, box) == boxes.C2PA_UUID for box in top) or b"jumb" in kinds:
        said.append(CREDENTIALS_REMOVED)
    ftyp = boxes.make(b"ftyp", b"jp2 ", bytes(4), b"jp2 ")
    size = j2k.size(pieces) + 8
    box = struct.pack(">I4s", size, b"jp2c") if size < 1 << 32 else struct.pack(">I4sQ", 1, b"jp2c", size + 8)
    return SIGNATURE + ftyp + header + box, pieces, codestream.end - last + source.size - end


def _header(data: bytes, color: bool, said: list[str]) -> bytes:
    """Return the JP2 header box (I.5.3) with what is needed in it."""
    found = [(kind, Fields("JPEG 2000", boxes.name(kind), content))
             for kind, content, _ in boxes.children("JPEG 2000", data)]  # fmt: skip
    if not found or found[0][0] != b"ihdr":
        raise FormatError("JPEG 2000", "jp2h", None, "does not begin with an image header box")
    ihdr = found[0][1].take(14)
    components = int.from_bytes(ihdr[8:10], "big")
    columns = next((content.data[2] for kind, content in found if kind == b"pclr" and len(content.data) > 2), 0)
    parts = [boxes.make(b"ihdr", ihdr[:13], b"\0")]  # no box with intellectual property is left
    colors = 0
    for kind, fields in found[1:]:
        match kind:
            case b"colr":
                if (content := _colr(fields, color, said)) is not None:
                    parts.append(boxes.make(kind, content))
                    colors += 1
            case b"bpcc":
                parts.append(boxes.make(kind, fields.take(components)))
            case b"pclr":
                entries, depths = fields.take(2), fields.take(fields.number(1))
                size = int.from_bytes(entries, "big") * sum(((depth & 0x7F) + 8) // 8 for depth in depths)
                parts.append(boxes.make(kind, entries, bytes([len(depths)]), depths, fields.take(size)))
            case b"cmap":
                parts.append(boxes.make(kind, _cmap(fields, components, columns)))
            case b"cdef":
                count = fields.take(2)
                parts.append(boxes.make(kind, count, fields.take(6 * int.from_bytes(count, "big"))))
            case b"res ":
                resolutions = [
                    boxes.make(kind, content[:10])
                    for kind, content, _ in boxes.children("JPEG 2000", fields.data)
                    if kind in (b"resc", b"resd") and len(content) >= 10
                ]
                parts += [boxes.make(kind, *resolutions)] if resolutions else []
    if not colors:
        raise FormatError("JPEG 2000", "colr", None, "there is no colour specification that can be kept")
    return boxes.make(b"jp2h", *parts)


def _cmap(fields: Fields, components: int, columns: int) -> bytes:
    entries = fields.data
    if len(entries) % 4 or any(
        int.from_bytes(entries[at : at + 2], "big") >= components or entries[at + 2] > 1 or entries[at + 3] > columns
        for at in range(0, len(entries), 4)
    ):
        raise fields.broken("maps a component or column that is not there")
    return entries


def _colr(fields: Fields, color: bool, said: list[str]) -> bytes | None:
    """Return a colour specification (I.5.3.3); an enumerated one in place of a profile that goes."""
    method, precedence = fields.number(1), fields.take(2)
    if method == 1:
        space = fields.number(4)
        parameters = fields.take(min(fields.left, {LAB: 28, JAB: 24}.get(space, 0)))
        return b"\1" + precedence + struct.pack(">I", space) + parameters
    if method == 5:  # ISO/IEC 15444-2 AMD 3: code points as of ITU-T H.273
        return b"\5" + precedence + fields.take(7)
    if method not in (2, 3):
        return None
    profile = fields.take(fields.left)
    if color:
        return bytes([method]) + precedence + icc.whole(profile)
    space_name = icc.color_space(profile)
    if space_name not in IN_PLACE:
        raise UnsupportedError(
            f"JPEG 2000: colours of type {space_name or 'unknown'} mean nothing without their profile"
        )
    if not icc.is_srgb(profile):
        said.append(f"the ICC profile ({icc.name(profile)}) was removed: colours will differ")
    return b"\1" + precedence + struct.pack(">I", IN_PLACE[space_name])


def _uuid(source: Readable, box: Box) -> bytes:
    return source.read(box.content, 16) if box.kind == b"uuid" and box.end - box.content >= 16 else b""


def uncarried(source: Readable) -> list[str]:
    """Name what the file has besides the pixels, the ICC profile, the resolution and a comment."""
    found: list[str] = []
    try:
        if source.read(0, 4) == J2K_CODESTREAM:
            return j2k.uncarried(source, 0, source.size)
        top, end = boxes.top_level(source)
        for box in top:
            if uuid := _uuid(source, box):
                found.append(UUIDS.get(uuid, "box uuid"))
            elif box.kind == b"jp2c" and any(box.kind == other.kind and other.start < box.start for other in top):
                found.append("further codestreams")
            elif box.kind == b"jp2c":
                found += j2k.uncarried(source, box.content, box.end)
            elif box.kind == b"jp2h":
                data = boxes.content("JPEG 2000", source, box)
                if len(_header(data, True, [])) < len(data) + 8:
                    found.append("what the header has besides size, colours and resolution")
            elif box.kind not in (b"jP  ", b"ftyp"):
                found.append(f"box {boxes.name(box.kind)}")
        if end < source.size:
            found.append(f"{source.size - end} bytes behind the image")
    except CompressorError:
        pass
    return list(dict.fromkeys(found))[:20]
