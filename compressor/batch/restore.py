"""Restoring: kept originals are put back where the object is still what a run wrote."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from compressor.batch.originals import Originals, originals_of, remove_marker
from compressor.batch.outcomes import in_one_line, store_outcome
from compressor.batch.tally import Tally, problem_of
from compressor.ledger.errors import LedgerError
from compressor.ledger.ledger import Ledger
from compressor.ledger.queries import is_restored, objects_in, run_facts_in
from compressor.ledger.reader import reading
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.ledger.schema import ALL, PART, RESTORED
from compressor.report.summary import PROBLEMS_MAX, Progress
from compressor.stores.contract import Entry, Precondition, Store, StoreError, StoreErrorKind, store_digest
from compressor.stores.filters import Filters

WORKERS = 8
AHEAD = 2  # objects in flight or waiting for a thread, as a multiple of the workers
POLL_SECONDS = 0.2
COMMIT_SECONDS = 1.0

Restorable = tuple[ObjectResult, bool]  # an object whose original is kept, and whether it is unknown if it was replaced


def place_of(originals: Store, key: str) -> str:
    """Return the full name of a kept copy, quoted."""
    return repr(f"{originals.url.rstrip('/')}/{key}")


def not_the_original(place: str) -> StoreError:
    return StoreError(StoreErrorKind.OTHER, f"what is at {place} is not the original that was kept there")


@dataclass
class StoredBody:
    """A stored object as the body of a write. Its last chunk is yielded only if its digest is right.

    digest  SHA-256 of its content
    """

    store: Store
    key: str
    size: int
    digest: str

    def chunks(self) -> Iterator[bytes]:
        found, held = hashlib.sha256(), b""
        with self.store.open(self.key) as opened:
            for chunk in opened.chunks():
                found.update(chunk)
                if held:
                    yield held
                held = chunk
        if found.hexdigest() != self.digest:
            raise not_the_original(place_of(self.store, self.key))
        if held:
            yield held


class StoppedError(Exception):
    """The restore was asked to stop; nothing was written."""


@dataclass
class Restorer:
    """Restores one original, or finds out what would be done. May be used by several threads.

    store        contains the objects, and `originals` their originals
    dry_run      write nothing
    should_stop  called while objects are compared, and before anything is written
    """

    store: Store
    originals: Originals
    dry_run: bool = False
    should_stop: Callable[[], bool] = lambda: False

    def restore(self, done: ObjectResult, open_end: bool = False) -> ObjectResult | None:
        """Put the original back with its attributes, and delete the kept copy.

        Returns None where there was nothing to do, or the restore was stopped first.

        open_end  it is unknown whether the object was replaced
        """
        restored = as_restored(done)
        try:
            return restored if self._restore(done, open_end) else None
        except StoppedError:
            return None
        except StoreError as error:
            outcome, reason = store_outcome(error)
            return replace(restored, outcome=outcome, reason=reason, error=str(error))
        except Exception as error:  # no object, whatever is wrong with it, may end the run
            return replace(restored, outcome=ObjectOutcome.FAILED, reason=Reason.OTHER, error=in_one_line(error))

    def _restore(self, done: ObjectResult, open_end: bool) -> bool:
        found, kept = self.store.head(done.key), self.originals.store.head(done.kept)
        if kept is None:
            return self._without_copy(done, found, open_end)
        original_is = f"its original is at {self._kept_at(done)}"
        if done.result_key:
            return self._restore_old_key(done, found, kept, original_is)
        if found is None:
            raise StoreError(StoreErrorKind.MISSING, f"deleted since it was replaced; {original_is}")
        if found.etag != done.result_etag:
            digest = self._digest(self.store, done.key)
            if digest == done.source_digest:
                self._delete_redundant_copy(done, kept)
                return True
            if digest != done.digest:
                raise StoreError(StoreErrorKind.CHANGED, f"changed since it was replaced; {original_is}")
        self._check_stop()
        if self.dry_run:
            self._require_original(done, kept)
        else:
            self._write(done, found, kept)
        return True

    def _restore_old_key(self, done: ObjectResult, found: Entry | None, kept: Entry, original_is: str) -> bool:
        """Put the original back under the key that it had, and delete the result, which has another.

        found  what is stored under the old key: usually nothing
        """
        result = self.store.head(done.result_key)
        ours = result is not None and (
            result.etag == done.result_etag or self._digest(self.store, done.result_key) == done.digest
        )
        if found is not None and not (found.size == done.size and self._is_original(found, done)):
            raise StoreError(StoreErrorKind.CHANGED, f"there is another object with its key; {original_is}")
        if found is None and not ours:
            kind, what = StoreErrorKind.MISSING, "deleted"
            if result is not None:
                kind, what = StoreErrorKind.CHANGED, "changed"
            raise StoreError(kind, f"{done.result_key!r}: {what} since it replaced this object; {original_is}")
        self._check_stop()
        if self.dry_run or found is not None:
            self._require_original(done, kept)
        if self.dry_run:
            return True
        if found is None:
            self._write_original(done, kept, None)
        for key in (done.key, done.result_key):
            self.store.clean_up(key)
        if ours and result is not None:
            self.store.delete(done.result_key, result.etag)
        self._delete(done, kept)
        return True

    def _without_copy(self, done: ObjectResult, found: Entry | None, open_end: bool) -> bool:
        """Judge an object without a kept copy: its original is back by its digest, was never replaced, or is lost."""
        if found is not None and found.size == done.size and self._is_original(found, done):
            return not open_end
        if open_end and (found is None or self._digest(self.store, done.key) != done.digest):
            return False  # the run was killed before it kept this one
        what = "it is deleted" if found is None else "the object in its place is not the original"
        raise StoreError(StoreErrorKind.OTHER, f"{what}, and its original is no longer at {self._kept_at(done)}")

    def _is_original(self, found: Entry, done: ObjectResult) -> bool:
        return found.etag == done.etag or self._digest(self.store, done.key) == done.source_digest

    def _kept_at(self, done: ObjectResult) -> str:
        return place_of(self.originals.store, done.kept)

    def _digest(self, store: Store, key: str) -> str:
        return store_digest(store, key, self._check_stop)

    def _check_stop(self) -> None:
        if self.should_stop():
            raise StoppedError

    def _delete_redundant_copy(self, done: ObjectResult, kept: Entry) -> None:
        """Delete the copy of an original that a killed run, or somebody else, has put back already."""
        if not self.dry_run:
            self.store.clean_up(done.key)
            if self._digest(self.originals.store, done.kept) == done.source_digest:
                self._delete(done, kept)

    def _require_original(self, done: ObjectResult, kept: Entry) -> None:
        """Raise StoreError for a kept copy that `_write` would not put back."""
        if kept.size != done.size or self._digest(self.originals.store, done.kept) != done.source_digest:
            raise not_the_original(self._kept_at(done))

    def _write(self, done: ObjectResult, found: Entry, kept: Entry) -> None:
        self._write_original(done, kept, found)
        self._delete(done, kept)

    def _write_original(self, done: ObjectResult, kept: Entry, found: Entry | None) -> None:
        """Write the original in place of the result `found`, or if that has another key, next to it."""
        if kept.size != done.size:
            raise not_the_original(self._kept_at(done))
        with self.originals.store.open(done.kept) as opened:
            attributes = opened.attributes
        body = StoredBody(self.originals.store, done.kept, kept.size, done.source_digest)
        if found is None:
            written = self.store.write_successor(done.key, body, attributes, done.result_key)
        else:
            written = self.store.write(done.key, body, attributes, Precondition(found.etag))
        if written.size != kept.size:
            raise StoreError(StoreErrorKind.OTHER, f"only {written.size} of {kept.size} bytes were written")

    def _delete(self, done: ObjectResult, kept: Entry) -> None:
        try:
            self.originals.store.delete(done.kept, kept.etag)
        except StoreError as error:
            raise StoreError(StoreErrorKind.OTHER, f"restored, but the kept copy can't be deleted: {error}") from None


def as_restored(done: ObjectResult) -> ObjectResult:
    """Return the record of an object whose original is back, without the costs of the run that replaced it."""
    back = replace(done, outcome=ObjectOutcome.COPIED, reason=Reason.NONE, bytes_out=done.size, error="", retry=False)
    return replace(back, result_format="", stage_seconds={}, other_seconds=0.0, memory_byte_seconds=0.0, notices=())


def candidates(objects: Iterable[Restorable], originals: Originals, filters: Filters) -> Iterator[Restorable]:
    """Yield the objects that match the filters and whose originals may have been kept."""
    for done, open_end in objects:
        kept = originals.key(done.key) if open_end else done.kept
        if kept and filters.match(Entry(done.key, done.size, done.etag), 0.0):
            yield replace(done, kept=kept), open_end


def require_kept(path: object, facts: dict[str, str]) -> None:
    """Raise LedgerError where a run has kept no originals."""
    if facts.get("mode") != "in place" or not facts.get("keep"):
        raise LedgerError(f"{path}: originals were not kept, so there is nothing to restore")


class RestoreLog:
    """Records in the ledger which originals are back, and whether all of them are."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before = ledger.facts().get(RESTORED)
        self._written = False
        self._committed = time.monotonic()

    def begin(self) -> None:
        """Record, before the first original is put back, that the ledger no longer describes the store."""
        if self._before is None:
            self._ledger.set_fact(RESTORED, PART)
            self._ledger.commit()

    def finished(self, done: ObjectResult) -> None:
        """Record an object's outcome; on disk after a second at most."""
        self._written |= done.outcome is not ObjectOutcome.SKIPPED
        if done.outcome is ObjectOutcome.COPIED:
            self._ledger.mark_restored(done.key)
        if time.monotonic() - self._committed > COMMIT_SECONDS:
            self._ledger.commit()
            self._committed = time.monotonic()

    def end(self, all_back: bool) -> None:
        """Record that all originals are back, or that nothing was written after all."""
        if all_back:
            self._ledger.set_fact(RESTORED, ALL)
        elif self._before is None and not self._written:
            self._ledger.delete_fact(RESTORED)
        self._ledger.commit()


@dataclass
class RestorePool:
    """Restores several originals at a time.

    is_restored  returns whether the original of a key is back already
    log          None in a dry run
    """

    restorer: Restorer
    filters: Filters
    workers: int
    on_progress: Callable[[Progress], None]
    is_restored: Callable[[str], bool]
    log: RestoreLog | None = None
    tally: Tally = field(default_factory=Tally)

    def work(self, objects: Iterable[Restorable]) -> bool:
        """Restore the candidates among the objects; return False where it was stopped before its end.

        What is being written when it is stopped is finished.
        """
        running: set[Future[ObjectResult | None]] = set()
        with ThreadPoolExecutor(self.workers, "restore") as pool:
            try:
                for number, candidate in enumerate(candidates(objects, self.restorer.originals, self.filters)):
                    if number == 0 and self.log is not None:
                        self.log.begin()
                    if self.restorer.should_stop():
                        break
                    if self.is_restored(candidate[0].key):
                        self._count(as_restored(candidate[0]))
                        self.tally.already += 1
                        continue
                    running.add(pool.submit(self.restorer.restore, *candidate))
                    while len(running) >= AHEAD * self.workers:
                        running = self._collect(running)
            finally:
                while running:
                    if self.restorer.should_stop():
                        running = {one for one in running if not one.cancel()}
                    running = self._collect(running)
        self.tally.listed_all = not self.restorer.should_stop()
        self.on_progress(self.tally.progress())
        return self.tally.listed_all

    def _collect(self, running: set[Future[ObjectResult | None]]) -> set[Future[ObjectResult | None]]:
        ended, left = wait(running, POLL_SECONDS, FIRST_COMPLETED)
        for one in ended:
            if (done := one.result()) is not None:
                self._count(done)
                if self.log is not None:
                    self.log.finished(done)
        return left

    def _count(self, done: ObjectResult) -> None:
        self.tally.add(done)
        if done.outcome is ObjectOutcome.SKIPPED and len(self.tally.problems) < PROBLEMS_MAX:
            self.tally.problems.append(problem_of(done))
        self.on_progress(self.tally.progress())


def restore(
    ledger: Ledger,
    store: Store,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    filters: Filters | None = None,
    workers: int = WORKERS,
) -> tuple[Tally, bool]:
    """Put back every kept original that matches the filters; return the tally, and False if it was stopped.

    May be stopped or killed and called again: what is back already is left alone.
    """
    facts = ledger.facts()
    require_kept(ledger.path, facts)
    restorer = Restorer(store, originals_of(facts["keep"], store), should_stop=should_stop)
    log = RestoreLog(ledger)
    pool = RestorePool(restorer, filters or Filters(), workers, on_progress, ledger.is_restored, log)
    intents = ((done, True) for done, _ in ledger.intents())
    completed = False
    try:
        completed = pool.work(chain(intents, ((done, False) for done in ledger.objects())))
    finally:
        back = sum(total.objects for total in pool.tally.totals if total.outcome is ObjectOutcome.COPIED)
        all_back = completed and filters is None and back == pool.tally.objects
        log.end(all_back)
    if all_back and not restorer.originals.prefix:
        remove_marker(restorer.originals.store)
    return pool.tally, completed


def would_restore(
    path: Path,
    store: Store,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    filters: Filters | None = None,
    workers: int = WORKERS,
) -> tuple[Tally, bool]:
    """Return what `restore` would return, and write nothing: not in the store, and not next to the ledger."""
    with reading(path) as database:
        facts = run_facts_in(database)
        require_kept(path, facts)
        restorer = Restorer(store, originals_of(facts["keep"], store), dry_run=True, should_stop=should_stop)
        pool = RestorePool(restorer, filters or Filters(), workers, on_progress, lambda key: is_restored(database, key))
        return pool.tally, pool.work(objects_in(database, path))
