"""Progressive scans of coefficient rows (T.81 G.1.2): symbols counted, bytes written, of all scans together."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.encoder import Row, padding
from compressor.jpeg.frame import Frame, Scan
from compressor.jpeg.tables import HuffmanSpec, huffman_spec
from compressor.jpeg.writer import huffman, scan_header
from compressor.kernels import progressive_count, progressive_encode, progressive_scans
from compressor.kernels.huffman_encode import code_table, stuff
from compressor.memory import Spool
from compressor.tiles import cores

Specs = dict[tuple[int, int], HuffmanSpec]
Masks = NDArray[np.uint64]

# Bits that follow each symbol: of AC a value of SSSS bits, or what EOBn counts (Table G.1); of DC, SSSS.
AC_APPENDED = np.array([s & 15 or (s >> 4 if s < 0xF0 else 0) for s in range(256)])
DC_APPENDED = np.arange(256)
PART_BLOCKS = 2048  # of a row, counted or coded by one call for all scans
AREA_BYTES = 1 << 13  # of a scan, that wait to be spooled together


def dc_scan(components: int, ah: int = 0, al: int = 0) -> Scan:
    """The DC coefficients of all components, interleaved; one table for the first, one for the others."""
    return Scan(tuple((index, min(index, 1), 0) for index in range(components)), 0, 0, ah, al)


def dc_alone(component: int, ah: int = 0, al: int = 0) -> Scan:
    """Those of one component."""
    return Scan(((component, 0, 0),), 0, 0, ah, al)


def ac_scan(component: int, ss: int, se: int, ah: int, al: int) -> Scan:
    """A band of a component."""
    return Scan(((component, 0, 0),), ss, se, ah, al)


class Walk:
    """Scans on their way down an image: which blocks of each row are theirs (A.2.2, A.2.3).

    tables  how many rows of counts or codes there are, and of each scan which is the first
    """

    def __init__(self, frame: Frame, scans: Sequence[Scan]) -> None:
        self.scans = list(scans)
        self.layout = frame.layout
        self.first_table = np.cumsum([0, *(len(scan.components) for scan in scans)])
        self.tables = int(self.first_table[-1])
        self.plan = np.zeros((len(self.scans), progressive_scans.PLAN), np.int64)
        self._down = np.zeros(len(self.scans), np.int64)  # blocks of each scan's component below the row at hand
        for plan, scan, (s, table) in zip(self.plan, self.scans, enumerate(self.first_table[:-1]), strict=True):
            index = scan.components[0][0]
            first, per_line, h, _ = frame.layout[index].tolist()
            across, self._down[s] = frame.blocks(index)
            alone = len(scan.components) == 1
            plan[:] = (index if alone else -1, first, per_line, 0, across, h, scan.ss, scan.se, scan.ah, scan.al, table)
        self._lines = np.array([frame.layout[scan.components[0][0], 3] for scan in self.scans], np.int64)
        self._parts = parts_of(frame)

    def parts(self) -> list[NDArray[np.int64]]:
        """The parts of the next row, which `plan` is about from then on."""
        self.plan[:, progressive_scans.LINES] = np.minimum(self._lines, self._down)
        self._down -= self._lines
        return self._parts


def parts_of(frame: Frame) -> list[NDArray[np.int64]]:
    """A row as a whole, or its lines in pieces where it has more than PART_BLOCKS blocks."""
    mcus, lines = frame.mcus_per_row, frame.v_max
    if frame.blocks_per_row <= PART_BLOCKS:
        return [np.array([0, lines, 0, mcus])]
    step = PART_BLOCKS * mcus // frame.blocks_per_row
    starts = range(0, mcus, step)
    return [np.array([y, y + 1, x, min(x + step, mcus)]) for y in range(lines) for x in starts]


class Counts(Walk):
    """What the symbols of scans are."""

    def __init__(self, frame: Frame, scans: Sequence[Scan]) -> None:
        super().__init__(frame, scans)
        self.counts = np.zeros((self.tables, progressive_count.COUNTS), np.int64)
        self._state = np.zeros((len(self.scans), progressive_count.STATE), np.int64)

    def add(self, row: Row, masks: Masks) -> None:
        """Count a row; rows come from top to bottom."""
        for part in self.parts():
            with cores:
                progressive_count.count_scans(row, masks, self.layout, self.plan, part, self.counts, self._state)

    def finish(self) -> None:
        """Count what comes after the last row."""
        progressive_count.count_ends(self.plan, self.counts, self._state)

    def bits(self, share: float = 1.0) -> dict[Scan, float]:
        """What each scan takes with its tables and header, where what was counted is that share of it: next to what
        `specs` will lead to, without making codes."""
        counts = np.array([self._merged(s)[n] for s, scan in enumerate(self.scans) for n in range(tables_of(scan))])
        made = np.zeros(len(counts), np.int64)
        with cores:
            progressive_count.code_bits(counts, np.empty(257, np.int64), made)
        found, at = {}, 0
        for s, scan in enumerate(self.scans):
            own = slice(at, at + tables_of(scan))
            bits = made[own].sum() + (counts[own, :256] * appended(scan)).sum() + self._loose(s)
            tables = sum(17 + int(np.count_nonzero(line[:256])) for line in counts[own])
            head = (4 + tables if tables else 0) + 8 + 2 * len(scan.components)
            found[scan], at = float(bits / share + 8 * head), own.stop
        return found

    def specs(self, scan: Scan) -> tuple[Specs, int]:
        """The best codes of a scan, (Tc, Th) → BITS, HUFFVAL, and the bits of all that was counted."""
        s = self.scans.index(scan)
        found, bits = {}, self._loose(s)
        tc = 0 if scan.ss == 0 else 1
        for th, counts in enumerate(self._merged(s)[:, :256]):
            spec = found[tc, th] = huffman_spec(counts)
            bits += coded_bits(counts, spec, appended(scan))
        return found, bits

    def _merged(self, s: int) -> NDArray[np.int64]:
        """The counts of a scan by table; none of a refinement of DC."""
        scan, own = self.scans[s], self.counts[self.first_table[s] : self.first_table[s + 1]]
        tables = [th for _, th, _ in scan.components]
        return np.array([own[np.array(tables) == th].sum(0) for th in range(tables_of(scan))]).reshape(-1, own.shape[1])

    def _loose(self, s: int) -> int:
        return int(self.counts[self.first_table[s] : self.first_table[s + 1], progressive_count.LOOSE].sum())


def tables_of(scan: Scan) -> int:
    """How many Huffman tables a scan has: one for AC, up to two for DC, none for what refines DC (G.1.2.1.2)."""
    return 0 if scan.ss == 0 and scan.ah else 1 + max(td for _, td, _ in scan.components)


def appended(scan: Scan) -> NDArray[np.int64]:
    """Bits that follow each symbol of a scan."""
    return AC_APPENDED if scan.ss else DC_APPENDED


def coded_bits(counts: NDArray[np.int64], spec: HuffmanSpec, appended: NDArray[np.int64]) -> int:
    """What so many symbols take in a code, with the bits that follow them."""
    return int((counts * ((code_table(*spec) & 63) + appended)).sum())


def segments(frame: Frame, scan: Scan, specs: Specs) -> bytes:
    """What stands before a scan's data: its tables and its header."""
    return (huffman(specs) if specs else b"") + scan_header(frame, scan)


class Progressive(Walk):
    """All scans of an image, coded side by side while rows pass once; their bytes wait in a spool to be joined.

    scans  each with its codes
    """

    def __init__(self, frame: Frame, scans: dict[Scan, Specs], spool: Spool) -> None:
        super().__init__(frame, list(scans))
        self._spool = spool
        self._heads = [segments(frame, scan, specs) for scan, specs in scans.items()]
        self._codes = np.zeros((self.tables, 256), np.uint32)
        for first, (scan, specs) in zip(self.first_table, scans.items(), strict=False):
            tables = [code_table(*spec) for _, spec in sorted(specs.items())]
            for c, (_, td, _) in enumerate(scan.components if tables else ()):
                self._codes[first + c] = tables[td]
        self._state = np.zeros((len(scans), progressive_encode.STATE), np.int64)
        self._pieces = [array("Q") for _ in scans]  # of each scan: where in the spool, and size, in turns

    def add(self, rows: Iterable[tuple[Row, Masks]]) -> None:
        """Code all rows."""
        count = len(self.scans)
        self._areas = np.empty((count, AREA_BYTES), np.uint8)
        self._stuffed = np.empty(2 * AREA_BYTES + 32, np.uint8)
        for row, masks in rows:
            for part in self.parts():
                scan = 0
                while scan < count:
                    with cores:
                        scan = progressive_encode.encode_scans(
                            row, masks, self.layout, self.plan, part, self._codes, self._state, self._areas, scan
                        )
                    if scan < count:
                        self._empty(scan)
        for scan in range(count):
            self._empty(scan)
        progressive_encode.encode_ends(self.plan, self._codes, self._state, self._areas)
        for scan, state in enumerate(self._state):
            self._empty(scan)
            if last := padding(int(state[progressive_encode.PENDING]), int(state[progressive_encode.HELD])):
                self._write(scan, last)

    def _empty(self, scan: int) -> None:
        """An area to the spool."""
        size = int(self._state[scan, progressive_encode.FILLED])
        if size:
            with cores:
                count = stuff(self._areas[scan], size, self._stuffed)
            self._write(scan, self._stuffed[:count].data)
            self._state[scan, progressive_encode.FILLED] = 0

    def _write(self, scan: int, data: bytes | memoryview) -> None:
        self._pieces[scan].extend((self._spool.size, len(data)))
        self._spool.write(data)

    def chunks(self) -> Iterator[memoryview]:
        """Tables, headers and data, scan after scan."""
        for head, pieces in zip(self._heads, self._pieces, strict=True):
            yield memoryview(head)
            for at in range(0, len(pieces), 2):
                yield memoryview(self._spool.read(pieces[at], pieces[at + 1]))
