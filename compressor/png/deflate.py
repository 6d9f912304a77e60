"""Compression of filtered scanlines into a zlib stream (RFC 1950). No other module imports libdeflate.

Measured on filtered scanlines, one core: bytes against zlib's level 6, MB/s, four photographs | twelve drawn graphics:

    zlib 6          1.000  11 | 1.000 105      libdeflate 5    0.986  46 | 0.996 383    in pieces: 0.987 | 1.008
    zlib-ng 3       1.018  57 | 1.084 642      libdeflate 6    0.985  30 | 0.988 350
    zlib-ng 6       1.009  32 | 1.017 402      libdeflate 9    0.981  13 | 0.976 107
    zlib-ng 9       0.971   6 | 0.941  41      libdeflate 10   0.922   7 | 0.933  15    in pieces: 0.924 | 0.937
    libdeflate 1    1.025 105 | 1.079 321      libdeflate 12   0.920   5 | 0.901   3    in pieces: 0.922 | 0.903

zlib-ng streams. libdeflate does not: it compresses pieces, and their deflate streams are joined. That takes memory and
time for every piece, so that `fast`, which has little time, streams.
"""

from typing import Protocol

import deflate
import numpy as np
from zlib_ng import zlib_ng

from compressor.kernels.png.deflate import WORK_WORDS, last_block
from compressor.settings import Effort

LEVELS = {Effort.FAST: 3, Effort.BALANCED: 10, Effort.BEST: 12}  # of zlib-ng with FAST, else of libdeflate
# Of scanlines that are compressed at a time; for each libdeflate call: no matches across pieces. At level 10, drawn
# graphics take 0.5 % more bytes in pieces of 512 KiB than in one, 0.2 % in pieces of 1 MiB.
PIECE_BYTES = {Effort.FAST: 1 << 16, Effort.BALANCED: 1 << 19, Effort.BEST: 1 << 20}
STATE_BYTES = 432 << 10  # zlib-ng's, at memory level 9, and libdeflate's up to level 9
OPTIMAL_STATE_BYTES = 29 << 18  # libdeflate's from level 10 on, where it searches for the cheapest matches: 7.1 MiB
TRIAL_BYTES = 1 << 18  # a piece of a trial


def deflating_bytes(effort: Effort) -> int:
    """Return the memory of a compressor: its state, a piece of it or of a trial, its copy and its output."""
    state = 2 * STATE_BYTES if effort is Effort.FAST else OPTIMAL_STATE_BYTES
    return state + 5 * max(TRIAL_BYTES, PIECE_BYTES[effort]) // 2


class Deflate(Protocol):
    """A zlib compressor."""

    def compress(self, data: memoryview | bytes, /) -> bytes | bytearray:
        """Compress data and return the output that is ready."""
        ...

    def flush(self) -> bytes | bytearray:
        """Return the rest of the stream."""
        ...


def deflater(effort: Effort, level: int) -> Deflate:
    """Return a new compressor. level: of LEVELS, or another one of the same library."""
    if effort is Effort.FAST:
        stream: Deflate = zlib_ng.compressobj(level, zlib_ng.DEFLATED, 15, 9)
        return stream
    return Deflater(level, PIECE_BYTES[effort])


class Deflater:
    """A zlib compressor that runs libdeflate on pieces.

    Each piece becomes a deflate stream. BFINAL is cleared in its last block, and an empty stored block (RFC 1951,
    3.2.4) pads it to the byte boundary at which the next stream begins: 5 bytes a piece.
    """

    def __init__(self, level: int, piece_bytes: int) -> None:
        self._level, self._piece_bytes = level, piece_bytes
        self._held = bytearray()
        self._checksum = zlib_ng.adler32(b"")
        self._head = b"\x78\xda" if level > 9 else b"\x78\x5e"  # 32 KiB window, slowest or fast (RFC 1950, 2.2)

    def compress(self, data: memoryview | bytes, /) -> bytearray:
        """Compress data and return the output that is ready."""
        out = bytearray()
        self._checksum = zlib_ng.adler32(data, self._checksum)
        view = memoryview(data).cast("B")
        while len(view):
            if len(self._held) == self._piece_bytes:
                out += self._piece(last=False)
            room = self._piece_bytes - len(self._held)
            self._held += view[:room]
            view = view[room:]
        return out

    def flush(self) -> bytearray:
        """Return the rest of the stream."""
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
