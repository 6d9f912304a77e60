"""Whose turn it is to work, and work done ahead on cores that are idle."""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Coefficient rows of JPEG → JPEG that are no wider take brief turns: at 1024 pixels one thread at a time does 1.2 times
# what two do, at 2048 as much for 0.7 times the CPU time, at 3072 0.7 times as much (`python -m benchmarks together`).
BRIEF_WIDTH = 2048
TURN_SECONDS = 0.01  # of one that others wait for: as long as a small image takes
END_SECONDS = 2.0  # at the end of the process, for threads to come to the end of their turn


class _ThreadState(threading.local):
    """What a thread knows of its own turn."""

    has = False
    brief = False
    since = 0.0


class CoreScheduler:
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
        self._mine = _ThreadState()
        self._lock = threading.Lock()
        self._free = self.count
        self._brief = False  # one is taken
        self._last: int | None = None  # the only thread that is given a turn, after `end`
        self._came = 0
        self._waiting: dict[bool, deque[tuple[int, threading.Lock]]] = {False: deque(), True: deque()}

    def acquire(self, brief: bool = False) -> None:
        """Wait for a turn; at once where the thread has one."""
        if self._mine.has:
            return
        self._await(brief)
        self._mine.has, self._mine.brief, self._mine.since = True, brief, time.monotonic()

    def release(self) -> None:
        """Give the thread's turn back, if it has one: to those who wait, if any do."""
        if self._mine.has:
            self._mine.has = False
            self._free_one(self._mine.brief)

    def yield_if_contended(self) -> None:
        """Let others have a turn, if any wait and this one has lasted."""
        mine = self._mine
        if mine.has and self.contended(mine.brief) and time.monotonic() - mine.since > TURN_SECONDS:
            self.release()
            self.acquire(mine.brief)

    @contextmanager
    def acquired(self, brief: bool = False) -> Iterator[None]:
        """Take one for the block."""
        self.acquire(brief)
        try:
            yield
        finally:
            self.release()

    def try_acquire_idle(self) -> bool:
        """Take a turn that nobody else wants, if there is one."""
        with self._lock:
            found = self._free > 0 and self._last is None
            if found:
                self._grant(False)
        if found:
            self._mine.has, self._mine.brief = True, False
        return found

    def contended(self, brief: bool = False) -> bool:
        """Whether somebody waits for what is given back with such a turn."""
        waiting = self._waiting
        return self._last is not None or bool(waiting[False]) or bool(waiting[True] and (brief or not self._brief))

    @property
    def idle(self) -> int:
        """How many turns nobody has or could have."""
        return self._free

    def shut_down(self) -> None:
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
cores = CoreScheduler(len(os.sched_getaffinity(0)))
os.register_at_fork(after_in_child=cores.reset)
atexit.register(cores.shut_down)  # after threads that are no daemons have ended
