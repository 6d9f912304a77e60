"""A folder as a store, by plain system calls. No obstore: its LocalStore has neither attributes nor conditions, and not
every name of a file is a key to it.

A key is the path below the folder. Bytes of a name that are not UTF-8 are in it as `os.fsdecode` has them (surrogates);
the order of a listing is that of the names' bytes. No part of a key is ever followed as a link, so none leads outside.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from compressor.stores.contract import (
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
from compressor.stores.file_read import TROUBLES, OpenFile, entry_of, etag_of, require_file, state_of
from compressor.stores.file_write import BESIDE, Part, clean_up, exchanges
from compressor.stores.markers import MARKER, leave_out

UNLIMITED = 1 << 62
STATS_AT_ONCE = 1024  # files of a folder that are looked at before the first of them is given out

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a pipe must not hold us up


class Files:
    """A folder; it need not be there for `write`, which makes it.

    An etag is of a file's inode, size and times of modification and change, so it also changes with its mode, owner or
    extended attributes, and with a new hard link. `write` keeps mode, owner (as far as the system lets us), extended
    attributes and the modification time: another encoding of a picture is not a new picture. The etag differs all the
    same, by the inode.

    A replacement is never in place of bytes: readers that have the old file open go on reading it, and other hard links
    to it keep the old content. Where the kernel can exchange two names (Linux, most file systems) what was swapped out
    is compared once more, and swapped back if another program has written meanwhile; that is lost only if this one is
    killed between the two. This counts as a condition: `conditional_bytes` is without a limit where the root's file
    system can do it, and 0 elsewhere, where there is a look before and no more. Nothing tells of a program that has the
    file open already and writes later.

    Of those who write a key by this class one does so at a time, for the others it is UNAVAILABLE: it holds a lock
    (flock) on .NAME.compressor-DIGEST.lock, beside the target, and alone handles .NAME.compressor-DIGEST.part, which is
    what it writes. These names depend on the key alone: what a killed run has left goes when that key is written the
    next time, or by `clean_up`, and is never listed.
    """

    def __init__(self, path: str, conditional_bytes: int | None = None) -> None:
        """conditional_bytes: 0, or anything for no limit, where that is known; None: it is tried out."""
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
                return UNLIMITED if exchanges(folder) else 0
        except OSError:
            return UNLIMITED  # nothing can be written here, or nothing is here yet: the write will say so

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        """As `Store` has it; the names of one folder, and of those above it, are in memory."""
        return self._below(b"", refused)

    def _below(self, base: bytes, refused: OnAccessDenied | None) -> Iterator[Entry]:
        """Entries in the folder `base`, which is b"" or ends in b"/"."""
        files: list[bytes] = []
        try:
            names = self._names(base)
        except StoreError as error:
            if not base or refused is None or error.kind is not StoreErrorKind.DENIED:
                raise
            refused(os.fsdecode(base), error)
            return
        if base and os.fsencode(MARKER) in names:
            leave_out(os.fsdecode(base), self.left_out)
            return
        for name in names:
            if name.endswith(b"/"):
                yield from self._stats(base, files)
                files = []
                yield from self._below(base + name, refused)
            else:
                files.append(name)
                if len(files) == STATS_AT_ONCE:
                    yield from self._stats(base, files)
                    files = []
        yield from self._stats(base, files)

    def _names(self, base: bytes) -> list[bytes]:
        """Files and folders, these with b"/" behind, in the order of the keys they stand for."""
        names = []
        with self.troubles(os.fsdecode(base)):
            try:
                with self.folder(base) as folder, os.scandir(folder) as found:
                    for item in found:
                        if item.is_dir(follow_symlinks=False):
                            names.append(os.fsencode(item.name) + b"/")
                        elif item.is_file(follow_symlinks=False):
                            name = os.fsencode(item.name)
                            if BESIDE.fullmatch(name) is None:
                                names.append(name)
            except FileNotFoundError:
                if not base:
                    raise
        names.sort()
        return names

    def _stats(self, base: bytes, names: list[bytes]) -> list[Entry]:
        """Of those that are still there, and still files."""
        found: list[Entry] = []
        if not names:
            return found
        with self.troubles(os.fsdecode(base)):
            try:
                with self.folder(base) as folder:
                    for name in names:
                        state = state_of(folder, name)
                        if state is not None and stat.S_ISREG(state.st_mode):
                            found.append(entry_of(os.fsdecode(base + name), state))
            except FileNotFoundError:
                pass
        return found

    def open(self, key: str) -> OpenFile:
        with self.troubles(key), self._place(key) as (folder, name):
            file = os.open(name, FILE_FLAGS, dir_fd=folder)
            try:
                state = os.fstat(file)
                require_file(state)
                return OpenFile(self.url, key, file, state)
            except BaseException:
                os.close(file)
                raise

    def head(self, key: str) -> Entry | None:
        try:
            with self.troubles(key), self._place(key) as (folder, name):
                state = state_of(folder, name)
                if state is None:
                    return None
                require_file(state)
                return entry_of(key, state)
        except StoreError as error:
            if error.kind is StoreErrorKind.MISSING:
                return None
            raise

    def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
        with self.troubles(key), self._place(key, make=True) as (folder, name):
            if BESIDE.fullmatch(name) is not None:
                raise StoreError(StoreErrorKind.IMPOSSIBLE, "a name that is kept for files being written")
            was = state_of(folder, name)
            if was is not None:
                require_file(was)
            check_precondition(only, None if was is None else etag_of(was))
            with Part(folder, name) as part:
                part.fill(body)
                part.take(attributes)
                if only is None:
                    part.replace()
                elif only.etag is None:
                    part.appear()
                else:
                    was = state_of(folder, name)
                    check_precondition(only, None if was is None else etag_of(was))
                    assert was is not None
                    part.replace_only(was, only.atomic)
            os.fsync(folder)
            state = state_of(folder, name)
            if state is None or state.st_ino != part.inode or state.st_size != body.size:
                raise StoreError(StoreErrorKind.CHANGED, "was written, and changed again at once")
            return entry_of(key, state)

    def copy(self, key: str, etag: str, to: str, place: Store | None = None) -> Entry:
        """As `Store` has it; `place` is any folder. Blocks are shared where the file system can do that. No hard link:
        it would change the etag of the original (by its time of change), and whoever writes to that would write to the
        copy."""
        with self.open(key) as opened:
            if opened.entry.etag != etag:
                raise StoreError(StoreErrorKind.CHANGED, f"{self.url}: {key!r}: changed meanwhile")
            return (place or self).write(to, opened, opened.attributes, Precondition(None))

    def clean_up(self, key: str) -> None:
        try:
            with self.troubles(key), self._place(key) as (folder, name):
                clean_up(folder, name)
        except StoreError as error:
            if error.kind is not StoreErrorKind.MISSING:
                raise

    def delete(self, key: str, etag: str) -> None:
        try:
            with self.troubles(key), self._place(key) as (folder, name):
                state = state_of(folder, name)
                if state is not None:
                    require_file(state)
                    check_precondition(Precondition(etag), etag_of(state))
                    os.unlink(name, dir_fd=folder)
                    os.fsync(folder)
        except StoreError as error:
            if error.kind is not StoreErrorKind.MISSING:
                raise

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """What `write` would not carry over, in words."""
        metadata, tags = len(attributes.metadata), len(attributes.tags)
        return (
            *sorted(attributes.headers),
            *([f"{metadata} metadata entries"] if metadata else []),
            *([f"{tags} tags"] if tags else []),
            *([f"storage class {attributes.storage_class}"] if attributes.storage_class else []),
        )

    @contextmanager
    def _place(self, key: str, make: bool = False) -> Iterator[tuple[int, bytes]]:
        """The open folder that a key's file is in, and its name there; `make`: folders that are missing."""
        try:
            path = os.fsencode(key)
        except UnicodeEncodeError:
            raise StoreError(StoreErrorKind.IMPOSSIBLE, "not a name that a file can have") from None
        name = path[path.rfind(b"/") + 1 :]
        require_path(path)
        with self.folder(path[: len(path) - len(name)], make) as folder:
            yield folder, name

    @contextmanager
    def folder(self, base: bytes, make: bool = False) -> Iterator[int]:
        """The folder `base`, which is b"" or ends in b"/", open; no link on the way to it is followed."""
        if base:
            require_path(base[:-1])
        try:
            folder = os.open(self._root, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        except FileNotFoundError:
            if not make:
                raise
            os.makedirs(self._root, exist_ok=True)
            folder = os.open(self._root, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        try:
            for name in base.split(b"/")[:-1]:
                below = enter(folder, name, make)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def troubles(self, key: str) -> Iterator[None]:
        """Errors of the system, and our own of the inside, with store and key in front."""
        try:
            yield
        except StoreError as error:
            raise error.at(f"{self.url}: {key!r}") from error
        except OSError as error:
            trouble = TROUBLES.get(error.errno or 0, StoreErrorKind.OTHER)
            raise StoreError(trouble, f"{self.url}: {key!r}: {error.strerror or error}") from error


def require_path(path: bytes) -> None:
    if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise StoreError(StoreErrorKind.IMPOSSIBLE, "not a path below the folder")


def enter(folder: int, name: bytes, make: bool) -> int:
    """Open the folder `name` in `folder`; IMPOSSIBLE where that is a link."""
    try:
        return os.open(name, FOLDER_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
        try:
            os.mkdir(name, dir_fd=folder)
            os.fsync(folder)
        except FileExistsError:
            pass
        return os.open(name, FOLDER_FLAGS, dir_fd=folder)
    except NotADirectoryError:
        # A link too: it is not followed to see what it leads to.
        state = state_of(folder, name)
        if not make and state is not None and not stat.S_ISLNK(state.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        raise
