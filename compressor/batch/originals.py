"""Kept originals: where they are, and how other runs are kept away from them.

A run in place copies each original to the same key below a place of its own, in which MARKER is written first. Nothing
below a marker is an object of any run: listings and manifests leave it out (`markers.py`), and it is refused as SRC, as
DST, and as the place for the originals of another source.
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
Originals that `compressor batch --in-place --keep-originals` replaced are kept here, unchanged, with their metadata.

Runs of compressor leave out everything below this place while this file exists, and write nothing else to it. To put
the originals back, use `compressor ledger restore` with the ledger of the run. If you no longer need them, delete them,
and this file last.

"""


@dataclass(frozen=True)
class Originals:
    """The place where a run keeps originals: that of an object is at `key(object's key)` in `store`."""

    store: Store
    prefix: str = ""

    def key(self, key: str) -> str:
        return self.prefix + key

    def keep(self, source: Store, done: ObjectResult) -> Entry:
        """Copy the original that was read to its place, unless a run that was killed has done so already."""
        to = self.key(done.key)
        elsewhere = () if self.store is source else (self.store,)
        try:
            return source.copy(done.key, done.etag, to, *elsewhere)
        except StoreError as error:
            if error.kind is not StoreErrorKind.EXISTS:
                raise
        kept, found = self.store.head(to), source.head(done.key)
        if found is None or found.etag != done.etag:
            raise StoreError(StoreErrorKind.CHANGED, "changed while its original was being kept")
        if kept is None or kept.size != done.size or store_digest(source, done.key) != store_digest(self.store, to):
            raise StoreError(StoreErrorKind.EXISTS, f"{self.store.url}: {to!r} already exists and is another object")
        return kept


def originals_of(keep: str, source: Store) -> Originals:
    """Return the originals of a job or of a ledger; in earlier versions of ledgers `keep` is a prefix of the source."""
    if "://" in keep or keep.startswith("/"):
        return Originals(open_store(keep, probed=True))
    return Originals(source, keep)


@dataclass
class TextBody:
    """A small text as a body."""

    data: bytes
    size: int

    def chunks(self) -> Iterator[bytes]:
        yield self.data


def write_marker(keep: str, source: str) -> None:
    """Mark the place `keep`, which `refuse_kept` has accepted, as that of the originals of `source`.

    A folder that is created for it is accessible by its owner only, since the source may be protected by a folder
    above.
    """
    if (folder := folder_path(keep)) is not None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    store = open_store(keep, probed=True)
    if has_marker(store, ""):
        return
    text = f"{TEXT}{SOURCE}{json.dumps(normalize(source))}\n".encode()
    try:
        attributes = Attributes(headers={"content-type": "text/plain; charset=utf-8"})
        store.write(MARKER, TextBody(text, len(text)), attributes, Precondition(None))
    except StoreError as error:
        if error.kind is not StoreErrorKind.EXISTS:
            raise
        require_source(store, keep, source)  # by another run, at the same moment


def remove_marker(store: Store) -> None:
    """Remove the marker from a place that contains nothing else."""
    first = first_entries(store, 2)
    if [entry.key for entry in first] == [MARKER]:
        store.delete(MARKER, first[0].etag)


def first_entries(store: Store, count: int) -> list[Entry]:
    """Return the first entries of a listing; none of a folder that does not exist."""
    try:
        return list(islice(store.entries(), count))
    except StoreError as error:
        if error.kind is not StoreErrorKind.MISSING:
            raise
        return []


def require_source(store: Store, keep: str, source: str) -> None:
    """Raise SettingsError unless the originals kept in a place are those of this source."""
    found = source_in(store)
    if found != normalize(source):
        problem = (
            f"{printable(keep)} contains the originals of {printable(found) or 'another source'}: choose another place"
        )
        raise SettingsError("keep_originals", problem)


def source_in(store: Store) -> str:
    """Return the source named by the marker of a place; "" where it names none."""
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
    """Raise SettingsError where SRC or DST is among kept originals, or where the place for originals is among others,
    contains those of another source, or contains anything else. Writes nothing."""
    buckets: dict[str, Store] = {}
    for field, place in (("src", source), ("dst", target), ("keep_originals", keep)):
        if place is None or (field == "dst" and target == source):
            continue
        check_folder(field, place)
        marked = marked_above(place, buckets)
        if field == "keep_originals" and marked == normalize(place):
            require_source(open_store(place, probed=True), place, source)
        elif marked is not None:
            problem = f"{printable(place)} is among kept originals, which {printable(marked)}/{MARKER} marks"
            raise SettingsError(field, problem)
        elif field == "keep_originals" and first_entries(open_store(place, probed=True), 1):
            problem = f"{printable(place)} contains objects that are not kept originals: choose an empty place"
            raise SettingsError(field, problem)


def marked_above(place: str, buckets: dict[str, Store]) -> str | None:
    """Return the place nearest to the root, of this one and those that contain it, that has a marker, normalized.

    buckets  cache of open stores by URL: opening one takes a while
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
