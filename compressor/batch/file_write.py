"""Files that are being written, beside what they will replace or become."""

import ctypes
import errno
import fcntl
import hashlib
import os

from compressor.batch.file_read import OpenFile
from compressor.batch.store import Attributes, Body, StoreError, Trouble

NAME_BYTES = 255  # NAME_MAX of Linux
PART_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
TRIES = 8
CLONE_BYTES = 1 << 30
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2  # linux/fs.h
NOT_HERE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EXDEV}  # of what a file system can't do

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def part_name(name: bytes) -> bytes:
    """Of the file that is being written for `name`: always the same, so that what a killed run left is found."""
    ending = b".compressor-" + hashlib.sha256(name).hexdigest()[:16].encode() + b".part"
    return b"." + name[: NAME_BYTES - 1 - len(ending)] + ending


def rename(folder: int, source: bytes, target: bytes, flags: int) -> bool:
    """renameat2(2) within a folder; False where this system or file system has no such flag."""
    if _renameat2 is None:
        return False
    if _renameat2(folder, source, folder, target, flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number))


def exchange(folder: int, one: bytes, other: bytes) -> bool:
    """Let two files swap names, at once; False where that can't be had."""
    return rename(folder, one, other, RENAME_EXCHANGE)


class Part:
    """A new file `name` in `folder`, locked. At the end whatever has that name then is removed.

    inode  of the new file, under whichever name
    """

    def __init__(self, folder: int, name: bytes) -> None:
        self.folder = folder
        self.name = name
        self._left = True
        self._file = self._make()
        self.inode = os.fstat(self._file).st_ino

    def _make(self) -> int:
        for _ in range(TRIES):
            try:
                file = os.open(self.name, PART_FLAGS, 0o600, dir_fd=self.folder)
            except FileExistsError:
                self._clear()
                continue
            if self._locked(file):
                return file
            os.close(file)
        raise StoreError(Trouble.UNAVAILABLE, "somebody else is writing it")

    def _clear(self) -> None:
        """Remove what a killed run left, which is never of use: its lock went with it."""
        try:
            file = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.folder)
        except FileNotFoundError:
            return
        try:
            if not self._locked(file):
                raise StoreError(Trouble.UNAVAILABLE, "somebody else is writing it")
            os.unlink(self.name, dir_fd=self.folder)
        finally:
            os.close(file)

    def _locked(self, file: int) -> bool:
        """Whether the lock could be had, and the name still is that of this file."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_ino == os.fstat(file).st_ino
        except (BlockingIOError, FileNotFoundError):
            return False

    def fill(self, body: Body) -> None:
        written = self._clone(body)
        for chunk in body.chunks() if written == 0 else ():
            rest = memoryview(chunk)
            while rest:
                taken = os.write(self._file, rest)
                rest = rest[taken:]
                written += taken
        if written != body.size:
            raise StoreError(Trouble.OTHER, f"{written} bytes to write, not {body.size}")

    def _clone(self, body: Body) -> int:
        """Copy within the kernel what is a file itself; 0 where that can't be done, or it has no bytes."""
        if not isinstance(body, OpenFile):
            return 0
        written = 0
        try:
            while taken := os.copy_file_range(body.file, self._file, CLONE_BYTES, written):
                written += taken
        except OSError as error:
            if written or error.errno not in NOT_HERE:
                raise
        if written:
            body.require_unchanged()
        return written

    def take(self, attributes: Attributes) -> None:
        """Owner, mode, extended attributes and time, in this order: a change of owner takes bits off the mode. What the
        system refuses is left out; without its owner a file does not get the right to run as that."""
        if attributes.local is None:
            os.fchmod(self._file, 0o666 & ~umask())
        else:
            mode, owner, group, modified_ns, extended = attributes.local
            try:
                os.fchown(self._file, owner, group)
            except OSError:
                mode &= 0o777
            os.fchmod(self._file, mode)
            for name, value in extended:
                try:
                    os.setxattr(self._file, name, value)
                except OSError:
                    continue
            os.utime(self._file, ns=(modified_ns, modified_ns))
        os.fsync(self._file)

    def replace(self, name: bytes) -> None:
        """Give `name` to this, or to what has been swapped for it."""
        os.replace(self.name, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        self._left = False

    def appear(self, name: bytes) -> None:
        """Give it `name`, which nothing may have: FileExistsError."""
        if not rename(self.folder, self.name, name, RENAME_NOREPLACE):
            os.link(self.name, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            os.unlink(self.name, dir_fd=self.folder)
        self._left = False

    def close(self) -> None:
        if self._left:
            os.unlink(self.name, dir_fd=self.folder)
        os.close(self._file)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def umask() -> int:
    """Of this process, without changing it."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
