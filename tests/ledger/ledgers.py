"""Ledgers without a run."""

import dataclasses
from pathlib import Path
from typing import Any

from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectOutcome, ObjectResult
from compressor.settings import VERSION

IN_PLACE = {
    "mode": "in place",
    "keep": "",
    "source": "s3://photos",
    "target": "s3://photos",
    "manifest": "",
    "settings": "{}",
    "version": VERSION,
}
KEPT = IN_PLACE | {"keep": "originals/"}
COPY = IN_PLACE | {"mode": "copy", "target": "s3://small"}


def write(path: Path, objects: dict[str, tuple[int, int]], facts: dict[str, str] = IN_PLACE, **more: Any) -> None:
    """Write a shard of a new or existing ledger, from size and bytes_out by key.

    shard  its number, the next or an existing one; done: whether to finish it; cpu: seconds of each object
    """
    number, done, cpu = more.get("shard", 1), more.get("done", True), more.get("cpu", 1.0)
    with Ledger(path) as ledger:
        ledger.begin(facts)
        shards = {shard.number: shard for shard in ledger.shards()}
        if number in shards:
            ledger.reopen(shards[number])
        else:
            ledger.add_shard(f"{number:03d}~")
        for key, (size, out) in objects.items():
            outcome = ObjectOutcome.COMPRESSED if out < size else ObjectOutcome.KEPT
            found = ObjectResult(key=key, etag="e", size=size, outcome=outcome, bytes_out=out if out < size else 0)
            ledger.finish(number, with_cpu(found, cpu))
        if done:
            ledger.finish_shard(number)
        ledger.totals()


def with_cpu(done: ObjectResult, seconds: float) -> ObjectResult:
    return dataclasses.replace(done, stage_seconds={"encode": seconds * 0.75}, other_seconds=seconds * 0.25)
