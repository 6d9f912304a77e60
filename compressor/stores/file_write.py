"""Files that are written under a temporary name in their target's folder, and locked against other writers."""

import ctypes
import errno
import fcntl
import hashlib
import os
import re
from contextlib import ExitStack, suppress

from compressor.stores.contract import Attributes, Body, StoreError, StoreErrorKind
from compressor.stores.file_read import OpenFile, check_regular_file, content_identity, lstat_in

# Names that `lock_name` and `temporary_name` return.
RESERVED_NAME = re.compile(rb"\..*\.compressor-[0-9a-f]{16}\.(lock|part)", re.DOTALL)
NAME_BYTES = 255  # NAME_MAX of Linux
# O_RDWR, since NFS locks only files that are open for writing.
LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
TEMPORARY_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
TRIES = 8
BEING_WRITTEN = "another writer is writing it"
CLONE_BYTES = 1 << 30
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2  # linux/fs.h
UNSUPPORTED_ERRNOS = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EXDEV}

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def lock_name(name: bytes) -> bytes:
    """Return the name of the file that a writer of `name` locks."""
    return _reserved_name(name, b".lock")


def temporary_name(name: bytes) -> bytes:
    """Return the name of the file that will become `name`: always the same, so that leftovers are found."""
    return _reserved_name(name, b".part")


def _reserved_name(name: bytes, kind: bytes) -> bytes:
    ending = b".compressor-" + hashlib.sha256(name).hexdigest()[:16].encode() + kind
    return b"." + name[: NAME_BYTES - 1 - len(ending)] + ending


def rename(folder: int, source: bytes, target: bytes, flags: int) -> bool:
    """Call renameat2(2) within a folder; return False if the system or file system does not support the flags."""
    if _renameat2 is None:
        return False
    if _renameat2(folder, source, folder, target, flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number))


def exchange(folder: int, one: bytes, other: bytes) -> bool:
    """Exchange the names of two files atomically; return False if that is not supported."""
    return rename(folder, one, other, RENAME_EXCHANGE)


def can_exchange(folder: int) -> bool:
    """Return whether names can be exchanged in this folder. It is tried with two new files, which are removed again."""
    names = [temporary_name(os.urandom(8).hex().encode()) for _ in range(2)]
    try:
        for name in names:
            os.close(os.open(name, TEMPORARY_FLAGS, 0o600, dir_fd=folder))
        return exchange(folder, *names)
    finally:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def _acquire_lock(folder: int, name: bytes) -> int:
    """Open and lock an empty file with this name.

    A holder that finishes unlinks the file before unlocking it, so a new holder checks that the file still has its
    name. A holder that was killed leaves the file to the next.
    """
    for _ in range(TRIES):
        with ExitStack() as refused:
            lock = os.open(name, LOCK_FLAGS, 0o600, dir_fd=folder)
            refused.callback(os.close, lock)
            state = os.fstat(lock)
            check_regular_file(state)
            _try_flock(lock, fcntl.LOCK_EX)
            now = lstat_in(folder, name)
            if now is not None and now.st_ino == state.st_ino:
                refused.pop_all()
                return lock
    raise StoreError(StoreErrorKind.UNAVAILABLE, BEING_WRITTEN)


def _try_flock(file: int, kind: int) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(StoreErrorKind.UNAVAILABLE, BEING_WRITTEN) from None


class TemporaryFile:
    """A new file that will become `name` in `folder`, and a lock. One writer at a time has both; for others `name` is
    UNAVAILABLE.

    Only the holder creates, renames or removes the file with the temporary name, even when it is the old file, after
    the names were exchanged. What a killed writer left is removed at the beginning, and what has the temporary name at
    the end is removed then. The lock is released before the new file is renamed: a writer that is killed after writing
    leaves nothing.

    inode  of the new file, under either name
    """

    def __init__(self, folder: int, name: bytes) -> None:
        self._folder, self._name = folder, name
        self._temporary, self._lock_name = temporary_name(name), lock_name(name)
        with ExitStack() as cleanup:
            self._lock = _acquire_lock(folder, self._lock_name)
            cleanup.callback(self._unlock)
            self._clear()
            try:
                self._file = os.open(self._temporary, TEMPORARY_FLAGS, 0o600, dir_fd=folder)
            except FileExistsError:  # by another machine, whose locks this file system does not share
                raise StoreError(StoreErrorKind.UNAVAILABLE, BEING_WRITTEN) from None
            cleanup.callback(os.close, self._file)
            self._temporary_exists = True
            cleanup.callback(self._remove)
            _try_flock(self._file, fcntl.LOCK_EX)
            self.inode = os.fstat(self._file).st_ino
            self._cleanup = cleanup.pop_all()

    def _clear(self) -> None:
        """Remove what a killed writer left. A live writer that has released the lock holds one on this file."""
        try:
            file = os.open(self._temporary, OPEN_FLAGS, dir_fd=self._folder)
        except FileNotFoundError:
            return
        try:
            _try_flock(file, fcntl.LOCK_SH)
            self._temporary_exists = True
            self._remove()
        finally:
            os.close(file)

    def _remove(self) -> None:
        if self._temporary_exists:
            self._temporary_exists = False
            with suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._folder)

    def _unlock(self) -> None:
        if self._lock >= 0:
            try:
                with suppress(FileNotFoundError):
                    os.unlink(self._lock_name, dir_fd=self._folder)  # first: see `_acquire_lock`
            finally:
                os.close(self._lock)
                self._lock = -1

    def fill(self, body: Body) -> None:
        """Write the content."""
        written = self._clone(body)
        for chunk in body.chunks() if written == 0 else ():
            rest = memoryview(chunk)
            while rest:
                taken = os.write(self._file, rest)
                rest = rest[taken:]
                written += taken
        if written != body.size:
            raise StoreError(StoreErrorKind.OTHER, f"the body has {written} bytes, not {body.size}")

    def _clone(self, body: Body) -> int:
        """Copy a body that is a file within the kernel; return the bytes copied, 0 if that is not supported."""
        if not isinstance(body, OpenFile) or not hasattr(os, "copy_file_range"):
            return 0
        written = 0
        try:
            while taken := os.copy_file_range(body.file, self._file, CLONE_BYTES, written):
                written += taken
        except OSError as error:
            if written or error.errno not in UNSUPPORTED_ERRNOS:
                raise
        if written:
            body.check_unchanged()
        return written

    def set_attributes(self, attributes: Attributes) -> None:
        """Apply local attributes, or the defaults of a new file, and put the file on disk."""
        if attributes.local is None:
            os.fchmod(self._file, 0o666 & ~umask())
        else:
            apply_attributes(self._file, attributes)
        os.fsync(self._file)

    def replace(self) -> None:
        """Give it the target's name, whatever has that name."""
        self._unlock()
        self._rename()

    def _rename(self) -> None:
        os.replace(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary_exists = False

    def create(self) -> None:
        """Give it the target's name; raise FileExistsError if that is taken."""
        self._unlock()
        if not rename(self._folder, self._temporary, self._name, RENAME_NOREPLACE):
            os.link(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.unlink(self._temporary, dir_fd=self._folder)
        self._temporary_exists = False

    def replace_if_unchanged(self, was: os.stat_result, atomic: bool) -> None:
        """Give it the target's name if the file with that name is still the one that it `was`, else raise CHANGED.

        A file that another program has given the name to is kept, and so is what it has written to the new file. Where
        names can't be exchanged there is only the caller's check; with `atomic`, NOT_ATOMIC is raised then, and for a
        file with other hard links, which would keep the old content.
        """
        if atomic and was.st_nlink > 1:
            raise StoreError(StoreErrorKind.NOT_ATOMIC, hard_links_problem(was.st_nlink))
        expected, given, changed = content_identity(was), content_identity(os.fstat(self._file)), False
        for _ in range(TRIES):
            if not exchange(self._folder, self._temporary, self._name):
                if atomic:
                    raise StoreError(StoreErrorKind.NOT_ATOMIC, "this file system can't exchange two names")
                self.replace()
                break
            out = lstat_in(self._folder, self._temporary)
            if out is None or content_identity(out) == expected:
                break
            # Newer than the file that replaced it: exchange them again.
            expected, given, changed = given, content_identity(out), True
        else:
            self._rename()
        if changed:
            raise StoreError(StoreErrorKind.CHANGED, "changed while it was being replaced")

    def remove_if_unchanged(self, was: os.stat_result) -> None:
        """Remove the file with the target's name, instead of writing one, if it is still the one that it `was`, else
        raise CHANGED.

        It is compared after it got the temporary name. A file that another program has given the target's name to gets
        that name back, unless there is a newer one. Where a file can't be renamed on the condition that the new name is
        free, there is only the caller's check.
        """
        self._remove()
        if not rename(self._folder, self._name, self._temporary, RENAME_NOREPLACE):
            os.unlink(self._name, dir_fd=self._folder)
            return
        self._temporary_exists = True
        out = lstat_in(self._folder, self._temporary)
        if out is None or content_identity(out) == content_identity(was):
            return
        with suppress(FileExistsError):
            rename(self._folder, self._temporary, self._name, RENAME_NOREPLACE)
            self._temporary_exists = False
        raise StoreError(StoreErrorKind.CHANGED, "changed while it was being deleted")

    def close(self) -> None:
        self._cleanup.close()

    def __enter__(self) -> "TemporaryFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def apply_attributes(file: int, attributes: Attributes) -> None:
    """Apply local attributes to an open file or folder: owner, mode, extended attributes and time.

    The owner comes first, since changing it clears bits of the mode. What the system refuses is left out; a file that
    does not get its owner does not get the set-user-ID and set-group-ID bits either.
    """
    assert attributes.local is not None
    mode, owner, group, modified_ns, extended = attributes.local
    try:
        os.fchown(file, owner, group)
    except OSError:
        mode &= 0o777
    os.fchmod(file, mode)
    for name, value in extended:  # none where Python can't read them
        with suppress(OSError):
            os.setxattr(file, name, value)
    os.utime(file, ns=(modified_ns, modified_ns))


def hard_links_problem(links: int) -> str:
    """Return why a file with several hard links is not replaced."""
    others = "another hard link" if links == 2 else f"{links - 1} other hard links"
    return f"has {others}, which would keep the old content"


def clean_up(folder: int, name: bytes) -> None:
    """Remove what a killed writer of `name` left; raise UNAVAILABLE while somebody is writing it."""
    if any(lstat_in(folder, reserved) is not None for reserved in (lock_name(name), temporary_name(name))):
        TemporaryFile(folder, name).close()


def umask() -> int:
    """Return the process's umask, without changing it where the system reports it."""
    with suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    found = os.umask(0o077)  # meanwhile, files that other threads create are closed to others, not open to all
    os.umask(found)
    return found
