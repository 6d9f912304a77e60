"""JPEG XL files (ISO/IEC 18181-2) and bare codestreams, reduced to the codestream.

The orientation is in the codestream; readers ignore that of Exif. Metadata in the codestream itself (profile,
names of frames and channels) can't be removed: it raises UnsupportedError.
"""

import struct
from collections.abc import Iterator

from compressor.containers import jxl_codestream, notes
from compressor.containers.container import Container
from compressor.containers.jxl_bits import TITLE
from compressor.errors import CompressorError, FormatError
from compressor.metadata import CREDENTIALS_REMOVED, removed_trailing_bytes
from compressor.parsers import boxes
from compressor.parsers.boxes import Extents
from compressor.settings import Metadata
from compressor.sniff import JXL_CODESTREAM
from compressor.spool import Readable

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
LAST = 1 << 31  # flag in the index of a jxlp box
NAMES = {b"Exif": "Exif", b"xml ": "XMP", b"jbrd": "reconstruction data of the original JPEG",
         b"jumb": notes.CREDENTIALS}  # fmt: skip


class JxlContainer(Container):
    """A JPEG XL file or a bare codestream."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield the codestream alone, in one box where it was in boxes."""
        found: list[str] = []
        if self._source.read(0, 2) == JXL_CODESTREAM:
            coded, head, trailing_bytes = Extents(self._source, [(0, self._source.size)]), b"", 0
        else:
            coded, head, trailing_bytes = codestream(self._source, found)
        size = jxl_codestream.end(coded)
        trailing_bytes += coded.size - size
        found += removed_trailing_bytes(trailing_bytes)
        notices += dict.fromkeys(found)
        if head:
            large = size + 8 >= 1 << 32
            head += struct.pack(">I4sQ", 1, b"jxlc", size + 16) if large else struct.pack(">I4s", size + 8, b"jxlc")
            yield head
        yield from boxes.read_extents(self._source, coded.slice(0, size))

    def unmapped_metadata(self) -> list[str]:
        if self._source.read(0, 2) == JXL_CODESTREAM:
            return []
        found: list[str] = []
        try:
            top, end = boxes.top_level(self._source)
        except CompressorError:
            return []
        for box in top:
            kind = self._source.read(box.content, 4) if box.kind == b"brob" else box.kind
            if kind not in (b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp", b"jxli", b"free", b"skip"):
                found.append(NAMES.get(kind, f"box {boxes.name(kind)}"))
        if end < self._source.size:
            found.append(notes.trailing_bytes(self._source.size - end))
        return notes.first_names(found)


def codestream(source: Readable, notices: list[str]) -> tuple[Extents, bytes, int]:
    """Return the codestream in a file's boxes, the boxes before it in the new file, and the number of bytes after the
    last box."""
    top, end = boxes.top_level(source)
    if source.read(0, 12) != SIGNATURE or len(top) < 2 or top[1].kind != b"ftyp":
        raise FormatError(TITLE, "ftyp", 0, "does not begin with a signature and a file type box")
    head = SIGNATURE + boxes.make(b"ftyp", b"jxl ", bytes(4), b"jxl ")
    extents: list[boxes.Extent] = []
    numbers: list[int] = []
    for box in top:
        if box.kind == b"jxll" and box.end - box.content == 1 and not extents:
            head += boxes.make(b"jxll", source.read(box.content, 1))
        elif box.kind == b"jxlc":
            numbers.append(LAST)
            extents.append((box.content, box.end - box.content))
        elif box.kind == b"jxlp" and box.end - box.content >= 4:
            numbers.append(int.from_bytes(source.read(box.content, 4), "big"))
            extents.append((box.content + 4, box.end - box.content - 4))
        elif box.kind == b"jbrd":
            notices.append("the original JPEG can no longer be reconstructed from the file")
        elif box.kind == b"jumb" or (box.kind == b"brob" and source.read(box.content, 4) == b"jumb"):
            notices.append(CREDENTIALS_REMOVED)
    if not numbers or numbers != [*range(len(numbers) - 1), len(numbers) - 1 | LAST]:
        raise FormatError(TITLE, "jxlp", None, "the parts of the codestream are incomplete or out of order")
    return Extents(source, extents), head, source.size - end
