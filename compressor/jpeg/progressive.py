"""Encoding of progressive scans (T.81 G.1.2): symbol statistics and entropy coding, all scans in one pass."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.jpeg.coefficient_spool import Masks
from compressor.jpeg.encoder import final_byte
from compressor.jpeg.frame import SLAB_BLOCKS, Frame, HuffmanSpec, Scan, Slab
from compressor.jpeg.tables import huffman_spec
from compressor.jpeg.writer import dht, sos
from compressor.kernels import progressive_count, progressive_encode, progressive_scans
from compressor.kernels.huffman_encode import code_table, stuff
from compressor.spool import Spool
from compressor.t81 import SSSS_AC_MAX, SSSS_DC_MAX

Specs = dict[tuple[int, int], HuffmanSpec]

# Additional bits of each symbol: for AC the SSSS bits of a value, or those of EOBn (Table G.1); for DC, SSSS bits.
AC_APPENDED = np.array([s & 15 or (s >> 4 if s < 0xF0 else 0) for s in range(256)])
DC_APPENDED = np.arange(256)
AREA_BYTES = 1 << 14  # of each scan, written to the spool together
CHUNK_BYTES = 1 << 16  # of the result


def dc_scan(components: int, ah: int = 0, al: int = 0) -> Scan:
    """Return a scan of all components' DC, interleaved; one table for the first, one for the others."""
    return Scan(tuple((index, min(index, 1), 0) for index in range(components)), 0, 0, ah, al)


def dc_alone(component: int, ah: int = 0, al: int = 0) -> Scan:
    """Return a scan of one component's DC."""
    return Scan(((component, 0, 0),), 0, 0, ah, al)


def ac_scan(component: int, ss: int, se: int, ah: int, al: int) -> Scan:
    """Return a scan of a band of a component."""
    return Scan(((component, 0, 0),), ss, se, ah, al)


class ScanList:
    """Scans, and what counting and encoding them requires for any frame.

    index        of each scan
    tables       number of rows of counts or codes
    first_table  index of each scan's first row, and `tables`
    component    of each scan, the first one if it has several
    plan         (scans, PLAN) int64, see kernels/progressive_scans.py, without the columns that depend on the frame
    appended     (tables, 256) int64: additional bits of each symbol
    head_bits    (scans,) int64: size of DHT and SOS without tables
    """

    def __init__(self, scans: Sequence[Scan]) -> None:
        self.scans = list(scans)
        self.index = {scan: s for s, scan in enumerate(scans)}
        self.first_table = np.cumsum([0, *[1 + max(scan.components, key=itemgetter(1))[1] for scan in scans]])
        self.tables = int(self.first_table[-1])
        self.component = np.array([scan.components[0][0] for scan in scans])
        self.plan = np.zeros((len(scans), progressive_scans.PLAN), np.int64)
        alone = np.array([len(scan.components) == 1 for scan in scans])
        self.plan[:, progressive_scans.COMPONENT] = np.where(alone, self.component, -1)
        bands = [(scan.ss, scan.se, scan.ah, scan.al) for scan in scans]
        self.plan[:, progressive_scans.SS : progressive_scans.AL + 1] = bands
        self.plan[:, progressive_scans.TABLE] = self.first_table[:-1]
        of_ac = np.repeat([scan.ss > 0 for scan in scans], np.diff(self.first_table))
        self.appended = np.where(of_ac[:, None], AC_APPENDED, DC_APPENDED)
        self.head_bits = np.array([8 * (12 + 2 * len(scan.components)) for scan in scans])


class ScanLayout:
    """The blocks of each slab that belong to each scan (A.2.2, A.2.3).

    plan  (scans, PLAN) int64, see kernels/progressive_scans.py
    """

    def __init__(self, frame: Frame, listed: ScanList) -> None:
        self.listed, self.layout = listed, frame.layout
        self.plan = plan = listed.plan.copy()
        of_components = []
        for c, (first, per_line, h, lines) in enumerate(frame.layout.tolist()):
            across, down = frame.blocks(c)
            last_lines = max(0, min(down - (frame.mcu_rows - 1) * lines, lines))
            of_components.append((first, per_line, lines, across, h, last_lines))
        of_scans = np.array(of_components)[listed.component]
        plan[:, progressive_scans.FIRST : progressive_scans.H + 1] = of_scans[:, :5]
        plan[:, progressive_scans.LAST_LINES] = of_scans[:, 5]
        self._blocks_left = frame.mcu_rows * frame.blocks_per_row
        self._parts = parts_of(frame)

    def parts(self, slab: Slab) -> list[NDArray[np.int64]]:
        """Go to the next slab, and return its parts."""
        self._blocks_left -= len(slab)
        for part in self._parts if self._blocks_left == 0 else ():
            part[progressive_scans.LAST] = 1
        return self._parts


def parts_of(frame: Frame) -> list[NDArray[np.int64]]:
    """Return the parts of a slab: all of it, or pieces of its lines if it is a row of more than SLAB_BLOCKS blocks."""
    mcus, lines = frame.mcus_per_row, frame.v_max
    bounds = [(0, lines, 0, mcus)]
    if frame.blocks_per_row > SLAB_BLOCKS:
        step = SLAB_BLOCKS * mcus // frame.blocks_per_row
        bounds = [(y, y + 1, x, min(x + step, mcus)) for y in range(lines) for x in range(0, mcus, step)]
    unset = [0] * (progressive_scans.PART_FIELDS - 4)
    return [np.array([*bound, *unset]) for bound in bounds]


class Counts(ScanLayout):
    """Symbol statistics of scans."""

    def __init__(self, frame: Frame, listed: ScanList) -> None:
        super().__init__(frame, listed)
        self.counts = np.zeros((listed.tables, progressive_count.COUNTS), np.int64)
        self._state = np.zeros((len(listed.scans), progressive_count.STATE), np.int64)

    def add(self, slab: Slab, masks: Masks) -> None:
        """Count the next slab, from top to bottom."""
        for part in self.parts(slab):
            progressive_count.count_scans(slab, masks, self.layout, self.plan, part, self.counts, self._state)

    def finish(self) -> None:
        """Count the symbols after the last slab."""
        progressive_count.count_ends(self.plan, self.counts, self._state)

    def admit_all(self) -> None:
        """Count each possible symbol at least once, so that rows that were not counted can be encoded."""
        for s, scan in enumerate(self.listed.scans):
            tables = self._tables(s)[:, :256]
            np.maximum(tables, possible(scan), out=tables)

    def _tables(self, s: int) -> NDArray[np.int64]:
        """Return the counts of a scan."""
        return self.counts[self.listed.first_table[s] : self.listed.first_table[s + 1]]

    def bits(self, share: float = 1.0) -> NDArray[np.float64]:
        """Return about how many bits each scan takes with its tables and header, without building codes.

        share  of the rows that was counted
        """
        listed, counts, coded = self.listed, self.counts[:, :256], np.zeros(self.listed.tables, np.int64)
        progressive_count.code_bits(self.counts, np.empty(257, np.int64), coded)
        symbols = np.einsum("ij,ij->i", counts, listed.appended) + coded
        table_bytes = np.where(coded > 0, 17 + np.count_nonzero(counts, axis=1), 0)
        bits = (symbols + self.counts[:, progressive_count.LOOSE]) / share + 8 * table_bytes
        found: NDArray[np.float64] = np.add.reduceat(bits, listed.first_table[:-1]) + listed.head_bits
        return found

    def specs(self, scan: Scan) -> Specs:
        """Return the best codes of a scan."""
        if scan.ah and not scan.ss:
            return {}
        tables = self._tables(self.listed.index[scan])[:, :256]
        return {(min(scan.ss, 1), th): huffman_spec(counts) for th, counts in enumerate(tables)}


def possible(scan: Scan) -> NDArray[np.bool_]:
    """Return a mask of the symbols that a scan may have (G.1.2): DC differences, runs before AC, EOBn."""
    symbols = np.arange(256)
    if scan.ss == 0:
        return symbols <= SSSS_DC_MAX + 1
    ssss = symbols & 15
    return np.where(ssss == 0, True, ssss <= (1 if scan.ah else SSSS_AC_MAX - scan.al))


def coded_bits(counts: NDArray[np.int64], spec: HuffmanSpec, appended: NDArray[np.int64]) -> int:
    """Return the bits of counted symbols in a code, with their additional bits."""
    return int((counts * ((code_table(*spec) & 63) + appended)).sum())


def segments(frame: Frame, scan: Scan, specs: Specs) -> bytes:
    """Return the segments before a scan's data: its tables and its header."""
    return (dht(specs) if specs else b"") + sos(frame, scan)


class Progressive(ScanLayout):
    """Encoding of all scans of an image in one pass over its slabs. Their bytes are spooled and joined afterwards.

    scans  each with its codes
    """

    def __init__(self, frame: Frame, scans: dict[Scan, Specs], spool: Spool) -> None:
        super().__init__(frame, ScanList(list(scans)))
        self._spool = spool
        self._heads = [segments(frame, scan, specs) for scan, specs in scans.items()]
        self._codes = np.zeros((self.listed.tables, 256), np.uint32)
        for first, specs in zip(self.listed.first_table, scans.values(), strict=False):
            for (_, th), spec in specs.items():
                self._codes[first + th] = code_table(*spec)
        self._state = np.zeros((len(scans), progressive_encode.STATE), np.int64)
        self._pieces = [array("Q") for _ in scans]  # of each scan: offset in the spool and size, alternately

    def add(self, slabs: Iterable[tuple[Slab, Masks]]) -> None:
        """Encode all slabs."""
        count = len(self.listed.scans)
        self._areas = scratch.empty((count, AREA_BYTES), np.uint8)
        self._stuffed = np.empty(2 * AREA_BYTES + 32, np.uint8)
        for slab, masks in slabs:
            for part in self.parts(slab):
                scan = 0
                while scan < count:
                    scan = progressive_encode.encode_scans(
                        slab, masks, self.layout, self.plan, part, self._codes, self._state, self._areas, scan
                    )
                    if scan < count:
                        self._empty(scan)
        for scan, filled in enumerate(self._state[:, progressive_encode.FILLED].tolist()):
            if filled > AREA_BYTES - progressive_encode.ROOM_BYTES:
                self._empty(scan)
        progressive_encode.encode_ends(self.plan, self._codes, self._state, self._areas)
        for scan, state in enumerate(self._state):
            self._empty(scan, final_byte(int(state[progressive_encode.PENDING]), int(state[progressive_encode.HELD])))

    def _empty(self, scan: int, last: bytes = b"") -> None:
        """Write a scan's area to the spool, and bytes after it."""
        count = stuff(self._areas[scan], int(self._state[scan, progressive_encode.FILLED]), self._stuffed)
        self._state[scan, progressive_encode.FILLED] = 0
        size = count + len(last)
        if size:
            data = self._stuffed[:size].data
            data[count:] = last
            self._pieces[scan].extend((self._spool.size, size))
            self._spool.write(data)

    def chunks(self) -> Iterator[memoryview]:
        """Yield tables, headers and data, scan by scan, in chunks of about CHUNK_BYTES."""
        joined = bytearray()
        for head, pieces in zip(self._heads, self._pieces, strict=True):
            joined += head
            for at in range(0, len(pieces), 2):
                joined += self._spool.read(pieces[at], pieces[at + 1])
                if len(joined) >= CHUNK_BYTES:
                    yield memoryview(joined)
                    joined = bytearray()
        yield memoryview(joined)
