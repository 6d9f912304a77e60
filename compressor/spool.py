"""The spool: bytes that wait for a second pass.

A spool keeps SPOOL_MEMORY_BYTES in memory, and up to LENT_BYTES_MAX more if they are lent to it. What is longer goes to
an unlinked file, so that nothing is left whatever happens to the process. The file's directory must be on a disk: on a
memory-backed file system the spool would be memory that no budget counts.
"""

import io
import os
import re
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

from compressor.errors import SettingsError

CHUNK_BYTES = 1 << 18
SPOOL_MEMORY_BYTES = 1 << 16  # of every spool, part of what its request reserves
LENT_BYTES_MAX = 1 << 21  # to a spool: packed coefficients take up to twice the bytes of a source
LENT_BYTES = 1 << 18  # at a time
SMALL_BYTES = 1 << 12  # a shorter piece is joined with the next ones
FILE_BUFFER_BYTES = 1 << 14  # written to a file together
MEMORY_BACKED = {"tmpfs", "ramfs", "devtmpfs", "hugetlbfs"}
MOUNTINFO = "/proc/self/mountinfo"
ESCAPED = re.compile(rb"\\([0-7]{3})")  # how mountinfo writes a space, a tab, a newline and a backslash


def file_system(directory: str) -> str:
    """Return the type of the file system that holds `directory`, "" if it can't be determined.

    Paths are compared as bytes: the name of a mount point need not be text.
    """
    path, best, kind = os.path.realpath(os.fsencode(directory)), -1, ""
    try:
        with open(MOUNTINFO, "rb") as mounts:
            for line in mounts:
                fields, _, rest = line.partition(b" - ")
                mount = ESCAPED.sub(lambda escape: bytes([int(escape[1], 8) & 0xFF]), fields.split(b" ")[4])
                inside = path == mount or path.startswith(mount.rstrip(b"/") + b"/")
                if inside and len(mount) >= best:
                    best, kind = len(mount), rest.split(b" ")[0].decode("ascii", "replace")
    except OSError:
        return ""
    return kind


def default_spool_dir() -> str:
    """Return the first of /var/tmp and the system's temporary directory that is on a disk and writable."""
    candidates = ["/var/tmp", tempfile.gettempdir()]
    for directory in candidates:
        if os.access(directory, os.W_OK) and file_system(directory) not in MEMORY_BACKED:
            return directory
    raise SettingsError(
        "spool_dir", f"must be given: none of {', '.join(candidates)} is a writable directory on a disk"
    )


class Lender(Protocol):
    """The memory that spools may use."""

    def charge(self, count: int) -> None:
        """Count bytes about to be written or, negative, freed. Raise LimitError over the spool budget."""
        ...

    def lend(self, spool: "Spool", count: int) -> bool:
        """Return whether `count` more bytes of memory are lent."""
        ...

    def take_back(self, spool: "Spool") -> None:
        """Take back all that was lent."""
        ...


class Spool:
    """Bytes that are written once, in order, and read as often as needed.

    directory     of the file
    lender        of memory; it may call `vacate` on any thread
    still_wanted  called before each access: an exception that it raises ends the work. All work that takes long uses a
                  spool
    """

    def __init__(self, directory: str, lender: Lender, still_wanted: Callable[[], None] = lambda: None) -> None:
        self._directory, self._lender, self._still_wanted = directory, lender, still_wanted
        self._lock = threading.Lock()  # guards all that follows
        self._pieces: list[bytes | bytearray] = []  # in memory
        self._starts: list[int] = []  # their offsets
        self._held = 0  # bytes in them
        self._lent = 0
        self._file: io.FileIO | None = None  # with what is before them
        self._filed = 0  # bytes in it
        self._error: Exception | None = None  # raised by each access from now on
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raise LimitError if the disk budget of the process is used up."""
        count = len(data)
        self._still_wanted()
        if self._error is not None:
            raise self._error
        self._lender.charge(count)  # without the lock, which `vacate` needs: it may wait
        with self._lock:
            self.size += count
            if self._error is not None:
                raise self._error
            room = SPOOL_MEMORY_BYTES + self._lent - self._held
            if self._file is None and (count <= room or self._borrow(count - room)):
                self._keep(data)
                return
            if self._file is None or self._held + count > FILE_BUFFER_BYTES:
                self._save()
            if count <= FILE_BUFFER_BYTES:
                self._keep(data)
            else:
                self._append(data)

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

    def _save(self) -> None:
        """Move to the file what is in memory, and return what was lent."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
        for piece in self._pieces:
            self._append(piece)
        self._forget()

    def _forget(self) -> None:
        """Free the memory."""
        self._pieces, self._starts, self._held = [], [], 0
        if self._lent:
            self._lent = 0
            self._lender.take_back(self)

    def _append(self, data: bytes | bytearray | memoryview) -> None:
        assert self._file is not None
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._file.fileno(), rest, self._filed)
            self._filed += count
            rest = rest[count:]

    def vacate(self) -> None:
        """Move what is in memory to the file. An error is raised by the next access of the spool's owner."""
        with self._lock:
            if self._error is None and self._lent:
                try:
                    self._save()
                except OSError as error:
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
        with self._lock:
            if self._error is not None:
                raise self._error
            end = min(start + count, self.size)
            if start >= end:
                return b""
            if start >= self._filed:
                return self._in_memory(start, end)
            assert self._file is not None
            data = os.pread(self._file.fileno(), min(end, self._filed) - start, start)
            return data if end <= self._filed else data + self._in_memory(self._filed, end)

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
        with self._lock:
            if self._error is not None:
                raise self._error
            self._save()
            assert self._file is not None
            return self._file.fileno()

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
