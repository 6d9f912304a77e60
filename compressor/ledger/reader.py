"""Reading a ledger without changing anything: no lock, no journal, no other file."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from compressor.ledger.errors import LedgerError, LedgerHeldError
from compressor.ledger.schema import check_schema

WAIT_SECONDS = 0.2

FileState = tuple[int, int, int]  # inode, size, modification time in ns


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger for reading, in one consistent state.

    Raises LedgerHeldError if a run is writing to it, or begins to before the block ends; LedgerError if it has another
    schema or can't be read. A ValueError, KeyError or TypeError in the block counts as a ledger that can't be read.
    """
    path = Path(os.path.realpath(path))
    if not path.is_file():
        raise LedgerError(f"{path} does not exist")
    before = _state_without_journal(path)
    held = LedgerHeldError(f"{path} is in use by a run")
    try:
        # Without a journal the file is complete, also on a read-only mount, if nobody writes to it in the meantime. A
        # journal means that a run is writing, or was killed.
        with _connected(path, "mode=ro" if before is None else "mode=ro&immutable=1") as database:
            database.execute("BEGIN")  # one state, whatever a run begins to write
            check_schema(database, path)
            yield database
    except (sqlite3.DatabaseError, LedgerError, ValueError, KeyError, TypeError) as error:
        if before is not None and _state_without_journal(path) != before:
            raise held from None
        if isinstance(error, LedgerError):
            raise
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise held from None
        if isinstance(error, sqlite3.OperationalError) or not isinstance(error, sqlite3.DatabaseError):
            raise LedgerError(f"{path} can't be read: {error}") from None
        raise LedgerError(f"{path} is not a ledger: {error}") from None
    if before is not None and _state_without_journal(path) != before:
        raise held


@contextmanager
def _connected(path: Path, options: str) -> Iterator[sqlite3.Connection]:
    """Connect, and remove the index that SQLite creates for a journal unless it existed before."""
    index = path.with_name(path.name + "-shm")
    existed = index.exists()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{options}", uri=True, timeout=WAIT_SECONDS)) as database:
            yield database
    finally:
        if not existed:
            with suppress(OSError):
                index.unlink()


def _state_without_journal(path: Path) -> FileState | None:
    """Return what changes when somebody writes to a database without a journal; None if it has one."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        return None
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns
