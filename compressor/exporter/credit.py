"""What of a ledger is credited, and for how long.

A ledger's savings are **avoided** where results took the place of originals that are gone: in place, none kept. In all
other cases originals stay, and results are **added** to what is stored. Credit begins when a saving is first seen, in
cohorts, and ends after a year unless somebody confirms that the results are still there; what is added counts on.
"""

import logging
from dataclasses import dataclass

from compressor.exporter.ledgers import Sight
from compressor.exporter.state import State
from compressor.footprint import Basis
from compressor.ledger.snapshot import ShardSum, Standing

log = logging.getLogger(__name__)

AVOIDED, ADDED, ENDED = "avoided", "added", "ended"


@dataclass(slots=True)
class Interval:
    """What came together since the tick before."""

    avoided_byte_seconds: float = 0.0
    added_byte_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_byte_seconds: float = 0.0


def may_credit(basis: Basis) -> bool:
    """Whether anything stored may be credited at all."""
    return basis.originals_deleted and basis.storage_class is not None


def kind_of(found: Standing) -> str:
    if found.restored:
        return ENDED
    return AVOIDED if found.in_place and not found.kept else ADDED


def accrue(state: State, basis: Basis, sights: list[Sight], last: float, now: float, credit_seconds: float) -> Interval:
    """What came together from `last` to `now`, ledgers being as they are found now; in a transaction.

    What shrank, ended or went away meanwhile is not credited for that time, and what grew not yet.
    """
    interval = Interval()
    # What is stored elsewhere than it was, or was not meant to be credited until now, was not all of the time.
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
    for sight in sights:
        number = _row(state, sight, now)
        if number is None:
            continue
        if sight.standing is not None:
            _apply(state, number, sight.standing, interval, now, now + credit_seconds)
        state.run("UPDATE ledgers SET present = 1, read = iif(?, ?, read) WHERE number = ?", sight.read, now, number)
    if may_credit(basis) and where_before == where:
        for number in before:
            (avoided,) = state.run(
                "SELECT total(bytes * max(0, min(until, ?) - max(since, ?))) FROM cohorts"
                " JOIN ledgers ON ledgers.number = ledger WHERE ledger = ? AND present AND kind = ?",
                now, last, number, AVOIDED,
            ).fetchone()  # fmt: skip
            interval.avoided_byte_seconds += avoided
    return interval


def _row(state: State, sight: Sight, now: float) -> int | None:
    """The number of a ledger; None of one that is held and was never read."""
    if sight.standing is None:
        by, value = ("id", sight.id) if sight.id else ("path", sight.path)
        found = state.run(f"SELECT number FROM ledgers WHERE {by} = ?", value).fetchone()
        return None if found is None else int(found[0])
    id, kind = sight.standing.id, kind_of(sight.standing)
    state.run("UPDATE ledgers SET path = '' WHERE path = ? AND id <> ?", sight.path, id)
    state.run(
        "INSERT INTO ledgers (id, path, kind, present, read) VALUES (?, ?, ?, 1, ?)"
        " ON CONFLICT (id) DO UPDATE SET path = excluded.path, kind = excluded.kind",
        id, sight.path, kind, now,
    )  # fmt: skip
    return int(state.run("SELECT number FROM ledgers WHERE id = ?", id).fetchone()[0])


def _apply(state: State, ledger: int, found: Standing, interval: Interval, now: float, until: float) -> None:
    """Take over a ledger's sums, shard by shard: differences become cohorts, and work that was done is counted."""
    rows = state.run(
        "SELECT number, done, saved, out, cpu_seconds, memory_byte_seconds FROM shards WHERE ledger = ?", ledger
    )
    known = {number: ShardSum(bool(done), *sums) for number, done, *sums in rows}
    (cpu, memory) = state.run(
        "SELECT cpu_seconds, memory_byte_seconds FROM ledgers WHERE number = ?", ledger
    ).fetchone()
    interval.cpu_seconds += risen(cpu, found.cpu_seconds)
    interval.memory_byte_seconds += risen(memory, found.memory_byte_seconds)
    state.run(
        "UPDATE ledgers SET cpu_seconds = ?, memory_byte_seconds = ? WHERE number = ?",
        found.cpu_seconds, found.memory_byte_seconds, ledger,
    )  # fmt: skip
    for number in known.keys() | found.shards.keys():
        was, sums = known.get(number, ShardSum()), found.shards.get(number, ShardSum(done=True))
        if was == sums and number in known:
            continue
        interval.cpu_seconds += risen(was.cpu_seconds, sums.cpu_seconds)
        interval.memory_byte_seconds += risen(was.memory_byte_seconds, sums.memory_byte_seconds)
        # Keys of an open shard are not in a part yet, where feeds find them: what it saved is credited when it is done.
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


def risen(was: float, now: float) -> float:
    """What was spent since. A sum falls where an object's work is forgotten because it is to be done again."""
    return max(0.0, now - was)


def withdraw(state: State, ledger: int, shard: int, bytes: int) -> None:
    """So many bytes are not saved any more: they leave the newest cohorts, which would be credited for longest."""
    rows = state.run(
        "SELECT number, bytes FROM cohorts WHERE ledger = ? AND shard = ? ORDER BY until DESC, number DESC",
        ledger, shard,
    ).fetchall()  # fmt: skip
    for number, there in rows:
        gone = min(bytes, there)
        bytes -= gone
        state.run("UPDATE cohorts SET bytes = bytes - ? WHERE number = ?", gone, number)
        if not bytes:
            break
    state.run("DELETE FROM cohorts WHERE bytes = 0")


def confirm(state: State, until: float, ledger: int | None) -> int:
    """Results are still there: credit goes on until then, where it would end before. How many ledgers that is about."""
    meant = "kind = ? AND (ledgers.number = ? OR ? IS NULL)"
    (found,) = state.run(f"SELECT count(*) FROM ledgers WHERE {meant}", AVOIDED, ledger, ledger).fetchone()
    state.run(
        "UPDATE cohorts SET until = max(until, ?)"
        f" WHERE ledger IN (SELECT number FROM ledgers WHERE {meant})", until, AVOIDED, ledger, ledger,
    )  # fmt: skip
    return int(found)


def credited_bytes(state: State, now: float) -> tuple[int, int]:
    """What is credited right now, and what is not any more for want of a confirmation."""
    saved, expired = state.run(
        "SELECT total(bytes * (until > ?)), total(bytes * (until <= ?)) FROM cohorts"
        " JOIN ledgers ON ledgers.number = ledger WHERE kind = ? AND present", now, now, AVOIDED,
    ).fetchone()  # fmt: skip
    return int(saved), int(expired)


def result_bytes(state: State) -> int:
    """What results take that are there: beside what is avoided, whether what is stored grows all the same."""
    (bytes_out,) = state.run(
        "SELECT total(max(0, out - deleted_out)) FROM shards JOIN ledgers ON ledgers.number = ledger"
        " WHERE kind <> ? AND present", ENDED,
    ).fetchone()  # fmt: skip
    return int(bytes_out)
