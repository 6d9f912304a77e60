"""A folder as a store, by system calls. obstore is not used: its LocalStore has neither attributes nor conditions, and
does not accept every file name as a key.

A key is the path below the folder. Bytes that are not UTF-8 become surrogates, as in `os.fsdecode`; a listing is in the
order of the names' bytes. Symbolic links are never followed within a key, so none leads outside.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property

from compressor.stores.contract import (
    RESERVED,
    Attributes,
    Body,
    Entry,
    OnAccessDenied,
    Precondition,
    Store,
    StoreError,
    StoreErrorKind,
    check_precondition,
)
from compressor.stores.file_read import OpenFile, check_regular_file, errno_kind, file_entry, file_etag, lstat_in
from compressor.stores.file_write import RESERVED_NAME, TemporaryFile, can_exchange, clean_up
from compressor.stores.markers import MARKER, note_left_out

UNLIMITED = 1 << 62
STATS_AT_ONCE = 1024  # files whose state is read before the first of them is yielded

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a pipe must not hold us up


class Files:
    """A folder, which `write` creates if it does not exist.

    An ETag consists of a file's inode, size and times of modification and change. So it also changes with the mode, the
    owner or extended attributes, and with a new hard link. `write` keeps the mode, the owner (as far as the system
    permits), extended attributes and the modification time: another encoding of an image is not a new image. The ETag
    still differs, because of the inode.

    A replacement never overwrites bytes: readers that have the old file open continue to read it, and other hard links
    to it keep the old content. Where the kernel can exchange two names (Linux, most file systems), the replaced file is
    compared again after the exchange, and exchanged back if another program has written in the meantime. Such a write
    is lost only if this program is killed between the two. This counts as a condition: `conditional_bytes` is unlimited
    if the root's file system supports it, and 0 otherwise, when there is only a check before. A program that already
    has the file open and writes later is not noticed. A file that is deleted is compared likewise, after it is renamed.

    One writer at a time may use this class to write a key; for others it is UNAVAILABLE. The writer holds a lock
    (flock) on .NAME.compressor-DIGEST.lock in the target's folder and writes .NAME.compressor-DIGEST.part, which nobody
    else touches. These names depend on the key alone. What a killed run has left is removed when the same key is
    written again, or by `clean_up`, and is never listed.
    """

    def __init__(self, path: str, conditional_bytes: int | None = None) -> None:
        """conditional_bytes: 0, or any other number for no limit; None: to be probed."""
        self.url = path
        self.notices: tuple[str, ...] = ()
        self.left_out: list[str] = []
        self._known = conditional_bytes
        self._root = os.path.abspath(os.fsencode(path))

    @cached_property
    def conditional_bytes(self) -> int:
        if self._known is not None:
            return UNLIMITED if self._known else 0
        try:
            with self.folder(b"") as folder:
                return UNLIMITED if can_exchange(folder) else 0
        except OSError:
            return UNLIMITED  # read-only, or not created yet: the write will fail with the reason

    def entries(self, on_denied: OnAccessDenied | None = None) -> Iterator[Entry]:
        """See `Store`. The names in one folder, and in those above it, are in memory."""
        return self._below(b"", on_denied)

    def _below(self, base: bytes, on_denied: OnAccessDenied | None) -> Iterator[Entry]:
        """Yield the entries in the folder `base`, which is b"" or ends in b"/"."""
        files: list[bytes] = []
        try:
            names = self._names(base)
        except StoreError as error:
            if not base or on_denied is None or error.kind is not StoreErrorKind.DENIED:
                raise
            on_denied(os.fsdecode(base), error)
            return
        if base and os.fsencode(MARKER) in names:
            note_left_out(os.fsdecode(base), self.left_out)
            return
        for name in names:
            if name.endswith(b"/"):
                yield from self._stats(base, files)
                files = []
                yield from self._below(base + name, on_denied)
            else:
                files.append(name)
                if len(files) == STATS_AT_ONCE:
                    yield from self._stats(base, files)
                    files = []
        yield from self._stats(base, files)

    def _names(self, base: bytes) -> list[bytes]:
        """Return the names of files, and of folders with b"/" appended, in the order of their keys."""
        names = []
        with self.store_errors(os.fsdecode(base)):
            try:
                with self.folder(base) as folder, os.scandir(folder) as found:
                    for item in found:
                        if item.is_dir(follow_symlinks=False):
                            names.append(os.fsencode(item.name) + b"/")
                        elif item.is_file(follow_symlinks=False):
                            name = os.fsencode(item.name)
                            if RESERVED_NAME.fullmatch(name) is None:
                                names.append(name)
            except FileNotFoundError:
                if not base:
                    raise
        names.sort()
        return names

    def _stats(self, base: bytes, names: list[bytes]) -> list[Entry]:
        """Return the entries of the names that still exist and are still files."""
        found: list[Entry] = []
        if not names:
            return found
        with self.store_errors(os.fsdecode(base)):
            try:
                with self.folder(base) as folder:
                    for name in names:
                        state = lstat_in(folder, name)
                        if state is not None and stat.S_ISREG(state.st_mode):
                            found.append(file_entry(os.fsdecode(base + name), state))
            except FileNotFoundError:
                pass
        return found

    def open(self, key: str) -> OpenFile:
        with self.store_errors(key), self._parent(key) as (folder, name):
            file = os.open(name, FILE_FLAGS, dir_fd=folder)
            try:
                state = os.fstat(file)
                check_regular_file(state)
                return OpenFile(self.url, key, file, state)
            except BaseException:
                os.close(file)
                raise

    def head(self, key: str) -> Entry | None:
        with _suppress_missing(), self.store_errors(key), self._parent(key) as (folder, name):
            state = lstat_in(folder, name)
            if state is not None:
                check_regular_file(state)
                return file_entry(key, state)
        return None

    def write(self, key: str, body: Body, attributes: Attributes, condition: Precondition | None) -> Entry:
        with self.store_errors(key), self._parent(key, create=True) as (folder, name):
            if RESERVED_NAME.fullmatch(name) is not None:
                raise StoreError(StoreErrorKind.IMPOSSIBLE, RESERVED)
            was = lstat_in(folder, name)
            if was is not None:
                check_regular_file(was)
            check_precondition(condition, None if was is None else file_etag(was))
            with TemporaryFile(folder, name) as new:
                new.fill(body)
                new.set_attributes(attributes)
                if condition is None:
                    new.replace()
                elif condition.etag is None:
                    new.create()
                else:
                    was = lstat_in(folder, name)
                    check_precondition(condition, None if was is None else file_etag(was))
                    assert was is not None
                    new.replace_if_unchanged(was, condition.atomic)
            os.fsync(folder)
            state = lstat_in(folder, name)
            if state is None or state.st_ino != new.inode or state.st_size != body.size:
                raise StoreError(StoreErrorKind.CHANGED, "was changed by another writer right after it was written")
            return file_entry(key, state)

    def write_successor(self, key: str, body: Body, attributes: Attributes, of: str) -> Entry:
        """See `Store`; the attributes are all that is kept."""
        return self.write(key, body, attributes, Precondition(None))

    def copy(self, key: str, etag: str, to: str, target: Store | None = None) -> Entry:
        """See `Store`; `target` is any folder. Blocks are shared if the file system supports it. It is not a hard link,
        which would change the original's ETag (by its time of change) and share later writes with the original."""
        with self.open(key) as opened:
            if opened.entry.etag != etag:
                raise StoreError(StoreErrorKind.CHANGED, f"{self.url}: {key!r}: changed in the meantime")
            return (target or self).write(to, opened, opened.attributes, Precondition(None))

    def clean_up(self, key: str) -> None:
        with _suppress_missing(), self.store_errors(key), self._parent(key) as (folder, name):
            clean_up(folder, name)

    def delete(self, key: str, etag: str) -> None:
        """See `Store`; while somebody is writing the key, there is only a check before."""
        with _suppress_missing(), self.store_errors(key), self._parent(key) as (folder, name), ExitStack() as stack:
            if lstat_in(folder, name) is None:
                return
            file: TemporaryFile | None = None
            with suppress(StoreError):
                file = stack.enter_context(TemporaryFile(folder, name))
            state = lstat_in(folder, name)
            if state is None:
                return
            check_regular_file(state)
            check_precondition(Precondition(etag), file_etag(state))
            if file is not None:
                file.remove_if_unchanged(state)
            else:
                os.unlink(name, dir_fd=folder)
            stack.close()
            os.fsync(folder)

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """Describe what `write` would not carry over."""
        metadata, tags = len(attributes.metadata), len(attributes.tags)
        return (
            *sorted(attributes.headers),
            *([f"{metadata} metadata entries"] if metadata else []),
            *([f"{tags} tags"] if tags else []),
            *([f"storage class {attributes.storage_class}"] if attributes.storage_class else []),
        )

    @contextmanager
    def _parent(self, key: str, create: bool = False) -> Iterator[tuple[int, bytes]]:
        """Open the folder of a key's file, and give it with the file's name; `create`: missing folders."""
        try:
            path = os.fsencode(key)
        except UnicodeEncodeError:
            raise StoreError(StoreErrorKind.IMPOSSIBLE, "not a possible file name") from None
        name = path[path.rfind(b"/") + 1 :]
        check_path(path)
        with self.folder(path[: len(path) - len(name)], create) as folder:
            yield folder, name

    @contextmanager
    def folder(self, base: bytes, create: bool = False) -> Iterator[int]:
        """Open the folder `base`, which is b"" or ends in b"/", without following symbolic links."""
        if base:
            check_path(base[:-1])
        try:
            folder = os.open(self._root, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        except FileNotFoundError:
            if not create:
                raise
            os.makedirs(self._root, exist_ok=True)
            folder = os.open(self._root, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        try:
            for name in base.split(b"/")[:-1]:
                below = open_folder(folder, name, create)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def store_errors(self, key: str) -> Iterator[None]:
        """Raise system errors as StoreError, and put store and key in front of each message."""
        try:
            yield
        except StoreError as error:
            raise error.located(f"{self.url}: {key!r}") from error
        except OSError as error:
            raise StoreError(errno_kind(error), f"{self.url}: {key!r}: {error.strerror or error}") from error


@contextmanager
def _suppress_missing() -> Iterator[None]:
    """Treat an object that does not exist as no error."""
    try:
        yield
    except StoreError as error:
        if error.kind is not StoreErrorKind.MISSING:
            raise


def check_path(path: bytes) -> None:
    """Raise IMPOSSIBLE unless this is a relative path without empty parts, . and .."""
    if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise StoreError(StoreErrorKind.IMPOSSIBLE, "not a path below the folder")


def open_folder(folder: int, name: bytes, create: bool) -> int:
    """Open the folder `name` in `folder`; raise IMPOSSIBLE if it is a symbolic link."""
    try:
        return os.open(name, FOLDER_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
        try:
            os.mkdir(name, dir_fd=folder)
            os.fsync(folder)
        except FileExistsError:
            pass
        return os.open(name, FOLDER_FLAGS, dir_fd=folder)
    except NotADirectoryError:
        # Symbolic links too: they are not followed.
        state = lstat_in(folder, name)
        if not create and state is not None and not stat.S_ISLNK(state.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        raise
