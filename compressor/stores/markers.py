"""The marker of a folder in which originals are kept; listings leave out everything below it.

The marker's name sorts before nearly all others. In a listing in the order of keys it comes first in its folder, and is
seen before anything that it covers, without a request. The marker is requested only if the first key of a folder sorts
before it (a name that begins with a space), and for each folder of a manifest, whose keys are unordered.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from compressor.stores.contract import Entry, Store, StoreError, StoreErrorKind

MARKER = "!compressor-originals.txt"
FOLDERS_MAX = 1 << 16  # remembered for a manifest
NOTICES_MAX = 100
# Without permission to list a bucket, S3 denies access to what does not exist.
ABSENT = {StoreErrorKind.MISSING, StoreErrorKind.DENIED, StoreErrorKind.IMPOSSIBLE}


def has_marker(store: Store, folder: str) -> bool:
    """Return whether a folder, which is "" or ends in "/", contains a marker."""
    try:
        return store.head(folder + MARKER) is not None
    except StoreError as error:
        if error.kind in ABSENT:
            return False
        raise


def note_left_out(folder: str, left_out: list[str]) -> None:
    """Add a notice about a folder with a marker."""
    if len(left_out) < NOTICES_MAX:
        left_out.append(f"originals kept in {folder} are left out")


def without_marked_folders(store: Store, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries of a store's listing, in the order of their keys, without those below a marker.

    Each folder with a marker is added to the store's `left_out`. The marker is requested only if the listing does not
    show whether it exists.
    """
    folders: list[str] = []  # of the previous key; `inside`: the same, joined
    inside = kept = ""
    for entry in entries:
        if kept and entry.key.startswith(kept):
            continue
        kept, base = "", entry.key[: entry.key.rfind("/") + 1]
        if base == inside:
            yield entry
            continue
        parts = base.split("/")[:-1]
        new = next((at for at, part in enumerate(parts) if at >= len(folders) or folders[at] != part), len(parts))
        for at in range(new, len(parts)):
            folder = "/".join(parts[: at + 1]) + "/"
            marker = folder + MARKER
            if entry.key == marker or (entry.key < marker and has_marker(store, folder)):
                note_left_out(folder, store.left_out)
                kept = folder
                break
        folders, inside = parts, "" if kept else base
        if not kept:
            yield entry


class MarkedFolders:
    """The marked folders of a store, remembered for keys in any order. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: OrderedDict[str, bool] = OrderedDict()
        self.left_out: list[str] = []

    def cover(self, key: str) -> bool:
        """Return whether one of a key's folders, below the store's root, has a marker."""
        at = key.find("/")
        while at >= 0:
            if self._marked(key[: at + 1]):
                return True
            at = key.find("/", at + 1)
        return False

    def _marked(self, folder: str) -> bool:
        with self._lock:
            if folder in self._known:
                self._known.move_to_end(folder)
                return self._known[folder]
        found = has_marker(self._store, folder)
        with self._lock:
            if found and folder not in self._known:
                note_left_out(folder, self.left_out)
            self._known[folder] = found
            if len(self._known) > FOLDERS_MAX:
                self._known.popitem(last=False)
        return found
