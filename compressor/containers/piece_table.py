"""A piece table: a new file made of ranges of a source and of new bytes."""

from array import array
from collections.abc import Iterator

from compressor.errors import LimitError
from compressor.spool import Readable

PIECES_MAX = 1 << 19  # 8 MiB of ranges
NEW_BYTES_MAX = 16 << 20
CHUNK_BYTES = 1 << 18


class PieceTable:
    """Pieces in the order of the new file. Ranges of the source are held as offsets, not as bytes.

    title  of the format, for errors
    size   bytes of the new file
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._pieces = array("q")  # start and count of each; a negative start is ~offset into the new bytes
        self._new = bytearray()
        self.size = 0

    def copy(self, start: int, count: int) -> None:
        """Append a range of the source."""
        self._add_piece(start, count)

    def append(self, data: bytes) -> None:
        """Append new bytes."""
        if len(self._new) + len(data) > NEW_BYTES_MAX:
            raise LimitError(f"{self._title}: more than {NEW_BYTES_MAX >> 20} MiB of headers")
        self._add_piece(~len(self._new), len(data))
        self._new += data

    def _add_piece(self, start: int, count: int) -> None:
        if count <= 0:
            return
        pieces, self.size = self._pieces, self.size + count
        if pieces:
            end = pieces[-2] + pieces[-1] if pieces[-2] >= 0 else ~(~pieces[-2] + pieces[-1])
            if end == start:
                pieces[-1] += count
                return
        if len(pieces) >= 2 * PIECES_MAX:
            raise LimitError(f"{self._title}: more than {PIECES_MAX} separate pieces")
        pieces.extend((start, count))

    def chunks(self, source: Readable) -> Iterator[bytes]:
        """Yield the new file in chunks of at most CHUNK_BYTES."""
        held = bytearray()
        for index in range(0, len(self._pieces), 2):
            start, left = self._pieces[index], self._pieces[index + 1]
            while left:
                count = min(left, CHUNK_BYTES - len(held))
                held += self._new[~start : ~start + count] if start < 0 else source.read(start, count)
                start, left = (start - count if start < 0 else start + count), left - count
                if len(held) == CHUNK_BYTES:
                    yield bytes(held)
                    held.clear()
        if held:
            yield bytes(held)
