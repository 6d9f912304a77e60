"""Interlaced PNG (W3C PNG clause 8, Adam7) read line by line, with only a few lines in memory.

The seven passes follow each other in one zlib stream, and a line of the image needs up to four of them. So the stream
is inflated twice. The first time only the compressed bytes are kept, in a spool, and zlib's state at the start of each
pass, 40 KiB each. The second time seven readers continue from these states in parallel, each at its own position in
the spool, and their pixels are interleaved line by line.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.errors import FormatError
from compressor.kernels.png.adam7 import spread
from compressor.kernels.png.unfilter import unfilter
from compressor.png.chunks import PIECE_BYTES, ImageData
from compressor.png.header import SLAB_BYTES, PngHeader
from compressor.png.inflate import Inflate, ZlibState
from compressor.spool import Spool

# First column, first line, and the steps in both (clause 8.1).
ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip
STATE_BYTES = 48 << 10  # of zlib, for one pass: window and tables


@dataclass(frozen=True, slots=True)
class Pass:
    """A reduced image: its pixel in column i, line j is the image's in column x + i * dx, line y + j * dy."""

    number: int  # 1 to 7
    x: int
    y: int
    dx: int
    dy: int
    width: int
    height: int
    row_bytes: int


def passes(header: PngHeader) -> list[Pass]:
    """Return the passes of an image that have pixels; the others take no bytes, not even filter types."""
    found = []
    for number, (x, y, dx, dy) in enumerate(ADAM7, 1):
        width, height = len(range(x, header.width, dx)), len(range(y, header.height, dy))
        if width and height:
            found.append(Pass(number, x, y, dx, dy, width, height, (width * header.bits_per_pixel + 7) // 8))
    return found


@dataclass(frozen=True, slots=True)
class PassStart:
    """The start of a pass: zlib's state, which holds the unconsumed data up to `position`."""

    part: Pass
    position: int
    state: ZlibState


def survey(header: PngHeader, data: ImageData, inflate: Inflate) -> list[PassStart]:
    """Inflate all passes, check their size and filter types, and return their starts."""
    starts = []
    for part in passes(header):
        width = 1 + part.row_bytes
        at_once = max(1, min(part.height, SLAB_BYTES // width))
        filtered = scratch.empty((at_once, width), np.uint8)
        starts.append(PassStart(part, data.size, inflate.state()))
        for top in range(0, part.height, at_once):
            rows = filtered[: min(at_once, part.height - top)]
            missing = inflate.fill(rows.reshape(-1))
            if missing:
                row = top + (rows.size - missing) // width
                problem = f"the zlib stream ends in row {row} of {part.height} of pass {part.number}"
                raise FormatError("PNG", "IDAT", inflate.offset, problem)
            if rows[:, 0].max() > 4:
                bad = int(np.argmax(rows[:, 0] > 4))
                problem = f"row {top + bad} of pass {part.number} has filter type {rows[bad, 0]}, expected 0 to 4"
                raise FormatError("PNG", "IDAT", inflate.offset, problem)
    return starts


class _Lines:
    """Assembles the lines of an image from its passes. Two buffers serve all passes: a pass keeps only its last row."""

    def __init__(self, header: PngHeader, starts: list[PassStart], spool: Spool) -> None:
        self._bits, self._distance = header.bits_per_pixel, header.filter_distance
        self._parts = []
        for start in starts:
            inflate = Inflate(_Spooled(spool, start.position), start.state)
            self._parts.append((start.part, inflate, np.zeros(start.part.row_bytes, np.uint8)))
        rows = (header.slab_lines + 1) // 2  # of the last pass, which has more than any other
        self._filtered = scratch.empty((rows * (1 + header.row_bytes),), np.uint8)
        self._rows = scratch.empty((rows * header.row_bytes,), np.uint8)

    def fill(self, top: int, out: NDArray[np.uint8]) -> None:
        """Fill `out` with the next lines, which begin at `top`: at most a slab."""
        for part, inflate, above in self._parts:
            skipped = max(0, -((part.y - top) // part.dy))  # rows of the pass above `top`
            first = part.y + skipped * part.dy
            n = len(range(first, top + len(out), part.dy))
            if not n:
                continue
            filtered = self._filtered[: n * (1 + part.row_bytes)]
            rows = self._rows[: n * part.row_bytes].reshape(n, part.row_bytes)
            missing = inflate.fill(filtered)
            done = unfilter(filtered, self._distance, above, rows)
            put = spread(rows, part.width, self._bits, part.x, part.dx, first - top, part.dy, out)
            assert missing == 0 and done == put == n, "the survey has checked it"
            above[:] = rows[-1]


class _Spooled:
    """Compressed data from a position in the spool, which has been inflated before without errors."""

    def __init__(self, spool: Spool, position: int) -> None:
        self._spool = spool
        self.offset = position

    def pieces(self) -> Iterator[bytes]:
        while piece := self._spool.read(self.offset, PIECE_BYTES):
            self.offset += len(piece)
            yield piece


def bands(header: PngHeader, starts: list[PassStart], spool: Spool, lines: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the unfiltered scanlines, (n, row_bytes) with n = `lines` except for the last; the array is reused.

    The bits after the last pixel of a line are 0.
    """
    lines = min(lines, header.height)
    at_once = header.slab_lines
    band = np.zeros((lines, header.row_bytes), np.uint8)
    image = _Lines(header, starts, spool)
    for top in range(0, header.height, lines):
        rows = band[: min(lines, header.height - top)]
        for first in range(0, len(rows), at_once):
            image.fill(top + first, rows[first : first + at_once])
        yield rows
