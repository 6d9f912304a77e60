"""Reading a JPEG in several scans, progressive or not, one MCU row at a time (T.81 A.2, G): all scans in lockstep.

Every scan holds its part of every MCU row, so a row needs all scans. Each gets a reader of its own, with a small window
on the file; a row is made by letting them add their parts in the order of the file. What is held is a row and a
window a scan, whatever the height. The file must be there as a whole.

scans = Scans(spool, header)
for row in scans.rows(): ...
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg.frame import Component, Header, Scan
from compressor.jpeg.headers import STANDARD_HUFFMAN, Parser
from compressor.jpeg.markers import NO_EOI, entropy_coded
from compressor.jpeg.reader import WINDOW, EntropyReader
from compressor.kernels import huffman_decode, progressive
from compressor.spool import Readable
from compressor.t81 import EOI, SOS

# Encoders write up to a dozen scans, four components with every bit in a scan of its own fewer than 100; a window is
# held for each. libjpeg-turbo has no limit, but for 500 where the application asks for one (TJFLAG_LIMITSCANS).
SCANS_MAX = 100
# Coefficients of a block that all scans together may visit: each of them 16 times. All bits one by one is 14 times.
VISITS_MAX = 64 * 16
# What all scans together may take, in visits of a block by a scan (3 ns and less), a line of blocks counting as many as
# the call for it takes: so much, and more the longer the file is. DC takes a bit of each block, so a byte has room for
# at most 8 blocks, and encoders visit each block about ten times. 1 MB may thus take a second; libjpeg takes minutes.
WORK_MAX = 1 << 27
WORK_PER_BYTE = 192
LINE_WORK = 800
AL_MAX = 13  # T.81 has no limit; this one is libjpeg's (start_pass_phuff_decoder in jdphuff.c)
# Of the windows of all scans together, a window being what `EntropyReader` holds of the file.
WINDOWS_BYTES = 1 << 18
WINDOW_BYTES_MIN, WINDOW_BYTES_MAX, MARKS = 1 << 11, 1 << 14, 256
SEARCH_BYTES = 1 << 16

# Peak bytes of the reader of one scan without its window: marks, tables, objects.
SCAN_BYTES = huffman_decode.PAD + 16 * MARKS + (8 << 10)
SEQUENTIAL_TABLES_BYTES = 8 * (4 << huffman_decode.BITS)


def window_bytes(scans: int) -> int:
    """Of a scan in a file of so many."""
    return min(WINDOW_BYTES_MAX, max(WINDOW_BYTES_MIN, WINDOWS_BYTES // scans))


def memory_bytes(header: Header) -> int:
    """Peak bytes of all readers together, as many as there may be: the header does not say how many scans follow.
    A window is there three times: read, cut out, destuffed."""
    if header.process == "progressive":
        return 3 * WINDOWS_BYTES + SCANS_MAX * SCAN_BYTES
    return len(header.frame.components) * (3 * WINDOW_BYTES_MAX + SCAN_BYTES + SEQUENTIAL_TABLES_BYTES)


class ProgressiveReader(EntropyReader):
    """The same for a scan of a progressive frame; rows must hold what earlier scans left."""

    _decode = staticmethod(progressive.decode_units)
    _lookup_bits = progressive.BITS
    _state_size = progressive.STATE

    def __init__(
        self,
        stream: ByteStream,
        header: Header,
        name: str = "the scan",
        window: tuple[int, int] = WINDOW,
        last: bool = True,
    ) -> None:
        scan = header.scan
        first, refine = (
            (progressive.DC_FIRST, progressive.DC_REFINE)
            if scan.ss == 0
            else (progressive.AC_FIRST, progressive.AC_REFINE)
        )
        self._kind = refine if scan.ah else first
        self._al = scan.al
        super().__init__(stream, header, name, window, last)
        self._state[progressive.KIND] = self._kind
        self._state[progressive.SS : progressive.AL + 1] = scan.ss, scan.se, scan.al

    def _tables(self, scan: Scan) -> list[tuple[int, int]]:
        return tables_of(scan, True)

    def _build(self, bits: NDArray[np.uint8], key: tuple[int, int], n: int) -> None:
        progressive.build_table(bits, self._kind, self._al, n, self._huffval, self._lookup, self._limits)


def tables_of(scan: Scan, is_progressive: bool) -> list[tuple[int, int]]:
    """(Tc, Th) of the Huffman tables that a scan uses; DC refinements have none (G.1.2.1.2)."""
    dc = {(0, td) for _, td, _ in scan.components} if not is_progressive or (scan.ss == 0 and not scan.ah) else set()
    ac = {(1, ta) for _, _, ta in scan.components} if not is_progressive or scan.ss else set()
    return sorted(dc | ac)


def windows(spool: Readable, start: int, count: int) -> Iterator[bytes]:
    """A spool's bytes from `start` on."""
    while chunk := spool.read(start, count):
        start += len(chunk)
        yield chunk


class Scans:
    """All scans of a file: found and checked when made, decoded by `rows`.

    headers  one a scan: the header with that scan, the tables and the restart interval in force there, and the offset
    end      offset of what follows the image; without an EOI marker, known when all rows have been read
    lacking  which coefficients the scans never send or never refine to the last bit, for people; "" for a complete file

    ends     whether `header.scan_ends` is to be filled

    Completes `header`: the height where a DNL segment gives it, the tables that came between scans, `trailing`,
    `notices` (which grow while rows are read).
    Components that share a Tq but not the table behind it get one each. Raises FormatError, and LimitError for more
    scans than are taken.
    """

    def __init__(
        self,
        spool: Readable,
        header: Header,
        hold: Callable[[int], object] = lambda count: None,
        *,
        ends: bool = False,
    ) -> None:
        if header.obstacle:
            raise UnsupportedError(f"JPEG with {header.obstacle}")
        self._spool, self._hold, self._ends = spool, hold, ends
        self._header = header
        self._is_progressive = header.process == "progressive"
        self._parser = Parser(ByteStream(windows(spool, 0, SEARCH_BYTES)), header.policy)
        self._parser.stream.read(2)  # SOI
        # Bits that are still to come of each coefficient, -1 before its first scan (coef_bits in jdphuff.c).
        self._missing = [[-1] * 64 for _ in header.frame.components]
        self._visits = [0] * len(header.frame.components)
        self._tables: dict[int, NDArray[np.uint16]] = {}
        self._bogus = self._work = 0
        self.headers: list[Header] = []
        self.end = 0
        self.lacking = ""
        self._find()

    # --- the walk along the markers

    def _find(self) -> None:
        parser, header = self._parser, self._header
        parser.read_until(SOS)
        parser.segments.clear()  # the header has them, and what was to be noticed there
        parser.notices.clear()
        parser.stream.charge = self._hold
        parser.in_head = False
        parser.garbage_bytes = 0
        self._pass_scan(self._scan_header())
        while True:
            complete = not any(map(any, self._missing))
            known = len(parser.segments), len(parser.notices), parser.garbage_bytes
            try:
                if parser.read_until(SOS, EOI, end_allowed=not complete) == EOI:
                    break
                scan = self._scan_header()
            except FormatError:
                # All MCUs are there: what comes instead of EOI is no part of the image.
                if not complete or header.dnl:
                    raise
                segments, notices, parser.garbage_bytes = known
                del parser.segments[segments:], parser.notices[notices:]
                parser.notices.append(NO_EOI)
                break
            self._pass_scan(scan)
        parser.note_garbage()
        self.end = parser.stream.offset
        self._check_complete(NO_EOI in parser.notices)
        header.notices.extend(parser.notices)
        header.trailing.extend(parser.segments)
        if self._bogus:
            # libjpeg goes on as well, with a warning (JWRN_BOGUS_PROGRESSION in jdphuff.c).
            header.notices.append(f"{self._bogus} scans refine coefficients in an order that is not that of T.81")
        self._name_tables()

    def _scan_header(self) -> Scan:
        parser = self._parser
        if parser.frame is None:
            parser.fail("a scan before any frame header")
        return parser.process_sos(parser.frame)

    def _pass_scan(self, scan: Scan) -> None:
        """Take a scan and pass over its data; behind the first one also the number of lines."""
        parser, header = self._parser, self._header
        self._take_scan(scan)
        start = parser.stream.offset
        for _ in entropy_coded(parser.stream):
            pass
        end = parser.stream.offset
        if header.frame.height == 0:
            header.frame = dataclasses.replace(header.frame, height=parser.number_of_lines())
            self.headers[-1].frame = header.frame
        self._check_size(start, end)

    def _take_scan(self, scan: Scan) -> None:
        parser, frame = self._parser, self._header.frame
        number = len(self.headers) + 1
        if number > SCANS_MAX:
            raise LimitError(f"JPEG: more than {SCANS_MAX} scans")
        if not self._is_progressive:
            scan = Scan(scan.components)  # Ss, Se, Ah and Al are ignored, as in libjpeg
        else:
            self._check_progression(scan)
        for index, _, _ in scan.components:
            self._visits[index] += scan.se - scan.ss + 1
            if self._visits[index] > VISITS_MAX:
                raise LimitError(f"JPEG: its scans visit more than {VISITS_MAX} coefficients a block")
            if index not in self._tables:
                # That in force at a component's first scan is the component's, as in libjpeg (latch_quant_tables).
                self._tables[index] = parser.quantization_table(frame.components[index])
            if not self._is_progressive:
                if self._missing[index][0] == 0:  # libjpeg would mix the two: it does not clear the blocks
                    parser.fail(f"component {frame.components[index].id} comes a second time")
                self._missing[index] = [0] * 64
        standard = {} if self._is_progressive else STANDARD_HUFFMAN
        huffman = {key: parser.huffman_table(key, standard) for key in tables_of(scan, self._is_progressive)}
        self.headers.append(
            dataclasses.replace(
                self._header,
                scan=scan,
                huffman=huffman,
                restart_interval=parser.restart_interval,
                offset=parser.stream.offset,
            )
        )

    def _check_progression(self, scan: Scan) -> None:
        """Refuse what libjpeg refuses (JERR_BAD_PROGRESSION in jdphuff.c), count what it warns of."""
        ss, se, ah, al = scan.ss, scan.se, scan.ah, scan.al
        alone = len(scan.components) == 1
        if (se != 0 if ss == 0 else se < ss or se > 63 or not alone) or (ah and al != ah - 1) or al > AL_MAX:
            self._parser.fail(f"Ss {ss}, Se {se}, Ah {ah}, Al {al} and {len(scan.components)} components do not go")
        bogus = False
        for index, _, _ in scan.components:
            missing = self._missing[index]
            bogus |= ss > 0 and missing[0] < 0
            for k in range(ss, se + 1):
                bogus |= ah != max(missing[k], 0)
                missing[k] = al
        self._bogus += bogus

    def _check_size(self, start: int, end: int) -> None:
        """Whether the data of the scan just taken can be all of it, a bit of DC for each block, and what it makes us
        do is in proportion."""
        scan, frame = self.headers[-1].scan, self._header.frame
        if len(scan.components) == 1:
            across, lines = frame.blocks(scan.components[0][0])
        else:
            across = sum(h * v for h, v in (frame.sampling[index] for index, _, _ in scan.components))
            across, lines = across * frame.mcus_per_row, frame.mcu_rows
        blocks = across * lines
        if scan.ss == 0 and 8 * (end - start) < blocks:
            problem = f"scan {len(self.headers)} has {end - start} bytes for {blocks} blocks"
            raise FormatError("JPEG", "SOS", end, problem)
        self._work += lines * (across + LINE_WORK)
        if self._work > WORK_MAX + WORK_PER_BYTE * self._spool.size:
            raise LimitError(f"JPEG: its scans visit too many blocks for a file of {self._spool.size} bytes")

    def _check_complete(self, cut_off: bool) -> None:
        """Find what the scans leave out. In a file without EOI that is an error: scans are missing."""
        lacking = []
        for component, missing in zip(self._header.frame.components, self._missing, strict=True):
            if cut_off and any(missing):
                problem = f"the scans end before component {component.id} is complete"
                raise FormatError("JPEG", "EOI", self.end, f"{problem}, after {len(self.headers)} of them")
            never, rough = (sum(map(test, missing)) for test in ((0).__gt__, (0).__lt__))
            if never:
                lacking.append(f"{never} coefficients of component {component.id}")
            if rough:
                lacking.append(f"the last bits of {rough} coefficients of component {component.id}")
        self.lacking = " and ".join(lacking)

    def _name_tables(self) -> None:
        """Give the header the tables that the components have."""
        header, frame = self._header, self._header.frame
        if len(self._tables) < len(frame.components):
            return  # a component never comes
        tables = [self._tables[index] for index in range(len(frame.components))]
        by_name = {component.tq: table for component, table in zip(frame.components, tables, strict=True)}
        same = all((by_name[c.tq] == table).all() for c, table in zip(frame.components, tables, strict=True))
        if not same:
            by_name = dict(enumerate(tables))
            renamed = tuple(Component(c.id, c.h, c.v, index) for index, c in enumerate(frame.components))
            header.frame = dataclasses.replace(frame, components=renamed)
        header.quantization.clear()
        header.quantization.update(by_name)

    # --- the rows

    def rows(self) -> Iterator[NDArray[np.int16]]:
        """Coefficient rows from top to bottom, the array reused for each, as `reader.read_rows` gives them."""
        frame = self._header.frame
        readers = [self._reader(number, header) for number, header in enumerate(self.headers, 1)]
        row = np.zeros((frame.blocks_per_row, 64), np.int16)
        for number in range(frame.mcu_rows):
            row.fill(0)
            for reader in readers:
                reader.read_row(row, number)
            if row[:, 0].min() < -progressive.DC_MAX:
                raise FormatError("JPEG", "SOS", None, f"a DC coefficient in MCU row {number} is too large")
            yield row
        if self._ends:
            self._header.scan_ends += [reader.offset_behind() for reader in readers]
        if NO_EOI in self._header.notices:
            self.end = readers.pop().offset_behind()
        for reader in readers:
            reader.finish()

    def _reader(self, number: int, header: Header) -> EntropyReader:
        size = window_bytes(len(self.headers))
        stream = ByteStream(windows(self._spool, header.offset, size), start=header.offset)
        kind = ProgressiveReader if self._is_progressive else EntropyReader
        return kind(
            stream,
            header,
            f"scan {number} of {len(self.headers)}",
            (size, MARKS),
            self._ends or number == len(self.headers),
        )


def read_scans(spool: Readable, header: Header) -> Iterator[NDArray[np.int16]]:
    """The coefficient rows of a file in any number of scans that is in `spool` as a whole."""
    return Scans(spool, header).rows()
