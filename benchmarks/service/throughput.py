"""Calls per second of small files: servers with one and with several workers, and a server of libvips."""

import importlib.util
import inspect
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks.harness import sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service import pyvips_server
from benchmarks.service.callers import Caller, CallerProcess, Calls, OurCaller, PeerCaller, make_calls
from benchmarks.service.checks import EFFORT, SETTINGS, WARM_CALLS, problem_of, used
from benchmarks.small.measure import ours

CLIENTS = 2  # processes
CHANNELS = 16  # of all client processes: with fewer, SO_REUSEPORT may leave a worker without any
WORKERS = (1, 2)
PYVIPS_SERVER = ("benchmarks.service.pyvips_server",)


@dataclass(frozen=True)
class ThroughputResult:
    """Medians over all rounds.

    calls_per_second  that ended within a window, by the wall clock
    vs_first          ratio of each round's calls a second to those of the first server
    cores             CPU seconds of the server in a second
    server_seconds    CPU time of the server, for each call
    client_seconds    CPU time of the callers, for each call; they use the same cores
    rejected          number of times that a call was rejected as busy
    bytes             of the result, relative to the source
    """

    server: str
    calls_per_second: float
    vs_first: float
    cores: float
    server_seconds: float
    client_seconds: float
    page_faults: float
    p50_seconds: float
    rejected: int
    bytes: float
    problem: str


@dataclass(frozen=True)
class Window:
    """Calls of one server within a round, and its CPU seconds and page faults until the last of them ended."""

    calls_per_second: float
    cores: float
    cpu_seconds: float
    page_faults: int
    calls: Calls


@dataclass
class Side:
    """A server that is compared, its client processes, and the result of each call."""

    name: str
    server: ServerProcess
    clients: Sequence[CallerProcess]
    expected: bytes
    windows: list[Window] = field(default_factory=list)

    def measure(self, seconds: float) -> None:
        """Let all callers make calls for some seconds."""
        cpu_before, faults_before = used(self.server)
        order, calls = make_calls(self.clients, seconds)
        cpu, faults = used(self.server)
        cpu, faults = cpu - cpu_before, faults - faults_before
        within = sum(end <= order.begin + seconds for end in calls.ends)
        cores = cpu / (max(calls.ends) - order.begin)
        self.windows.append(Window(within / seconds, cores, cpu, faults, calls))


def has_workers() -> bool:
    """Return whether `compressor serve` has the option --workers."""
    from compressor.cli.serve import serve

    return "workers" in inspect.signature(serve).parameters


def has_pyvips() -> bool:
    """Return whether libvips' package for Python is installed; `compressor[bench]` has it."""
    return importlib.util.find_spec("pyvips") is not None


@contextmanager
def sides(data: bytes) -> Iterator[list[Side]]:
    """Start all servers, which idle while another one is measured, and their callers."""
    with ExitStack() as stack:

        def start(name: str, expected: bytes, server: ServerProcess, kind: type[Caller] = OurCaller) -> Side:
            address = stack.enter_context(server).address
            each = CHANNELS // CLIENTS
            clients = [CallerProcess(address, data, expected, each, kind, **SETTINGS) for _ in range(CLIENTS)]
            return Side(name, server, [stack.enter_context(client) for client in clients], expected)

        result, found = ours(EFFORT)(data), []
        if has_workers():
            for workers in WORKERS:
                server = ServerProcess("--workers", str(workers))
                found.append(start(f"{workers} worker{'s' if workers > 1 else ''}", result, server))
        else:
            found.append(start("1 process", result, ServerProcess()))
        if has_pyvips():
            peer = ServerProcess(module=PYVIPS_SERVER)
            found.append(start("pyvips", pyvips_server.recode(data), peer, PeerCaller))
        yield found


def measure_throughput(size: sources.Size, rounds: int, seconds: float) -> list[ThroughputResult]:
    """Measure all servers in interleaved rounds, every other one in reverse order."""
    data = sources.files(size, 1)[0]
    with sides(data) as found:
        for side in found:
            make_calls(side.clients, 60.0, WARM_CALLS)
        for number in range(rounds):
            for side in found if number % 2 else reversed(found):
                side.measure(seconds)
    return [result_of(side, found[0], data) for side in found]


def result_of(side: Side, first: Side, data: bytes) -> ThroughputResult:
    """Return the medians of all windows of a server."""
    total, windows = Calls(), side.windows
    for window in windows:
        total.add(window.calls)
    pairs = zip(windows, first.windows, strict=True)
    return ThroughputResult(
        server=side.name,
        calls_per_second=statistics.median(one.calls_per_second for one in windows),
        vs_first=statistics.median(one.calls_per_second / other.calls_per_second for one, other in pairs),
        cores=statistics.median(one.cores for one in windows),
        server_seconds=statistics.median(one.cpu_seconds / len(one.calls.ends) for one in windows),
        client_seconds=statistics.median(one.calls.cpu_seconds / len(one.calls.ends) for one in windows),
        page_faults=statistics.median(one.page_faults / len(one.calls.ends) for one in windows),
        p50_seconds=statistics.median(total.latencies),
        rejected=total.rejected,
        bytes=len(side.expected) / len(data),
        problem=problem_of(data, side.expected, total),
    )
