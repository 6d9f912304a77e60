"""Compression of filtered scanlines into a zlib stream (RFC 1950). No other module imports libdeflate.

Measured on filtered scanlines, one core: bytes against zlib's level 6, MB/s, five photographs | seven drawn graphics:

    zlib 3          1.030  31 | 1.202 126      zlib-ng 3       1.025  55 | 1.124 202
    zlib 6          1.000  12 | 1.000  59      zlib-ng 6       0.996  35 | 0.995 121
    zlib 9          0.978   3 | 0.928  11      zlib-ng 9       0.962   7 | 0.897  21
    libdeflate 1    1.048 126 | 1.208 241      libdeflate 9    0.972  12 | 0.953  43
    isa-l 3         1.078 143 | 1.380 194      libdeflate 12   0.926   3 | 0.859   2    in pieces: 0.927 | 0.862

zlib-ng streams in 400 KiB. libdeflate does not stream: it compresses pieces, and their deflate streams are joined.
"""

from typing import Protocol

import deflate
import numpy as np
from zlib_ng import zlib_ng

from compressor.kernels.png.deflate import WORK_WORDS, last_block
from compressor.settings import Effort

PIECE_BYTES = 1 << 20  # for each libdeflate call: no matches across pieces, which costs 0.1 to 0.6 %
LEVELS = {Effort.FAST: 3, Effort.BALANCED: 9}
STATE_BYTES = 400 << 10  # zlib-ng's, at memory level 9
# libdeflate's 7.1 MiB at level 12; a piece, its copy, its output.
PIECEWISE_BYTES = (8 << 20) + 5 * PIECE_BYTES // 2


class Deflate(Protocol):
    """A zlib compressor."""

    def compress(self, data: "memoryview | bytes", /) -> "bytes | bytearray":
        """Compress data and return the output that is ready."""
        ...

    def flush(self) -> "bytes | bytearray":
        """Return the rest of the stream."""
        ...


def deflater(effort: Effort) -> Deflate:
    """Return a new compressor."""
    if effort is Effort.BEST:
        return Piecewise()
    stream: Deflate = zlib_ng.compressobj(LEVELS[effort], zlib_ng.DEFLATED, 15, 9)
    return stream


class Piecewise:
    """A compressor that runs libdeflate's level 12 on pieces of PIECE_BYTES.

    Each piece becomes a deflate stream. BFINAL is cleared in its last block, and an empty stored block (RFC 1951,
    3.2.4) pads it to the byte boundary at which the next stream begins: 5 bytes a piece.
    """

    def __init__(self, level: int = 12) -> None:
        self._level = level
        self._held = bytearray()
        self._checksum = zlib_ng.adler32(b"")
        self._head = b"\x78\xda"  # 32 KiB window, slowest (RFC 1950, 2.2)

    def compress(self, data: "memoryview | bytes", /) -> bytearray:
        out = bytearray()
        self._checksum = zlib_ng.adler32(data, self._checksum)
        view = memoryview(data).cast("B")
        while len(view):
            if len(self._held) == PIECE_BYTES:
                out += self._piece(last=False)
            room = PIECE_BYTES - len(self._held)
            self._held += view[:room]
            view = view[room:]
        return out

    def flush(self) -> bytearray:
        out = self._piece(last=True)
        out += self._checksum.to_bytes(4, "big")
        return out

    def _piece(self, last: bool) -> bytearray:
        found = deflate.deflate_compress(bytes(self._held), self._level)
        self._held.clear()
        if not last:
            make_continuable(found)
        made = bytearray(self._head)
        made += found
        self._head = b""
        return made


def make_continuable(stream: bytearray) -> None:
    """Change a complete deflate stream so that another one can follow."""
    place = np.zeros(2, np.int64)
    blocks = last_block(np.frombuffer(bytes(stream), np.uint8), np.zeros(WORK_WORDS, np.int64), place)
    if blocks < 1:
        raise RuntimeError("libdeflate returned an invalid stream: a defect of the library or of this module")
    flag, end = int(place[0]), int(place[1])
    stream[flag >> 3] &= ~(1 << (flag & 7)) & 0xFF
    # The empty block's three header bits are 0, as is the padding: the last byte may have room for them.
    del stream[(end + 7) >> 3 :]
    stream += bytes(((end + 3 + 7) >> 3) - len(stream)) + b"\0\0\xff\xff"
