"""JPEG 2000 files (T.800 annex I) and bare codestreams, reduced to what a metadata policy keeps.

The result has the file type, the header (size, depth, color, palette, channels, resolution) and the first codestream.
"""

import struct
from collections.abc import Iterator

from compressor import icc
from compressor.containers import j2k, notes
from compressor.containers.container import Container
from compressor.errors import CompressorError, FormatError, UnsupportedError
from compressor.metadata import CREDENTIALS_REMOVED, removed_trailing_bytes
from compressor.parsers import boxes
from compressor.parsers.boxes import Box, Fields
from compressor.parsers.jp2 import TITLE
from compressor.settings import Metadata
from compressor.sniff import J2K_CODESTREAM
from compressor.spool import Readable

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
# Boxes of ISO/IEC 15444-2 (JPX) and -3 (Motion JPEG 2000) that locate or combine other images.
OTHER_IMAGES = {b"ftbl", b"flst", b"comp", b"dtbl", b"jpch", b"jplh", b"jclx", b"moov", b"mdat", b"copt"}
SRGB, GREY, CMYK, LAB, JAB = 16, 17, 12, 14, 19  # enumerated color spaces (I.5.3.3, 15444-2 M.11.7.3.1)
# The enumerated color space that replaces a profile, by the data color space of the profile.
ENUMERATED = {"RGB": SRGB, "GRAY": GREY, "CMYK": CMYK}
# Names of known UUIDs.
UUIDS = {
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "XMP",
    b"JpgTiffExif->JP2": "Exif",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "IPTC",
    bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03"): "GeoTIFF",
    boxes.C2PA_UUID: notes.CREDENTIALS,
}


class Jp2Container(Container):
    """A JPEG 2000 file or a bare codestream."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield a new file with the image alone."""
        found: list[str] = []
        if self._source.read(0, 4) == J2K_CODESTREAM:
            pieces, end = j2k.reduce_codestream(self._source, 0, self._source.size)
            trailing_bytes = self._source.size - end
            head = b""
        else:
            head, pieces, trailing_bytes = _reduce_file(self._source, policy is Metadata.COLOR, found)
        found += removed_trailing_bytes(trailing_bytes)
        notices += dict.fromkeys(found)
        yield head
        yield from j2k.read_pieces(self._source, pieces)

    def unmapped_metadata(self) -> list[str]:
        found: list[str] = []
        try:
            if self._source.read(0, 4) == J2K_CODESTREAM:
                return j2k.unmapped_segments(self._source, 0, self._source.size)
            top, end = boxes.top_level(self._source)
            for box in top:
                if uuid := _uuid(self._source, box):
                    found.append(UUIDS.get(uuid, "box uuid"))
                elif box.kind == b"jp2c" and any(box.kind == other.kind and other.start < box.start for other in top):
                    found.append("additional codestreams")
                elif box.kind == b"jp2c":
                    found += j2k.unmapped_segments(self._source, box.content, box.end)
                elif box.kind == b"jp2h":
                    data = boxes.content(TITLE, self._source, box)
                    if len(_header(data, True, [])) < len(data) + 8:
                        found.append("other fields of the JP2 header")
                elif box.kind not in (b"jP  ", b"ftyp"):
                    found.append(f"box {boxes.name(box.kind)}")
            if end < self._source.size:
                found.append(notes.trailing_bytes(self._source.size - end))
        except CompressorError:
            pass
        return notes.first_names(found)


def _reduce_file(source: Readable, color: bool, notices: list[str]) -> tuple[bytes, list[j2k.Piece], int]:
    """Return the boxes before the codestream, the codestream, and the number of bytes after it that are not a box."""
    top, end = boxes.top_level(source)
    kinds = [box.kind for box in top]
    if kinds[:2] != [b"jP  ", b"ftyp"] or source.read(0, 12) != SIGNATURE:
        raise FormatError(TITLE, "ftyp", 0, "does not begin with a signature and a file type box")
    brands = boxes.content(TITLE, source, top[1])
    if b"jp2 " not in [brands[at : at + 4] for at in (0, *range(8, len(brands) - 3, 4))]:
        raise UnsupportedError(f"{TITLE}: can't remove metadata from a file that is not compatible with JP2")
    if found := sorted(OTHER_IMAGES.intersection(kinds)):
        raise UnsupportedError(f"{TITLE}: can't remove metadata from a file with a {boxes.name(found[0])} box")
    for kind in (b"jp2h", b"jp2c"):
        if kind not in kinds:
            raise FormatError(TITLE, boxes.name(kind), None, "no complete box of this type")
    header = _header(boxes.content(TITLE, source, top[kinds.index(b"jp2h")]), color, notices)
    codestream = top[kinds.index(b"jp2c")]
    pieces, last = j2k.reduce_codestream(source, codestream.content, codestream.end)
    if kinds.count(b"jp2c") > 1:
        notices.append(
            f"additional codestreams, which JP2 readers do not display, were removed: {kinds.count(b'jp2c') - 1}"
        )
    if any(_uuid(source, box) == boxes.C2PA_UUID for box in top) or b"jumb" in kinds:
        notices.append(CREDENTIALS_REMOVED)
    ftyp = boxes.make(b"ftyp", b"jp2 ", bytes(4), b"jp2 ")
    size = j2k.size(pieces) + 8
    box = struct.pack(">I4s", size, b"jp2c") if size < 1 << 32 else struct.pack(">I4sQ", 1, b"jp2c", size + 8)
    return SIGNATURE + ftyp + header + box, pieces, codestream.end - last + source.size - end


def _header(data: bytes, color: bool, notices: list[str]) -> bytes:
    """Return the JP2 header box (I.5.3) with only the boxes that are needed."""
    found = [(kind, Fields(TITLE, boxes.name(kind), content))
             for kind, content, _ in boxes.children(TITLE, data)]  # fmt: skip
    if not found or found[0][0] != b"ihdr":
        raise FormatError(TITLE, "jp2h", None, "does not begin with an image header box")
    ihdr = found[0][1].take(14)
    components = int.from_bytes(ihdr[8:10], "big")
    columns = next((content.data[2] for kind, content in found if kind == b"pclr" and len(content.data) > 2), 0)
    parts = [boxes.make(b"ihdr", ihdr[:13], b"\0")]  # IPR: no intellectual property box
    colors = 0
    for kind, fields in found[1:]:
        match kind:
            case b"colr":
                if (content := _colr(fields, color, notices)) is not None:
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
                    for kind, content, _ in boxes.children(TITLE, fields.data)
                    if kind in (b"resc", b"resd") and len(content) >= 10
                ]
                parts += [boxes.make(kind, *resolutions)] if resolutions else []
    if not colors:
        raise FormatError(TITLE, "colr", None, "no color specification that can be kept")
    return boxes.make(b"jp2h", *parts)


def _cmap(fields: Fields, components: int, columns: int) -> bytes:
    entries = fields.data
    if len(entries) % 4 or any(
        int.from_bytes(entries[at : at + 2], "big") >= components or entries[at + 2] > 1 or entries[at + 3] > columns
        for at in range(0, len(entries), 4)
    ):
        raise fields.broken("maps to a missing component or palette column")
    return entries


def _colr(fields: Fields, color: bool, notices: list[str]) -> bytes | None:
    """Return a color specification (I.5.3.3), an enumerated one in place of a profile that is removed."""
    method, precedence = fields.number(1), fields.take(2)
    if method == 1:
        space = fields.number(4)
        parameters = fields.take(min(fields.left, {LAB: 28, JAB: 24}.get(space, 0)))
        return b"\1" + precedence + struct.pack(">I", space) + parameters
    if method == 5:  # ISO/IEC 15444-2 AMD 3: code points of ITU-T H.273
        return b"\5" + precedence + fields.take(7)
    if method not in (2, 3):
        return None
    profile = fields.take(fields.left)
    if color:
        return bytes([method]) + precedence + icc.trimmed(profile)
    space_name = icc.color_space(profile)
    if space_name not in ENUMERATED:
        raise UnsupportedError(f"{TITLE}: {space_name or 'unknown'} colors are undefined without their profile")
    if not icc.profile_is_srgb(profile):
        notices.append(f"the ICC profile ({icc.profile_name(profile)}) was removed: colors will differ")
    return b"\1" + precedence + struct.pack(">I", ENUMERATED[space_name])


def _uuid(source: Readable, box: Box) -> bytes:
    return source.read(box.content, 16) if box.kind == b"uuid" and box.end - box.content >= 16 else b""
