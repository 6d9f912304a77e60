"""JPEG streams in a TIFF's strips and tiles (TIFF Technical Note 2): where they end, and where metadata are in them."""

import re
from collections.abc import Callable

from compressor.errors import FormatError, LimitError

SOI, EOI, SOS, COM, APP0, APP14, APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
# Behind a scan's header only these are part of its data: stuffed zeros, restart markers, and fill bytes.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
PIECE_BYTES = 1 << 16
SEGMENTS_MAX = 4096
ADOBE_BYTES = 14  # with its length; it says how colours are stored

Range = tuple[int, int]


def examined(read: Callable[[int, int], bytes], start: int, end: int) -> tuple[int, list[Range]]:
    """Return the end of the JPEG stream in start … end, and the ranges of its APPn and COM segments.

    Fill bytes (T.81 B.1.1.2) can take the place of such a segment: nothing moves, and decoders read past them.
    """
    if read(start, 2) != b"\xff\xd8" or end - start < 2:
        raise FormatError("TIFF", "JPEG strip", start, "no SOI")
    at = start + 2
    found: list[Range] = []
    for _ in range(SEGMENTS_MAX):
        head = read(at, min(4, end - at))
        if len(head) < 2:
            return end, found
        if head[0] != 0xFF:
            raise FormatError("TIFF", "JPEG strip", at, f"no marker, but {head[:2].hex(' ')}")
        code = head[1]
        if code == 0xFF:
            at = _behind_fill(read, at, end)
            continue
        if code == EOI:
            return at + 2, found
        length = int.from_bytes(head[2:4], "big")
        behind = at + 2 + length
        if length < 2 or behind > end or len(head) < 4:
            raise FormatError("TIFF", "JPEG strip", at, f"a segment of {length} bytes")
        if not (0xC0 <= code <= 0xCF or SOS <= code <= 0xDD or APP0 <= code <= APP15 or code == COM):
            raise FormatError("TIFF", "JPEG strip", at, f"a marker that has no place here, ff {code:02x}")
        if code == COM or (APP0 <= code <= APP15 and not _is_adobe(code, length, read(at + 4, 5))):
            found.append((at, behind))
        at = _behind_scan(read, behind, end) if code == SOS else behind
    raise LimitError(f"TIFF: JPEG strip at byte {start}: more than {SEGMENTS_MAX} segments")


def _is_adobe(code: int, length: int, name: bytes) -> bool:
    return code == APP14 and length == ADOBE_BYTES and name == b"Adobe"


def _behind_fill(read: Callable[[int, int], bytes], at: int, end: int) -> int:
    """Return where the last of a run of bytes FF is, which begins the marker."""
    while at < end:
        piece = read(at, min(PIECE_BYTES, end - at))
        rest = len(piece.lstrip(b"\xff"))
        if rest or not piece:
            return at + len(piece) - rest - 1
        at += len(piece)
    return end


def _behind_scan(read: Callable[[int, int], bytes], at: int, end: int) -> int:
    """Return where the marker behind a scan's data is, or the end."""
    while at < end:
        piece = read(at, min(PIECE_BYTES, end - at))
        if found := MARKER.search(piece):
            return at + found.start()
        if len(piece) < 2:
            return end
        at += len(piece) - 1  # a marker may lie across two pieces
    return end
