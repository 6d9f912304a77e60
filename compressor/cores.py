"""The scheduler of cores: threads acquire a core before they compute, and release it while they wait."""

import atexit
import math
import os
import threading
import time
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager

from compressor.errors import DeadlineError
from compressor.usage import usable_cores

SLICE_SECONDS = 0.01  # that a thread keeps a core if others wait for one: as long as a small image takes
# A call is overtaken by cheaper ones that come later until it has waited for this many times its CPU time. Each of 32
# callers of 12 megapixels waits for 20 to 50 times that time on two cores.
STRETCH = 64
OVERTAKING = 0.25  # part of the time until its deadline in which calls that come may overtake a call
CHECK_SECONDS = 60.0  # at most between two checks of a deadline: timeouts of locks have a limit
END_SECONDS = 2.0  # at the end of the process, for threads to release their cores


class Demand:
    """The CPU time that a call asks for, which decides when it gets a core. Times are of time.monotonic().

    expected_seconds  in all, as far as is known
    least_seconds     in all, at least
    spent_seconds     so far
    deadline          when the call must have ended; None if there is no such time
    waited_seconds    time in the queue for a core so far
    first_wait        begin and end of its first wait for a core; None if it has not waited
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._came = time.monotonic()
        self.expected_seconds = self.least_seconds = self.spent_seconds = 0.0
        self.deadline = deadline
        self.waited_seconds = 0.0
        self.first_wait: tuple[float, float] | None = None

    def count_wait(self, began: float) -> None:
        """Count a wait for a core that ends now."""
        now = time.monotonic()
        self.waited_seconds += now - began
        if self.first_wait is None:
            self.first_wait = (began, now)

    @property
    def rank(self) -> float:
        """Return a time: cores are granted to the call with the earliest.

        It is the expected CPU time, STRETCH times, minus the time waited, but for the current time, which is the same
        for all calls. A call that came later than this time can't overtake, however cheap it is. With a deadline, only
        those can that come in the first part of the time until then.
        """
        rank = self._came + STRETCH * max(self.expected_seconds, self.spent_seconds)
        if self.deadline is None:
            return rank
        return min(rank, self._came + OVERTAKING * (self.deadline - self._came))

    @property
    def seconds_left(self) -> float:
        """Return how long the call can still wait if its deadline is to be met, at least 0; infinity without one."""
        if self.deadline is None:
            return math.inf
        missing = max(0.0, self.least_seconds - self.spent_seconds)
        return max(0.0, self.deadline - missing - time.monotonic())

    def check(self) -> None:
        """Raise DeadlineError if the deadline can't be met."""
        if self.deadline is not None and not self.seconds_left:
            raise DeadlineError(
                f"the deadline can't be met: at least {self.least_seconds:.3g} s of CPU time are needed"
            )


class _ThreadState(threading.local):
    """The core that a thread has acquired.

    has     whether it has one
    since   when it was acquired, of time.monotonic()
    demand  of the call for which it was acquired; None if for other work
    """

    has = False
    since = 0.0
    demand: Demand | None = None

    @property
    def rank(self) -> float:
        return self.since if self.demand is None else self.demand.rank


class CoreScheduler:
    """A fair scheduler: at most as many threads compute at once as there are cores. Cores are granted by `Demand.rank`,
    and threads without a demand are ranked by when they began to wait.

    A thread must not wait for anything else while it has a core.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.reset()

    def limit(self, count: int) -> None:
        """Grant `count` cores from now on. For the start of a process: nobody has a core or waits for one."""
        self.count = count
        self.reset()

    def reset(self) -> None:
        """Forget all threads: nobody has a core, and nobody waits."""
        self._mine = _ThreadState()
        self._lock = threading.Lock()
        self._free = self.count
        self._last: int | None = None  # the only thread that is granted a core after `shut_down`
        self._came = 0
        self._waiting: list[tuple[float, int, threading.Lock]] = []  # rank, order of arrival and lock of each, sorted

    def acquire(self, demand: Demand | None = None) -> None:
        """Wait for a core. Return at once if the thread has one. Raise DeadlineError if the deadline can't be met."""
        mine = self._mine
        if mine.has:
            return
        self._await(demand)
        mine.has, mine.since, mine.demand = True, time.monotonic(), demand

    def release(self) -> None:
        """Release the thread's core, if it has one. It is granted to the next thread that waits."""
        mine = self._mine
        if mine.has:
            mine.has = False
            self._free_one()

    def yield_if_contended(self) -> None:
        """Let a thread of an earlier rank have the core; and any that waits, if this one has no demand and has had it
        for SLICE_SECONDS."""
        if not self._waiting and self._last is None:  # as in `contended`: this is called often
            return
        mine = self._mine
        if not mine.has:
            return
        shared = mine.demand is None and time.monotonic() - mine.since > SLICE_SECONDS
        if shared or self._last is not None or self._first_rank() < mine.rank:
            self.release()
            self.acquire(mine.demand)

    def _first_rank(self) -> float:
        """Return the earliest rank of those that wait for a core."""
        with self._lock:
            return self._waiting[0][0] if self._waiting else math.inf

    @contextmanager
    def acquired(self) -> Iterator[None]:
        """Acquire a core for the block."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def try_acquire_idle(self) -> bool:
        """Acquire a core that nobody else wants. Return whether there is one."""
        with self._lock:
            found = self._free > 0 and self._last is None
            if found:
                self._free -= 1
        if found:
            self._mine.has, self._mine.demand = True, None
        return found

    def contended(self) -> bool:
        """Return whether somebody waits for a core."""
        return bool(self._waiting) or self._last is not None

    @property
    def idle(self) -> int:
        """Number of cores that nobody has acquired."""
        return self._free

    @property
    def waiting(self) -> int:
        """Number of threads that wait for a core."""
        return len(self._waiting)

    def shut_down(self) -> None:
        """Grant no core to any other thread from now on, and wait until all others have released theirs.

        For the end of the process, which frees the code of kernels and the memory that they work on: a daemon thread
        that is inside a kernel by then would crash the process. Threads that wait for a core wait until they end with
        it.
        """
        with self._lock:
            self._last = threading.get_ident()
        end = time.monotonic() + END_SECONDS
        taken = 1 if self._mine.has else 0
        while self._free < self.count - taken and time.monotonic() < end:
            time.sleep(0.001)

    def _await(self, demand: Demand | None) -> None:
        """Wait until a core is granted."""
        if demand is not None and demand.deadline is not None:
            demand.check()
        with self._lock:
            if (self._free and self._last is None) or self._last == threading.get_ident():
                self._free -= 1
                return
            granted = threading.Lock()
            granted.acquire()
            self._came += 1
            began = time.monotonic()
            ticket = (began if demand is None else demand.rank, self._came, granted)
            insort(self._waiting, ticket)
        try:
            if demand is None or demand.deadline is None:
                granted.acquire()
            else:
                while not granted.acquire(timeout=min(demand.seconds_left, CHECK_SECONDS)):
                    demand.check()
        except BaseException:  # raised by a signal handler, or by `check`
            with self._lock:
                waits = ticket in self._waiting
                if waits:
                    self._waiting.remove(ticket)
            if not waits:
                self._free_one()
            raise
        finally:
            if demand is not None:
                demand.count_wait(began)

    def _free_one(self) -> None:
        """Free a core and grant free ones to those that wait."""
        with self._lock:
            self._free += 1
            while self._free and self._waiting and self._last is None:
                self._free -= 1
                self._waiting.pop(0)[2].release()


# The scheduler of the process. After a fork, the child has none of the threads that have a core.
cores = CoreScheduler(usable_cores())
os.register_at_fork(after_in_child=cores.reset)
atexit.register(cores.shut_down)  # after all non-daemon threads have ended
