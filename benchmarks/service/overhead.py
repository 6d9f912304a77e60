"""CPU time of a server for a call, compared with that of the codec in process."""

import math
import statistics
from dataclasses import dataclass

from benchmarks.harness import sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service.callers import CallerProcess, Calls, make_calls
from benchmarks.service.checks import EFFORT, SETTINGS, WARM_CALLS, problem_of, used
from benchmarks.small.measure import measure_block, ours


@dataclass(frozen=True)
class OverheadResult:
    """Medians over all rounds, for each call of one caller.

    codec_seconds   CPU time in process
    server_seconds  CPU time of the server
    ratio           of the codec's CPU time to the server's in the same round; 1: the server adds nothing
    page_faults     of the server, minor ones
    """

    size: str
    codec_seconds: float
    server_seconds: float
    ratio: float
    page_faults: float
    problem: str


def measure_overhead(size: sources.Size, rounds: int, block_seconds: float) -> OverheadResult:
    """Compress a file in process and through a server, in interleaved blocks of `block_seconds` of CPU time."""
    codec = ours(EFFORT)
    data = sources.files(size, 1)[0]
    expected = codec(data)
    total = Calls()
    codec_seconds, server_seconds, page_faults = list[float](), list[float](), list[float]()
    with ServerProcess() as server, CallerProcess(server.address, data, expected, 1, **SETTINGS) as caller:
        make_calls([caller], math.inf, WARM_CALLS)
        first = measure_block(codec, [data], WARM_CALLS, [expected])
        count = max(1, math.ceil(block_seconds / first.cpu_seconds))
        for _ in range(rounds):
            codec_seconds.append(measure_block(codec, [data], count, [expected]).cpu_seconds)
            seconds, faults = used(server)
            total.add(make_calls([caller], math.inf, count)[1])
            seconds_after, faults_after = used(server)
            server_seconds.append((seconds_after - seconds) / count)
            page_faults.append((faults_after - faults) / count)
    return OverheadResult(
        size=str(size),
        codec_seconds=statistics.median(codec_seconds),
        server_seconds=statistics.median(server_seconds),
        ratio=statistics.median(a / b for a, b in zip(codec_seconds, server_seconds, strict=True)),
        page_faults=statistics.median(page_faults),
        problem=problem_of(data, expected, total),
    )
