"""Whose turn it is to work, and work done ahead on cores that are idle."""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

# Coefficient rows of JPEG → JPEG that are no wider take brief turns: at 1024 pixels one thread at a time does 1.2 times
# what two do, at 2048 as much for 0.7 times the CPU time, at 3072 0.7 times as much (`python -m benchmarks together`).
BRIEF_WIDTH = 2048
TURN_SECONDS = 0.01  # of one that others wait for: as long as a small image takes
END_SECONDS = 2.0  # at the end of the process, for threads to come to the end of their turn
LINGER_SECONDS = 0.004  # a helper waits so long for its next job: to start one takes 60 µs, to wake one 10


class Mine(threading.local):
    """What a thread knows of its own turn."""

    has = False
    brief = False
    since = 0.0


class Turns:
    """As many threads at once have a turn as there are cores; those who wait get theirs in the order of their coming.

    Of brief turns there is one at a time: they are for work whose kernel calls are so short that most of its time goes
    by in the interpreter. That runs one thread at a time anyway, and to hand it from one to the other around each call
    takes longer than the calls do. Nobody waits for anything else with a turn.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.reset()

    def limit(self, count: int) -> None:
        """Grant `count` turns at a time from now on. For the start of a process: nobody has a turn or waits for one."""
        self.count = count
        self.reset()

    def reset(self) -> None:
        """Nobody has a turn, and nobody waits."""
        self._mine = Mine()
        self._lock = threading.Lock()
        self._free = self.count
        self._brief = False  # one is taken
        self._last: int | None = None  # the only thread that is given a turn, after `end`
        self._came = 0
        self._waiting: dict[bool, deque[tuple[int, threading.Lock]]] = {False: deque(), True: deque()}

    def take(self, brief: bool = False) -> None:
        """Wait for a turn; at once where the thread has one."""
        if self._mine.has:
            return
        self._await(brief)
        self._mine.has, self._mine.brief, self._mine.since = True, brief, time.monotonic()

    def give(self) -> None:
        """Give the thread's turn back, if it has one: to those who wait, if any do."""
        if self._mine.has:
            self._mine.has = False
            self._free_one(self._mine.brief)

    def pass_on(self) -> None:
        """Let others have a turn, if any wait and this one has lasted."""
        mine = self._mine
        if mine.has and self.wanted(mine.brief) and time.monotonic() - mine.since > TURN_SECONDS:
            self.give()
            self.take(mine.brief)

    @contextmanager
    def turn(self, brief: bool = False) -> Iterator[None]:
        """Take one for the block."""
        self.take(brief)
        try:
            yield
        finally:
            self.give()

    def take_idle(self) -> bool:
        """Take a turn that nobody else wants, if there is one."""
        with self._lock:
            found = self._free > 0 and self._last is None
            if found:
                self._grant(False)
        if found:
            self._mine.has, self._mine.brief = True, False
        return found

    def wanted(self, brief: bool = False) -> bool:
        """Whether somebody waits for what is given back with such a turn."""
        waiting = self._waiting
        return self._last is not None or bool(waiting[False]) or bool(waiting[True] and (brief or not self._brief))

    @property
    def idle(self) -> int:
        """How many turns nobody has or could have."""
        return self._free

    def end(self) -> None:
        """Give no turn to any other thread from now on, and wait until those that have one are done with it.

        For the end of the process, which frees the code of kernels and the memory that they work on: a daemon thread
        that is inside a kernel by then crashes the process. Those that ask for a turn wait until they are gone with it.
        """
        with self._lock:
            self._last = threading.get_ident()
        end = time.monotonic() + END_SECONDS
        taken = 1 if self._mine.has else 0
        while self._free < self.count - taken and time.monotonic() < end:
            time.sleep(0.001)

    def _await(self, brief: bool) -> None:
        with self._lock:
            is_last = self._last == threading.get_ident()
            if is_last or (self._last is None and self._free and not (brief and self._brief)):
                self._grant(brief)
                return
            granted = threading.Lock()
            granted.acquire()
            self._came += 1
            ticket = (self._came, granted)
            self._waiting[brief].append(ticket)
        try:
            granted.acquire()
        except BaseException:  # what a signal's handler raises
            with self._lock:
                waits = ticket in self._waiting[brief]
                if waits:
                    self._waiting[brief].remove(ticket)
            if not waits:
                self._free_one(brief)
            raise

    def _free_one(self, brief: bool) -> None:
        with self._lock:
            self._free += 1
            if brief:
                self._brief = False
            while self._free and self._last is None:
                possible = [kind for kind, queue in self._waiting.items() if queue and not (kind and self._brief)]
                if not possible:
                    break
                first = min(possible, key=lambda kind: self._waiting[kind][0][0])
                self._grant(first)
                self._waiting[first].popleft()[1].release()

    def _grant(self, brief: bool) -> None:
        self._free -= 1
        self._brief |= brief


# Of the process. A child that forks has none of the threads that have a turn.
cores = Turns(len(os.sched_getaffinity(0)))
os.register_at_fork(after_in_child=cores.reset)
atexit.register(cores.end)  # after threads that are no daemons have ended

_pool: list[ThreadPoolExecutor] = []  # of the process, made when it is first needed
os.register_at_fork(after_in_child=_pool.clear)  # a child has none of its threads

Tools_contra = TypeVar("Tools_contra", contravariant=True)
Tools = TypeVar("Tools")


def _helper_threads() -> ThreadPoolExecutor:
    if not _pool:
        _pool.append(ThreadPoolExecutor(len(os.sched_getaffinity(0)), "helper"))
    return _pool[0]


class Job(Protocol[Tools_contra]):
    """Work that any thread may do: a kernel call. `done` is set after it, with the error that came of it elsewhere."""

    done: bool
    error: BaseException | None

    def work(self, tools: Tools_contra) -> None: ...


class Ahead(Generic[Tools]):
    """Jobs that the caller wants done in order, done before their turn by other threads while cores are idle.

    A helper takes turns that nobody else wants, one for each job, so that a busy process works as if there were none.
    Leaving the context waits for what helpers are at, a kernel call each, and drops the other jobs.

    tools    makes what each thread needs for itself
    helpers  at most
    spent    told of the CPU seconds that helpers took
    """

    def __init__(self, tools: Callable[[], Tools], helpers: int, spent: Callable[[float], None], turns: Turns) -> None:
        self._make_tools, self._helpers, self._spent, self._turns = tools, helpers, spent, turns
        self.tools = tools()  # of the caller
        self._spare: list[Tools] = []
        self._todo: SimpleQueue[Job[Tools] | None] = SimpleQueue()
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
        if not self._helpers or self._turns.wanted():
            return False
        return self._turns.idle > 0 or self._helping() > 0

    def add(self, job: Job[Tools]) -> None:
        """Have it done, by a helper or when `finish` is called."""
        job.done, job.error = False, None
        self._todo.put(job)
        if self._helping() < self._helpers and self._turns.idle:
            tools = self._spare.pop() if self._spare else self._make_tools()
            with suppress(RuntimeError):  # while the process ends no thread is started: `finish` does what is left
                self._running.append(_helper_threads().submit(self._help, tools))

    def finish(self, job: Job[Tools]) -> None:
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

    def _next(self) -> Job[Tools] | None:
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

    def _help(self, tools: Tools) -> None:
        """On another thread: jobs until none has come for a while, or somebody else wants the core."""
        with suppress(Empty):
            while (job := self._todo.get(timeout=LINGER_SECONDS)) is not None:
                taken = self._turns.take_idle()
                if taken:
                    self._do(job, tools)
                    self._turns.give()
                else:  # to wait with it would be to wait for a caller who waits for us
                    self._todo.put(job)
                self._some_done.put(None)
                if not taken:
                    break
        self._spare.append(tools)

    def _do(self, job: Job[Tools], tools: Tools) -> None:
        before = time.thread_time()
        try:
            job.work(tools)
        except BaseException as error:
            job.error = error
        self._seconds.append(time.thread_time() - before)
        job.done = True
