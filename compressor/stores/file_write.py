"""Files that are being written, beside what they will replace or become."""

import ctypes
import errno
import fcntl
import hashlib
import os
import re
from contextlib import ExitStack, suppress

from compressor.stores.contract import Attributes, Body, StoreError, StoreErrorKind
from compressor.stores.file_read import OpenFile, content, require_file, state_of

BESIDE = re.compile(rb"\..*\.compressor-[0-9a-f]{16}\.(lock|part)", re.DOTALL)  # what `lock_name`, `part_name` give
NAME_BYTES = 255  # NAME_MAX of Linux
LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # to write: NFS locks no others
PART_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
TRIES = 8
WRITING = "somebody else is writing it"
CLONE_BYTES = 1 << 30
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2  # linux/fs.h
NOT_HERE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EXDEV}  # of what a file system can't do

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def lock_name(name: bytes) -> bytes:
    """Of the file that whoever writes `name` has locked."""
    return _beside(name, b".lock")


def part_name(name: bytes) -> bytes:
    """Of the file that is being written for `name`: always the same, so that what a killed run left is found."""
    return _beside(name, b".part")


def _beside(name: bytes, kind: bytes) -> bytes:
    ending = b".compressor-" + hashlib.sha256(name).hexdigest()[:16].encode() + kind
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


def exchanges(folder: int) -> bool:
    """Return whether names can be exchanged in this folder: tried with two new files, which are removed again."""
    names = [part_name(os.urandom(8).hex().encode()) for _ in range(2)]
    try:
        for name in names:
            os.close(os.open(name, PART_FLAGS, 0o600, dir_fd=folder))
        return exchange(folder, *names)
    finally:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def _locked(folder: int, name: bytes) -> int:
    """An empty file of this name, locked. A holder that ends takes its name away, and then unlocks it: so that it has
    its name still is looked for behind the lock. One that was killed leaves it to the next."""
    for _ in range(TRIES):
        with ExitStack() as refused:
            lock = os.open(name, LOCK_FLAGS, 0o600, dir_fd=folder)
            refused.callback(os.close, lock)
            state = os.fstat(lock)
            require_file(state)
            _flock(lock, fcntl.LOCK_EX)
            now = state_of(folder, name)
            if now is not None and now.st_ino == state.st_ino:
                refused.pop_all()
                return lock
    raise StoreError(StoreErrorKind.UNAVAILABLE, WRITING)


def _flock(file: int, kind: int) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(StoreErrorKind.UNAVAILABLE, WRITING) from None


class Part:
    """A new file beside the one, `name` in `folder`, that it will become, and a lock: of all that write `name` in this
    way one has both, for the others it is UNAVAILABLE.

    Nobody else makes, moves or removes what has the part's name, not even when that is what the new file was exchanged
    for. What a killed writer left there goes at the beginning, what is there at the end goes then. Where the new file
    is renamed its lock goes before: a writer that is killed when it has written has left nothing.

    inode  of the new file, under whichever name
    """

    def __init__(self, folder: int, name: bytes) -> None:
        self._folder, self._name = folder, name
        self._part, self._lock_name = part_name(name), lock_name(name)
        with ExitStack() as ends:
            self._lock = _locked(folder, self._lock_name)
            ends.callback(self._unlock)
            self._clear()
            try:
                self._file = os.open(self._part, PART_FLAGS, 0o600, dir_fd=folder)
            except FileExistsError:  # on another machine, of whose locks the file system does not tell
                raise StoreError(StoreErrorKind.UNAVAILABLE, WRITING) from None
            ends.callback(os.close, self._file)
            self._left = True
            ends.callback(self._remove)
            _flock(self._file, fcntl.LOCK_EX)
            self.inode = os.fstat(self._file).st_ino
            self._ends = ends.pop_all()

    def _clear(self) -> None:
        """Remove what a killed writer left. One that lives, and has given up the lock to rename it, has locked this."""
        try:
            file = os.open(self._part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)
        except FileNotFoundError:
            return
        try:
            _flock(file, fcntl.LOCK_SH)
            self._left = True
            self._remove()
        finally:
            os.close(file)

    def _remove(self) -> None:
        if self._left:
            self._left = False
            with suppress(FileNotFoundError):
                os.unlink(self._part, dir_fd=self._folder)

    def _unlock(self) -> None:
        if self._lock >= 0:
            try:
                with suppress(FileNotFoundError):
                    os.unlink(self._lock_name, dir_fd=self._folder)  # first: see `_locked`
            finally:
                os.close(self._lock)
                self._lock = -1

    def fill(self, body: Body) -> None:
        written = self._clone(body)
        for chunk in body.chunks() if written == 0 else ():
            rest = memoryview(chunk)
            while rest:
                taken = os.write(self._file, rest)
                rest = rest[taken:]
                written += taken
        if written != body.size:
            raise StoreError(StoreErrorKind.OTHER, f"{written} bytes to write, not {body.size}")

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
        """All of them, or those of a file that nobody has said anything about."""
        if attributes.local is None:
            os.fchmod(self._file, 0o666 & ~umask())
        else:
            take_on(self._file, attributes)
        os.fsync(self._file)

    def replace(self) -> None:
        """Give it the name, whatever has that."""
        self._unlock()
        self._rename()

    def _rename(self) -> None:
        os.replace(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._left = False

    def appear(self) -> None:
        """Give it the name, which nothing may have: FileExistsError."""
        self._unlock()
        if not rename(self._folder, self._part, self._name, RENAME_NOREPLACE):
            os.link(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.unlink(self._part, dir_fd=self._folder)
        self._left = False

    def replace_only(self, was: os.stat_result, atomic: bool) -> None:
        """Give it the name, which this file must have: CHANGED, and what another program has given the name to, or has
        written to the new file, stays. By a look before only, where names can't be exchanged; with `atomic` it is
        NOT_ATOMIC then, as for a file with further hard links, which would go on having the old content."""
        if atomic and was.st_nlink > 1:
            raise StoreError(StoreErrorKind.NOT_ATOMIC, further_links(was.st_nlink))
        meant, given, changed = content(was), content(os.fstat(self._file)), False
        for _ in range(TRIES):
            if not exchange(self._folder, self._part, self._name):
                if atomic:
                    raise StoreError(StoreErrorKind.NOT_ATOMIC, "this file system can't exchange two names")
                self.replace()
                break
            out = state_of(self._folder, self._part)
            if out is None or content(out) == meant:
                break
            # Newer than what it was exchanged for: it goes back there.
            meant, given, changed = given, content(out), True
        else:
            self._rename()
        if changed:
            raise StoreError(StoreErrorKind.CHANGED, "changed while it was being replaced")

    def close(self) -> None:
        self._ends.close()

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def take_on(file: int, attributes: Attributes) -> None:
    """Give a file or a folder these local attributes: owner, mode, extended attributes and time, in this order, since a
    change of owner takes bits off the mode. What the system refuses is left out; without its owner a file does not get
    the right to run as that."""
    assert attributes.local is not None
    mode, owner, group, modified_ns, extended = attributes.local
    try:
        os.fchown(file, owner, group)
    except OSError:
        mode &= 0o777
    os.fchmod(file, mode)
    for name, value in extended:
        try:
            os.setxattr(file, name, value)
        except OSError:
            continue
    os.utime(file, ns=(modified_ns, modified_ns))


def further_links(links: int) -> str:
    """Say why a file with more names than one is not replaced."""
    others = "a further hard link" if links == 2 else f"{links - 1} further hard links"
    return f"has {others}, which would keep the old content"


def clean_up(folder: int, name: bytes) -> None:
    """Remove what a killed writer left beside `name`: whoever has the lock may."""
    if any(state_of(folder, beside) is not None for beside in (lock_name(name), part_name(name))):
        Part(folder, name).close()


def umask() -> int:
    """Of this process, without changing it."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
