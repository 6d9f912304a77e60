"""The boxes (ISO/IEC 14496-12 clause 4.2) of HEIF, AVIF, JPEG 2000 and JPEG XL files."""

import bisect
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compressor.errors import FormatError, LimitError
from compressor.spool import CHUNK_BYTES, Readable

TOP_LEVEL_MAX = 4096  # boxes of a file
NESTED_MAX = 1 << 16  # boxes in one box
METADATA_BYTES_MAX = 16 << 20  # of a box that is read into memory
HEADER_BYTES_MAX = 16
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")

# An extent of a file: offset and length in bytes.
Extent = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type and the offsets of its header, of its content and of the first byte after it."""

    kind: bytes
    start: int
    content: int
    end: int


class Fields:
    """A reader of the fields of a box in memory, in order."""

    def __init__(self, title: str, place: str, data: bytes) -> None:
        self._title, self._place, self.data = title, place, data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, or raise FormatError where the box has fewer."""
        if count > self.left:
            raise self.broken(f"ends {count - self.left} bytes early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        """Read an unsigned big-endian integer of `size` bytes; 0 where `size` is 0."""
        return int.from_bytes(self.take(size), "big")

    def text(self) -> bytes:
        """Read a null-terminated string, or everything up to the end of the box."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            return self.take(self.left)
        found = self.take(end - self.at)
        self.at += 1
        return found

    def version(self) -> tuple[int, int]:
        """Read the version and flags of a full box."""
        word = self.number(4)
        return word >> 24, word & 0xFFFFFF

    def broken(self, problem: str) -> FormatError:
        """Return the error to raise about this box."""
        return FormatError(self._title, self._place, None, problem)


def top_level(source: Readable, start: int = 0) -> tuple[list[Box], int]:
    """Return a file's boxes and their end offset: what follows it is not a complete box."""
    found: list[Box] = []
    at = start
    while at < source.size:
        box = _header(source.read(at, HEADER_BYTES_MAX), at, source.size)
        if box is None:
            break
        if len(found) == TOP_LEVEL_MAX:
            raise LimitError(f"more than {TOP_LEVEL_MAX} boxes in a file")
        found.append(box)
        at = box.end
    return found, at


def _header(head: bytes, at: int, limit: int) -> Box | None:
    if len(head) < 8:
        return None
    size, kind = struct.unpack_from(">I4s", head)
    header = 8
    if size == 1:
        if len(head) < 16:
            return None
        (size,) = struct.unpack_from(">Q", head, 8)
        header = 16
    elif size == 0:
        size = limit - at
    if size < header or at + size > limit:
        return None
    return Box(kind, at, at + header, at + size)


def children(title: str, data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield type, content and content offset of each box in `data`, from `start`."""
    at = start
    for _ in range(NESTED_MAX):
        if at == len(data):
            return
        box = _header(data[at : at + HEADER_BYTES_MAX], at, len(data))
        if box is None:
            raise FormatError(title, "box", None, f"incomplete box {len(data) - at} bytes before the end of its parent")
        yield box.kind, data[box.content : box.end], box.content
        at = box.end
    raise LimitError(f"{title}: more than {NESTED_MAX} boxes in a box")


def content(title: str, source: Readable, box: Box) -> bytes:
    """Read the content of a box into memory."""
    if box.end - box.content > METADATA_BYTES_MAX:
        raise LimitError(f"{title}: box {name(box.kind)} has {box.end - box.content} bytes, at most 16 MiB are read")
    return source.read(box.content, box.end - box.content)


def make(kind: bytes, *parts: bytes) -> bytes:
    """Return a box with the given content."""
    size = 8 + sum(map(len, parts))
    return struct.pack(">I4s", size, kind) + b"".join(parts)


def make_full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Return a full box, which has a version and flags."""
    return make(kind, struct.pack(">I", version << 24 | flags), *parts)


def name(kind: bytes) -> str:
    """Return a four-character code as text for messages, hexadecimal where it is not printable."""
    text = kind.decode("latin-1")
    return text.strip() if text.isascii() and text.isprintable() else kind.hex()


class Extents:
    """Extents of a file read as contiguous data."""

    def __init__(self, source: Readable, extents: Sequence[Extent]) -> None:
        self._source, self._extents = source, list(extents)
        self._starts: list[int] = []
        self.size = 0
        for _, length in self._extents:
            self._starts.append(self.size)
            self.size += length

    def slice(self, at: int, count: int) -> list[Extent]:
        """Return the extents of the file that hold `count` bytes from `at`."""
        found: list[Extent] = []
        number = max(0, bisect.bisect_right(self._starts, at) - 1)
        while count > 0 and number < len(self._extents):
            start, length = self._extents[number]
            skipped = at - self._starts[number]
            taken = min(count, length - skipped)
            if taken > 0:
                found.append((start + skipped, taken))
                at += taken
                count -= taken
            number += 1
        return found

    def read(self, at: int, count: int) -> bytes:
        """Return `count` bytes from `at`, fewer at the end."""
        return b"".join(self._source.read(start, length) for start, length in self.slice(at, count))


def merge_extents(extents: Sequence[Extent]) -> list[Extent]:
    """Return the extents with adjacent ones merged."""
    found: list[Extent] = []
    for start, length in extents:
        if found and sum(found[-1]) == start:
            found[-1] = found[-1][0], found[-1][1] + length
        elif length:
            found.append((start, length))
    return found


def read_extents(source: Readable, extents: Sequence[Extent]) -> Iterator[bytes]:
    """Yield the bytes of extents in order, in chunks of at most CHUNK_BYTES."""
    for start, length in extents:
        for at in range(start, start + length, CHUNK_BYTES):
            yield source.read(at, min(CHUNK_BYTES, start + length - at))
