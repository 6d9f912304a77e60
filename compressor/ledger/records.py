"""The record of an object, as a ledger keeps it: a line of JSON, under a key that need not be UTF-8."""

import json
from dataclasses import fields, replace
from pathlib import Path

from compressor.batch.job import Done, Outcome, Reason


def part_path(ledger: Path, number: int) -> Path:
    """Return the path of the file with the objects of a finished shard."""
    return ledger.with_name(ledger.name + ".parts") / f"{number:08d}.jsonl.gz"


def unsure(intent: Done) -> Done:
    """Return the failure that is reported of an object of which nobody knows whether it was written."""
    problem = "the store does not say whether it was written: the next run will ask again"
    return replace(
        intent, outcome=Outcome.FAILED, reason=Reason.UNAVAILABLE, error=problem, bytes_out=0, result_etag="",
        retry=True,
    )  # fmt: skip


def blob(key: str) -> bytes:
    """Return a key as SQLite keeps it: names of files need not be UTF-8."""
    return key.encode("utf-8", "surrogateescape")


def text(key: bytes | str) -> str:
    return key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key


def as_line(done: Done) -> str:
    """Return one line of JSON; what is empty is left out."""
    values = ((name, getattr(done, name)) for name in FIELDS)  # `asdict` takes ten times as long
    return json.dumps({name: value for name, value in values if value or name == "size"})


FIELDS = tuple(field.name for field in fields(Done))


def from_line(line: str) -> Done:
    """Return the object that a line of `as_line` is of."""
    values = {name: value for name, value in json.loads(line).items() if name in FIELDS}
    values["notices"] = tuple(values.get("notices", ()))
    return Done(**values | {"outcome": Outcome(values["outcome"]), "reason": Reason(values.get("reason", ""))})
