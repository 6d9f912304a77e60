"""The image file directories of a TIFF (TIFF 6.0 section 2; BigTIFF) in either byte order: their entries and the
offsets of the values. Image data is not read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.errors import FormatError, LimitError
from compressor.humanize import human_format

TITLE = human_format("tiff")
Integers = NDArray[np.int64]

# Bytes of one value of each field type; 13 is from TIFF Technical Note 1, 16 … 18 from BigTIFF.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
INTEGER_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}

NEW_SUBFILE_TYPE, SUBFILE_TYPE, SUB_IFDS = 254, 255, 330
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR = 256, 257, 258, 259, 262, 277, 284
RATIONAL = 5  # a field type
OLD_JPEG = 6  # the compression of TIFF 6.0 section 22, which Exif uses for thumbnails

ENTRIES_MAX = 1 << 17  # of all directories that are read
VALUES_BYTES_MAX = 1 << 24  # of one entry
TABLES_BYTES_MAX = 1 << 26  # of the values of all entries that are read


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One entry of a directory.

    kind    field type: a key of TYPE_BYTES, or an unknown one
    at      offset of the values in the file
    inline  whether the values are in the entry itself
    """

    tag: int
    kind: int
    count: int
    at: int
    inline: bool

    @property
    def bytes(self) -> int:
        """Return the size of the values; 0 where the field type is unknown."""
        return TYPE_BYTES.get(self.kind, 0) * self.count


@dataclass(frozen=True, slots=True)
class Directory:
    """An IFD: its start and end offsets, its entries in the file's order, and the offset of the next IFD or 0."""

    offset: int
    end: int
    entries: tuple[DirectoryEntry, ...]
    next: int

    def find(self, tag: int) -> DirectoryEntry | None:
        """Return the first entry with a tag."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


class TiffFile:
    """A TIFF whose header has been read.

    read   returns `count` bytes from `start`, fewer at the end
    order  byte order as in `struct` and NumPy: "<" or ">"
    big    whether it is a BigTIFF
    first  offset of the first IFD
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self.size = read, size
        self._entries_left, self._bytes_left = ENTRIES_MAX, TABLES_BYTES_MAX
        head = read(0, 16)
        if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise FormatError(TITLE, "header", 0, "neither a TIFF nor a BigTIFF")
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = b"+" in head[2:4]
        self.header_bytes = 16 if self.big else 8
        if len(head) < self.header_bytes:
            raise FormatError(TITLE, "header", len(head), "the file ends within the header")
        if self.big and (self.integer(head[4:6]), self.integer(head[6:8])) != (8, 0):
            raise FormatError(TITLE, "header", 4, "a BigTIFF whose offsets do not have 8 bytes")
        self.first = self.integer(head[self.header_bytes // 2 : self.header_bytes])

    def integer(self, data: bytes) -> int:
        """Return an unsigned integer from bytes in the file's byte order."""
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def packed(self, value: int, size: int) -> bytes:
        """Return an unsigned integer as bytes in the file's byte order."""
        return value.to_bytes(size, "little" if self.order == "<" else "big")

    def directory(self, offset: int) -> Directory:
        """Read the directory at an offset."""
        count_bytes, entry_bytes, word = (8, 20, 8) if self.big else (2, 12, 4)
        count = self.integer(self._exactly(offset, count_bytes))
        if count > self._entries_left:
            raise LimitError(f"{TITLE}: more than {ENTRIES_MAX} directory entries")
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
            raise FormatError(TITLE, "IFD", start, f"{count} bytes extend beyond the end of the file")
        return data

    def pages(self) -> Iterator[Directory]:
        """Yield the chain of IFDs that begins in the header."""
        seen: set[int] = set()
        offset = self.first
        if offset == 0:
            raise FormatError(TITLE, "header", self.header_bytes // 2, "no IFD")
        while offset:
            if offset in seen:
                raise FormatError(TITLE, "IFD", offset, "the IFDs form a loop")
            seen.add(offset)
            page = self.directory(offset)
            yield page
            offset = page.next

    def values(self, entry: DirectoryEntry) -> bytes:
        """Return the values of an entry as bytes of the file."""
        if entry.bytes > min(VALUES_BYTES_MAX, self._bytes_left):
            problem = f"{entry.bytes} bytes, at most {VALUES_BYTES_MAX}, and {TABLES_BYTES_MAX} in all entries"
            raise LimitError(f"{TITLE}: tag {entry.tag}: {problem}")
        self._bytes_left -= entry.bytes
        data = self._read(entry.at, entry.bytes) if entry.at + entry.bytes <= self.size else b""
        if len(data) != entry.bytes:
            raise FormatError(TITLE, f"tag {entry.tag}", entry.at, "its values extend beyond the end of the file")
        return data

    def integers(self, page: Directory, tag: int) -> Integers:
        """Return the values of a tag, an empty array where there is no such entry."""
        entry = page.find(tag)
        if entry is None:
            return np.zeros(0, np.int64)
        if entry.kind not in INTEGER_TYPES:
            raise FormatError(TITLE, f"tag {tag}", entry.at, f"field type {entry.kind}, expected integers")
        found = np.frombuffer(self.values(entry), self.order + INTEGER_TYPES[entry.kind])
        if found.dtype.itemsize == 8 and found.size and int(found.max()) >= 1 << 62:
            raise FormatError(TITLE, f"tag {tag}", entry.at, "values of more than 62 bits")
        return found.astype(np.int64)

    def number(self, page: Directory, tag: int, default: int) -> int:
        """Return the first value of a tag, or the default where there is none."""
        found = self.integers(page, tag)
        return int(found[0]) if found.size else default

    def is_reduced(self, page: Directory) -> bool:
        """Return whether a page is declared to be a reduced-resolution version of another one."""
        return bool(self.number(page, NEW_SUBFILE_TYPE, 0) & 1) or self.number(page, SUBFILE_TYPE, 1) == 2

    def is_thumbnail(self, page: Directory, first: Directory) -> bool:
        """Return whether a later page is only a thumbnail of the first: it is declared as one, or it is the 1st IFD of
        Exif (2.32, 4.5.8), smaller and compressed by the old JPEG method, which nothing else uses."""
        if page.offset == first.offset:
            return False
        return self.is_reduced(page) or (
            self.number(page, COMPRESSION, 1) == OLD_JPEG
            and self.number(page, WIDTH, 0) < self.number(first, WIDTH, 0)
            and self.number(page, LENGTH, 0) < self.number(first, LENGTH, 0)
        )

    def sides(self) -> tuple[int, int, int]:
        """Return width, length and samples per pixel of the first page."""
        page = next(self.pages())
        return self.number(page, WIDTH, 0), self.number(page, LENGTH, 0), self.number(page, SAMPLES, 1)
