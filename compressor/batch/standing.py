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
from compressor.batch.ledger import FINAL, SPENT, LedgerError, from_line, part_path
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
    path = Path(os.path.realpath(path))
    if not path.is_file():
        raise LedgerError(f"{path} is not there")
    if (before := _untouched(path)) is not None:
        # No journal: the file is all there is, also on a read-only mount, if nobody writes to it meanwhile.
        try:
            found = _read(path, "mode=ro&immutable=1")
        except LedgerError:
            if _untouched(path) == before:
                raise
        else:
            if _untouched(path) == before:
                return found
        raise LedgerHeldError(f"{path} is in use by a run")
    return _read(path, "mode=ro")  # of a run that is at work, or was killed


def _untouched(path: Path) -> tuple[int, int, int] | None:
    """What changes when somebody writes to a database without a journal; None where there is one."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        return None
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


def _read(path: Path, how: str) -> Standing:
    try:
        return _standing(path, how)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise LedgerHeldError(f"{path} is in use by a run") from None
        raise LedgerError(f"{path} can't be read: {error}") from None
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{path} is no ledger: {error}") from None


def _standing(path: Path, how: str) -> Standing:
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
            cpu_seconds=float(facts.get(SPENT[0], 0.0)),
            memory_byte_seconds=float(facts.get(SPENT[1], 0.0)),
        )


def _shards(database: sqlite3.Connection) -> dict[int, ShardSum]:
    """Of finished shards as they were counted, of open ones by their rows: totals of those may be of an earlier run."""
    columns = {name for _, name, *_ in database.execute("PRAGMA table_info(totals)")}
    memory = "sum(memory_byte_seconds)" if "memory_byte_seconds" in columns else "0.0"  # older ones lack it
    found = database.execute(
        "SELECT shard, sum((outcome IN (:compressed, :stripped)) * (bytes_in - bytes_out)),"
        " sum((outcome IN (:compressed, :stripped)) * bytes_out),"
        f" sum(cpu_seconds), {memory}"
        " FROM totals JOIN shards ON number = shard AND done = 1 GROUP BY shard",
        {"compressed": Outcome.COMPRESSED.value, "stripped": Outcome.STRIPPED.value},
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


def part(path: Path, number: int) -> Iterator[Done]:
    """The objects of a ledger's finished shard; LedgerError where its part is gone or broken."""
    file = part_path(Path(os.path.realpath(path)), number)
    try:
        with gzip.open(file, "rb") as lines:
            while line := lines.readline(LINE_BYTES_MAX):
                yield from_line(line.decode())
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None
