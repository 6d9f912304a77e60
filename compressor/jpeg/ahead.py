"""Kernel calls done ahead of their turn by helper threads while cores are idle."""

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from compressor.cores import CoreScheduler

LINGER_SECONDS = 0.004  # a helper waits so long for its next job: to start one takes 60 µs, to wake one 10


_pool: list[ThreadPoolExecutor] = []  # of the process, made when it is first needed


Workspace_contra = TypeVar("Workspace_contra", contravariant=True)


Workspace = TypeVar("Workspace")


os.register_at_fork(after_in_child=_pool.clear)  # a child has none of its threads


def _helper_threads() -> ThreadPoolExecutor:
    if not _pool:
        _pool.append(ThreadPoolExecutor(len(os.sched_getaffinity(0)), "helper"))
    return _pool[0]


class AheadTask(Protocol[Workspace_contra]):
    """Work that any thread may do: a kernel call. `done` is set after it, with the error that came of it elsewhere."""

    done: bool
    error: BaseException | None

    def work(self, tools: Workspace_contra) -> None: ...


class WorkAhead(Generic[Workspace]):
    """Jobs that the caller wants done in order, done before their turn by other threads while cores are idle.

    A helper takes turns that nobody else wants, one for each job, so that a busy process works as if there were none.
    Leaving the context waits for what helpers are at, a kernel call each, and drops the other jobs.

    tools    makes what each thread needs for itself
    helpers  at most
    spent    told of the CPU seconds that helpers took
    """

    def __init__(
        self, tools: Callable[[], Workspace], helpers: int, spent: Callable[[float], None], turns: CoreScheduler
    ) -> None:
        self._make_tools, self._helpers, self._spent, self._turns = tools, helpers, spent, turns
        self.tools = tools()  # of the caller
        self._spare: list[Workspace] = []
        self._todo: SimpleQueue[AheadTask[Workspace] | None] = SimpleQueue()
        self._some_done: SimpleQueue[None] = SimpleQueue()
        self._seconds: deque[float] = deque()
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._next() is not None:
            pass
        for _ in self._running:
            self._todo.put(None)
        for helper in self._running:
            if not helper.cancel():
                helper.result()
        self._charge()

    @property
    def possible(self) -> bool:
        """Whether somebody helps, or would."""
        if not self._helpers or self._turns.contended():
            return False
        return self._turns.idle > 0 or self._helping() > 0

    def add(self, job: AheadTask[Workspace]) -> None:
        """Have it done, by a helper or when `finish` is called."""
        job.done, job.error = False, None
        self._todo.put(job)
        if self._helping() < self._helpers and self._turns.idle:
            tools = self._spare.pop() if self._spare else self._make_tools()
            with suppress(RuntimeError):  # while the process ends no thread is started: `finish` does what is left
                self._running.append(_helper_threads().submit(self._help, tools))

    def finish(self, job: AheadTask[Workspace]) -> None:
        """Return when it is done; meanwhile do what nobody has begun. The caller has a turn."""
        while not job.done:
            mine = self._next()
            if mine is None:
                self._some_done.get()
            else:
                mine.work(self.tools)
                mine.done = True
        self._charge()
        if job.error is not None:
            raise job.error

    def _next(self) -> AheadTask[Workspace] | None:
        """A job that nobody has begun; None where there is none."""
        try:
            return self._todo.get_nowait()
        except Empty:
            return None

    def _helping(self) -> int:
        self._running = [helper for helper in self._running if not helper.done()]
        return len(self._running)

    def _charge(self) -> None:
        while self._seconds:
            self._spent(self._seconds.popleft())

    def _help(self, tools: Workspace) -> None:
        """On another thread: jobs until none has come for a while, or somebody else wants the core."""
        with suppress(Empty):
            while (job := self._todo.get(timeout=LINGER_SECONDS)) is not None:
                taken = self._turns.try_acquire_idle()
                if taken:
                    self._do(job, tools)
                    self._turns.release()
                else:  # to wait with it would be to wait for a caller who waits for us
                    self._todo.put(job)
                self._some_done.put(None)
                if not taken:
                    break
        self._spare.append(tools)

    def _do(self, job: AheadTask[Workspace], tools: Workspace) -> None:
        before = time.thread_time()
        try:
            job.work(tools)
        except BaseException as error:
            job.error = error
        self._seconds.append(time.thread_time() - before)
        job.done = True
