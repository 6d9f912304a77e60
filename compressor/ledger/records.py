"""The record of an object, as a ledger keeps it: a line of JSON, under a key that need not be UTF-8."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path


class ObjectOutcome(StrEnum):
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
        return self in (ObjectOutcome.COMPRESSED, ObjectOutcome.STRIPPED)


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
class ObjectResult:
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
    outcome: ObjectOutcome
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


RESTORED = "restored"  # a fact of the ledger: PART or ALL of the originals were put back


PART, ALL = "part", "all"


FINISHED = "finished"  # a fact of the ledger: when the last run came to its end, "" while one has yet to


def part_path(ledger: Path, number: int) -> Path:
    """Return the path of the file with the objects of a finished shard."""
    return ledger.with_name(ledger.name + ".parts") / f"{number:08d}.jsonl.gz"


def indeterminate(intent: ObjectResult) -> ObjectResult:
    """Return the failure that is reported of an object of which nobody knows whether it was written."""
    problem = "the store does not say whether it was written: the next run will ask again"
    return replace(
        intent, outcome=ObjectOutcome.FAILED, reason=Reason.UNAVAILABLE, error=problem, bytes_out=0, result_etag="",
        retry=True,
    )  # fmt: skip


def blob(key: str) -> bytes:
    """Return a key as SQLite keeps it: names of files need not be UTF-8."""
    return key.encode("utf-8", "surrogateescape")


def text(key: bytes | str) -> str:
    return key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key


def as_line(done: ObjectResult) -> str:
    """Return one line of JSON; what is empty is left out."""
    values = ((name, getattr(done, name)) for name in FIELDS)  # `asdict` takes ten times as long
    return json.dumps({name: value for name, value in values if value or name == "size"})


FIELDS = tuple(field.name for field in fields(ObjectResult))


def from_line(line: str) -> ObjectResult:
    """Return the object that a line of `as_line` is of."""
    values = {name: value for name, value in json.loads(line).items() if name in FIELDS}
    values["notices"] = tuple(values.get("notices", ()))
    return ObjectResult(
        **values | {"outcome": ObjectOutcome(values["outcome"]), "reason": Reason(values.get("reason", ""))}
    )
