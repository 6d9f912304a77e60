"""A running tally of a run's objects, for its display, and the summary at the end."""

import dataclasses
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from compressor.batch.job import Job
from compressor.batch.originals import originals_of
from compressor.batch.outcomes import store_outcome
from compressor.footprint import Basis
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.ledger.totals import Total, Totals
from compressor.report.scores import ScoreTally
from compressor.report.summary import PROBLEMS_MAX, Problem, Progress, Sample, Summary
from compressor.settings import Metadata
from compressor.stores.contract import Store, StoreError, StoreErrorKind
from compressor.usage import ProcessUsage

STEPS = 20  # of 5 % each, of the saved share of a compressed object
SAMPLES = 12
SAMPLE_BYTES_MAX = 8 << 20
NOTICES_MAX = 100  # different ones

T = TypeVar("T")


class Reservoir(Generic[T]):
    """A uniform sample of at most `size` items: algorithm R (Vitter 1985).

    Its seed is fixed, so that a second run draws the same items.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: list[T] = []
        self._offered = 0
        self._random = random.Random(0)

    def offer(self, item: T) -> None:
        """Keep an item, or not, each with the same probability as all others offered so far."""
        self._offered += 1
        if len(self._items) < self._size:
            self._items.append(item)
        elif (at := self._random.randrange(self._offered)) < self._size:
            self._items[at] = item

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)


class Tally:
    """A tally of finished objects, those of earlier runs included."""

    def __init__(self) -> None:
        self.objects = self.bytes_in = self.bytes_out = self.failed = self.already = 0
        self.listed_all = self.found_all = False
        self.found = self.found_bytes = 0
        self.waiting = ""
        self.stage_seconds: Counter[str] = Counter()
        self.other_seconds = self.memory_byte_seconds = 0.0
        self.notices: Counter[str] = Counter()
        self.histogram = [0] * STEPS
        self.scores = ScoreTally()
        self.samples = Reservoir[ObjectResult](SAMPLES)
        self.problems: list[Problem] = []  # the first PROBLEMS_MAX
        self.unlisted: list[Problem] = []  # likewise, folders that could not be listed
        self.unlisted_folders = 0
        self._totals = Totals()

    def add(self, done: ObjectResult) -> None:
        """Count a finished object."""
        self.objects += 1
        self.bytes_in += done.size
        self._totals.add(done)
        if done.outcome is ObjectOutcome.FAILED:
            self.failed += 1
            if len(self.problems) < PROBLEMS_MAX:
                self.problems.append(problem_of(done))
        self.stage_seconds.update(done.stage_seconds)
        self.other_seconds += done.other_seconds
        self.memory_byte_seconds += done.memory_byte_seconds
        for notice in done.notices:
            if notice in self.notices or len(self.notices) < NOTICES_MAX:
                self.notices[notice] += 1
        self.bytes_out += done.bytes_out if done.outcome.changed else done.size
        if done.outcome is not ObjectOutcome.COMPRESSED:
            return
        self.histogram[min(STEPS - 1, max(0, int(STEPS * (1 - done.bytes_out / done.size))))] += 1
        if done.score is not None:
            self.scores.add(done.key, done.format, done.score)
        if done.size <= SAMPLE_BYTES_MAX:
            self.samples.offer(done)

    def find(self, size: int) -> None:
        """Count an object that the listing has given."""
        self.found += 1
        self.found_bytes += size

    def refuse(self, key: str, error: StoreError) -> None:
        """Count a folder that may not be listed as a failure, whatever it contains."""
        self.unlisted_folders += 1
        self.failed += 1
        if len(self.unlisted) < PROBLEMS_MAX:
            self.unlisted.append(Problem(key, 0, store_outcome(error)[1], str(error)))

    @property
    def totals(self) -> tuple[Total, ...]:
        """Totals by outcome, reason, format and path."""
        return (*self._totals, *self.unlisted_total)

    @property
    def unlisted_total(self) -> tuple[Total, ...]:
        """A total of the folders that could not be listed, if there are any."""
        folders = self.unlisted_folders
        return (Total(ObjectOutcome.FAILED, Reason.DENIED, "", "none", folders, 0, 0, 0.0),) if folders else ()

    def progress(self) -> Progress:
        listed_all, found = self.listed_all or self.found_all, (self.found, self.found_bytes)
        return Progress(self.objects, self.bytes_in, self.bytes_out, self.failed, listed_all, self.waiting, *found)


def problem_of(done: ObjectResult, known: bool = False) -> Problem:
    """Return an object's record as a problem for people to check."""
    return Problem(done.key, done.size, done.reason, done.error, done.notices, known)


def with_estimates(summary: Summary, cpu_seconds: float, memory_byte_seconds: float, footprint: Basis) -> Summary:
    """Return a summary to which the coordinator's own usage is added, with estimates for all of it."""
    other, memory = summary.other_seconds + cpu_seconds, summary.memory_byte_seconds + memory_byte_seconds
    used = footprint.footprint_of(sum(summary.stage_seconds.values()) + other, memory)
    return dataclasses.replace(summary, other_seconds=other, memory_byte_seconds=memory, footprint=used)


def summary_of(job: Job, tally: Tally, usage: ProcessUsage, interrupted: bool) -> Summary:
    """Return the summary of what was tallied until now."""
    return Summary(
        source=job.source,
        target=job.target,
        mode="in place" if job.in_place else "copy",
        settings=job.settings,
        started=usage.started,
        ended=time.time(),
        wall_seconds=usage.read().seconds,
        interrupted=interrupted,
        totals=tally.totals,
        problems=(*tally.unlisted, *tally.problems)[:PROBLEMS_MAX],
        problems_more=max(0, tally.failed - len(tally.unlisted) - len(tally.problems)),
        notices=dict(tally.notices),
        stage_seconds=dict(tally.stage_seconds),
        other_seconds=tally.other_seconds,
        memory_byte_seconds=tally.memory_byte_seconds,
        keep=job.keep,
        histogram=tuple(tally.histogram),
        scores=tally.scores.scores(),
        min_score=job.min_score,
        failed_copied=not job.in_place and (job.copy_unstrippable or job.settings.metadata is Metadata.KEEP),
    )


def samples_of(chosen: Iterable[ObjectResult], job: Job, source: Store, target: Store) -> list[Sample]:
    """Return files before and after, where both still exist."""
    found, originals = list[Sample](), source
    if job.settings.archive or job.unarchive:  # browsers do not show JPEG XL, and there is no difference to see
        return found
    if job.in_place and job.keep is not None:
        originals = originals_of(job.keep, source).store
    for done in chosen:
        before = done.kept if job.in_place else done.key
        if before:
            with suppress(StoreError):
                found.append(
                    Sample(done.key, read_all(originals, before), read_all(target, done.stored_key), done.score)
                )
    return found


def read_all(store: Store, key: str) -> bytes:
    """Return the content of an object that is known to be small."""
    data = bytearray()
    with store.open(key) as opened:
        for chunk in opened.chunks():
            data += chunk
            if len(data) > SAMPLE_BYTES_MAX:
                raise StoreError(StoreErrorKind.CHANGED, f"{key!r} is larger than it was")
    return bytes(data)
