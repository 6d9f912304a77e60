"""An engine on Dask's distributed: the work of the local processes, on the workers of a cluster.

Little is left to Dask, so that an object is done once and the ledger knows when: each task is bound to one process and
never retried by the scheduler, which neither chooses workers nor steals tasks. Free slots, dead workers and what was
lost with them are tracked here. The scheduler has no more tasks than `slots`, however long the run.
"""

import asyncio
import logging
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from distributed import Client, KilledWorker
from distributed.client import FutureCancelledError

from compressor.batch import work_dask
from compressor.batch.job import Job, Lost, Prepared, WorkerAnswer
from compressor.batch.outcomes import failure_of, in_one_line
from compressor.errors import CompressorError
from compressor.ledger.records import ObjectResult, Reason
from compressor.settings import VERSION
from compressor.stores.contract import Entry

REFRESH_SECONDS = 1.0  # between refreshes of the list of workers
CONNECT_SECONDS_MAX = 10.0
SCHEDULER_SECONDS_MAX = 30.0  # for the scheduler to answer
JOIN_SECONDS_MAX = 900.0  # for a worker's first answer: it loads or compiles the kernels
WORKERLESS_SECONDS_MAX = 300.0  # before the run gives up
USABLE = frozenset({"running", "paused"})  # a paused worker continues when it has memory again

T = TypeVar("T")
WorkerKey = tuple[str, str]  # address and local directory, which a restarted process does not have again


@dataclass(frozen=True, slots=True)
class _Call:
    """A task for a worker.

    on_error  returns the answer when it raises; None: no answer is needed
    """

    number: int
    function: Callable[..., Prepared | ObjectResult | Lost | None]
    argument: Entry | str
    on_error: Callable[[Exception], WorkerAnswer] | None


@dataclass(eq=False, slots=True)
class _Member:
    """A worker process of the cluster.

    process  its name, which no other process ever has
    slots    objects that it may have at once
    usable   whether it gets new objects: not while it is being retired
    calls    tasks in flight
    tokens   of objects that it has prepared and neither committed nor dropped
    """

    key: WorkerKey
    process: str
    slots: int
    usable: bool = True
    calls: dict["asyncio.Task[None]", _Call] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    @property
    def objects(self) -> int:
        return len(self.calls) + len(self.tokens)


class Distributed:
    """An Engine on the workers of a Dask cluster.

    scheduler         its address: tcp://HOST:PORT
    slots_per_worker  objects that a worker has at once; None: four for each of its threads, plus two

    `slots` follows the cluster as workers come and go. An isolated object gets a worker that does nothing else for this
    run until it is done; other users of the cluster are unknown here. A worker's memory is limited by its nanny (`dask
    worker --memory-limit`), which kills one that uses more, and its objects are lost. Workers with another version of
    this package are not used. Raises CompressorError where no scheduler answers, or none of its workers is usable.
    """

    def __init__(self, job: Job, scheduler: str, slots_per_worker: int | None = None) -> None:
        self._job, self._scheduler, self._slots_per_worker = job, scheduler, slots_per_worker
        self._run = uuid.uuid4().hex
        self._answers: queue.SimpleQueue[tuple[int, WorkerAnswer] | None] = queue.SimpleQueue()
        self._waiting: deque[tuple[int, Entry]] = deque()
        self._waiting_alone: deque[tuple[int, Entry]] = deque()
        self._members: dict[str, _Member] = {}  # by process
        self._isolated: _Member | None = None  # kept free for an isolated object, or busy with one
        self._joining: dict[WorkerKey, asyncio.Task[None]] = {}
        self._refused: dict[WorkerKey, str] = {}  # with the reason
        self._client: Client | None = None
        self._watching: asyncio.Task[None] | None = None
        self._error: CompressorError | None = None
        self.slots = 1
        self._levels = {
            logger: logger.level for logger in map(logging.getLogger, ("distributed", "distributed.client"))
        }
        for logger in self._levels:
            logger.setLevel(logging.CRITICAL)  # losses are reported as answers and errors
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._unexpected)
        self._thread = threading.Thread(target=self._loop.run_forever, name="dask-engine", daemon=True)
        self._thread.start()
        try:
            self._wait(self._open(), None)
        except BaseException:
            self.close()
            raise

    # --- the interface for the run's thread

    def prepare(self, number: int, entry: Entry, alone: bool = False) -> None:
        self._loop.call_soon_threadsafe(self._enqueue, number, entry, alone)

    def commit(self, number: int, prepared: Prepared) -> None:
        self._loop.call_soon_threadsafe(self._commit, number, prepared)

    def drop(self, prepared: Prepared) -> None:
        self._loop.call_soon_threadsafe(self._drop, prepared)

    def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
        """Return answers as `Engine` has it. Raises CompressorError if the scheduler or all workers are lost."""
        found: list[tuple[int, WorkerAnswer]] = []
        try:
            one = self._answers.get(timeout=max(timeout, 0.0))
            while True:
                if one is not None:
                    found.append(one)
                one = self._answers.get_nowait()
        except queue.Empty:
            pass
        if self._error is not None and not found:
            raise self._error
        return found

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        try:
            self._wait(self._close(), SCHEDULER_SECONDS_MAX)
        except (OSError, TimeoutError):
            pass  # the cluster does not answer: its workers drop what they hold when the next run starts
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            for logger, level in self._levels.items():
                logger.setLevel(level)

    def _wait(self, coroutine: Coroutine[Any, Any, None], timeout: float | None) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    # --- the cluster; in the loop's thread, the only one that accesses members

    async def _open(self) -> None:
        try:
            client = Client(self._scheduler, asynchronous=True, set_as_default=False, timeout=CONNECT_SECONDS_MAX)
            self._client = await client
        except (OSError, ValueError) as error:
            raise CompressorError(f"{self._scheduler}: no Dask scheduler answers: {error}") from None
        deadline = time.monotonic() + SCHEDULER_SECONDS_MAX
        while not self._members:
            await self._refresh()
            if not self._joining and not self._members and (self._refused or time.monotonic() > deadline):
                raise CompressorError(f"{self._scheduler}: {next(iter(self._refused.values()), 'it has no workers')}")
            await asyncio.sleep(0.05)
        self._watching = asyncio.create_task(self._watch())

    async def _close(self) -> None:
        if self._client is None:
            return
        calls = [*self._joining.values(), *(call for member in self._members.values() for call in member.calls)]
        calls += [self._watching] if self._watching is not None else []
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        addresses = [member.key[0] for member in self._members.values()]
        if addresses and self._error is None:
            await self._client.run(work_dask.forget, self._run, workers=addresses, on_error="ignore")
        await self._client.close()

    async def _watch(self) -> None:
        seen = time.monotonic()
        while self._error is None:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await asyncio.wait_for(self._refresh(), SCHEDULER_SECONDS_MAX)
            except (OSError, TimeoutError) as error:
                self._fail(f"{self._scheduler}: the Dask scheduler was lost: {str(error) or 'no answer'}")
            if self._members:
                seen = time.monotonic()
            elif time.monotonic() - seen > WORKERLESS_SECONDS_MAX:
                self._fail(f"{self._scheduler}: {next(iter(self._refused.values()), 'it has no workers left')}")

    def _unexpected(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error that nothing awaits. Dask leaves some after cancelled calls; our own must not be lost."""
        error = context.get("exception")
        if isinstance(error, Exception) and not type(error).__module__.startswith(("distributed", "tornado")):
            self._fail(f"{self._scheduler}: {type(error).__name__}: {error}")

    def _fail(self, problem: str) -> None:
        self._error = CompressorError(problem)
        self._answers.put(None)  # wakes up whoever waits

    async def _refresh(self) -> None:
        """Update the members to the workers that the scheduler knows."""
        assert self._client is not None and self._client.scheduler is not None
        listed = (await self._client.scheduler.identity(n_workers=-1))["workers"]
        present: dict[WorkerKey, Any] = {(address, one["local_directory"]): one for address, one in listed.items()}
        for key, joining in self._joining.items():
            if key not in present:
                joining.cancel()
        self._refused = {key: why for key, why in self._refused.items() if key in present}
        for member in list(self._members.values()):
            if member.key in present:
                member.usable = present[member.key]["status"] in USABLE
            else:
                self._handle_lost(member)
        known = {member.key for member in self._members.values()} | self._joining.keys() | self._refused.keys()
        for key in present.keys() - known:
            self._joining[key] = asyncio.create_task(self._join(key, present[key]["nthreads"]))
        self._resize()

    async def _join(self, key: WorkerKey, threads: int) -> None:
        try:
            version, process = await asyncio.wait_for(self._submit(key, work_dask.greet), JOIN_SECONDS_MAX)
            if version == VERSION:
                self._members[process] = _Member(key, process, self._slots_per_worker or 4 * threads + 2)
            else:
                self._refused[key] = f"worker {key[0]} has version {version} of compressor, not {VERSION}"
        except Exception as error:
            self._refused[key] = f"worker {key[0]} can't be used: {type(error).__name__}: {error}"
        finally:
            del self._joining[key]
        self._resize()

    def _resize(self) -> None:
        self.slots = max(1, sum(member.slots for member in self._members.values() if member.usable))
        self._dispatch()

    def _handle_lost(self, member: _Member) -> None:
        """Remove a member whose process has ended, and answer for the objects that it had."""
        if self._members.pop(member.process, None) is None:
            return
        lost = Lost(alone=member.objects == 1 and member.usable)
        for task, call in member.calls.items():
            task.cancel()
            if call.on_error is not None:
                self._answers.put((call.number, lost))
        if self._isolated is member:
            self._isolated = None
        self._resize()

    # --- objects

    def _enqueue(self, number: int, entry: Entry, alone: bool) -> None:
        (self._waiting_alone if alone else self._waiting).append((number, entry))
        self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting objects to workers with free slots, and isolated ones to a worker that is emptied for them."""
        usable = [member for member in self._members.values() if member.usable]
        if (
            self._isolated is not None
            and not self._isolated.objects
            and not (self._waiting_alone and self._isolated.usable)
        ):
            self._isolated = None
        if self._waiting_alone and self._isolated is None:
            self._isolated = min(usable, key=lambda member: member.objects, default=None)
        if self._waiting_alone and self._isolated is not None and not self._isolated.objects:
            self._prepare(self._isolated, *self._waiting_alone.popleft())
        while self._waiting:
            free = [member for member in usable if member is not self._isolated and member.objects < member.slots]
            if not free:
                return
            self._prepare(min(free, key=lambda member: member.objects / member.slots), *self._waiting.popleft())

    def _prepare(self, member: _Member, number: int, entry: Entry) -> None:
        self._start(
            member,
            _Call(number, work_dask.prepare, entry, lambda error: failure_of(entry, Reason.OTHER, in_one_line(error))),
        )

    def _commit(self, number: int, prepared: Prepared) -> None:
        process, _, token = prepared.token.partition(" ")
        if (member := self._members.get(process)) is None:
            self._answers.put((number, Lost()))
            return
        member.tokens.discard(token)
        # After an error it is unknown whether the object was written, as with a worker that has died.
        self._start(member, _Call(number, work_dask.commit, token, lambda error: Lost()))

    def _drop(self, prepared: Prepared) -> None:
        process, _, token = prepared.token.partition(" ")
        if (member := self._members.get(process)) is not None:
            member.tokens.discard(token)
            self._start(member, _Call(-1, work_dask.drop, token, None))

    def _start(self, member: _Member, call: _Call) -> None:
        member.calls[asyncio.create_task(self._run_call(member, call))] = call

    async def _run_call(self, member: _Member, call: _Call) -> None:
        """Have a worker run a call, and pass on its answer."""
        try:
            answer = await self._submit(member.key, call.function, self._run, member.process, self._job, call.argument)
            gone = answer is None and call.on_error is not None
        except (KilledWorker, FutureCancelledError):
            answer, gone = None, True
        except Exception as error:
            answer, gone = call.on_error and call.on_error(error), False
        if gone:
            self._handle_lost(member)
            return
        task = asyncio.current_task()
        assert task is not None
        del member.calls[task]
        if isinstance(answer, Prepared):
            member.tokens.add(answer.token)
            answer = replace(answer, token=f"{member.process} {answer.token}")
        if answer is not None:
            self._answers.put((call.number, answer))
        self._dispatch()

    async def _submit(self, key: WorkerKey, function: Callable[..., T], *arguments: Any) -> T:
        """Have a worker run a function, once. If the worker dies this waits forever: `_refresh` cancels it then."""
        assert self._client is not None
        future = self._client.submit(function, *arguments, workers=[key[0]], pure=False, retries=0)
        try:
            result: T = await future
            return result
        finally:
            future.release()
