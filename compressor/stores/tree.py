"""The members of a folder that are no files (folders, symbolic links, FIFOs): carried to another folder, or named."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from compressor.stores.contract import Store, StoreError, StoreErrorKind
from compressor.stores.file_read import attributes_of, state_of
from compressor.stores.file_write import take_on
from compressor.stores.files import Files
from compressor.stores.filters import Filters
from compressor.stores.markers import MARKER

FILE, LINK, FOLDER, EMPTY_FOLDER = "file", "symbolic link", "folder", "empty folder"
SPECIAL = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
EXAMPLES_MAX = 3


@dataclass
class Carrier:
    """Makes a copy of a folder whole once its files have been copied.

    target     a folder, where folders and symbolic links are made; else all that is no file is only named
    filters    of keys, in which a folder has "/" behind
    overwrite  replace a symbolic link that leads elsewhere
    """

    source: Files
    target: Store
    filters: Filters
    overwrite: bool = False
    stopped: Callable[[], bool] = lambda: False
    _counts: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, list[str]] = field(default_factory=dict)

    def carry(self) -> tuple[str, ...]:
        """Make folders and symbolic links at the target; return what was not carried over, in words.

        Folders get their attributes when all below them is there: a folder may be one that nothing can be added to.
        """
        path: list[tuple[bytes, Iterator[bytes]]] = [(b"", iter(self._begin(b"") or ()))]
        while path and not self.stopped():
            base, folders = path[-1]
            name = next(folders, None)
            if name is None:
                path.pop()
                self._end(base)
            else:
                below = base + name + b"/"
                if (inside := self._begin(below)) is not None:
                    path.append((below, iter(inside)))
        return tuple(self._described(kind) for kind in self._counts)

    def _begin(self, base: bytes) -> list[bytes] | None:
        """Carry all of a folder but its files, and return the names of the folders in it; None where it is left out."""
        key = os.fsdecode(base)
        if any(key.startswith(prefix) for prefix in self.filters.but):
            return None
        try:
            with self.source.troubles(key), self.source.folder(base) as folder, os.scandir(folder) as entries:
                kinds = {os.fsencode(entry.name): kind_of(entry) for entry in entries}
        except StoreError as error:
            if error.kind not in (StoreErrorKind.MISSING, StoreErrorKind.DENIED):  # denied: the listing has told
                raise
            return None
        if base and os.fsencode(MARKER) in kinds:
            return None
        if base and self.filters.match_key(key):
            self._make_folder(base, empty=not kinds)
        for name in sorted(name for name, kind in kinds.items() if kind not in (FILE, FOLDER)):
            member = os.fsdecode(base + name)
            if not self.filters.match_key(member):
                continue
            if kinds[name] == LINK:
                self._link(base, name)
            else:
                self._leave(kinds[name], member)
        return sorted(name for name, kind in kinds.items() if kind == FOLDER)

    def _make_folder(self, base: bytes, empty: bool) -> None:
        key = os.fsdecode(base)
        if not isinstance(self.target, Files):
            if empty:
                self._leave(EMPTY_FOLDER, key)
            return
        try:
            with self.target.troubles(key), self.target.folder(base, make=True):
                pass
        except StoreError:
            self._leave(FOLDER, key)

    def _end(self, base: bytes) -> None:
        """Give the folder at the target, if there is one, what the source's carries."""
        if not isinstance(self.target, Files):
            return
        try:
            with self.source.troubles(""), self.source.folder(base) as folder:
                attributes = attributes_of(folder, os.fstat(folder))
            with self.target.troubles(""), self.target.folder(base) as folder:
                take_on(folder, attributes)
        except StoreError as error:
            if error.kind is not StoreErrorKind.MISSING:
                self._leave("attributes of a folder", os.fsdecode(base))

    def _link(self, base: bytes, name: bytes) -> None:
        """Make the same symbolic link at the target."""
        key = os.fsdecode(base + name)
        if not isinstance(self.target, Files):
            self._leave(LINK, key)
            return
        try:
            with self.source.troubles(key), self.source.folder(base) as folder:
                leads, state = os.readlink(name, dir_fd=folder), os.lstat(name, dir_fd=folder)
            with self.target.troubles(key), self.target.folder(base, make=True) as folder:
                there = state_of(folder, name)
                if there is not None and stat.S_ISLNK(there.st_mode):
                    if os.readlink(name, dir_fd=folder) == leads:
                        return
                    if self.overwrite:
                        os.unlink(name, dir_fd=folder)
                os.symlink(leads, name, dir_fd=folder)
                with suppress(OSError):
                    os.chown(name, state.st_uid, state.st_gid, dir_fd=folder, follow_symlinks=False)
                os.utime(name, ns=(state.st_mtime_ns,) * 2, dir_fd=folder, follow_symlinks=False)
        except StoreError as error:
            if error.kind is not StoreErrorKind.MISSING:
                self._leave(LINK, f"{key} ({error.kind})")

    def _leave(self, kind: str, key: str) -> None:
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(key)

    def _described(self, kind: str) -> str:
        count, examples = self._counts[kind], ", ".join(self._examples[kind])
        more = ", …" if count > EXAMPLES_MAX else ""
        return f"not copied: {count:,} × {kind}: {examples}{more}"


def kind_of(entry: "os.DirEntry[str]") -> str:
    """Name the kind of a folder's member; "file" for one that has gone meanwhile."""
    if entry.is_symlink():
        return LINK
    if entry.is_dir(follow_symlinks=False):
        return FOLDER
    if entry.is_file(follow_symlinks=False):
        return FILE
    try:
        return SPECIAL.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), "special file")
    except FileNotFoundError:
        return FILE
