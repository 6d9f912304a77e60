"""Leads the objects of a listing through an engine, and writes down what becomes of each."""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from compressor.batch.job import Answer, Engine, Job, Lost, Prepared
from compressor.batch.originals import originals_of
from compressor.batch.outcomes import settled
from compressor.batch.plan import Listing, shards
from compressor.batch.rate_limit import RateLimit
from compressor.batch.tally import Tally
from compressor.ledger.ledger import Ledger, Shard
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason, indeterminate
from compressor.report.summary import Progress
from compressor.stores.contract import Entry, Store, StoreError, store_digest
from compressor.stores.filters import Filters

TRIES_MAX = 5
DEATHS_MAX = 2  # of workers, by one object: then it is poison
BACK_OFF_SECONDS = 1.0  # before the second try; doubled for each one more
TURN_SECONDS = 0.2
DRAIN_SECONDS = 60.0
AHEAD = 2  # times the engine's slots: listed and waiting


@dataclass
class Ticket:
    """An object on its way."""

    entry: Entry
    shard: int
    tries: int = 0
    deaths: int = 0
    intended: bool = False  # it may have been written
    suspect: bool = False  # a worker died while it had it
    spent: float = 0.0  # CPU seconds of tries that came to nothing, and `held`: byte-seconds of memory
    held: float = 0.0


@dataclass
class Open:
    """A shard whose objects are under way."""

    shard: Shard
    left: int = 0
    listed: bool = False


@dataclass
class Run:
    """A run, or what is left of one.

    stopped  asked at every turn: nothing new is begun, what was prepared is dropped, and `work` returns
    told     called at every turn
    """

    job: Job
    ledger: Ledger
    engine: Engine
    listing: Listing
    filters: Filters
    source: Store
    target: Store
    pace: RateLimit
    stopped: Callable[[], bool] = lambda: False
    told: Callable[[Progress], None] = lambda progress: None
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._tickets: dict[int, Ticket] = {}  # with the engine
        self._number = 0
        self._open: dict[int, Open] = {}
        self._waiting: deque[Ticket] = deque()
        self._later: list[tuple[float, int, Ticket, ObjectResult]] = []  # to be tried again: when, and what it was last
        self._pushed = 0
        self._unsure: set[str] = set()  # intents of which nobody knows yet what became of them
        self._suspects: deque[Ticket] = deque()  # a worker died while it had them: one at a time
        keep = self.job.keep if self.job.in_place else None
        self._originals = None if keep is None else originals_of(keep, self.source)
        self._now = time.time()

    def work(self) -> bool:
        """Until all is done; False where it was stopped before."""
        self._settle()
        arriving = self._entries()
        while not self.stopped():
            self._fill(arriving)
            self._give()
            if not self._tickets and not (self._waiting or self._later or self._suspects) and self.tally.listed_all:
                self.told(self.tally.progress())
                return True
            self._take(TURN_SECONDS if self._tickets else self.pace.wait(TURN_SECONDS))
            self.told(self.tally.progress())
        self._drain()
        return False

    def _drain(self) -> None:
        """Let what is being written end, and forget the rest."""
        end = time.monotonic() + DRAIN_SECONDS
        while any(ticket.intended for ticket in self._tickets.values()) and time.monotonic() < end:
            for number, answer in self.engine.answers(TURN_SECONDS):
                ticket = self._tickets.pop(number, None)
                if isinstance(answer, Prepared):
                    self.engine.drop(answer)
                elif ticket is not None and isinstance(answer, ObjectResult) and not answer.retry:
                    self._finish(ticket, answer)
        self.ledger.commit()

    # --- what there is to do ---------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[Ticket]:
        """All objects that are not done yet. Known shards are opened again where something in them is not."""
        for shard, entries in shards(self.listing, self.ledger, self.tally.refuse):
            known = self.ledger.known(shard)
            todo: list[Entry] = []
            seen: set[str] = set()
            indeterminate = 0
            for entry in entries:
                if entry.key in seen or not self.filters.match(entry, self._now):
                    continue
                seen.add(entry.key)  # a manifest may name an object twice
                if entry.key in self._unsure:
                    indeterminate += 1
                    continue
                done = known.get(entry.key)
                if done is not None and settled(entry, done, self.job):
                    self.tally.add(done)
                    self.tally.already += 1
                else:
                    todo.append(entry)
            if not todo and shard.done:
                continue
            self.ledger.reopen(shard)
            # What nobody knows the end of keeps its shard open: the next run asks again.
            opened = self._open[shard.number] = Open(replace(shard, done=False), left=indeterminate)
            for entry in todo:
                opened.left += 1
                yield Ticket(entry, shard.number)
            opened.listed = True
            self._close_shard(opened)

    def _settle(self) -> None:
        """Find out what became of intents that a killed run left."""
        for intent, shard in self.ledger.intents():
            try:
                done = self._written(intent)
            except StoreError:
                self._unsure.add(intent.key)
                self.tally.add(indeterminate(intent))
                continue
            if done is None:
                self.ledger.delete_intent(intent.key)
            else:
                self.ledger.finish(shard, done)
            self._tidy(intent.key)
        self.ledger.commit()

    def _tidy(self, key: str) -> None:
        """Whoever was to write it may have been killed at that. Where it lives, it does so itself."""
        with suppress(StoreError):
            (self.source if self.job.in_place else self.target).clean_up(key)
        with suppress(StoreError):
            if self._originals is not None:
                self._originals.store.clean_up(self._kept(key))

    def _kept(self, key: str) -> str:
        """Where the original of a key is kept; "" where none is."""
        return "" if self._originals is None else self._originals.key(key)

    def _written(self, intent: ObjectResult) -> ObjectResult | None:
        """An intent as it is when it has been carried out; None where it has not."""
        store = self.source if self.job.in_place else self.target
        there = store.head(intent.key)
        if there is None or there.size != intent.bytes_out or store_digest(store, intent.key) != intent.digest:
            return None
        return replace(intent, result_etag=there.etag, kept=self._kept(intent.key))

    # --- giving and taking -----------------------------------------------------------------------------------------

    def _fill(self, arriving: Iterator[Ticket]) -> None:
        while len(self._waiting) < AHEAD * self.engine.slots and not self.tally.listed_all:
            ticket = next(arriving, None)
            if ticket is None:
                self.tally.listed_all = True
            else:
                self._waiting.append(ticket)
        while self._later and self._later[0][0] <= time.monotonic():
            _, _, ticket, failed = heapq.heappop(self._later)
            if ticket.intended:
                ticket.tries += 1
                self._again(ticket, failed)
            elif ticket.suspect:
                self._suspects.append(ticket)
            else:
                self._waiting.appendleft(ticket)

    def _give(self) -> None:
        """As many objects as there are slots; a suspect only when nothing else is under way."""
        if self._suspects:
            if not self._tickets:
                self._send(self._suspects.popleft(), alone=True)
            return
        slots = min(self.engine.slots, self.pace.slots)
        while self._waiting and len(self._tickets) < slots and self.pace.may(self._waiting[0].entry.size):
            self._send(self._waiting.popleft())
        self.tally.waiting = self.pace.reason if self._waiting else ""

    def _send(self, ticket: Ticket, alone: bool = False) -> None:
        self._number += 1
        self._tickets[self._number] = ticket
        ticket.tries += 1
        ticket.intended = False
        self.engine.prepare(self._number, ticket.entry, alone)

    def _take(self, timeout: float) -> None:
        """What has come in; intents are on disk before anybody is told to write."""
        commits: list[tuple[int, Prepared]] = []
        for number, answer in self.engine.answers(timeout):
            ticket = self._tickets.get(number)
            if ticket is None:
                continue
            if isinstance(answer, Prepared):
                self.ledger.intend(ticket.shard, answer.done)
                ticket.intended = True
                commits.append((number, answer))
            else:
                del self._tickets[number]
                self._answered(ticket, answer)
        self.ledger.commit()
        for number, prepared in commits:
            self.engine.commit(number, prepared)

    def _answered(self, ticket: Ticket, answer: Answer) -> None:
        if isinstance(answer, Lost):
            self._lost(ticket, answer)
        elif isinstance(answer, ObjectResult):
            if answer.reason is Reason.THROTTLED:
                self.pace.throttled(len(self._tickets) + 1)
            elif answer.reason is not Reason.UNAVAILABLE:
                self.pace.went_well()
            if answer.retry:
                self._again(ticket, answer)
            elif answer.reason is not Reason.CHANGED or not self._was_ours(ticket):
                self._finish(ticket, answer)

    def _was_ours(self, ticket: Ticket) -> bool:
        """Whether what has changed an object meanwhile was a worker of a run that was killed: results are the same."""
        with suppress(StoreError):
            return ticket.intended and self._was_written(ticket)
        return False

    def _lost(self, ticket: Ticket, lost: Lost) -> None:
        """A worker died."""
        ticket.deaths += 1
        ticket.suspect = True
        entry = ticket.entry
        failed = ObjectResult(
            key=entry.key, etag=entry.etag, size=entry.size, outcome=ObjectOutcome.FAILED, reason=Reason.POISON
        )
        failed = replace(failed, error=f"{ticket.deaths} workers died of it")
        if lost.alone and ticket.deaths >= DEATHS_MAX and not ticket.intended:
            self._finish(ticket, failed)
        else:
            self._again(ticket, failed)

    def _again(self, ticket: Ticket, failed: ObjectResult) -> None:
        """Try once more, after a while; but first find out whether it was written after all: a time-out while writing
        does not mean that nothing was."""
        if ticket.intended:
            try:
                if self._was_written(ticket):
                    return
                ticket.intended = False
            except StoreError:
                pass
        if ticket.tries < TRIES_MAX:
            delay = 0.0 if ticket.suspect and not ticket.intended else BACK_OFF_SECONDS * 2 ** (ticket.tries - 1)
            ticket.spent += failed.cpu_seconds
            ticket.held += failed.memory_byte_seconds
            self._pushed += 1
            heapq.heappush(self._later, (time.monotonic() + delay, self._pushed, ticket, failed))
        elif ticket.intended:  # the intent stays: the next run will find out
            self.tally.add(indeterminate(failed))
        else:
            self._finish(ticket, failed)

    def _was_written(self, ticket: Ticket) -> bool:
        """Whether an object whose end nobody knows is done after all."""
        intent = self.ledger.intent(ticket.entry.key)
        done = None if intent is None else self._written(intent)
        if done is None:
            return False
        self._tidy(ticket.entry.key)
        self._finish(ticket, done)
        return True

    def _finish(self, ticket: Ticket, done: ObjectResult) -> None:
        spent, held = done.other_seconds + ticket.spent, done.memory_byte_seconds + ticket.held
        done = replace(done, other_seconds=spent, memory_byte_seconds=held)
        self.ledger.finish(ticket.shard, done)
        self.tally.add(done)
        opened = self._open[ticket.shard]
        opened.left -= 1
        self._close_shard(opened)

    def _close_shard(self, opened: Open) -> None:
        if opened.listed and not opened.left:
            self.ledger.finish_shard(opened.shard.number)
            self._open.pop(opened.shard.number, None)
