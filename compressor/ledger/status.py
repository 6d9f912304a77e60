"""A ledger's status: which run it belongs to, and how far that has progressed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compressor.ledger.queries import known_failures_in, restored_in, run_facts_in
from compressor.ledger.reader import reading
from compressor.ledger.records import ObjectOutcome
from compressor.ledger.schema import ALL, FINISHED, INTENT, RESTORED
from compressor.ledger.totals import Total, totals_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of a ledger's run.

    mode            "copy" or "in place"
    keep            where originals were kept, as the run names it; "" if they were not
    settings        those that objects are compressed with
    version         of the program that began the run
    finished        Unix time when the last run was completed; None if it was not
    shards          ranges of the listing, and shards_done those whose objects are all done
    totals          objects by outcome, reason, format and path
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
        """Return one line: the fields, and values computed from them."""
        sums = {"objects": self.objects, "failed": self.failed, "new_failures": self.new_failures}
        return json.dumps(sums | asdict(self))


def status(path: Path) -> Status:
    """Read a ledger's status. Raise LedgerHeldError if a run is writing to it, LedgerError if it can't be read."""
    with reading(path) as database:
        facts = run_facts_in(database)
        shards, shards_done = database.execute("SELECT count(*), coalesce(sum(done), 0) FROM shards").fetchone()
        (open_intents,) = database.execute("SELECT count(*) FROM objects WHERE state = ?", (INTENT,)).fetchone()
        return Status(
            ledger=str(path),
            source=facts["source"],
            target=facts["target"],
            mode=facts["mode"],
            keep=facts["keep"],
            manifest=facts["manifest"],
            settings=json.loads(facts["settings"]),
            version=facts["version"],
            finished=float(facts[FINISHED]) if facts.get(FINISHED) else None,
            shards=shards,
            shards_done=shards_done,
            totals=tuple(sorted(totals_in(database), key=_by_outcome)),
            open_intents=open_intents,
            known_failures=known_failures_in(database),
            restored=("all" if facts[RESTORED] == ALL else "part") if RESTORED in facts else "no",
            restored_objects=restored_in(database),
        )


def _by_outcome(total: Total) -> tuple[int, int, str]:
    return list(ObjectOutcome).index(total.outcome), -total.objects, total.reason
