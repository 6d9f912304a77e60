"""What leads objects through workers. A worker prepares an object, and replaces it when the ledger has written down
what it is about to do: only then, and only the worker that prepared it."""

from dataclasses import dataclass
from typing import Protocol

from compressor.batch.job import Done, Prepared
from compressor.stores.contract import Entry


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died, or what it had prepared is gone with it.

    alone  it had no other object at that time: this one is to blame
    """

    alone: bool = False


Answer = Prepared | Done | Lost


class Engine(Protocol):
    """Not for use by several threads.

    slots  objects that may be under way at once: more than workers, so that transfers and codec overlap
    """

    slots: int

    def prepare(self, number: int, entry: Entry, alone: bool = False) -> None:
        """Have an object prepared. Answered by Prepared; by Done where there is nothing to write; by Lost.

        number  the caller's, to know the answer by
        alone   by a worker that does nothing else meanwhile
        """

    def commit(self, number: int, prepared: Prepared) -> None:
        """Have the worker that prepared it write it. Answered by Done or Lost."""

    def drop(self, prepared: Prepared) -> None:
        """Have it forgotten. Not answered."""

    def answers(self, timeout: float) -> list[tuple[int, Answer]]:
        """What has come in; waits up to `timeout` seconds for the first."""

    def close(self) -> None:
        """End the workers; what is under way is lost."""
