"""Progressive scans of coefficient rows: their symbols counted, their bytes written (T.81 G.1.2)."""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.encoder import CODED_BLOCKS, Row, padding
from compressor.jpeg.frame import Frame, Scan
from compressor.jpeg.tables import HuffmanSpec, huffman_spec
from compressor.jpeg.writer import huffman, scan_header
from compressor.kernels import progressive_encode as kernel
from compressor.kernels.huffman_encode import code_table
from compressor.memory import Spool
from compressor.tiles import cores

# Bits that follow each symbol: of AC a value of SSSS bits, or what EOBn counts (Table G.1); of DC, SSSS.
AC_APPENDED = np.array([s & 15 or (s >> 4 if s < 0xF0 else 0) for s in range(256)])
DC_APPENDED = np.arange(256)
PIECE_BYTES = 1 << 13  # of a scan, that wait to be spooled together


def dc_scan(components: int, ah: int = 0, al: int = 0) -> Scan:
    """The DC coefficients of all components, interleaved; one table for the first, one for the others."""
    return Scan(tuple((index, min(index, 1), 0) for index in range(components)), 0, 0, ah, al)


def ac_scan(component: int, ss: int, se: int, ah: int, al: int) -> Scan:
    """A band of a component."""
    return Scan(((component, 0, 0),), ss, se, ah, al)


class Walk:
    """A scan on its way down an image: which blocks of each row are its own (A.2.2, A.2.3)."""

    def __init__(self, frame: Frame, scan: Scan) -> None:
        self.scan = scan
        self.state = np.zeros(kernel.STATE, np.int64)
        self._bits = (scan.ah, scan.al)
        self._band = (scan.ss, scan.se, scan.ah, scan.al)
        self._is_dc = scan.ss == 0
        self._row = 0
        if self._is_dc:  # all components, so that the MCUs are those of the rows
            self._layout, self._mcus = frame.layout, frame.mcus_per_row
            self._step = CODED_BLOCKS * frame.mcus_per_row // frame.blocks_per_row
        else:
            index = scan.components[0][0]
            self._first, self._per_line, _, self._lines = frame.layout[index].tolist()
            self._across, self._down = frame.blocks(index)

    def _spans(self) -> list[tuple[int, int]]:
        """First block and count of the lines of the next row that are no padding."""
        lines = min(self._lines, self._down - self._row * self._lines)
        self._row += 1
        return [(self._first + y * self._per_line, self._across) for y in range(lines)]


class Count(Walk):
    """What a scan's symbols are."""

    def __init__(self, frame: Frame, scan: Scan) -> None:
        super().__init__(frame, scan)
        self.counts = np.zeros((len(scan.components), kernel.COUNTS), np.int64)

    def add(self, row: Row) -> None:
        """Count a row; rows come from top to bottom."""
        if self._is_dc:
            with cores:
                kernel.count_dc(row, self._layout, 0, self._mcus, *self._bits, self.counts, self.state)
            return
        for first, blocks in self._spans():
            with cores:
                kernel.count_ac(row, first, blocks, *self._band, self.counts, self.state)

    def finish(self) -> tuple[dict[tuple[int, int], HuffmanSpec], int]:
        """After the last row: the best codes, (Tc, Th) → BITS, HUFFVAL, and the bits of all that was counted."""
        kernel.count_end(self.counts, self.state)
        bits = int(self.counts[:, kernel.LOOSE].sum())
        specs: dict[tuple[int, int], HuffmanSpec] = {}
        if self._is_dc and self.scan.ah:
            return specs, bits
        tables = [th if self._is_dc else 0 for _, th, _ in self.scan.components]
        for th in sorted(set(tables)):
            counts = self.counts[np.array(tables) == th, :256].sum(0)
            spec = specs[0 if self._is_dc else 1, th] = huffman_spec(counts)
            bits += coded_bits(counts, spec, DC_APPENDED if self._is_dc else AC_APPENDED)
        return specs, bits


def coded_bits(counts: NDArray[np.int64], spec: HuffmanSpec, appended: NDArray[np.int64]) -> int:
    """What so many symbols take in a code, with the bits that follow them."""
    return int((counts * ((code_table(*spec) & 63) + appended)).sum())


def segments(frame: Frame, scan: Scan, specs: dict[tuple[int, int], HuffmanSpec]) -> bytes:
    """What stands before a scan's data: its tables and its header."""
    return (huffman(specs) if specs else b"") + scan_header(frame, scan)


class Coder(Walk):
    """A scan's bytes."""

    def __init__(self, frame: Frame, scan: Scan, specs: dict[tuple[int, int], HuffmanSpec]) -> None:
        super().__init__(frame, scan)
        none = np.zeros(256, np.uint32)
        tables = [code_table(*spec) for _, spec in sorted(specs.items())] or [none]
        self._codes = np.array([tables[td if specs else 0] for _, td, _ in scan.components])
        self.head = segments(frame, scan, specs)

    def code(self, row: Row, raw: NDArray[np.uint8], out: NDArray[np.uint8]) -> Iterator[memoryview]:
        """The bytes of a row in pieces of `out`; raw and out have room for CODED_BLOCKS."""
        if self._is_dc:
            for first in range(0, self._mcus, self._step):
                count = min(self._step, self._mcus - first)
                with cores:
                    size = kernel.encode_dc(
                        row, self._layout, first, count, *self._bits, self._codes, self.state, raw, out
                    )
                yield out[:size].data
            return
        for start, blocks in self._spans():
            for first in range(start, start + blocks, CODED_BLOCKS):
                count = min(CODED_BLOCKS, start + blocks - first)
                with cores:
                    size = kernel.encode_ac(row, first, count, *self._band, self._codes, self.state, raw, out)
                yield out[:size].data

    def finish(self, raw: NDArray[np.uint8], out: NDArray[np.uint8]) -> bytes:
        """The scan's last bytes."""
        last = out[: kernel.encode_end(self._codes, self.state, raw, out)].tobytes()
        return last + padding(int(self.state[kernel.PENDING]), int(self.state[kernel.HELD]))


class Progressive:
    """All scans of an image, coded side by side while rows pass once; their bytes wait in a spool to be joined."""

    def __init__(self, coders: list[Coder], spool: Spool) -> None:
        self._coders, self._spool = coders, spool
        self._held = [bytearray(coder.head) for coder in coders]
        self._pieces = [array("Q") for _ in coders]  # of each scan: where in the spool, and size, in turns

    def add(self, rows: Iterable[Row]) -> None:
        """Code all rows."""
        room = kernel.coded_bytes(CODED_BLOCKS)
        raw, out = np.empty(room, np.uint8), np.empty(2 * room, np.uint8)
        for row in rows:
            for number, coder in enumerate(self._coders):
                for piece in coder.code(row, raw, out):
                    self._take(number, piece)
        for number, coder in enumerate(self._coders):
            self._take(number, memoryview(coder.finish(raw, out)))
            self._flush(number)

    def _take(self, number: int, piece: memoryview) -> None:
        if len(self._held[number]) + len(piece) > PIECE_BYTES:
            self._flush(number)
        if len(piece) > PIECE_BYTES:
            self._write(number, piece)
        else:
            self._held[number] += piece

    def _flush(self, number: int) -> None:
        self._write(number, bytes(self._held[number]))
        self._held[number].clear()

    def _write(self, number: int, data: bytes | memoryview) -> None:
        self._pieces[number].extend((self._spool.size, len(data)))
        self._spool.write(data)

    def chunks(self) -> Iterator[memoryview]:
        """Tables, headers and data, scan after scan."""
        for pieces in self._pieces:
            for at in range(0, len(pieces), 2):
                yield memoryview(self._spool.read(pieces[at], pieces[at + 1]))
