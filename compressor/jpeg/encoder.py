"""Sequential encoding: pixels to coefficient rows to entropy-coded data, band by band."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Frame, Row
from compressor.jpeg.tables import Codes, Table
from compressor.kernels.huffman_encode import BLOCK_BYTES_MAX, HELD, PENDING, STATE, count_symbols
from compressor.kernels.mcu_row import SEGMENT, encode_row, segment_scratch, transform_row
from compressor.kernels.quantize import reciprocals
from compressor.tiles import Band

CODED_BLOCKS = 1024  # of a coefficient row, encoded in one call


class Transform:
    """Color conversion, DCT and quantization of bands, each of whole MCU rows except the last one.

    frame   of `writer.frame_for`
    tables  each component's, zig-zag
    slopes  of each component's dead zone, see `quantize`; None: coefficients are rounded
    """

    def __init__(self, frame: Frame, tables: Sequence[Table], slopes: NDArray[np.float32] | None = None) -> None:
        self.layout = frame.layout
        self.lines = 8 * frame.v_max
        self.reciprocal = np.array([reciprocals(table) for table in tables])
        self.slope = np.zeros_like(self.reciprocal) if slopes is None else slopes
        self.segment = replace(frame, width=SEGMENT).layout
        self._frame = frame

    def rows(self, bands: Iterable[Band]) -> Iterator[Row]:
        """Yield coefficient rows; the array is reused for each."""
        row, scratch = np.empty((self._frame.blocks_per_row, 64), np.int16), segment_scratch()
        for band in bands:
            for line in range(0, len(band), self.lines):
                transform_row(band, line, self.layout, self.reciprocal, self.slope, scratch, row)
                yield row


def coded_bytes(blocks: int) -> int:
    """Return the room that `blocks` coded blocks need before byte stuffing; twice that after it."""
    return 40 + BLOCK_BYTES_MAX * blocks


def final_byte(pending: int, held: int) -> bytes:
    """Return the last `held` bits of a scan, padded with ones (F.1.2.3), stuffed; nothing if there are none."""
    if not held:
        return b""
    last = (pending << (8 - held) | (1 << (8 - held)) - 1) & 255
    return bytes([last, 0]) if last == 255 else bytes([last])


class Sequential:
    """Huffman coding of one interleaved sequential scan. `codes` may have been made for another image."""

    def __init__(self, frame: Frame, codes: Codes) -> None:
        self.layout = frame.layout
        self.codes = codes.arrays
        self.state = np.zeros(STATE, np.int64)
        self.mcus = frame.mcus_per_row
        self.blocks_per_mcu = frame.blocks_per_row // frame.mcus_per_row

    def code_rows(self, rows: Iterable[Row]) -> Iterator[memoryview]:
        """Yield entropy-coded bytes of coefficient rows; each piece is valid until the next one is requested."""
        step = CODED_BLOCKS // self.blocks_per_mcu
        room = coded_bytes(CODED_BLOCKS)
        raw, out = np.empty(room, np.uint8), np.empty(2 * room, np.uint8)
        for row in rows:
            for first in range(0, self.mcus, step):
                mcus = min(step, self.mcus - first)
                size = encode_row(row, self.layout, first, mcus, *self.codes, self.state, raw, out)
                yield out[:size].data
        yield self.last_bits()

    def last_bits(self) -> memoryview:
        """Return the end of the scan, after the last block."""
        return memoryview(final_byte(int(self.state[PENDING]), int(self.state[HELD])))


class Statistics:
    """Symbol counts of coefficient rows."""

    def __init__(self, frame: Frame) -> None:
        self.layout = frame.layout
        self.mcus = frame.mcus_per_row
        self.pred = np.zeros(len(frame.components), np.int64)
        self.counts = np.zeros((len(frame.components), 2, 256), np.int64)

    def add(self, row: Row) -> None:
        """Count the symbols of the next coefficient row, from top to bottom."""
        count_symbols(row, self.layout, self.mcus, self.pred, self.counts)


def clear_dummy_blocks(rows: Iterable[Row], frame: Frame) -> Iterator[Row]:
    """Yield the rows with dummy blocks cleared, in place: blocks that only pad MCUs.

    No decoder shows them, and scans of one component do not have them (A.2.2, A.2.4). AC becomes zero. DC gets the
    value that costs least in MCUs (Figure A.8): that of the block to the left or, below the image's last lines, of the
    MCU's last block above.
    """
    right, below = [], []
    for index, (first, per_line, h, v) in enumerate(frame.layout.tolist()):
        across, down = frame.blocks(index)
        used = down - (frame.mcu_rows - 1) * v  # lines of the last row
        right += [(first + y * per_line + across, first + (y + 1) * per_line) for y in range(v) if across < per_line]
        below += [(first + y * per_line, per_line, h) for y in range(used, v)]
    for number, row in enumerate(rows, 1):
        for start, end in right:
            row[start:end, 1:] = 0
            row[start:end, 0] = row[start - 1, 0]
        for start, count, h in below if number == frame.mcu_rows else []:
            row[start : start + count, 1:] = 0
            last = row[start - count + h - 1 : start : h, 0]
            row[start : start + count, 0] = np.repeat(last, h)
        yield row
