"""Boxes of ISO/IEC 14496-12 for planted files."""

import struct
from collections.abc import Iterator

from tests.planted import mark


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def boxes_of(data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Return type and content of each box; none has a 64-bit size or extends to the end of the file."""
    while start < len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, data[start + 8 : start + size]
        start += size


class Marks(dict[str, bytes]):
    """The marks of a file by place. Calling it with a place returns and records the mark."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self._file = file

    def __call__(self, place: str) -> bytes:
        self[place] = mark(f"{self._file}: {place}")
        return self[place]
