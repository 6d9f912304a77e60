"""What is asked of a run, and what becomes of each object. All of it can be sent to another process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from compressor.settings import Access, Settings
from compressor.stores.contract import Entry


class Outcome(StrEnum):
    """What became of an object.

    COMPRESSED  a smaller result stands in its place, or at the destination
    STRIPPED    its own bytes without the metadata that the settings remove, in its place or at the destination: no
                smaller result was found
    COPIED      its own bytes stand at the destination: no smaller result was found, or it is no image of ours
    KEPT        left alone, in place: the same reasons
    SKIPPED     not touched: archived, held, gone meanwhile, changed meanwhile
    FAILED      `reason` says why
    """

    COMPRESSED = "compressed"
    STRIPPED = "stripped"
    COPIED = "copied"
    KEPT = "kept"
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def changed(self) -> bool:
        """Whether other bytes than the source's are there now."""
        return self in (Outcome.COMPRESSED, Outcome.STRIPPED)


class Reason(StrEnum):
    """Why an object was not compressed. Of KEPT and COPIED: NOT_SMALLER, NOT_AN_IMAGE, UNSUPPORTED, EMPTY; of SKIPPED:
    ARCHIVED, HELD, GONE, CHANGED, EXISTS, FILTERED, NOT_ATOMIC, UNREADABLE; of FAILED the others.

    BROKEN      the image is: where, `error` says
    LIMIT       over a limit of this machine's budget
    UNSTRIPPABLE  an image format from which metadata can't be removed; COPIED or KEPT where the job allows that
    VERIFY      the result was not what it should be
    POISON      a worker died of it, twice
    """

    NONE = ""
    NOT_SMALLER = "not smaller"
    NOT_AN_IMAGE = "not an image"
    UNSUPPORTED = "unsupported"
    UNSTRIPPABLE = "can't be stripped"
    EMPTY = "empty"
    ARCHIVED = "archived"
    HELD = "held"
    GONE = "gone"
    CHANGED = "changed meanwhile"
    EXISTS = "exists at the destination"
    FILTERED = "filtered"
    NOT_ATOMIC = "not atomic"
    UNREADABLE = "attributes can't be read"
    BROKEN = "broken image"
    LIMIT = "limit"
    VERIFY = "verification"
    POISON = "poison"
    DENIED = "denied"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is done to every object.

    source, target   URLs; the same for in place
    keep             in place: the place for the originals, a URL or a folder's whole path (`places.keep_place`); in
                     ledgers of earlier versions a prefix below the source. None where they are discarded
    allow_not_atomic replace in place also where the store can't do it atomically
    overwrite        write over what is at the destination
    content_types    patterns such as image/*; others are skipped. Empty: any
    server           host:port of a service that compresses; "" here
    memory_budget    bytes that all objects of one worker together may reserve
    copy_unstrippable  give images whose metadata can't be removed out as they are, in place of failing
    access           files that workers connect to the service with: paths, which each of them reads for itself
    """

    source: str
    target: str
    in_place: bool = False
    keep: str | None = None
    settings: Settings = field(default_factory=Settings)
    allow_not_atomic: bool = False
    overwrite: bool = False
    content_types: tuple[str, ...] = ()
    server: str = ""
    memory_budget: int = 256 << 20
    spool_dir: str | None = None
    conditional_bytes: int = 64 << 20
    copy_unstrippable: bool = False
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of an object.

    etag, size      of the source as it was read
    bytes_out       of what is now there; of what would be, in a dry run
    result_etag     of what was written; "" where nothing was
    digest          SHA-256 of what was written or is about to be
    kept            key of the original that was kept, in the place that the ledger names as `keep`
    format          of the source, "" where it is none of ours
    path            lossless, coefficients, pixels, none
    stage_seconds   CPU time of the codec, by stage
    other_seconds   CPU time of the rest: store, digests
    memory_byte_seconds  what the object had reserved, over time, and the idle worker since its last object
    notices         what was not carried over
    retry           whether to try again may help
    source_digest   SHA-256 of the source as it was read, where a copy of it is kept
    """

    key: str
    etag: str
    size: int
    outcome: Outcome
    reason: Reason = Reason.NONE
    error: str = ""
    bytes_out: int = 0
    result_etag: str = ""
    digest: str = ""
    kept: str = ""
    format: str = ""
    path: str = "none"
    score: float | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    other_seconds: float = 0.0
    memory_byte_seconds: float = 0.0
    notices: tuple[str, ...] = ()
    retry: bool = False
    source_digest: str = ""

    @property
    def cpu_seconds(self) -> float:
        """Of all of it."""
        return sum(self.stage_seconds.values()) + self.other_seconds


@dataclass(frozen=True, slots=True)
class Prepared:
    """A result that waits, verified, in the process that made it, for the word to be written.

    done  as it will be when it has been written, but for `result_etag`
    """

    token: str
    done: Done


__all__ = ["Done", "Entry", "Job", "Outcome", "Prepared", "Reason"]
