"""A ledger's tables, its schema number, and the names of the facts about its run."""

import sqlite3
from pathlib import Path

from compressor.ledger.errors import LedgerError
from compressor.settings import VERSION

# In the database as `PRAGMA user_version`. To be raised with each change of the tables or of an object's record.
SCHEMA_NUMBER = 3

TABLES = """
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE shards (
    number INTEGER PRIMARY KEY, last TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE objects (
    key BLOB PRIMARY KEY, shard INTEGER NOT NULL, state TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
    time REAL NOT NULL, record TEXT NOT NULL, reported INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX by_shard ON objects (shard);
CREATE TABLE totals (
    shard INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, format TEXT NOT NULL, path TEXT NOT NULL,
    objects INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, cpu_seconds REAL NOT NULL,
    memory_byte_seconds REAL NOT NULL, result_format TEXT NOT NULL,
    PRIMARY KEY (shard, outcome, reason, format, path, result_format)) WITHOUT ROWID;
CREATE TABLE restored (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE result_keys (
    result_key BLOB PRIMARY KEY, key BLOB NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX by_source_key ON result_keys (key);
"""

# Values of `objects.state`: about to be written, or done.
INTENT, FINAL = "intent", "final"

# Facts in the table `run`, besides those that `Ledger.begin` is given.
LEDGER_ID = "id"
FINISHED = "finished"  # the Unix time when the last run was completed; "" if it was not
RESTORED = "restored"  # PART or ALL of the originals were put back; absent if none
PART, ALL = "part", "all"
OVERHEAD = ("coordinator cpu_seconds", "coordinator memory_byte_seconds")  # of runs, besides the work on objects


def is_empty(database: sqlite3.Connection) -> bool:
    """Return whether a database has no tables yet."""
    return database.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def create(database: sqlite3.Connection, ledger_id: str) -> None:
    """Create the tables, in a transaction that the caller has begun."""
    for statement in filter(str.strip, TABLES.split(";")):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA_NUMBER}")
    database.execute("INSERT INTO run VALUES (?, ?)", (LEDGER_ID, ledger_id))


def check_schema(database: sqlite3.Connection, path: Path) -> None:
    """Raise LedgerError unless a database is a ledger with this version's schema."""
    (number,) = database.execute("PRAGMA user_version").fetchone()
    if number == SCHEMA_NUMBER:
        return
    if number == 0 and not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone():
        raise LedgerError(f"{path} is not a ledger")
    raise LedgerError(
        f"{path} has ledger schema {number}, and compressor {VERSION} reads schema {SCHEMA_NUMBER} only: "
        "use the version of compressor that wrote it, or choose another ledger"
    )
