"""What is asked of a run, and what becomes of each object. All of it can be sent to another process."""

from dataclasses import dataclass, field
from typing import Protocol

from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.settings import Access, Settings
from compressor.stores.contract import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is done to every object.

    source, target   URLs; the same for in place
    keep             in place: the place for the originals, a URL or a folder's whole path (`places.keep_place`); in
                     ledgers of earlier versions a prefix below the source. None where they are discarded
    allow_non_atomic replace in place also where the store can't do it atomically
    overwrite        write over what is at the destination
    content_types    patterns such as image/*; others are skipped. Empty: any
    server           host:port of a service that compresses; "" here
    memory_budget    bytes that all objects of one worker together may reserve
    copy_unstrippable  give images whose metadata can't be removed out as they are, in place of failing
    access           files that workers connect to the service with: paths, which each of them reads for itself
    """

    source: str
    target: str
    in_place: bool = False
    keep: str | None = None
    settings: Settings = field(default_factory=Settings)
    allow_non_atomic: bool = False
    overwrite: bool = False
    content_types: tuple[str, ...] = ()
    server: str = ""
    memory_budget: int = 256 << 20
    spool_dir: str | None = None
    conditional_bytes: int = 64 << 20
    copy_unstrippable: bool = False
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A result that waits, verified, in the process that made it, for the word to be written.

    done  as it will be when it has been written, but for `result_etag`
    """

    token: str
    done: ObjectResult


__all__ = ["Entry", "Job", "ObjectOutcome", "ObjectResult", "Prepared", "Reason"]


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died, or what it had prepared is gone with it.

    alone  it had no other object at that time: this one is to blame
    """

    alone: bool = False


Answer = Prepared | ObjectResult | Lost


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
