"""JPEG 2000 codestreams (T.800 annex A), reduced to what is needed to decode them."""

import struct
from collections.abc import Iterator, Sequence

from compressor.containers import notes
from compressor.errors import FormatError, LimitError
from compressor.parsers.boxes import Extent
from compressor.parsers.jp2 import TITLE
from compressor.spool import CHUNK_BYTES, Readable

SOC, SIZ, SOT, SOD, EOC, TLM = 0xFF4F, 0xFF51, 0xFF90, 0xFF93, 0xFFD9, 0xFF55
CME = 0xFF64
# Marker segments with coding parameters: T.800 table A.2 and, from the second row, T.801 table A.2. CME, a comment, and
# all others are removed.
KEPT = {
    SIZ, 0xFF50, 0xFF52, 0xFF53, TLM, 0xFF56, 0xFF57, 0xFF58, 0xFF59, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F, 0xFF60, 0xFF61,
    0xFF63, 0xFF70, 0xFF71, 0xFF72, 0xFF73, 0xFF74, 0xFF75, 0xFF76, 0xFF77, 0xFF78, 0xFF79,
}  # fmt: skip
SEGMENTS_MAX = 1 << 18  # in all headers
TILE_PARTS_MAX = 1 << 17

# A piece of a new file: an extent of the source, or new bytes.
Piece = Extent | bytes


def reduce_codestream(source: Readable, start: int, end: int) -> tuple[list[Piece], int]:
    """Return the pieces of the reduced codestream that begins at `start`, and its end in the source, at most `end`."""
    return _Codestream(source, start, end).reduce()


def unmapped_segments(source: Readable, start: int, end: int) -> list[str]:
    """Return names of what a codestream has besides coded data and one comment."""
    codestream = _Codestream(source, start, end)
    _, last = codestream.reduce()
    found = ["additional comments"] if codestream.dropped.pop(CME, 0) > 1 else []
    found += [f"marker segment {marker:04X}" for marker in codestream.dropped]
    return found + ([notes.trailing_bytes(end - last)] if last < end else [])


def read_pieces(source: Readable, pieces: Sequence[Piece]) -> Iterator[bytes]:
    """Yield the bytes of pieces, in chunks of at most CHUNK_BYTES where they come from the source."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        else:
            for at in range(piece[0], sum(piece), CHUNK_BYTES):
                yield source.read(at, min(CHUNK_BYTES, sum(piece) - at))


def size(pieces: Sequence[Piece]) -> int:
    """Return the total bytes of pieces."""
    return sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)


class _Codestream:
    def __init__(self, source: Readable, start: int, end: int) -> None:
        self._source, self._at, self._end = source, start, end
        self._segments = self._tile_parts = 0
        self._main: list[tuple[int, Extent]] = []
        self._rest: list[Piece] = []
        self._shorter = False  # whether some tile-part became shorter
        self.dropped: dict[int, int] = {}  # number of segments by marker

    def reduce(self) -> tuple[list[Piece], int]:
        if self._word(self._at) != SOC or self._word(self._at + 2) != SIZ:
            raise self._broken("SOC", "does not begin with SOC and SIZ")
        self._at += 2
        self._main = self._header(SOT)
        while (marker := self._word(self._at)) == SOT:
            self._tile_part()
        if marker not in (EOC, -1) or self._tile_parts == 0:
            raise self._broken("EOC", "expected a tile-part or the end of the codestream")
        end = min(self._at + 2, self._end)
        main = [part for marker, part in self._main if not (marker == TLM and self._shorter)]
        pieces: list[Piece] = [SOC.to_bytes(2, "big"), *main, *self._rest, EOC.to_bytes(2, "big")]
        return _merge(pieces), end

    def _header(self, last: int) -> list[tuple[int, Extent]]:
        """Read the marker segments up to the marker `last` and return those to keep."""
        kept: list[tuple[int, Extent]] = []
        while (marker := self._word(self._at)) != last:
            self._segments += 1
            if self._segments > SEGMENTS_MAX:
                raise LimitError(f"{TITLE}: more than {SEGMENTS_MAX} marker segments")
            length = self._word(self._at + 2)
            if not 0xFF4F < marker <= 0xFF8F or length < 2:
                raise self._broken("header", "not a marker segment of a header")
            if marker == SIZ and length != 38 + 3 * self._word(self._at + 38):
                raise self._broken("SIZ", "its length does not match the number of components")
            if marker in KEPT:
                kept.append((marker, (self._at, 2 + length)))
            else:
                self.dropped[marker] = self.dropped.get(marker, 0) + 1
            self._at += 2 + length
        return kept

    def _tile_part(self) -> None:
        """Read a tile-part (A.4.2) and update its length."""
        self._tile_parts += 1
        if self._tile_parts > TILE_PARTS_MAX:
            raise LimitError(f"{TITLE}: more than {TILE_PARTS_MAX} tile-parts")
        start = self._at
        sot = self._source.read(start, 12)
        if len(sot) < 12 or sot[2:4] != b"\0\x0a":
            raise self._broken("SOT", "is incomplete")
        (length,) = struct.unpack_from(">I", sot, 6)
        self._at += 12
        header = [part for _, part in self._header(SOD)]
        end = start + length if length else self._end_of_codestream(self._at)
        if not self._at + 2 <= end <= self._end:
            raise FormatError(TITLE, "SOT", start, f"a tile-part of {length} bytes ends outside the codestream")
        removed = self._at - start - 12 - sum(size for _, size in header)
        if removed:
            self._shorter = True
            length = length - removed if length else 0
            self._rest.append(sot[:6] + struct.pack(">I", length) + sot[10:])
        else:
            self._rest.append((start, 12))
        self._rest += [*header, (self._at, end - self._at)]
        self._at = end

    def _end_of_codestream(self, at: int) -> int:
        """Return the offset of the first EOC marker from `at`: in coded data no byte above 0x8F follows 0xFF."""
        before = b""
        for start in range(at, self._end, CHUNK_BYTES):
            chunk = before + self._source.read(start, min(CHUNK_BYTES, self._end - start))
            if (found := chunk.find(b"\xff\xd9")) >= 0:
                return start - len(before) + found
            before = chunk[-1:]
        return self._end

    def _word(self, at: int) -> int:
        """Return the 16-bit integer at an offset, -1 after the end."""
        if at + 2 > self._end:
            return -1
        data = self._source.read(at, 2)
        return int.from_bytes(data, "big") if len(data) == 2 else -1

    def _broken(self, place: str, problem: str) -> FormatError:
        return FormatError(TITLE, place, self._at, problem)


def _merge(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces with adjacent extents merged."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else b""
        if isinstance(piece, bytes) or isinstance(last, bytes) or sum(last) != piece[0]:
            found.append(piece)
        else:
            found[-1] = last[0], last[1] + piece[1]
    return found
