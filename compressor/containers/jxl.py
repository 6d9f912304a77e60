"""JPEG XL files (ISO/IEC 18181-2) and bare codestreams, reduced to the codestream.

Orientation is in the codestream, and that of Exif is one that readers ignore. What would have to be taken out of the
codestream itself is refused: a profile in it, names of frames and channels.
"""

import struct
from collections.abc import Iterator

from compressor.containers import jxl_codestream
from compressor.errors import CompressorError, FormatError
from compressor.metadata import CREDENTIALS_REMOVED, removed_behind
from compressor.parsers import boxes
from compressor.parsers.boxes import Pieces
from compressor.settings import Metadata
from compressor.sniff import JXL_CODESTREAM
from compressor.spool import Readable

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
LAST = 1 << 31  # of the number of a jxlp box
NAMES = {b"Exif": "Exif", b"xml ": "XMP", b"jbrd": "what the JPEG it was made of needs to be restored",
         b"jumb": "content credentials (C2PA)"}  # fmt: skip


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the codestream alone, in its box where it was in boxes; see `compressor.containers.without_metadata`."""
    said: list[str] = []
    if source.read(0, 2) == JXL_CODESTREAM:
        coded, head, behind = Pieces(source, [(0, source.size)]), b"", 0
    else:
        coded, head, behind = _coded(source, said)
    size = jxl_codestream.end(coded)
    behind += coded.size - size
    said += removed_behind(behind)
    notices += dict.fromkeys(said)
    if head:
        large = size + 8 >= 1 << 32
        head += struct.pack(">I4sQ", 1, b"jxlc", size + 16) if large else struct.pack(">I4s", size + 8, b"jxlc")
        yield head
    yield from boxes.copied(source, coded.parts(0, size))


def _coded(source: Readable, said: list[str]) -> tuple[Pieces, bytes, int]:
    """Return the codestream in a file's boxes, what precedes it in the new file, and bytes that are no box."""
    top, end = boxes.top_level(source)
    if source.read(0, 12) != SIGNATURE or len(top) < 2 or top[1].kind != b"ftyp":
        raise FormatError("JPEG XL", "ftyp", 0, "does not begin with a signature and a file type box")
    head = SIGNATURE + boxes.make(b"ftyp", b"jxl ", bytes(4), b"jxl ")
    parts: list[boxes.Part] = []
    numbers: list[int] = []
    for box in top:
        if box.kind == b"jxll" and box.end - box.content == 1 and not parts:
            head += boxes.make(b"jxll", source.read(box.content, 1))
        elif box.kind == b"jxlc":
            numbers.append(LAST)
            parts.append((box.content, box.end - box.content))
        elif box.kind == b"jxlp" and box.end - box.content >= 4:
            numbers.append(int.from_bytes(source.read(box.content, 4), "big"))
            parts.append((box.content + 4, box.end - box.content - 4))
        elif box.kind == b"jbrd":
            said.append("the JPEG that the file was made of can't be restored any more")
        elif box.kind == b"jumb" or (box.kind == b"brob" and source.read(box.content, 4) == b"jumb"):
            said.append(CREDENTIALS_REMOVED)
    if not numbers or numbers != [*range(len(numbers) - 1), len(numbers) - 1 | LAST]:
        raise FormatError("JPEG XL", "jxlp", None, "the parts of the codestream are not complete and in order")
    return Pieces(source, parts), head, source.size - end


def uncarried(source: Readable) -> list[str]:
    """Name what the file has besides its codestream."""
    if source.read(0, 2) == JXL_CODESTREAM:
        return []
    found: list[str] = []
    try:
        top, end = boxes.top_level(source)
    except CompressorError:
        return []
    for box in top:
        kind = source.read(box.content, 4) if box.kind == b"brob" else box.kind
        if kind not in (b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp", b"jxli", b"free", b"skip"):
            found.append(NAMES.get(kind, f"box {boxes.name(kind)}"))
    if end < source.size:
        found.append(f"{source.size - end} bytes behind the image")
    return list(dict.fromkeys(found))[:20]
