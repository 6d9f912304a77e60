"""Normal callers next to clients that hold calls open, by sending slowly or never reading: their throughput."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import sources
from benchmarks.service.attackers import AttackProcess, AttackResult, loris_attacks, never_reading_attacks
from benchmarks.service.generator import LoadOrder, LoadProcess
from benchmarks.service.goals import Goal, at_least, at_most, none_of, ratio
from benchmarks.service.overload import BUDGET, CALLERS, GROUP_BYTES, MIB, OURS, WEIGHTS, megapixels
from benchmarks.service.records import LoadRecords, by_second
from benchmarks.service.watch import ServerMemory, Watch, Watched, memory_of

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
    wrong           normal calls with another result than the expected one, before it and during it
    reclaimed       seconds until the server had ended all calls of the attack that it held; None: it did not
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
    wrong: int
    reasons: dict[str, int]
    reclaimed: float | None
    attacks: list[AttackResult]
    memory: ServerMemory
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
    ):
        load.make(LoadOrder(min(3.0, seconds), WEIGHTS, callers=CALLERS))
        time.sleep(settle / 2)
        with Watch(server) as watch:
            idle = time.perf_counter()
            time.sleep(1.0)
            before = load.make(LoadOrder(seconds, WEIGHTS, callers=CALLERS, seed=2))
            with AttackProcess(server.address, attacks) as attackers:
                begin = time.perf_counter()
                attackers.begin(longest)
                during = load.make(LoadOrder(seconds, WEIGHTS, callers=CALLERS, seed=2))
                results = attackers.result()
            settled = time.perf_counter() + settle
            time.sleep(settle)
        memory = memory_of(server, group, watch.seen, idle, settled)
    series = series_of(begin, results, [before, during], watch.seen)
    one = _result(name, results, before, during, watch.seen, memory, series)
    one.goals = goals_of(one)
    return one


def _result(
    name: str,
    results: list[AttackResult],
    before: LoadRecords,
    during: LoadRecords,
    seen: Watched,
    memory: ServerMemory,
    series: dict[str, list[Any]],
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
        wrong=before.outcomes()["wrong"] + during.outcomes()["wrong"],
        reasons=during.reasons(),
        reclaimed=None if any(one.running for one in results) else max(max(one.ends, default=0.0) for one in results),
        attacks=results,
        memory=memory,
        server_cores=seen.server_cores,
        others_cores=max(0.0, seen.machine_cores - seen.server_cores - generator),
        series=series,
    )


def series_of(
    begin: float, results: list[AttackResult], loads: list[LoadRecords], seen: Watched
) -> dict[str, list[Any]]:
    """Return figures by second since the begin of the attack, for plots; None where there is none."""
    times = [begin, *(at for at, _ in seen.memory)]
    seconds = range(math.floor(min(times) - begin), math.ceil(max(times) - begin))
    ends = [(call.end, 1.0) for records in loads for call in records.of("ok")]
    held = [sum(sum(end > second for end in one.ends) + one.running for one in results) for second in seconds]

    def largest(values: Sequence[tuple[float, float]]) -> list[float | None]:
        return [max(part, default=None) for part in by_second(values, begin, seconds)]

    return {
        "second": list(seconds),
        "ok": [len(part) for part in by_second(ends, begin, seconds)],
        "held": [count if second >= 0 else 0 for second, count in zip(seconds, held, strict=True)],
        "health max": largest(seen.health),
        "resident bytes": largest(seen.memory),
    }


def goals_of(one: AttackedResult) -> list[Goal]:
    """Return the goals of our server."""
    memory = one.memory
    bound = GROUP_BYTES if memory.idle is None else min(GROUP_BYTES, memory.idle + BUDGET_BYTES)
    peak = None if memory.idle is None else memory.peak
    return [
        none_of("killed for lack of memory, or ended", int(memory.killed)),
        at_least(
            "calls of each kind that the server held, not refused",
            min(attack.held for attack in one.attacks),
            1,
            "calls",
        ),
        at_least("throughput of normal callers, of that before", one.throughput, 0.8, "%", 100),
        none_of("wrong results", one.wrong),
        at_most("resident memory at most", peak, bound, "MiB", 1 / MIB),
        at_most("all calls ended by the server", one.reclaimed, RECLAIM_SECONDS_MAX + RECLAIM_TOLERANCE_SECONDS, "s"),
        at_most("memory 10 s after the attackers, of idle", ratio(memory.settled, memory.idle), 1.1, "×"),
    ]
