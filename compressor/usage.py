"""CPU time and memory that this process uses, and the cores that it may use."""

import os
import time
from dataclasses import dataclass

inherited_cpu_seconds = 0.0  # of a process that this one was forked from, and that is charged to this one


def usable_cores() -> int:
    """Return how many cores this process may use; all of the machine where the system does not restrict processes."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resident_bytes() -> int:
    """Return the memory that is resident in this process now; 0 where the system does not report it."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class MemoryGauge:
    """A number of bytes that changes over time, and its integral."""

    def __init__(self) -> None:
        self._state = (0, 0.0, time.monotonic())  # bytes, integral, time of both; one object, for other threads

    @property
    def bytes(self) -> int:
        return self._state[0]

    def add(self, count: int) -> None:
        """Change the number of bytes; called by one thread at a time."""
        held, integral, since = self._state
        now = time.monotonic()
        self._state = (held + count, integral + held * (now - since), now)

    def byte_seconds(self) -> float:
        """Return the integral from the beginning until now."""
        held, integral, since = self._state
        return integral + held * max(0.0, time.monotonic() - since)


@dataclass(frozen=True, slots=True)
class Usage:
    """One reading: elapsed time, CPU time, and memory times the time it was held."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_byte_seconds: float = 0.0


class ProcessUsage:
    """Measures what this process uses, from when this object is made or from the last `mark`.

    since_start  count CPU time from the start of the process, too, and what it has inherited
    idle_memory  count only the memory that was resident when this object was made, or at the last `settle`. What is
                 reserved beyond that is counted elsewhere. Otherwise, all memory that is resident at a reading counts
                 as if it had been held for the whole interval
    started      Unix time when this object was made
    """

    def __init__(self, *, since_start: bool = False, idle_memory: bool = False) -> None:
        self.started = time.time()
        self._idle = MemoryGauge() if idle_memory else None
        self._base = Usage(time.perf_counter(), -inherited_cpu_seconds if since_start else time.process_time())
        self.settle()

    def settle(self) -> None:
        """Take the memory that is resident now as that of the idle process."""
        if self._idle is not None:
            self._idle.add(resident_bytes() - self._idle.bytes)

    def read(self) -> Usage:
        """Return the usage since the last `mark`."""
        base = self._base
        seconds = time.perf_counter() - base.seconds
        if self._idle is None:
            memory = resident_bytes() * seconds
        else:
            memory = self._idle.byte_seconds() - base.memory_byte_seconds
        return Usage(seconds, time.process_time() - base.cpu_seconds, memory)

    def mark(self, reading: Usage) -> None:
        """Begin later readings where `reading` ended."""
        base = self._base
        memory = 0.0 if self._idle is None else base.memory_byte_seconds + reading.memory_byte_seconds
        self._base = Usage(base.seconds + reading.seconds, base.cpu_seconds + reading.cpu_seconds, memory)
