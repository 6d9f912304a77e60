"""CPU time of one request, by stage: decode, encode, verify, container; and its turns on the cores."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from compressor.cores import cores

Item = TypeVar("Item")


class Stages:
    """A clock that always charges one stage, the innermost one entered. It runs between `resume` and `pause`, and
    while it runs the calling thread has a turn on the cores: none while it waits for its client, or for memory.

    What it reads is the CPU time of the calling thread, so waiting costs nothing.

    brief  whether turns are brief; see `Turns`
    """

    def __init__(self) -> None:
        self.seconds = {"decode": 0.0, "encode": 0.0, "verify": 0.0, "container": 0.0}
        self._stage = "container"
        self._since: float | None = None
        self.brief = False

    def _charge(self) -> None:
        now = time.thread_time()
        if self._since is not None:
            # A consumer may take chunks on changing threads, whose clocks have nothing to do with each other.
            self.seconds[self._stage] += max(0.0, now - self._since)
        self._since = now
        cores.yield_if_contended()

    def resume(self) -> None:
        """Start the clock."""
        cores.acquire(self.brief)
        self._since = time.thread_time()

    def pause(self) -> None:
        """Stop it: what follows is the caller's time."""
        self._charge()
        self._since = None
        cores.release()

    def add(self, name: str, seconds: float) -> None:
        """Charge what another thread took."""
        self.seconds[name] += seconds

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

    def timed(self, items: Iterable[Item], name: str) -> Iterator[Item]:
        """The same items; making each is charged to `name`."""
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
