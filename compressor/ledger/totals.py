"""Objects added up by what became of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason


@dataclass(frozen=True, slots=True)
class Total:
    """Objects of which the same became.

    format, path         as in Done; "" for a format that is none of ours
    bytes_out            of what is there now, or would be; of no account but where the outcome is COMPRESSED
    cpu_seconds          of all their work
    memory_byte_seconds  as in Done
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


class Totals:
    """Sums that grow object by object."""

    def __init__(self) -> None:
        self._sums: dict[tuple[ObjectOutcome, Reason, str, str], list[float]] = {}

    def add(self, done: ObjectResult) -> None:
        sums = self._sums.setdefault((done.outcome, done.reason, done.format, done.path), [0, 0, 0, 0.0, 0.0])
        values = (1, done.size, done.bytes_out or done.size, done.cpu_seconds, done.memory_byte_seconds)
        for at, value in enumerate(values):
            sums[at] += value

    def __iter__(self) -> Iterator[Total]:
        for key, (objects, size, out, seconds, memory) in self._sums.items():
            yield Total(*key, int(objects), int(size), int(out), seconds, memory)
