"""Packed coefficient rows in a spool, for a second pass."""

from array import array
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.cores import cores
from compressor.jpeg.frame import Frame, Row
from compressor.kernels import packing
from compressor.spool import Spool

PACKED_BLOCKS = 2048  # of a coefficient row, packed in one call
TOGETHER_BYTES = 1 << 15  # of packed rows, written and read at once: each access has a cost
# Peak memory while rows are packed, and while they are unpacked.
MEMORY_BYTES = 2 * (packing.BLOCK_BYTES_MAX * PACKED_BLOCKS + TOGETHER_BYTES)


class SpooledRows:
    """Coefficient rows that are added once, from top to bottom, and then read as often as needed.

    spool   creates a spool when the first row is written
    packed  called with all spooled bytes, in order
    """

    def __init__(
        self, frame: Frame, spool: Callable[[], Spool], packed: Callable[[memoryview], object] = lambda data: None
    ) -> None:
        self._on_packed, self._make_spool = packed, spool
        self._blocks = blocks = frame.blocks_per_row
        self._parts = [(at, min(PACKED_BLOCKS, blocks - at)) for at in range(0, blocks, PACKED_BLOCKS)]  # of a row
        self._starts = array("Q", [0])  # offsets of each part of each row in the spool, and the end of the last one
        self._room = packing.BLOCK_BYTES_MAX * self._parts[0][1]
        self._buffer = np.empty(self._room + TOGETHER_BYTES, np.uint8)
        self._waiting = 0  # bytes in it that are not written yet
        self._spool: Spool | None = None

    def add(self, row: Row) -> None:
        """Pack a row."""
        for first, blocks in self._parts:
            if self._waiting > TOGETHER_BYTES:
                self._write()
            size = packing.pack(row, first, blocks, self._buffer[self._waiting :])
            self._waiting += size
            self._starts.append(self._starts[-1] + size)

    def _write(self) -> None:
        if self._spool is None:
            self._spool = self._make_spool()
        data = self._buffer[: self._waiting].data
        self._on_packed(data)
        self._spool.write(data)
        self._waiting = 0

    def finish(self) -> None:
        """Write what is left. To be called after the last row is added, before any is read."""
        self._write()
        self._buffer = np.empty(0, np.uint8)

    @property
    def count(self) -> int:
        """Number of rows."""
        return (len(self._starts) - 1) // len(self._parts)

    def rows(self, step: int = 1) -> Iterator[Row]:
        """Yield every `step`-th row from the first on; the array is reused for each."""
        row = np.empty((self._blocks, 64), np.int16)
        for parts in self._packed(step):
            for packed, (first, blocks) in zip(parts, self._parts, strict=True):
                packing.unpack(packed, first, blocks, row)
            yield row

    def masked(self, step: int = 1) -> Iterator[tuple[Row, NDArray[np.uint64]]]:
        """Yield the same rows, each with the masks of `packing.unpack_with_masks`."""
        row = np.empty((self._blocks, 64), np.int16)
        masks = np.empty((packing.LEVELS, self._blocks), np.uint64)
        for parts in self._packed(step):
            for packed, (first, blocks) in zip(parts, self._parts, strict=True):
                packing.unpack_with_masks(packed, first, blocks, row, masks)
            yield row, masks

    def _packed(self, step: int) -> Iterator[Iterator[NDArray[np.uint8]]]:
        """Yield the packed parts of every `step`-th row."""
        per_row = len(self._parts)
        held, begin = np.empty(0, np.uint8), 0  # bytes of the spool from `begin` on

        def part(at: int) -> NDArray[np.uint8]:
            nonlocal held, begin
            assert self._spool is not None
            start, end = self._starts[at], self._starts[at + 1]
            if not begin <= start <= end <= begin + len(held):
                count = end - start if step > 1 else max(end - start, TOGETHER_BYTES)
                held, begin = np.frombuffer(self._spool.read(start, count), np.uint8), start
            return held[start - begin : end - begin]

        for number in range(0, self.count, step):
            cores.yield_if_contended()
            yield (part(at) for at in range(number * per_row, (number + 1) * per_row))

    def close(self) -> None:
        """Close the spool. May be called again."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None
