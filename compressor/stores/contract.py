"""The interface of a store: a bucket, a prefix of one, or a folder. Keys are relative to what its URL names."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self

from compressor.errors import CompressorError

CHUNK_BYTES = 1 << 18
# The notice of a store that keeps what is replaced or deleted.
VERSIONED = "versioned: replaced and deleted objects stay as versions"
RESERVED = "a name reserved for objects being written"
# What `temporary_key` returns, with or without a prefix.
TEMPORARY_KEY = re.compile(r"(?:.*/)?\.compressor-[0-9a-f]{32}\.part", re.DOTALL)


class StoreErrorKind(StrEnum):
    """The kind of a store's error; those in RETRIED may be temporary.

    MISSING      the object does not exist, or no longer
    CHANGED      the object is not the one that was read
    EXISTS       an object already exists where none should
    DENIED       access denied
    ARCHIVED     in a tier that must be restored before it can be read
    HELD         under a legal hold or retention
    THROTTLED    the store asks for a lower request rate
    UNAVAILABLE  timeout, broken connection, or server error
    IMPOSSIBLE   not supported by this store, or not for such a key
    NOT_ATOMIC   the object can't be replaced conditionally in one step, which was requested
    OTHER        anything else
    """

    MISSING = "missing"
    CHANGED = "changed"
    EXISTS = "exists"
    DENIED = "denied"
    ARCHIVED = "archived"
    HELD = "held"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    IMPOSSIBLE = "impossible"
    NOT_ATOMIC = "not_atomic"
    OTHER = "other"


RETRIED = frozenset({StoreErrorKind.THROTTLED, StoreErrorKind.UNAVAILABLE})


class StoreError(CompressorError):
    """An operation that a store refused."""

    def __init__(self, kind: StoreErrorKind, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind

    def located(self, where: str) -> "StoreError":
        """Return the error with its location in front, unless it has it already."""
        problem = str(self)
        return self if problem.startswith(where) else StoreError(self.kind, f"{where}: {problem}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An object's description, from a listing or a request for it.

    etag           identifies the content; never "": stores without ETags have a substitute
    modified       Unix time
    storage_class  "" for the default class
    links          number of a file's hard links
    """

    key: str
    size: int
    etag: str
    modified: float = 0.0
    storage_class: str = ""
    links: int = 1


@dataclass(frozen=True, slots=True)
class Attributes:
    """An object's attributes besides its bytes.

    headers   "content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"
    metadata  user-defined
    lost      descriptions of what the API can't read or write: "ACL", "2 tags"
    local     a file's (mode, owner, group, modification time in ns, extended attributes); None for other objects
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = ""
    lost: tuple[str, ...] = ()
    local: tuple[int, int, int, int, tuple[tuple[str, bytes], ...]] | None = None


class OpenObject(Protocol):
    """An object that is open for reading.

    entry  describes the content being read
    held   why it must not be replaced or deleted; "" if it may be
    """

    entry: Entry
    attributes: Attributes
    held: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, at most CHUNK_BYTES each; once."""

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Body(Protocol):
    """Bytes to be written. A retry starts again with `chunks`."""

    size: int

    def chunks(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Precondition:
    """The condition of a write.

    etag    write only if the object still has this ETag; None: only if no object exists
    atomic  raise NOT_ATOMIC if check and write can't be one step; otherwise a check before the write is enough
    """

    etag: str | None
    atomic: bool = False


def check_precondition(condition: Precondition | None, etag: str | None, one_step: bool = True) -> None:
    """Raise EXISTS, MISSING or CHANGED if an object with this ETag does not meet a condition; None: no object.

    one_step  the write itself includes the condition; if it does not but must, NOT_ATOMIC is raised
    """
    if condition is None:
        return
    if condition.atomic and condition.etag is not None and not one_step:
        raise StoreError(StoreErrorKind.NOT_ATOMIC, "can't be replaced conditionally")
    if condition.etag is None:
        if etag is not None:
            raise StoreError(StoreErrorKind.EXISTS, "an object already exists")
    elif etag is None:
        raise StoreError(StoreErrorKind.MISSING, "deleted in the meantime")
    elif etag != condition.etag:
        raise StoreError(StoreErrorKind.CHANGED, "changed in the meantime")


def check_written(entry: Entry | None, size: int, etag: str | None) -> Entry:
    """Return the entry of what was just written; raise CHANGED or OTHER if it is not that.

    etag  of what was written; None if the store does not say
    """
    if entry is None or (etag is not None and entry.etag != etag):
        raise StoreError(StoreErrorKind.CHANGED, "was changed by another writer right after it was written")
    if entry.size != size:
        raise StoreError(StoreErrorKind.OTHER, f"{size} bytes were written, but the object has {entry.size}")
    return entry


def check_key_order(url: str, previous: str, key: str) -> None:
    """Raise IMPOSSIBLE unless a listed key sorts after the previous one. Code points sort as UTF-8 does."""
    if key <= previous:
        raise StoreError(StoreErrorKind.IMPOSSIBLE, f"{url}: {key!r}: listed out of order, after {previous!r}")


def check_not_temporary(name: str) -> None:
    """Raise IMPOSSIBLE for a name that is reserved for uploads in progress."""
    if TEMPORARY_KEY.fullmatch(name) is not None:
        raise StoreError(StoreErrorKind.IMPOSSIBLE, RESERVED)


def unquote_etag(etag: str) -> str:
    """Return an ETag without its quotes, as in inventories."""
    return etag.strip('"')


def lost_extended_attributes(attributes: Attributes) -> tuple[str, ...]:
    """Describe a file's extended attributes, which buckets can't store."""
    count = len(attributes.local[4]) if attributes.local is not None else 0
    return (f"{count} extended attributes",) if count else ()


def temporary_key(root: str, name: str) -> str:
    """Return the name of an upload in progress, below the prefix `root`, that will become `name` in a bucket.

    It depends on `name` alone, so that the remains of a killed run are found. Objects with such a name (TEMPORARY_KEY)
    are not listed.
    """
    return f"{root}.compressor-{hashlib.sha256(name.encode()).hexdigest()[:32]}.part"


OnAccessDenied = Callable[[str, StoreError], None]  # a key or "folder/", and the error


class Store(Protocol):
    """A store of objects. All methods raise StoreError, may be called from several threads, and retry what a client
    usually retries.

    url                as given, without secrets
    conditional_bytes  up to this size `write` with a condition on an ETag is atomic: no concurrent write is lost. 0:
                       never. Probed on first use, which may write, unless the store was opened with `probed`
    notices            what an operator should know: "versioned: replaced objects stay as versions"
    left_out           descriptions of what its listings have left out so far
    """

    url: str

    @property
    def conditional_bytes(self) -> int: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    @property
    def left_out(self) -> list[str]: ...

    def entries(self, on_denied: OnAccessDenied | None = None) -> Iterator[Entry]:
        """Yield all objects in the order of their keys as UTF-8; one page is in memory at a time.

        on_denied  is called for each folder that may not be listed, which is then left out; None: the error is raised

        Folders, folder placeholders (keys that end in "/"), symbolic links, uploads in progress and kept originals
        (`markers.MARKER`) are not listed.
        """

    def open(self, key: str) -> OpenObject:
        """Open an object for reading. Raises MISSING, ARCHIVED, DENIED …"""

    def head(self, key: str) -> Entry | None:
        """Return an object's entry; None if it does not exist."""

    def write(self, key: str, body: Body, attributes: Attributes, condition: Precondition | None) -> Entry:
        """Write an object completely or not at all, with all attributes that the store supports, and check the result.

        condition  None: overwrite. With an ETag: CHANGED if the object has other content; above `conditional_bytes`
                   that is checked before and after the upload, which is not atomic
        """

    def write_successor(self, key: str, body: Body, attributes: Attributes, of: str) -> Entry:
        """Write an object as `write` does, under a key that does not exist (else EXISTS), in place of the object `of`:
        with what an object keeps when it is replaced, besides its attributes (in S3 its encryption and its ACL)."""

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """Describe the attributes that `write` would not carry over."""

    def copy(self, key: str, etag: str, to: str, target: "Store | None" = None) -> Entry:
        """Copy an object with its attributes, if it has this ETag (else CHANGED), to a key that does not exist (else
        EXISTS).

        to, target  the key, in this store or in `target`, a store of the same kind in the same bucket
        """

    def clean_up(self, key: str) -> None:
        """Remove what a killed writer of this key has left. Raises UNAVAILABLE while the key is being written."""

    def delete(self, key: str, etag: str) -> None:
        """Delete an object if it has this ETag (else CHANGED); one that does not exist is no error."""


def store_digest(store: Store, key: str, on_chunk: Callable[[], None] = lambda: None) -> str:
    """Return an object's SHA-256. `on_chunk` is called before each chunk, and may raise to stop."""
    found, size = hashlib.sha256(), 0
    with store.open(key) as opened:
        for chunk in opened.chunks():
            on_chunk()
            found.update(chunk)
            size += len(chunk)
        if size != opened.entry.size:
            raise StoreError(StoreErrorKind.UNAVAILABLE, f"{size} of {opened.entry.size} bytes were read")
    return found.hexdigest()
