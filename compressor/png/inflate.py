"""Decompression of image data to filtered scanlines (W3C PNG clause 10), a bounded piece at a time.

zlib-ng takes two thirds of zlib's time for photographs, and a sixth for drawings.
"""

from collections.abc import Iterator
from typing import Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from compressor.errors import FormatError

INFLATE_BYTES = 1 << 16  # output of a zlib call


class Compressed(Protocol):
    """A source of compressed bytes. offset: of the next one in the input."""

    @property
    def offset(self) -> int: ...
    def pieces(self) -> Iterator[bytes]: ...


class ZlibState(Protocol):
    """A zlib decompressor."""

    eof: bool
    unconsumed_tail: bytes
    unused_data: bytes

    def copy(self) -> Self: ...
    def decompress(self, data: bytes, limit: int, /) -> bytes: ...


class Inflate:
    """A decompressor of the filtered scanlines of an image or of one interlace pass.

    state  zlib's state at the start of the data, where it does not begin a stream
    """

    def __init__(self, data: Compressed, state: ZlibState | None = None) -> None:
        self._data = data
        self._pieces = data.pieces()
        self._zlib = state or cast(ZlibState, zlib_ng.decompressobj())

    @property
    def offset(self) -> int:
        """Return the offset of the next compressed byte that has not been consumed."""
        return self._data.offset - len(self._zlib.unconsumed_tail)

    def state(self) -> ZlibState:
        """Return a copy of zlib's state, about 40 KiB, with the unconsumed rest of the last piece."""
        return self._zlib.copy()

    def _some(self, limit: int) -> bytes:
        """Return at least one byte and at most `limit`, b"" at the end of the zlib stream."""
        while not self._zlib.eof:
            piece = self._zlib.unconsumed_tail or next(self._pieces, None)
            if piece is None:
                raise FormatError("PNG", "IDAT", self.offset, "the image data ends before its zlib stream")
            try:
                given = self._zlib.decompress(piece, min(limit, INFLATE_BYTES))
            except zlib_ng.error as error:  # type: ignore[misc]  # its stub declares an instance
                problem = str(error).removeprefix("Error ")
                raise FormatError("PNG", "IDAT", self.offset, f"invalid zlib stream: {problem}") from None
            if given:
                return given
        return b""

    def fill(self, target: NDArray[np.uint8]) -> int:
        """Fill a flat array and return how many bytes are missing because the zlib stream has ended."""
        at = 0
        while at < target.size and (given := self._some(target.size - at)):
            target[at : at + len(given)] = np.frombuffer(given, np.uint8)
            at += len(given)
        return target.size - at

    def finish(self) -> int:
        """Check that the zlib stream ends, consume all data, and return the number of bytes after the stream."""
        offset = self.offset
        if self._some(1):
            raise FormatError("PNG", "IDAT", offset, "more image data than the header's size needs")
        return len(self._zlib.unused_data) + sum(map(len, self._pieces))
