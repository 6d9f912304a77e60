"""The part of engine_dask.py that runs in a worker process of a Dask cluster: calls to `work.Worker`, one for each run.

A task leaves its process's thread pool as soon as it starts. The engine decides how many objects a process has at once,
so that some are transferred while others are coded; the codec's core scheduler bounds how many cores it uses.
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

if TYPE_CHECKING:  # it imports the codec, which the coordinator has no use for
    from compressor.batch.work import Worker

IDLE_SECONDS = 60.0  # after which the worker of a coordinator that has vanished may be dropped


@dataclass
class RunWorker:
    """A run's Worker in this process."""

    worker: "Worker"
    in_flight: int = 0
    last_used: float = 0.0


_workers: dict[str, RunWorker] = {}
_lock = threading.Lock()


@contextmanager
def worker_of(run: str, job: Job) -> Iterator["Worker"]:
    """Yield the run's Worker, made on first use, and keep it from being dropped until it was used."""
    from compressor.batch.work import Worker

    with _lock:
        if run not in _workers:
            drop_idle()
            _workers[run] = RunWorker(Worker(job))
        entered = _workers[run]
        entered.in_flight += 1
    try:
        yield entered.worker
    finally:
        with _lock:
            entered.in_flight -= 1
            entered.last_used = time.monotonic()


def drop_idle() -> None:
    """Drop workers of runs whose coordinator has vanished. One that has not gets Lost, and has the work done again."""
    for run, found in list(_workers.items()):
        if not found.in_flight and time.monotonic() - found.last_used > IDLE_SECONDS:
            del _workers[run]
            found.worker.close()


def greet() -> tuple[str, str]:
    """Return the version of this package, and this process's own name: an address may be reused by another process."""
    import compressor.batch.work  # noqa: F401 - so that the first object does not wait for it
    from compressor import kernels

    kernels.import_all()
    return VERSION, get_worker().id


def prepare(run: str, process: str, job: Job, entry: Entry) -> Prepared | ObjectResult | None:
    """Prepare an object; return None where this is another process than the one addressed."""
    if get_worker().id != process:
        return None
    secede()
    with worker_of(run, job) as worker:
        return worker.prepare(entry)


def commit(run: str, process: str, job: Job, token: str) -> ObjectResult | Lost | None:
    """Write what was prepared; return None where this is another process than the one addressed."""
    if get_worker().id != process:
        return None
    secede()
    with worker_of(run, job) as worker:
        return worker.commit(token) or Lost()


def drop(run: str, process: str, job: Job, token: str) -> None:
    """Discard what was prepared."""
    if get_worker().id == process:
        with worker_of(run, job) as worker:
            worker.drop(token)


def forget(run: str) -> None:
    """Close the worker of a run that has ended."""
    with _lock:
        found = _workers.pop(run, None)
    if found is not None:
        found.worker.close()
