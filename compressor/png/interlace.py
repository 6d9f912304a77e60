"""Interlaced PNG read as if it were not (W3C PNG clause 8, Adam7), with no more than a few lines in memory.

The seven passes are one zlib stream, one after the other, and a line of the image needs up to four of them. So all of
it is inflated twice. The first time nothing is kept but the compressed bytes, in a spool, and zlib's state where each
pass begins, 40 KiB each. The second time seven readers go on from these states side by side, each at its own place in
the spool, and their pixels are put together line by line.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.errors import FormatError
from compressor.kernels.png.adam7 import spread
from compressor.kernels.png.unfilter import unfilter
from compressor.png.chunks import PIECE_BYTES, ImageData
from compressor.png.header import PngHeader
from compressor.png.inflate import INFLATE_BYTES, Inflate
from compressor.spool import Spool

# First column, first line, and the steps in both (clause 8.1).
ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip
STATE_BYTES = 48 << 10  # zlib's, of one pass: window and tables


@dataclass(frozen=True, slots=True)
class Pass:
    """A reduced image; the pixel in column i and line j of it is in column x + i * dx and line y + j * dy."""

    number: int  # 1 to 7
    x: int
    y: int
    dx: int
    dy: int
    width: int
    height: int
    row_bytes: int


def passes(header: PngHeader) -> list[Pass]:
    """The passes of an image that have pixels; the others take no byte in the image data, not even filter types."""
    found = []
    for number, (x, y, dx, dy) in enumerate(ADAM7, 1):
        width, height = len(range(x, header.width, dx)), len(range(y, header.height, dy))
        if width and height:
            found.append(Pass(number, x, y, dx, dy, width, height, (width * header.bits_per_pixel + 7) // 8))
    return found


@dataclass(frozen=True, slots=True)
class Start:
    """Where a pass begins: with zlib in `state`, which holds what it had not used of the data up to `position`."""

    part: Pass
    position: int
    state: "zlib._Decompress"


def survey(header: PngHeader, data: ImageData, inflate: Inflate) -> list[Start]:
    """Inflate all passes and find where each begins; size and filter types are right when it returns."""
    starts = []
    for part in passes(header):
        width = 1 + part.row_bytes
        at_once = max(1, min(part.height, INFLATE_BYTES // width))
        filtered = np.empty((at_once, width), np.uint8)
        starts.append(Start(part, data.size, inflate.state()))
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


def scratch_lines(row_bytes: int) -> int:
    """Lines put together at a time."""
    return max(1, INFLATE_BYTES // row_bytes)


class _Lines:
    """The lines of an image from the passes, in order. Two buffers serve all passes: a pass keeps but its last row."""

    def __init__(self, header: PngHeader, starts: list[Start], spool: Spool) -> None:
        self._bits, self._distance = header.bits_per_pixel, header.filter_distance
        self._parts = []
        for start in starts:
            inflate = Inflate(_Spooled(spool, start.position), start.state)
            self._parts.append((start.part, inflate, np.zeros(start.part.row_bytes, np.uint8)))
        rows = (scratch_lines(header.row_bytes) + 1) // 2  # of the last pass, which has more than any other
        self._filtered = np.empty(rows * (1 + header.row_bytes), np.uint8)
        self._rows = np.empty(rows * header.row_bytes, np.uint8)

    def fill(self, top: int, out: NDArray[np.uint8]) -> None:
        """The lines from `top` on, at most `scratch_lines`: those behind the ones that were filled last."""
        for part, inflate, above in self._parts:
            passed = max(0, -((part.y - top) // part.dy))  # rows of the pass above `top`
            first = part.y + passed * part.dy
            n = len(range(first, top + len(out), part.dy))
            if not n:
                continue
            filtered = self._filtered[: n * (1 + part.row_bytes)]
            rows = self._rows[: n * part.row_bytes].reshape(n, part.row_bytes)
            missing = inflate.fill(filtered)
            done = unfilter(filtered, self._distance, above, rows)
            put = spread(rows, part.width, self._bits, part.x, part.dx, first - top, part.dy, out)
            assert missing == 0 and done == put == n, "the survey found it whole"
            above[:] = rows[-1]


class _Spooled:
    """Compressed data from a place in the spool on. It has been inflated before: nothing can be wrong with it."""

    def __init__(self, spool: Spool, position: int) -> None:
        self._spool = spool
        self.offset = position

    def pieces(self) -> Iterator[bytes]:
        while piece := self._spool.read(self.offset, PIECE_BYTES):
            self.offset += len(piece)
            yield piece


def bands(header: PngHeader, starts: list[Start], spool: Spool, lines: int) -> Iterator[NDArray[np.uint8]]:
    """Unfiltered scanlines of the whole image, (n, row_bytes) with n = `lines` but for the last; the array is reused.

    The bits behind the last pixel of a line are 0.
    """
    lines = min(lines, header.height)
    at_once = scratch_lines(header.row_bytes)
    band = np.zeros((lines, header.row_bytes), np.uint8)
    image = _Lines(header, starts, spool)
    for top in range(0, header.height, lines):
        rows = band[: min(lines, header.height - top)]
        for first in range(0, len(rows), at_once):
            image.fill(top + first, rows[first : first + at_once])
        yield rows
