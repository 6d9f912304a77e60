"""The engine on Dask's distributed: the same work as in local processes, on the workers of a cluster.

Dask is asked for little, so that an object is done once and the ledger knows when: each task is bound to one process
and never tried again by the scheduler, which neither chooses a worker nor steals. Who has room, who died and what died
with it is known here. No more tasks than `slots` are with the scheduler, whatever the length of the run.
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
from compressor.batch.job import Answer, Job, Lost, Prepared
from compressor.errors import CompressorError
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason
from compressor.settings import VERSION
from compressor.stores.contract import Entry

LOOK_SECONDS = 1.0  # between looks at which workers there are
CONNECT_SECONDS_MAX = 10.0
SCHEDULER_SECONDS_MAX = 30.0  # for an answer of the scheduler
JOIN_SECONDS_MAX = 900.0  # for a worker's first answer: it loads the codec, or compiles it
WORKERLESS_SECONDS_MAX = 300.0  # before the run gives up
USABLE = frozenset({"running", "paused"})  # a paused one goes on when it has memory again

T = TypeVar("T")
Place = tuple[str, str]  # a worker's address and its own folder, which a process that comes back does not have again


@dataclass(frozen=True, slots=True)
class _Call:
    """A task in a worker.

    failed  what is answered when it raises; None: it is of nobody's interest
    """

    number: int
    function: Callable[..., Prepared | ObjectResult | Lost | None]
    argument: Entry | str
    failed: Callable[[Exception], Answer] | None


@dataclass(eq=False, slots=True)
class _Member:
    """A worker process of the cluster.

    process  its name, which no other process ever has
    slots    objects it may have at once
    usable   whether it is given new ones: not while it is being retired
    calls    under way
    tokens   of what is prepared there and neither committed nor dropped
    """

    place: Place
    process: str
    slots: int
    usable: bool = True
    calls: dict["asyncio.Task[None]", _Call] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    @property
    def objects(self) -> int:
        return len(self.calls) + len(self.tokens)


def failed(entry: Entry, error: Exception) -> ObjectResult:
    """What becomes of an object where the work itself broke."""
    problem = f"{type(error).__name__}: {error}"
    return ObjectResult(
        key=entry.key,
        etag=entry.etag,
        size=entry.size,
        outcome=ObjectOutcome.FAILED,
        reason=Reason.OTHER,
        error=" ".join(problem.split()),
    )


class Distributed:
    """An Engine on the workers of a Dask cluster.

    scheduler         its address: tcp://HOST:PORT
    slots_per_worker  objects that a worker has at once; None: four for each of its threads, and two

    `slots` follows the cluster as workers come and go. A lone object is given a worker of which nothing else is asked
    until it is done; what others have the cluster do is not known here. The memory of a worker is its nanny's business
    (`dask worker --memory-limit`): it kills one that takes more, and its objects are lost. A worker without this
    version of ours is left aside. Raises CompressorError where no scheduler answers or none of its workers is of use.
    """

    def __init__(self, job: Job, scheduler: str, slots_per_worker: int | None = None) -> None:
        self._job, self._scheduler, self._slots_per_worker = job, scheduler, slots_per_worker
        self._run = uuid.uuid4().hex
        self._answers: queue.SimpleQueue[tuple[int, Answer] | None] = queue.SimpleQueue()
        self._waiting: deque[tuple[int, Entry]] = deque()
        self._waiting_alone: deque[tuple[int, Entry]] = deque()
        self._members: dict[str, _Member] = {}  # by process
        self._lone: _Member | None = None  # kept free for a lone object, or busy with one
        self._joining: dict[Place, asyncio.Task[None]] = {}
        self._refused: dict[Place, str] = {}  # and why
        self._client: Client | None = None
        self._watching: asyncio.Task[None] | None = None
        self._error: CompressorError | None = None
        self.slots = 1
        self._levels = {
            logger: logger.level for logger in map(logging.getLogger, ("distributed", "distributed.client"))
        }
        for logger in self._levels:
            logger.setLevel(logging.CRITICAL)  # what is lost is told by answers and errors
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._unexpected)
        self._thread = threading.Thread(target=self._loop.run_forever, name="dask-engine", daemon=True)
        self._thread.start()
        try:
            self._wait(self._open(), None)
        except BaseException:
            self.close()
            raise

    # --- the engine, as the run's thread sees it

    def prepare(self, number: int, entry: Entry, alone: bool = False) -> None:
        self._loop.call_soon_threadsafe(self._take, number, entry, alone)

    def commit(self, number: int, prepared: Prepared) -> None:
        self._loop.call_soon_threadsafe(self._commit, number, prepared)

    def drop(self, prepared: Prepared) -> None:
        self._loop.call_soon_threadsafe(self._drop, prepared)

    def answers(self, timeout: float) -> list[tuple[int, Answer]]:
        """Raises CompressorError when the scheduler is gone, or has been without workers for too long."""
        found: list[tuple[int, Answer]] = []
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
            pass  # the cluster does not answer: its workers drop what they hold when another run comes
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            for logger, level in self._levels.items():
                logger.setLevel(level)

    def _wait(self, coroutine: Coroutine[Any, Any, None], timeout: float | None) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    # --- the loop's thread, which alone touches members: the cluster

    async def _open(self) -> None:
        try:
            client = Client(self._scheduler, asynchronous=True, set_as_default=False, timeout=CONNECT_SECONDS_MAX)
            self._client = await client
        except (OSError, ValueError) as error:
            raise CompressorError(f"{self._scheduler}: no Dask scheduler answers: {error}") from None
        deadline = time.monotonic() + SCHEDULER_SECONDS_MAX
        while not self._members:
            await self._look()
            if not self._joining and not self._members and (self._refused or time.monotonic() > deadline):
                raise CompressorError(f"{self._scheduler}: {next(iter(self._refused.values()), 'it has no worker')}")
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
        addresses = [member.place[0] for member in self._members.values()]
        if addresses and self._error is None:
            await self._client.run(work_dask.forget, self._run, workers=addresses, on_error="ignore")
        await self._client.close()

    async def _watch(self) -> None:
        seen = time.monotonic()
        while self._error is None:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await asyncio.wait_for(self._look(), SCHEDULER_SECONDS_MAX)
            except (OSError, TimeoutError) as error:
                self._fail(f"{self._scheduler}: the Dask scheduler is gone: {str(error) or 'no answer'}")
            if self._members:
                seen = time.monotonic()
            elif time.monotonic() - seen > WORKERLESS_SECONDS_MAX:
                self._fail(f"{self._scheduler}: {next(iter(self._refused.values()), 'there is no worker any more')}")

    def _unexpected(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that nobody waits for. Dask leaves some behind where a call is given up; ours must not be missed."""
        error = context.get("exception")
        if isinstance(error, Exception) and not type(error).__module__.startswith(("distributed", "tornado")):
            self._fail(f"{self._scheduler}: {type(error).__name__}: {error}")

    def _fail(self, problem: str) -> None:
        self._error = CompressorError(problem)
        self._answers.put(None)  # whoever waits is told

    async def _look(self) -> None:
        """Take in who came and who went."""
        assert self._client is not None and self._client.scheduler is not None
        told = (await self._client.scheduler.identity(n_workers=-1))["workers"]
        present: dict[Place, Any] = {(address, one["local_directory"]): one for address, one in told.items()}
        for place, joining in self._joining.items():
            if place not in present:
                joining.cancel()
        self._refused = {place: why for place, why in self._refused.items() if place in present}
        for member in list(self._members.values()):
            if member.place in present:
                member.usable = present[member.place]["status"] in USABLE
            else:
                self._lose(member)
        known = {member.place for member in self._members.values()} | self._joining.keys() | self._refused.keys()
        for place in present.keys() - known:
            self._joining[place] = asyncio.create_task(self._join(place, present[place]["nthreads"]))
        self._resize()

    async def _join(self, place: Place, threads: int) -> None:
        try:
            version, process = await asyncio.wait_for(self._ask(place, work_dask.greet), JOIN_SECONDS_MAX)
            if version == VERSION:
                self._members[process] = _Member(place, process, self._slots_per_worker or 4 * threads + 2)
            else:
                self._refused[place] = f"worker {place[0]} has version {version} of compressor, not {VERSION}"
        except Exception as error:
            self._refused[place] = f"worker {place[0]} can't be used: {type(error).__name__}: {error}"
        finally:
            del self._joining[place]
        self._resize()

    def _resize(self) -> None:
        self.slots = max(1, sum(member.slots for member in self._members.values() if member.usable))
        self._dispatch()

    def _lose(self, member: _Member) -> None:
        """Its process is gone, and all that it had."""
        if self._members.pop(member.process, None) is None:
            return
        lost = Lost(alone=member.objects == 1 and member.usable)
        for task, call in member.calls.items():
            task.cancel()
            if call.failed is not None:
                self._answers.put((call.number, lost))
        if self._lone is member:
            self._lone = None
        self._resize()

    # --- and objects

    def _take(self, number: int, entry: Entry, alone: bool) -> None:
        (self._waiting_alone if alone else self._waiting).append((number, entry))
        self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting objects to workers with room; a lone one to a worker that is kept free until it has none."""
        usable = [member for member in self._members.values() if member.usable]
        if self._lone is not None and not self._lone.objects and not (self._waiting_alone and self._lone.usable):
            self._lone = None
        if self._waiting_alone and self._lone is None:
            self._lone = min(usable, key=lambda member: member.objects, default=None)
        if self._waiting_alone and self._lone is not None and not self._lone.objects:
            self._prepare(self._lone, *self._waiting_alone.popleft())
        while self._waiting:
            free = [member for member in usable if member is not self._lone and member.objects < member.slots]
            if not free:
                return
            self._prepare(min(free, key=lambda member: member.objects / member.slots), *self._waiting.popleft())

    def _prepare(self, member: _Member, number: int, entry: Entry) -> None:
        self._start(member, _Call(number, work_dask.prepare, entry, lambda error: failed(entry, error)))

    def _commit(self, number: int, prepared: Prepared) -> None:
        process, _, token = prepared.token.partition(" ")
        if (member := self._members.get(process)) is None:
            self._answers.put((number, Lost()))
            return
        member.tokens.discard(token)
        # Whether it was written is not known where that broke: the same as with a worker that is gone.
        self._start(member, _Call(number, work_dask.commit, token, lambda error: Lost()))

    def _drop(self, prepared: Prepared) -> None:
        process, _, token = prepared.token.partition(" ")
        if (member := self._members.get(process)) is not None:
            member.tokens.discard(token)
            self._start(member, _Call(-1, work_dask.drop, token, None))

    def _start(self, member: _Member, call: _Call) -> None:
        member.calls[asyncio.create_task(self._follow(member, call))] = call

    async def _follow(self, member: _Member, call: _Call) -> None:
        """A call to its answer."""
        try:
            answer = await self._ask(member.place, call.function, self._run, member.process, self._job, call.argument)
            gone = answer is None and call.failed is not None
        except (KilledWorker, FutureCancelledError):
            answer, gone = None, True
        except Exception as error:
            answer, gone = call.failed and call.failed(error), False
        if gone:
            self._lose(member)
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

    async def _ask(self, place: Place, function: Callable[..., T], *arguments: Any) -> T:
        """Have a worker do it, once. It waits for ever where that is gone: whoever sees it gone cancels this."""
        assert self._client is not None
        future = self._client.submit(function, *arguments, workers=[place[0]], pure=False, retries=0)
        try:
            result: T = await future
            return result
        finally:
            future.release()
