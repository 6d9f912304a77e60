"""Kernel calls executed ahead of time by helper threads while cores are idle."""

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
from compressor.usage import usable_cores

LINGER_SECONDS = 0.004  # that a helper waits for its next task: starting one takes 60 µs, waking one 10 µs

_pool: list[ThreadPoolExecutor] = []  # of the process, created when it is first needed
os.register_at_fork(after_in_child=_pool.clear)  # a child process has none of its threads

Workspace = TypeVar("Workspace")
Workspace_contra = TypeVar("Workspace_contra", contravariant=True)


def _helper_threads() -> ThreadPoolExecutor:
    if not _pool:
        _pool.append(ThreadPoolExecutor(usable_cores(), "helper"))
    return _pool[0]


class AheadTask(Protocol[Workspace_contra]):
    """A kernel call that any thread may execute. `done` is set afterwards, and `error` if it failed on another
    thread."""

    done: bool
    error: BaseException | None

    def work(self, workspace: Workspace_contra) -> None:
        """Make the call."""


class WorkAhead(Generic[Workspace]):
    """Tasks that the caller needs in order, executed ahead of time by other threads while cores are idle.

    A helper acquires a core that nobody else wants, for each task again, so that a busy process works as if there were
    no helpers. Leaving the context waits for the helpers' current kernel calls and drops all other tasks.

    workspace       makes the arrays that each thread needs for itself
    helpers         largest number of helper threads
    on_cpu_seconds  called with the CPU seconds of helpers
    """

    def __init__(
        self,
        workspace: Callable[[], Workspace],
        helpers: int,
        on_cpu_seconds: Callable[[float], None],
        cores: CoreScheduler,
    ) -> None:
        self._make_workspace, self._helpers, self._on_cpu_seconds, self._cores = (
            workspace,
            helpers,
            on_cpu_seconds,
            cores,
        )
        self.workspace = workspace()  # the caller's
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
        """True if helpers are working or could be."""
        if not self._helpers or self._cores.contended():
            return False
        return self._cores.idle > 0 or self._helping() > 0

    def add(self, job: AheadTask[Workspace]) -> None:
        """Queue a task for a helper, or for `finish`."""
        job.done, job.error = False, None
        self._todo.put(job)
        if self._helping() < self._helpers and self._cores.idle:
            workspace = self._spare.pop() if self._spare else self._make_workspace()
            with suppress(RuntimeError):  # at interpreter shutdown no thread can start: `finish` executes the rest
                self._running.append(_helper_threads().submit(self._help, workspace))

    def finish(self, job: AheadTask[Workspace]) -> None:
        """Wait until a task is done, executing tasks that nobody has begun. The caller must have acquired a core."""
        while not job.done:
            mine = self._next()
            if mine is None:
                self._some_done.get()
            else:
                mine.work(self.workspace)
                mine.done = True
        self._charge()
        if job.error is not None:
            raise job.error

    def _next(self) -> AheadTask[Workspace] | None:
        """Return a task that nobody has begun; None if there is none."""
        try:
            return self._todo.get_nowait()
        except Empty:
            return None

    def _helping(self) -> int:
        self._running = [helper for helper in self._running if not helper.done()]
        return len(self._running)

    def _charge(self) -> None:
        while self._seconds:
            self._on_cpu_seconds(self._seconds.popleft())

    def _help(self, workspace: Workspace) -> None:
        """Execute tasks on a helper thread, until none has arrived for a while or somebody else wants the core."""
        with suppress(Empty):
            while (job := self._todo.get(timeout=LINGER_SECONDS)) is not None:
                taken = self._cores.try_acquire_idle()
                if taken:
                    self._do(job, workspace)
                    self._cores.release()
                else:  # waiting for a core with the task would be a deadlock if its caller waits for the task
                    self._todo.put(job)
                self._some_done.put(None)
                if not taken:
                    break
        self._spare.append(workspace)

    def _do(self, job: AheadTask[Workspace], workspace: Workspace) -> None:
        before = time.thread_time()
        try:
            job.work(workspace)
        except BaseException as error:
            job.error = error
        self._seconds.append(time.thread_time() - before)
        job.done = True
