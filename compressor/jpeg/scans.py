"""Reading of JPEGs with several scans, progressive or not, one slab at a time (T.81 A.2, G): all scans in lockstep.

Each scan contains a part of each MCU row, so a slab needs all scans. Each scan has a reader of its own, with a small
window on the file. The readers add their parts of a slab in the order of the file. Only a slab and a window for each
scan are held, whatever the height. The whole file must be available.

scans = Scans(spool, header)
for slab in scans.slabs(): ...
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg.frame import STANDARD_HUFFMAN, Component, Header, Scan, Slab
from compressor.jpeg.headers import Parser
from compressor.jpeg.markers import NO_EOI, entropy_coded
from compressor.jpeg.reader import WINDOW, DecodingTables, EntropyReader, TableSpecs, empty_tables
from compressor.kernels import huffman_decode, progressive
from compressor.spool import Readable
from compressor.t81 import EOI, SOS

# Encoders write up to a dozen scans. Four components with every bit in a scan of its own are fewer than 100. A window
# is held for each. libjpeg-turbo has no limit, or one of 500 if the application requests it (TJFLAG_LIMITSCANS).
SCANS_MAX = 100
# Coefficients of a block that all scans together may visit: each 16 times. Sending all bits one by one takes 14.
VISITS_MAX = 64 * 16
# The work of all scans together is limited, in visits of a block by a scan (3 ns or less). Each line of blocks adds the
# cost of a call. The limit grows with the size of the file: DC takes a bit of each block, so a byte has room for at
# most 8 blocks, and encoders visit each block about ten times. Thus 1 MB may take a second, where libjpeg takes
# minutes.
WORK_MAX = 1 << 27
WORK_PER_BYTE = 192
LINE_WORK = 800
AL_MAX = 13  # T.81 has no limit; this one is libjpeg's (start_pass_phuff_decoder in jdphuff.c)
# Bytes of the windows of all scans together. A window is the part of the file that `EntropyReader` holds.
WINDOWS_BYTES = 1 << 18
WINDOW_BYTES_MIN, WINDOW_BYTES_MAX, MARKS = 1 << 11, 1 << 14, 256
SEARCH_BYTES = 1 << 16

# Peak bytes of one scan's reader without its window: marks, tables, objects.
SCAN_BYTES = huffman_decode.PAD + 16 * MARKS + (8 << 10)
SEQUENTIAL_TABLES_BYTES = 8 * (4 << huffman_decode.BITS)


def window_bytes(scans: int) -> int:
    """Return the window of each scan in a file with `scans` scans."""
    return min(WINDOW_BYTES_MAX, max(WINDOW_BYTES_MIN, WINDOWS_BYTES // scans))


def scan_readers_bytes(header: Header) -> int:
    """Return the peak bytes of the largest possible number of readers: the header does not give the number of scans.
    A window exists three times: read, cut out, destuffed."""
    if header.process == "progressive":
        return 3 * WINDOWS_BYTES + SCANS_MAX * SCAN_BYTES
    return len(header.frame.components) * (3 * WINDOW_BYTES_MAX + SCAN_BYTES + SEQUENTIAL_TABLES_BYTES)


class ProgressiveReader(EntropyReader):
    """A decoder of one scan of a progressive frame. Slabs must hold the coefficients of earlier scans."""

    _decode = staticmethod(progressive.decode_units)
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

    def _build(self, specs: TableSpecs) -> DecodingTables:
        lookup, limits, huffval = empty_tables(specs, progressive.BITS)
        for n, (_, bits, _) in enumerate(specs):
            counts = np.frombuffer(bits, np.uint8)
            progressive.build_progressive_table(counts, self._kind, self._al, n, huffval, lookup, limits)
        return lookup, limits, huffval


def tables_of(scan: Scan, is_progressive: bool) -> list[tuple[int, int]]:
    """Return (Tc, Th) of the Huffman tables that a scan uses; DC refinements have none (G.1.2.1.2)."""
    dc = {(0, td) for _, td, _ in scan.components} if not is_progressive or (scan.ss == 0 and not scan.ah) else set()
    ac = {(1, ta) for _, _, ta in scan.components} if not is_progressive or scan.ss else set()
    return sorted(dc | ac)


def chunks_from(spool: Readable, start: int, count: int) -> Iterator[bytes]:
    """Yield the bytes of a spool from `start` on, `count` at a time."""
    while chunk := spool.read(start, count):
        start += len(chunk)
        yield chunk


class Scans:
    """All scans of a file. They are found and checked by the constructor, and decoded by `slabs`.

    headers  for each scan: the header with that scan, its tables, restart interval and offset
    end      offset after the image; without an EOI marker, known when all slabs have been read
    lacking  coefficients that the scans never send or never refine to the last bit, for people; "" for a complete file

    charge   called with the bytes of metadata that is held
    ends     whether `header.scan_ends` is filled

    `header` is completed: the height if a DNL segment gives it, tables between scans, `trailing`, `notices` (which grow
    while slabs are read). Components that share a Tq but not the table that it meant get one each. Raise FormatError,
    and LimitError for too many scans.
    """

    def __init__(
        self,
        spool: Readable,
        header: Header,
        charge: Callable[[int], object] = lambda count: None,
        *,
        ends: bool = False,
    ) -> None:
        if header.obstacle:
            raise UnsupportedError(f"JPEG with {header.obstacle}")
        self._spool, self._charge, self._ends = spool, charge, ends
        self._header = header
        self._is_progressive = header.process == "progressive"
        self._parser = Parser(ByteStream(chunks_from(spool, 0, SEARCH_BYTES)), header.policy)
        self._parser.stream.read(2)  # SOI
        # Bits of each coefficient that are still missing, -1 before its first scan (coef_bits in jdphuff.c).
        self._missing = [[-1] * 64 for _ in header.frame.components]
        self._visits = [0] * len(header.frame.components)
        self._tables: dict[int, NDArray[np.uint16]] = {}
        self._bogus = self._work = 0
        self.headers: list[Header] = []
        self.end = 0
        self.lacking = ""
        self._find()

    # --- finding scans

    def _find(self) -> None:
        """Find and check all scans."""
        parser, header = self._parser, self._header
        parser.read_until(SOS)
        parser.segments.clear()  # the header has these and the notices
        parser.notices.clear()
        parser.stream.charge = self._charge
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
                # All MCUs are complete: bytes instead of EOI are not part of the image.
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
            # libjpeg continues as well, with a warning (JWRN_BOGUS_PROGRESSION in jdphuff.c).
            header.notices.append(f"{self._bogus} scans refine coefficients in an order that T.81 does not allow")
        self._name_tables()

    def _scan_header(self) -> Scan:
        """Read the scan header of an SOS marker that has been taken."""
        parser = self._parser
        if parser.frame is None:
            parser.fail("a scan before any frame header")
        return parser.process_sos(parser.frame)

    def _pass_scan(self, scan: Scan) -> None:
        """Add a scan and skip its data; after the first one, also read the number of lines if it is missing."""
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
        """Check a scan and add its header."""
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
                raise LimitError(f"JPEG: its scans visit more than {VISITS_MAX} coefficients per block")
            if index not in self._tables:
                # A component has the table that is current at its first scan, as in libjpeg (latch_quant_tables).
                self._tables[index] = parser.quantization_table(frame.components[index])
            if not self._is_progressive:
                if self._missing[index][0] == 0:  # libjpeg would mix the two: it does not clear the blocks
                    parser.fail(f"component {frame.components[index].id} is in a second scan")
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
        """Reject parameters that libjpeg rejects (JERR_BAD_PROGRESSION in jdphuff.c), and count those that it warns
        about."""
        ss, se, ah, al = scan.ss, scan.se, scan.ah, scan.al
        alone = len(scan.components) == 1
        if (se != 0 if ss == 0 else se < ss or se > 63 or not alone) or (ah and al != ah - 1) or al > AL_MAX:
            self._parser.fail(f"Ss {ss}, Se {se}, Ah {ah}, Al {al} and {len(scan.components)} components do not match")
        bogus = False
        for index, _, _ in scan.components:
            missing = self._missing[index]
            bogus |= ss > 0 and missing[0] < 0
            for k in range(ss, se + 1):
                bogus |= ah != max(missing[k], 0)
                missing[k] = al
        self._bogus += bogus

    def _check_size(self, start: int, end: int) -> None:
        """Check that the last scan's data can be complete, with a bit of DC for each block, and that its work is in
        proportion to the file."""
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
        """Find missing coefficients and bits. In a file without EOI they are an error: scans are missing."""
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
        """Set the header's tables to those of the components."""
        header, frame = self._header, self._header.frame
        if len(self._tables) < len(frame.components):
            return  # a component has no scan
        tables = [self._tables[index] for index in range(len(frame.components))]
        by_name = {component.tq: table for component, table in zip(frame.components, tables, strict=True)}
        same = all((by_name[c.tq] == table).all() for c, table in zip(frame.components, tables, strict=True))
        if not same:
            by_name = dict(enumerate(tables))
            renamed = tuple(Component(c.id, c.h, c.v, index) for index, c in enumerate(frame.components))
            header.frame = dataclasses.replace(frame, components=renamed)
        header.quantization.clear()
        header.quantization.update(by_name)

    # --- the slabs

    def slabs(self) -> Iterator[Slab]:
        """Yield slabs from top to bottom; the array is reused for each."""
        frame = self._header.frame
        readers = [self._reader(number, header) for number, header in enumerate(self.headers, 1)]
        whole = frame.new_slab()
        for row in range(0, frame.mcu_rows, frame.slab_rows):
            slab = whole[: min(frame.slab_rows, frame.mcu_rows - row) * frame.blocks_per_row]
            slab.fill(0)
            for reader in readers:
                reader.read_slab(slab, row)
            least = int(slab[:, 0].argmin())
            if slab[least, 0] < -progressive.DC_MAX:
                row += least // frame.blocks_per_row
                raise FormatError("JPEG", "SOS", None, f"a DC coefficient in MCU row {row} is too large")
            yield slab
        if self._ends:
            self._header.scan_ends += [reader.end_offset() for reader in readers]
        if NO_EOI in self._header.notices:
            self.end = readers.pop().end_offset()
        for reader in readers:
            reader.finish()

    def _reader(self, number: int, header: Header) -> EntropyReader:
        """Return a reader of a scan; `number` counts from 1."""
        size = window_bytes(len(self.headers))
        stream = ByteStream(chunks_from(self._spool, header.offset, size), start=header.offset)
        kind = ProgressiveReader if self._is_progressive else EntropyReader
        return kind(
            stream,
            header,
            f"scan {number} of {len(self.headers)}",
            (size, MARKS),
            self._ends or number == len(self.headers),
        )


def read_scans(spool: Readable, header: Header) -> Iterator[Slab]:
    """Yield the slabs of a whole file in `spool`, with any number of scans."""
    return Scans(spool, header).slabs()
