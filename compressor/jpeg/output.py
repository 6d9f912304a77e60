"""A sequential JPEG in the making: one pass with given codes, or two passes with codes made for the image."""

from array import array
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from compressor.jpeg.encoder import Row, Sequential, Statistics, Transform
from compressor.jpeg.frame import Frame
from compressor.jpeg.tables import Codes, Table, optimal_codes, standard_codes, standard_codes_for_any_dc
from compressor.kernels import packing
from compressor.memory import Resources, Spool
from compressor.tiles import Band, cores


class OnePassPixels:
    """Pixels → bytes, one pass: output from the first MCU row on.

    bands   (lines, width * components) uint8, whole MCU rows each but for the last
    tables  Tq → (64,) uint16 zig-zag
    """

    def __init__(self, frame: Frame, tables: Mapping[int, Table], bands: Iterable[Band]) -> None:
        self.codes = standard_codes(len(frame.components))
        self._transform = Transform(frame, [tables[c.tq] for c in frame.components])
        self._coder = Sequential(frame, self.codes)
        self._bands = bands

    def prepare(self) -> None:
        """Nothing to do before the first byte."""

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data."""
        return self._coder.code_bands(self._bands, self._transform)

    def close(self) -> None:
        """Nothing to give back."""


PACKED_BLOCKS = 2048  # of a coefficient row, packed by one call


class TwoPass:
    """Coefficient rows → spool and statistics → bytes with the codes that are best for them."""

    codes: Codes

    def __init__(self, frame: Frame, rows: Iterable[Row], resources: Resources) -> None:
        self._frame, blocks = frame, frame.blocks_per_row
        self._rows = rows
        self._resources = resources
        self._spool: Spool | None = None
        self._parts = [(at, min(PACKED_BLOCKS, blocks - at)) for at in range(0, blocks, PACKED_BLOCKS)]  # of a row
        self._sizes = array("I")  # packed bytes of each part of each row

    def prepare(self) -> None:
        """The first pass."""
        statistics = Statistics(self._frame)
        packed = np.empty(packing.BLOCK_BYTES_MAX * self._parts[0][1], np.uint8)
        self._spool = spool = self._resources.spool()
        for row in self._rows:
            statistics.add(row)
            for first, blocks in self._parts:
                with cores:
                    size = packing.pack(row, first, blocks, packed)
                spool.write(packed[:size].data)
                self._sizes.append(size)
        self.codes = optimal_codes(statistics.counts)

    def _spooled(self) -> Iterator[Row]:
        assert self._spool is not None
        row = np.empty((self._frame.blocks_per_row, 64), np.int16)
        start, sizes = 0, iter(self._sizes)
        for _ in range(self._frame.mcu_rows):
            for first, blocks in self._parts:
                size = next(sizes)
                packed = np.frombuffer(self._spool.read(start, size), np.uint8)
                with cores:
                    packing.unpack(packed, first, blocks, row)
                start += size
            yield row

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data: the second pass."""
        return Sequential(self._frame, self.codes).code_rows(self._spooled())

    def close(self) -> None:
        """Give the spool back."""
        if self._spool is not None:
            self._spool.close()


class OnePassRows:
    """Coefficient rows → bytes, one pass, with codes that have a code for every symbol."""

    def __init__(self, frame: Frame, rows: Iterable[Row]) -> None:
        self.codes = standard_codes_for_any_dc(len(frame.components))
        self._coder = Sequential(frame, self.codes)
        self._rows = rows

    def prepare(self) -> None:
        """Nothing to do before the first byte."""

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data."""
        return self._coder.code_rows(self._rows)

    def close(self) -> None:
        """Nothing to give back."""
