"""The directories of a TIFF (TIFF 6.0 section 2; BigTIFF), of either byte order: which tags there are and where their
values lie. Nothing but tables is read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.errors import FormatError, LimitError

Integers = NDArray[np.int64]

# Bytes of one value of each type; 13 and 16 … 18 come from the Tech Note 1 and from BigTIFF.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
INTEGER_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}

NEW_SUBFILE_TYPE, SUBFILE_TYPE, SUB_IFDS = 254, 255, 330
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR = 256, 257, 258, 259, 262, 277, 284
RATIONAL = 5  # a type
OLD_JPEG = 6  # a compression of TIFF 6.0 that Exif uses for thumbnails

ENTRIES_MAX = 1 << 17  # of all directories that are read
VALUES_BYTES_MAX = 1 << 24  # of one tag
TABLES_BYTES_MAX = 1 << 26  # of all values that are read, one tag's after the other


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One tag of a directory.

    kind    the type of its values, a key of TYPE_BYTES, or one that is not known
    at      offset of the values in the file, also where they lie in the entry itself
    inline  whether they do
    """

    tag: int
    kind: int
    count: int
    at: int
    inline: bool

    @property
    def bytes(self) -> int:
        """Size of the values; 0 where the type is not known."""
        return TYPE_BYTES.get(self.kind, 0) * self.count


@dataclass(frozen=True, slots=True)
class Directory:
    """An IFD: where it begins and ends, its entries in the file's order, and the offset of the next one or 0."""

    offset: int
    end: int
    entries: tuple[DirectoryEntry, ...]
    next: int

    def find(self, tag: int) -> DirectoryEntry | None:
        """Return the first entry of a tag."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


class TiffFile:
    """A TIFF whose header has been read.

    read   returns `count` bytes from `start` on, fewer at the end
    order  "<" or ">", as `struct` and NumPy call the byte order
    big    whether it is a BigTIFF
    first  offset of the first directory
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self.size = read, size
        self._entries_left, self._bytes_left = ENTRIES_MAX, TABLES_BYTES_MAX
        head = read(0, 16)
        if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise FormatError("TIFF", "header", 0, "neither a TIFF nor a BigTIFF")
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = b"+" in head[2:4]
        self.header_bytes = 16 if self.big else 8
        if len(head) < self.header_bytes:
            raise FormatError("TIFF", "header", len(head), "the file ends in its header")
        if self.big and (self.integer(head[4:6]), self.integer(head[6:8])) != (8, 0):
            raise FormatError("TIFF", "header", 4, "a BigTIFF whose offsets are not of 8 bytes")
        self.first = self.integer(head[self.header_bytes // 2 : self.header_bytes])

    def integer(self, data: bytes) -> int:
        """Return an unsigned integer from its bytes in the file's order."""
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def packed(self, value: int, size: int) -> bytes:
        """Return an unsigned integer as bytes in the file's order."""
        return value.to_bytes(size, "little" if self.order == "<" else "big")

    def directory(self, offset: int) -> Directory:
        """Read the directory at an offset."""
        count_bytes, entry_bytes, word = (8, 20, 8) if self.big else (2, 12, 4)
        count = self.integer(self._exactly(offset, count_bytes))
        if count > self._entries_left:
            raise LimitError(f"TIFF: more than {ENTRIES_MAX} tags")
        self._entries_left -= count
        begin = offset + count_bytes
        table = self._exactly(begin, count * entry_bytes + word)
        entries = tuple(
            self._entry(table[at : at + entry_bytes], begin + at) for at in range(0, count * entry_bytes, entry_bytes)
        )
        return Directory(offset, begin + len(table), entries, self.integer(table[-word:]))

    def _entry(self, data: bytes, at: int) -> DirectoryEntry:
        word = 8 if self.big else 4
        kind, count = self.integer(data[2:4]), self.integer(data[4 : 4 + word])
        inline = TYPE_BYTES.get(kind, 0) * count <= word
        values = at + 4 + word if inline else self.integer(data[4 + word :])
        return DirectoryEntry(self.integer(data[:2]), kind, count, values, inline)

    def _exactly(self, start: int, count: int) -> bytes:
        data = self._read(start, count) if start + count <= self.size else b""
        if len(data) != count:
            raise FormatError("TIFF", "IFD", start, f"{count} bytes reach beyond the end of the file")
        return data

    def pages(self) -> Iterator[Directory]:
        """Yield the directories that are chained from the header on."""
        seen: set[int] = set()
        offset = self.first
        if offset == 0:
            raise FormatError("TIFF", "header", self.header_bytes // 2, "no directory")
        while offset:
            if offset in seen:
                raise FormatError("TIFF", "IFD", offset, "directories that form a loop")
            seen.add(offset)
            page = self.directory(offset)
            yield page
            offset = page.next

    def values(self, entry: DirectoryEntry) -> bytes:
        """Return the values of an entry as they are in the file."""
        if entry.bytes > min(VALUES_BYTES_MAX, self._bytes_left):
            problem = f"{entry.bytes} bytes, at most {VALUES_BYTES_MAX}, and {TABLES_BYTES_MAX} of all tags"
            raise LimitError(f"TIFF: tag {entry.tag}: {problem}")
        self._bytes_left -= entry.bytes
        data = self._read(entry.at, entry.bytes) if entry.at + entry.bytes <= self.size else b""
        if len(data) != entry.bytes:
            raise FormatError("TIFF", f"tag {entry.tag}", entry.at, "its values reach beyond the end of the file")
        return data

    def integers(self, page: Directory, tag: int) -> Integers:
        """Return the values of a tag, none where there is no such tag."""
        entry = page.find(tag)
        if entry is None:
            return np.zeros(0, np.int64)
        if entry.kind not in INTEGER_TYPES:
            raise FormatError("TIFF", f"tag {tag}", entry.at, f"values of type {entry.kind}, not integers")
        found = np.frombuffer(self.values(entry), self.order + INTEGER_TYPES[entry.kind])
        if found.dtype.itemsize == 8 and found.size and int(found.max()) >= 1 << 62:
            raise FormatError("TIFF", f"tag {tag}", entry.at, "values of more than 62 bits")
        return found.astype(np.int64)

    def number(self, page: Directory, tag: int, default: int) -> int:
        """Return the first value of a tag, or the default where there is none."""
        found = self.integers(page, tag)
        return int(found[0]) if found.size else default

    def is_reduced(self, page: Directory) -> bool:
        """Return whether a directory says that it is a smaller version of another one."""
        return bool(self.number(page, NEW_SUBFILE_TYPE, 0) & 1) or self.number(page, SUBFILE_TYPE, 1) == 2

    def is_thumbnail(self, page: Directory, first: Directory) -> bool:
        """Return whether a later page is only a smaller version of the first: it says so, or is what Exif (2.32, 4.5.8)
        calls the first IFD: compressed by the old JPEG method, which nothing else uses."""
        if page.offset == first.offset:
            return False
        return self.is_reduced(page) or (
            self.number(page, COMPRESSION, 1) == OLD_JPEG
            and self.number(page, WIDTH, 0) < self.number(first, WIDTH, 0)
            and self.number(page, LENGTH, 0) < self.number(first, LENGTH, 0)
        )

    def sides(self) -> tuple[int, int, int]:
        """Return width and height of the first page and its samples for each pixel."""
        page = next(self.pages())
        return self.number(page, WIDTH, 0), self.number(page, LENGTH, 0), self.number(page, SAMPLES, 1)
