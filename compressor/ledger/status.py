"""The state of a ledger: what run it is of, and how far that has come."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compressor.ledger.ledger import FINAL, INTENT
from compressor.ledger.reader import columns_of, facts_in, reading
from compressor.ledger.records import ALL, FINISHED, RESTORED, ObjectOutcome, Reason, from_line, indeterminate
from compressor.ledger.totals import Total, Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A ledger's run.

    mode            "copy" or "in place"
    keep            where originals were kept, as the run has it; "" where there are none
    settings        those that objects are compressed with
    version         of the program that began it
    finished        when the last run came to its end, Unix time; None where one has yet to
    shards          pieces of the listing, and shards_done those of which all objects are done
    totals          objects by outcome, reason and format
    open_intents    objects that may or may not have been written: the next run finds out
    known_failures  failures that a completed run has reported and that were not tried again, by reason
    restored        "no", "part" or "all" of the originals were put back, and restored_objects how many
    """

    ledger: str
    source: str
    target: str
    mode: str
    keep: str
    manifest: str
    settings: Mapping[str, Any]
    version: str
    finished: float | None
    shards: int
    shards_done: int
    totals: tuple[Total, ...]
    open_intents: int
    known_failures: Mapping[str, int]
    restored: str
    restored_objects: int

    @property
    def objects(self) -> int:
        return sum(total.objects for total in self.totals)

    @property
    def failed(self) -> int:
        return sum(total.objects for total in self.totals if total.outcome is ObjectOutcome.FAILED)

    @property
    def new_failures(self) -> int:
        return self.failed - sum(self.known_failures.values())

    def as_json(self) -> str:
        """One line: the fields, and what is computed from them."""
        sums = {"objects": self.objects, "failed": self.failed, "new_failures": self.new_failures}
        return json.dumps(sums | asdict(self))


def status(path: Path) -> Status:
    """Raises LedgerHeldError where a run is at work on it, LedgerError where it can't be read."""
    with reading(path) as database:
        facts = facts_in(database)
        shards, shards_done = database.execute("SELECT count(*), coalesce(sum(done), 0) FROM shards").fetchone()
        restored = 0
        if columns_of(database, "restored"):
            (restored,) = database.execute("SELECT count(*) FROM restored").fetchone()
        return Status(
            ledger=str(path),
            source=facts["source"],
            target=facts["target"],
            mode=facts["mode"],
            keep=facts.get("keep", ""),
            manifest=facts.get("manifest", ""),
            settings=json.loads(facts.get("settings", "{}")),
            version=facts.get("version", ""),
            finished=float(facts[FINISHED]) if facts.get(FINISHED) else None,
            shards=shards,
            shards_done=shards_done,
            totals=_totals(database),
            open_intents=database.execute("SELECT count(*) FROM objects WHERE state = ?", (INTENT,)).fetchone()[0],
            known_failures=_known_failures(database),
            restored=("all" if facts[RESTORED] == ALL else "part") if RESTORED in facts else "no",
            restored_objects=restored,
        )


def _totals(database: sqlite3.Connection) -> tuple[Total, ...]:
    """Return the sums of finished shards as they were counted, of open ones by their rows."""
    memory = "sum(memory_byte_seconds)" if "memory_byte_seconds" in columns_of(database, "totals") else "0.0"
    sums: dict[tuple[str, ...], list[float]] = {}
    finished = database.execute(
        f"SELECT outcome, reason, format, path, sum(objects), sum(bytes_in), sum(bytes_out), sum(cpu_seconds), {memory}"
        " FROM totals JOIN shards ON number = shard AND done = 1 GROUP BY 1, 2, 3, 4"
    )
    opened = Totals()
    rows = "SELECT objects.state, objects.done FROM objects JOIN shards ON number = shard AND shards.done = 0"
    for state, line in database.execute(rows):
        done = from_line(line)
        opened.add(done if state == FINAL else indeterminate(done))
    in_rows = ((t.outcome, t.reason, t.format, t.path, *_figures(t)) for t in opened)
    for outcome, reason, format, path, *figures in (*finished, *in_rows):
        kept = sums.setdefault((outcome, reason, format, path), [0] * len(figures))
        sums[outcome, reason, format, path] = [one + other for one, other in zip(kept, figures, strict=True)]
    found = [_total(key, figures) for key, figures in sums.items()]
    return tuple(
        sorted(found, key=lambda total: (list(ObjectOutcome).index(total.outcome), -total.objects, total.reason))
    )


def _figures(total: Total) -> tuple[float, ...]:
    return total.objects, total.bytes_in, total.bytes_out, total.cpu_seconds, total.memory_byte_seconds


def _total(key: tuple[str, ...], figures: list[float]) -> Total:
    outcome, reason, format, path = key
    objects, bytes_in, bytes_out, cpu, memory = figures
    return Total(
        ObjectOutcome(outcome), Reason(reason), format, path, int(objects), int(bytes_in), int(bytes_out), cpu, memory
    )


def _known_failures(database: sqlite3.Connection) -> dict[str, int]:
    if "reported" not in columns_of(database, "objects"):
        return {}
    rows = "SELECT reason, count(*) FROM objects WHERE outcome = 'failed' AND state = ? AND reported GROUP BY 1"
    return dict(database.execute(rows, (FINAL,)))
