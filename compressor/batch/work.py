"""The work on one object: read, compress, verify and, once the ledger knows of it, write. Runs in any process."""

import hashlib
import os
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from mimetypes import guess_type
from typing import Any

from compressor import pipeline
from compressor.batch.job import Job, Prepared
from compressor.batch.originals import originals_of
from compressor.batch.outcomes import (
    SCORED_FIRST,
    CpuClock,
    KeyTakenError,
    WrongResultError,
    codec_failure,
    digest,
    format_refusal,
    in_one_line,
    is_in_sample,
    is_selected,
    not_archived,
    not_written,
    other_failure,
    reason_to_return,
    shortfall,
    store_failure,
    unstrippable,
)
from compressor.batch.renames import replace_by_new_key, result_in
from compressor.batch.result_keys import archive_key, result_key
from compressor.cores import cores
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.inputs import Replayable
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.memory import Resources
from compressor.pipeline.unchanged import same, size_without_metadata, without_metadata
from compressor.pipeline.validation import probe
from compressor.settings import Metadata, Outcome, Path, Report
from compressor.sniff import PREFIX, sniff
from compressor.spool import Spool
from compressor.stores.contract import (
    RETRIED,
    Attributes,
    Entry,
    OpenObject,
    Precondition,
    Store,
    StoreError,
    StoreErrorKind,
)
from compressor.stores.file_write import hard_links_problem
from compressor.stores.markers import MarkedFolders
from compressor.stores.open import open_store
from compressor.usage import ProcessUsage

NOT_REDUCED = {Reason.UNSUPPORTED, Reason.LOW_SCORE}  # images without a result, whose metadata is still to be removed
SUBTYPES = {"pnm": "x-portable-anymap"}  # media subtypes that differ from the name of the format


@dataclass
class PendingResult:
    """A result that waits to be written, and its source; without a result, the source's own bytes are written."""

    done: ObjectResult
    attributes: Attributes
    source: Spool
    result: Spool | None

    @property
    def body(self) -> Spool:
        return self.source if self.result is None else self.result

    def close(self) -> None:
        for spool in (self.source, self.result):
            if spool is not None:
                spool.close()


class Worker:
    """Does a job's work on objects. May be used by several threads."""

    def __init__(self, job: Job, source: Store | None = None, target: Store | None = None) -> None:
        self.job = job
        self.source = source or open_store(job.source, job.conditional_bytes, probed=True)
        if job.in_place:
            self.target = self.source
        else:
            self.target = target or open_store(job.target, job.conditional_bytes, probed=True)
        self._marks = MarkedFolders(self.target)
        self._originals = originals_of(job.keep, self.source) if job.in_place and job.keep is not None else None
        self.resources = Resources(memory_budget=job.memory_budget, spool_dir=job.spool_dir, wait_seconds=3600)
        self._pending: dict[str, PendingResult] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._compressed = 0
        self._client: Any = None
        self._usage = ProcessUsage(since_start=True, idle_memory=True)
        self._start_seconds = 0.0

    def ready(self) -> None:
        """Declare that everything is loaded; the CPU time until now is charged to the first object."""
        with self._lock:
            self._usage.settle()
            self._start_seconds = self._usage.read().cpu_seconds

    def prepare(self, entry: Entry) -> Prepared | ObjectResult:
        """Read, compress and verify an object. Return its record where nothing is to be written."""
        clock = CpuClock()
        blank = ObjectResult(key=entry.key, etag=entry.etag, size=entry.size, outcome=ObjectOutcome.FAILED)
        try:
            with self.source.open(entry.key) as opened:
                entry = opened.entry
                blank = replace(blank, etag=entry.etag, size=entry.size)
                kind = opened.attributes.headers.get("content-type", "")
                if not is_selected(kind, self.job):
                    return replace(blank, outcome=ObjectOutcome.SKIPPED, reason=Reason.FILTERED, error=kind)
                if self.job.in_place and (reason := self._replacement_blocker(opened)):
                    return replace(blank, outcome=ObjectOutcome.SKIPPED, reason=reason[0], error=reason[1])
                made = self._build_result(opened, blank)
                if self.job.keep is not None and isinstance(made, PendingResult):
                    made.done = replace(made.done, source_digest=digest(made.source))
        except StoreError as error:
            return store_failure(blank, error, clock)
        except Exception as error:  # no object, whatever is wrong with it, may end the run
            return other_failure(blank, error, clock)
        if isinstance(made, ObjectResult):
            return self._with_costs(made, clock)
        made.done = self._with_costs(made.done, clock)
        with self._lock:
            self._number += 1
            token = f"{os.getpid()}-{self._number}"
            self._pending[token] = made
        return Prepared(token, made.done)

    def _with_costs(self, done: ObjectResult, clock: CpuClock) -> ObjectResult:
        """Add the CPU time that was not the codec's, and the memory of the idle process since the last object."""
        with self._lock:
            idle = self._usage.read()
            self._usage.mark(idle)
            start, self._start_seconds = self._start_seconds, 0.0
        return replace(
            done,
            other_seconds=start + clock.seconds(self._codec_seconds(done)),
            memory_byte_seconds=done.memory_byte_seconds + idle.memory_byte_seconds,
        )

    def _codec_seconds(self, done: ObjectResult) -> dict[str, float]:
        """Return the codec's time in this thread: none where a service compresses."""
        return {} if self.job.server else dict(done.stage_seconds)

    def _replacement_blocker(self, opened: OpenObject) -> tuple[Reason, str] | None:
        """Return why an object must not be replaced, if anything prevents it."""
        if opened.held:
            return Reason.HELD, opened.held
        if opened.attributes.lost:
            return Reason.UNREADABLE, f"would lose: {', '.join(opened.attributes.lost)}"
        size, most = opened.entry.size, self.source.conditional_bytes
        if opened.entry.links > 1 and not self.job.allow_non_atomic:
            problem = hard_links_problem(opened.entry.links)
            return Reason.NOT_ATOMIC, f"{problem}: --allow-non-atomic replaces it anyway"
        if size > most and not self.job.allow_non_atomic:
            what = "an object" if not most else f"an object of more than {most} bytes"
            problem = f"this store can't replace {what} on a condition"
            return Reason.NOT_ATOMIC, f"{problem}: --allow-non-atomic only checks it before and after"
        return None

    def _build_result(self, opened: OpenObject, blank: ObjectResult) -> PendingResult | ObjectResult:
        """Spool the source, and compress it into another spool. Return the record where nothing is to be written."""
        with ExitStack() as stack:
            source = stack.enter_context(closing(self.resources.spool()))
            head = b""
            for chunk in opened.chunks():
                if len(head) < PREFIX:
                    head += chunk[: PREFIX - len(head)]
                    if self.job.in_place and len(head) == PREFIX and sniff(head) == "unknown":
                        return replace(blank, outcome=ObjectOutcome.KEPT, reason=Reason.NOT_AN_IMAGE)
                source.write(chunk)
            if source.size != opened.entry.size:
                problem = f"only {source.size} of {opened.entry.size} bytes were read"
                raise StoreError(StoreErrorKind.UNAVAILABLE, problem)
            done, result = self._compress_and_verify(source, sniff(head), blank)
            if result is not None:
                stack.callback(result.close)
            done = self._with_result_key(done)
            if done.reason is Reason.KEY_TAKEN:
                return done
            if done.outcome.changed:
                made = PendingResult(done, opened.attributes, source, result)
            elif self.job.in_place or done.retry or (done.outcome is ObjectOutcome.FAILED and self._must_strip):
                return done  # an object at the destination would prevent a later try from writing there
            else:
                outcome = ObjectOutcome.FAILED if done.outcome is ObjectOutcome.FAILED else ObjectOutcome.COPIED
                done = replace(done, outcome=outcome, bytes_out=source.size, digest=digest(source))
                made = PendingResult(done, opened.attributes, source, None)
            stack.pop_all()
            return made

    def _with_result_key(self, done: ObjectResult) -> ObjectResult:
        """Add the key of a result of another format, if it gets one; KEY_TAKEN where an object of the source has it.

        In place, an intent to write to a new key therefore says that nothing was there before.
        """
        if self.job.unarchive or self.job.settings.archive:
            key = archive_key(done.key, done.result_format)
        else:
            key = result_key(done.key, done.result_format) if self.job.rename and done.result_format else done.key
        if key == done.key:
            return done
        if self.source.head(key) is not None:
            return not_written(done, ObjectOutcome.SKIPPED, Reason.KEY_TAKEN, str(KeyTakenError(key)))
        return replace(done, result_key=key)

    @property
    def _must_strip(self) -> bool:
        """True if no image may be written with all of its metadata."""
        return self.job.settings.metadata is not Metadata.KEEP and not self.job.copy_unstrippable

    def _compress_and_verify(self, source: Spool, kind: str, blank: ObjectResult) -> tuple[ObjectResult, Spool | None]:
        """Return an object's record for a run in place, and the verified bytes that replace its own, if any."""
        kept = replace(blank, outcome=ObjectOutcome.KEPT, format="" if kind == "unknown" else kind)
        if source.size == 0:
            return replace(kept, reason=Reason.EMPTY), None
        if kind == "unknown":
            return replace(kept, reason=Reason.NOT_AN_IMAGE), None
        result = self.resources.spool()
        try:
            done = (self._unarchive_into if self.job.unarchive else self._compress_into)(source, result, kept)
        except UnsupportedError as error:
            done = replace(kept, reason=Reason.UNSUPPORTED, error=str(error))
        except CompressorError as error:
            done = codec_failure(kept, error)
        except BaseException:
            result.close()
            raise
        if done.outcome.changed:
            return done, result
        result.close()
        other = done.reason is Reason.NOT_SMALLER and self.job.may_change_format
        if (done.reason in NOT_REDUCED or other) and self.job.settings.metadata is not Metadata.KEEP:
            return self._strip(source, kind, done)
        return done, None

    def _compress_into(self, source: Spool, result: Spool, kept: ObjectResult) -> ObjectResult:
        """Compress from one spool into another, and verify the result. Raises CompressorError."""
        report, written = self._compress(source, result, kept.key)
        stages, held = dict(report.stage_seconds), report.memory_byte_seconds
        kind, policy = report.source_format, self.job.settings.metadata
        if refusal := format_refusal(report, self.job, lambda: size_without_metadata(source, kind, policy)):
            done = replace(kept, reason=refusal[0], error=refusal[1])
        elif report.outcome is Outcome.UNCHANGED or report.bytes_out >= report.bytes_in:
            reason = not_archived(report) if self.job.settings.archive else reason_to_return(report)
            done = replace(kept, reason=reason, error=report.reason)
            if not same(source, result):
                self._compare(source, result, report, False)
                done = replace(done, outcome=ObjectOutcome.STRIPPED, notices=report.notices)
        elif problem := shortfall(report, self.job.min_score):
            done = replace(kept, reason=Reason.LOW_SCORE, error=problem, score=report.score)
        else:
            began = time.thread_time()
            held += self._verify(source, result, report)
            stages["verify"] = stages.get("verify", 0.0) + time.thread_time() - began
            done = replace(kept, outcome=ObjectOutcome.COMPRESSED, notices=report.notices, score=report.score)
        if done.outcome.changed:
            other = report.format if report.format != report.source_format else ""
            done = replace(done, bytes_out=result.size, digest=written, result_format=other)
        return replace(
            done, path=report.path.value, encodings=report.encodings, stage_seconds=stages, memory_byte_seconds=held
        )

    def _unarchive_into(self, source: Spool, result: Spool, kept: ObjectResult) -> ObjectResult:
        """Make the JPEG of an archive in another spool. Raises CompressorError."""
        report, written = self._compress(source, result, kept.key)
        return replace(
            kept, outcome=ObjectOutcome.UNARCHIVED, bytes_out=result.size, digest=written, result_format=report.format,
            path=report.path.value, encodings=report.encodings, stage_seconds=dict(report.stage_seconds),
            memory_byte_seconds=report.memory_byte_seconds,
        )  # fmt: skip

    def _strip(self, source: Spool, kind: str, done: ObjectResult) -> tuple[ObjectResult, Spool | None]:
        """Return the record of an image that is not compressed, and its bytes without metadata, if they differ."""
        notices: list[str] = []
        with ExitStack() as stack:
            result = stack.enter_context(closing(self.resources.spool()))
            try:
                for piece in without_metadata(source, kind, self.job.settings.metadata, notices):
                    result.write(piece)
            except CompressorError as error:
                return unstrippable(done, error, self.job), None
            if same(source, result):
                return done, None
            stack.pop_all()
            stripped = replace(done, outcome=ObjectOutcome.STRIPPED, bytes_out=result.size, digest=digest(result))
            return replace(stripped, notices=tuple(notices)), result

    def _is_scored(self, key: str) -> bool:
        """Return whether the score of an object's result is to be measured."""
        if self.job.min_score is not None or not self.job.score_one_in:
            return self.job.min_score is not None
        with self._lock:
            self._compressed += 1
            return self._compressed <= SCORED_FIRST or is_in_sample(key, self.job.score_one_in)

    def _compress(self, source: Spool, result: Spool, key: str) -> tuple[Report, str]:
        """Compress, or unarchive, from one spool into another. Return the report and the SHA-256 of the result."""
        found = hashlib.sha256()
        with self._opened_stream(source, key) as stream:
            for chunk in stream:
                result.write(chunk)
                found.update(chunk)
            report: Report = stream.report
            return report, found.hexdigest()

    def _opened_stream(self, source: Spool, key: str) -> Any:
        """Return the stream that makes the result: of the pipeline, or of the service."""
        settings = self.job.settings
        if self._is_scored(key):
            settings = replace(settings, score=True)
        if not self.job.server:
            if self.job.unarchive:
                return pipeline.unarchive_stream(source.chunks(), resources=self.resources)
            return pipeline.stream(source.chunks(), settings, resources=self.resources)
        if self._client is None:
            with self._lock:
                if self._client is None:
                    from compressor.client import connect

                    self._client = connect(self.job.server, self.job.access)
        if self.job.unarchive:  # Replayable: sent again if the connection is lost
            return self._client.unarchive_stream(Replayable(source.chunks))
        return self._client.stream(Replayable(source.chunks), settings)

    def _verify(self, source: Spool, result: Spool, report: Report) -> float:
        """Decode the whole result unless the codec has compared it with its source; return the byte-seconds."""
        decode = report.path is not Path.LOSSLESS or self.job.server != ""
        with self.resources.reservation() as reservation:
            if decode:  # needs less than encoding did; a service may have a larger budget
                reservation.extend(min(report.reserved_bytes, self.job.memory_budget - self.resources.overhead))
            with cores.acquired():
                self._compare(source, result, report, decode)
            return reservation.held.byte_seconds()

    def _compare(self, source: Spool, result: Spool, report: Report, decode: bool) -> None:
        if self.job.settings.archive:  # the codec has compared every byte
            return
        converted = report.format != report.source_format
        if not converted and report.format not in ("jpeg", "png"):
            return
        try:
            after = probe(result, self.resources, decode=decode)
            before = probe(source, self.resources, decode=False, policy=self.job.settings.metadata)
        except (FormatError, UnsupportedError, LimitError) as error:
            raise WrongResultError(f"the result can't be decoded: {error}") from None
        if (after.width, after.height) != (report.width, report.height):
            raise WrongResultError(
                f"the result is {after.width} x {after.height}, the source {report.width} x {report.height}"
            )
        if after.orientation != before.orientation:
            raise WrongResultError(f"the result's orientation is {after.orientation}, not {before.orientation}")
        if self.job.settings.metadata is Metadata.STRIP or (converted and None in (before.icc, after.icc)):
            return  # the profile of samples that are converted, such as CMYK, does not describe the result's
        if after.icc != before.icc:
            raise WrongResultError("the result's ICC profile is not the source's")

    def commit(self, token: str) -> ObjectResult | None:
        """Write what was prepared, in place or to the destination. Return None where this worker does not have it."""
        with self._lock:
            pending = self._pending.pop(token, None)
        if pending is None:
            return None
        clock = CpuClock()
        done, kept = pending.done, None
        try:
            if self.job.in_place:
                kept = self._originals.keep(self.source, done) if self._originals else None
                written = self._replace(pending)
                done = replace(done, result_etag=written.etag, kept="" if kept is None else kept.key)
            else:
                attributes = self._attributes(pending)
                written = self._deliver(pending, attributes)
                lost = tuple(
                    f"not carried over: {name}"
                    for name in (*attributes.lost, *self.target.unsupported_attributes(attributes))
                )
                done = replace(done, result_etag=written.etag, notices=(*done.notices, *lost))
        except StoreError as error:
            if self._originals and kept and error.kind not in RETRIED:  # otherwise it may have been written after all
                with suppress(StoreError):
                    self._originals.store.delete(kept.key, kept.etag)
            return store_failure(done, error, clock)
        except Exception as error:  # it may have been written: the run checks before it tries again
            spent = done.other_seconds + clock.seconds()
            failed = not_written(done, ObjectOutcome.FAILED, Reason.OTHER, in_one_line(error))
            return replace(failed, retry=True, other_seconds=spent)
        finally:
            pending.close()
        return replace(done, other_seconds=done.other_seconds + clock.seconds())

    def _replace(self, pending: PendingResult) -> Entry:
        """Replace the source by the result, which may have another key."""
        done = pending.done
        attributes = self._attributes(pending) if done.result_format else pending.attributes
        if done.result_key:
            return replace_by_new_key(self.source, done, pending.body, attributes)
        precondition = Precondition(done.etag, atomic=not self.job.allow_non_atomic)
        return self.source.write(done.key, pending.body, attributes, precondition)

    def _attributes(self, pending: PendingResult) -> Attributes:
        """Return the attributes of a copy, or of a result of another format, if the target takes a content type: with
        one where the source has none, and with the one of another format."""
        given, format = dict(pending.attributes.headers), pending.done.result_format or pending.done.format
        kind = f"image/{SUBTYPES.get(format, format)}" if format else guess_type(pending.done.key)[0]
        headers = {"content-type": kind or "application/octet-stream"} | given
        if pending.done.result_format:
            headers["content-type"] = f"image/{SUBTYPES.get(format, format)}"
        if headers == pending.attributes.headers or self.target.unsupported_attributes(Attributes(headers=headers)):
            return pending.attributes
        return replace(pending.attributes, headers=headers)

    def _deliver(self, pending: PendingResult, attributes: Attributes) -> Entry:
        """Write to the destination, where nothing may exist but an object with the very same bytes."""
        done, precondition = pending.done, None if self.job.overwrite else Precondition(None)
        key = done.stored_key
        if self._marks.cover(key):
            raise StoreError(StoreErrorKind.HELD, f"{self.target.url}: {key!r}: would be among kept originals")
        try:
            return self.target.write(key, pending.body, attributes, precondition)
        except StoreError as error:
            found = result_in(self.target, done) if error.kind is StoreErrorKind.EXISTS else None
            if found is None:
                raise
            return found

    def drop(self, token: str) -> None:
        """Discard what was prepared."""
        with self._lock:
            pending = self._pending.pop(token, None)
        if pending is not None:
            pending.close()

    def close(self) -> None:
        """Discard everything that is prepared, and close the connection to the service."""
        for token in list(self._pending):
            self.drop(token)
        if self._client is not None:
            self._client.close()
