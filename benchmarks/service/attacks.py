"""Normal callers next to clients that hold calls open, slow senders or such that never read: what is left for them."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import sources
from benchmarks.service.attackers import AttackProcess, AttackResult, loris_attacks, never_reading_attacks
from benchmarks.service.generator import LoadOrder, LoadProcess
from benchmarks.service.goals import Goal, at_least, at_most, none_of
from benchmarks.service.overload import BUDGET, CALLERS, GROUP_BYTES, MIB, OURS, WEIGHTS, megapixels
from benchmarks.service.records import LoadRecords
from benchmarks.service.watch import Watch, Watched

CALLS = 1000
RECLAIM_SECONDS_MAX = 62.0  # docs/service.md: `idle_seconds` and two more
RECLAIM_TOLERANCE_SECONDS = 5.0
BUDGET_BYTES = int(BUDGET.removesuffix("MiB")) * MIB
SETTLE_SECONDS = 10.0


@dataclass
class AttackedResult:
    """Normal callers before and during an attack.

    throughput      calls per second during the attack, relative to those before
    pixels          the same in pixels
    failed          normal calls that ended without a result, during the attack
    reclaimed       seconds until the server had ended all calls of the attack; None: it did not
    server_cores    CPU seconds of the server in a second
    others_cores    the same of other processes than the server and the normal callers; attackers included
    """

    name: str
    count: int
    seconds: float
    before_per_second: float
    during_per_second: float
    throughput: float
    pixels: float
    failed: int
    reasons: dict[str, int]
    reclaimed: float | None
    attacks: list[AttackResult]
    idle_bytes: int
    peak_bytes: int
    settled_bytes: int
    killed: bool
    server_cores: float
    others_cores: float
    series: dict[str, list[Any]]
    goals: list[Goal] = field(default_factory=list)


def measure_attack(name: str, seconds: float, count: int = CALLS, settle: float = SETTLE_SECONDS) -> AttackedResult:
    """Measure normal callers of a new server for some seconds, then as long during an attack, `loris` or `readers`.

    The attack goes on after that, without them, until all of its calls have ended.
    """
    data = sources.files(sources.SIZES["64px"], 1)[0]
    attacks = (loris_attacks if name == "loris" else never_reading_attacks)(data, count)
    longest = seconds + RECLAIM_SECONDS_MAX + 2 * RECLAIM_TOLERANCE_SECONDS
    with (
        OURS.started() as (server, group),
        LoadProcess(server.address, OURS.rpc, OURS.files()) as load,
        AttackProcess(server.address, attacks) as attackers,
    ):
        load.make(LoadOrder(min(3.0, seconds), WEIGHTS, callers=CALLERS))
        time.sleep(settle / 2)
        with Watch(server) as watch:
            idle = time.perf_counter()
            time.sleep(1.0)
            before = load.make(LoadOrder(seconds, WEIGHTS, callers=CALLERS, seed=2))
            begin = time.perf_counter()
            attackers.begin(longest)
            during = load.make(LoadOrder(seconds, WEIGHTS, callers=CALLERS, seed=2))
            results = attackers.result()
            ended = time.perf_counter()
            time.sleep(settle)
        killed = not server.alive or (group is not None and group.killed > 0)
    one = _result(name, results, before, during, watch.seen)
    one.killed = killed
    one.idle_bytes = watch.seen.resident_bytes(idle, idle + 1.0)
    one.settled_bytes = watch.seen.resident_bytes(ended + settle - 2.0, ended + settle + 1.0)
    one.series = series_of(begin, results, [before, during], watch.seen)
    one.goals = goals_of(one)
    return one


def _result(
    name: str, results: list[AttackResult], before: LoadRecords, during: LoadRecords, seen: Watched
) -> AttackedResult:
    rates = [records.work_per_second(lambda _: 1.0) for records in (before, during)]
    pixels = [records.work_per_second(megapixels) for records in (before, during)]
    generator = (before.cpu_seconds + during.cpu_seconds) / (before.wall_seconds + during.wall_seconds)
    return AttackedResult(
        name=name,
        count=sum(one.count for one in results),
        seconds=before.seconds,
        before_per_second=rates[0],
        during_per_second=rates[1],
        throughput=rates[1] / rates[0] if rates[0] else 0.0,
        pixels=pixels[1] / pixels[0] if pixels[0] else 0.0,
        failed=len(during.calls) - during.outcomes()["ok"],
        reasons=during.reasons(),
        reclaimed=None if any(one.running for one in results) else max(max(one.ends, default=0.0) for one in results),
        attacks=results,
        idle_bytes=0,
        peak_bytes=seen.peak_bytes,
        settled_bytes=0,
        killed=False,
        server_cores=seen.server_cores,
        others_cores=max(0.0, seen.machine_cores - seen.server_cores - generator),
        series={},
    )


def series_of(
    begin: float, results: list[AttackResult], loads: list[LoadRecords], seen: Watched
) -> dict[str, list[Any]]:
    """Return figures by second since the begin of the attack, for plots; None where there is none."""
    first = math.floor(min(at for at, _ in seen.memory) - begin)
    last = math.ceil(max(at for at, _ in seen.memory) - begin)
    seconds = list(range(first, last))
    ends = [call.end - begin for records in loads for call in records.of("ok")]
    sizes: dict[int, int] = {}
    for at, size in seen.memory:
        second = math.floor(at - begin)
        sizes[second] = max(size, sizes.get(second, 0))
    probes: dict[int, float] = {}
    for at, took in seen.health:
        second = math.floor(at - begin)
        probes[second] = max(took, probes.get(second, 0.0))
    held = [sum(sum(end > second for end in one.ends) + one.running for one in results) for second in seconds]
    return {
        "second": seconds,
        "ok": [sum(second <= end < second + 1 for end in ends) for second in seconds],
        "held": [count if second >= 0 else 0 for second, count in zip(seconds, held, strict=True)],
        "health max": [probes.get(second) for second in seconds],
        "resident bytes": [sizes.get(second) for second in seconds],
    }


def goals_of(one: AttackedResult) -> list[Goal]:
    """Return the goals of our server."""
    return [
        none_of("killed for lack of memory, or ended", int(one.killed)),
        at_least("throughput of normal callers, of that before", one.throughput, 0.8, "%", 100),
        at_most(
            "resident memory at most", one.peak_bytes, min(GROUP_BYTES, one.idle_bytes + BUDGET_BYTES), "MiB", 1 / MIB
        ),
        at_most("all calls ended by the server", one.reclaimed, RECLAIM_SECONDS_MAX + RECLAIM_TOLERANCE_SECONDS, "s"),
        at_most("memory after 10 s, of idle", one.settled_bytes / max(1, one.idle_bytes), 1.1, "×"),
    ]
