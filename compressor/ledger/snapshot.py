"""What a ledger says between runs, read by somebody who writes nothing: how it stands, shard by shard."""

import os
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from compressor.ledger.ledger import FINAL, SPENT
from compressor.ledger.reader import columns_of, facts_in, reading
from compressor.ledger.records import RESTORED, ObjectOutcome, from_line


@dataclass(slots=True)
class ShardSum:
    """Of a shard's objects.

    done                 the shard is finished; of one that is not, what is known of its objects so far
    saved_bytes          originals − results, of what was compressed; bytes_out: the results
    cpu_seconds          of everything, also of what failed or was left alone; memory_byte_seconds likewise
    """

    done: bool = False
    saved_bytes: int = 0
    bytes_out: int = 0
    cpu_seconds: float = 0.0
    memory_byte_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A ledger at a moment.

    id        stays when the file is moved, and differs where another ledger takes its place; the path of old ones
    in_place  results stand in the place of their originals, and `kept` says whether these were kept elsewhere
    restored  originals were put back, at least in part: what is there now the ledger does not say
    cpu_seconds, memory_byte_seconds   what its runs took beside the work on objects
    """

    id: str
    in_place: bool
    kept: bool
    restored: bool
    shards: dict[int, ShardSum]
    cpu_seconds: float
    memory_byte_seconds: float


def standing(path: Path) -> Standing:
    """How a ledger stands. LedgerHeldError where a run is at work on it, LedgerError where it can't be read.

    Takes no lock, and leaves nothing beside it that a run of another user could stumble over.
    """
    with reading(path) as database:
        return _standing(path, database)


def _standing(path: Path, database: sqlite3.Connection) -> Standing:
    facts = facts_in(database)
    return Standing(
        id=facts.get("id", os.path.realpath(path)),
        in_place=facts["mode"] == "in place",
        kept=bool(facts.get("keep")),
        restored=RESTORED in facts,
        shards=_shards(database),
        cpu_seconds=float(facts.get(SPENT[0], 0.0)),
        memory_byte_seconds=float(facts.get(SPENT[1], 0.0)),
    )


def _shards(database: sqlite3.Connection) -> dict[int, ShardSum]:
    """Of finished shards as they were counted, of open ones by their rows: totals of those may be of an earlier run."""
    memory = "sum(memory_byte_seconds)" if "memory_byte_seconds" in columns_of(database, "totals") else "0.0"
    found = database.execute(
        "SELECT shard, sum((outcome IN (:compressed, :stripped)) * (bytes_in - bytes_out)),"
        " sum((outcome IN (:compressed, :stripped)) * bytes_out),"
        f" sum(cpu_seconds), {memory}"
        " FROM totals JOIN shards ON number = shard AND done = 1 GROUP BY shard",
        {"compressed": ObjectOutcome.COMPRESSED.value, "stripped": ObjectOutcome.STRIPPED.value},
    )
    shards = {number: ShardSum(True, *sums) for number, *sums in found}
    opened: defaultdict[int, ShardSum] = defaultdict(ShardSum)
    rows = "SELECT shard, objects.state, objects.done FROM objects JOIN shards ON number = shard AND shards.done = 0"
    for number, state, line in database.execute(rows):
        done, sums = from_line(line), opened[number]
        sums.cpu_seconds += done.cpu_seconds
        sums.memory_byte_seconds += done.memory_byte_seconds
        if done.outcome.changed and state == FINAL:
            sums.saved_bytes += done.size - done.bytes_out
            sums.bytes_out += done.bytes_out
    return shards | opened
