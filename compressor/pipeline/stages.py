"""CPU time of one request by stage (decode, encode, verify, container), and the core that it runs on."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from compressor.cores import Demand, cores

T = TypeVar("T")


class Stages:
    """A clock that charges the innermost stage entered.

    It runs between `resume` and `pause`. While it runs, the calling thread holds a core of `cores`; it holds none while
    it waits for its client or for memory. The clock reads the CPU time of the calling thread, so that waiting is not
    charged.

    demand  of the request
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.demand = Demand(deadline)
        self.seconds = {"decode": 0.0, "encode": 0.0, "verify": 0.0, "container": 0.0}
        self._stage = "container"
        self._since: float | None = None

    def _charge(self) -> None:
        self._count()
        cores.yield_if_contended()

    def _count(self) -> None:
        now = time.thread_time()
        if self._since is not None:
            # A consumer may take chunks on different threads, whose clocks are unrelated.
            spent = max(0.0, now - self._since)
            self.seconds[self._stage] += spent
            self.demand.spent_seconds += spent
        self._since = now

    def resume(self) -> None:
        """Wait for a core and start the clock."""
        cores.acquire(self.demand)
        self._since = time.thread_time()

    def pause(self) -> None:
        """Stop the clock and release the core: the time that follows is the caller's."""
        self._count()
        self._since = None
        cores.release()

    def add(self, name: str, seconds: float) -> None:
        """Charge the CPU time of another thread."""
        self.seconds[name] += seconds
        self.demand.spent_seconds += seconds

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge `name` inside the block."""
        self._charge()
        outer, self._stage = self._stage, name
        try:
            yield
        finally:
            self._charge()
            self._stage = outer

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Charge nothing inside the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def timed(self, items: Iterable[T], name: str) -> Iterator[T]:
        """Yield the items; the time that each takes to make is charged to `name`."""
        iterator = iter(items)
        while True:
            self._charge()
            outer, self._stage = self._stage, name
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._charge()
                self._stage = outer
            yield item
