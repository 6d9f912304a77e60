"""The syntax of marker segments (T.81 B.1.1): where they begin and end, bytes between them, and limits."""

import re
from collections.abc import Iterator
from typing import NoReturn

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError
from compressor.jpeg.frame import SOF_LS
from compressor.t81 import APP0, APP15, COM, DAC, DHP, DHT, DNL, DQT, DRI, EOI, EXP, RST0, RST7, SOF0, SOI, SOS, TEM

PARAMETERLESS = (TEM, *range(RST0, RST7 + 1))  # besides SOI and EOI
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # ends entropy-coded data
METADATA_BYTES_MAX = 16 << 20  # of all marker segments in one image
SEGMENTS_MAX = 4096
PASSED_BYTES_MAX, PASSED_SEGMENTS_MAX = 1 << 30, 1_000_000  # of metadata segments that are not held
PASSED_PIECE_BYTES = 1 << 16
GARBAGE_BYTES_MAX = 1 << 16  # between segments
NO_EOI = "the file has no EOI marker"
NOT_SOF = (DHT, 0xC8, DAC)  # codes among SOF0..SOF15 that do not start a frame (Table B.1)
NAMES = {SOI: "SOI", EOI: "EOI", SOS: "SOS", DQT: "DQT", DHT: "DHT", DRI: "DRI", DNL: "DNL", DHP: "DHP", EXP: "EXP"}
NAMES |= {DAC: "DAC", COM: "COM", TEM: "TEM", SOF_LS: "SOF55"}
NAMES |= {RST0 + n: f"RST{n}" for n in range(8)} | {APP0 + n: f"APP{n}" for n in range(16)}
NAMES |= {SOF0 + n: f"SOF{n}" for n in range(16) if SOF0 + n not in NOT_SOF}


def marker_name(code: int) -> str:
    """Return a marker's name in T.81 (Table B.1), or its bytes."""
    return NAMES.get(code, f"FF{code:02X}")


def entropy_coded(stream: ByteStream) -> Iterator[bytes]:
    """Yield the data of a scan, including restart markers, up to the marker that ends it."""
    while window := stream.peek(max(2, min(stream.size - stream.offset, 1 << 16))):
        if found := MARKER.search(window):
            yield stream.read(found.start())
            return
        # 0xFF at the end of the window may begin a marker; at the end of the input it does not.
        yield stream.read(len(window) - (window[-1] == 0xFF and len(window) > 1))


class MarkerReader:
    """A reader of markers and their parameters from a stream.

    marker, at   the last marker, and its offset
    kept_bytes   bytes of the segments so far, limited by METADATA_BYTES_MAX
    passed_bytes, passed_segments   metadata that was not held
    notices      defects that were tolerated
    """

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.marker = SOI
        self.at = stream.offset
        self.notices: list[str] = []
        self.kept_bytes = self.garbage_bytes = self._taken = 0
        self.passed_bytes = self.passed_segments = 0

    def fail(self, problem: str, offset: int | None = None) -> NoReturn:
        """Raise FormatError for the last marker."""
        raise FormatError("JPEG", marker_name(self.marker), self.at if offset is None else offset, problem)

    def next_marker(self, end_allowed: bool) -> int:
        """Take and return the next marker (B.1.1.2), skipping fill bytes and any bytes that belong to no segment."""
        self._taken += 1
        if self._taken > SEGMENTS_MAX:
            raise LimitError(f"JPEG: more than {SEGMENTS_MAX} marker segments")
        stream = self.stream
        pair = stream.peek(2)
        if len(pair) == 2 and pair[0] == 0xFF and 0 < pair[1] < 0xFF:  # as nearly always
            self.at, self.marker = stream.offset, pair[1]
            stream.skip(2)
            return self.marker
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
                self._skip(2)  # a stuffed zero: not a marker, as in libjpeg
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
        self.notices.append(NO_EOI)
        return EOI

    def start(self, count: int) -> bytes:
        """Return the first bytes of a segment's data, at most `count`, without taking them."""
        window = self.stream.peek(2 + count)
        return window[2 : max(2, int.from_bytes(window[:2]))]

    def parameters(self, *, held: bool = True) -> bytes:
        """Take and return the parameters of a segment (B.1.1.4), without its length.

        held  whether metadata stay in memory; else `release` must be called when they have been read
        """
        length = self._length()
        self.kept_bytes += length
        if self.kept_bytes > METADATA_BYTES_MAX:
            raise LimitError(f"JPEG: more than {METADATA_BYTES_MAX} bytes in marker segments")
        kept = held and (APP0 <= self.marker <= APP15 or self.marker == COM)
        data = self.stream.read_charged(length - 2) if kept else self.stream.read(length - 2)
        if len(data) < length - 2:
            self._fail_short(length, length - 2 - len(data))
        return data

    def _length(self) -> int:
        field = self.stream.read(2)
        length = int.from_bytes(field)
        if len(field) < 2:
            self.fail("the input ends inside the segment")
        if length < 2:
            if not (APP0 <= self.marker <= APP15 or self.marker in (COM, DNL)):
                self.fail(f"length {length}, must be at least 2")
            # As in libjpeg (save_marker, skip_variable in jdmarker.c), for segments that are not needed.
            self.notices.append(f"{marker_name(self.marker)} at byte {self.at} has length {length}: taken as 2")
            return 2
        return length

    def _fail_short(self, length: int, missing: int) -> NoReturn:
        self.fail(f"the input ends inside the segment, {missing} of {length} bytes short")

    def release(self, count: int, left: int) -> None:
        """Count a metadata segment that was read as passed over, except for the `left` bytes that are kept."""
        if left:
            self.stream.charge(left)
        else:
            self._taken -= 1
        self.kept_bytes -= count - left
        self._pass(count - left)

    def pass_over(self) -> None:
        """Skip a metadata segment without holding it."""
        length = self._length()
        self._taken -= 1
        missing = length - 2
        while missing and (piece := self.stream.read_some(min(missing, PASSED_PIECE_BYTES))):
            missing -= len(piece)
        if missing:
            self._fail_short(length, missing)
        self._pass(length)

    def _pass(self, count: int) -> None:
        self.passed_bytes += count
        self.passed_segments += 1
        if self.passed_bytes > PASSED_BYTES_MAX or self.passed_segments > PASSED_SEGMENTS_MAX:
            most = f"{PASSED_BYTES_MAX} bytes or {PASSED_SEGMENTS_MAX} segments"
            raise LimitError(f"JPEG: more than {most} of metadata")

    def note_garbage(self) -> None:
        """Add a notice of bytes between segments. libjpeg skips any number with a warning (next_marker in jdmarker.c).
        More than GARBAGE_BYTES_MAX are not an encoder's mistake but another kind of data, and an error."""
        if self.garbage_bytes:
            self.notices.append(f"{self.garbage_bytes} bytes between marker segments were ignored")
