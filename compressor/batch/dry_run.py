"""A dry run: all objects or a sample of them are read and compressed, and nothing is written anywhere."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from compressor.batch.job import Engine, Lost, Prepared, WorkerAnswer
from compressor.batch.outcomes import KeyTakenError, failure_of, not_written
from compressor.batch.plan import FOUND_STEP, Listing, ListingStoppedError
from compressor.batch.tally import Reservoir, Tally
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.report.summary import Progress
from compressor.stores.contract import Entry
from compressor.stores.filters import Filters

POLL_SECONDS = 0.2
RESULT_KEYS_MAX = 1 << 16  # remembered: objects that would get the same key are near each other in a listing


class DryRun:
    """A dry run over a listing.

    count          number of objects to draw, all with the same probability; None: all
    objects, size  number and bytes of the listed objects that pass the filters; known once `run` has ended
    tally          what would become of those that were read
    """

    def __init__(self, engine: Engine, listing: Listing, filters: Filters, count: int | None) -> None:
        self._engine, self._listing, self._filters, self._count = engine, listing, filters, count
        self.objects = self.size = 0
        self.tally = Tally()
        self.sample: list[tuple[int, int]] = []  # size and saving of each object that was drawn
        self._result_keys: OrderedDict[str, None] = OrderedDict()
        self._should_stop: Callable[[], bool] = lambda: False
        self._on_progress: Callable[[Progress], None] = lambda progress: None

    def _filtered(self) -> Iterator[Entry]:
        now = time.time()
        for listed, (_, entry) in enumerate(self._listing.entries(self.tally.refuse), 1):
            if self._filters.match(entry, now):
                self.objects += 1
                self.size += entry.size
                self.tally.find(entry.size)
                yield entry
            if listed % FOUND_STEP == 0:
                self._on_progress(self.tally.progress())
                if self._should_stop():
                    raise ListingStoppedError

    def _drawn(self) -> Iterator[Entry]:
        """Yield the objects to be read: all, or a sample, which a second run draws likewise."""
        if self._count is None:
            yield from self._filtered()
            self.tally.found_all = True
            return
        drawn = Reservoir[Entry](self._count)
        for entry in self._filtered():
            drawn.offer(entry)
        self.tally.found = self.tally.found_bytes = 0  # from here on, the sample is what is to be done
        for entry in drawn:
            self.tally.find(entry.size)
        self.tally.found_all = True
        yield from drawn

    def run(self, should_stop: Callable[[], bool], on_progress: Callable[[Progress], None]) -> bool:
        """Read and compress the objects; return False where the run was stopped before its end.

        should_stop  called at every poll; on_progress: at every poll, and every FOUND_STEP objects of a listing
        """
        self._should_stop, self._on_progress = should_stop, on_progress
        try:
            return self._work()
        except ListingStoppedError:
            return False

    def _work(self) -> bool:
        entries, in_flight, number = self._drawn(), dict[int, Entry](), 0
        while not self._should_stop():
            while len(in_flight) < self._engine.slots and not self.tally.listed_all:
                entry = next(entries, None)
                if entry is None:
                    self.tally.listed_all = True
                    break
                number += 1
                in_flight[number] = entry
                self._engine.prepare(number, entry)
            if not in_flight:
                return True
            for answered, answer in self._engine.answers(POLL_SECONDS):
                entry = in_flight.pop(answered, None)
                if entry is not None:
                    self._handle(entry, answer)
            self._on_progress(self.tally.progress())
        return False

    def _with_free_key(self, done: ObjectResult) -> ObjectResult:
        """Return an object's record: that of a refused one if another result would get the same key."""
        if not done.result_key:
            return done
        if done.result_key in self._result_keys:
            return not_written(done, ObjectOutcome.SKIPPED, Reason.KEY_TAKEN, str(KeyTakenError(done.result_key)))
        self._result_keys[done.result_key] = None
        if len(self._result_keys) > RESULT_KEYS_MAX:
            self._result_keys.popitem(last=False)
        return done

    def _handle(self, entry: Entry, answer: WorkerAnswer) -> None:
        if isinstance(answer, Prepared):
            self._engine.drop(answer)
            done = self._with_free_key(answer.done)
        elif isinstance(answer, Lost):
            done = failure_of(entry, Reason.POISON, "the worker died while it had this object")
        else:
            done = answer
        self.tally.add(done)
        if self._count is not None:
            saved = done.size - done.bytes_out if done.outcome.changed else 0
            self.sample.append((done.size, saved))
