"""A server watched from outside while others load it: its memory, its health, and who uses the cores."""

import contextlib
import math
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from benchmarks.harness.cgroup import MemoryGroup
from benchmarks.harness.server import ServerProcess
from benchmarks.service import http2

SAMPLE_SECONDS = PROBE_SECONDS = 0.1
CPU_SECONDS = 1.0  # between samples of CPU time, which take longer
HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse
ANSWER_SECONDS_MAX = 10.0  # after the watch, for health checks that were due within it


@dataclass
class Watched:
    """Observations. Times are of time.perf_counter.

    memory         (time, resident bytes of the server)
    health         (time when a probe was due, seconds until its response, or until it was given up); a probe is due
                   every PROBE_SECONDS
    unhealthy      probes with another response than SERVING, or none
    cpu            (time, CPU seconds of the server), about once a second
    server_cores   CPU seconds of the server in a second
    machine_cores  the same of all processes
    """

    memory: list[tuple[float, int]] = field(default_factory=list)
    health: list[tuple[float, float]] = field(default_factory=list)
    unhealthy: int = 0
    cpu: list[tuple[float, float]] = field(default_factory=list)
    server_cores: float = 0.0
    machine_cores: float = 0.0

    @property
    def peak_bytes(self) -> int | None:
        """The most resident memory; None if none was seen."""
        return max((size for _, size in self.memory), default=None)

    def resident_bytes(self, since: float, until: float) -> int | None:
        """Return the least resident memory in a period; None if none was seen."""
        return min((size for at, size in self.memory if since <= at <= until), default=None)

    def cpu_seconds(self, since: float, until: float) -> float:
        """Return the CPU seconds of the server in a period, between the samples next to its ends."""
        used = [seconds for at, seconds in self.cpu if since - CPU_SECONDS <= at <= until]
        return used[-1] - used[0] if len(used) > 1 else 0.0


@dataclass(frozen=True)
class ServerMemory:
    """Resident memory of a server around a load, and what its control group says. Bytes; None: it was not measured.

    idle        before the load, at least
    peak        at most
    settled     some seconds after the load, at least
    group_peak  of its control group, page cache included
    killed      for lack of memory; or it has ended for another reason
    """

    idle: int | None
    peak: int | None
    settled: int | None
    group_peak: int | None
    in_group: bool
    killed: bool


def memory_of(
    server: ServerProcess, group: MemoryGroup | None, seen: Watched, idle: float, settled: float
) -> ServerMemory:
    """Return the memory of a server that was idle for a second since `idle`, and before and after `settled`."""
    return ServerMemory(
        idle=seen.resident_bytes(idle, idle + 1.0),
        peak=seen.peak_bytes,
        settled=seen.resident_bytes(settled - 2.0, settled + 1.0),
        group_peak=None if group is None else group.peak_bytes,
        in_group=group is not None,
        killed=not server.alive or (group is not None and group.killed > 0),
    )


class Watch:
    """Samples and probes a server on two threads, within the `with`; then `seen` is complete."""

    def __init__(self, server: ServerProcess) -> None:
        self._server, self.seen = server, Watched()
        self._stopped, self._end = threading.Event(), math.inf
        self._answers = list[tuple[float, bool]]()  # of the probes in order: when, and whether it is SERVING
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._sample, self._probe)]

    def __enter__(self) -> Self:
        used = self._server.cpu_seconds or 0.0, busy_seconds()
        self._start = time.perf_counter(), *used
        for thread in self._threads:
            thread.start()
        return self

    def _sample(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.sample()

    def sample(self) -> None:
        """Take a sample of memory now."""
        now = time.perf_counter()
        if (size := self._server.resident_bytes) is not None:
            self.seen.memory.append((now, size))
        if (not self.seen.cpu or now - self.seen.cpu[-1][0] >= CPU_SECONDS) and (used := self._server.cpu_seconds):
            self.seen.cpu.append((now, used))

    def _due(self, number: int) -> float:
        return self._start[0] + number * PROBE_SECONDS

    def _probe(self) -> None:
        """Make the health checks that are due before the watch ends, late ones after it; give up a lost connection."""
        with (
            contextlib.suppress(OSError, RuntimeError),
            contextlib.closing(http2.Http2Connection(self._server.address, HEALTH)) as connection,
        ):
            while True:
                due = self._due(len(self._answers))
                self._stopped.wait(max(0.0, due - time.perf_counter()))
                if due > self._end:
                    break
                messages = http2.unprefixed(connection.call(http2.prefixed(b"")))
                self._answers.append((time.perf_counter(), messages == [SERVING]))

    def _count_probes(self) -> None:
        """Count all probes that were due; those without an answer have waited until now."""
        answers, now = list(self._answers), time.perf_counter()
        while self._due(len(answers)) <= self._end:
            answers.append((now, False))
        for number, (at, serving) in enumerate(answers):
            self.seen.health.append((self._due(number), at - self._due(number)))
            self.seen.unhealthy += not serving

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        begin, server_before, busy_before = self._start
        self._end = time.perf_counter()
        seconds = self._end - begin
        self.seen.server_cores = ((self._server.cpu_seconds or server_before) - server_before) / seconds
        self.seen.machine_cores = (busy_seconds() - busy_before) / seconds
        self._stopped.set()
        for thread in self._threads:
            thread.join(0.0 if error is not None else ANSWER_SECONDS_MAX)
        self._count_probes()


def busy_seconds() -> float:
    """Return the CPU seconds of all processes of the machine since it started."""
    import psutil

    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
