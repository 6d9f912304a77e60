"""Open files, and what identifies a file's content."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from compressor.stores.contract import CHUNK_BYTES, Attributes, Entry, OpenObject, StoreError, StoreErrorKind

ERRNO_KINDS = {
    errno.ENOENT: StoreErrorKind.MISSING,
    errno.EACCES: StoreErrorKind.DENIED,
    errno.EPERM: StoreErrorKind.DENIED,
    errno.EROFS: StoreErrorKind.DENIED,
    errno.ENAMETOOLONG: StoreErrorKind.IMPOSSIBLE,
    errno.ENOTDIR: StoreErrorKind.IMPOSSIBLE,
    errno.EISDIR: StoreErrorKind.IMPOSSIBLE,
    errno.ELOOP: StoreErrorKind.IMPOSSIBLE,
    errno.ENXIO: StoreErrorKind.IMPOSSIBLE,  # a socket
    errno.EEXIST: StoreErrorKind.EXISTS,
    errno.EAGAIN: StoreErrorKind.UNAVAILABLE,
    errno.ESTALE: StoreErrorKind.UNAVAILABLE,
    errno.ETIMEDOUT: StoreErrorKind.UNAVAILABLE,
    errno.EHOSTDOWN: StoreErrorKind.UNAVAILABLE,
    errno.EMFILE: StoreErrorKind.UNAVAILABLE,
    errno.ENFILE: StoreErrorKind.UNAVAILABLE,
}


class OpenFile(OpenObject):
    """A file that is open for reading, and a body for `write`. `chunks` fails at the end if the file has changed."""

    held = ""

    def __init__(self, url: str, key: str, file: int, state: os.stat_result) -> None:
        self.entry = file_entry(key, state)
        self.attributes = file_attributes(file, state)
        self.size = state.st_size
        self.file = file
        self._where = f"{url}: {key!r}"

    def chunks(self) -> Iterator[bytes]:
        offset = 0
        try:
            while offset < self.size and (chunk := os.pread(self.file, CHUNK_BYTES, offset)):
                yield chunk
                offset += len(chunk)
            self.check_unchanged()
        except OSError as error:
            raise StoreError(errno_kind(error), f"{self._where}: {error.strerror or error}") from error

    def check_unchanged(self) -> None:
        """Raise CHANGED if the file was modified since it was opened."""
        if file_etag(os.fstat(self.file)) != self.entry.etag:
            raise StoreError(StoreErrorKind.CHANGED, f"{self._where}: changed while it was read")

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


def errno_kind(error: OSError) -> StoreErrorKind:
    """Return the kind of a system error."""
    return ERRNO_KINDS.get(error.errno or 0, StoreErrorKind.OTHER)


def lstat_in(folder: int, name: bytes) -> os.stat_result | None:
    """Return the state of a member of an open folder, without following a link; None if it does not exist."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def check_regular_file(state: os.stat_result) -> None:
    """Raise IMPOSSIBLE unless this is the state of a regular file."""
    if not stat.S_ISREG(state.st_mode):
        raise StoreError(StoreErrorKind.IMPOSSIBLE, "not a regular file")


def content_identity(state: os.stat_result) -> tuple[int, int, int]:
    """Return (inode, size, modification time): unlike the time of change, renaming does not alter them."""
    return state.st_ino, state.st_size, state.st_mtime_ns


def file_etag(state: os.stat_result) -> str:
    """Return an ETag from inode, size, and times of modification and change."""
    return f"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}-{state.st_ctime_ns:x}"


def file_entry(key: str, state: os.stat_result) -> Entry:
    """Return a file's entry."""
    return Entry(key, state.st_size, file_etag(state), state.st_mtime, links=state.st_nlink)


def file_attributes(file: int, state: os.stat_result) -> Attributes:
    """Return the attributes of an open file or folder."""
    extended: tuple[tuple[str, bytes], ...] = ()
    if hasattr(os, "listxattr"):  # Python has it on Linux only
        with suppress(OSError):  # not supported by this file system
            extended = tuple((name, os.getxattr(file, name)) for name in os.listxattr(file))
    mode = stat.S_IMODE(state.st_mode)
    return Attributes(local=(mode, state.st_uid, state.st_gid, state.st_mtime_ns, extended))
