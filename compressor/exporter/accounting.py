"""Accounting: each tick adds to counters what happened since the last, with the coefficients of that moment."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compressor.errors import SettingsError
from compressor.exporter import credit, index
from compressor.exporter.events import EVENTS, RESULTS, Events
from compressor.exporter.feed import Feeds
from compressor.exporter.ledgers import LedgerObservation, Ledgers
from compressor.exporter.state import State
from compressor.footprint import Basis, Drivers, amounts
from compressor.usage import ProcessUsage

log = logging.getLogger(__name__)

DAY_SECONDS = 86400.0
CREDIT_DAYS = 365.0
NO_ACCESS = "unknown"
PENDING = ("pending cpu seconds", "pending memory byte-seconds", "pending added byte-seconds")


@dataclass(frozen=True, kw_only=True)
class ExporterConfig:
    """An exporter's configuration.

    ledgers          files, or folders with *.ledger files
    state            file that keeps counters across restarts
    feeds            files of events
    max_credit_days  how long a saving is credited unless an event confirms that the results still exist
    """

    ledgers: tuple[Path, ...]
    state: Path
    basis: Basis = field(default_factory=Basis)
    feeds: tuple[Path, ...] = ()
    max_credit_days: float = CREDIT_DAYS

    def __post_init__(self) -> None:
        if not self.ledgers:
            raise SettingsError("ledger", "is missing: give the ledger of a batch run, or a folder of them")
        if not 0 < self.max_credit_days <= 36525:
            raise SettingsError("max_credit_days", f"is {self.max_credit_days:g}, must be more than 0, at most 36525")


@dataclass(frozen=True, slots=True)
class Readings:
    """The values of a scrape, as metrics.exporter reads them."""

    counters: dict[tuple[str, str], float] = field(default_factory=dict)
    amounts: dict[tuple[str, str, str], tuple[float, float, float]] = field(default_factory=dict)
    saved_bytes: int = 0
    expired_bytes: int = 0
    result_bytes: int = 0
    oldest_read_timestamp: float = 0.0


class Exporter:
    """Counts what accrues, in a state that only one exporter has open at a time. May be used by several threads.

    clock  returns the Unix time; while it is behind the last tick, nothing accrues
    usage  of this process
    """

    def __init__(
        self, config: ExporterConfig, clock: Callable[[], float] = time.time, usage: ProcessUsage | None = None
    ) -> None:
        self._config, self._basis, self._clock = config, config.basis, clock
        self._usage = usage or ProcessUsage(since_start=True)
        self._lock = threading.RLock()
        self._ledgers = Ledgers(config.ledgers)
        self._feeds = Feeds(config.feeds)
        self._credit_seconds = config.max_credit_days * DAY_SECONDS
        self._state = State(config.state)
        self.healthy = True
        try:
            self._prepare()
        except BaseException:
            self._state.close()
            raise
        self._warn_of_missing_files()

    def _warn_of_missing_files(self) -> None:
        """Warn at the start, not with the first scrape, so that whoever misspelled a path sees it."""
        self._ledgers.check()
        for path in self._config.feeds:
            if not path.exists():
                log.warning("%s does not exist yet", path)

    def close(self) -> None:
        with self._lock:
            self._feeds.close()
            self._state.close()

    # --- ticks -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Account for the time since the last tick; not before a first scrape has seen where counters begin."""
        with self._lock:
            if self._state.fact("unscraped"):
                return
            try:
                self._tick(self._ledgers.observe())
            except BaseException:
                self._ledgers.forget()
                self.healthy = False
                raise
            self.healthy = True

    def _tick(self, observations: list[LedgerObservation]) -> None:
        state = self._state
        used = self._usage.read()
        with state.transaction():
            last = float(state.fact("last tick", now := self._clock()))
            now = max(now, last)
            interval = credit.accrue(state, self._basis, observations, last, now, self._credit_seconds)
            state.note("last tick", now)
            if (storage := self._basis.storage_class) is not None:
                state.count("avoided_storage_byte_seconds", storage, interval.avoided_byte_seconds)
                state.count("added_storage_byte_seconds", storage, interval.added_byte_seconds)
            state.count("ledger_cpu_seconds", "", interval.cpu_seconds)
            state.count("ledger_memory_byte_seconds", "", interval.memory_byte_seconds)
            cpu_seconds = interval.cpu_seconds + used.cpu_seconds
            memory = interval.memory_byte_seconds + used.memory_byte_seconds
            self._estimate(interval.avoided_byte_seconds, 0.0, (cpu_seconds, memory, interval.added_byte_seconds))
        self._usage.mark(used)

    def follow(self) -> bool:
        """Read a piece of a ledger's parts or of the feeds; return True if there is more to read now."""
        with self._lock:
            if not self._config.feeds or self._state.fact("unscraped"):
                return False
            if index.index_one(self._state):
                return True  # feeds wait: a deletion of an unknown key would be ignored, and credited
            return self._feeds.step(self._state, self._count_events)

    def _count_events(self, lines: list[bytes]) -> None:
        state = self._state
        now = float(state.fact("last tick", 0.0))
        events = Events(state, now, self._credit_seconds, credit.may_credit(self._basis))
        for line in lines:
            state.count("feed_events", ",".join(events.take(line)), 1)
        state.count("avoided_egress_bytes", self._basis.network or NO_ACCESS, events.unsent_bytes)
        self._estimate(0.0, events.unsent_bytes, (0.0, 0.0, 0.0))

    def _estimate(self, avoided: float, unsent: float, used: tuple[float, float, float]) -> None:
        """Add to the estimates. While the profile is off, what was used is kept for later."""
        state, basis = self._state, self._basis
        cpu, memory, added = (state.fact(name, 0.0) + amount for name, amount in zip(PENDING, used, strict=True))
        used = (cpu, memory, added)
        for name, amount in zip(PENDING, used if basis.is_off else (0.0, 0.0, 0.0), strict=True):
            state.note(name, amount)
        if not basis.is_off:
            for drivers in self._drivers(avoided, unsent, used):
                state.estimate(amounts(basis.estimate(drivers)))

    def _drivers(self, avoided: float, unsent: float, used: tuple[float, float, float]) -> tuple[Drivers, Drivers]:
        """Return benefits and costs separately: they have separate counters."""
        basis = self._basis
        storage = basis.storage_class
        cpu_seconds, memory_byte_seconds, added = used
        gains = Drivers(
            0.0,
            0.0,
            stored_byte_seconds=avoided if credit.may_credit(basis) else None,
            storage_class=storage or "hdd-3az",
            unsent_bytes=None if basis.network is None else unsent,
            access=basis.network or "fixed",
        )
        costs = Drivers(
            cpu_seconds,
            memory_byte_seconds,
            stored_byte_seconds=-added if storage is not None and added else None,
            storage_class=storage or "hdd-3az",
        )
        return gains, costs

    def _prepare(self) -> None:
        """Create every counter that can occur, with 0. After a new one nothing accrues until it was scraped."""
        state, basis = self._state, self._basis
        counters = [("ledger_cpu_seconds", ""), ("ledger_memory_byte_seconds", "")]
        counters += [("avoided_egress_bytes", basis.network or NO_ACCESS)]
        counters += [("feed_events", f"{event},{result}") for event in EVENTS for result in RESULTS]
        if basis.storage_class is not None:
            counters += [(f"{side}_storage_byte_seconds", basis.storage_class) for side in ("avoided", "added")]
        found: set[tuple[str, str, str]] = set()
        if not basis.is_off:
            for drivers in self._drivers(0.0, 0.0, (0.0, 0.0, 1.0)):
                found |= amounts(basis.estimate(drivers)).keys()
        with state.transaction():
            if set(counters) - state.counters().keys() or found - state.estimates().keys():
                state.note("unscraped", 1)
            for name, labels in counters:
                state.count(name, labels, 0.0)
            state.estimate(dict.fromkeys(found, (0.0, 0.0, 0.0)))

    # --- scrapes -----------------------------------------------------------------------------------------------------

    def readings(self) -> Readings:
        """Return the current values, after a tick; the first ones show where counters begin."""
        with self._lock:
            self.tick()
            state = self._state
            now = max(self._clock(), float(state.fact("last tick", 0.0)))
            saved, expired = credit.credited_bytes(state, now)
            counters = state.counters()
            found = Readings(
                counters=counters,
                amounts=state.estimates(),
                saved_bytes=saved if credit.may_credit(self._basis) else 0,
                expired_bytes=expired if credit.may_credit(self._basis) else 0,
                result_bytes=credit.result_bytes(state),
                oldest_read_timestamp=self._oldest_read_timestamp(),
            )
            if state.fact("unscraped"):
                with state.transaction():
                    state.note("unscraped", 0)
                    state.note("last tick", state.fact("last tick", now))
            return found

    def _oldest_read_timestamp(self) -> float:
        """Return when the ledger that was not read for the longest time was last read; 0 if one was never read."""
        read = dict(self._state.run("SELECT path, read FROM ledgers"))
        return min((read.get(path, 0.0) for path in self._ledgers.expected(read)), default=0.0)
