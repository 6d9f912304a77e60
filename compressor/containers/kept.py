"""A new file that is put together from ranges of a source and from new bytes between them."""

from array import array
from collections.abc import Iterator

from compressor.errors import LimitError
from compressor.spool import Readable

PARTS_MAX = 1 << 19  # 8 MiB of ranges
NEW_BYTES_MAX = 16 << 20
PIECE_BYTES = 1 << 18


class Kept:
    """Parts in the order of the new file. Only the ranges are held, not the bytes of the source.

    title  of the format, for errors
    size   of the new file
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts = array("q")  # start and count of each; a start below zero is ~offset into the new bytes
        self._new = bytearray()
        self.size = 0

    def keep(self, start: int, count: int) -> None:
        """Append a range of the source."""
        self._append(start, count)

    def add(self, data: bytes) -> None:
        """Append new bytes."""
        if len(self._new) + len(data) > NEW_BYTES_MAX:
            raise LimitError(f"{self._title}: more than {NEW_BYTES_MAX >> 20} MiB of headers")
        self._append(~len(self._new), len(data))
        self._new += data

    def _append(self, start: int, count: int) -> None:
        if count <= 0:
            return
        parts, self.size = self._parts, self.size + count
        if parts:
            behind = parts[-2] + parts[-1] if parts[-2] >= 0 else ~(~parts[-2] + parts[-1])
            if behind == start:
                parts[-1] += count
                return
        if len(parts) >= 2 * PARTS_MAX:
            raise LimitError(f"{self._title}: more than {PARTS_MAX} separate parts")
        parts.extend((start, count))

    def pieces(self, source: Readable) -> Iterator[bytes]:
        """Yield the new file in pieces of at most PIECE_BYTES."""
        held = bytearray()
        for index in range(0, len(self._parts), 2):
            start, left = self._parts[index], self._parts[index + 1]
            while left:
                count = min(left, PIECE_BYTES - len(held))
                held += self._new[~start : ~start + count] if start < 0 else source.read(start, count)
                start, left = (start - count if start < 0 else start + count), left - count
                if len(held) == PIECE_BYTES:
                    yield bytes(held)
                    held.clear()
        if held:
            yield bytes(held)
