"""Sequential encoding: pixels to slabs of coefficients to entropy-coded data."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.jpeg.frame import Frame, Slab
from compressor.jpeg.tables import Codes, Table
from compressor.kernels.huffman_encode import BLOCK_BYTES_MAX, HELD, NEXT_MCU, PENDING, STATE, count_symbols
from compressor.kernels.mcu_row import SEGMENT, encode_slab, segment_scratch, transform_row
from compressor.kernels.quantize import reciprocals
from compressor.tiles import Band

CODED_BLOCKS = 128  # of a slab, encoded between two passes of byte stuffing: their bits stay in the first-level cache
CODED_BYTES = 1 << 17  # of a slab, encoded in one call


class Transform:
    """Color conversion, DCT and quantization of bands, each of whole MCU rows except the last one.

    frame   of `writer.frame_for`
    tables  each component's, zig-zag
    slopes  of each component's dead zone, see `quantize`; None: coefficients are rounded
    """

    def __init__(self, frame: Frame, tables: Sequence[Table], slopes: NDArray[np.float32] | None = None) -> None:
        self.layout = frame.layout
        self.lines = 8 * frame.v_max
        reciprocal = np.array([reciprocals(table) for table in tables])
        self.quantization = reciprocal, np.zeros_like(reciprocal) if slopes is None else slopes
        self.segment = replace(frame, width=SEGMENT).layout
        self._frame = frame

    def slabs(self, bands: Iterable[Band]) -> Iterator[Slab]:
        """Yield slabs of one MCU row; the array is reused for each."""
        row, scratch = np.empty((self._frame.blocks_per_row, 64), np.int16), segment_scratch()
        for band in bands:
            for line in range(0, len(band), self.lines):
                transform_row(band, line, self.layout, self.quantization, scratch, row)
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

    def code_slabs(self, slabs: Iterable[Slab]) -> Iterator[memoryview]:
        """Yield entropy-coded bytes of slabs; each piece is valid until the next one is requested."""
        raw, out = np.empty(coded_bytes(CODED_BLOCKS), np.uint8), scratch.empty((CODED_BYTES,), np.uint8)
        state = self.state
        for slab in slabs:
            while True:
                size = encode_slab(slab, self.layout, self.codes, state, raw, out)
                yield out[:size].data
                if not state[NEXT_MCU]:
                    break
        yield self.last_bits()

    def last_bits(self) -> memoryview:
        """Return the end of the scan, after the last block."""
        return memoryview(final_byte(int(self.state[PENDING]), int(self.state[HELD])))


class Statistics:
    """Symbol counts of slabs."""

    def __init__(self, frame: Frame) -> None:
        self.layout = frame.layout
        self.mcus = frame.mcus_per_row
        self.pred = np.zeros(len(frame.components), np.int64)
        self.counts = np.zeros((len(frame.components), 2, 256), np.int64)

    def add(self, slab: Slab) -> None:
        """Count the symbols of the next slab, from top to bottom."""
        count_symbols(slab, self.layout, self.mcus, self.pred, self.counts)


def clear_dummy_blocks(slabs: Iterable[Slab], frame: Frame) -> Iterable[Slab]:
    """Return the slabs with dummy blocks cleared, in place: blocks that only pad MCUs.

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
    return _cleared(slabs, frame, right, below) if right or below else slabs


def _cleared(
    slabs: Iterable[Slab], frame: Frame, right: list[tuple[int, int]], below: list[tuple[int, int, int]]
) -> Iterator[Slab]:
    """Yield the slabs with blocks of each line, and lines of the last row, cleared.

    right  their first index, and the next one after the last
    below  their first index, their number, and the blocks of an MCU across
    """
    left = frame.mcu_rows
    for slab in slabs:
        rows = slab.reshape(-1, frame.blocks_per_row, 64)
        left -= len(rows)
        for start, end in right:
            rows[:, start:end, 1:] = 0
            rows[:, start:end, 0] = rows[:, start - 1 : start, 0]
        for start, count, h in below if left == 0 else []:
            row = rows[-1]
            row[start : start + count, 1:] = 0
            last = row[start - count + h - 1 : start : h, 0]
            row[start : start + count, 0] = np.repeat(last, h)
        yield slab
