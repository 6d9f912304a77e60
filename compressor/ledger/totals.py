"""Objects added up by outcome, reason, format and path."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields

from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason, decode_record, indeterminate
from compressor.ledger.schema import FINAL


@dataclass(frozen=True, slots=True)
class Total:
    """The sums of objects with the same outcome, reason, format and path.

    format, path         as in ObjectResult
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

    @property
    def saved_bytes(self) -> int:
        return self.bytes_in - self.bytes_out if self.outcome.changed else 0


KEYS = 4  # fields of a Total that name a group; the others are its sums
Group = tuple[ObjectOutcome, Reason, str, str]


class Totals:
    """Sums that grow object by object."""

    def __init__(self) -> None:
        self._sums: dict[Group, list[float]] = {}

    def add(self, result: ObjectResult) -> None:
        """Add an object."""
        group = result.outcome, result.reason, result.format, result.path
        size, cpu_seconds = result.size, result.cpu_seconds
        self._add(group, (1, size, result.bytes_out or size, cpu_seconds, result.memory_byte_seconds))

    def add_total(self, total: Total) -> None:
        """Add the objects of another total."""
        self._add((total.outcome, total.reason, total.format, total.path), astuple(total)[KEYS:])

    def _add(self, group: Group, values: tuple[float, ...]) -> None:
        sums = self._sums.setdefault(group, [0, 0, 0, 0.0, 0.0])
        for at, value in enumerate(values):
            sums[at] += value

    def __iter__(self) -> Iterator[Total]:
        for group, (objects, size, out, seconds, memory) in self._sums.items():
            yield Total(*group, int(objects), int(size), int(out), seconds, memory)


def store_totals(database: sqlite3.Connection, shard: int, results: Iterable[ObjectResult]) -> None:
    """Store the totals of a finished shard."""
    totals = Totals()
    for result in results:
        totals.add(result)
    database.execute("DELETE FROM totals WHERE shard = ?", (shard,))
    database.executemany(
        "INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [(shard, *astuple(total)) for total in totals]
    )


def totals_in(database: sqlite3.Connection) -> list[Total]:
    """Return a ledger's totals, the most frequent first: of finished shards as stored, of open ones from their objects.

    An intent counts as a failure, since it is unknown whether the object was written.
    """
    names = ", ".join(field.name for field in fields(Total)[:KEYS])
    sums = ", ".join(f"sum({field.name})" for field in fields(Total)[KEYS:])
    stored = f"SELECT {names}, {sums} FROM totals JOIN shards ON number = shard AND done GROUP BY {names}"
    totals = Totals()
    for outcome, reason, *rest in database.execute(stored):
        totals.add_total(Total(ObjectOutcome(outcome), Reason(reason), *rest))
    rows = "SELECT state, record FROM objects JOIN shards ON number = shard AND NOT done"
    for state, line in database.execute(rows):
        result = decode_record(line)
        totals.add(result if state == FINAL else indeterminate(result))
    return sorted(totals, key=lambda total: -total.objects)
