"""A run's job, and the protocol between a run and the engine that does it. All of it can be sent to other processes."""

from dataclasses import dataclass, field
from typing import Protocol

from compressor.ledger.records import ObjectResult
from compressor.settings import Access, Format, Settings
from compressor.stores.contract import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The work to be done on every object of a run.

    source, target   URLs; equal for a run in place
    keep             in place: where originals are kept, as a URL or the absolute path of a folder (`keep_place`); in
                     ledgers of earlier versions a prefix below the source. None where originals are discarded
    allow_non_atomic replace in place even where the store can't do it atomically
    overwrite        overwrite objects at the destination
    content_types    patterns such as image/*; objects of other types are skipped. Empty: any type
    server           addresses of a service that compresses, as those of Client; "" to compress in the worker
    memory_budget    bytes that all objects of one worker together may reserve
    copy_unstrippable  copy images whose metadata can't be removed unchanged, where they would fail otherwise
    rename           a result of another format than its source's gets a key with the suffix of its format
                     (`result_keys`); otherwise it gets the source's key, which a run in place does not allow
    score_one_in     measure the score of one object in so many (`outcomes.is_in_sample`), and of each worker's first
                     ones; 1: of all; 0: of none
    min_score        keep an object where the score of its result is lower; None: whatever its score. Measures all
    access           files for the connection to the service: paths, which each worker reads for itself
    unarchive        make JPEGs of archives, and copy everything else
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
    rename: bool = False
    score_one_in: int = 0
    min_score: float | None = None
    access: Access = field(default_factory=Access)
    unarchive: bool = False

    @property
    def may_change_format(self) -> bool:
        """True if a result may have another format than its source."""
        return self.settings.format is not Format.KEEP or self.settings.archive


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verified result that waits to be written, in the process that made it.

    done  its record once it has been written, but for `result_etag`
    """

    token: str
    done: ObjectResult


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died, or lost what it had prepared.

    alone  it had no other object at that time: this one is to blame
    """

    alone: bool = False


WorkerAnswer = Prepared | ObjectResult | Lost


class Engine(Protocol):
    """Workers that prepare and write objects. Used by one thread.

    slots  objects that may be in flight at once: more than workers, so that transfers and codec overlap
    """

    slots: int

    def prepare(self, number: int, entry: Entry, alone: bool = False) -> None:
        """Have an object prepared. The answer is Prepared, ObjectResult where there is nothing to write, or Lost.

        number  chosen by the caller to identify the answer
        alone   by a worker that does nothing else at the same time
        """

    def commit(self, number: int, prepared: Prepared) -> None:
        """Have an object written by the worker that prepared it. The answer is ObjectResult or Lost."""

    def drop(self, prepared: Prepared) -> None:
        """Have a prepared object discarded. There is no answer."""

    def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
        """Return the answers that have arrived; wait up to `timeout` seconds for the first."""

    def close(self) -> None:
        """End the workers; objects in flight are lost."""
