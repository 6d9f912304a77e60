"""An engine of worker processes on this machine. One that dies loses nothing but its own objects, and is replaced.

Each has several threads, so that while the codec works on one object, others are read and written. The cores that this
process may use are divided among the workers: the scheduler of each (`compressor.cores`) is limited to its share.
"""

import contextlib
import multiprocessing.connection
import os
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from typing import Any

from compressor.batch.job import Job, Lost, Prepared, WorkerAnswer
from compressor.errors import CompressorError
from compressor.fork_server import Forked, ForkServer
from compressor.stores.contract import Entry
from compressor.usage import usable_cores

THREADS = 4  # of a worker
PRELOADED = "compressor.batch.work"  # what takes a worker the longest
END_SECONDS_MAX = 0.5  # to wait for one that was asked to end

STARTUP_FAILURES_MAX = 3  # workers in a row that may end before they have started
STARTED = -1  # number of a worker's first answer: "", or why it can't start

Order = tuple[str, int, Any]  # "prepare", number, entry; "commit" or "drop", number, token; "end", 0, None


def cores_per_worker(cores: int, workers: int) -> list[int]:
    """Divide the cores among workers as equally as possible, at least one each."""
    return [max(1, cores // workers + (number < cores % workers)) for number in range(workers)]


def worker_main(connection: Connection, job: Job, share: int) -> None:
    """Run a worker process. It ends when its coordinator does, in whatever way: nobody holds the pipe's other end then.

    share  cores that its kernels may use at a time
    """
    from compressor import kernels
    from compressor.batch.work import Worker
    from compressor.cores import cores

    cores.limit(share)
    try:
        worker, sending = Worker(job), threading.Lock()
        kernels.import_all()
        worker.ready()
    except Exception as error:
        connection.send((STARTED, str(error) or type(error).__name__))
        return
    connection.send((STARTED, ""))
    orders: SimpleQueue[Order | None] = SimpleQueue()

    def serve() -> None:
        while (order := orders.get()) is not None:
            what, number, subject = order
            answer = worker.prepare(subject) if what == "prepare" else worker.commit(subject) or Lost()
            with sending:
                connection.send((number, answer))

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(EOFError, OSError):
        while (order := connection.recv())[0] != "end":
            if order[0] == "drop":
                worker.drop(order[2])
            else:
                orders.put(order)
    os._exit(0)  # nobody needs the objects in flight any longer


@dataclass
class Process:
    """A worker process, and the objects that it has."""

    connection: Connection
    process: Forked
    share: int
    numbers: set[int] = field(default_factory=set)
    alone: bool = False
    started: bool = False


class Local:
    """An Engine of `count` worker processes. `answers` raises CompressorError where they can't start."""

    def __init__(self, job: Job, count: int, server: ForkServer | None = None) -> None:
        """server  was started early; closed with the engine. None: one is started with the first object"""
        self._job, self._count, self._server = job, count, server
        self._processes: list[Process] = []  # started with the first object: a finished run needs none
        self._prepared: dict[str, Process] = {}  # by token
        self._lost: list[tuple[int, WorkerAnswer]] = []
        self._startup_failures = 0
        self.slots = count * THREADS

    def _start(self, share: int) -> Process:
        if self._server is None:
            self._server = ForkServer(PRELOADED)
        ours, theirs = Pipe()
        with theirs:
            return Process(ours, self._server.fork(theirs, worker_main, self._job, share), share)

    def prepare(self, number: int, entry: Entry, alone: bool = False) -> None:
        if not self._processes:
            cores = usable_cores()
            self._processes = [self._start(share) for share in cores_per_worker(cores, self._count)]
        process = min(self._processes, key=lambda one: len(one.numbers))
        process.alone = alone
        self._send(process, ("prepare", number, entry))

    def commit(self, number: int, prepared: Prepared) -> None:
        process = self._prepared.pop(prepared.token, None)
        if process is None:
            self._lost.append((number, Lost()))
        else:
            self._send(process, ("commit", number, prepared.token))

    def drop(self, prepared: Prepared) -> None:
        process = self._prepared.pop(prepared.token, None)
        if process is not None:
            with contextlib.suppress(OSError):
                process.connection.send(("drop", 0, prepared.token))

    def _send(self, process: Process, order: Order) -> None:
        process.numbers.add(order[1])
        with contextlib.suppress(OSError):  # `answers` notices that it has died
            process.connection.send(order)

    def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
        found, self._lost = self._lost, []
        if not self._processes:
            time.sleep(timeout)
            return found
        ready = multiprocessing.connection.wait([one.connection for one in self._processes], 0 if found else timeout)
        for process in [one for one in self._processes if one.connection in ready]:
            try:
                while process.connection.poll():
                    number, answer = process.connection.recv()
                    if number == STARTED:
                        process.started = True
                        if answer:
                            raise CompressorError(f"a worker process can't start: {answer}")
                        continue
                    process.numbers.discard(number)
                    if isinstance(answer, Prepared):
                        self._prepared[answer.token] = process
                    found.append((number, answer))
            except (EOFError, OSError):
                found += self._replace_dead_worker(process)
        return found

    def _replace_dead_worker(self, process: Process) -> list[tuple[int, WorkerAnswer]]:
        """Start a worker in place of one that died; return its objects as lost."""
        status = process.process.wait()
        self._startup_failures = 0 if process.started else self._startup_failures + 1
        if self._startup_failures == STARTUP_FAILURES_MAX:
            raise CompressorError(f"worker processes end before they have started, with status {status}")
        alone = process.alone or len(process.numbers) == 1
        found: list[tuple[int, WorkerAnswer]] = [(number, Lost(alone=alone)) for number in sorted(process.numbers)]
        for token in [token for token, holder in self._prepared.items() if holder is process]:
            del self._prepared[token]
        process.connection.close()
        self._processes[self._processes.index(process)] = self._start(process.share)
        return found

    def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.connection.send(("end", 0, None))
        busy, end = list(self._processes), time.monotonic() + END_SECONDS_MAX
        while busy and (seconds := end - time.monotonic()) > 0:
            ready = multiprocessing.connection.wait([process.connection for process in busy], seconds)
            busy = [one for one in busy if one.connection not in ready or not _has_ended(one.connection)]
        for process in busy:
            if process.process.exists:
                process.process.kill()
        for process in self._processes:
            process.connection.close()
        if self._server is not None:
            self._server.close()


def _has_ended(connection: Connection) -> bool:
    """Receive an answer; return whether the worker has ended instead."""
    try:
        connection.recv()
    except (EOFError, OSError):
        return True
    return False
