"""Marker segments (T.81 Annex B): what stands before, between and behind the entropy-coded data."""

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError
from compressor.jpeg.frame import Component, Frame, Header, Scan, Segment
from compressor.t81 import (
    APP0,
    APP14,
    APP15,
    COM,
    DAC,
    DHP,
    DHT,
    DNL,
    DQT,
    DRI,
    EOI,
    EXP,
    K3_DC_LUMINANCE,
    K4_DC_CHROMINANCE,
    K5_AC_LUMINANCE,
    K6_AC_CHROMINANCE,
    RST0,
    RST7,
    SOF0,
    SOI,
    SOS,
    TEM,
)

METADATA_BYTES_MAX = 16 << 20  # of marker segments in one image, whatever they hold
SEGMENTS_MAX = 4096
GARBAGE_BYTES_MAX = 1 << 16  # between segments
BLOCKS_PER_MCU_MAX = 10  # B.2.3
SOF15 = 0xCF
NOT_SOF = (DHT, 0xC8, DAC)  # codes among SOF0..SOF15 that start no frame (Table B.1)
STANDARD_HUFFMAN = {
    (0, 0): K3_DC_LUMINANCE,
    (0, 1): K4_DC_CHROMINANCE,
    (1, 0): K5_AC_LUMINANCE,
    (1, 1): K6_AC_CHROMINANCE,
}
NAMES = {SOI: "SOI", EOI: "EOI", SOS: "SOS", DQT: "DQT", DHT: "DHT", DRI: "DRI", DNL: "DNL", DHP: "DHP", EXP: "EXP"}
NAMES |= {DAC: "DAC", COM: "COM", TEM: "TEM"}
NAMES |= {RST0 + n: f"RST{n}" for n in range(8)} | {APP0 + n: f"APP{n}" for n in range(16)}
NAMES |= {SOF0 + n: f"SOF{n}" for n in range(16) if SOF0 + n not in NOT_SOF}


def marker_name(code: int) -> str:
    """The name T.81 gives a marker (Table B.1), or its bytes."""
    return NAMES.get(code, f"FF{code:02X}")


def read_header(stream: ByteStream) -> Header:
    """Read from SOI to the first SOS. Raises FormatError, or LimitError where there is more metadata than we hold."""
    start = stream.read(2)
    if start != bytes([0xFF, SOI]):
        found = start.hex().upper() or "the end of the input"
        raise FormatError("JPEG", "SOI", stream.offset - len(start), f"expected FFD8, found {found}")
    return Parser(stream).header()


def finish_image(stream: ByteStream, header: Header) -> None:
    """Read from the end of the last scan to EOI. APPn and COM on the way go to `header.trailing`.

    An image without EOI is taken, with a notice: all its rows are there, and libjpeg inserts one (JWRN_JPEG_EOF).
    """
    parser = Parser(stream)
    parser.frame = header.frame
    parser.kept_bytes = sum(len(segment.data) for segment in header.segments)
    if parser.read_until(EOI, SOS, end_allowed=True) == SOS:
        parser.fail("a scan after all components were complete")
    header.trailing.extend(parser.segments)
    header.notices.extend(parser.notices)


class Parser:
    """Takes marker segments until one that ends its stretch of them, and keeps what they said.

    Functions named process_X read segment X; `self.marker` and `self.at` say which one it is and where.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.frame: Frame | None = None
        self.scan: Scan | None = None
        self.quantization: dict[int, NDArray[np.uint16]] = {}
        self.huffman: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        self.segments: list[Segment] = []
        self.notices: list[str] = []
        self.restart_interval = 0
        self.jfif = self.hierarchical = False
        self.adobe_transform: int | None = None
        self.marker = SOI
        self.at = stream.offset
        self.kept_bytes = self.garbage_bytes = self._taken = 0

    def fail(self, problem: str, offset: int | None = None) -> NoReturn:
        raise FormatError("JPEG", marker_name(self.marker), self.at if offset is None else offset, problem)

    def header(self) -> Header:
        """All up to the first scan's data."""
        if self.read_until(SOS, EOI) == EOI:
            self.fail("the file ends before its first scan")
        if self.frame is None:
            self.fail("a scan before any frame header")
        scan = self.process_sos(self.frame)
        header = Header(
            self.frame,
            scan,
            self.quantization,
            self.huffman,
            self.segments,
            self.restart_interval,
            self.jfif,
            self.adobe_transform,
            self.hierarchical,
            self.stream.offset,
            notices=self.notices,
        )
        if header.streams:
            self.check_tables(self.frame, scan)
        return header

    def read_until(self, *ends: int, end_allowed: bool = False) -> int:
        """Process segments up to a marker of `ends` (not its parameters), and return that."""
        while True:
            code = self.next_marker(end_allowed)
            if code in ends:
                break
            if code == TEM or RST0 <= code <= RST7:
                continue  # no parameters; libjpeg skips them wherever they stand (read_markers in jdmarker.c)
            self.process(code)
        if self.garbage_bytes:
            # As libjpeg does, with a warning (next_marker in jdmarker.c).
            self.notices.append(f"{self.garbage_bytes} bytes between marker segments were ignored")
        return code

    def process(self, code: int) -> None:
        if APP0 <= code <= APP15 or code == COM:
            self.process_app_or_com(self.parameters())
        elif code == DQT:
            self.process_dqt(self.parameters())
        elif code == DHT:
            self.process_dht(self.parameters())
        elif code == DRI:
            data = self.parameters()
            if len(data) != 2:
                self.fail(f"length {len(data) + 2}, expected 4")
            self.restart_interval = int.from_bytes(data)
        elif code in (DAC, DNL):
            self.parameters()  # DNL counts only where the frame header has no height, and that is not taken
        elif code in (DHP, EXP):
            self.hierarchical = True
            self.parameters()
        elif SOF0 <= code <= SOF15 and code not in NOT_SOF:
            self.process_sof(self.parameters())
        else:
            self.fail("a marker that has no place here")

    def next_marker(self, end_allowed: bool) -> int:
        """Take the next marker (B.1.1.2), with fill bytes and what else stands before it."""
        self._taken += 1
        if self._taken > SEGMENTS_MAX:
            raise LimitError(f"JPEG: more than {SEGMENTS_MAX} marker segments")
        stream = self.stream
        while True:
            window = stream.peek(1) and stream.peek(min(stream.size - stream.offset, 1 << 16))
            if not window:
                return self._end_of_input(end_allowed)
            skip = window.find(0xFF)
            if skip != 0:
                self._skip(len(window) if skip < 0 else skip)
                continue
            fill = len(window) - len(window.lstrip(b"\xff"))
            stream.read(fill - 1)
            pair = stream.peek(2)
            if len(pair) < 2:
                stream.read(2)
                return self._end_of_input(end_allowed)
            if pair[1] == 0:
                self._skip(2)  # a stuffed zero: no marker, as libjpeg sees it
            elif pair[1] != 0xFF:
                self.at, self.marker = stream.offset, pair[1]
                stream.read(2)
                return self.marker

    def _skip(self, count: int) -> None:
        self.garbage_bytes += count
        if self.garbage_bytes > GARBAGE_BYTES_MAX:
            self.fail(f"more than {GARBAGE_BYTES_MAX} bytes that belong to no marker segment", self.stream.offset)
        self.stream.read(count)

    def _end_of_input(self, end_allowed: bool) -> int:
        if not end_allowed:
            self.fail("the input ends before the next marker", self.stream.offset)
        self.notices.append("the file has no EOI marker")
        return EOI

    def parameters(self) -> bytes:
        """The parameters of a segment, behind its length (B.1.1.4)."""
        length = int.from_bytes(self.stream.peek(2))
        if len(self.stream.read(2)) < 2:
            self.fail("the input ends inside the segment")
        if length < 2:
            self.fail(f"length {length}, must be at least 2")
        self.kept_bytes += length
        if self.kept_bytes > METADATA_BYTES_MAX:
            raise LimitError(f"JPEG: more than {METADATA_BYTES_MAX} bytes in marker segments")
        kept = APP0 <= self.marker <= APP15 or self.marker == COM
        data = self.stream.keep(length - 2) if kept else self.stream.read(length - 2)
        if len(data) < length - 2:
            self.fail(f"the input ends inside the segment, {length - 2 - len(data)} of {length} bytes short")
        return data

    def process_app_or_com(self, data: bytes) -> None:
        self.segments.append(Segment(self.marker, data))
        if self.marker == APP0 and data.startswith(b"JFIF\0") and len(data) >= 14:
            self.jfif = True
        elif self.marker == APP14 and data.startswith(b"Adobe") and len(data) >= 12:
            self.adobe_transform = data[11]

    def process_dqt(self, data: bytes) -> None:
        """B.2.4.1. 16-bit tables are taken in baseline frames, too, as libjpeg does."""
        at = 0
        while at < len(data):
            pq, tq = data[at] >> 4, data[at] & 15
            if pq > 1 or tq > 3:
                self.fail(f"Pq {pq}, Tq {tq}, must be at most 1 and 3")
            size = 64 * (pq + 1)
            if at + 1 + size > len(data):
                self.fail(f"length {len(data) + 2} cuts off table {tq}")
            table = np.frombuffer(data, ">u2" if pq else "u1", 64, at + 1).astype(np.uint16)
            if not table.all():
                self.fail(f"table {tq} has a zero")
            self.quantization[tq] = table
            at += 1 + size

    def process_dht(self, data: bytes) -> None:
        """B.2.4.2. Codes must fit their lengths, and none may be all ones (C.2, as libjpeg checks it)."""
        at = 0
        while at < len(data):
            tc, th, bits = data[at] >> 4, data[at] & 15, data[at + 1 : at + 17]
            if tc > 1 or th > 3:
                self.fail(f"Tc {tc}, Th {th}, must be at most 1 and 3")
            count = sum(bits)
            at += 17 + count
            if count > 256 or at > len(data):
                self.fail(f"table {tc}/{th} with {count} codes in a segment of length {len(data) + 2}")
            code = 0
            for length, codes in enumerate(bits, 1):
                code += codes
                if codes and code >= 1 << length:
                    self.fail(f"table {tc}/{th} has more codes of length {length} than there are")
                code <<= 1
            self.huffman[tc, th] = bits, data[at - count : at]

    def process_sof(self, data: bytes) -> None:
        """B.2.2."""
        if self.frame is not None and not self.hierarchical:
            self.fail("a second frame header")
        if len(data) < 6 or len(data) != 6 + 3 * data[5]:
            self.fail(f"length {len(data) + 2} does not fit the number of components")
        precision, height, width = data[0], int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
        if width == 0:
            self.fail("width 0")
        if not 2 <= precision <= 16:
            self.fail(f"{precision}-bit samples")
        if not 1 <= data[5] <= 4:
            self.fail(f"{data[5]} components, expected 1 to 4")
        components = []
        for id, hv, tq in zip(data[6::3], data[7::3], data[8::3], strict=True):
            if not (1 <= hv >> 4 <= 4 and 1 <= hv & 15 <= 4):
                self.fail(f"sampling factors {hv >> 4}x{hv & 15} of component {id}, must be 1 to 4")
            if tq > 3:
                self.fail(f"quantization table {tq} of component {id}, must be at most 3")
            components.append(Component(id, hv >> 4, hv & 15, tq))
        self.frame = Frame(width, height, tuple(components), precision, self.marker)

    def process_sos(self, frame: Frame) -> Scan:
        """B.2.3."""
        data = self.parameters()
        count = data[0] if data else 0
        if not 1 <= count <= 4 or len(data) != 4 + 2 * count:
            self.fail(f"length {len(data) + 2} does not fit {count} components")
        ids = [c.id for c in frame.components]
        components = []
        for id, td, ta in ((data[n], data[n + 1] >> 4, data[n + 1] & 15) for n in range(1, 1 + 2 * count, 2)):
            if id not in ids:
                self.fail(f"component {id} is not in the frame, or twice in the scan")
            index = ids.index(id)
            ids[index] = -1
            if td > 3 or ta > 3:
                self.fail(f"Huffman tables {td} and {ta}, must be at most 3")
            components.append((index, td, ta))
        blocks = sum(h * v for h, v in (frame.sampling[index] for index, _, _ in components))
        if count > 1 and blocks > BLOCKS_PER_MCU_MAX:
            self.fail(f"{blocks} blocks in an MCU, at most {BLOCKS_PER_MCU_MAX} are allowed")
        ss, se, a = data[-3:]
        return Scan(tuple(components), ss, se, a >> 4, a & 15)

    def check_tables(self, frame: Frame, scan: Scan) -> None:
        """What a sequential scan names must have been defined. Ss, Se, Ah and Al are ignored, as in libjpeg."""
        for component in frame.components:
            if component.tq not in self.quantization:
                self.fail(f"quantization table {component.tq} of component {component.id} is missing")
        for _, td, ta in scan.components:
            for key in ((0, td), (1, ta)):
                if key not in self.huffman:
                    # Motion JPEG frames leave the tables of Annex K.3 out; libjpeg-turbo fills them in (jdhuff.c).
                    if key not in STANDARD_HUFFMAN:
                        self.fail(f"Huffman table {key[0]}/{key[1]} is missing")
                    self.huffman[key] = STANDARD_HUFFMAN[key]
