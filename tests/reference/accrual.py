"""Storage credit by its definition: day by day, byte for byte, in a list."""

from dataclasses import dataclass, field

DAY = 86400


@dataclass
class Cohort:
    bytes: int
    since: int
    until: int


@dataclass
class SlowLedger:
    kind: str
    there: bool = True
    saved: dict[int, int] = field(default_factory=dict)  # by shard, as it was last read
    out: dict[int, int] = field(default_factory=dict)
    deleted_out: dict[int, int] = field(default_factory=dict)
    cohorts: dict[int, list[Cohort]] = field(default_factory=dict)

    def less(self, shard: int, bytes: int) -> None:
        """Reduce cohorts, first the one that would be credited for the longest time."""
        for cohort in sorted(self.cohorts.get(shard, []), key=lambda one: (one.until, one.since), reverse=True):
            gone = min(bytes, cohort.bytes)
            cohort.bytes -= gone
            bytes -= gone


@dataclass
class Slow:
    """Ledgers with all times in whole days."""

    credit_days: int
    last: int | None = None
    avoided: int = 0  # byte-days
    added: int = 0
    unsent: int = 0  # bytes
    ledgers: dict[str, SlowLedger] = field(default_factory=dict)

    def tick(self, day: int, found: dict[str, tuple[str, dict[int, tuple[int, int]]] | None]) -> None:
        """Advance by a tick.

        found  for each existing ledger: its kind, and saved and out by shard; None while a run holds it"""
        last = day if self.last is None else self.last
        day = max(day, last)
        for _ in range(last, day):
            for ledger in self.ledgers.values():
                if ledger.kind == "added":
                    self.added += sum(out - ledger.deleted_out.get(shard, 0) for shard, out in ledger.out.items())
        for name, seen in found.items():
            if seen is not None:
                self._take(self.ledgers.setdefault(name, SlowLedger(seen[0], there=False)), day, *seen)
        for name, ledger in self.ledgers.items():
            if ledger.there and name in found and ledger.kind == "avoided":
                for cohorts in ledger.cohorts.values():
                    for cohort in cohorts:
                        self.avoided += sum(
                            cohort.bytes for at in range(last, day) if cohort.since <= at < cohort.until
                        )
            ledger.there = name in found
        self.last = day

    def _take(self, ledger: SlowLedger, day: int, kind: str, shards: dict[int, tuple[int, int]]) -> None:
        ledger.kind = kind
        for shard, (saved, out) in shards.items():
            before = ledger.saved.get(shard, 0)
            if saved > before:
                cohort = Cohort(saved - before, day, day + self.credit_days)
                ledger.cohorts.setdefault(shard, []).append(cohort)
            else:
                ledger.less(shard, before - saved)
            ledger.saved[shard], ledger.out[shard] = saved, out

    def delete(self, name: str, shard: int, saved: int, out: int) -> None:
        ledger = self.ledgers[name]
        ledger.less(shard, saved)
        ledger.deleted_out[shard] = ledger.deleted_out.get(shard, 0) + out

    def confirm(self, day: int, name: str | None) -> None:
        assert self.last is not None
        for of, ledger in self.ledgers.items():
            if ledger.kind == "avoided" and name in (of, None):
                for cohort in (one for cohorts in ledger.cohorts.values() for one in cohorts):
                    cohort.until = max(cohort.until, min(day, self.last) + self.credit_days)
