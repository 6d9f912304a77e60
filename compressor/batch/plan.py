"""Which objects a run is about: a listing, or a manifest; filtered; in shards."""

import csv
import gzip
import io
import itertools
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol
from urllib.parse import unquote_plus

from compressor.batch.ledger import Ledger, LedgerError, Shard
from compressor.batch.store import Entry, Store, open_store

SHARD_KEYS = 10_000
COLUMNS = {"key": "key", "size": "size", "etag": "etag", "e_tag": "etag"}  # names in a header, in lower case


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What of a listing is meant. Ages in seconds, by the time of the last change.

    include, exclude   glob patterns of the whole key, `*` matching "/" too; none to include: all
    but                prefixes that are not meant
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    size_min: int = 0
    size_max: int | None = None
    older_than: float | None = None
    newer_than: float | None = None

    def match(self, entry: Entry, now: float) -> bool:
        """Whether an object is meant."""
        if any(entry.key.startswith(prefix) for prefix in self.but):
            return False
        if self.include and not any(fnmatchcase(entry.key, pattern) for pattern in self.include):
            return False
        if any(fnmatchcase(entry.key, pattern) for pattern in self.exclude):
            return False
        if entry.size < self.size_min or (self.size_max is not None and entry.size > self.size_max):
            return False
        age = now - entry.modified
        if self.older_than is not None and not age >= self.older_than:
            return False
        return self.newer_than is None or age <= self.newer_than


class Listing(Protocol):
    """Objects in an order that stays, and the place of each in it."""

    def entries(self, after: str) -> Iterator[tuple[str, Entry]]:
        """Those behind a place; "" is the beginning."""

    def behind(self, place: str, other: str) -> bool:
        """Whether a place comes behind another."""


class Keys:
    """What a store lists; places are keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(self, after: str) -> Iterator[tuple[str, Entry]]:
        return ((entry.key, entry) for entry in self._store.entries(after))

    def behind(self, place: str, other: str) -> bool:
        return place.encode("utf-8", "surrogateescape") > other.encode("utf-8", "surrogateescape")


class Manifest:
    """What a file lists: CSV or Parquet with columns key, size, etag, or an S3 inventory's manifest.json. Places are
    numbers of rows. Only the key is needed: the rest is what it says when the object is read.

    prefix  that all keys have, and that is not part of a store's own
    """

    def __init__(self, url: str, prefix: str = "") -> None:
        self._url, self._prefix = url, prefix

    def entries(self, after: str) -> Iterator[tuple[str, Entry]]:
        rows = itertools.islice(rows_of(self._url), int(after or 0), None)
        for number, entry in enumerate(rows, int(after or 0) + 1):
            if entry.key.startswith(self._prefix) and not entry.key.endswith("/"):
                key = entry.key[len(self._prefix) :]
                yield str(number), Entry(key, entry.size, entry.etag, entry.modified, entry.storage_class)

    def behind(self, place: str, other: str) -> bool:
        return int(place) > int(other)


def rows_of(url: str) -> Iterator[Entry]:
    """The rows of a manifest, whatever it is."""
    name = url.rpartition("/")[2]
    if name.endswith(".json"):
        yield from _inventory(url)
    elif name.endswith((".parquet", ".pq")):
        yield from _parquet(url)
    else:
        yield from _csv(lines_of(url), None)


def lines_of(url: str) -> Iterable[str]:
    """Of a file or an object, unpacked where its name ends in .gz."""
    folder, _, name = url.rpartition("/")
    opened = open_store(folder or ".").open(name)
    raw = io.BufferedReader(Chunks(opened.chunks()))
    file = gzip.GzipFile(fileobj=raw) if name.endswith(".gz") else raw
    return io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")


class Chunks(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._held:
            self._held = next(self._chunks, b"")
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


def _csv(lines: Iterable[str], columns: list[str] | None) -> Iterator[Entry]:
    """columns  of an inventory, whose keys are URL-encoded; None: a header names them, or key, size, etag"""
    encoded = columns is not None
    for number, row in enumerate(csv.reader(lines)):
        if columns is None:
            names = [COLUMNS.get(cell.strip().lower(), "") for cell in row]
            columns = names if "key" in names else ["key", "size", "etag"]
            if columns is names:
                continue
        values = dict(zip(columns, row, strict=False))
        try:
            key = unquote_plus(values["key"], errors="surrogateescape") if encoded else values["key"]
            yield Entry(key, int(values.get("size") or 0), values.get("etag", "").strip('"'))
        except (KeyError, ValueError):
            raise LedgerError(f"row {number + 1} of the manifest is not key, size, etag: {row!r:.100}") from None


def _inventory(url: str) -> Iterator[Entry]:
    """S3 inventory: manifest.json names the schema and the files, beside it in the bucket."""
    try:
        found = json.loads("".join(lines_of(url)))
        columns = [COLUMNS.get(name.strip().lower(), "") for name in found["fileSchema"].split(",")]
        files = [file["key"] for file in found["files"]]
        bucket = found["destinationBucket"].rpartition(":")[2]
        if found["fileFormat"] != "CSV":
            raise LedgerError(f"{url}: an inventory as {found['fileFormat']} can't be read, only as CSV")
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{url} is no manifest of an S3 inventory: {error!r}") from None
    scheme, _, rest = url.partition("://")
    for file in files:
        # In the bucket, or where the manifest was copied to, with its files beside it.
        where = f"{scheme}://{bucket}/{file}" if rest else url.rpartition("/")[0] + "/" + file.rpartition("/")[2]
        yield from _csv(lines_of(where), columns)


def _parquet(url: str) -> Iterator[Entry]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise LedgerError(f"{url}: Parquet needs pyarrow, which is not installed") from None
    for batch in pyarrow.parquet.ParquetFile(url.removeprefix("file://")).iter_batches(columns=None):
        names = [COLUMNS.get(name.lower(), "") for name in batch.schema.names]
        for row in batch.to_pylist():
            values = dict(zip(names, row.values(), strict=True))
            yield Entry(values["key"], int(values.get("size") or 0), str(values.get("etag") or "").strip('"'))


def shards(listing: Listing, ledger: Ledger) -> Iterator[tuple[Shard, list[Entry]]]:
    """The listing in pieces: first those that the ledger knows, as they are now, then new ones behind them.

    What was put between two known keys since belongs to the shard around it. Each is in memory as a whole; the next one
    is listed when it is asked for.
    """
    known = ledger.shards()
    place = ""
    arriving = listing.entries("")
    held = next(arriving, None)
    for shard in known:
        found: list[Entry] = []
        while held is not None and not listing.behind(held[0], shard.last):
            found.append(held[1])
            held = next(arriving, None)
        place = shard.last
        yield shard, found
    while held is not None:
        found, after = [], place
        while held is not None and len(found) < SHARD_KEYS:
            place = held[0]
            found.append(held[1])
            held = next(arriving, None)
        yield ledger.add_shard(after, place), found


AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(age: str) -> float:
    """From 90d, 12h, 30m, 10s, 2w."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", age.strip())
    if match is None:
        raise ValueError(f"{age!r} is not an age such as 12h, 30d or 4w")
    return float(match[1]) * AGES[match[2]]


def now() -> float:
    return time.time()
