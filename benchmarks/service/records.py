"""Records of calls under load, and what they say: outcomes, latencies, and completed work."""

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.service.multiplexed import DEADLINE_EXCEEDED, OK, REFUSED_STREAM, RUNNING, UNAVAILABLE

DEADLINE_TOLERANCE_SECONDS = 0.25  # of a call that ends by its deadline, until its end has been read
BY_CLIENT = "ended by the client, long after its deadline"
OUTCOMES = ("ok", "refused", "deadline", "failed", "wrong", "lost", "unfinished")


class CallRecord(NamedTuple):
    """A call. Times are of time.perf_counter, which all processes share.

    size_index  index of its size in the mix
    due         when it arrived, by the schedule
    sent        when its headers were sent; NaN if they were not
    end         NaN if it has not ended
    code        gRPC's status; RUNNING if it has not ended
    reason      the status' message, or what ended the call instead
    retry       a failure in band, or the status, said when to retry
    right       the result is the expected one
    """

    size_index: int
    due: float
    sent: float
    end: float
    code: int
    reason: str
    retry: bool
    right: bool


@dataclass
class LoadRecords:
    """Calls of one order.

    begin         of the order, by time.perf_counter
    seconds       in which calls began
    deadline      seconds that each call had; None: no deadline
    stall         the most seconds that the generator was late with a call: its ends may be read as late
    cpu_seconds   of the process that made the calls, from the begin to the last end
    wall_seconds  the same by the clock
    """

    begin: float
    seconds: float
    deadline: float | None = None
    calls: list[CallRecord] = field(default_factory=list)
    stall: float = 0.0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    def outcome(self, call: CallRecord) -> str:
        """Return one of OUTCOMES."""
        if call.code == RUNNING:
            return "unfinished"
        if call.code == OK:
            return "ok" if call.right else "wrong"
        if call.code == DEADLINE_EXCEEDED and self.deadline is not None:
            on_time = call.end - call.sent <= self.deadline + self.stall + DEADLINE_TOLERANCE_SECONDS
            return "deadline" if on_time and call.reason != BY_CLIENT else "failed"
        if call.retry or is_refused_stream(call):
            return "refused"
        return "lost" if call.code == UNAVAILABLE else "failed"

    def outcomes(self, size_index: int | None = None) -> dict[str, int]:
        """Return the number of calls of each outcome, of one size or of all."""
        counts = Counter(self.outcome(call) for call in self.calls if size_index in (None, call.size_index))
        return {name: counts[name] for name in OUTCOMES}

    def of(self, outcome: str) -> list[CallRecord]:
        """Return the calls of an outcome."""
        return [call for call in self.calls if self.outcome(call) == outcome]

    def reasons(self) -> dict[str, int]:
        """Return why calls had no result, with N for each number, and how often: the most frequent ones."""
        counts = Counter(
            f"{self.outcome(call)}, status {call.code}: {re.sub(r'[0-9][0-9.,]*', 'N', call.reason)}"
            for call in self.calls
            if call.code != OK or not call.right
        )
        return dict(counts.most_common(12))

    def work_per_second(self, worth: Callable[[CallRecord], float], ramp: float = 0.0) -> float:
        """Return the worth of the calls that ended with a result, per second, from `ramp` on while calls began."""
        first, last = self.begin + ramp, self.begin + self.seconds
        return sum(worth(call) for call in self.of("ok") if first <= call.end <= last) / (self.seconds - ramp)

    def lags(self) -> list[float]:
        """Return how many seconds after they were due calls were sent."""
        return [call.sent - call.due for call in self.calls if not math.isnan(call.sent)]


def is_refused_stream(call: CallRecord) -> bool:
    """Return whether HTTP/2 refused the call's stream, which the server has not processed (RFC 9113, 8.7)."""
    return call.code == UNAVAILABLE and call.reason == REFUSED_STREAM


def latencies(calls: Iterable[CallRecord]) -> list[float]:
    """Return seconds from sending to the end, of calls that were sent and have ended."""
    return [call.end - call.sent for call in calls if not math.isnan(call.end - call.sent)]


def by_second(values: Iterable[tuple[float, float]], begin: float, seconds: range) -> list[list[float]]:
    """Return the values of (time, value) in each of some seconds since `begin`."""
    parts: dict[int, list[float]] = {second: [] for second in seconds}
    for at, value in values:
        parts.get(math.floor(at - begin), []).append(value)
    return list(parts.values())


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return the median, the 95th and 99th percentile, and the largest of some values; None without any."""
    if not values:
        return dict.fromkeys(("p50", "p95", "p99", "max"))
    if len(values) == 1:
        return dict.fromkeys(("p50", "p95", "p99", "max"), values[0])
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
