"""A service in several processes: this one starts workers, shares the budgets among them, and serves their metrics.

    clients ─▶ port ─▶ worker ◀─ socket pair ─▶ this process ◀─ metrics port ◀─ Prometheus
                  └──▶ worker ◀─ socket pair ─▶

Each worker listens on the same port; the kernel distributes connections. This process has no gRPC, and sees no image.
"""

import asyncio
import contextlib
import dataclasses
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from compressor.errors import SettingsError
from compressor.footprint import AccruedUsage
from compressor.metrics import Families, MergedMetrics, counted, merge
from compressor.metrics.admin import Admin
from compressor.service.config import Listening, ServerConfig, spool_budget_of
from compressor.service.energy import export_energy
from compressor.service.link import MESSAGE_BYTES_MAX, LinkError, encoded, read_message
from compressor.service.port import ReservedPort
from compressor.service.shared_budget import SharedBudget
from compressor.service.signals import reload_on_hangup, until_signaled
from compressor.usage import ProcessUsage, Usage

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-P", "-m", "compressor.service.worker")
COLLECT_SECONDS = 2.0  # for a worker to send its metrics; after that, those that it has sent before are exported
END_SECONDS = 5.0  # for a process to end after all its calls
STABLE_SECONDS = 60.0  # a worker that has lived for so long is replaced at once
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 30.0  # before any other is replaced; doubled each time


class WorkerProcess:
    """A worker process, as the service sees it.

    ready        it accepts calls
    spool_works  its spool directory works
    families     its metrics, as it has last sent them
    collected    waits for its present metrics
    failure      why it could not start
    """

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process, self.reader, self.writer = process, reader, writer
        self.ready = False
        self.spool_works = True
        self.families: Families = []
        self.collected: asyncio.Future[None] | None = None
        self.failure: Exception | None = None

    def kill(self) -> None:
        """End the process at once, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def send(self, kind: str, **content: Any) -> None:
        """Send a message. A worker that does not read is ended."""
        if self.writer.transport.get_write_buffer_size() > MESSAGE_BYTES_MAX:
            self.kill()
        else:
            self.writer.write(encoded(kind, content))

    def collect(self) -> asyncio.Future[None]:
        """Ask for metrics, and return what waits for them."""
        if self.collected is None:
            self.collected = asyncio.get_running_loop().create_future()
            self.send("collect")
        return self.collected

    def end_collection(self) -> None:
        """Wake what waits for metrics."""
        if self.collected is not None:
            self.collected.set_result(None)
            self.collected = None


class TotalUsage:
    """CPU time and memory of all processes of a service, including those that have ended."""

    def __init__(self, own: ProcessUsage, metrics: MergedMetrics) -> None:
        self._own, self._metrics = own, metrics

    def read(self) -> Usage:
        """Return the usage until the present scrape."""
        cpu = self._metrics.latest("process_cpu_seconds")
        return Usage(self._own.read().seconds, cpu, self._metrics.latest("compressor_memory_byte_seconds"))


class WorkerPool:
    """The workers of a service, in an event loop: `start`, then `stop`.

    command  starts a worker; the number of a file descriptor is added
    """

    def __init__(self, config: ServerConfig, command: Sequence[str] = COMMAND) -> None:
        spool_budget = spool_budget_of(config)
        self.config, self._command = dataclasses.replace(config, spool_budget=spool_budget), command
        self._loop = asyncio.get_running_loop()
        self._draining = asyncio.Event()
        self._started = False
        self._workers: set[WorkerProcess] = set()
        self._keeping: list[asyncio.Task[None]] = []
        self._ended: Families = []  # what workers that have ended have counted
        minimum = config.memory_budget // (2 * config.workers)
        self._budgets = {"memory": self._shared("memory", config.memory_budget, minimum, minimum)}
        if spool_budget is not None:
            # Spools give up after some seconds: nothing is kept for processes that do not use it.
            minimum = spool_budget // (2 * config.workers)
            self._budgets["spool"] = self._shared("spool", spool_budget, minimum, 0)
        self._usage = ProcessUsage(since_start=True, idle_memory=True)
        self._metrics = MergedMetrics(self._scrape, lambda: self._usage.read().memory_byte_seconds)
        usage = TotalUsage(self._usage, self._metrics)
        export_energy(self._metrics, config.footprint, AccruedUsage(config.footprint, usage, lambda: 0.0))
        self._reserved_port = ReservedPort(config.address)
        self._reserved_http = None if config.http_address is None else ReservedPort(config.http_address, "http_address")
        self._admin: Admin | None = None

    def _shared(self, kind: str, total: int, minimum: int, floor: int) -> SharedBudget:
        def grow(worker: Hashable, count: int) -> None:
            assert isinstance(worker, WorkerProcess)
            worker.send("grow", resource=kind, bytes=count)

        def limit(worker: Hashable, ceiling: int) -> None:
            assert isinstance(worker, WorkerProcess)
            worker.send("limit", resource=kind, ceiling=ceiling)

        return SharedBudget(total, minimum, floor, grow, limit)

    @property
    def port(self) -> int:
        return self._reserved_port.port

    @property
    def http_port(self) -> int | None:
        return None if self._reserved_http is None else self._reserved_http.port

    @property
    def metrics_port(self) -> int | None:
        return None if self._admin is None else self._admin.port

    @property
    def ready(self) -> bool:
        """Return whether calls are accepted: all workers have started, at least one of them runs, and the spool
        directory works in all of them."""
        running = [worker for worker in self._workers if worker.ready]
        works = bool(running) and all(worker.spool_works for worker in running)
        return self._started and not self._draining.is_set() and works

    async def start(self) -> None:
        """Start all workers, and wait until they accept calls. Raise what keeps one of them from it."""
        if self.config.metrics_address is not None:
            host, _, port = self.config.metrics_address.rpartition(":")
            self._admin = Admin(host.strip("[]"), int(port), self._metrics.wsgi, lambda: self.ready)
        firsts = [self._loop.create_future() for _ in range(self.config.workers)]
        self._keeping = [asyncio.create_task(self._keep(first)) for first in firsts]
        try:
            await asyncio.gather(*firsts)
        except BaseException:
            self._draining.set()
            await self._end(0.0)
            raise
        self._usage.settle()
        self._started = True
        log.info("%d workers serve on port %d, metrics on port %s", len(firsts), self.port, self.metrics_port)

    def reload(self) -> None:
        """Have all workers read their files again."""
        for worker in self._workers:
            if worker.ready:  # any other is about to read them
                worker.send("reload")

    async def stop(self) -> None:
        """Let all workers drain, wait until they have ended, and stop."""
        self._draining.set()
        for worker in self._workers:
            worker.send("drain")
        await self._end(self.config.drain_seconds + self.config.grace_seconds + END_SECONDS)
        log.info("stopped")

    async def _end(self, seconds: float) -> None:
        """Wait for the workers to end; after some time, end them."""
        if seconds:
            await asyncio.wait(self._keeping, timeout=seconds)
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        if self._admin is not None:
            await asyncio.to_thread(self._admin.close)
        self._reserved_port.close()
        if self._reserved_http is not None:
            self._reserved_http.close()

    async def failed(self) -> None:
        """Wait for an error of this process itself, and raise it."""
        for task in asyncio.as_completed(self._keeping):
            await task

    async def _keep(self, first: "asyncio.Future[None]") -> None:
        """Run a worker, and replace it when it ends. `first` gets the start of the first one, or its error."""
        pause = 0.0
        while not self._draining.is_set():
            began = time.monotonic()
            try:
                worker = await self._spawn()
            except OSError as error:  # too many processes, or no memory for another one
                failure: Exception = error
            else:
                code = await self._attend(worker, first)
                failure = worker.failure or RuntimeError(f"worker {worker.process.pid} ended with code {code}")
            if not first.done():
                first.set_exception(failure)
                return
            if self._draining.is_set():
                return
            stable = time.monotonic() - began > STABLE_SECONDS
            pause = 0.0 if stable else min(max(2 * pause, PAUSE_SECONDS), PAUSE_SECONDS_MAX)
            log.error("%s; another one is started in %g s", failure, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), pause)

    async def _spawn(self) -> WorkerProcess:
        ours, its = socket.socketpair()
        with its, contextlib.ExitStack() as on_error:
            on_error.enter_context(ours)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(its.fileno()),
                pass_fds=[its.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is sent to this process alone
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            on_error.pop_all()
        worker = WorkerProcess(process, *await asyncio.open_connection(sock=ours))
        self._workers.add(worker)
        shares = {kind: budget.join(worker) for kind, budget in self._budgets.items()}
        address = self._reserved_port.address
        http_address = None if self._reserved_http is None else self._reserved_http.address
        config = dataclasses.replace(self.config, address=address, http_address=http_address, metrics_address=None)
        worker.send("start", config=dataclasses.asdict(config), **({"spool": 0} | shares))
        if self._draining.is_set():
            worker.kill()
        return worker

    async def _attend(self, worker: WorkerProcess, first: "asyncio.Future[None]") -> int:
        """Do what a worker asks for until it has ended. Return its exit code."""
        try:
            while (message := await read_message(worker.reader)) is not None:
                self._receive(worker, message)
                if worker.ready and not first.done():
                    first.set_result(None)
        except (LinkError, ValueError, LookupError) as error:
            worker.failure = RuntimeError(f"worker {worker.process.pid} sent an invalid message: {error!r}")
            worker.kill()
        worker.writer.close()
        self._workers.discard(worker)
        for budget in self._budgets.values():
            budget.leave(worker)
        self._ended = merge([self._ended, counted(worker.families)])
        worker.end_collection()
        try:
            return await asyncio.wait_for(worker.process.wait(), END_SECONDS)
        except TimeoutError:
            worker.kill()
            return await worker.process.wait()

    def _receive(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "ask":
                self._budgets[message["resource"]].ask(worker, message["bytes"])
            case "give_back":
                self._budgets[message["resource"]].give_back(worker, message["bytes"])
            case "ready" | "metrics" | "collected" as kind:
                worker.families = message["families"]
                worker.ready |= kind == "ready"
                if kind == "collected":
                    worker.end_collection()
            case "spool":
                worker.spool_works = message["works"]
            case "failed" if message["field"] is not None:
                worker.failure = SettingsError(message["field"], message["problem"])
            case "failed":
                worker.failure = RuntimeError(message["problem"])

    def _scrape(self) -> list[Families]:
        """Return the metrics of all workers; called on a thread of the HTTP server."""
        return asyncio.run_coroutine_threadsafe(self._collect(), self._loop).result(2 * COLLECT_SECONDS)

    async def _collect(self) -> list[Families]:
        asked = [worker.collect() for worker in self._workers if worker.ready]
        if asked:
            await asyncio.wait(asked, timeout=COLLECT_SECONDS)
        return [self._ended, *(worker.families for worker in self._workers)]


async def run_workers(
    config: ServerConfig, on_ready: Callable[[Listening], None] | None = None, command: Sequence[str] = COMMAND
) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    async with until_signaled() as (stopped, handle_interrupt):
        workers = WorkerPool(config, command)
        await workers.start()
        handle_interrupt()
        reload_on_hangup(workers.reload)
        if on_ready is not None:
            on_ready(workers)
        waiting = [asyncio.create_task(stopped.wait()), asyncio.create_task(workers.failed())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await workers.stop()
    for task in waiting:
        if task.done():
            task.result()
        else:
            task.cancel()


def serve_with_workers(
    config: ServerConfig, on_ready: Callable[[Listening], None] | None = None, command: Sequence[str] = COMMAND
) -> None:
    """Serve with `config.workers` processes until SIGTERM or SIGINT. See `WorkerPool` for `command`."""
    asyncio.run(run_workers(config, on_ready, command))
