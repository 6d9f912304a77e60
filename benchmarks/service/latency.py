"""Latency of small calls: alone, and while callers of large files keep the server busy."""

import statistics
import time
from dataclasses import dataclass

from benchmarks.harness import sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service.callers import LEAD_SECONDS, CallerProcess, Calls, Order, make_calls
from benchmarks.service.checks import EFFORT, SETTINGS, WARM_CALLS, problem_of
from benchmarks.small.measure import ours

LARGE_CALLERS = 32
# All large calls are admitted: what is compared is the order in which admitted calls run, not who is admitted.
BUDGET = "1GiB"
RAMP_SECONDS = 2.0  # until all large callers have a call in the server


@dataclass(frozen=True)
class LatencyResult:
    """Latencies of one small caller, over all rounds.

    ratio             of the medians
    large_per_second  calls of all large callers that ended while the small one was measured
    rejected          number of times that a call was rejected as busy
    """

    small: str
    large: str
    large_callers: int
    alone_p50_seconds: float
    alone_p99_seconds: float
    beside_p50_seconds: float
    beside_p99_seconds: float
    ratio: float
    small_calls: int
    large_per_second: float
    rejected: int
    problem: str


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of one value or more."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def measure_latency(
    small: sources.Size, large: sources.Size, large_callers: int, rounds: int, seconds: float
) -> LatencyResult:
    """Measure a small caller alone, then next to large callers, in each round."""
    codec = ours(EFFORT)
    (thumb,), (poster,) = sources.files(small, 1), sources.files(large, 1)
    expected, expected_large = codec(thumb), codec(poster)
    alone, beside, busy, ended = Calls(), Calls(), Calls(), list[float]()
    with (
        ServerProcess("--memory-budget", BUDGET) as server,
        CallerProcess(server.address, thumb, expected, 1, **SETTINGS) as caller,
        CallerProcess(server.address, poster, expected_large, large_callers, **SETTINGS) as others,
    ):
        make_calls([caller], 60.0, WARM_CALLS)
        make_calls([others], 60.0, 1)
        for _ in range(rounds):
            alone.add(make_calls([caller], seconds)[1])
            others.order(Order(time.perf_counter() + LEAD_SECONDS, RAMP_SECONDS + seconds, 1 << 30))
            time.sleep(LEAD_SECONDS + RAMP_SECONDS)
            order, calls = make_calls([caller], seconds)
            beside.add(calls)
            found = others.result()
            busy.add(found)
            ended.append(sum(order.begin <= end <= order.begin + seconds for end in found.ends) / seconds)
    problems = (
        problem_of(thumb, expected, alone),
        problem_of(thumb, expected, beside),
        problem_of(poster, expected_large, busy),
    )
    medians = statistics.median(alone.latencies), statistics.median(beside.latencies)
    return LatencyResult(
        small=str(small),
        large=str(large),
        large_callers=large_callers,
        alone_p50_seconds=medians[0],
        alone_p99_seconds=percentile(alone.latencies, 99),
        beside_p50_seconds=medians[1],
        beside_p99_seconds=percentile(beside.latencies, 99),
        ratio=medians[1] / medians[0],
        small_calls=len(beside.latencies),
        large_per_second=statistics.median(ended),
        rejected=alone.rejected + beside.rejected + busy.rejected,
        problem=next(filter(None, problems), ""),
    )
