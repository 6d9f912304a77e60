"""Objects added up by outcome, reason, formats and path."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace

from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason, decode_record, indeterminate
from compressor.ledger.schema import FINAL


@dataclass(frozen=True, slots=True)
class Total:
    """The sums of objects with the same outcome, reason, formats and path.

    format, result_format, path  as in ObjectResult
    bytes_out            size of what is stored now, or would be; meaningful only where the outcome is COMPRESSED or
                         STRIPPED
    cpu_seconds          of all their work
    memory_byte_seconds  as in ObjectResult
    """

    outcome: ObjectOutcome
    reason: Reason
    format: str
    path: str
    objects: int
    bytes_in: int
    bytes_out: int
    cpu_seconds: float
    memory_byte_seconds: float = 0.0
    result_format: str = ""

    @property
    def saved_bytes(self) -> int:
        return self.bytes_in - self.bytes_out if self.outcome.changed else 0


# Fields of a Total: those that name a group, and its sums.
GROUP = ("outcome", "reason", "format", "path", "result_format")
SUMS = ("objects", "bytes_in", "bytes_out", "cpu_seconds", "memory_byte_seconds")
Group = tuple[ObjectOutcome, Reason, str, str, str]


class Totals:
    """Sums that grow object by object."""

    def __init__(self) -> None:
        self._sums: dict[Group, list[float]] = {}

    def add(self, result: ObjectResult) -> None:
        """Add an object."""
        group = result.outcome, result.reason, result.format, result.path, result.result_format
        size, cpu_seconds = result.size, result.cpu_seconds
        self._add(group, (1, size, result.bytes_out or size, cpu_seconds, result.memory_byte_seconds))

    def add_total(self, total: Total) -> None:
        """Add the objects of another total."""
        group = total.outcome, total.reason, total.format, total.path, total.result_format
        self._add(group, tuple(getattr(total, name) for name in SUMS))

    def _add(self, group: Group, values: tuple[float, ...]) -> None:
        sums = self._sums.setdefault(group, [0, 0, 0, 0.0, 0.0])
        for at, value in enumerate(values):
            sums[at] += value

    def __iter__(self) -> Iterator[Total]:
        for (outcome, reason, format, path, result_format), (objects, size, out, seconds, memory) in self._sums.items():
            sums = int(objects), int(size), int(out), seconds, memory
            yield Total(outcome, reason, format, path, *sums, result_format)


def without_path(totals: Iterable[Total]) -> list[Total]:
    """Return totals that are not divided by path, in the order of the first of each."""
    found = Totals()
    for total in totals:
        found.add_total(replace(total, path=""))
    return list(found)


def store_totals(database: sqlite3.Connection, shard: int, results: Iterable[ObjectResult]) -> None:
    """Store the totals of a finished shard."""
    totals = Totals()
    for result in results:
        totals.add(result)
    database.execute("DELETE FROM totals WHERE shard = ?", (shard,))
    database.executemany(
        "INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [(shard, *astuple(total)) for total in totals]
    )


def totals_in(database: sqlite3.Connection) -> list[Total]:
    """Return a ledger's totals, the most frequent first: of finished shards as stored, of open ones from their objects.

    An intent counts as a failure, since it is unknown whether the object was written.
    """
    names, sums = ", ".join(GROUP), ", ".join(f"sum({name})" for name in SUMS)
    stored = f"SELECT {names}, {sums} FROM totals JOIN shards ON number = shard AND done GROUP BY {names}"
    totals = Totals()
    for outcome, reason, format, path, result_format, *values in database.execute(stored):
        group = {"format": format, "path": path, "result_format": result_format}
        added = dict(zip(SUMS, values, strict=True))
        totals.add_total(Total(ObjectOutcome(outcome), Reason(reason), **group, **added))
    rows = "SELECT state, record FROM objects JOIN shards ON number = shard AND NOT done"
    for state, line in database.execute(rows):
        result = decode_record(line)
        totals.add(result if state == FINAL else indeterminate(result))
    return sorted(totals, key=lambda total: -total.objects)
