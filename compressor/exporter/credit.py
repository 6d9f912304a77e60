"""Credit: which savings of a ledger are credited, and for how long.

A ledger's savings are **avoided** storage where results replaced originals that were deleted: in place, without keeping
them. In all other cases originals remain, and results are **added** to what is stored. Savings are credited in cohorts,
from when they are first seen, for a year unless somebody confirms that the results still exist. What is added counts
without a limit.
"""

import logging
from dataclasses import dataclass

from compressor.exporter.ledgers import LedgerObservation
from compressor.exporter.state import State
from compressor.footprint import Basis
from compressor.ledger.snapshot import ShardSum, Snapshot

log = logging.getLogger(__name__)

AVOIDED, ADDED, ENDED = "avoided", "added", "ended"


@dataclass(slots=True)
class Interval:
    """The sums of the time between two ticks."""

    avoided_byte_seconds: float = 0.0
    added_byte_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_byte_seconds: float = 0.0


def may_credit(basis: Basis) -> bool:
    """Return whether avoided storage may be credited at all."""
    return basis.originals_deleted and basis.storage_class is not None


def kind_of(found: Snapshot) -> str:
    """Return AVOIDED, ADDED, or ENDED for a ledger whose originals were restored."""
    if found.restored:
        return ENDED
    return AVOIDED if found.in_place and not found.kept else ADDED


def accrue(
    state: State, basis: Basis, observations: list[LedgerObservation], last: float, now: float, credit_seconds: float
) -> Interval:
    """Return the sums from `last` to `now`, with the ledgers as they are now; in a transaction.

    What shrank, ended or disappeared in that time is not credited for it, and what grew is not credited yet.
    """
    interval = Interval()
    # Where the storage class has changed, or whether to credit, neither held for the whole interval.
    where = f"{basis.storage_class or 'nowhere'} {'credited' if may_credit(basis) else 'kept'}"
    where_before = state.fact("where", where)
    state.note("where", where)
    if basis.storage_class is not None:
        kinds = (ADDED, ADDED) if where_before.endswith("credited") else (ADDED, AVOIDED)
        (added,) = state.run(
            "SELECT total(max(0, out - deleted_out)) FROM shards JOIN ledgers ON ledgers.number = ledger"
            " WHERE kind IN (?, ?)", *kinds,
        ).fetchone()  # fmt: skip
        interval.added_byte_seconds = added * (now - last)
    before = {number for (number,) in state.run("SELECT number FROM ledgers WHERE present")}
    state.run("UPDATE ledgers SET present = 0")
    for observed in observations:
        number = _row(state, observed, now)
        if number is None:
            continue
        if observed.snapshot is not None:
            _apply(state, number, observed.snapshot, interval, now, now + credit_seconds)
        state.run("UPDATE ledgers SET present = 1, read = iif(?, ?, read) WHERE number = ?", observed.read, now, number)
    if may_credit(basis) and where_before == where:
        for number in before:
            (avoided,) = state.run(
                "SELECT total(bytes * max(0, min(until, ?) - max(since, ?))) FROM cohorts"
                " JOIN ledgers ON ledgers.number = ledger WHERE ledger = ? AND present AND kind = ?",
                now, last, number, AVOIDED,
            ).fetchone()  # fmt: skip
            interval.avoided_byte_seconds += avoided
    return interval


def _row(state: State, observed: LedgerObservation, now: float) -> int | None:
    """Return the number of a ledger; None if a run has it open and it was never read."""
    if observed.snapshot is None:
        by, value = ("id", observed.id) if observed.id else ("path", observed.path)
        found = state.run(f"SELECT number FROM ledgers WHERE {by} = ?", value).fetchone()
        return None if found is None else int(found[0])
    id, kind = observed.snapshot.id, kind_of(observed.snapshot)
    state.run("UPDATE ledgers SET path = '' WHERE path = ? AND id <> ?", observed.path, id)
    state.run(
        "INSERT INTO ledgers (id, path, kind, present, read) VALUES (?, ?, ?, 1, ?)"
        " ON CONFLICT (id) DO UPDATE SET path = excluded.path, kind = excluded.kind",
        id, observed.path, kind, now,
    )  # fmt: skip
    return int(state.run("SELECT number FROM ledgers WHERE id = ?", id).fetchone()[0])


def _apply(state: State, ledger: int, found: Snapshot, interval: Interval, now: float, until: float) -> None:
    """Update a ledger's sums, shard by shard: savings become cohorts, and the work done is counted."""
    rows = state.run(
        "SELECT number, done, saved, out, cpu_seconds, memory_byte_seconds FROM shards WHERE ledger = ?", ledger
    )
    known = {number: ShardSum(bool(done), *sums) for number, done, *sums in rows}
    (cpu, memory) = state.run(
        "SELECT cpu_seconds, memory_byte_seconds FROM ledgers WHERE number = ?", ledger
    ).fetchone()
    interval.cpu_seconds += increase(cpu, found.cpu_seconds)
    interval.memory_byte_seconds += increase(memory, found.memory_byte_seconds)
    state.run(
        "UPDATE ledgers SET cpu_seconds = ?, memory_byte_seconds = ? WHERE number = ?",
        found.cpu_seconds, found.memory_byte_seconds, ledger,
    )  # fmt: skip
    for number in known.keys() | found.shards.keys():
        was, sums = known.get(number, ShardSum()), found.shards.get(number, ShardSum(done=True))
        if was == sums and number in known:
            continue
        interval.cpu_seconds += increase(was.cpu_seconds, sums.cpu_seconds)
        interval.memory_byte_seconds += increase(was.memory_byte_seconds, sums.memory_byte_seconds)
        # Keys of an open shard are not in a part yet, where events find them: its savings are credited once it is done.
        saved = sums.saved_bytes if sums.done else was.saved_bytes
        if saved > was.saved_bytes:
            state.run(
                "INSERT INTO cohorts (ledger, shard, bytes, since, until) VALUES (?, ?, ?, ?, ?)",
                ledger, number, saved - was.saved_bytes, now, until,
            )  # fmt: skip
        elif saved < was.saved_bytes:
            withdraw(state, ledger, number, was.saved_bytes - saved)
        state.run(
            "INSERT INTO shards (ledger, number, done, indexed, saved, out, cpu_seconds, memory_byte_seconds)"
            " VALUES (?, ?, ?, 0, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET done = excluded.done, indexed = 0,"
            " saved = excluded.saved, out = excluded.out, cpu_seconds = excluded.cpu_seconds,"
            " memory_byte_seconds = excluded.memory_byte_seconds",
            ledger, number, sums.done, saved, sums.bytes_out, sums.cpu_seconds, sums.memory_byte_seconds,
        )  # fmt: skip


def increase(was: float, now: float) -> float:
    """Return how much a sum has grown. It falls where an object's work is dropped because it is to be repeated."""
    return max(0.0, now - was)


def withdraw(state: State, ledger: int, shard: int, bytes: int) -> None:
    """Remove bytes that are no longer saved from the newest cohorts, which would be credited for longest."""
    rows = state.run(
        "SELECT number, bytes FROM cohorts WHERE ledger = ? AND shard = ? ORDER BY until DESC, number DESC",
        ledger, shard,
    ).fetchall()  # fmt: skip
    for number, present in rows:
        removed = min(bytes, present)
        bytes -= removed
        state.run("UPDATE cohorts SET bytes = bytes - ? WHERE number = ?", removed, number)
        if not bytes:
            break
    state.run("DELETE FROM cohorts WHERE bytes = 0")


def confirm(state: State, until: float, ledger: int | None) -> int:
    """Extend the credit of results that still exist to `until`; return the number of ledgers that this is about."""
    meant = "kind = ? AND (ledgers.number = ? OR ? IS NULL)"
    (found,) = state.run(f"SELECT count(*) FROM ledgers WHERE {meant}", AVOIDED, ledger, ledger).fetchone()
    state.run(
        "UPDATE cohorts SET until = max(until, ?)"
        f" WHERE ledger IN (SELECT number FROM ledgers WHERE {meant})", until, AVOIDED, ledger, ledger,
    )  # fmt: skip
    return int(found)


def credited_bytes(state: State, now: float) -> tuple[int, int]:
    """Return the bytes that are credited now, and those whose credit expired without a confirmation."""
    saved, expired = state.run(
        "SELECT total(bytes * (until > ?)), total(bytes * (until <= ?)) FROM cohorts"
        " JOIN ledgers ON ledgers.number = ledger WHERE kind = ? AND present", now, now, AVOIDED,
    ).fetchone()  # fmt: skip
    return int(saved), int(expired)


def result_bytes(state: State) -> int:
    """Return the bytes of stored results, which may grow in spite of what is avoided."""
    (bytes_out,) = state.run(
        "SELECT total(max(0, out - deleted_out)) FROM shards JOIN ledgers ON ledgers.number = ledger"
        " WHERE kind <> ? AND present", ENDED,
    ).fetchone()  # fmt: skip
    return int(bytes_out)
