"""The objects of a run: a listing of the store, or a manifest, divided into shards."""

import csv
import gzip
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO
from urllib.parse import unquote_plus

from compressor.ledger.errors import LedgerError
from compressor.ledger.ledger import Ledger, Shard
from compressor.stores.contract import Entry, OnAccessDenied, OpenObject, Store
from compressor.stores.markers import MarkedFolders
from compressor.stores.open import open_store

SHARD_KEYS = 10_000
FOUND_STEP = 500  # objects listed between two reports of progress
COLUMNS = {  # by the names in a header, in lower case
    "key": "key",
    "size": "size",
    "etag": "etag",
    "e_tag": "etag",
    "lastmodifieddate": "modified",
    "last_modified_date": "modified",
    "lastmodified": "modified",
    "last_modified": "modified",
}


class Listing(Protocol):
    """Objects in a stable order, each with its position in it."""

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[tuple[str, Entry]]:
        """Yield positions and entries. `refused` is as in `Store.entries`."""

    def is_after(self, position: str, other: str) -> bool:
        """Return whether a position comes after another."""

    @property
    def left_out(self) -> list[str]:
        """Descriptions of what was left out so far."""


class Keys:
    """A store's own listing; positions are keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[tuple[str, Entry]]:
        return ((entry.key, entry) for entry in self._store.entries(refused))

    @property
    def left_out(self) -> list[str]:
        return self._store.left_out

    def is_after(self, position: str, other: str) -> bool:
        return position.encode("utf-8", "surrogateescape") > other.encode("utf-8", "surrogateescape")


class Manifest:
    """The listing in a file: CSV or Parquet with columns key, size, etag, last_modified, or an S3 inventory's
    manifest.json. Positions are row numbers. Only the key is required: the rest is read with the object.

    prefix  of all keys in the file, which the store's own keys do not have
    store   that the keys belong to; keys below a marker of kept originals there are left out
    """

    def __init__(self, url: str, prefix: str = "", store: Store | None = None) -> None:
        self._url, self._prefix = url, prefix
        self._marks = None if store is None else MarkedFolders(store)

    @property
    def left_out(self) -> list[str]:
        return [] if self._marks is None else self._marks.left_out

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[tuple[str, Entry]]:
        for number, entry in enumerate(rows_of(self._url), 1):
            if entry.key.startswith(self._prefix) and not entry.key.endswith("/"):
                key = entry.key[len(self._prefix) :]
                if self._marks is not None and self._marks.cover(key):
                    continue
                yield str(number), Entry(key, entry.size, entry.etag, entry.modified, entry.storage_class)

    def is_after(self, position: str, other: str) -> bool:
        return int(position) > int(other)

    def dated(self) -> bool:
        """Return whether the file says when objects were last modified."""
        return "modified" in columns_of(self._url)


class ListingStoppedError(Exception):
    """The run was to stop while it was listing."""


class WatchedListing:
    """A listing that says what it finds, long before anything is done with it.

    on_entry  is called with each entry; may raise ListingStoppedError
    on_end    is called after the last one
    """

    def __init__(self, listing: Listing, on_entry: Callable[[Entry], None], on_end: Callable[[], None]) -> None:
        self._listing, self._on_entry, self._on_end = listing, on_entry, on_end

    @property
    def left_out(self) -> list[str]:
        return self._listing.left_out

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[tuple[str, Entry]]:
        for position, entry in self._listing.entries(refused):
            self._on_entry(entry)
            yield position, entry
        self._on_end()

    def is_after(self, position: str, other: str) -> bool:
        return self._listing.is_after(position, other)


def rows_of(url: str) -> Iterator[Entry]:
    """Yield the rows of a manifest of any kind."""
    if is_inventory(url):
        columns, files = _inventory(url)
        for file in files:
            with closing(lines_of(file)) as lines:
                yield from _csv(lines, columns)
    elif is_parquet(url):
        yield from _parquet(url)
    else:
        with closing(lines_of(url)) as lines:
            yield from _csv(lines, None)


def columns_of(url: str) -> list[str]:
    """Return the columns of a manifest, named as in COLUMNS; "" for any other."""
    if is_inventory(url):
        return _inventory(url)[0]
    if is_parquet(url):
        return named(_parquet_file(url).schema_arrow.names)
    with closing(lines_of(url)) as lines:
        return header_of(next(csv.reader(lines), []))[0]


def is_inventory(url: str) -> bool:
    return url.endswith(".json")


def is_parquet(url: str) -> bool:
    return url.endswith((".parquet", ".pq"))


def named(cells: Iterable[str]) -> list[str]:
    return [COLUMNS.get(cell.strip().lower(), "") for cell in cells]


def header_of(row: list[str]) -> tuple[list[str], bool]:
    """The columns of a CSV whose first row this is, and whether that names them; else they are key, size, etag."""
    names = named(row)
    return (names, True) if "key" in names else (["key", "size", "etag"], False)


def lines_of(url: str) -> TextIO:
    """Open a file or an object as text, decompressed if its name ends in .gz."""
    folder, _, name = url.rpartition("/")
    raw = io.BufferedReader(ChunkReader(open_store(folder or ".").open(name)))
    file = gzip.GzipFile(fileobj=raw) if name.endswith(".gz") else raw
    return io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")


class ChunkReader(io.RawIOBase):
    """An open object as a binary file."""

    def __init__(self, opened: OpenObject) -> None:
        self._opened, self._chunks, self._held = opened, opened.chunks(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._held:
            self._held = next(self._chunks, b"")
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def close(self) -> None:
        self._opened.close()
        super().close()


def _csv(lines: Iterable[str], columns: list[str] | None) -> Iterator[Entry]:
    """Yield the entries of CSV lines.

    columns  of an inventory, whose keys are URL-encoded; None: named by a header, or else key, size, etag
    """
    encoded = columns is not None
    for number, row in enumerate(csv.reader(lines), 1):
        if columns is None:
            columns, header = header_of(row)
            if header:
                continue
        values = dict(zip(columns, row, strict=False))
        try:
            if encoded:
                values["key"] = unquote_plus(values["key"], errors="surrogateescape")
            yield _entry(values, "modified" in columns)
        except (KeyError, TypeError, ValueError):
            names = ", ".join(filter(None, columns))
            raise LedgerError(f"row {number} of the manifest is not {names}: {row!r:.100}") from None


def _entry(values: Mapping[str, Any], dated: bool) -> Entry:
    modified = unix_time(values.get("modified")) if dated else 0.0
    if not isinstance(values["key"], str):
        raise TypeError
    return Entry(values["key"], int(values.get("size") or 0), str(values.get("etag") or "").strip('"'), modified)


def unix_time(value: str | datetime | None) -> float:
    """Return the Unix time of ISO 8601 or of a Parquet timestamp; NaN of None, which is neither older nor newer."""
    if not value:
        return math.nan
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _inventory(url: str) -> tuple[list[str], list[str]]:
    """Return the columns and the files of an S3 inventory, as its manifest.json names them."""
    try:
        with closing(lines_of(url)) as lines:
            found = json.loads("".join(lines))
        columns = named(found["fileSchema"].split(","))
        files = [file["key"] for file in found["files"]]
        bucket = found["destinationBucket"].rpartition(":")[2]
        if found["fileFormat"] != "CSV":
            raise LedgerError(f"{url}: the inventory is {found['fileFormat']}, only CSV can be read")
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{url} is not the manifest of an S3 inventory: {error!r}") from None
    scheme, _, rest = url.partition("://")
    # In the bucket, or in the folder that manifest and files were copied to.
    if rest:
        return columns, [f"{scheme}://{bucket}/{file}" for file in files]
    return columns, [url.rpartition("/")[0] + "/" + file.rpartition("/")[2] for file in files]


def _parquet_file(url: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise LedgerError(f"{url}: Parquet needs pyarrow, which is not installed") from None
    try:
        return pyarrow.parquet.ParquetFile(url.removeprefix("file://"))
    except (OSError, ValueError) as error:
        raise LedgerError(f"{url}: {str(error).partition(chr(10))[0]}") from None


def _parquet(url: str) -> Iterator[Entry]:
    file = _parquet_file(url)
    meant = [name for name in file.schema_arrow.names if name.lower() in COLUMNS]
    columns = named(meant)
    number = 0
    for batch in file.iter_batches(columns=meant):
        for row in batch.to_pylist():
            number += 1
            try:
                yield _entry(dict(zip(columns, row.values(), strict=True)), "modified" in columns)
            except (KeyError, TypeError, ValueError):
                names = ", ".join(columns)
                raise LedgerError(f"row {number} of the manifest is not {names}: {row!r:.100}") from None


def shards(
    listing: Listing, ledger: Ledger, refused: OnAccessDenied | None = None
) -> Iterator[tuple[Shard, list[Entry]]]:
    """Yield the listing in shards: first those that the ledger knows, with their current entries, then new ones.

    An object that was added between two known keys belongs to the shard around it. A shard is in memory as a whole; the
    next one is listed when it is requested.
    """
    known = ledger.shards()
    last = ""
    arriving = listing.entries(refused)
    held = next(arriving, None)
    for shard in known:
        found: list[Entry] = []
        while held is not None and not listing.is_after(held[0], shard.last):
            found.append(held[1])
            held = next(arriving, None)
        yield shard, found
    while held is not None:
        found = []
        while held is not None and len(found) < SHARD_KEYS:
            last = held[0]
            found.append(held[1])
            held = next(arriving, None)
        yield ledger.add_shard(last), found


AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(age: str) -> float:
    """Return the seconds of an age such as 90d, 12h, 30m, 10s or 2w."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", age.strip())
    if match is None:
        raise ValueError(f"{age!r} is not an age such as 12h, 30d or 4w")
    return float(match[1]) * AGES[match[2]]
