"""The outcome of an object by what the store or the codec answered; digests; CPU time."""

import hashlib
import time
from dataclasses import replace
from fnmatch import fnmatchcase

from compressor.batch.job import Job
from compressor.errors import BusyError, CallError, CompressorError, FormatError, IdleError, IncompleteError, LimitError
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.settings import Metadata
from compressor.spool import Spool
from compressor.stores.contract import RETRIED, Entry, StoreError, StoreErrorKind

# What a store's refusal means for an object.
MEANING = {
    StoreErrorKind.MISSING: (ObjectOutcome.SKIPPED, Reason.GONE),
    StoreErrorKind.CHANGED: (ObjectOutcome.SKIPPED, Reason.CHANGED),
    StoreErrorKind.EXISTS: (ObjectOutcome.SKIPPED, Reason.EXISTS),
    StoreErrorKind.ARCHIVED: (ObjectOutcome.SKIPPED, Reason.ARCHIVED),
    StoreErrorKind.HELD: (ObjectOutcome.SKIPPED, Reason.HELD),
    StoreErrorKind.NOT_ATOMIC: (ObjectOutcome.SKIPPED, Reason.NOT_ATOMIC),
    StoreErrorKind.DENIED: (ObjectOutcome.FAILED, Reason.DENIED),
    StoreErrorKind.THROTTLED: (ObjectOutcome.FAILED, Reason.THROTTLED),
    StoreErrorKind.UNAVAILABLE: (ObjectOutcome.FAILED, Reason.UNAVAILABLE),
}


class WrongResultError(CompressorError):
    """A result that is not what it should be."""


# What an error of the codec means for an object; the last ones may go away by themselves.
REASONS: tuple[tuple[type[CompressorError], Reason], ...] = (
    (FormatError, Reason.BROKEN),
    (LimitError, Reason.LIMIT),
    (WrongResultError, Reason.VERIFY),
    (BusyError, Reason.UNAVAILABLE),
    (IdleError, Reason.UNAVAILABLE),
    (IncompleteError, Reason.UNAVAILABLE),
    (CallError, Reason.UNAVAILABLE),
)


def failed(done: ObjectResult, error: CompressorError) -> ObjectResult:
    """Return what becomes of an object that the codec refused; raise the error where it is about no object."""
    for kind, reason in REASONS:
        if isinstance(error, kind):
            retry = reason is Reason.UNAVAILABLE
            return replace(done, outcome=ObjectOutcome.FAILED, reason=reason, error=str(error), retry=retry)
    raise error


class Clock:
    """CPU seconds of this thread that are not the codec's."""

    def __init__(self) -> None:
        self._start = time.thread_time()

    def seconds(self, stages: dict[str, float] | None = None) -> float:
        return max(0.0, time.thread_time() - self._start - sum((stages or {}).values()))


def refused(done: ObjectResult, error: StoreError, clock: Clock) -> ObjectResult:
    """Return what becomes of an object whose store refused something."""
    outcome, reason = MEANING.get(error.kind, (ObjectOutcome.FAILED, Reason.OTHER))
    return replace(
        done, outcome=outcome, reason=reason, error=str(error), bytes_out=0, digest="",
        retry=error.kind in RETRIED, other_seconds=done.other_seconds + clock.seconds(),
    )  # fmt: skip


def digest(spool: Spool) -> str:
    """SHA-256 of all of it."""
    found = hashlib.sha256()
    for chunk in spool.chunks():
        found.update(chunk)
    return found.hexdigest()


def in_one_line(error: BaseException) -> str:
    """An error of the system's."""
    return " ".join(f"{type(error).__name__}: {error}".split())


UNUSABLE = {Reason.BROKEN, Reason.LIMIT, Reason.VERIFY}  # images that the codec refuses


def settled(entry: Entry, done: ObjectResult, job: Job) -> bool:
    """Return whether an object is as the run before left it, and the job would leave it so again."""
    if done.retry or reconsidered(done, job):
        return False
    same = entry.etag in (done.etag, done.result_etag) if entry.etag else entry.size in (done.size, done.bytes_out)
    if done.outcome.changed and job.in_place:
        return entry.etag == done.result_etag if entry.etag else entry.size == done.bytes_out
    return same


def reconsidered(done: ObjectResult, job: Job) -> bool:
    """Return whether an object was left for something that an option decides, and the option is another now."""
    if done.reason is Reason.NOT_ATOMIC:
        return job.allow_non_atomic
    if done.reason is Reason.EXISTS:
        return job.overwrite and not job.in_place
    if done.reason is Reason.FILTERED:
        return asked_for(done.error, job)
    if job.settings.metadata is Metadata.KEEP:
        return False
    if done.reason is Reason.UNSTRIPPABLE:
        return (done.outcome is ObjectOutcome.FAILED) == job.copy_unstrippable
    missing = done.reason in UNUSABLE and not job.in_place and not done.result_etag
    return missing and job.copy_unstrippable


def asked_for(content_type: str, job: Job) -> bool:
    """Return whether objects of a Content-Type are meant."""
    return not job.content_types or any(fnmatchcase(content_type, pattern) for pattern in job.content_types)
