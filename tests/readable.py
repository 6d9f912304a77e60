"""Bytes in memory, to be read as a spool is."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class InMemory:
    """A `Readable` whose chunks have any size."""

    data: bytes
    chunk_bytes: int = 1 << 18

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, count: int) -> bytes:
        return self.data[start : start + count]

    def chunks(self) -> Iterator[bytes]:
        return (self.data[at : at + self.chunk_bytes] for at in range(0, self.size, self.chunk_bytes))
