"""JPEG streams in a TIFF's strips and tiles (TIFF Technical Note 2): their end, and the metadata in them."""

import re
from collections.abc import Callable

from compressor.errors import FormatError, LimitError
from compressor.parsers.tiff import TITLE

SOI, EOI, SOS, COM, APP0, APP14, APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
# After a scan header, stuffed zeros, restart markers and fill bytes are part of the scan's data.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
PIECE_BYTES = 1 << 16
SEGMENTS_MAX = 4096
ADOBE_BYTES = 14  # length of the segment that gives the color transform

ByteRange = tuple[int, int]


def find_metadata(read: Callable[[int, int], bytes], start: int, end: int) -> tuple[int, list[ByteRange]]:
    """Return the end of the JPEG stream in start … end, and the ranges of its APPn and COM segments.

    Fill bytes (T.81 B.1.1.2) can replace such a segment: nothing moves, and decoders skip them.
    """
    if read(start, 2) != b"\xff\xd8" or end - start < 2:
        raise FormatError(TITLE, "JPEG strip", start, "no SOI")
    at = start + 2
    found: list[ByteRange] = []
    for _ in range(SEGMENTS_MAX):
        head = read(at, min(4, end - at))
        if len(head) < 2:
            return end, found
        if head[0] != 0xFF:
            raise FormatError(TITLE, "JPEG strip", at, f"expected a marker, found {head[:2].hex(' ')}")
        code = head[1]
        if code == 0xFF:
            at = _fill_end(read, at, end)
            continue
        if code == EOI:
            return at + 2, found
        length = int.from_bytes(head[2:4], "big")
        segment_end = at + 2 + length
        if length < 2 or segment_end > end or len(head) < 4:
            raise FormatError(TITLE, "JPEG strip", at, f"a segment of {length} bytes does not fit")
        if not (0xC0 <= code <= 0xCF or SOS <= code <= 0xDD or APP0 <= code <= APP15 or code == COM):
            raise FormatError(TITLE, "JPEG strip", at, f"unexpected marker ff {code:02x}")
        if code == COM or (APP0 <= code <= APP15 and not _is_adobe(code, length, read(at + 4, 5))):
            found.append((at, segment_end))
        at = _scan_end(read, segment_end, end) if code == SOS else segment_end
    raise LimitError(f"{TITLE}: JPEG strip at byte {start}: more than {SEGMENTS_MAX} segments")


def _is_adobe(code: int, length: int, name: bytes) -> bool:
    return code == APP14 and length == ADOBE_BYTES and name == b"Adobe"


def _fill_end(read: Callable[[int, int], bytes], at: int, end: int) -> int:
    """Return the offset of the last of a run of FF bytes, which begins the marker."""
    while at < end:
        piece = read(at, min(PIECE_BYTES, end - at))
        rest = len(piece.lstrip(b"\xff"))
        if rest or not piece:
            return at + len(piece) - rest - 1
        at += len(piece)
    return end


def _scan_end(read: Callable[[int, int], bytes], at: int, end: int) -> int:
    """Return the offset of the marker after a scan's data, or the end."""
    while at < end:
        piece = read(at, min(PIECE_BYTES, end - at))
        if found := MARKER.search(piece):
            return at + found.start()
        if len(piece) < 2:
            return end
        at += len(piece) - 1  # a marker may be split between two pieces
    return end
