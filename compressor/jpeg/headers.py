"""Parsing of marker segments (T.81 Annex B) before, between and after the entropy-coded data."""

import dataclasses
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError
from compressor.jpeg import mpf
from compressor.jpeg.frame import (
    COMPONENTS_MAX,
    SOF_LS,
    STANDARD_HUFFMAN,
    Component,
    Frame,
    Header,
    HuffmanSpec,
    Scan,
    Segment,
)
from compressor.jpeg.markers import NOT_SOF, PARAMETERLESS, MarkerReader
from compressor.jpeg.policy import SegmentReducer, read_metadata
from compressor.settings import Metadata
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
    SOF0,
    SOI,
    SOS,
)

BLOCKS_PER_MCU_MAX = 10  # B.2.3
SOF15 = 0xCF
LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF, SOF_LS)


def read_header(stream: ByteStream, policy: Metadata = Metadata.KEEP) -> Header:
    """Read from SOI to the first SOS, with the metadata that `policy` keeps.

    Raise FormatError, or LimitError if there is more metadata than is held.
    """
    start = stream.read(2)
    if start != bytes([0xFF, SOI]):
        found = start.hex().upper() or "the end of the input"
        raise FormatError("JPEG", "SOI", stream.offset - len(start), f"expected FFD8, found {found}")
    return Parser(stream, policy).header()


def finish_image(stream: ByteStream, header: Header) -> None:
    """Read from the end of the last scan to EOI. APPn and COM before it are appended to `header.trailing`.

    Raise FormatError if there is no EOI, or something before it that is not allowed there.
    """
    parser = Parser(stream, header.policy, in_head=False)
    parser.frame = header.frame
    parser.kept_bytes = sum(len(segment.data) for segment in header.segments)
    if parser.read_until(EOI, SOS) == SOS:
        parser.ids = bytes(component.id for component in header.frame.components)
        parser.process_sos(header.frame)
        stream.clear_mark()  # these are not stray bytes that resemble a marker
        parser.fail("a scan after all components were complete")
    parser.note_garbage()
    header.trailing.extend(parser.segments)
    header.notices.extend(parser.notices)


class Parser(MarkerReader):
    """A parser of marker segments up to a given marker. Its attributes hold their contents.

    Methods named process_X read segment X.
    """

    def __init__(self, stream: ByteStream, policy: Metadata = Metadata.KEEP, *, in_head: bool = True) -> None:
        super().__init__(stream)
        self.reducer = SegmentReducer(policy)
        self.in_head = in_head
        self.frame: Frame | None = None
        self.scan: Scan | None = None
        self.quantization: dict[int, NDArray[np.uint16]] = {}
        self.huffman: dict[tuple[int, int], HuffmanSpec] = {}
        self.segments: list[Segment] = []
        self.restart_interval = 0
        self.jfif = self.hierarchical = self.dnl = False
        self.adobe_transform: int | None = None
        self.ids: bytes = b""  # of the frame's components as the file has them

    def header(self) -> Header:
        """Read all headers up to the first scan's data."""
        if self.read_until(SOS, EOI) == EOI:
            self.fail("the file ends before its first scan")
        if self.frame is None:
            self.fail("a scan before any frame header")
        scan = self.process_sos(self.frame)
        self.note_garbage()
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
            self.dnl,
            self.stream.offset,
            notices=self.notices,
            policy=self.reducer.policy,
            removed=self.reducer.notices(),
            credentials=self.reducer.credentials,
        )
        if header.streams:
            self.check_tables(self.frame, scan)
        return header

    def read_until(self, *ends: int, end_allowed: bool = False) -> int:
        """Process segments up to a marker of `ends`, without its parameters. Return that marker."""
        while True:
            code = self.next_marker(end_allowed)
            if code in ends:
                return code
            if code in PARAMETERLESS:
                continue  # libjpeg skips them anywhere (read_markers in jdmarker.c)
            self.process(code)

    def process(self, code: int) -> None:
        """Read the segment of a marker that has been taken."""
        if APP0 <= code <= APP15 or code == COM:
            self.process_app_or_com()
        elif code == DQT:
            self.process_dqt(self.parameters())
        elif code == DHT:
            self.process_dht(self.parameters())
        elif code == DRI:
            data = self.parameters()
            if len(data) != 2:
                self.fail(f"length {len(data) + 2}, expected 4")
            self.restart_interval = int.from_bytes(data)
        elif code == DAC:
            self.parameters()
        elif code == DNL:
            self.process_dnl(self.parameters())
        elif code in (DHP, EXP):
            self.hierarchical = True
            self.parameters()
        elif (SOF0 <= code <= SOF15 and code not in NOT_SOF) or code == SOF_LS:
            self.process_sof(self.parameters())
        else:
            self.fail("a marker that is not allowed here")  # including a second SOI, as in libjpeg (get_soi)

    def process_app_or_com(self) -> None:
        """Read APPn or COM, and keep what the metadata policy allows."""
        segment = read_metadata(self, self.reducer, self.in_head)
        if segment is None:
            return
        data = segment.data
        self.segments.append(segment)
        if self.marker == APP0 and data.startswith(b"JFIF\0") and len(data) >= 14:
            self.jfif = True
        elif self.marker == APP14 and data.startswith(b"Adobe") and len(data) >= 12:
            self.adobe_transform = data[11]
        elif mpf.is_index(segment) and not mpf.is_readable(segment) and self.reducer.policy is Metadata.KEEP:
            self.notices.append(
                "the index of additional images (MPF) can't be read: it does not follow the image's size"
            )

    def process_dqt(self, data: bytes) -> None:
        """Read DQT (B.2.4.1). 16-bit tables are accepted in baseline frames, too, as in libjpeg."""
        at = 0
        while at < len(data):
            pq, tq = data[at] >> 4, data[at] & 15
            if tq > 3:
                self.fail(f"Tq {tq}, must be at most 3")
            size = 128 if pq else 64  # a Pq over 1 counts as 1 in libjpeg (get_dqt in jdmarker.c)
            if at + 1 + size > len(data):
                self.fail(f"length {len(data) + 2} cuts off table {tq}")
            self.quantization[tq] = np.frombuffer(data, ">u2" if pq else "u1", 64, at + 1).astype(np.uint16)
            at += 1 + size

    def process_dht(self, data: bytes) -> None:
        """Read DHT (B.2.4.2). Codes are checked when a scan uses them, as in libjpeg (jpeg_make_d_derived_tbl)."""
        at = 0
        while at < len(data):
            tc, th, bits = data[at] >> 4, data[at] & 15, data[at + 1 : at + 17]
            if tc > 1 or th > 3:
                self.fail(f"Tc {tc}, Th {th}, must be at most 1 and 3")
            count = sum(bits)
            at += 17 + count
            if count > 256 or at > len(data):
                self.fail(f"table {tc}/{th} with {count} codes in a segment of length {len(data) + 2}")
            self.huffman[tc, th] = bits, data[at - count : at]

    def process_sof(self, data: bytes) -> None:
        """Read SOF (B.2.2)."""
        if self.frame is not None and not self.hierarchical:
            self.fail("a second frame header")
        if len(data) < 6 or len(data) != 6 + 3 * data[5]:
            self.fail(f"length {len(data) + 2} does not fit the number of components")
        precision, height, width = data[0], int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
        if width == 0:
            self.fail("width 0")
        if not (2 <= precision <= 16 if self.marker in LOSSLESS else precision in (8, 12)):
            self.fail(f"{precision}-bit samples")
        if data[5] == 0:
            self.fail("no components")
        self.ids = data[6::3]
        components: list[Component] = []
        for id, hv, tq in zip(self.ids, data[7::3], data[8::3], strict=True):
            if not (1 <= hv >> 4 <= 4 and 1 <= hv & 15 <= 4):
                self.fail(f"sampling factors {hv >> 4}x{hv & 15} of component {id}, must be 1 to 4")
            if tq > 3:
                self.fail(f"quantization table {tq} of component {id}, must be at most 3")
            components.append(Component(id, hv >> 4, hv & 15, tq))
        self.frame = Frame(width, height, self._distinct(components), precision, self.marker)
        self.dnl = height == 0

    def _distinct(self, components: list[Component]) -> tuple[Component, ...]:
        """Return the components with distinct identifiers. B.2.2 forbids repeated ones, but such files exist. libjpeg
        assigns new ones (get_sof in jdmarker.c, from version 8d on), libjpeg-turbo uses the order in the scan
        (get_sos)."""
        if len(set(self.ids)) == len(components) <= COMPONENTS_MAX:  # as nearly always
            return tuple(components)
        free = (id for id in range(256) if id > 0 and id not in self.ids)
        seen: set[int] = set()
        out = []
        for component in components[:COMPONENTS_MAX]:
            if component.id in seen:
                component = dataclasses.replace(component, id=next(free))
            seen.add(component.id)
            out.append(component)
        if bytes(component.id for component in out) != self.ids[:COMPONENTS_MAX]:
            self.notices.append("components with the same identifier were distinguished by their order")
        return (*out, *components[COMPONENTS_MAX:])

    def process_dnl(self, data: bytes) -> None:
        """Read DNL (B.2.5), except where the height is missing, see `number_of_lines`. libjpeg skips it (read_markers
        in jdmarker.c): the frame header's height counts."""
        lines = int.from_bytes(data[:2])
        if self.frame is None or lines == self.frame.height:
            return
        if self.frame.height == 0:
            self.fail("the number of lines must follow the first scan")
        if self.dnl:
            self.fail(f"{lines} lines, after {self.frame.height} in the one before")
        self.notices.append(f"a DNL segment that gives {lines} lines instead of {self.frame.height} was ignored")

    def number_of_lines(self) -> int:
        """Read the DNL segment that must be next (B.2.5). Return its number of lines."""
        if self.next_marker(end_allowed=False) != DNL:
            self.fail("expected DNL, since the frame header has no height")
        data = self.parameters()
        lines = int.from_bytes(data)
        if len(data) != 2 or lines == 0 or self.frame is None:
            self.fail(f"{lines} lines in a segment of length {len(data) + 2}, expected at least 1 and 4")
        self.frame = dataclasses.replace(self.frame, height=lines)
        return lines

    def process_sos(self, frame: Frame) -> Scan:
        """Read SOS (B.2.3)."""
        data = self.parameters()
        count = data[0] if data else 0
        if not 1 <= count <= 4 or len(data) != 4 + 2 * count:
            self.fail(f"length {len(data) + 2} does not fit {count} components")
        ids: list[int | None] = list(self.ids)
        components, blocks = [], 0
        for id, selectors in zip(data[1 : 1 + 2 * count : 2], data[2 : 2 + 2 * count : 2], strict=True):
            if id not in ids:
                self.fail(f"component {id} is not in the frame, or twice in the scan")
            index = ids.index(id)  # the first one that the scan has not named yet
            ids[index] = None
            components.append((index, selectors >> 4, selectors & 15))
            blocks += frame.sampling[index][0] * frame.sampling[index][1]
        if count > 1 and blocks > BLOCKS_PER_MCU_MAX:
            self.fail(f"{blocks} blocks in an MCU, at most {BLOCKS_PER_MCU_MAX} are allowed")
        ss, se, a = data[-3:]
        return Scan(tuple(components), ss, se, a >> 4, a & 15)

    def check_tables(self, frame: Frame, scan: Scan) -> None:
        """Check that all tables of a sequential scan of all components are defined.

        Motion JPEG frames omit the tables of Annex K.3. libjpeg-turbo replaces missing ones, one by one, if the frame
        is sequential (jinit_huff_decoder in jdhuff.c). Ss, Se, Ah and Al are ignored, as in libjpeg
        (start_pass_huff_decoder in jdhuff.c warns, since some files have zeros instead).
        """
        for component in frame.components:
            self.quantization_table(component)
        for _, td, ta in scan.components:
            for key in ((0, td), (1, ta)):
                self.huffman[key] = self.huffman_table(key, STANDARD_HUFFMAN)

    def quantization_table(self, component: Component) -> NDArray[np.uint16]:
        """Return the current table of a component."""
        table = self.quantization.get(component.tq)
        if table is None:
            self.fail(f"quantization table {component.tq} of component {component.id} is missing")
        return table

    def huffman_table(self, key: tuple[int, int], missing: Mapping[tuple[int, int], HuffmanSpec]) -> HuffmanSpec:
        """Return the current table (Tc, Th), else that of `missing`. Codes must fit their lengths, and none may be all
        ones (C.2, as libjpeg checks it)."""
        spec = self.huffman.get(key) or missing.get(key)
        if spec is None:
            self.fail(f"Huffman table {key[0]}/{key[1]} is missing")
        if length := overfull_length(spec[0]):
            self.fail(f"Huffman table {key[0]}/{key[1]} has more codes of length {length} than are possible")
        return spec


@lru_cache(64)
def overfull_length(bits: bytes) -> int:
    """Return the first length with more codes than are possible, 0 if there is none."""
    code = 0
    for length, codes in enumerate(bits, 1):
        code += codes
        if codes and code >= 1 << length:
            return length
        code <<= 1
    return 0
