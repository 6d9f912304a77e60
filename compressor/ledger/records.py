"""An object's record: its outcome, and the reason. A ledger stores it as a line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum


class ObjectOutcome(StrEnum):
    """The outcome of an object.

    COMPRESSED  a smaller result replaced it, or is at the destination
    STRIPPED    its own bytes without the metadata that the settings remove replaced it, or are at the destination: no
                smaller result was found
    UNARCHIVED  the JPEG of an archive is at the destination
    COPIED      its own bytes are at the destination: no smaller result was found, or it is not a supported image
    KEPT        unchanged by a run in place, for the same reasons
    SKIPPED     not processed: archived, held, deleted or changed in the meantime
    FAILED      see `reason`
    """

    COMPRESSED = "compressed"
    STRIPPED = "stripped"
    UNARCHIVED = "unarchived"
    COPIED = "copied"
    KEPT = "kept"
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def changed(self) -> bool:
        """True if other bytes than the source's were written."""
        return self in (ObjectOutcome.COMPRESSED, ObjectOutcome.STRIPPED, ObjectOutcome.UNARCHIVED)

    @property
    def saves(self) -> bool:
        """True if fewer bytes than the source's were written."""
        return self.changed and self is not ObjectOutcome.UNARCHIVED


class Reason(StrEnum):
    """The reason why an object was not compressed. Values are labels of metrics; `report.words` is for people.

    KEPT and COPIED have NOT_SMALLER, MADE_BEFORE, LOSSY_ALREADY, NOT_REENCODED, CREDENTIALS, LOW_SCORE, NOT_AN_IMAGE,
    UNSUPPORTED, EMPTY, and VERIFY where an archive would not give back every byte; SKIPPED has ARCHIVED, HELD, MISSING,
    CHANGED, EXISTS, KEY_TAKEN, FILTERED, NOT_ATOMIC, UNREADABLE; FAILED has the others.

    NOT_SMALLER   no result is smaller, by the share that the settings ask for
    MADE_BEFORE   a JPEG that this package has made lossily before
    LOSSY_ALREADY another lossy encoding would lose quality a second time, for little or nothing
    NOT_REENCODED its format is not re-encoded unless another one is requested; or it is animated, or an archive
    CREDENTIALS   it has content credentials, which the settings keep valid
    LOW_SCORE     the result's score is below the lowest that the run accepts
    KEY_TAKEN     the key that the result would get is that of another object, or of another object's result
    BROKEN        a broken image; `error` says where
    LIMIT         beyond a limit of this machine's budget, or larger than `max_bytes` whatever the quality
    UNSTRIPPABLE  an image format from which metadata can't be removed; COPIED or KEPT where the job allows that
    UNREADABLE    its attributes can't be read
    VERIFY        the result failed verification
    POISON        two workers died while processing it
    """

    NONE = ""
    NOT_SMALLER = "not_smaller"
    MADE_BEFORE = "made_before"
    LOSSY_ALREADY = "lossy_already"
    NOT_REENCODED = "not_reencoded"
    CREDENTIALS = "content_credentials"
    LOW_SCORE = "score_below_min_score"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED = "unsupported"
    UNSTRIPPABLE = "unstrippable"
    EMPTY = "empty"
    ARCHIVED = "archived"
    HELD = "held"
    MISSING = "missing"
    CHANGED = "changed"
    EXISTS = "exists_at_destination"
    KEY_TAKEN = "key_taken"
    FILTERED = "filtered"
    NOT_ATOMIC = "not_atomic"
    UNREADABLE = "unreadable_attributes"
    BROKEN = "broken_image"
    LIMIT = "limit"
    VERIFY = "verification"
    POISON = "poison"
    DENIED = "denied"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectResult:
    """The result of processing an object, or an intent to write it.

    etag, size      of the source as it was read
    bytes_out       size of what is stored now, or would be after a run that is not dry
    result_etag     of what was written; "" if nothing was
    digest          SHA-256 of what was written or is about to be
    kept            key of the kept original, in the place that the ledger names as `keep`
    format          of the source; "" if it is not a supported one
    result_format   of what was written or is about to be; "" if it is that of the source
    result_key      key of what was written or is about to be; "" if it is that of the source
    path            lossless, coefficients, pixels, none
    score           SSIMULACRA2 of the result against the source, where it was measured; also of one that was refused
    encodings       how many times the image was encoded
    stage_seconds   CPU time of the codec, by stage
    other_seconds   CPU time of the rest: store, digests
    memory_byte_seconds  memory reserved for the object, and the worker's while it was idle before, times seconds
    notices         what was not carried over
    retry           another try may succeed
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
    result_format: str = ""
    result_key: str = ""
    path: str = "none"
    score: float | None = None
    encodings: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    other_seconds: float = 0.0
    memory_byte_seconds: float = 0.0
    notices: tuple[str, ...] = ()
    retry: bool = False
    source_digest: str = ""

    @property
    def stored_key(self) -> str:
        """The key of what was written or is about to be."""
        return self.result_key or self.key

    @property
    def cpu_seconds(self) -> float:
        """All CPU time spent on the object."""
        return sum(self.stage_seconds.values()) + self.other_seconds


def indeterminate(intent: ObjectResult) -> ObjectResult:
    """Return the failure that is reported for an object that may or may not have been written."""
    problem = "the store did not confirm whether it was written: the next run will check"
    return replace(
        intent, outcome=ObjectOutcome.FAILED, reason=Reason.UNAVAILABLE, error=problem, bytes_out=0, result_etag="",
        result_format="", retry=True,
    )  # fmt: skip


# --- as stored --------------------------------------------------------------------------------------------------------

FIELDS = tuple(field.name for field in fields(ObjectResult))
ZEROS = {"size", "score"}  # fields whose zero is not the same as an empty field


def encode_record(result: ObjectResult) -> str:
    """Return a record as a line of JSON, without empty fields."""
    values = ((name, getattr(result, name)) for name in FIELDS)  # `asdict` takes ten times as long
    return json.dumps({name: value for name, value in values if value or (name in ZEROS and value is not None)})


def decode_record(line: str) -> ObjectResult:
    """Return the record of a line; raise ValueError, KeyError or TypeError if it is not one."""
    values = json.loads(line)
    values["notices"] = tuple(values.get("notices", ()))
    return ObjectResult(
        **values | {"outcome": ObjectOutcome(values["outcome"]), "reason": Reason(values.get("reason", ""))}
    )


def encode_key(key: str) -> bytes:
    """Return a key as SQLite stores it: file names need not be UTF-8."""
    return key.encode("utf-8", "surrogateescape")


def decode_key(stored: bytes | str) -> str:
    """Return the key that was stored."""
    return stored.decode("utf-8", "surrogateescape") if isinstance(stored, bytes) else stored
