"""A server under load: what records say, and small runs of each part."""

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.harness import record, sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service import (
    attacks,
    generator,
    load_plot,
    load_table,
    overload,
    pillow_server,
    restart,
    soak,
    under_load,
    watch,
)
from benchmarks.service.attackers import AttackProcess, AttackResult, loris_attacks, never_reading_attacks
from benchmarks.service.checks import EFFORT, SETTINGS
from benchmarks.service.generator import LoadOrder, LoadProcess
from benchmarks.service.goals import at_least, at_most, none_of
from benchmarks.service.mix import MixedFile, Share, mixed_files
from benchmarks.service.multiplexed import DEADLINE_EXCEEDED, OK, REFUSED_STREAM, RUNNING, UNAVAILABLE
from benchmarks.service.records import BY_CLIENT, CallRecord, LoadRecords, by_second, latencies, percentiles
from benchmarks.service.rpcs import CompressRpc, RecodeRpc
from benchmarks.service.watch import ServerMemory
from benchmarks.small.measure import ours
from tests.service.running import eventually

MIB = 1 << 20
MIX = (Share(sources.Size(64, 64), 0.5, 2), Share(sources.Size(192, 128), 0.5, 2))
WEIGHTS = (0.5, 0.5)
CALL = CallRecord(0, 10.0, 10.0, 11.0, OK, "", False, True)


def call(**values: Any) -> CallRecord:
    return CALL._replace(**values)


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, deadline, outcome",
    [
        ({}, None, "ok"),
        ({"right": False}, None, "wrong"),
        ({"code": RUNNING, "end": math.nan}, None, "unfinished"),
        ({"code": UNAVAILABLE, "retry": True}, None, "refused"),
        ({"code": UNAVAILABLE, "reason": REFUSED_STREAM}, None, "refused"),
        ({"code": 8, "retry": True}, None, "refused"),
        ({"code": UNAVAILABLE, "reason": "the connection was lost"}, None, "lost"),
        ({"code": DEADLINE_EXCEEDED}, 1.0, "deadline"),
        ({"code": DEADLINE_EXCEEDED, "end": 11.5}, 1.0, "failed"),  # half a second too late
        ({"code": DEADLINE_EXCEEDED, "reason": BY_CLIENT}, 1.0, "failed"),  # the server did not end it
        ({"code": DEADLINE_EXCEEDED}, None, "failed"),  # it had no deadline
        ({"code": 1}, 1.0, "failed"),
    ],
)
def test_a_call_has_one_outcome(values: dict[str, Any], deadline: float | None, outcome: str) -> None:
    records = LoadRecords(10.0, 1.0, deadline, [call(**values)])

    assert records.outcomes() == {name: int(name == outcome) for name in records.outcomes()}
    assert records.outcomes(size_index=1)[outcome] == 0


def test_an_end_that_the_generator_read_late_is_no_fault_of_the_server() -> None:
    late = call(code=DEADLINE_EXCEEDED, end=11.5)

    assert LoadRecords(10.0, 1.0, 1.0, [late], stall=0.3).outcomes()["deadline"] == 1
    assert LoadRecords(10.0, 1.0, 1.0, [late], stall=0.2).outcomes()["failed"] == 1


def test_work_counts_when_it_is_completed_within_the_window() -> None:
    ends = (10.5, 11.0, 12.0, 14.0, 14.1)  # the window is from 11 to 14
    records = LoadRecords(10.0, 4.0, None, [call(end=end, size_index=n) for n, end in enumerate(ends)])
    records.calls.append(call(end=12.0, code=UNAVAILABLE, retry=True, size_index=100))

    assert records.work_per_second(lambda one: one.size_index, ramp=1.0) == (1 + 2 + 3) / 3


def test_latencies_and_lags_are_of_calls_that_were_sent() -> None:
    unsent = call(sent=math.nan, end=12.0)
    records = LoadRecords(10.0, 4.0, None, [call(sent=10.2), call(end=math.nan), unsent])

    assert latencies(records.calls) == [pytest.approx(0.8)]
    assert records.lags() == [pytest.approx(0.2), 0.0]
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None, "max": None}
    assert percentiles([2.0]) == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
    assert percentiles([float(n) for n in range(101)]) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}


def test_values_are_sorted_into_seconds() -> None:
    values = [(9.5, 1.0), (10.0, 2.0), (10.9, 3.0), (12.0, 4.0), (13.0, 5.0)]

    assert by_second(values, 10.0, range(-1, 3)) == [[1.0], [2.0, 3.0], [], [4.0]]


def test_reasons_are_counted_without_their_numbers() -> None:
    busy = [call(code=UNAVAILABLE, retry=True, reason=f"{n},000 bytes are not free") for n in (1, 2)]

    assert LoadRecords(10.0, 1.0, None, [*busy, CALL]).reasons() == {"refused, status 14: N bytes are not free": 2}


def test_goals_are_met_or_missed() -> None:
    assert at_most("a", 0.1, 0.1, "ms", 1000) == dataclasses.replace(
        at_most("a", None, 0.1, "ms", 1000), value="100 ms", met=True
    )
    assert not at_most("a", 0.11, 0.1, "ms").met and not at_most("a", None, 1, "ms").met
    assert at_least("a", 0.85, 0.85, "%", 100).met and not at_least("a", 0.84, 0.85, "%", 100).met
    assert none_of("a", 0).met and not none_of("a", 1).met


# --- the load generator -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files() -> list[MixedFile]:
    return mixed_files(CompressRpc(), ours(EFFORT), SETTINGS, MIX)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess("--max-concurrent-calls", "4", "--idle-seconds", "2") as process:
        yield process


@pytest.fixture(scope="module")
def load(server: ServerProcess, files: list[MixedFile]) -> Iterator[LoadProcess]:
    with LoadProcess(server.address, CompressRpc, files) as process:
        yield process


def test_a_closed_load_makes_one_call_after_the_other(load: LoadProcess) -> None:
    records = load.make(LoadOrder(30.0, WEIGHTS, callers=3, calls=60))

    assert records.outcomes()["ok"] == len(records.calls) >= 60
    assert {one.size_index for one in records.calls} == {0, 1}
    running = [sum(other.sent < one.sent < other.end for other in records.calls) for one in records.calls]
    assert max(running) <= 2  # and the call itself
    assert 0 < records.cpu_seconds < records.wall_seconds
    only = load.make(LoadOrder(30.0, (0.0, 1.0), calls=5))
    assert {one.size_index for one in only.calls} == {1}


def test_an_open_load_does_not_wait_for_the_server(load: LoadProcess) -> None:
    """Calls arrive at the times that the seed says, and those that come while four run are refused."""
    order = LoadOrder(1.5, (0.0, 1.0), rate=400.0, seed=5)
    records, again = load.make(order), load.make(order)

    arrivals, others = (sorted(one.due - found.begin for one in found.calls) for found in (records, again))
    assert 450 < len(arrivals) < 750 and arrivals == pytest.approx(others)
    outcomes = records.outcomes()
    assert outcomes["ok"] > 0 and outcomes["refused"] > 0
    assert outcomes["wrong"] == outcomes["lost"] == outcomes["unfinished"] == 0
    assert any(one.retry for one in records.of("refused"))


def test_calls_end_by_their_deadline(load: LoadProcess) -> None:
    records = load.make(LoadOrder(1.0, (0.0, 1.0), rate=400.0, deadline=0.002))

    late = [one for one in records.calls if one.code == DEADLINE_EXCEEDED]
    by_client = sum(one.reason == BY_CLIENT for one in late)
    assert by_client <= len(late) / 10, "the server ends them, unless it did not run for a second"
    outcomes = records.outcomes()
    assert outcomes["deadline"] > 0 and outcomes["unfinished"] == 0


def test_results_are_checked(server: ServerProcess, files: list[MixedFile]) -> None:
    broken = [dataclasses.replace(files[0], crc32c=files[0].crc32c ^ 1), dataclasses.replace(files[2], length=1)]
    with LoadProcess(server.address, CompressRpc, broken) as process:
        records = process.make(LoadOrder(30.0, WEIGHTS, calls=6))

    assert records.outcomes()["wrong"] == len(records.calls) == 6


def test_a_peer_is_measured_like_our_server_until_it_ends() -> None:
    files = mixed_files(RecodeRpc(), pillow_server.recode, {}, MIX)
    with ServerProcess(module=("benchmarks.service.pillow_server",)) as process:
        with LoadProcess(process.address, RecodeRpc, files) as load, watch.Watch(process) as watching:
            assert load.make(LoadOrder(30.0, WEIGHTS, callers=2, calls=20)).outcomes()["ok"] >= 20
            before = process.alive
            assert eventually(lambda: watching.seen.memory)
            process._process.kill()
            records = load.make(LoadOrder(0.3, WEIGHTS, rate=200.0))
            time.sleep(0.3)
    assert (before, process.alive) == (True, False)
    assert records.outcomes()["lost"] == len(records.calls) > 20
    assert 0 < watching.seen.unhealthy < len(watching.seen.health) and watching.seen.memory


# --- attackers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [loris_attacks, never_reading_attacks])
def test_calls_are_held_open_until_the_server_ends_them(server: ServerProcess, kind: Callable[..., Any]) -> None:
    """The server's idle time-out is 2 s. A byte a second completes no message, so it is no activity."""
    attacks = [one for one in kind(sources.files(MIX[0].size, 1)[0], 12) if "empty" not in one.name]
    with AttackProcess(server.address, attacks) as process:
        process.begin(60.0)
        results = process.result()

    assert [(one.name, one.count) for one in results] == [(one.name, one.count) for one in attacks]
    assert [(one.held + one.refused, one.running) for one in results] == [(one.count, 0) for one in attacks]
    reasons = Counter[str]()
    for one in results:
        assert sum(one.reasons.values()) == one.count and min(one.ends, default=1.0) >= 1.0
        reasons.update(one.reasons)
    ends = sorted(end for one in results for end in one.ends)
    assert len(ends) >= 4 and min(ends[-4:]) >= 2.0, "four calls run at a time"
    assert reasons["status 14: 4 calls are running"] > 0


def test_attacks_are_complete_messages_or_never_become_one() -> None:
    from benchmarks.service import http2
    from compressor.v1 import compressor_pb2 as pb

    endless, head, empty = loris_attacks(bytes(range(256)) * 8, 10)
    assert [one.count for one in (endless, head, empty)] == [4, 3, 3]
    assert http2.unprefixed(endless.body[:-1]) == [] and endless.allowed == 5
    parsed = [pb.CompressRequest.FromString(one) for one in http2.unprefixed(empty.body)]
    assert [one.WhichOneof("part") for one in parsed[:4]] == ["settings", "chunk", "chunk", "chunk"]
    assert (len(parsed[1].chunk), len(parsed[2].chunk)) == (1024, 0)
    assert empty.body[: empty.allowed] == head.body[: head.allowed]
    assert len(http2.unprefixed(empty.body[: empty.allowed + 2 * empty.trickle])) == 4


# --- the parts --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few kilobytes instead of megapixels, and short waits."""
    for module in (overload, attacks):
        monkeypatch.setattr(module, "WEIGHTS", WEIGHTS)
    monkeypatch.setattr(overload, "MIX", MIX)
    monkeypatch.setattr(attacks, "RECLAIM_SECONDS_MAX", 1.0)
    monkeypatch.setattr(attacks, "RECLAIM_TOLERANCE_SECONDS", 0.5)
    monkeypatch.setattr(generator, "OTHER_CONNECTIONS", 2)


def test_a_server_is_measured_at_ten_times_its_capacity_and_under_attack(small: None, tmp_path: Path) -> None:
    """No goal has to be met: the machine is busy with other tests."""
    results = under_load.LoadResults(
        [overload.measure_overload(overload.OURS, 1.0, deadline=2.0, settle=0.5)],
        [attacks.measure_attack("readers", 1.0, count=20, settle=0.5)],
    )
    (one,), (attacked,) = results.overloads, results.attacks

    assert one.rate == pytest.approx(10 * one.capacity.calls_per_second)
    assert sum(one.outcomes.values()) == sum(sum(counts.values()) for counts in one.by_size.values()) > 0
    assert one.outcomes["wrong"] == one.outcomes["lost"] == 0 and not one.memory.killed
    assert len(one.capacity.costs) == 2 and not one.capacity.problems
    memory = one.memory
    assert memory.idle and memory.peak and memory.settled
    assert 0 < memory.idle <= memory.peak < overload.GROUP_BYTES
    assert sum(one.series["ok"]) == one.outcomes["ok"]
    assert len(one.health) == 4 and one.unhealthy == 0
    assert attacked.count == 20 and attacked.before_per_second > 0
    assert attacked.throughput * attacked.before_per_second == pytest.approx(attacked.during_per_second)
    assert max(attacked.series["held"]) <= 20 and attacked.wrong == 0
    assert {part for part, _ in results.goals()} == {"deadlines", "readers"}
    assert len(results.problems()) == sum(not goal.met for _, goal in results.goals())

    console = record.console()
    with console.capture() as captured:
        under_load.print_results(results, console)
    assert "calls that arrived a second" in captured.get() and "never read" in captured.get()
    paths = under_load.draw(results, tmp_path / "service.json")
    assert [path.name for path in paths] == ["service-overload.png", "service-attacks.png"]
    for path in paths:
        with Image.open(path) as image:
            assert image.size[0] >= 1000


@pytest.fixture
def overloaded() -> overload.OverloadResult:
    """A result that meets all goals, of 6 s with 9 calls of a CPU second and 9 of two; one call of each is refused."""
    capacity = overload.Capacity((1.0, 2.0), 4.0, 4.0, 4.0, 2.0, 0.1, {})
    ends = [(n % 2, 10.5 + 0.5 * (n // 2)) for n in range(18)]
    calls = [call(size_index=size_index, sent=end - 0.05, end=end) for size_index, end in ends]
    calls += [call(size_index=n, end=10.05, code=UNAVAILABLE, retry=True) for n in range(2)]
    seen = watch.Watched([(9.0, 100 * MIB)], [(10.0, 0.01)] * 5, cpu=[(10.0 + n, 2.0 * n) for n in range(7)])
    memory = ServerMemory(100 * MIB, 150 * MIB, 105 * MIB, None, False, False)
    records = LoadRecords(10.0, 6.0, None, calls, wall_seconds=6.0)
    return overload._result(overload.OURS, capacity, records, seen, memory, 40.0)


def test_completed_work_is_compared_with_that_of_the_closed_load(overloaded: overload.OverloadResult) -> None:
    """The first second does not count: 8 calls of each size end in the 5 s after it."""
    assert overloaded.goodput == pytest.approx(8 * (1.0 + 2.0) / 5 / 4.0)
    assert overloaded.goodput_cpu == pytest.approx(overloaded.goodput * 2.0 / overloaded.server_cores)
    assert overloaded.calls_per_second == pytest.approx(16 / 5)
    assert (overloaded.finished, overloaded.outcomes["refused"], overloaded.without_retry) == (1.0, 2, 0)


@pytest.mark.parametrize(
    "name, values",
    [
        ("killed", {"memory": ServerMemory(MIB, MIB, MIB, None, False, True)}),
        ("calls of the closed load", {"capacity": overload.Capacity((), 4.0, 4.0, 4.0, 2.0, 0.1, {"wrong": 1})}),
        *(("admitted calls", {"outcomes": Counter({name: 1})}) for name in ("failed", "wrong", "lost", "unfinished")),
        ("admitted calls", {"outcomes": Counter(deadline=1)}),
        ("goodput", {"goodput": 0.84}),
        ("refusals p95", {"refused": percentiles([0.11])}),
        ("refusals that", {"without_retry": 1}),
        ("resident memory", {"memory": ServerMemory(MIB, 513 * MIB, MIB, None, False, False)}),
        ("memory after", {"memory": ServerMemory(None, MIB, MIB, None, False, False)}),
        ("health p99", {"health": percentiles([0.3])}),
        ("health checks", {"unhealthy": 1}),
    ],
)
def test_an_overload_misses_each_goal(overloaded: overload.OverloadResult, name: str, values: dict[str, Any]) -> None:
    assert [goal for goal in overload.goals_of(overloaded) if not goal.met] == []
    missed = [goal for goal in overload.goals_of(dataclasses.replace(overloaded, **values)) if not goal.met]

    assert len(missed) == 1 and missed[0].name.startswith(name)


@pytest.fixture
def attacked() -> attacks.AttackedResult:
    """A result that meets all goals."""
    held = AttackResult("never read", 9, refused=3, ends=[5.0] * 6)
    memory = ServerMemory(100 * MIB, 150 * MIB, 105 * MIB, None, False, False)
    return attacks.AttackedResult(
        "readers", 9, 1.0, 10.0, 9.0, 0.9, 0.9, 0, 0, {}, 5.0, [held], memory, 1.0, 0.1, {"second": []}
    )


@pytest.mark.parametrize(
    "name, values",
    [
        ("killed", {"memory": ServerMemory(1, 1, 1, None, False, True)}),
        ("calls of each kind", {"attacks": [AttackResult("a", 1, ends=[5.0]), AttackResult("b", 9, refused=9)]}),
        ("throughput", {"throughput": 0.79}),
        ("wrong results", {"wrong": 1}),
        ("all calls ended", {"reclaimed": None}),
        ("resident memory", {"memory": ServerMemory(MIB, 400 * MIB, MIB, None, False, False)}),
        ("memory 10 s after", {"memory": ServerMemory(MIB, MIB, None, None, False, False)}),
    ],
)
def test_an_attack_misses_each_goal(attacked: attacks.AttackedResult, name: str, values: dict[str, Any]) -> None:
    assert [goal for goal in attacks.goals_of(attacked) if not goal.met] == []
    missed = [goal for goal in attacks.goals_of(dataclasses.replace(attacked, **values)) if not goal.met]

    assert len(missed) == 1 and missed[0].name.startswith(name)


def test_attacks_that_were_refused_are_told_from_those_that_were_held(attacked: attacks.AttackedResult) -> None:
    console = record.console()
    with console.capture() as captured:
        console.print(load_table.attack_table([attacked]))

    row = next(line.split() for line in captured.get().splitlines() if "never read" in line)
    assert row[2:6] == ["9", "3", "6", "6"]  # number, refused, held, ended by the server


def test_a_part_that_fails_is_a_problem_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: Exception) -> Callable[..., Any]:
        def measure(*_: object) -> Any:
            raise error

        return measure

    monkeypatch.setattr(under_load, "measure_overload", fails(overload.EndedError("compressor ended")))
    monkeypatch.setattr(under_load, "measure_attack", fails(EOFError("load generator: the process has ended")))
    monkeypatch.setattr(under_load, "measure_restart", fails(ConnectionResetError("reset")))
    monkeypatch.setattr(under_load, "CALLS", 40)
    parts = [name for name in under_load.PARTS if name != "loris"]

    results = under_load.measure(parts, 1.0, False, lambda _: None)

    assert results.problems()[:4] == [
        "overload: not measured: compressor ended",
        "deadlines: not measured: compressor ended",
        "readers: not measured: load generator: the process has ended",
        "restart: not measured: reset",
    ]
    assert results.soak is not None and results.soak.calls >= 40
    assert results.content()["not_measured"] == results.not_measured


def test_a_server_that_ends_under_load_is_not_measured_further(monkeypatch: pytest.MonkeyPatch, small: None) -> None:
    """It is killed before the closed load."""
    started: list[ServerProcess] = []

    def measure_capacity(server: ServerProcess, load: LoadProcess, seconds: float) -> Any:
        started.append(server)
        server._process.kill()
        server._process.wait()
        return capacity(server, load, seconds)

    capacity = overload.measure_capacity
    monkeypatch.setattr(overload, "measure_capacity", measure_capacity)
    with pytest.raises(overload.EndedError, match="^compressor ended under the closed load"):
        overload.measure_overload(overload.OURS, 1.0)
    assert not started[0].alive


def test_growth_of_memory_is_the_slope_after_the_first_blocks() -> None:
    sizes = [50 * MIB, 80 * MIB, *(100 * MIB + n * 1000 for n in range(18))]

    assert soak.growth_of([float(size) for size in sizes], 5000) == pytest.approx(2000)
    assert soak.growth_of([1.0], 5000) is None


def test_growth_that_was_not_measured_misses_its_goal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ServerProcess, "resident_bytes", None)

    found = soak.measure_soak(calls=40, blocks=2)

    assert (found.resident_bytes, found.growth) == ([None, None], None)
    assert [goal.name for goal in found.goals if not goal.met] == ["growth for 10,000 calls"]
    assert "growth not measured" in load_table.soak_line(found)
    assert load_plot.draw_soak(found, tmp_path / "soak.png").exists()


def test_many_small_calls_are_made_in_blocks(tmp_path: Path) -> None:
    found = soak.measure_soak(calls=200, blocks=4)

    assert 200 <= found.calls < 220 and found.wrong == 0
    assert len(found.resident_bytes) == 4 and min(size or 0 for size in found.resident_bytes) > 10 * MIB
    assert load_plot.draw_soak(found, tmp_path / "soak.png").exists()
    assert "MiB for 10,000 calls" in load_table.soak_line(found)


def test_two_servers_are_restarted_one_after_the_other() -> None:
    found = restart.measure_restart(pause=0.3, size=MIX[1].size)

    assert found.calls > 20 and found.wrong == 0 and found.codes == [0, 0]
    assert found.lost == 0 and found.errors == {} and found.goals[0].met
    assert "Rolling restart" in load_table.restart_line(found)
