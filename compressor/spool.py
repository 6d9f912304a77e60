"""The spool: bytes that wait for a second pass.

A spool keeps bytes in memory up to SPOOL_MEMORY_BYTES and in an unlinked file above that, so that nothing is left
behind whatever happens to the process. The file's directory must be on a disk: on a memory-backed file system the spool
would be memory that no budget counts.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from compressor.errors import SettingsError

CHUNK_BYTES = 1 << 18
SPOOL_MEMORY_BYTES = 1 << 16
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


class Spool:
    """Bytes that are written once, in order, and read as often as needed.

    directory     of the file
    charge        called with the number of bytes about to be written and, negative, of those that are freed
    still_wanted  called before each access: an exception that it raises ends the work. All work that takes long uses a
                  spool
    """

    def __init__(
        self, directory: str, charge: Callable[[int], None], still_wanted: Callable[[], None] = lambda: None
    ) -> None:
        self._charge, self._still_wanted = charge, still_wanted
        self._file = tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES, dir=directory)  # noqa: SIM115
        self._charged = 0
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raise LimitError if the disk budget of the process is used up."""
        self._still_wanted()
        self._charge(len(data))
        self._charged += len(data)
        self._file.write(data)
        self.size += len(data)

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield all bytes from `start` on, in chunks of CHUNK_BYTES. Several iterators may be active at once."""
        while chunk := self.read(start, CHUNK_BYTES):
            start += len(chunk)
            yield chunk

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on; fewer at the end."""
        self._still_wanted()
        self._file.seek(start)
        return self._file.read(count)

    def file(self) -> BinaryIO:
        """Return the spool as a seekable binary file at its start, for reading only."""
        self._file.seek(0)
        return cast(BinaryIO, self._file)

    def close(self) -> None:
        """Free everything; may be called again."""
        self._file.close()
        self._charge(-self._charged)
        self._charged = 0


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
