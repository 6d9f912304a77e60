"""The directory of spool files: which one is used, the files in it, and whether it works at present.

A file has no name, so that nothing is left whatever happens to the process. The directory must be on a disk: on a
memory-backed file system a spool would be memory that no budget counts.
"""

import contextlib
import errno
import os
import re
import tempfile
import threading
from collections.abc import Iterator

from compressor.errors import SettingsError, SpoolError

RETRY_SECONDS = 5.0  # after an error of the directory
PROBE_BYTES, PROBE_PIECE_BYTES = 1 << 20, 1 << 16  # as much as the spools of a few images, written in pieces
BUDGET_BYTES_MIN = 256 << 20
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


class SpoolDirectory:
    """The directory of a process's spool files.

    path     of the directory; None: `default_spool_dir`. Raise SettingsError unless it is writable and on a disk
    problem  of the last error, "" if there was none since a probe has succeeded
    files    number of files that are open
    errors   number of errors so far
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path or default_spool_dir()
        if not os.path.isdir(self.path) or not os.access(self.path, os.W_OK):
            raise SettingsError("spool_dir", f"{self.path} is not a writable directory")
        if (kind := file_system(self.path)) in MEMORY_BACKED:
            raise SettingsError("spool_dir", f"{self.path} is in memory ({kind}): choose a directory on a disk")
        self.problem = ""
        self.files = self.errors = 0
        self._lock = threading.Lock()  # guards the three

    def default_budget(self) -> int:
        """Return half of the bytes that are free on the file system, at least BUDGET_BYTES_MIN.

        The minimum is for a disk that is full for the moment: a budget of next to nothing would outlast that.
        """
        found = os.statvfs(self.path)
        return max(BUDGET_BYTES_MIN, found.f_bavail * found.f_frsize // 2)

    def open(self) -> "UnnamedFile":
        """Return a new, empty file. Raise SpoolError."""
        return UnnamedFile(self)

    def probe(self) -> bool:
        """Write, read and delete a file of PROBE_BYTES, and return whether the directory works."""
        piece = bytes(range(256)) * (PROBE_PIECE_BYTES // 256)
        try:
            with contextlib.closing(self.open()) as file:
                while file.size < PROBE_BYTES:
                    file.append(piece)
                for start in range(0, PROBE_BYTES, PROBE_PIECE_BYTES):
                    if file.read(start, PROBE_PIECE_BYTES) != piece:
                        raise self.error_of(OSError(errno.EIO, "other bytes are read than were written"))
        except SpoolError:
            return False
        with self._lock:
            self.problem = ""
        return True

    def error_of(self, error: OSError) -> SpoolError:
        """Count an error of the system, and return the one to be raised."""
        problem = " ".join((error.strerror or str(error)).split())
        with self._lock:
            self.problem = problem
            self.errors += 1
        return SpoolError(self.path, problem, RETRY_SECONDS)

    def count_files(self, count: int) -> None:
        """Add to the number of files that are open."""
        with self._lock:
            self.files += count


class UnnamedFile:
    """A file without a name, written once, in order. Errors of the system are raised as SpoolError.

    size  in bytes
    """

    def __init__(self, directory: SpoolDirectory) -> None:
        self._directory = directory
        with self._translated():
            self._file = tempfile.TemporaryFile(dir=directory.path, buffering=0)  # noqa: SIM115
        directory.count_files(1)
        self.size = 0

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._directory.error_of(error) from None

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Write at the end."""
        rest = memoryview(data)
        with self._translated():
            while rest:
                count = os.pwrite(self._file.fileno(), rest, self.size)
                if not count:
                    raise OSError(errno.EIO, "nothing was written")
                self.size += count
                rest = rest[count:]

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on, all of which have been written."""
        with self._translated():
            data = os.pread(self._file.fileno(), count, start)
            while len(data) < count:
                more = os.pread(self._file.fileno(), count - len(data), start + len(data))
                if not more:
                    raise OSError(errno.EIO, "fewer bytes are read than were written")
                data += more
        return data

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Free the file; may be called again. An error is counted, but not raised: nobody needs the bytes any more."""
        if self._file.closed:
            return
        with contextlib.suppress(SpoolError), self._translated():
            self._file.close()
        self._directory.count_files(-1)
