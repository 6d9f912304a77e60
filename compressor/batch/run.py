"""A run: it passes the objects of a listing to an engine, and records in the ledger what becomes of each."""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace

from compressor.batch.job import Engine, Job, Lost, Prepared, WorkerAnswer
from compressor.batch.originals import originals_of
from compressor.batch.outcomes import KeyTakenError, failure_of, is_settled, not_written
from compressor.batch.plan import FOUND_STEP, Listing, ListingStoppedError, WatchedListing, shards
from compressor.batch.rate_limit import RateLimit
from compressor.batch.renames import result_in, settle
from compressor.batch.result_keys import Contenders
from compressor.batch.tally import Tally
from compressor.ledger.ledger import Ledger, Shard
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason, indeterminate
from compressor.report.summary import Progress
from compressor.stores.contract import Entry, Store, StoreError
from compressor.stores.filters import Filters

TRIES_MAX = 5
DEATHS_MAX = 2  # of workers that had an object: then it is poison
BACK_OFF_SECONDS = 1.0  # before the second try, doubled for each try after that
POLL_SECONDS = 0.2
DRAIN_SECONDS = 60.0
AHEAD = 2  # tasks listed and waiting, as a multiple of the engine's slots
UNSETTLED = "the store did not confirm whether another object's result got this key: the next run will check"
# An object for which a worker gives one of these reasons may have been written by another worker, of a killed run.
OVERTAKEN = {Reason.CHANGED, Reason.MISSING, Reason.KEY_TAKEN}


@dataclass
class Task:
    """An object that is yet to be done.

    intended       its intent is in the ledger: it may have been written
    suspect        a worker died while it had this object
    renamed        the record of an earlier run whose result replaced it under another key
    spent_seconds  CPU time of failed tries, and `held_byte_seconds` their memory over time
    """

    entry: Entry
    shard: int
    tries: int = 0
    deaths: int = 0
    intended: bool = False
    suspect: bool = False
    renamed: ObjectResult | None = None
    spent_seconds: float = 0.0
    held_byte_seconds: float = 0.0


@dataclass
class OpenShard:
    """A shard with objects that are not done yet."""

    shard: Shard
    left: int = 0
    listed: bool = False


@dataclass
class Run:
    """A run, or the rest of one.

    should_stop  called at every poll; once it returns True, nothing new is started, what was prepared is dropped, and
                 `work` returns
    on_progress  called at every poll, and every FOUND_STEP objects while nothing but the listing goes on
    """

    job: Job
    ledger: Ledger
    engine: Engine
    listing: Listing
    filters: Filters
    source: Store
    target: Store
    rate_limit: RateLimit
    should_stop: Callable[[], bool] = lambda: False
    on_progress: Callable[[Progress], None] = lambda progress: None
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._in_flight: dict[int, Task] = {}  # by the number that the engine answers with
        self._number = 0
        self._open_shards: dict[int, OpenShard] = {}
        self._waiting: deque[Task] = deque()
        self._retries: list[tuple[float, int, Task, ObjectResult]] = []  # when, a tie-break, and the last failure
        self._retry_count = 0
        self._indeterminate: set[str] = set()  # keys of intents whose outcome could not be found out
        self._suspects: deque[Task] = deque()  # tried one at a time
        self._contenders: Contenders[Task] | None = Contenders() if self.job.rename else None
        self._abandoned: dict[str, ObjectResult] = {}  # by key: intents of a killed run to write under new keys
        keep = self.job.keep if self.job.in_place else None
        self._originals = None if keep is None else originals_of(keep, self.source)
        self._now = time.time()
        self._listed = 0  # entries, whether they match the filters or not

    def work(self) -> bool:
        """Do what is left; return False where the run was stopped before its end."""
        self._recover_intents()
        tasks = self._tasks()
        while not self.should_stop():
            try:
                self._refill(tasks)
            except ListingStoppedError:
                break
            self._dispatch()
            if not self._in_flight and not (self._waiting or self._retries or self._suspects) and self.tally.listed_all:
                self.on_progress(self.tally.progress())
                return True
            self._collect(POLL_SECONDS if self._in_flight else self.rate_limit.wait_seconds(POLL_SECONDS))
            self.on_progress(self.tally.progress())
        self._drain()
        return False

    def _drain(self) -> None:
        """Wait for objects that are being written, and drop the others."""
        end = time.monotonic() + DRAIN_SECONDS
        while any(task.intended for task in self._in_flight.values()) and time.monotonic() < end:
            for number, answer in self.engine.answers(POLL_SECONDS):
                task = self._in_flight.pop(number, None)
                if isinstance(answer, Prepared):
                    self.engine.drop(answer)
                elif task is not None and isinstance(answer, ObjectResult) and not answer.retry:
                    self._finish(task, answer)
        self.ledger.commit()

    # --- what is left to do ----------------------------------------------------------------------------------------

    def _tasks(self) -> Iterator[Task]:
        """Yield all objects that are not done yet, and reopen finished shards that contain some."""
        listing = WatchedListing(self.listing, self._watch, self._end_of_listing)
        for shard, entries in shards(listing, self.ledger, self.tally.refuse):
            known = self.ledger.known(shard)
            todo: list[Entry] = []
            listed, seen = {entry.key for entry in entries}, set[str]()
            unknown = 0
            renamed = {done.key: done for done in known.values() if self._is_renamed(done)}
            for entry in entries:
                if entry.key in seen or not self.filters.match(entry, self._now):
                    continue
                seen.add(entry.key)  # a manifest may name an object twice
                if entry.key in self._indeterminate:
                    unknown += 1
                    continue
                found = known.get(entry.key)
                if found is None and self._is_result(entry):
                    continue
                if found is not None and is_settled(entry, found, self.job):
                    self.tally.add(found)
                    self.tally.already += 1
                else:
                    todo.append(entry)
            for key, done in renamed.items():
                if key not in seen and self.filters.match_key(key):
                    self.tally.add(done)
                    self.tally.already += 1
            gone = self._vanished_failures(known, listed)
            if not todo and not gone and shard.done:
                continue
            self.ledger.reopen(shard)
            for key in gone:
                self.ledger.remove(key)
            # Indeterminate objects keep their shard open: the next run asks again.
            opened = self._open_shards[shard.number] = OpenShard(replace(shard, done=False), left=unknown)
            for entry in todo:
                opened.left += 1
                yield Task(entry, shard.number, renamed=renamed.get(entry.key))
            opened.listed = True
            self._close_if_done(opened)

    def _vanished_failures(self, known: Mapping[str, ObjectResult], listed: Set[str]) -> list[str]:
        """Return the keys of a shard's failures whose objects no longer exist: somebody has removed them, as far as all
        folders can be listed."""
        if self.tally.unlisted_folders:
            return []
        failed = (key for key, done in known.items() if done.outcome is ObjectOutcome.FAILED)
        return [key for key in failed if key not in listed]

    def _watch(self, entry: Entry) -> None:
        """Count a listed object, and show now and then how many there are.

        Raise ListingStoppedError if the run is to stop: it may take long until a listing gives the next task.
        """
        if self.filters.match(entry, self._now):
            self.tally.find(entry.size)
        self._listed += 1
        if self._listed % FOUND_STEP == 0:
            self.on_progress(self.tally.progress())
            if self.should_stop():
                raise ListingStoppedError

    def _end_of_listing(self) -> None:
        self.tally.found_all = True

    def _is_renamed(self, done: ObjectResult) -> bool:
        """Return whether an object was replaced in place by a result with another key."""
        return self.job.in_place and done.result_key != "" and done.outcome.changed

    def _is_result(self, entry: Entry) -> bool:
        """Return whether a listed object is what this run, or an earlier one of its ledger, wrote under a new key."""
        if not (self.job.in_place and self.job.rename):
            return False
        result = self.ledger.result_at(entry.key)
        return result is not None and result.is_at(entry)

    def _recover_intents(self) -> None:
        """Find out which intents of a run that was killed were carried out."""
        for intent, shard in self.ledger.intents():
            try:
                done = self._completed(intent)
            except StoreError:
                self._indeterminate.add(intent.key)
                self.tally.add(indeterminate(intent))
                continue
            if done is None:
                self.ledger.delete_intent(intent.key)
                if intent.result_key:
                    self._abandoned[intent.key] = intent
            else:
                self.ledger.finish(shard, done)
            self._clean_up(intent)
        self.ledger.commit()

    def _clean_up(self, intent: ObjectResult) -> None:
        """Remove what a worker that was killed while it wrote may have left. One that is alive does so itself."""
        store = self.source if self.job.in_place else self.target
        for key in {intent.key, intent.stored_key} if self.job.in_place else {intent.stored_key}:
            with suppress(StoreError):
                store.clean_up(key)
        with suppress(StoreError):
            if self._originals is not None:
                self._originals.store.clean_up(self._kept_key(intent.key))

    def _kept_key(self, key: str) -> str:
        """Return the key of an object's kept original; "" where originals are not kept."""
        return "" if self._originals is None else self._originals.key(key)

    def _completed(self, intent: ObjectResult) -> ObjectResult | None:
        """Return the record of an intent that was carried out; None of one that was not."""
        if self.job.in_place and intent.result_key:
            found = settle(self.source, intent)
        else:
            found = result_in(self.source if self.job.in_place else self.target, intent)
        return None if found is None else replace(intent, result_etag=found.etag, kept=self._kept_key(intent.key))

    # --- to the engine and back ------------------------------------------------------------------------------------

    def _refill(self, tasks: Iterator[Task]) -> None:
        """Take tasks from the listing, and those whose retry is due."""
        while len(self._waiting) < AHEAD * self.engine.slots and not self.tally.listed_all:
            task = next(tasks, None)
            if task is None:
                self.tally.listed_all = True
            elif self._contenders is None or (self._contenders.enter(task.entry.key, task) and self._admit(task)):
                self._waiting.append(task)
        while self._retries and self._retries[0][0] <= time.monotonic():
            _, _, task, failure = heapq.heappop(self._retries)
            if task.intended:
                task.tries += 1
                self._retry(task, failure)
            elif task.suspect:
                self._suspects.append(task)
            else:
                self._waiting.appendleft(task)

    def _admit(self, task: Task) -> bool:
        """Return whether an object is to be processed, now that no other is in work that may get its key."""
        result = self.ledger.result_at(task.entry.key) if self.job.in_place else None
        if result is None or (result.etag and not result.is_at(task.entry)):
            return True
        if result.etag:  # listed while it was written
            self.ledger.forget(task.entry.key)
            self._leave(task)
        else:
            self._finish(task, replace(failure_of(task.entry, Reason.UNAVAILABLE, UNSETTLED), retry=True))
        return False

    def _leave(self, task: Task) -> None:
        """Count an object of its shard as done, and let the next one start that may get the same key."""
        opened = self._open_shards[task.shard]
        opened.left -= 1
        self._close_if_done(opened)
        self._start_contender(task)

    def _start_contender(self, task: Task) -> None:
        following = None if self._contenders is None else self._contenders.leave(task.entry.key)
        if following is not None and self._admit(following):
            self._waiting.appendleft(following)

    def _dispatch(self) -> None:
        """Start a task for each free slot; a suspect only when nothing else is in flight."""
        if self._suspects:
            if not self._in_flight:
                self._start(self._suspects.popleft(), alone=True)
            return
        slots = min(self.engine.slots, self.rate_limit.slots)
        while (
            self._waiting and len(self._in_flight) < slots and self.rate_limit.try_acquire(self._waiting[0].entry.size)
        ):
            self._start(self._waiting.popleft())
        self.tally.waiting = self.rate_limit.reason if self._waiting else ""

    def _start(self, task: Task, alone: bool = False) -> None:
        self._number += 1
        self._in_flight[self._number] = task
        task.tries += 1
        task.intended = False
        self.engine.prepare(self._number, task.entry, alone)

    def _collect(self, timeout: float) -> None:
        """Handle the engine's answers. Intents are on disk before any worker writes."""
        commits: list[tuple[int, Prepared]] = []
        for number, answer in self.engine.answers(timeout):
            task = self._in_flight.get(number)
            if task is None:
                continue
            if isinstance(answer, Prepared) and (refused := self._key_refusal(answer.done)) is not None:
                self.engine.drop(answer)
                del self._in_flight[number]
                self._finish(task, refused)
            elif isinstance(answer, Prepared):
                self.ledger.intend(task.shard, answer.done)
                task.intended = True
                commits.append((number, answer))
            else:
                del self._in_flight[number]
                self._handle(task, answer)
        self.ledger.commit()
        for number, prepared in commits:
            self.engine.commit(number, prepared)

    def _key_refusal(self, done: ObjectResult) -> ObjectResult | None:
        """Return the record of an object whose result must not get its new key; None if it may.

        In place the worker has found the key free, so that an earlier result with it no longer exists. The key of an
        object that was replaced under another one is not given to others all the same.
        """
        if not done.result_key:
            return None
        other = self.ledger.result_at(done.result_key)
        if other is not None and other.key != done.key and not other.etag:
            unsettled = not_written(done, ObjectOutcome.FAILED, Reason.UNAVAILABLE, UNSETTLED)
            return replace(unsettled, retry=True)
        if self.job.in_place:
            taken = self.ledger.has_other_key(done.result_key)
        else:
            taken = other is not None and other.key != done.key
        if taken:
            return not_written(done, ObjectOutcome.SKIPPED, Reason.KEY_TAKEN, str(KeyTakenError(done.result_key)))
        return None

    def _handle(self, task: Task, answer: WorkerAnswer) -> None:
        if isinstance(answer, Lost):
            self._handle_lost(task, answer)
        elif isinstance(answer, ObjectResult):
            if answer.reason is Reason.THROTTLED:
                self.rate_limit.record_throttling(len(self._in_flight) + 1)
            elif answer.reason is not Reason.UNAVAILABLE:
                self.rate_limit.record_success()
            if answer.retry:
                self._retry(task, answer)
            elif answer.reason in OVERTAKEN and self._changed_by_us(task):
                pass
            elif answer.reason is Reason.MISSING and task.renamed is not None:  # a manifest has its old key
                self._finish(task, replace(task.renamed, stage_seconds={}, other_seconds=0.0, memory_byte_seconds=0.0))
            else:
                self._finish(task, answer)

    def _changed_by_us(self, task: Task) -> bool:
        """Finish an object that a worker of a killed run has changed in the meantime: the results are identical.

        Returns whether that was so.
        """
        with suppress(StoreError):
            return self._finish_if_written(task)
        return False

    def _handle_lost(self, task: Task, lost: Lost) -> None:
        """Retry an object whose worker died, or give it up as poison."""
        task.deaths += 1
        task.suspect = True
        failure = failure_of(task.entry, Reason.POISON, f"{task.deaths} workers died while they had this object")
        if lost.alone and task.deaths >= DEATHS_MAX and not task.intended:
            self._finish(task, failure)
        else:
            self._retry(task, failure)

    def _retry(self, task: Task, failure: ObjectResult) -> None:
        """Try again later, unless the object was written after all: a time-out does not mean that it was not."""
        if task.intended:
            try:
                if self._finish_if_written(task):
                    return
                task.intended = False
            except StoreError:
                pass
        if task.tries < TRIES_MAX:
            delay = 0.0 if task.suspect and not task.intended else BACK_OFF_SECONDS * 2 ** (task.tries - 1)
            task.spent_seconds += failure.cpu_seconds
            task.held_byte_seconds += failure.memory_byte_seconds
            self._retry_count += 1
            heapq.heappush(self._retries, (time.monotonic() + delay, self._retry_count, task, failure))
        elif task.intended:  # the intent stays in the ledger: the next run finds out
            self.tally.add(indeterminate(failure))
            self._start_contender(task)
        else:
            self._finish(task, failure)

    def _finish_if_written(self, task: Task) -> bool:
        """Finish an object whose intent was carried out; return whether it was."""
        intent = self.ledger.intent(task.entry.key) or self._abandoned.get(task.entry.key)
        done = None if intent is None else self._completed(intent)
        if intent is None or done is None:
            return False
        self._clean_up(intent)
        self._finish(task, done)
        return True

    def _finish(self, task: Task, done: ObjectResult) -> None:
        done = replace(
            done,
            other_seconds=done.other_seconds + task.spent_seconds,
            memory_byte_seconds=done.memory_byte_seconds + task.held_byte_seconds,
        )
        self.ledger.finish(task.shard, done)
        self.tally.add(done)
        self._leave(task)

    def _close_if_done(self, opened: OpenShard) -> None:
        if opened.listed and not opened.left:
            self.ledger.finish_shard(opened.shard.number)
            self._open_shards.pop(opened.shard.number, None)
