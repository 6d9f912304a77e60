"""What a process of a Dask cluster does for the engine in engine_dask.py: calls into `work.Worker`, one for each run.

A task leaves its process's pool of threads as soon as it starts: the engine decides how many objects a process has at
once, so that some are transferred while others are coded, and the turns of the codec bound what its cores do.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distributed import get_worker, secede

from compressor.batch.job import Job, Lost, Prepared
from compressor.ledger.records import ObjectResult
from compressor.settings import VERSION
from compressor.stores.contract import Entry

if TYPE_CHECKING:  # it brings the codec, which the coordinator has no use for
    from compressor.batch.work import Worker

IDLE_SECONDS = 60.0  # after which what a vanished coordinator left here may be dropped


@dataclass
class Part:
    """One run's part in this process."""

    worker: "Worker"
    under_way: int = 0
    used: float = 0.0


_parts: dict[str, Part] = {}
_lock = threading.Lock()


@contextmanager
def part_of(run: str, job: Job) -> Iterator["Worker"]:
    """The run's Worker, made on first use, while it is used."""
    from compressor.batch.work import Worker

    with _lock:
        if run not in _parts:
            drop_idle()
            _parts[run] = Part(Worker(job))
        part = _parts[run]
        part.under_way += 1
    try:
        yield part.worker
    finally:
        with _lock:
            part.under_way -= 1
            part.used = time.monotonic()


def drop_idle() -> None:
    """Of runs whose coordinator went without a word. One that is there after all hears Lost, and has it done again."""
    for run, part in list(_parts.items()):
        if not part.under_way and time.monotonic() - part.used > IDLE_SECONDS:
            del _parts[run]
            part.worker.close()


def greet() -> tuple[str, str]:
    """The version here, and the name of this very process: an address may come back with another one behind it."""
    import compressor.batch.work  # noqa: F401 - so that the first object does not wait for it
    from compressor import kernels

    kernels.warmup()
    return VERSION, get_worker().id


def prepare(run: str, process: str, job: Job, entry: Entry) -> Prepared | ObjectResult | None:
    """None: this is not the process that was meant."""
    if get_worker().id != process:
        return None
    secede()
    with part_of(run, job) as worker:
        return worker.prepare(entry)


def commit(run: str, process: str, job: Job, token: str) -> ObjectResult | Lost | None:
    """None: this is not the process that was meant."""
    if get_worker().id != process:
        return None
    secede()
    with part_of(run, job) as worker:
        return worker.commit(token) or Lost()


def drop(run: str, process: str, job: Job, token: str) -> None:
    if get_worker().id == process:
        with part_of(run, job) as worker:
            worker.drop(token)


def forget(run: str) -> None:
    """The run is over."""
    with _lock:
        part = _parts.pop(run, None)
    if part is not None:
        part.worker.close()
