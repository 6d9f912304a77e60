"""Coefficient rows that wait for a second look, packed."""

from array import array
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.encoder import Row
from compressor.jpeg.frame import Frame
from compressor.kernels import packing
from compressor.memory import Spool
from compressor.tiles import cores

PACKED_BLOCKS = 2048  # of a coefficient row, packed by one call


class SpooledRows:
    """Rows are added once, from top to bottom, and then read as often as needed.

    spool   makes one, when the first row comes
    packed  is shown all bytes that are spooled, in order
    """

    def __init__(
        self, frame: Frame, spool: Callable[[], Spool], packed: Callable[[memoryview], object] = lambda data: None
    ) -> None:
        self._show, self._make = packed, spool
        self._blocks = blocks = frame.blocks_per_row
        self._parts = [(at, min(PACKED_BLOCKS, blocks - at)) for at in range(0, blocks, PACKED_BLOCKS)]  # of a row
        self._starts = array("Q", [0])  # of each part of each row in the spool, and where the last one ends
        self._buffer = np.empty(packing.BLOCK_BYTES_MAX * self._parts[0][1], np.uint8)
        self._spool: Spool | None = None

    def add(self, row: Row) -> None:
        """Pack a row."""
        if self._spool is None:
            self._spool = self._make()
        for first, blocks in self._parts:
            with cores:
                size = packing.pack(row, first, blocks, self._buffer)
            self._show(self._buffer[:size].data)
            self._spool.write(self._buffer[:size].data)
            self._starts.append(self._starts[-1] + size)

    @property
    def count(self) -> int:
        """Rows that are there."""
        return (len(self._starts) - 1) // len(self._parts)

    def rows(self, step: int = 1) -> Iterator[Row]:
        """Every `step`-th row from the first on, the array reused for each."""
        row = np.empty((self._blocks, 64), np.int16)
        for number in range(0, self.count, step):
            for packed, (first, blocks) in self._read(number):
                with cores:
                    packing.unpack(packed, first, blocks, row)
            yield row

    def masked(self, step: int = 1) -> Iterator[tuple[Row, NDArray[np.uint64]]]:
        """The same, each with the masks that `packing.unpack_with_masks` makes."""
        row = np.empty((self._blocks, 64), np.int16)
        masks = np.empty((packing.LEVELS, self._blocks), np.uint64)
        for number in range(0, self.count, step):
            for packed, (first, blocks) in self._read(number):
                with cores:
                    packing.unpack_with_masks(packed, first, blocks, row, masks)
            yield row, masks

    def _read(self, number: int) -> Iterator[tuple[NDArray[np.uint8], tuple[int, int]]]:
        """The parts of a row: packed, and which blocks they are."""
        assert self._spool is not None
        for at, part in enumerate(self._parts, number * len(self._parts)):
            start = self._starts[at]
            yield np.frombuffer(self._spool.read(start, self._starts[at + 1] - start), np.uint8), part

    def close(self) -> None:
        """Give the spool back; again is harmless."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None
