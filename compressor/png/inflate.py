"""The filtered scanlines out of the compressed image data (W3C PNG clause 10), a bounded piece at a time."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compressor.errors import FormatError

INFLATE_BYTES = 1 << 16  # given out by zlib at a time


class Compressed(Protocol):
    """Where compressed bytes come from. offset: of the next one, in the input."""

    @property
    def offset(self) -> int: ...
    def pieces(self) -> Iterator[bytes]: ...


class Inflate:
    """The scanlines of an image or of one interlace pass, still filtered, out of its compressed data.

    state  zlib's, where it does not begin at the beginning
    """

    def __init__(self, data: Compressed, state: "zlib._Decompress | None" = None) -> None:
        self._data = data
        self._pieces = data.pieces()
        self._zlib = state or zlib.decompressobj()

    @property
    def offset(self) -> int:
        """Of the next compressed byte that has not been used."""
        return self._data.offset - len(self._zlib.unconsumed_tail)

    def state(self) -> "zlib._Decompress":
        """A copy of zlib's state, about 40 KiB, and of the last piece what it has not used."""
        return self._zlib.copy()

    def _some(self, limit: int) -> bytes:
        """At least one byte and at most `limit`; b"" where the zlib stream ends."""
        while not self._zlib.eof:
            piece = self._zlib.unconsumed_tail or next(self._pieces, None)
            if piece is None:
                raise FormatError("PNG", "IDAT", self.offset, "the image data ends too early: its zlib stream goes on")
            try:
                given = self._zlib.decompress(piece, min(limit, INFLATE_BYTES))
            except zlib.error as error:
                problem = str(error).removeprefix("Error ")
                raise FormatError("PNG", "IDAT", self.offset, f"zlib can't go on: {problem}") from None
            if given:
                return given
        return b""

    def fill(self, target: NDArray[np.uint8]) -> int:
        """Fill a flat array; how many bytes are missing because the zlib stream has ended."""
        at = 0
        while at < target.size and (given := self._some(target.size - at)):
            target[at : at + len(given)] = np.frombuffer(given, np.uint8)
            at += len(given)
        return target.size - at

    def finish(self) -> int:
        """See that nothing is left but the checksum, and take the rest of the data: how many bytes it was."""
        offset = self.offset
        if self._some(1):
            raise FormatError("PNG", "IDAT", offset, "there is more image data than the header's size needs")
        return len(self._zlib.unused_data) + sum(map(len, self._pieces))
