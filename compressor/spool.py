"""The spool: bytes that wait for a second pass.

A spool keeps SPOOL_MEMORY_BYTES in memory, and up to LENT_BYTES_MAX more if they are lent to it. What is longer goes to
a file in the spool directory.
"""

import io
import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

from compressor.errors import CompressorError
from compressor.spool_directory import SpoolDirectory, UnnamedFile

CHUNK_BYTES = 1 << 18
SPOOL_MEMORY_BYTES = 1 << 16  # of every spool, part of what its request reserves
LENT_BYTES_MAX = 1 << 21  # to a spool: packed coefficients take up to twice the bytes of a source
LENT_BYTES = 1 << 18  # at a time
SMALL_BYTES = 1 << 12  # a shorter piece is joined with the next ones
FILE_BUFFER_BYTES = 1 << 14  # written to a file together


class Lender(Protocol):
    """The memory that spools may use."""

    def charge(self, count: int, still_wanted: Callable[[], None] = lambda: None) -> None:
        """Count bytes about to be written or, negative, freed; see `SpoolBudget.charge`."""
        ...

    def lend(self, spool: "Spool", count: int) -> bool:
        """Return whether `count` more bytes of memory are lent."""
        ...

    def take_back(self, spool: "Spool") -> None:
        """Take back all that was lent."""
        ...


class Spool:
    """Bytes that are written once, in order, and read as often as needed.

    An error is raised again by each later access, since bytes are missing: who ignores it gets no others instead.

    directory     of the file
    lender        of memory; it may call `vacate` on any thread
    still_wanted  called before each access: an exception that it raises ends the work. All work that takes long uses a
                  spool
    """

    def __init__(
        self, directory: SpoolDirectory, lender: Lender, still_wanted: Callable[[], None] = lambda: None
    ) -> None:
        self._directory, self._lender, self._still_wanted = directory, lender, still_wanted
        self._lock = threading.Lock()  # guards all that follows
        self._pieces: list[bytes | bytearray] = []  # in memory
        self._starts: list[int] = []  # their offsets
        self._held = 0  # bytes in them
        self._lent = 0
        self._file: UnnamedFile | None = None  # with what is before them
        self._error: Exception | None = None  # raised by each access from now on
        self.size = 0

    @property
    def _filed(self) -> int:
        """Return the bytes in the file."""
        return 0 if self._file is None else self._file.size

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raise SpoolError if the disk fails, LimitError or BusyError if the budget of all spools is too small
        or in use."""
        count = len(data)
        self._still_wanted()
        try:
            self._check()
            self._lender.charge(count, self._still_wanted)  # without the lock, which `vacate` needs: it may wait
            with self._lock:
                self.size += count
                self._check()
                self._add(data)
        except CompressorError as error:
            self._fail(error)
            raise

    def _check(self) -> None:
        """Raise the error of an earlier access."""
        if self._error is not None:
            raise self._error

    def _fail(self, error: CompressorError) -> None:
        """Raise `error` from each access from now on."""
        with self._lock:
            if self._error is None:
                self._error = error
                self._forget()

    def _add(self, data: bytes | memoryview) -> None:
        count = len(data)
        room = SPOOL_MEMORY_BYTES + self._lent - self._held
        if self._file is None and (count <= room or self._borrow(count - room)):
            self._keep(data)
            return
        if self._file is None or self._held + count > FILE_BUFFER_BYTES:
            self._save()
        if count <= FILE_BUFFER_BYTES:
            self._keep(data)
        else:
            assert self._file is not None
            self._file.append(data)

    def _borrow(self, missing: int) -> bool:
        """Borrow at least `missing` bytes of memory. Return whether they are lent."""
        missing = -(-missing // LENT_BYTES) * LENT_BYTES
        if self._lent + missing > LENT_BYTES_MAX or not self._lender.lend(self, missing):
            return False
        self._lent += missing
        return True

    def _keep(self, data: bytes | memoryview) -> None:
        """Append in memory; `bytes` are not copied."""
        self._held += len(data)
        if len(data) >= SMALL_BYTES:
            piece: bytes | bytearray = bytes(data)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray) and len(last) < FILE_BUFFER_BYTES:
            last += data
            return
        else:
            piece = bytearray(data)
        self._starts.append(self.size - len(data))
        self._pieces.append(piece)

    def _save(self) -> UnnamedFile:
        """Move to the file what is in memory, return what was lent, and return the file."""
        if self._file is None:
            self._file = self._directory.open()
        for piece in self._pieces:
            self._file.append(piece)
        self._forget()
        return self._file

    def _forget(self) -> None:
        """Free the memory."""
        self._pieces, self._starts, self._held = [], [], 0
        if self._lent:
            self._lent = 0
            self._lender.take_back(self)

    def vacate(self) -> None:
        """Move what is in memory to the file. An error is raised by the next access of the spool's owner."""
        with self._lock:
            if self._error is None and self._lent:
                try:
                    self._save()
                except CompressorError as error:
                    self._error = error
                    self._forget()

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield all bytes from `start` on, in chunks of CHUNK_BYTES. Several iterators may be active at once."""
        while chunk := self.read(start, CHUNK_BYTES):
            start += len(chunk)
            yield chunk

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on; fewer at the end."""
        self._still_wanted()
        return self.fetch(start, count)

    def fetch(self, start: int, count: int) -> bytes:
        """Return the same as `read`, without asking whether the spool is still wanted."""
        try:
            with self._lock:
                self._check()
                end = min(start + count, self.size)
                if start >= end:
                    return b""
                if self._file is None or start >= self._filed:
                    return self._in_memory(start, end)
                data = self._file.read(start, min(end, self._filed) - start)
                return data if end <= self._filed else data + self._in_memory(self._filed, end)
        except CompressorError as error:
            self._fail(error)
            raise

    def _in_memory(self, start: int, end: int) -> bytes:
        at = bisect_right(self._starts, start) - 1
        parts = []
        while start < end:
            first, piece = self._starts[at], self._pieces[at]
            part = piece[start - first : end - first]
            parts.append(part)
            start += len(part)
            at += 1
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def file(self) -> io.BufferedReader:
        """Return the spool as a seekable binary file at its start, for reading only."""
        return io.BufferedReader(_SpoolFile(self), FILE_BUFFER_BYTES)

    def fileno(self) -> int:
        """Return the descriptor of the file, to which all bytes are moved. Its position is that of no reader."""
        try:
            with self._lock:
                self._check()
                return self._save().fileno()
        except CompressorError as error:
            self._fail(error)
            raise

    def close(self) -> None:
        """Free everything; may be called again."""
        with self._lock:
            if isinstance(self._error, ValueError):
                return
            self._error = ValueError("the spool is closed")
            self._forget()
            if self._file is not None:
                self._file.close()
        self._lender.charge(-self.size)


class _SpoolFile(io.RawIOBase):
    """A spool as a file. Pillow reads from it, which has errors of its own: they can't be those of `still_wanted`."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._at = spool, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._spool.size}[whence]
        if origin + offset < 0:
            raise ValueError(f"negative position {origin + offset}")
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")
        data = self._spool.fetch(self._at, len(target))
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def fileno(self) -> int:
        return self._spool.fileno()


class Readable(Protocol):
    """Bytes that can be read as often as needed: a `Spool`, or one with a header before it."""

    size: int

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on; fewer at the end."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes."""
        ...


class BytesSource:
    """Bytes in memory as a `Readable`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on; fewer at the end."""
        return self._data[start : start + count]

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes as one chunk."""
        yield self._data


class WithHead:
    """A header that was made last, in front of a spool with the rest."""

    def __init__(self, head: bytes, rest: Spool) -> None:
        self._head, self._rest = head, rest
        self.size = len(head) + rest.size

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on; fewer at the end."""
        first = self._head[start : start + count]
        if len(first) == count:
            return first
        return first + self._rest.read(max(0, start - len(self._head)), count - len(first))

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes."""
        yield self._head
        yield from self._rest.chunks()
