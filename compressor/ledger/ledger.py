"""What was done, and what is about to be: a SQLite file, and beside it a part for each finished shard.

A **shard** is a range of the listing, some ten thousand keys. Each object of an open shard has a row; when the shard is
done, its rows go to `LEDGER.parts/NUMBER.jsonl.gz`, a line each, and only failures stay. So a ledger of 10⁸ objects is
some 10⁴ parts and a small database.

An **intent** is written down before a worker may write an object: its ETag as it was read, and the SHA-256 of what
comes in its place. Whatever happens then, what is there can be told: the original, our result, or somebody else's.
"""

import gzip
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from compressor.atomic_write import AtomicFile
from compressor.errors import CompressorError
from compressor.ledger.records import (
    ObjectOutcome,
    ObjectResult,
    Reason,
    as_line,
    blob,
    from_line,
    indeterminate,
    part_path,
    text,
)
from compressor.ledger.totals import Total, Totals

SCHEMA = """
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE shards (
    number INTEGER PRIMARY KEY, last TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE objects (
    key BLOB PRIMARY KEY, shard INTEGER NOT NULL, state TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
    time REAL NOT NULL, done TEXT NOT NULL, reported INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX by_shard ON objects (shard);
CREATE TABLE totals (
    shard INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, format TEXT NOT NULL, path TEXT NOT NULL,
    objects INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, cpu_seconds REAL NOT NULL,
    memory_byte_seconds REAL NOT NULL, PRIMARY KEY (shard, outcome, reason, format, path)) WITHOUT ROWID;
"""
RESTORED_KEYS = "CREATE TABLE IF NOT EXISTS restored (key BLOB PRIMARY KEY) WITHOUT ROWID"
VERSION = "1"
SPENT = ("coordinator cpu_seconds", "coordinator memory_byte_seconds")
INTENT, FINAL = "intent", "final"


class LedgerError(CompressorError):
    """A ledger that is not this run's, or that somebody else is using."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Of the listing: what comes behind the shard before, up to `last` and with it, a key or number of a row."""

    number: int
    last: str
    done: bool = False


class Ledger:
    """Of one run; held by one process at a time.

    Writes gather in a transaction until `commit`, which is on disk when it returns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts = part_path(path, 0).parent
        self._database = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("BEGIN IMMEDIATE")
            if not self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone():
                for statement in filter(str.strip, SCHEMA.split(";")):
                    self._database.execute(statement)
                self._database.execute("INSERT INTO run VALUES ('ledger version', ?)", (VERSION,))
                self._database.execute("INSERT INTO run VALUES ('id', ?)", (uuid.uuid4().hex,))
        except sqlite3.OperationalError as error:
            self._database.close()
            if "locked" in str(error):
                raise LedgerError(f"{path} is in use by another run") from None
            raise LedgerError(f"{path}: {error}") from None
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise LedgerError(f"{path} is no ledger: {error}") from None
        if (found := self.facts().get("ledger version")) != VERSION:
            self._database.close()
            raise LedgerError(f"{path} is a ledger of version {found}, this program knows version {VERSION}")
        self._extend()

    def _extend(self) -> None:
        """Add what ledgers of this version did not have from the beginning."""
        self._database.execute(RESTORED_KEYS)
        if "reported" not in {name for _, name, *_ in self._database.execute("PRAGMA table_info(objects)")}:
            self._database.execute("ALTER TABLE objects ADD COLUMN reported INTEGER NOT NULL DEFAULT 0")

    def commit(self) -> None:
        """Everything so far is on disk."""
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        """Keep everything so far."""
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
        """What is known of the run: source, target, mode, settings, version …"""
        return dict(self._database.execute("SELECT name, value FROM run"))

    def begin(self, facts: dict[str, str]) -> None:
        """Note what the run is, or raise LedgerError where the ledger is of a run that differs and has come upon
        objects."""
        known = self.facts() if self.shards() else {}
        for name, value in facts.items():
            if known.setdefault(name, value) != value:
                was, now = known[name] or "none", value or "none"
                raise LedgerError(f"{self.path} is of a run whose {name} is {was}, not {now}: name another")
            self.note(name, value)

    def spend(self, cpu_seconds: float, memory_byte_seconds: float) -> tuple[float, float]:
        """Add what a run took beside its objects; what all runs of this ledger took so."""
        spent = (cpu_seconds, memory_byte_seconds)
        known = self.facts()
        sums = [float(known.get(name, 0)) + value for name, value in zip(SPENT, spent, strict=True)]
        for name, value in zip(SPENT, sums, strict=True):
            self.note(name, repr(value))
        return sums[0], sums[1]

    def note(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (name, value))

    def unnote(self, name: str) -> None:
        self._database.execute("DELETE FROM run WHERE name = ?", (name,))

    # --- shards ----------------------------------------------------------------------------------------------------

    def shards(self) -> list[Shard]:
        """In the order of the listing."""
        found = self._database.execute("SELECT number, last, done FROM shards ORDER BY number").fetchall()
        return [Shard(number, text(last), bool(done)) for number, last, done in found]

    def add_shard(self, last: str) -> Shard:
        """The next one."""
        (number,) = self._database.execute("SELECT coalesce(max(number), 0) + 1 FROM shards").fetchone()
        self._database.execute("INSERT INTO shards VALUES (?, ?, 0)", (number, blob(last)))
        return Shard(number, last)

    def reopen(self, shard: Shard) -> None:
        """Something of a finished shard is to be done again: its objects get their rows back."""
        if not shard.done:
            return
        for done in self.part(shard.number):
            if not self._database.execute("SELECT 1 FROM objects WHERE key = ?", (blob(done.key),)).fetchone():
                self._put(done, shard.number, FINAL)
        self._database.execute("UPDATE shards SET done = 0 WHERE number = ?", (shard.number,))

    def finish_shard(self, number: int) -> None:
        """Its rows become a part; failures keep theirs. Commits."""
        rows = [done for done, _ in self._of(number, FINAL)]
        self._write_part(number, rows)
        self._database.execute("UPDATE shards SET done = 1 WHERE number = ?", (number,))
        done = "state = ? AND outcome <> 'failed'"  # of an intent nobody knows yet what became of it
        self._database.execute(f"DELETE FROM objects WHERE shard = ? AND {done}", (number, FINAL))
        self._retotal(number, rows)
        self.commit()

    def _write_part(self, number: int, rows: list[ObjectResult]) -> None:
        self.parts.mkdir(exist_ok=True)
        path = self._part_path(number)
        with AtomicFile(path.with_suffix(".part")) as part:
            part.discard()  # left by a run that was killed
            with gzip.GzipFile(fileobj=part.open(), mode="wb", mtime=0, filename="") as file:
                for done in rows:
                    file.write(as_line(done).encode() + b"\n")
            part.publish(path, sync_folder=True)

    def _part_path(self, number: int) -> Path:
        return part_path(self.path, number)

    def part(self, number: int) -> Iterator[ObjectResult]:
        """The objects of a finished shard."""
        try:
            with gzip.open(self._part_path(number), "rt", encoding="utf-8") as file:
                for line in file:
                    yield from_line(line)
        except (OSError, EOFError, ValueError) as error:
            raise LedgerError(f"{self._part_path(number)} can't be read: {error}") from None

    def known(self, shard: Shard) -> dict[str, ObjectResult]:
        """What is known of a shard's objects, by key; intents excepted."""
        found = {done.key: done for done in self.part(shard.number)} if shard.done else {}
        return found | {done.key: done for done, _ in self._of(shard.number, FINAL)}

    # --- objects ---------------------------------------------------------------------------------------------------

    def intend(self, shard: int, done: ObjectResult) -> None:
        """Note what is about to be written; to be committed before it is."""
        self._keep_spent(done.key)
        self._put(done, shard, INTENT)

    def finish(self, shard: int, done: ObjectResult) -> None:
        """Note what became of an object."""
        self._keep_spent(done.key)
        self._put(done, shard, FINAL)

    def _keep_spent(self, key: str) -> None:
        """What was done to an object before stays spent when it is done anew."""
        for done, _ in self._select("WHERE key = ? AND state = ?", blob(key), FINAL):
            self.spend(done.cpu_seconds, done.memory_byte_seconds)

    def forget(self, key: str) -> None:
        """An intent that came to nothing."""
        self._database.execute("DELETE FROM objects WHERE key = ?", (blob(key),))

    def intents(self) -> list[tuple[ObjectResult, int]]:
        """What was about to be written when the run ended, with the shard."""
        return list(self._select("WHERE state = ?", INTENT))

    def intent(self, key: str) -> ObjectResult | None:
        """What was about to be written there."""
        return next((done for done, _ in self._select("WHERE key = ? AND state = ?", blob(key), INTENT)), None)

    def objects(self) -> Iterator[ObjectResult]:
        """All that is known, shard by shard."""
        for shard in self.shards():
            yield from self.known(shard).values()

    def failures(self, limit: int) -> list[tuple[ObjectResult, bool]]:
        """Failures and objects that may or may not have been written, and whether each is known: new ones first."""
        found = self._database.execute(
            "SELECT done, reported FROM objects WHERE outcome = 'failed' AND state = ? ORDER BY reported, key LIMIT ?",
            (FINAL, limit),
        ).fetchall()
        open_ends = [(indeterminate(done), False) for done, _ in self.intents()]
        return [*open_ends, *((from_line(line), bool(reported)) for line, reported in found)][:limit]

    def known_failures(self) -> dict[str, int]:
        """Failures that a completed run has reported and that nothing was done about since, by reason."""
        return dict(
            self._database.execute(
                "SELECT reason, count(*) FROM objects WHERE outcome = 'failed' AND state = ? AND reported GROUP BY 1",
                (FINAL,),
            )
        )

    def report_failures(self) -> None:
        """A completed run reports all failures: they are known from now on, until their objects are tried again."""
        self._database.execute(
            "UPDATE objects SET reported = 1 WHERE outcome = 'failed' AND state = ? AND NOT reported", (FINAL,)
        )

    # --- originals that were put back ------------------------------------------------------------------------------

    def mark_restored(self, key: str) -> None:
        """Note that the original of an object is back, and its kept copy gone."""
        self._database.execute("INSERT OR IGNORE INTO restored VALUES (?)", (blob(key),))

    def is_restored(self, key: str) -> bool:
        return self._database.execute("SELECT 1 FROM restored WHERE key = ?", (blob(key),)).fetchone() is not None

    def restored(self) -> int:
        """How many originals were put back."""
        (count,) = self._database.execute("SELECT count(*) FROM restored").fetchone()
        return int(count)

    # --- sums ------------------------------------------------------------------------------------------------------

    def totals(self) -> list[Total]:
        """Of finished shards as they were counted, of open ones by their rows."""
        for (number,) in self._database.execute("SELECT number FROM shards WHERE done = 0").fetchall():
            rows = [done for done, _ in self._of(number, FINAL)]
            self._retotal(number, rows + [indeterminate(done) for done, _ in self._of(number, INTENT)])
        found = self._database.execute(
            "SELECT outcome, reason, format, path, sum(objects), sum(bytes_in), sum(bytes_out), sum(cpu_seconds),"
            " sum(memory_byte_seconds)"
            " FROM totals GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC"
        )
        return [Total(ObjectOutcome(outcome), Reason(reason), *rest) for outcome, reason, *rest in found]

    def _retotal(self, number: int, rows: Iterable[ObjectResult]) -> None:
        found = Totals()
        for done in rows:
            found.add(done)
        self._database.execute("DELETE FROM totals WHERE shard = ?", (number,))
        self._database.executemany(
            "INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(number, *(getattr(total, name) for name in TOTAL_FIELDS)) for total in found],
        )

    def _put(self, done: ObjectResult, shard: int, state: str) -> None:
        values = (blob(done.key), shard, state, done.outcome.value, done.reason.value, time.time(), as_line(done))
        self._database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, 0)", values)

    def _of(self, shard: int, state: str) -> Iterator[tuple[ObjectResult, int]]:
        return self._select("WHERE shard = ? AND state = ? ORDER BY key", shard, state)

    def _select(self, where: str, *values: Any) -> Iterator[tuple[ObjectResult, int]]:
        for line, shard in self._database.execute(f"SELECT done, shard FROM objects {where}", values).fetchall():
            yield from_line(line), shard


TOTAL_FIELDS = tuple(field.name for field in fields(Total))
