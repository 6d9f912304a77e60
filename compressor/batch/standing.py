"""What a ledger says between runs, read by somebody who writes nothing: how it stands, shard by shard."""

import gzip
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from compressor.batch.job import Done, Outcome
from compressor.batch.ledger import FINAL, LedgerError, from_line, part_path
from compressor.batch.restore import RESTORED

WAIT_SECONDS = 0.2
LINE_BYTES_MAX = 1 << 20  # of a part; ours have some hundred


class LedgerHeldError(LedgerError):
    """A run is at work on it: try again later."""


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
    """

    id: str
    in_place: bool
    kept: bool
    restored: bool
    shards: dict[int, ShardSum]


def standing(path: Path) -> Standing:
    """How a ledger stands. LedgerHeldError where a run is at work on it, LedgerError where it can't be read.

    Takes no lock that a run would notice for longer than a moment, and writes nothing to it.
    """
    path = Path(os.path.realpath(path))
    if not path.is_file():
        raise LedgerError(f"{path} is not there")
    try:
        return _read(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise LedgerHeldError(f"{path} is in use by a run") from None
        if (before := _untouched(path)) is None:
            raise LedgerError(f"{path} can't be read: {error}") from None
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{path} is no ledger: {error}") from None
    # On a read-only mount SQLite can't even look. Where no journal lies beside it, and nothing changed meanwhile, the
    # file is all there is.
    try:
        found = _read(path, "mode=ro&immutable=1")
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{path} can't be read: {error}") from None
    if _untouched(path) != before:
        raise LedgerHeldError(f"{path} is in use by a run")
    return found


def _untouched(path: Path) -> tuple[int, int, int] | None:
    """What changes when somebody writes to a database without a journal; None where there is one."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        return None
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


def _read(path: Path, how: str) -> Standing:
    with closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=WAIT_SECONDS)) as database:
        database.execute("BEGIN")  # one state of it, whatever a run begins to write
        facts = dict(database.execute("SELECT name, value FROM run"))
        if "mode" not in facts:
            raise ValueError("no run has begun")
        return Standing(
            id=facts.get("id", str(path)),
            in_place=facts["mode"] == "in place",
            kept=bool(facts.get("keep")),
            restored=RESTORED in facts,
            shards=_shards(database),
        )


def _shards(database: sqlite3.Connection) -> dict[int, ShardSum]:
    """Of finished shards as they were counted, of open ones by their rows: totals of those may be of an earlier run."""
    columns = {name for _, name, *_ in database.execute("PRAGMA table_info(totals)")}
    memory = "coalesce(sum(memory_byte_seconds), 0)" if "memory_byte_seconds" in columns else "0"
    found = database.execute(
        "SELECT shard, sum((outcome = :compressed) * (bytes_in - bytes_out)), sum((outcome = :compressed) * bytes_out),"
        f" sum(cpu_seconds), {memory}"
        " FROM totals JOIN shards ON number = shard AND done = 1 GROUP BY shard",
        {"compressed": Outcome.COMPRESSED.value},
    )
    shards = {number: ShardSum(True, *sums) for number, *sums in found}
    opened: defaultdict[int, ShardSum] = defaultdict(ShardSum)
    rows = "SELECT shard, objects.state, objects.done FROM objects JOIN shards ON number = shard AND shards.done = 0"
    for number, state, line in database.execute(rows):
        done, sums = from_line(line), opened[number]
        sums.cpu_seconds += sum(done.stage_seconds.values()) + done.other_seconds
        sums.memory_byte_seconds += getattr(done, "memory_byte_seconds", 0.0)  # ledgers of older versions lack it
        if done.outcome is Outcome.COMPRESSED and state == FINAL:
            sums.saved_bytes += done.size - done.bytes_out
            sums.bytes_out += done.bytes_out
    return shards | opened


def part(path: Path, number: int) -> Iterator[Done]:
    """The objects of a ledger's finished shard; LedgerError where its part is gone or broken."""
    file = part_path(Path(os.path.realpath(path)), number)
    try:
        with gzip.open(file, "rb") as lines:
            while line := lines.readline(LINE_BYTES_MAX):
                yield from_line(line.decode())
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{file} can't be read: {error}") from None
