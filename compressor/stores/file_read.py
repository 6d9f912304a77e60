"""Files that are being read, and what tells one content of a file from another."""

import errno
import os
import stat
from collections.abc import Iterator

from compressor.stores.contract import CHUNK_BYTES, Attributes, Entry, StoreError, StoreErrorKind

TROUBLES = {
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


class OpenFile:
    """A file that is being read; `chunks` fails at the end if it was written to meanwhile. Also a body for `write`."""

    held = ""

    def __init__(self, url: str, key: str, file: int, state: os.stat_result) -> None:
        self.entry = entry_of(key, state)
        self.attributes = attributes_of(file, state)
        self.size = state.st_size
        self.file = file
        self._problem = f"{url}: {key!r}"

    def chunks(self) -> Iterator[bytes]:
        offset = 0
        try:
            while offset < self.size and (chunk := os.pread(self.file, CHUNK_BYTES, offset)):
                yield chunk
                offset += len(chunk)
            self.require_unchanged()
        except OSError as error:
            trouble = TROUBLES.get(error.errno or 0, StoreErrorKind.OTHER)
            raise StoreError(trouble, f"{self._problem}: {error.strerror or error}") from error

    def require_unchanged(self) -> None:
        if etag_of(os.fstat(self.file)) != self.entry.etag:
            raise StoreError(StoreErrorKind.CHANGED, f"{self._problem}: changed while it was read")

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def __enter__(self) -> "OpenFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def state_of(folder: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def require_file(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise StoreError(StoreErrorKind.IMPOSSIBLE, "not a regular file")


def content(state: os.stat_result) -> tuple[int, int, int]:
    """Return what a change of name leaves as it is, unlike the time of change."""
    return state.st_ino, state.st_size, state.st_mtime_ns


def etag_of(state: os.stat_result) -> str:
    return f"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}-{state.st_ctime_ns:x}"


def entry_of(key: str, state: os.stat_result) -> Entry:
    return Entry(key, state.st_size, etag_of(state), state.st_mtime, links=state.st_nlink)


def attributes_of(file: int, state: os.stat_result) -> Attributes:
    try:
        extended = tuple((name, os.getxattr(file, name)) for name in os.listxattr(file))
    except OSError:  # a file system without them
        extended = ()
    mode = stat.S_IMODE(state.st_mode)
    return Attributes(local=(mode, state.st_uid, state.st_gid, state.st_mtime_ns, extended))
