"""A ledger read by somebody who writes nothing: no lock, no journal, no file beside it."""

import gzip
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from compressor.ledger.ledger import FINAL, INTENT, LedgerError
from compressor.ledger.records import ObjectResult, blob, from_line, indeterminate, part_path

WAIT_SECONDS = 0.2
LINE_BYTES_MAX = 1 << 20  # of a part; ours have some hundred
ROWS_AT_ONCE = 1000


class LedgerHeldError(LedgerError):
    """A run is at work on it: try again later."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open one state of a ledger. LedgerHeldError where a run is at work on it, also if it begins while this reads;
    LedgerError where it can't be read, which includes a ValueError, KeyError or TypeError of what reads it."""
    path = Path(os.path.realpath(path))
    if not path.is_file():
        raise LedgerError(f"{path} is not there")
    before = _untouched(path)
    held = LedgerHeldError(f"{path} is in use by a run")
    try:
        # Without a journal the file is all there is, also on a read-only mount, if nobody writes to it meanwhile.
        # With one the run is at work, or was killed.
        with _connected(path, "mode=ro" if before is None else "mode=ro&immutable=1") as database:
            database.execute("BEGIN")  # one state of it, whatever a run begins to write
            yield database
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        if before is not None and _untouched(path) != before:
            raise held from None
        if isinstance(error, sqlite3.OperationalError):
            raise held if "locked" in str(error) else LedgerError(f"{path} can't be read: {error}") from None
        raise LedgerError(f"{path} is no ledger: {error}") from None
    if before is not None and _untouched(path) != before:
        raise held


@contextmanager
def _connected(path: Path, how: str) -> Iterator[sqlite3.Connection]:
    """A connection; the index of the journal that SQLite makes for one goes with it, unless it was there before."""
    index = path.with_name(path.name + "-shm")
    there = index.exists()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=WAIT_SECONDS)) as database:
            yield database
    finally:
        if not there:
            with suppress(OSError):
                index.unlink()


def _untouched(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when somebody writes to a database without a journal; None where there is one."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        return None
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


def facts_in(database: sqlite3.Connection) -> dict[str, str]:
    """Return what is known of the run; raise ValueError where none has begun."""
    facts = dict(database.execute("SELECT name, value FROM run"))
    if "mode" not in facts:
        raise ValueError("no run has begun")
    return facts


def columns_of(database: sqlite3.Connection, table: str) -> set[str]:
    """Return the columns of a table, since ledgers of older versions lack some; none where there is no such table."""
    return {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}


def failures_in(database: sqlite3.Connection) -> Iterator[tuple[ObjectResult, bool]]:
    """Yield failures and objects that may or may not have been written, in the order of their keys, and whether each is
    known. Few are in memory at a time."""
    reported = "reported" if "reported" in columns_of(database, "objects") else "0"
    rows = database.execute(
        f"SELECT done, state, {reported} FROM objects WHERE outcome = 'failed' OR state = ? ORDER BY key", (INTENT,)
    )
    while some := rows.fetchmany(ROWS_AT_ONCE):
        for line, state, known in some:
            done = from_line(line)
            yield (indeterminate(done), False) if state == INTENT else (done, bool(known))


def objects_in(database: sqlite3.Connection, path: Path) -> Iterator[tuple[ObjectResult, bool]]:
    """Yield all objects that are known, shard by shard, each of which is in memory for a while, and whether the end of
    each is open: it may or may not have been written."""
    for number, finished in database.execute("SELECT number, done FROM shards ORDER BY number").fetchall():
        found = {done.key: (done, False) for done in part(path, number)} if finished else {}
        rows = database.execute("SELECT done, state FROM objects WHERE shard = ? ORDER BY key", (number,))
        for line, state in rows:
            done = from_line(line)
            found[done.key] = done, state != FINAL
        yield from found.values()


def is_restored(database: sqlite3.Connection, key: str) -> bool:
    """Return whether the original of an object has been put back."""
    if not columns_of(database, "restored"):
        return False
    return database.execute("SELECT 1 FROM restored WHERE key = ?", (blob(key),)).fetchone() is not None


def part(path: Path, number: int) -> Iterator[ObjectResult]:
    """Yield the objects of a ledger's finished shard; raise LedgerError where its part is gone or broken."""
    file = part_path(Path(os.path.realpath(path)), number)
    try:
        with gzip.open(file, "rb") as lines:
            while line := lines.readline(LINE_BYTES_MAX):
                yield from_line(line.decode())
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None
