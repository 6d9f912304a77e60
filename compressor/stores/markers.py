"""The marker of a place where originals are kept, and how listings leave out what lies below it.

The marker's name sorts before nearly all others. In a listing in the order of keys it is then the first of its folder,
so that it is seen before anything that it covers, and costs no request. Only where the first key of a folder sorts
before it, as of names that begin with a space, is the marker asked for; likewise for each folder of a manifest, whose
keys are in no order.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from compressor.stores.contract import Entry, Store, StoreError, StoreErrorKind

MARKER = "!compressor-originals.txt"
FOLDERS_MAX = 1 << 16  # of a manifest, remembered
NOTICES_MAX = 100
ABSENT = {
    StoreErrorKind.MISSING,
    StoreErrorKind.DENIED,
    StoreErrorKind.IMPOSSIBLE,
}  # to be denied, without ListBucket, is to be missing


def has_marker(store: Store, folder: str) -> bool:
    """Return whether a folder, "" or with "/" behind, has a marker in it."""
    try:
        return store.head(folder + MARKER) is not None
    except StoreError as error:
        if error.kind in ABSENT:
            return False
        raise


def leave_out(folder: str, left_out: list[str]) -> None:
    """Note that a folder with a marker was met."""
    if len(left_out) < NOTICES_MAX:
        left_out.append(f"originals are kept below {folder}: they are left out")


def outside(store: Store, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries of a store's listing, in the order of their keys, that do not lie below a marker.

    A folder that has one is noted in the store's `left_out`. The marker is asked for only where the listing does not
    tell whether it is there.
    """
    folders: list[str] = []  # of the key before, and `inside` as it begins
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
                leave_out(folder, store.left_out)
                kept = folder
                break
        folders, inside = parts, "" if kept else base
        if not kept:
            yield entry


class Marks:
    """Answers which keys of a store lie below a marker, in whatever order they are asked for; by any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: OrderedDict[str, bool] = OrderedDict()
        self.left_out: list[str] = []

    def cover(self, key: str) -> bool:
        """Return whether a folder that the key lies in, below the store's root, has a marker."""
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
                leave_out(folder, self.left_out)
            self._known[folder] = found
            if len(self._known) > FOLDERS_MAX:
                self._known.popitem(last=False)
        return found
