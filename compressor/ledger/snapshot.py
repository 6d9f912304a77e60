"""A ledger's sums shard by shard, read between runs by a process that writes nothing."""

import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from compressor.ledger.queries import run_facts_in
from compressor.ledger.reader import reading
from compressor.ledger.records import ObjectOutcome, decode_record
from compressor.ledger.schema import FINAL, LEDGER_ID, OVERHEAD, RESTORED


@dataclass(slots=True)
class ShardSum:
    """The sums of a shard's objects.

    done                 the shard is finished; otherwise the sums cover the objects recorded so far
    saved_bytes          originals − results, of compressed and stripped objects; bytes_out: their results
    cpu_seconds          of all objects, including failures and unchanged ones; memory_byte_seconds likewise
    """

    done: bool = False
    saved_bytes: int = 0
    bytes_out: int = 0
    cpu_seconds: float = 0.0
    memory_byte_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a ledger at one moment.

    id        stays the same when the file is moved, and differs if another ledger replaces it
    in_place  results have replaced their originals; `kept`: these were kept elsewhere
    restored  originals were put back, at least in part: what is stored now is not in the ledger
    cpu_seconds, memory_byte_seconds   what its runs used besides the work on objects
    """

    id: str
    in_place: bool
    kept: bool
    restored: bool
    shards: dict[int, ShardSum]
    cpu_seconds: float
    memory_byte_seconds: float


def take_snapshot(path: Path) -> Snapshot:
    """Read a ledger's state. Raise LedgerHeldError if a run is writing to it, LedgerError if it can't be read.

    Takes no lock, and leaves no file next to it that a run of another user could not open.
    """
    with reading(path) as database:
        facts = run_facts_in(database)
        return Snapshot(
            id=facts[LEDGER_ID],
            in_place=facts["mode"] == "in place",
            kept=bool(facts["keep"]),
            restored=RESTORED in facts,
            shards=_finished_shards(database) | _open_shards(database),
            cpu_seconds=float(facts.get(OVERHEAD[0], 0.0)),
            memory_byte_seconds=float(facts.get(OVERHEAD[1], 0.0)),
        )


def _finished_shards(database: sqlite3.Connection) -> dict[int, ShardSum]:
    found = database.execute(
        "SELECT shard, sum((outcome IN (:compressed, :stripped)) * (bytes_in - bytes_out)),"
        " sum((outcome IN (:compressed, :stripped)) * bytes_out), sum(cpu_seconds), sum(memory_byte_seconds)"
        " FROM totals JOIN shards ON number = shard AND done GROUP BY shard",
        {"compressed": ObjectOutcome.COMPRESSED.value, "stripped": ObjectOutcome.STRIPPED.value},
    )
    return {number: ShardSum(True, *sums) for number, *sums in found}


def _open_shards(database: sqlite3.Connection) -> dict[int, ShardSum]:
    """Return the sums of rows: stored totals of these shards may be those of an earlier run."""
    found: defaultdict[int, ShardSum] = defaultdict(ShardSum)
    rows = "SELECT shard, state, record FROM objects JOIN shards ON number = shard AND NOT done"
    for number, state, line in database.execute(rows):
        result, sums = decode_record(line), found[number]
        sums.cpu_seconds += result.cpu_seconds
        sums.memory_byte_seconds += result.memory_byte_seconds
        if result.outcome.saves and state == FINAL:
            sums.saved_bytes += result.size - result.bytes_out
            sums.bytes_out += result.bytes_out
    return found
