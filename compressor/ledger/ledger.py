"""A run's ledger, as the run writes it: results, and intents to write. It is a SQLite file, with a part next to it for
each finished shard.

A **shard** is a range of the listing, some ten thousand keys. Each object of an open shard has a row. When the shard is
finished, its rows become a part (`parts.py`), and only failures keep theirs: a ledger of 10⁸ objects is some 10⁴ parts
and a small database.

An **intent** is recorded before a worker may write an object: its ETag as it was read, and the SHA-256 of what is to
replace it. Whatever happens then, the next run can decide what is stored there: the original, the result, or something
that another program has written.

A **result key** is recorded with an intent whose result gets another key than its source. So the same key is not given
twice, and a later run knows which objects of a listing are results.
"""

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from compressor.ledger.changes import changes
from compressor.ledger.errors import LedgerError
from compressor.ledger.parts import part_path, read_part, write_part
from compressor.ledger.queries import facts_in, is_restored, known_failures_in, restored_in
from compressor.ledger.records import (
    ObjectResult,
    decode_key,
    decode_record,
    encode_key,
    encode_record,
    indeterminate,
)
from compressor.ledger.schema import FINAL, INTENT, OVERHEAD, check_schema, create, is_empty
from compressor.ledger.totals import Total, store_totals, totals_in
from compressor.stores.contract import Entry


@dataclass(frozen=True, slots=True)
class Shard:
    """A range of the listing: from the end of the previous shard up to and including `last`, a key or the number of a
    row."""

    number: int
    last: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class ResultKey:
    """The use of a key by a result whose source has another key.

    key         of the source
    etag, size  of what was written; an etag of "": it is unknown whether it was
    """

    key: str
    etag: str
    size: int

    def is_at(self, entry: Entry) -> bool:
        """Return whether the object with the result's key is still the result."""
        return bool(self.etag) and (entry.etag == self.etag if entry.etag else entry.size == self.size)


class Ledger:
    """A run's ledger, held by one process at a time.

    Writes are collected in a transaction until `commit`, which returns when they are on disk.
    """

    def __init__(self, path: Path) -> None:
        """Open a ledger, or create it; raise LedgerError if it has another schema, is in use, or is something else."""
        self.path = path
        self.parts = part_path(path, 0).parent
        with ExitStack() as refused:
            try:
                self._database = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
            except sqlite3.OperationalError as error:
                problem = str(error) if path.parent.is_dir() else f"{path.parent} is not a folder: create it first"
                raise LedgerError(f"the ledger {path} can't be written: {problem}") from None
            refused.callback(self._database.close)
            try:
                self._begin()
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    raise LedgerError(f"{path} is in use by another run") from None
                raise LedgerError(f"{path}: {error}") from None
            except sqlite3.DatabaseError as error:
                raise LedgerError(f"{path} is not a ledger: {error}") from None
            refused.pop_all()

    def _begin(self) -> None:
        """Lock the database and begin a transaction, in which an empty one gets its tables."""
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")  # before any access: then WAL needs no shared memory
        if self.path.stat().st_size and not is_empty(self._database):
            check_schema(self._database, self.path)  # before anything is written
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("BEGIN IMMEDIATE")
        if is_empty(self._database):
            create(self._database, uuid.uuid4().hex)

    def commit(self) -> None:
        """Put everything so far on disk."""
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        """Commit, and let other processes open the ledger."""
        self._database.execute("COMMIT")
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the run ---------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, str]:
        """Return what is recorded about the run: source, target, mode, settings, version …"""
        return facts_in(self._database)

    def begin(self, facts: dict[str, str]) -> None:
        """Record what the run is. Raise LedgerError if the ledger belongs to a different run that has processed
        objects."""
        known = self.facts() if self.shards() else {}
        if differences := changes(known, facts):
            raise LedgerError(
                f"{self.path} belongs to another run ({'; '.join(differences)}): to continue that one, give its "
                "options; for a new one, name another file with --ledger"
            )
        for name, value in facts.items():
            self.set_fact(name, value)

    def add_overhead(self, cpu_seconds: float, memory_byte_seconds: float) -> tuple[float, float]:
        """Add what a run used besides the work on objects, and return the sums over all runs of this ledger."""
        known = self.facts()
        added = (cpu_seconds, memory_byte_seconds)
        sums = [float(known.get(name, 0)) + value for name, value in zip(OVERHEAD, added, strict=True)]
        for name, value in zip(OVERHEAD, sums, strict=True):
            self.set_fact(name, repr(value))
        return sums[0], sums[1]

    def set_fact(self, name: str, value: str) -> None:
        """Record a fact about the run, in place of an earlier one of this name."""
        self._database.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (name, value))

    def delete_fact(self, name: str) -> None:
        """Remove a fact, if it is recorded."""
        self._database.execute("DELETE FROM run WHERE name = ?", (name,))

    # --- shards ----------------------------------------------------------------------------------------------------

    def shards(self) -> list[Shard]:
        """Return the shards in the order of the listing."""
        found = self._database.execute("SELECT number, last, done FROM shards ORDER BY number").fetchall()
        return [Shard(number, decode_key(last), bool(done)) for number, last, done in found]

    def add_shard(self, last: str) -> Shard:
        """Add the next shard of the listing."""
        (number,) = self._database.execute("SELECT coalesce(max(number), 0) + 1 FROM shards").fetchone()
        self._database.execute("INSERT INTO shards VALUES (?, ?, 0)", (number, encode_key(last)))
        return Shard(number, last)

    def reopen(self, shard: Shard) -> None:
        """Open a finished shard again: its objects get their rows back."""
        if not shard.done:
            return
        for result in read_part(self.path, shard.number):
            row = self._database.execute("SELECT 1 FROM objects WHERE key = ?", (encode_key(result.key),))
            if row.fetchone() is None:
                self._put(result, shard.number, FINAL)
        self._database.execute("UPDATE shards SET done = 0 WHERE number = ?", (shard.number,))

    def finish_shard(self, number: int) -> None:
        """Turn a shard's rows into a part; failures and intents keep theirs. Commits."""
        results = list(self._of(number, FINAL))
        write_part(self.path, number, results)
        self._database.execute("UPDATE shards SET done = 1 WHERE number = ?", (number,))
        self._database.execute(
            "DELETE FROM objects WHERE shard = ? AND state = ? AND outcome <> 'failed'", (number, FINAL)
        )
        store_totals(self._database, number, results)
        self.commit()

    def known(self, shard: Shard) -> dict[str, ObjectResult]:
        """Return a shard's objects by key, without intents."""
        found = {result.key: result for result in read_part(self.path, shard.number)} if shard.done else {}
        return found | {result.key: result for result in self._of(shard.number, FINAL)}

    # --- objects ---------------------------------------------------------------------------------------------------

    def intend(self, shard: int, intent: ObjectResult) -> None:
        """Record what is about to be written; to be committed before it is."""
        self._keep_spent(intent.key)
        self._release_result_key(intent.key)
        self._put(intent, shard, INTENT)
        if intent.result_key:
            self._put_result_key(intent)

    def finish(self, shard: int, result: ObjectResult) -> None:
        """Record an object's result."""
        self._keep_spent(result.key)
        if not result.outcome.changed:
            self._release_result_key(result.key)
        elif result.result_key:
            self._put_result_key(result)
        self._put(result, shard, FINAL)

    def _keep_spent(self, key: str) -> None:
        """Count what was spent on an object's earlier result, which is about to be replaced."""
        for result, _ in self._select("WHERE key = ? AND state = ?", encode_key(key), FINAL):
            self.add_overhead(result.cpu_seconds, result.memory_byte_seconds)

    def delete_intent(self, key: str) -> None:
        """Remove an intent that was not carried out."""
        self._release_result_key(key)
        self.forget(key)

    def remove(self, key: str) -> None:
        """Remove an object that no longer exists; what was spent on it still counts."""
        self._keep_spent(key)
        self.forget(key)

    def forget(self, key: str) -> None:
        """Remove the row of an object."""
        self._database.execute("DELETE FROM objects WHERE key = ?", (encode_key(key),))

    def intents(self) -> list[tuple[ObjectResult, int]]:
        """Return the intents of which no result is known, each with the number of its shard."""
        return list(self._select("WHERE state = ?", INTENT))

    def intent(self, key: str) -> ObjectResult | None:
        """Return the intent recorded for a key."""
        intents = self._select("WHERE key = ? AND state = ?", encode_key(key), INTENT)
        return next((intent for intent, _ in intents), None)

    def objects(self) -> Iterator[ObjectResult]:
        """Yield all objects, shard by shard, without intents."""
        for shard in self.shards():
            yield from self.known(shard).values()

    def failures(self, limit: int) -> list[tuple[ObjectResult, bool]]:
        """Return failures and objects that may or may not have been written, and whether each is known: new ones
        first."""
        found = self._database.execute(
            "SELECT record, reported FROM objects WHERE outcome = 'failed' AND state = ? ORDER BY reported, key"
            " LIMIT ?",
            (FINAL, limit),
        ).fetchall()
        open_intents = [(indeterminate(intent), False) for intent, _ in self.intents()]
        return [*open_intents, *((decode_record(line), bool(reported)) for line, reported in found)][:limit]

    def known_failures(self) -> dict[str, int]:
        """Return how many failures a completed run has reported whose objects were not tried again, by reason."""
        return known_failures_in(self._database)

    def report_failures(self) -> None:
        """Mark all failures as known, until their objects are tried again: a completed run reports them."""
        self._database.execute(
            "UPDATE objects SET reported = 1 WHERE outcome = 'failed' AND state = ? AND NOT reported", (FINAL,)
        )

    def totals(self) -> list[Total]:
        """Return the totals of all objects, the most frequent first."""
        return totals_in(self._database)

    # --- keys of results -------------------------------------------------------------------------------------------

    def result_at(self, key: str) -> ResultKey | None:
        """Return which object's result has a key other than its source's, or is about to get it."""
        row = self._database.execute(
            "SELECT key, etag, size FROM result_keys WHERE result_key = ?", (encode_key(key),)
        ).fetchone()
        return None if row is None else ResultKey(decode_key(row[0]), *row[1:])

    def has_other_key(self, key: str) -> bool:
        """Return whether the result of an object with this key has another one, or is about to get it."""
        found = self._database.execute("SELECT 1 FROM result_keys WHERE key = ?", (encode_key(key),))
        return found.fetchone() is not None

    def _put_result_key(self, result: ObjectResult) -> None:
        values = encode_key(result.result_key), encode_key(result.key), result.result_etag, result.bytes_out
        self._database.execute("INSERT OR REPLACE INTO result_keys VALUES (?, ?, ?, ?)", values)

    def _release_result_key(self, key: str) -> None:
        """Let the result of another object have the key of an intent that was not carried out."""
        intent = self.intent(key)
        if intent is not None and intent.result_key:
            self._database.execute(
                "DELETE FROM result_keys WHERE result_key = ? AND key = ?",
                (encode_key(intent.result_key), encode_key(key)),
            )

    # --- originals that were put back ------------------------------------------------------------------------------

    def mark_restored(self, key: str) -> None:
        """Record that an object's original was put back and its kept copy deleted."""
        self._database.execute("INSERT OR IGNORE INTO restored VALUES (?)", (encode_key(key),))

    def is_restored(self, key: str) -> bool:
        """Return whether an object's original has been put back."""
        return is_restored(self._database, key)

    def restored(self) -> int:
        """Return how many originals have been put back."""
        return restored_in(self._database)

    # --- rows ------------------------------------------------------------------------------------------------------

    def _put(self, result: ObjectResult, shard: int, state: str) -> None:
        key, outcome, reason = encode_key(result.key), result.outcome.value, result.reason.value
        values = (key, shard, state, outcome, reason, time.time(), encode_record(result))
        self._database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, 0)", values)

    def _of(self, shard: int, state: str) -> Iterator[ObjectResult]:
        return (result for result, _ in self._select("WHERE shard = ? AND state = ? ORDER BY key", shard, state))

    def _select(self, where: str, *values: Any) -> Iterator[tuple[ObjectResult, int]]:
        for line, shard in self._database.execute(f"SELECT record, shard FROM objects {where}", values).fetchall():
            yield decode_record(line), shard
