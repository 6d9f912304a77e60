"""A server watched from outside while others load it: its memory, its health, and who uses the cores."""

import contextlib
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from benchmarks.harness.server import ServerProcess
from benchmarks.service import http2

SAMPLE_SECONDS = PROBE_SECONDS = 0.1
CPU_SECONDS = 1.0  # between samples of CPU time, which take longer
HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse
PROBE_SECONDS_MAX = 60.0


@dataclass
class Watched:
    """Observations. Times are of time.perf_counter.

    memory         (time, resident bytes of the server)
    health         (time when a probe was due, seconds until its response); a probe is due every PROBE_SECONDS
    unhealthy      probes without the response SERVING
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
    def peak_bytes(self) -> int:
        """The most resident memory; 0 if none was seen."""
        return max((size for _, size in self.memory), default=0)

    def resident_bytes(self, since: float, until: float) -> int:
        """Return the least resident memory in a period; 0 if none was seen."""
        return min((size for at, size in self.memory if since <= at <= until), default=0)

    def cpu_seconds(self, since: float, until: float) -> float:
        """Return the CPU seconds of the server in a period, between the samples next to its ends."""
        used = [seconds for at, seconds in self.cpu if since - CPU_SECONDS <= at <= until]
        return used[-1] - used[0] if len(used) > 1 else 0.0


class Watch:
    """Samples and probes a server on two threads, within the `with`; then `seen` is complete."""

    def __init__(self, server: ServerProcess) -> None:
        self._server, self.seen = server, Watched()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._sample, self._probe)]

    def __enter__(self) -> Self:
        self._start = time.perf_counter(), self._server.cpu_seconds or 0.0, busy_seconds()
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

    def _probe(self) -> None:
        """Check health until the watch ends; give up if the connection is lost."""
        due = time.perf_counter()
        try:
            with contextlib.closing(http2.Http2Connection(self._server.address, HEALTH)) as connection:
                while not self._stopped.wait(max(0.0, due - time.perf_counter())):
                    messages = http2.unprefixed(connection.call(http2.prefixed(b"")))
                    self.seen.unhealthy += messages != [SERVING]
                    self.seen.health.append((due, time.perf_counter() - due))
                    due += PROBE_SECONDS
        except (OSError, RuntimeError):
            self.seen.unhealthy += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        begin, server_before, busy_before = self._start
        seconds = time.perf_counter() - begin
        self.seen.server_cores = ((self._server.cpu_seconds or server_before) - server_before) / seconds
        self.seen.machine_cores = (busy_seconds() - busy_before) / seconds
        self._stopped.set()
        for thread in self._threads:
            thread.join(0.0 if error is not None else PROBE_SECONDS_MAX)


def busy_seconds() -> float:
    """Return the CPU seconds of all processes of the machine since it started."""
    import psutil

    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
