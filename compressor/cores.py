"""The scheduler of cores: threads acquire a core before they compute, and release it while they wait."""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

SLICE_SECONDS = 0.01  # that a thread keeps a core if others wait for one: as long as a small image takes
END_SECONDS = 2.0  # at the end of the process, for threads to release their cores


class _ThreadState(threading.local):
    """The core that a thread has acquired.

    has    whether it has one
    since  when it was acquired, of time.monotonic()
    """

    has = False
    since = 0.0


class CoreScheduler:
    """A fair scheduler: at most as many threads compute at once as there are cores. Cores are granted first come, first
    served. A thread must not wait for anything else while it has a core.
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
        self._waiting: deque[threading.Lock] = deque()  # each is released when its thread is granted a core

    def acquire(self) -> None:
        """Wait for a core. Return at once if the thread has one."""
        if self._mine.has:
            return
        self._await()
        self._mine.has, self._mine.since = True, time.monotonic()

    def release(self) -> None:
        """Release the thread's core, if it has one. It is granted to the next thread that waits."""
        if self._mine.has:
            self._mine.has = False
            self._free_one()

    def yield_if_contended(self) -> None:
        """Let others have the core, if any wait and the thread has had it for SLICE_SECONDS."""
        mine = self._mine
        if mine.has and self.contended() and time.monotonic() - mine.since > SLICE_SECONDS:
            self.release()
            self.acquire()

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
            self._mine.has = True
        return found

    def contended(self) -> bool:
        """Return whether somebody waits for a core."""
        return bool(self._waiting) or self._last is not None

    @property
    def idle(self) -> int:
        """Number of cores that nobody has acquired."""
        return self._free

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

    def _await(self) -> None:
        """Wait until a core is granted."""
        with self._lock:
            is_last = self._last == threading.get_ident()
            if is_last or (self._last is None and self._free):
                self._free -= 1
                return
            granted = threading.Lock()
            granted.acquire()
            self._waiting.append(granted)
        try:
            granted.acquire()
        except BaseException:  # raised by a signal handler
            with self._lock:
                waits = granted in self._waiting
                if waits:
                    self._waiting.remove(granted)
            if not waits:
                self._free_one()
            raise

    def _free_one(self) -> None:
        """Free a core and grant free ones to those that wait."""
        with self._lock:
            self._free += 1
            while self._free and self._waiting and self._last is None:
                self._free -= 1
                self._waiting.popleft().release()


# The scheduler of the process. After a fork, the child has none of the threads that have a core.
cores = CoreScheduler(len(os.sched_getaffinity(0)))
os.register_at_fork(after_in_child=cores.reset)
atexit.register(cores.shut_down)  # after all non-daemon threads have ended
