"""The exporter's state on disk: counters that never fall, and what is needed to continue after a restart."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compressor.errors import CompressorError
from compressor.metrics.estimates import Amounts

SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE counters (name TEXT, labels TEXT, value REAL NOT NULL, PRIMARY KEY (name, labels)) WITHOUT ROWID;
CREATE TABLE estimates (
    side TEXT, quantity TEXT, component TEXT, low REAL NOT NULL, central REAL NOT NULL, high REAL NOT NULL,
    PRIMARY KEY (side, quantity, component)) WITHOUT ROWID;
CREATE TABLE ledgers (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, path TEXT NOT NULL, kind TEXT NOT NULL,
    present INTEGER NOT NULL, read REAL NOT NULL,
    cpu_seconds REAL NOT NULL DEFAULT 0, memory_byte_seconds REAL NOT NULL DEFAULT 0);
CREATE TABLE shards (
    ledger INTEGER, number INTEGER, done INTEGER NOT NULL, indexed INTEGER NOT NULL,
    saved INTEGER NOT NULL, out INTEGER NOT NULL, cpu_seconds REAL NOT NULL, memory_byte_seconds REAL NOT NULL,
    deleted_out INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (ledger, number)) WITHOUT ROWID;
CREATE TABLE cohorts (
    number INTEGER PRIMARY KEY, ledger INTEGER NOT NULL, shard INTEGER NOT NULL, bytes INTEGER NOT NULL,
    since REAL NOT NULL, until REAL NOT NULL);
CREATE INDEX by_shard ON cohorts (ledger, shard);
CREATE TABLE objects (
    key BLOB, ledger INTEGER, shard INTEGER NOT NULL, saved INTEGER NOT NULL, out INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (key, ledger)) WITHOUT ROWID;
CREATE TABLE feeds (
    number INTEGER PRIMARY KEY, path TEXT NOT NULL, inode INTEGER NOT NULL, offset INTEGER NOT NULL,
    head BLOB NOT NULL, tail BLOB NOT NULL, skipping INTEGER NOT NULL);
"""
VERSION = "1"


class StateError(CompressorError):
    """The file is in use by another process, or is not a state."""


class State:
    """A state, open in one process at a time. When a `transaction` ends, all or nothing of it is on disk.

    ledgers   all ever seen. kind: AVOIDED, ADDED or ENDED; present: whether it existed at the last tick;
              cpu_seconds, memory_byte_seconds: those that are not of its shards
    shards    sums as they were last read; indexed: whether `objects` contains the current keys
    cohorts   bytes that were first seen as saved at the same moment, and are credited from `since` to `until`
    objects   savings by key, for events
    feeds     the position in each file, and the bytes at its head and before that position
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        try:
            database = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise StateError(f"{path}: {error}") from None
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            # A scraped value must not be lost, or the counter would seem to have been reset to a large value.
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN EXCLUSIVE")
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in filter(str.strip, SCHEMA.split(";")):
                    database.execute(statement)
                database.execute("INSERT INTO facts VALUES ('exporter state version', ?)", (VERSION,))
            found = database.execute("SELECT value FROM facts WHERE name = 'exporter state version'").fetchone()
            database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            database.close()
            if "locked" in str(error):
                raise StateError(f"{path} is in use by another exporter") from None
            raise StateError(f"{path} is not the state of an exporter: {error}") from None
        if found != (VERSION,):
            database.close()
            raise StateError(f"{path} has state version {found and found[0]}, this program needs version {VERSION}")
        self._database = database

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that is done inside, or nothing."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._database is not None and self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if self._database is None:
            raise StateError(f"{self.path} is closed")
        return self._database.execute(statement, values)

    def run_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        if self._database is None:
            raise StateError(f"{self.path} is closed")
        self._database.executemany(statement, rows)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    # --- facts and counters ------------------------------------------------------------------------------------------

    def fact(self, name: str, default: Any = None) -> Any:
        found = self.run("SELECT value FROM facts WHERE name = ?", name).fetchone()
        return default if found is None else found[0]

    def note(self, name: str, value: float | str) -> None:
        self.run("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def count(self, name: str, labels: str, amount: float) -> None:
        """Add to a counter."""
        self.run(
            "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            name, labels, amount,
        )  # fmt: skip

    def counters(self) -> dict[tuple[str, str], float]:
        """Return values by name and labels, the labels joined by commas."""
        found = self.run("SELECT name, labels, value FROM counters ORDER BY name, labels")
        return {(name, labels): value for name, labels, value in found}

    def estimate(self, amounts: Amounts) -> None:
        """Add to estimates, which are low, central and high by side, quantity and component."""
        self.run_many(
            "INSERT INTO estimates VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " low = low + excluded.low, central = central + excluded.central, high = high + excluded.high",
            [(*key, *bounds) for key, bounds in amounts.items()],
        )

    def estimates(self) -> dict[tuple[str, str, str], tuple[float, float, float]]:
        found = self.run("SELECT side, quantity, component, low, central, high FROM estimates ORDER BY 1, 2, 3")
        return {(side, quantity, component): (*bounds,) for side, quantity, component, *bounds in found}
