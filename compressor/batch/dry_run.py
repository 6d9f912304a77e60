"""A dry run: objects are read and compressed, all or a sample, and nothing is written anywhere."""

import time
from collections.abc import Callable, Iterator

from compressor.batch.job import Engine, Lost, Prepared
from compressor.batch.plan import Listing
from compressor.batch.tally import Reservoir, Tally
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.report.summary import Progress
from compressor.stores.contract import Entry
from compressor.stores.filters import Filters

TURN_SECONDS = 0.2


class DryRun:
    """Of a listing.

    count          objects that are drawn, each as likely as any other; None: all
    objects, size  of the listing, filtered; known when `run` has ended
    tally          what would become of those that were looked at
    """

    def __init__(self, engine: Engine, listing: Listing, filters: Filters, count: int | None) -> None:
        self._engine, self._listing, self._filters, self._count = engine, listing, filters, count
        self.objects = self.size = 0
        self.tally = Tally()
        self.sample: list[tuple[int, int]] = []  # size and saving of each object that was drawn

    def _meant(self) -> Iterator[Entry]:
        now = time.time()
        for _, entry in self._listing.entries(self.tally.refuse):
            if self._filters.match(entry, now):
                self.objects += 1
                self.size += entry.size
                yield entry

    def _drawn(self) -> Iterator[Entry]:
        """Yield the objects to be read: all, or a sample, which a second run draws likewise."""
        if self._count is None:
            yield from self._meant()
            return
        drawn = Reservoir[Entry](self._count)
        for entry in self._meant():
            drawn.offer(entry)
        yield from drawn

    def run(self, stopped: Callable[[], bool], told: Callable[[Progress], None]) -> bool:
        """Until all is done; False where it was stopped before."""
        arriving, under_way, number = self._drawn(), dict[int, Entry](), 0
        while not stopped():
            while len(under_way) < self._engine.slots and not self.tally.listed_all:
                entry = next(arriving, None)
                if entry is None:
                    self.tally.listed_all = True
                    break
                number += 1
                under_way[number] = entry
                self._engine.prepare(number, entry)
            if not under_way:
                return True
            for at, answer in self._engine.answers(TURN_SECONDS):
                entry = under_way.pop(at, None)
                if entry is not None:
                    self._answered(entry, answer)
            told(self.tally.progress())
        return False

    def _answered(self, entry: Entry, answer: Prepared | ObjectResult | Lost) -> None:
        if isinstance(answer, Prepared):
            self._engine.drop(answer)
            done = answer.done
        elif isinstance(answer, Lost):
            done = ObjectResult(
                key=entry.key, etag=entry.etag, size=entry.size, outcome=ObjectOutcome.FAILED, reason=Reason.POISON,
                error="a worker died of it, or beside it",
            )  # fmt: skip
        else:
            done = answer
        self.tally.add(done)
        if self._count is not None:
            saved = done.size - done.bytes_out if done.outcome.changed else 0
            self.sample.append((done.size, saved))
