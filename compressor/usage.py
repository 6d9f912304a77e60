"""What this process uses: memory held over time, and CPU time."""

import os
import time


def resident_bytes() -> int:
    """Memory that this process holds right now, of the system's; 0 where that can't be known."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class MemoryGauge:
    """A number of bytes that changes now and then, and its integral over time."""

    def __init__(self) -> None:
        self._state = (0, 0.0, time.monotonic())  # bytes, their integral, until when; one object, for other threads

    @property
    def bytes(self) -> int:
        return self._state[0]

    def add(self, count: int) -> None:
        """By one thread at a time."""
        held, integral, since = self._state
        now = time.monotonic()
        self._state = (held + count, integral + held * (now - since), now)

    def byte_seconds(self) -> float:
        """From the beginning until now."""
        held, integral, since = self._state
        return integral + held * max(0.0, time.monotonic() - since)


class Stopwatch:
    """When a run began, and what this process takes from then on."""

    def __init__(self) -> None:
        self.started = time.time()
        self._clock, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._clock

    def spent(self) -> tuple[float, float]:
        """CPU seconds, and byte-seconds of memory as if all that is held now had been held from the start."""
        return time.process_time() - self._cpu, resident_bytes() * self.seconds()
