"""CPU time of one request by stage (decode, encode, verify, score, container), and the core that it runs on."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from compressor.cores import Demand, cores
from compressor.work_times import WorkInterval, WorkTimes

T = TypeVar("T")


class _Stage:
    """A block that is charged to a stage; see `Stages.stage`."""

    def __init__(self, stages: "Stages", name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        self._outer = self._stages.enter(self._name)

    def __exit__(self, *_: object) -> None:
        self._stages.enter(self._outer)


class _Pause:
    """A block in which the clock is stopped; see `Stages.paused`."""

    def __init__(self, stages: "Stages") -> None:
        self._stages = stages

    def __enter__(self) -> None:
        self._stages.pause()

    def __exit__(self, *_: object) -> None:
        self._stages.resume()


class Stages:
    """A clock that charges the innermost stage entered.

    It runs between `resume` and `pause`. While it runs, the calling thread holds a core of `cores`; it holds none while
    it waits for its client or for memory. The clock reads the CPU time of the calling thread, so that waiting is not
    charged.

    demand     of the request
    seconds    CPU time by stage
    intervals  begin and end by stage, of time.monotonic(): from the first time that it ran to the last
    """

    def __init__(self, demand: Demand | None = None) -> None:
        self.demand = demand or Demand()
        self.seconds = {"decode": 0.0, "encode": 0.0, "verify": 0.0, "score": 0.0, "container": 0.0}
        self._stage = "container"
        self._since: float | None = None
        self._resumed = 0.0  # when the clock was last read, of time.monotonic()
        self.intervals: dict[str, WorkInterval] = {}

    def enter(self, name: str) -> str:
        """Charge `name` from now on. Return the stage that was charged until now."""
        outer = self._stage
        if name != outer:
            self._count()
            self._stage = name
        cores.yield_if_contended()
        return outer

    def _count(self) -> None:
        now, wall = time.thread_time(), time.monotonic()
        if self._since is not None:
            # A consumer may take chunks on different threads, whose clocks are unrelated.
            spent = max(0.0, now - self._since)
            self.seconds[self._stage] += spent
            self.demand.spent_seconds += spent
            began, _ = self.intervals.get(self._stage, (self._resumed, wall))
            self.intervals[self._stage] = began, wall
        self._since, self._resumed = now, wall

    def resume(self) -> None:
        """Wait for a core and start the clock."""
        cores.acquire(self.demand)
        self._since, self._resumed = time.thread_time(), time.monotonic()

    def pause(self) -> None:
        """Stop the clock and release the core: the time that follows is the caller's."""
        self._count()
        self._since = None
        cores.release()

    def add(self, name: str, seconds: float) -> None:
        """Charge the CPU time of another thread."""
        self.seconds[name] += seconds
        self.demand.spent_seconds += seconds

    def times(self, memory_wait: WorkInterval | None) -> WorkTimes:
        """Return the times so far, with the wait for memory."""
        waits = {"memory": memory_wait, "cores": self.demand.first_wait}
        return WorkTimes(
            stage_seconds=dict(self.seconds),
            waited_seconds={
                "memory": 0.0 if memory_wait is None else memory_wait[1] - memory_wait[0],
                "cores": self.demand.waited_seconds,
            },
            stage_intervals=dict(self.intervals),
            queue_intervals={resource: wait for resource, wait in waits.items() if wait is not None},
        )

    def stage(self, name: str) -> _Stage:
        """Charge `name` inside the block."""
        return _Stage(self, name)

    def paused(self) -> _Pause:
        """Charge nothing inside the block."""
        return _Pause(self)

    def timed(self, items: Iterable[T], name: str) -> Iterator[T]:
        """Yield the items; the time that each takes to make is charged to `name`."""
        iterator = iter(items)
        while True:
            outer = self.enter(name)
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.enter(outer)
            yield item
