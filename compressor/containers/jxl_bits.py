"""Bits of JPEG XL headers (ISO/IEC 18181-1, 9.2) and the number codings in them."""

from compressor.errors import FormatError, LimitError
from compressor.humanize import human_format
from compressor.parsers.boxes import Extents

TITLE = human_format("jxl")
READS_MAX = 1 << 22  # fields in all headers
WINDOW_BYTES = 1 << 16

# The four distributions of U32 (9.2.3), chosen by two bits: (bits, offset); 0 bits for a constant.
Cases = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
SIZE: Cases = ((9, 1), (13, 1), (18, 1), (30, 1))
ENUM: Cases = ((0, 0), (0, 1), (4, 2), (6, 18))
NAME: Cases = ((0, 0), (4, 0), (5, 16), (10, 48))
ORIGIN: Cases = ((8, 0), (11, 256), (14, 2304), (30, 18688))
SECTION: Cases = ((10, 0), (14, 1024), (22, 17408), (30, 4211712))
POWERS: Cases = ((0, 1), (0, 2), (0, 4), (0, 8))
XY: Cases = ((19, 0), (19, 524288), (20, 1048576), (21, 2097152))


class Bits:
    """A bit reader of a codestream, or of another part of a file, least significant bit first.

    place  the part, as errors name it
    """

    def __init__(self, coded: Extents, place: str = "codestream") -> None:
        self._coded, self._place = coded, place
        self._window, self._first = b"", 0
        self.at = self._reads = 0

    def u(self, count: int) -> int:
        """Read `count` bits, at most 32, as an unsigned integer."""
        self._reads += 1
        if self._reads > READS_MAX:
            raise LimitError(f"{TITLE}: more than {READS_MAX} fields in the headers of frames")
        start = self.at >> 3
        if not self._first <= start <= self._first + len(self._window) - 5:
            self._window, self._first = self._coded.read(start, WINDOW_BYTES), start
        if self.at + count > 8 * self._coded.size:
            raise FormatError(TITLE, self._place, start, "truncated")
        data = self._window[start - self._first : start - self._first + 5]
        found = int.from_bytes(data, "little") >> (self.at & 7) & ((1 << count) - 1)
        self.at += count
        return found

    def flag(self) -> bool:
        return self.u(1) == 1

    def u32(self, cases: Cases) -> int:
        bits, offset = cases[self.u(2)]
        return offset + self.u(bits)

    def u64(self) -> int:
        """Read an unsigned integer of up to 64 bits (9.2.4)."""
        match self.u(2):
            case 0:
                return 0
            case 1:
                return 1 + self.u(4)
            case 2:
                return 17 + self.u(8)
        value, shift = self.u(12), 12
        while shift < 60 and self.flag():
            value |= self.u(8) << shift
            shift += 8
        if shift == 60 and self.flag():
            value |= self.u(4) << shift
        return value

    def skip(self, count: int) -> None:
        """Skip `count` bits."""
        self.at += count

    def align(self) -> None:
        """Skip to the next byte boundary."""
        self.at = (self.at + 7) // 8 * 8
