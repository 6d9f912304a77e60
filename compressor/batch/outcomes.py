"""Outcomes of objects: from errors of a store or of the codec, from scores, and whether an earlier one still holds."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase

from compressor.batch.job import Job
from compressor.errors import BusyError, CallError, CompressorError, FormatError, IdleError, IncompleteError, LimitError
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.settings import Metadata, Report
from compressor.spool import Spool
from compressor.stores.contract import RETRIED, Entry, StoreError, StoreErrorKind

STORE_OUTCOMES = {
    StoreErrorKind.MISSING: (ObjectOutcome.SKIPPED, Reason.MISSING),
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
    """A result that differs from its source where it must not."""


class KeyTakenError(StoreError):
    """Another object has the key that a result would get."""

    def __init__(self, key: str) -> None:
        super().__init__(StoreErrorKind.EXISTS, f"would become {key!r}, which another object is")


CODEC_REASONS: tuple[tuple[type[CompressorError], Reason], ...] = (
    (FormatError, Reason.BROKEN),
    (LimitError, Reason.LIMIT),
    (WrongResultError, Reason.VERIFY),
    (BusyError, Reason.UNAVAILABLE),
    (IdleError, Reason.UNAVAILABLE),
    (IncompleteError, Reason.UNAVAILABLE),
    (CallError, Reason.UNAVAILABLE),
)


def store_outcome(error: StoreError) -> tuple[ObjectOutcome, Reason]:
    """Return the outcome of an object for which a store raised an error."""
    if isinstance(error, KeyTakenError):
        return ObjectOutcome.SKIPPED, Reason.KEY_TAKEN
    return STORE_OUTCOMES.get(error.kind, (ObjectOutcome.FAILED, Reason.OTHER))


def failure_of(entry: Entry, reason: Reason, error: str) -> ObjectResult:
    """Return the record of an object that failed before anything was known of it but its listing."""
    return ObjectResult(
        key=entry.key, etag=entry.etag, size=entry.size, outcome=ObjectOutcome.FAILED, reason=reason, error=error
    )


def codec_failure(done: ObjectResult, error: CompressorError) -> ObjectResult:
    """Return the record of an object that the codec refused; raise the error where no object is to blame."""
    for kind, reason in CODEC_REASONS:
        if isinstance(error, kind):
            retry = reason is Reason.UNAVAILABLE
            return replace(done, outcome=ObjectOutcome.FAILED, reason=reason, error=str(error), retry=retry)
    raise error


def not_archived(report: Report) -> Reason:
    """Return why a source was returned in place of its archive. Called where the codec is loaded."""
    from compressor.pipeline.to_archive import NOT_EXACT

    if report.reason == NOT_EXACT:
        return Reason.VERIFY
    return Reason.NOT_SMALLER if report.encodings else Reason.UNSUPPORTED


def reason_to_return(report: Report) -> Reason:
    """Return why a source was returned in place of a result. Called where the codec is loaded.

    By the words of the report, which a service sends as well.
    """
    from compressor.pipeline.candidates import SAVES_LITTLE
    from compressor.pipeline.delivery import MADE_BEFORE
    from compressor.pipeline.routed import HAS_CREDENTIALS
    from compressor.pipeline.routing import LOSES_AGAIN, NO_ROUTE

    why = report.reason.partition(";")[0]  # "; metadata removed" may follow
    known = {
        MADE_BEFORE: Reason.MADE_BEFORE, HAS_CREDENTIALS: Reason.CREDENTIALS,
        LOSES_AGAIN: Reason.LOSSY_ALREADY, SAVES_LITTLE: Reason.LOSSY_ALREADY,
    }  # fmt: skip
    return Reason.NOT_REENCODED if NO_ROUTE in why else known.get(why, Reason.NOT_SMALLER)


def format_refusal(report: Report, job: Job, reduced_bytes: Callable[[], float]) -> tuple[Reason, str] | None:
    """Return why a result of another format than its source's is not used, if anything is wrong with it.

    reduced_bytes  return the size of the source without the metadata that the settings remove
    """
    if report.format == report.source_format:
        return None
    if not job.may_change_format:  # such as a BMP: key and content type would be wrong
        return Reason.UNSUPPORTED, f"would become {report.format}"
    if report.bytes_out >= min(report.bytes_in, reduced_bytes()):
        return Reason.NOT_SMALLER, f"not smaller as {report.format}"
    if report.bytes_out > report.bytes_in * (1 - job.settings.min_saving):
        return Reason.NOT_SMALLER, f"{report.bytes_out} bytes as {report.format} would save less than min_saving"
    return None


class CpuClock:
    """CPU seconds of this thread, less those of the codec."""

    def __init__(self) -> None:
        self._start = time.thread_time()

    def seconds(self, stages: dict[str, float] | None = None) -> float:
        """Return the seconds since this clock was made that are not in `stages`."""
        return max(0.0, time.thread_time() - self._start - sum((stages or {}).values()))


def store_failure(done: ObjectResult, error: StoreError, clock: CpuClock) -> ObjectResult:
    """Return the record of an object for which a store raised an error."""
    outcome, reason = store_outcome(error)
    return replace(
        not_written(done, outcome, reason, str(error)),
        retry=error.kind in RETRIED, other_seconds=done.other_seconds + clock.seconds(),
    )  # fmt: skip


def unstrippable(done: ObjectResult, error: CompressorError, job: Job) -> ObjectResult:
    """Return the record of an object whose metadata can't be removed; raise the error if a spool failed."""
    if isinstance(error, BusyError):
        raise error
    outcome = ObjectOutcome.KEPT if job.copy_unstrippable else ObjectOutcome.FAILED
    return replace(done, outcome=outcome, reason=Reason.UNSTRIPPABLE, error=str(error))


def other_failure(done: ObjectResult, error: Exception, clock: CpuClock) -> ObjectResult:
    """Return the record of an object for which anything else went wrong. A spool that fails is not its fault."""
    if isinstance(error, BusyError):
        failed = codec_failure(done, error)
    else:
        failed = replace(done, reason=Reason.OTHER, error=in_one_line(error))
    return replace(failed, other_seconds=clock.seconds())


def not_written(done: ObjectResult, outcome: ObjectOutcome, reason: Reason, error: str) -> ObjectResult:
    """Return the record of an object whose result is not written after all, or may not have been."""
    return replace(
        done, outcome=outcome, reason=reason, error=error, bytes_out=0, digest="", result_format="", result_key=""
    )


def digest(spool: Spool) -> str:
    """Return the SHA-256 of a spool's content."""
    found = hashlib.sha256()
    for chunk in spool.chunks():
        found.update(chunk)
    return found.hexdigest()


def in_one_line(error: BaseException) -> str:
    """Describe an unexpected error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


UNUSABLE = {Reason.BROKEN, Reason.LIMIT, Reason.VERIFY}  # images that the codec refuses


def is_settled(entry: Entry, done: ObjectResult, job: Job) -> bool:
    """Return whether an object is as an earlier run left it, and the job would leave it the same."""
    if done.retry or needs_reconsidering(done, job):
        return False
    same = entry.etag in (done.etag, done.result_etag) if entry.etag else entry.size in (done.size, done.bytes_out)
    if done.outcome.changed and job.in_place:
        return entry.etag == done.result_etag if entry.etag else entry.size == done.bytes_out
    return same


def needs_reconsidering(done: ObjectResult, job: Job) -> bool:
    """Return whether an object's outcome depends on an option that has changed since, or on permissions, which may
    have."""
    if done.reason is Reason.DENIED:
        return True
    if done.reason is Reason.NOT_ATOMIC:
        return job.allow_non_atomic
    if done.reason is Reason.EXISTS:
        return job.overwrite and not job.in_place
    if done.reason is Reason.FILTERED:
        return is_selected(done.error, job)
    if job.settings.metadata is Metadata.KEEP:
        return False
    if done.reason is Reason.UNSTRIPPABLE:
        return (done.outcome is ObjectOutcome.FAILED) == job.copy_unstrippable
    missing = done.reason in UNUSABLE and not job.in_place and not done.result_etag
    return missing and job.copy_unstrippable


def is_selected(content_type: str, job: Job) -> bool:
    """Return whether the job is about objects of this Content-Type."""
    return not job.content_types or any(fnmatchcase(content_type, pattern) for pattern in job.content_types)


SCORED_ONE_IN = 20  # objects of a sample
SCORED_FIRST = 5  # objects of each worker, so that a small run has scores too


def is_in_sample(key: str, one_in: int) -> bool:
    """Return whether an object is among one in so many, chosen by the hash of its key: the same ones in every run."""
    head = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8]
    return int.from_bytes(head, "big") % one_in == 0


def shortfall(report: Report, min_score: float | None) -> str:
    """Return why a result must not be used: its score is below the minimum. "" if it may be used."""
    if min_score is None:
        return ""
    if report.score is None:
        return f"its score was not measured, so it may be below min_score {min_score:g}"
    return f"its score is {report.score:.2f}, below min_score {min_score:g}" if report.score < min_score else ""
