"""What is asked of a store: a bucket, a prefix of one, or a folder. Keys are below what its URL names."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self

from compressor.errors import CompressorError

CHUNK_BYTES = 1 << 18
PART = re.compile(r"(?:.*/)?\.compressor-[0-9a-f]{32}\.part", re.DOTALL)


class StoreErrorKind(StrEnum):
    """Why a store refused; those of RETRIED may go away by themselves.

    MISSING      there is no such object (any more)
    CHANGED      the object is not the one that was read
    EXISTS       there is an object already, and there should be none
    DENIED       not allowed to
    ARCHIVED     in a tier that must be restored before it can be read
    HELD         under a legal hold, or retained
    THROTTLED    asked to slow down
    UNAVAILABLE  time-outs, broken connections, errors of the server
    IMPOSSIBLE   this store can't do that, or not with such a key
    NOT_ATOMIC   this can't be replaced on a condition, which was asked for
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
    NOT_ATOMIC = "not atomic"
    OTHER = "other"


RETRIED = frozenset({StoreErrorKind.THROTTLED, StoreErrorKind.UNAVAILABLE})


class StoreError(CompressorError):
    """A store refused."""

    def __init__(self, kind: StoreErrorKind, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind

    def at(self, where: str) -> "StoreError":
        """With the place in front, if it is not there yet."""
        said = str(self)
        return self if said.startswith(where) else StoreError(self.kind, f"{where}: {said}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing or a look at it has it.

    etag           of this very content; never "", for a store without it what changes with the content
    modified       Unix time
    storage_class  "" for the usual one
    links          names that a file has: hard links, itself included
    """

    key: str
    size: int
    etag: str
    modified: float = 0.0
    storage_class: str = ""
    links: int = 1


@dataclass(frozen=True, slots=True)
class Attributes:
    """What an object carries beside its bytes.

    headers   "content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"
    metadata  the user's own
    lost      what the API does not give or does not take, in words: "ACL", "2 tags"
    local     of a file: (mode, owner, group, modification time in ns, extended attributes); else None
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = ""
    lost: tuple[str, ...] = ()
    local: tuple[int, int, int, int, tuple[tuple[str, bytes], ...]] | None = None


class OpenObject(Protocol):
    """An object that is being read.

    entry  as of this very content
    held   why it must not be replaced or deleted; "" where it may be
    """

    entry: Entry
    attributes: Attributes
    held: str

    def chunks(self) -> Iterator[bytes]:
        """The bytes, at most CHUNK_BYTES each; once."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Body(Protocol):
    """Bytes to be written, as often as it takes: a retry begins anew."""

    size: int

    def chunks(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Precondition:
    """On which condition a write may happen.

    etag    only where this is still there; None: only where nothing is
    atomic  NOT_ATOMIC where that can't be had in one step; otherwise a look before it has to do
    """

    etag: str | None
    atomic: bool = False


def check_precondition(only: Precondition | None, etag: str | None, one_step: bool = True) -> None:
    """Raise EXISTS, MISSING or CHANGED unless a write may happen where this etag is; None: where nothing is.

    one_step  the condition is part of the write itself: NOT_ATOMIC where it is not and has to be
    """
    if only is None:
        return
    if only.atomic and only.etag is not None and not one_step:
        raise StoreError(StoreErrorKind.NOT_ATOMIC, "this can't be replaced on a condition")
    if only.etag is None:
        if etag is not None:
            raise StoreError(StoreErrorKind.EXISTS, "there is an object already")
    elif etag is None:
        raise StoreError(StoreErrorKind.MISSING, "gone meanwhile")
    elif etag != only.etag:
        raise StoreError(StoreErrorKind.CHANGED, "changed meanwhile")


def part_name(root: str, name: str) -> str:
    """What is uploaded on its way to `name` in a bucket, below `root`: always the same, so that what a killed run left
    is found. What has such a name is no object (PART)."""
    return f"{root}.compressor-{hashlib.sha256(name.encode()).hexdigest()[:32]}.part"


OnAccessDenied = Callable[[str, StoreError], None]  # the key, "folder/", and why


class Store(Protocol):
    """All methods raise StoreError, may be called from several threads, and retry what a client usually retries.

    url                as given, without secrets
    conditional_bytes  up to this size `write` on an etag is atomic: whoever writes meanwhile wins. 0: never. Tried out
                       when it is first asked for, which may write, unless the store was opened with `probed`
    notices            what is worth knowing of it: "versioned: replaced objects stay as versions"
    left_out           what its listings have left out so far, in words
    """

    url: str

    @property
    def conditional_bytes(self) -> int: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    @property
    def left_out(self) -> list[str]: ...

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        """All objects in the order of their keys as UTF-8; in memory one page at a time.

        refused  told of what is below here and may not be listed, which is left out then; None: that is raised

        Folders, markers of such (keys that end in "/"), links, what this module's writes leave while they are under
        way, and kept originals (`originals.MARKER`) are not listed.
        """

    def open(self, key: str) -> OpenObject:
        """Begin to read. MISSING, ARCHIVED, DENIED …"""

    def head(self, key: str) -> Entry | None:
        """What is there; None where there is nothing."""

    def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
        """Write whole or not at all, with all attributes that the store takes; then make sure that it is there.

        only  None: whatever is there. On an etag: CHANGED where another content is there, however it comes about; above
              `conditional_bytes` it is looked at before and behind, which is not atomic
        """

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """What of them `write` would not carry over, in words."""

    def copy(self, key: str, etag: str, to: str, place: "Store | None" = None) -> Entry:
        """Copy, attributes and all, what is at `key` if it has that etag (CHANGED), to where nothing is (EXISTS): to
        the key `to` of this store or of `place`, a store of the same kind in the same bucket."""

    def clean_up(self, key: str) -> None:
        """Remove what a writer of this key that was killed has left beside it. UNAVAILABLE while one writes it."""

    def delete(self, key: str, etag: str) -> None:
        """Delete what has that etag (CHANGED); nothing there is no error."""


def store_digest(store: Store, key: str, at_each_chunk: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of what is at `key`. `at_each_chunk` is called while it is read, and may raise to end that."""
    found, size = hashlib.sha256(), 0
    with store.open(key) as opened:
        for chunk in opened.chunks():
            at_each_chunk()
            found.update(chunk)
            size += len(chunk)
        if size != opened.entry.size:
            raise StoreError(StoreErrorKind.UNAVAILABLE, f"{size} bytes came of {opened.entry.size}")
    return found.hexdigest()
