"""Boxes (ISO/IEC 14496-12 clause 4.2), of which HEIF, AVIF, JPEG 2000 and JPEG XL files consist."""

import bisect
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compressor.errors import FormatError, LimitError
from compressor.spool import CHUNK_BYTES, Readable

TOP_LEVEL_MAX = 4096  # boxes of a file
NESTED_MAX = 1 << 16  # boxes in one box
METADATA_BYTES_MAX = 16 << 20  # boxes that are held in memory
HEADER_BYTES_MAX = 16
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")

# A part of a file: its first byte, and how many bytes there are.
Part = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, the offset of its header, of its content, and of the first byte after it."""

    kind: bytes
    start: int
    content: int
    end: int


class Fields:
    """The fields of a box that is in memory, read in order."""

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
        """Return an unsigned big-endian number of `size` bytes; 0 where the size is 0."""
        return int.from_bytes(self.take(size), "big")

    def text(self) -> bytes:
        """Return a string without the zero byte that ends it, or all there is left."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            return self.take(self.left)
        found = self.take(end - self.at)
        self.at += 1
        return found

    def version(self) -> tuple[int, int]:
        """Return the version and the flags of a full box."""
        word = self.number(4)
        return word >> 24, word & 0xFFFFFF

    def broken(self, problem: str) -> FormatError:
        """Return the error to raise about this box."""
        return FormatError(self._title, self._place, None, problem)


def top_level(source: Readable, start: int = 0) -> tuple[list[Box], int]:
    """Return a file's boxes, and the offset where they end: what follows there is no complete box."""
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
    """Yield type, content and the content's offset of each box in `data` from `start` on."""
    at = start
    for _ in range(NESTED_MAX):
        if at == len(data):
            return
        box = _header(data[at : at + HEADER_BYTES_MAX], at, len(data))
        if box is None:
            raise FormatError(
                title, "box", None, f"no complete box {len(data) - at} bytes before the end of its parent"
            )
        yield box.kind, data[box.content : box.end], box.content
        at = box.end
    raise LimitError(f"{title}: more than {NESTED_MAX} boxes in a box")


def content(title: str, source: Readable, box: Box) -> bytes:
    """Return all of a box that is held in memory."""
    if box.end - box.content > METADATA_BYTES_MAX:
        raise LimitError(f"{title}: box {name(box.kind)} has {box.end - box.content} bytes, at most 16 MiB are read")
    return source.read(box.content, box.end - box.content)


def make(kind: bytes, *parts: bytes) -> bytes:
    """Return a box of what is in memory."""
    size = 8 + sum(map(len, parts))
    return struct.pack(">I4s", size, kind) + b"".join(parts)


def make_full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Return a full box: one with a version and flags."""
    return make(kind, struct.pack(">I", version << 24 | flags), *parts)


def name(kind: bytes) -> str:
    """Return a four-character code for messages."""
    text = kind.decode("latin-1")
    return text.strip() if text.isascii() and text.isprintable() else kind.hex()


class Held:
    """Bytes in memory, read as a file is."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on; fewer at the end."""
        return self._data[start : start + count]

    def chunks(self) -> Iterator[bytes]:
        """Yield all of them."""
        yield self._data


class Pieces:
    """Parts of a file that are read as if they were one."""

    def __init__(self, source: Readable, parts: Sequence[Part]) -> None:
        self._source, self._parts = source, list(parts)
        self._starts: list[int] = []
        self.size = 0
        for _, length in self._parts:
            self._starts.append(self.size)
            self.size += length

    def parts(self, at: int, count: int) -> list[Part]:
        """Return the parts of the file in which `count` bytes from `at` on are."""
        found: list[Part] = []
        number = max(0, bisect.bisect_right(self._starts, at) - 1)
        while count > 0 and number < len(self._parts):
            start, length = self._parts[number]
            skipped = at - self._starts[number]
            taken = min(count, length - skipped)
            if taken > 0:
                found.append((start + skipped, taken))
                at += taken
                count -= taken
            number += 1
        return found

    def read(self, at: int, count: int) -> bytes:
        """Return `count` bytes from `at` on; fewer at the end."""
        return b"".join(self._source.read(start, length) for start, length in self.parts(at, count))


def joined(parts: Sequence[Part]) -> list[Part]:
    """Return the same parts, those that follow each other in the file made one."""
    found: list[Part] = []
    for start, length in parts:
        if found and sum(found[-1]) == start:
            found[-1] = found[-1][0], found[-1][1] + length
        elif length:
            found.append((start, length))
    return found


def copied(source: Readable, parts: Sequence[Part]) -> Iterator[bytes]:
    """Yield the bytes of parts in order, in chunks of CHUNK_BYTES at most."""
    for start, length in parts:
        for at in range(start, start + length, CHUNK_BYTES):
            yield source.read(at, min(CHUNK_BYTES, start + length - at))
