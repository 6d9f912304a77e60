"""A server at ten times its capacity: completed work, refusals, memory and health; with and without deadlines."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.cgroup import MemoryGroup, memory_group
from benchmarks.harness.server import ServerProcess
from benchmarks.service.checks import EFFORT, SETTINGS, used
from benchmarks.service.generator import LoadOrder, LoadProcess
from benchmarks.service.goals import Goal, at_least, at_most, none_of, ratio
from benchmarks.service.mix import MIX, MixedFile, mixed_files
from benchmarks.service.records import CallRecord, LoadRecords, by_second, is_refused_stream, latencies, percentiles
from benchmarks.service.rpcs import CompressRpc, RecodeRpc, Rpc
from benchmarks.service.watch import ServerMemory, Watch, Watched, memory_of
from benchmarks.small.measure import ours

MIB = 1 << 20
GROUP_BYTES, BUDGET = 512 * MIB, "256MiB"
PEER_GROUP_BYTES = 2048 * MIB  # in that of our server, the closed load has peers killed
OVERLOAD = 10.0
CALLERS = 2 * (os.cpu_count() or 1)  # of the closed load: each core has a call, and another one waits
RAMP_SECONDS_MAX = 5.0  # of an overload, before completed work counts
SETTLE_SECONDS = 10.0
DEADLINE_SECONDS = 5.0
WEIGHTS = tuple(share.weight for share in MIX)


@dataclass(frozen=True)
class Capacity:
    """A server with a closed load of the mix.

    costs                 CPU seconds of the server for a call of each size, measured with that size alone
    calls_per_second      with the mix
    megapixels_per_second, work_per_second  the same; work: CPU seconds, by `costs`
    server_cores, generator_cores  CPU seconds of the server and of the load generator in a second
    problems              why calls had no result, and how often
    """

    costs: tuple[float, ...]
    calls_per_second: float
    megapixels_per_second: float
    work_per_second: float
    server_cores: float
    generator_cores: float
    problems: dict[str, int]


@dataclass
class OverloadResult:
    """A server at a multiple of its capacity.

    rate               calls that arrived in a second
    outcomes           number of calls of each outcome (records.OUTCOMES)
    goodput            completed work relative to that of the closed load; work is CPU time, by `Capacity.costs`
    goodput_pixels     the same in pixels
    goodput_cpu        the same for each CPU second of the server: on a machine with other work it says what the server
                       spends on calls without a result
    finished           share of the calls with a result, of those that were admitted: of all that were not refused
    ok, refused        percentiles of the seconds from sending to the end
    lag                percentiles of the seconds that the generator sent calls too late
    without_retry      refused calls that were not told when to retry; gRPC's clients repeat a refused stream at once
    by_size            number of calls of each outcome for each size
    others_cores       CPU seconds in a second of processes that are neither the server nor the generator
    series             by second; for the plot
    """

    server: str
    deadline: float | None
    seconds: float
    rate: float
    memory: ServerMemory
    capacity: Capacity
    outcomes: dict[str, int]
    by_size: dict[str, dict[str, int]]
    reasons: dict[str, int]
    goodput: float
    goodput_pixels: float
    goodput_cpu: float
    calls_per_second: float
    finished: float
    ok: dict[str, float | None]
    refused: dict[str, float | None]
    lag: dict[str, float | None]
    health: dict[str, float | None]
    unhealthy: int
    without_retry: int
    server_cores: float
    generator_cores: float
    others_cores: float
    series: dict[str, list[Any]]
    goals: list[Goal] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """A server to measure, and the files for it.

    group_bytes  limit of its control group
    """

    name: str
    rpc: type[Rpc]
    options: tuple[str, ...] = ()
    module: tuple[str, ...] | None = None
    recode: Callable[[bytes], bytes] | None = None
    group_bytes: int = GROUP_BYTES

    def files(self) -> list[MixedFile]:
        """Make the files."""
        return mixed_files(self.rpc(), self.recode or ours(EFFORT), {} if self.recode else SETTINGS, MIX)

    @contextlib.contextmanager
    def started(self) -> Iterator[tuple[ServerProcess, MemoryGroup | None]]:
        """Start the server, in a control group where one can be made."""
        module: dict[str, Any] = {} if self.module is None else {"module": self.module}
        with memory_group(self.group_bytes) as group:
            prefix = group.prefix if group is not None else ()
            with ServerProcess(*self.options, prefix=prefix, **module) as server:
                yield server, group


OURS = Subject("compressor", CompressRpc, ("--memory-budget", BUDGET))


def peers() -> list[Subject]:
    """Return the servers of other libraries."""
    from benchmarks.service import pillow_server
    from benchmarks.service.throughput import PYVIPS_SERVER, has_pyvips

    def peer(name: str, module: tuple[str, ...], recode: Callable[[bytes], bytes]) -> Subject:
        return Subject(name, RecodeRpc, (), module, recode, PEER_GROUP_BYTES)

    found = []
    if has_pyvips():
        from benchmarks.service import pyvips_server

        found.append(peer("pyvips", PYVIPS_SERVER, pyvips_server.recode))
    return [*found, peer("Pillow", ("benchmarks.service.pillow_server",), pillow_server.recode)]


class EndedError(RuntimeError):
    """A server has ended under load."""


def measure_capacity(server: ServerProcess, load: LoadProcess, seconds: float) -> Capacity:
    """Measure the cost of a call of each size, then the closed load of the mix."""
    problems: dict[str, int] = {}

    def closed(weights: Sequence[float], callers: int, seconds: float, seed: int) -> LoadRecords:
        records = load.make(LoadOrder(seconds, tuple(weights), callers=callers, seed=seed))
        for reason, count in records.reasons().items():
            problems[reason] = problems.get(reason, 0) + count
        return records

    closed(WEIGHTS, CALLERS, seconds / 5, 1)  # to warm up
    costs = []
    for index in range(len(WEIGHTS)):
        before = used(server)[0]
        alone = closed([float(other == index) for other in range(len(WEIGHTS))], 1, seconds / 5, 2)
        costs.append((used(server)[0] - before) / max(1, len(alone.calls)))
    before = used(server)[0]
    records = closed(WEIGHTS, CALLERS, seconds, 3)
    cores = (used(server)[0] - before) / records.wall_seconds
    return Capacity(
        costs=tuple(costs),
        calls_per_second=records.work_per_second(lambda _: 1.0),
        megapixels_per_second=records.work_per_second(megapixels),
        work_per_second=records.work_per_second(lambda call: costs[call.size_index]),
        server_cores=cores,
        generator_cores=records.cpu_seconds / records.wall_seconds,
        problems=problems,
    )


def megapixels(call: CallRecord) -> float:
    """Return the size of a call's image."""
    return MIX[call.size_index].size.megapixels


def measure_overload(
    subject: Subject, seconds: float, deadline: float | None = None, settle: float = SETTLE_SECONDS
) -> OverloadResult:
    """Measure the capacity of a new server, then let calls arrive at ten times that rate. Raises EndedError."""
    files = subject.files()
    with subject.started() as (server, group), LoadProcess(server.address, subject.rpc, files) as load:
        try:
            capacity = measure_capacity(server, load, max(1.0, seconds / 4))
        except (RuntimeError, EOFError) as error:
            raise EndedError(f"{subject.name} ended under the closed load: {error}") from None
        if not server.alive or capacity.calls_per_second == 0:
            raise EndedError(f"{subject.name} ended under the closed load, or answered no call")
        time.sleep(settle / 2)
        with Watch(server) as watch:
            idle = time.perf_counter()
            time.sleep(1.0)
            rate = OVERLOAD * capacity.calls_per_second
            order = LoadOrder(seconds, WEIGHTS, rate, deadline=deadline, drain=min(60.0, 2 * seconds), seed=4)
            records = load.make(order)
            settled = time.perf_counter() + settle
            time.sleep(settle)
        memory = memory_of(server, group, watch.seen, idle, settled)
    result = _result(subject, capacity, records, watch.seen, memory, rate)
    result.goals = goals_of(result) if subject is OURS else []
    return result


def _result(
    subject: Subject, capacity: Capacity, records: LoadRecords, seen: Watched, memory: ServerMemory, rate: float
) -> OverloadResult:
    outcomes, ramp = records.outcomes(), min(RAMP_SECONDS_MAX, records.seconds / 6)
    work = records.work_per_second(lambda call: capacity.costs[call.size_index], ramp)
    cores = seen.cpu_seconds(records.begin + ramp, records.begin + records.seconds) / (records.seconds - ramp)
    by_cpu = capacity.work_per_second / capacity.server_cores
    generator = records.cpu_seconds / records.wall_seconds
    admitted = len(records.calls) - outcomes["refused"]
    return OverloadResult(
        server=subject.name,
        deadline=records.deadline,
        seconds=records.seconds,
        rate=rate,
        memory=memory,
        capacity=capacity,
        outcomes=outcomes,
        by_size={str(share.size): records.outcomes(index) for index, share in enumerate(MIX)},
        reasons=records.reasons(),
        goodput=work / capacity.work_per_second,
        goodput_pixels=records.work_per_second(megapixels, ramp) / capacity.megapixels_per_second,
        goodput_cpu=work / cores / by_cpu if cores else 0.0,
        calls_per_second=records.work_per_second(lambda _: 1.0, ramp),
        finished=outcomes["ok"] / max(1, admitted),
        ok=percentiles(latencies(records.of("ok"))),
        refused=percentiles(latencies(records.of("refused"))),
        lag=percentiles(records.lags()),
        health=percentiles([took for _, took in seen.health]),
        unhealthy=seen.unhealthy,
        without_retry=sum(not call.retry and not is_refused_stream(call) for call in records.of("refused")),
        server_cores=cores,
        generator_cores=generator,
        others_cores=max(0.0, seen.machine_cores - seen.server_cores - generator),
        series=series_of(records, seen, capacity),
    )


def series_of(records: LoadRecords, seen: Watched, capacity: Capacity) -> dict[str, list[Any]]:
    """Return figures by second since the begin of the load, for plots; None where there is none."""
    last = max([records.begin + records.seconds, *(at for at, _ in seen.memory)])
    seconds = range(math.ceil(last - records.begin))
    found: dict[str, list[Any]] = {"second": list(seconds)}

    def parts_of(values: Sequence[tuple[float, float]]) -> list[list[float]]:
        return by_second(values, records.begin, seconds)

    calls = {name: records.of(name) for name in ("ok", "refused", "deadline", "failed", "lost")}
    for name, some in calls.items():
        found[name] = [len(part) for part in parts_of([(call.end, 1.0) for call in some])]
    for name in ("ok", "refused"):
        parts = parts_of([(call.end, call.end - call.sent) for call in calls[name] if call.sent == call.sent])
        for key in ("p50", "p95"):
            found[f"{name} {key}"] = [percentiles(part)[key] for part in parts]
    work = parts_of([(call.end, capacity.costs[call.size_index]) for call in calls["ok"]])
    found["goodput"] = [sum(part) / capacity.work_per_second for part in work]
    found["health max"] = [max(part, default=None) for part in parts_of(seen.health)]
    found["resident bytes"] = [max(part, default=None) for part in parts_of(seen.memory)]
    return found


def goals_of(one: OverloadResult) -> list[Goal]:
    """Return the goals of our server at ten times its capacity."""
    bad = ("failed", "wrong", "lost", "unfinished")
    unmet = sum(one.outcomes[name] for name in bad) + (one.outcomes["deadline"] if one.deadline is None else 0)
    return [
        none_of("killed for lack of memory, or ended", int(one.memory.killed)),
        none_of("calls of the closed load without a result", sum(one.capacity.problems.values())),
        none_of("admitted calls that neither succeed nor end by their deadline", unmet),
        at_least("goodput of the saturated throughput", one.goodput, 0.85, "%", 100),
        at_most("refusals p95", one.refused["p95"], 0.1, "ms", 1000),
        none_of("refusals that do not say when to retry", one.without_retry),
        at_most("resident memory at most", one.memory.peak, GROUP_BYTES, "MiB", 1 / MIB),
        at_most("memory after 10 s, of idle", ratio(one.memory.settled, one.memory.idle), 1.1, "×"),
        at_most("health p99", one.health["p99"], 0.25, "ms", 1000),
        none_of("health checks that fail", one.unhealthy),
    ]
