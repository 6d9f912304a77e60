"""Put kept originals back, where what stands in their place is still what a run wrote."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from compressor.batch.originals import Originals, originals_of, unmark
from compressor.batch.outcomes import MEANING, in_one_line
from compressor.batch.tally import Tally, problem
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
AHEAD = 2  # times the workers: objects that are under way or wait for a thread
TURN_SECONDS = 0.2
COMMIT_SECONDS = 1.0

Candidate = tuple[ObjectResult, bool]  # an object whose original is kept, and whether nobody knows if it was replaced


def place_of(originals: Store, kept: str) -> str:
    """Name the place of a kept copy in full."""
    return repr(f"{originals.url.rstrip('/')}/{kept}")


def not_the_original(place: str) -> StoreError:
    return StoreError(StoreErrorKind.OTHER, f"what is at {place} is not the original that was kept there")


@dataclass
class Original:
    """A kept original as a body. Its last chunk is given only if all of it is what was kept.

    digest  SHA-256; "" where the ledger does not have it
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
        if self.digest and found.hexdigest() != self.digest:
            raise not_the_original(place_of(self.store, self.key))
        if held:
            yield held


class StoppedError(Exception):
    """Somebody asked the restore to end; nothing was written."""


@dataclass
class Restorer:
    """Puts one original back, or says what would be done. May be used from several threads.

    store      has the objects, `originals` what was kept of them
    dry_run    write nothing
    stopped    asked while objects are compared, and before anything is written
    """

    store: Store
    originals: Store
    dry_run: bool = False
    stopped: Callable[[], bool] = lambda: False

    def restore(self, done: ObjectResult, open_end: bool = False) -> ObjectResult | None:
        """Put the original back with what it carried, and delete the kept copy. None where there was nothing to do, or
        where it was stopped before."""
        back = put_back(done)
        try:
            return back if self._restore(done, open_end) else None
        except StoppedError:
            return None
        except StoreError as error:
            outcome, reason = MEANING.get(error.kind, (ObjectOutcome.FAILED, Reason.OTHER))
            return replace(back, outcome=outcome, reason=reason, error=str(error))
        except Exception as error:  # whatever is wrong with an object must not end the run
            return replace(back, outcome=ObjectOutcome.FAILED, reason=Reason.OTHER, error=in_one_line(error))

    def _restore(self, done: ObjectResult, open_end: bool) -> bool:
        there, kept = self.store.head(done.key), self.originals.head(done.kept)
        if kept is None:
            return self._without_copy(done, there, open_end)
        original_is = f"its original is at {self._kept_at(done)}"
        if there is None:
            raise StoreError(StoreErrorKind.MISSING, f"deleted since it was replaced; {original_is}")
        if there.etag != done.result_etag:
            original = done.source_digest or self._digest(self.originals, done.kept)
            found = self._digest(self.store, done.key)
            if found == original:
                self._back_already(done, kept, original)
                return True
            if found != done.digest:
                raise StoreError(StoreErrorKind.CHANGED, f"changed since it was replaced; {original_is}")
        self._go_on()
        if self.dry_run:
            self._require_original(done, kept)
        else:
            self._write(done, there, kept)
        return True

    def _without_copy(self, done: ObjectResult, there: Entry | None, open_end: bool) -> bool:
        """Judge an object without a kept copy: its original is back by its digest, was never replaced, or is lost."""
        if there is not None and there.size == done.size and self._is_original(there, done):
            return not open_end
        if open_end and (there is None or self._digest(self.store, done.key) != done.digest):
            return False  # the run was killed before it kept this one
        what = "it is deleted" if there is None else "what stands in its place is not the original"
        raise StoreError(StoreErrorKind.OTHER, f"{what}, and no original is at {self._kept_at(done)} any more")

    def _is_original(self, there: Entry, done: ObjectResult) -> bool:
        if there.etag == done.etag:
            return True
        return bool(done.source_digest) and self._digest(self.store, done.key) == done.source_digest

    def _kept_at(self, done: ObjectResult) -> str:
        return place_of(self.originals, done.kept)

    def _digest(self, store: Store, key: str) -> str:
        return store_digest(store, key, self._go_on)

    def _go_on(self) -> None:
        if self.stopped():
            raise StoppedError

    def _back_already(self, done: ObjectResult, kept: Entry, original: str) -> None:
        """Delete the copy, if it is one: a run that was killed then has put the original back, or somebody else has."""
        if not self.dry_run:
            self.store.clean_up(done.key)
            if self._digest(self.originals, done.kept) == original:
                self._delete(done, kept)

    def _require_original(self, done: ObjectResult, kept: Entry) -> None:
        """Raise StoreError where the kept copy would not be put back, as `_write` does while it reads it."""
        digest = done.source_digest
        if kept.size != done.size or (digest and self._digest(self.originals, done.kept) != digest):
            raise not_the_original(self._kept_at(done))

    def _write(self, done: ObjectResult, there: Entry, kept: Entry) -> None:
        if kept.size != done.size:
            raise not_the_original(self._kept_at(done))
        with self.originals.open(done.kept) as opened:
            attributes = opened.attributes
        body = Original(self.originals, done.kept, kept.size, done.source_digest)
        written = self.store.write(done.key, body, attributes, Precondition(there.etag))
        if written.size != kept.size:
            raise StoreError(StoreErrorKind.OTHER, f"{written.size} bytes arrived of {kept.size}")
        self._delete(done, kept)

    def _delete(self, done: ObjectResult, kept: Entry) -> None:
        try:
            self.originals.delete(done.kept, kept.etag)
        except StoreError as error:
            raise StoreError(StoreErrorKind.OTHER, f"it is back, but its copy can't be deleted: {error}") from None


def put_back(done: ObjectResult) -> ObjectResult:
    """Return an object whose original is back, without what the run took that replaced it."""
    back = replace(done, outcome=ObjectOutcome.COPIED, reason=Reason.NONE, bytes_out=done.size, error="", retry=False)
    return replace(back, stage_seconds={}, other_seconds=0.0, memory_byte_seconds=0.0, notices=())


def candidates(objects: Iterable[Candidate], originals: Originals, filters: Filters) -> Iterator[Candidate]:
    """Yield objects whose originals may have been kept, of those that are meant."""
    for done, open_end in objects:
        kept = originals.key(done.key) if open_end else done.kept
        if kept and filters.match(Entry(done.key, done.size, done.etag), 0.0):
            yield replace(done, kept=kept), open_end


def require_kept(path: object, facts: dict[str, str]) -> None:
    """Raise LedgerError where a run has kept no originals."""
    if facts.get("mode") != "in place" or not facts.get("keep"):
        raise LedgerError(f"{path}: originals were not kept, there is nothing to restore")


@dataclass
class Restoring:
    """Several originals at a time.

    marked    whether an original is back already, by key
    finished  told of each one as it is done
    """

    restorer: Restorer
    workers: int
    told: Callable[[Progress], None]
    marked: Callable[[str], bool]
    finished: Callable[[ObjectResult], None] = lambda done: None
    tally: Tally = field(default_factory=Tally)

    def work(self, todo: Iterator[Candidate]) -> bool:
        """Work until all is done; return False where it was stopped before. What is being written then is finished."""
        running: set[Future[ObjectResult | None]] = set()
        with ThreadPoolExecutor(self.workers, "restore") as pool:
            try:
                for done, open_end in todo:
                    if self.restorer.stopped():
                        break
                    if self.marked(done.key):
                        self._count(put_back(done))
                        self.tally.already += 1
                        continue
                    running.add(pool.submit(self.restorer.restore, done, open_end))
                    while len(running) >= AHEAD * self.workers:
                        running = self._take(running)
            finally:
                while running:
                    if self.restorer.stopped():
                        running = {one for one in running if not one.cancel()}
                    running = self._take(running)
        self.tally.listed_all = not self.restorer.stopped()
        self.told(self.tally.progress())
        return self.tally.listed_all

    def _take(self, running: set[Future[ObjectResult | None]]) -> set[Future[ObjectResult | None]]:
        ended, left = wait(running, TURN_SECONDS, FIRST_COMPLETED)
        for one in ended:
            if (done := one.result()) is not None:
                self._count(done)
                self.finished(done)
        return left

    def _count(self, done: ObjectResult) -> None:
        self.tally.add(done)
        if done.outcome is ObjectOutcome.SKIPPED and len(self.tally.problems) < PROBLEMS_MAX:
            self.tally.problems.append(problem(done))
        self.told(self.tally.progress())


class Marks:
    """Notes in the ledger which originals are back, and whether that is all of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._was = ledger.facts().get(RESTORED)
        self._written = False
        self._committed = time.monotonic()

    def begin(self, todo: Iterator[Candidate]) -> Iterator[Candidate]:
        """The same; but before the first of them the ledger notes that it does not say any more what is there."""
        for number, candidate in enumerate(todo):
            if number == 0 and self._was is None:
                self._ledger.set_fact(RESTORED, PART)
                self._ledger.commit()
            yield candidate

    def finished(self, done: ObjectResult) -> None:
        """Note what became of an object; on disk a second later at most."""
        self._written |= done.outcome is not ObjectOutcome.SKIPPED
        if done.outcome is ObjectOutcome.COPIED:
            self._ledger.mark_restored(done.key)
        if time.monotonic() - self._committed > COMMIT_SECONDS:
            self._ledger.commit()
            self._committed = time.monotonic()

    def end(self, all_back: bool) -> None:
        """Note that all originals are back, or that nothing was written after all."""
        if all_back:
            self._ledger.set_fact(RESTORED, ALL)
        elif self._was is None and not self._written:
            self._ledger.delete_fact(RESTORED)
        self._ledger.commit()


def restore(
    ledger: Ledger,
    store: Store,
    stopped: Callable[[], bool] = lambda: False,
    told: Callable[[Progress], None] = lambda progress: None,
    filters: Filters | None = None,
    workers: int = WORKERS,
) -> tuple[Tally, bool]:
    """Put back every original that was kept, of the objects that are meant; and whether that came to its end.

    May be stopped or killed, and begun again: what is back already is left alone.
    """
    facts = ledger.facts()
    require_kept(ledger.path, facts)
    marks = Marks(ledger)
    originals = originals_of(facts["keep"], store)
    restorer = Restorer(store, originals.store, stopped=stopped)
    restoring = Restoring(restorer, workers, told, ledger.is_restored, marks.finished)
    open_ends = [(done, True) for done, _ in ledger.intents()]
    objects = chain(open_ends, ((done, False) for done in ledger.objects()))
    tally, whole = restoring.tally, False
    try:
        whole = restoring.work(marks.begin(candidates(objects, originals, filters or Filters())))
    finally:
        back = sum(total.objects for total in tally.totals if total.outcome is ObjectOutcome.COPIED)
        all_back = whole and filters is None and back == tally.objects
        marks.end(all_back)
    if all_back and not originals.prefix:
        unmark(originals.store)
    return tally, whole


def would_restore(
    path: Path,
    store: Store,
    stopped: Callable[[], bool] = lambda: False,
    told: Callable[[Progress], None] = lambda progress: None,
    filters: Filters | None = None,
    workers: int = WORKERS,
) -> tuple[Tally, bool]:
    """Say what `restore` would do; nothing is written, in the store or beside the ledger."""
    with reading(path) as database:
        facts = run_facts_in(database)
        require_kept(path, facts)
        originals = originals_of(facts["keep"], store)
        restorer = Restorer(store, originals.store, dry_run=True, stopped=stopped)
        restoring = Restoring(restorer, workers, told, lambda key: is_restored(database, key))
        whole = restoring.work(candidates(objects_in(database, path), originals, filters or Filters()))
    return restoring.tally, whole
