"""Kept originals: where they are, and how other runs are made to leave them alone.

A run in place copies each original to the same key below a place of its own, which holds MARKER from before the first
one is there. What lies below a marker is no object of any run: listings and manifests leave it out (`markers.py`), and
it is refused as SRC, as DST, and as the place for the originals of another source.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from compressor.errors import SettingsError
from compressor.humanize import printable
from compressor.ledger.records import ObjectResult
from compressor.stores.contract import Attributes, Entry, Precondition, Store, StoreError, StoreErrorKind, store_digest
from compressor.stores.markers import MARKER, has_marker
from compressor.stores.open import open_store
from compressor.stores.places import check_folder, folder_path, normalize, split_url

MARKER_BYTES_MAX = 1 << 16
SOURCE = "Source: "
TEXT = """\
Originals that `compressor batch --in-place --keep-originals` replaced are kept here, as they were, with their metadata.

Runs of compressor leave out everything below this place for as long as this file is here, and write nothing else to it.
The ledger of the run puts the originals back. If they are not wanted any more, delete them, and this file last.

"""


@dataclass(frozen=True)
class Originals:
    """The place where a run keeps originals. That of `key` is at `key(key)` in `store`."""

    store: Store
    prefix: str = ""

    def key(self, key: str) -> str:
        return self.prefix + key

    def keep(self, source: Store, done: ObjectResult) -> Entry:
        """Copy the original that was read to its place, unless it is there already, from a run that was killed."""
        to = self.key(done.key)
        elsewhere = () if self.store is source else (self.store,)
        try:
            return source.copy(done.key, done.etag, to, *elsewhere)
        except StoreError as error:
            if error.kind is not StoreErrorKind.EXISTS:
                raise
        kept, there = self.store.head(to), source.head(done.key)
        if there is None or there.etag != done.etag:
            raise StoreError(StoreErrorKind.CHANGED, "changed while its original was being kept")
        if kept is None or kept.size != done.size or store_digest(source, done.key) != store_digest(self.store, to):
            raise StoreError(StoreErrorKind.EXISTS, f"{self.store.url}: {to!r} is there already and is another object")
        return kept


def originals_of(keep: str, source: Store) -> Originals:
    """Return the place of a job or a ledger, in whose earlier versions it is a prefix below the source."""
    if "://" in keep or keep.startswith("/"):
        return Originals(open_store(keep, probed=True))
    return Originals(source, keep)


@dataclass
class Note:
    """A small text as a body."""

    data: bytes
    size: int

    def chunks(self) -> Iterator[bytes]:
        yield self.data


def mark(keep: str, source: str) -> None:
    """Make sure that the place `keep`, which `refuse_kept` has let pass, is marked as that of the originals of
    `source`.

    A folder that is made for it is its owner's alone: what protects the source may lie above that.
    """
    if (folder := folder_path(keep)) is not None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    store = open_store(keep, probed=True)
    if has_marker(store, ""):
        return
    text = f"{TEXT}{SOURCE}{json.dumps(normalize(source))}\n".encode()
    try:
        attributes = Attributes(headers={"content-type": "text/plain; charset=utf-8"})
        store.write(MARKER, Note(text, len(text)), attributes, Precondition(None))
    except StoreError as error:
        if error.kind is not StoreErrorKind.EXISTS:
            raise
        require_source(store, keep, source)  # by another run, at the same moment


def unmark(store: Store) -> None:
    """Remove the marker of a place where nothing else is left."""
    first = first_entries(store, 2)
    if [entry.key for entry in first] == [MARKER]:
        store.delete(MARKER, first[0].etag)


def first_entries(store: Store, count: int) -> list[Entry]:
    """Return the first entries of a listing; none of a folder that is not there."""
    try:
        return list(islice(store.entries(), count))
    except StoreError as error:
        if error.kind is not StoreErrorKind.MISSING:
            raise
        return []


def require_source(store: Store, keep: str, source: str) -> None:
    """Raise SettingsError unless the originals that are kept there are of this source."""
    found = source_in(store)
    if found != normalize(source):
        problem = f"{printable(keep)} has the originals of {printable(found) or 'another source'}: name another place"
        raise SettingsError("keep_originals", problem)


def source_in(store: Store) -> str:
    """Return the source that a marker names; "" where it names none."""
    data = b""
    with store.open(MARKER) as opened:
        for chunk in opened.chunks():
            data += chunk
            if len(data) > MARKER_BYTES_MAX:
                return ""
    for line in data.decode(errors="replace").splitlines():
        if line.startswith(SOURCE):
            try:
                return str(json.loads(line.removeprefix(SOURCE)))
            except ValueError:
                return ""
    return ""


def refuse_kept(source: str, target: str, keep: str | None) -> None:
    """Raise SettingsError where SRC or DST lies among kept originals, or where the place for originals lies among
    others, has those of another source, or holds anything else. Reads only."""
    buckets: dict[str, Store] = {}
    for field, place in (("src", source), ("dst", target), ("keep_originals", keep)):
        if place is None or (field == "dst" and target == source):
            continue
        check_folder(field, place)
        marked = marked_above(place, buckets)
        if field == "keep_originals" and marked == normalize(place):
            require_source(open_store(place, probed=True), place, source)
        elif marked is not None:
            problem = f"{printable(place)} lies among kept originals: {printable(marked)}/{MARKER} marks them"
            raise SettingsError(field, problem)
        elif field == "keep_originals" and first_entries(open_store(place, probed=True), 1):
            problem = f"{printable(place)} has objects in it that are no kept originals: name a place of their own"
            raise SettingsError(field, problem)


def marked_above(place: str, buckets: dict[str, Store]) -> str | None:
    """Return the place nearest to the root, of this one and those that it lies in, that has a marker, in its normal
    form.

    buckets  those that are open already, by URL: another one is added, since to open one takes a while
    """
    whole = normalize(place)
    if folder_path(place) is not None:
        folders = [str(folder) for folder in (*reversed(Path(whole).parents), Path(whole))]
        return next((folder for folder in folders if os.path.lexists(os.path.join(folder, MARKER))), None)
    bucket, prefix = split_url(whole)
    store = buckets.get(bucket) or open_store(bucket, probed=True)
    buckets[bucket] = store
    for at, letter in enumerate("/" + prefix):
        if letter == "/" and has_marker(store, prefix[:at]):
            return normalize(f"{bucket}/{prefix[:at]}")
    return None
