"""Queries on the open database of a ledger, for the run that writes it and for readers."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from compressor.ledger.parts import read_part
from compressor.ledger.records import ObjectResult, decode_record, encode_key, indeterminate
from compressor.ledger.schema import FINAL, INTENT

ROWS_AT_ONCE = 1000


def facts_in(database: sqlite3.Connection) -> dict[str, str]:
    """Return what is recorded about the run: source, target, mode, settings, version …"""
    return dict(database.execute("SELECT name, value FROM run"))


def run_facts_in(database: sqlite3.Connection) -> dict[str, str]:
    """Return what is recorded about the run; raise ValueError if none has begun."""
    facts = facts_in(database)
    if "mode" not in facts:
        raise ValueError("no run has begun")
    return facts


def objects_in(database: sqlite3.Connection, path: Path) -> Iterator[tuple[ObjectResult, bool]]:
    """Yield all objects, and whether each is an intent: it may or may not have been written.

    One shard is in memory at a time.
    """
    for number, finished in database.execute("SELECT number, done FROM shards ORDER BY number").fetchall():
        found = {result.key: (result, False) for result in read_part(path, number)} if finished else {}
        rows = database.execute("SELECT record, state FROM objects WHERE shard = ? ORDER BY key", (number,))
        for line, state in rows:
            result = decode_record(line)
            found[result.key] = result, state != FINAL
        yield from found.values()


def failures_in(database: sqlite3.Connection) -> Iterator[tuple[ObjectResult, bool]]:
    """Yield failures and objects that may or may not have been written, in the order of their keys, and whether each is
    known. ROWS_AT_ONCE are in memory at a time."""
    rows = database.execute(
        "SELECT record, state, reported FROM objects WHERE outcome = 'failed' OR state = ? ORDER BY key", (INTENT,)
    )
    while some := rows.fetchmany(ROWS_AT_ONCE):
        for line, state, known in some:
            result = decode_record(line)
            yield (indeterminate(result), False) if state == INTENT else (result, bool(known))


def known_failures_in(database: sqlite3.Connection) -> dict[str, int]:
    """Return how many failures a completed run has reported whose objects were not tried again, by reason."""
    rows = "SELECT reason, count(*) FROM objects WHERE outcome = 'failed' AND state = ? AND reported GROUP BY 1"
    return dict(database.execute(rows, (FINAL,)))


def is_restored(database: sqlite3.Connection, key: str) -> bool:
    """Return whether an object's original has been put back."""
    return database.execute("SELECT 1 FROM restored WHERE key = ?", (encode_key(key),)).fetchone() is not None


def restored_in(database: sqlite3.Connection) -> int:
    """Return how many originals have been put back."""
    (count,) = database.execute("SELECT count(*) FROM restored").fetchone()
    return int(count)
