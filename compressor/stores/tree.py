"""Members of a folder that are not files (folders, symbolic links, FIFOs): copied to another folder, or reported."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from compressor.stores.contract import Store, StoreError, StoreErrorKind
from compressor.stores.file_read import file_attributes, lstat_in
from compressor.stores.file_write import apply_attributes
from compressor.stores.files import Files
from compressor.stores.filters import Filters
from compressor.stores.markers import MARKER

FILE, LINK, FOLDER, EMPTY_FOLDER = "file", "symbolic link", "folder", "empty folder"
SPECIAL = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
EXAMPLES_MAX = 3


@dataclass
class TreeCopier:
    """Completes the copy of a folder after its files have been copied.

    target     a folder, in which folders and symbolic links are created; in other stores they are only reported
    filters    for keys, where a folder's key ends in "/"
    overwrite  replace a symbolic link with another destination
    """

    source: Files
    target: Store
    filters: Filters
    overwrite: bool = False
    should_stop: Callable[[], bool] = lambda: False
    _counts: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, list[str]] = field(default_factory=dict)

    def copy(self) -> tuple[str, ...]:
        """Create folders and symbolic links at the target; return descriptions of what was not copied.

        A folder gets its attributes after everything below it, since they may make it read-only.
        """
        path: list[tuple[bytes, Iterator[bytes]]] = [(b"", iter(self._begin(b"") or ()))]
        while path and not self.should_stop():
            base, folders = path[-1]
            name = next(folders, None)
            if name is None:
                path.pop()
                self._end(base)
            else:
                folder = base + name + b"/"
                if (inside := self._begin(folder)) is not None:
                    path.append((folder, iter(inside)))
        return tuple(self._describe(kind) for kind in self._counts)

    def _begin(self, base: bytes) -> list[bytes] | None:
        """Copy the members of a folder other than files; return the names of its folders, or None if it is left out."""
        key = os.fsdecode(base)
        if any(key.startswith(prefix) for prefix in self.filters.excluded_prefixes):
            return None
        try:
            with self.source.store_errors(key), self.source.folder(base) as folder, os.scandir(folder) as entries:
                kinds = {os.fsencode(entry.name): member_kind(entry) for entry in entries}
        except StoreError as error:
            if error.kind not in (StoreErrorKind.MISSING, StoreErrorKind.DENIED):  # denied: the listing has reported it
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
                self._copy_link(base, name)
            else:
                self._count(kinds[name], member)
        return sorted(name for name, kind in kinds.items() if kind == FOLDER)

    def _make_folder(self, base: bytes, empty: bool) -> None:
        key = os.fsdecode(base)
        if not isinstance(self.target, Files):
            if empty:
                self._count(EMPTY_FOLDER, key)
            return
        try:
            with self.target.store_errors(key), self.target.folder(base, create=True):
                pass
        except StoreError:
            self._count(FOLDER, key)

    def _end(self, base: bytes) -> None:
        """Apply the source folder's attributes to the target folder, if it exists."""
        if not isinstance(self.target, Files):
            return
        try:
            with self.source.store_errors(""), self.source.folder(base) as folder:
                attributes = file_attributes(folder, os.fstat(folder))
            with self.target.store_errors(""), self.target.folder(base) as folder:
                apply_attributes(folder, attributes)
        except StoreError as error:
            if error.kind is not StoreErrorKind.MISSING:
                self._count("attributes of a folder", os.fsdecode(base))

    def _copy_link(self, base: bytes, name: bytes) -> None:
        """Create the same symbolic link at the target."""
        key = os.fsdecode(base + name)
        if not isinstance(self.target, Files):
            self._count(LINK, key)
            return
        try:
            with self.source.store_errors(key), self.source.folder(base) as folder:
                destination, state = os.readlink(name, dir_fd=folder), os.lstat(name, dir_fd=folder)
            with self.target.store_errors(key), self.target.folder(base, create=True) as folder:
                existing = lstat_in(folder, name)
                if existing is not None and stat.S_ISLNK(existing.st_mode):
                    if os.readlink(name, dir_fd=folder) == destination:
                        return
                    if self.overwrite:
                        os.unlink(name, dir_fd=folder)
                os.symlink(destination, name, dir_fd=folder)
                with suppress(OSError):
                    os.chown(name, state.st_uid, state.st_gid, dir_fd=folder, follow_symlinks=False)
                os.utime(name, ns=(state.st_mtime_ns,) * 2, dir_fd=folder, follow_symlinks=False)
        except StoreError as error:
            if error.kind is not StoreErrorKind.MISSING:
                self._count(LINK, f"{key} ({error.kind.replace('_', ' ')})")

    def _count(self, kind: str, key: str) -> None:
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(key)

    def _describe(self, kind: str) -> str:
        count, examples = self._counts[kind], ", ".join(self._examples[kind])
        more = ", …" if count > EXAMPLES_MAX else ""
        return f"not copied: {count:,} × {kind}: {examples}{more}"


def member_kind(entry: "os.DirEntry[str]") -> str:
    """Return the kind of a folder's member; "file" if it was deleted in the meantime."""
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
