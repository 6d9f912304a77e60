"""The results of measurements under load as tables: goals, and what callers and the server saw."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.harness import record
from benchmarks.service.attackers import HELD_SECONDS
from benchmarks.service.attacks import AttackedResult
from benchmarks.service.goals import Goal
from benchmarks.service.overload import MIB, OVERLOAD, OverloadResult
from benchmarks.service.restart import RestartResult
from benchmarks.service.soak import SoakResult


def name_of(one: OverloadResult) -> str:
    """Return the title of a result."""
    return one.server + ("" if one.deadline is None else f", {one.deadline:g} s deadlines")


def milliseconds(value: float | None) -> str:
    """Return seconds as milliseconds."""
    return "-" if value is None else f"{value * 1e3:,.0f}"


def mebibytes(value: int | None) -> str:
    """Return bytes as MiB."""
    return "-" if value is None else f"{value / MIB:.0f}"


def goals_table(goals: Sequence[tuple[str, Goal]]) -> Table:
    """Return a row for each goal of a part."""
    table = record.table("Goals", ("part", "goal"), ("value", "limit", ""))
    table.columns[1].max_width = 48
    for part, goal in goals:
        mark = "met" if goal.met else "missed"
        table.add_row(part, goal.name, goal.value, goal.limit, mark, style="" if goal.met else "red")
    return table


def capacity_table(results: Sequence[OverloadResult]) -> Table:
    """Return a row for each server with a closed load."""
    table = record.table(
        "Closed load of the mix, two callers for each core",
        ("server",),
        ("calls/s", "MP/s", "work", "server\ncores", "client\ncores", "CPU ms of a call,\nby size"),
        "work: CPU seconds in a second, counted by the CPU time of a call of each size alone",
    )
    for one in results:
        found = one.capacity
        table.add_row(
            name_of(one),
            f"{found.calls_per_second:.1f}",
            f"{found.megapixels_per_second:.1f}",
            f"{found.work_per_second:.2f}",
            f"{found.server_cores:.2f}",
            f"{found.generator_cores:.2f}",
            ", ".join(f"{cost * 1e3:.1f}" for cost in found.costs),
        )
    return table


def overload_table(results: Sequence[OverloadResult]) -> Table:
    """Return a column for each server at a multiple of its capacity."""
    table = record.table(f"Calls arrive at {OVERLOAD:g} times the rate of the closed load", ("",), ())
    table.columns[0].max_width = 40
    for one in results:
        table.add_column(name_of(one).replace(", ", ",\n"), justify="right", no_wrap=True)
    columns = [overload_figures(one) for one in results]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def overload_figures(one: OverloadResult) -> dict[str, str]:
    """Return the figures of a server by their names."""
    return {
        "calls that arrived a second": f"{one.rate:,.0f}",
        "completed work, of the closed load's": f"{one.goodput:.0%}",
        "the same in pixels": f"{one.goodput_pixels:.0%}",
        "the same for a CPU second": f"{one.goodput_cpu:.0%}",
        "with a result, of those admitted": f"{one.finished:.1%}",
        **{f"calls: {name}": f"{count:,}" for name, count in one.outcomes.items()},
        **{
            f"{size}: with a result": f"{counts['ok']:,} of {sum(counts.values()):,}"
            for size, counts in one.by_size.items()
        },
        "result p50, ms": milliseconds(one.ok["p50"]),
        "result p99, ms": milliseconds(one.ok["p99"]),
        "refusal p50, ms": milliseconds(one.refused["p50"]),
        "refusal p95, ms": milliseconds(one.refused["p95"]),
        "health p99, ms": milliseconds(one.health["p99"]),
        "sent late p99, ms": milliseconds(one.lag["p99"]),
        "MiB idle": mebibytes(one.memory.idle),
        "MiB at most": mebibytes(one.memory.peak),
        "MiB 10 s after": mebibytes(one.memory.settled),
        "killed": "yes" if one.memory.killed else "no",
        "cores: server": f"{one.server_cores:.2f}",
        "cores: load generator": f"{one.generator_cores:.2f}",
        "cores: others": f"{one.others_cores:.2f}",
    }


def attack_table(results: Sequence[AttackedResult]) -> Table:
    """Return a row for each kind of call that is held open."""
    table = record.table(
        "Calls that are held open, next to normal callers",
        ("calls",),
        (
            "number", "refused", "held", "ended by\nthe server", "first\nafter s", "last\nafter s",
            "normal calls/s\nbefore", "during", "MiB at\nmost",
        ),
        f"refused: by the server within {HELD_SECONDS:g} s; held: open for longer",
    )  # fmt: skip
    for result in results:
        for place, one in enumerate(result.attacks):
            normal = (f"{result.before_per_second:.1f}", f"{result.during_per_second:.1f}")
            table.add_row(
                one.name,
                str(one.count),
                str(one.refused),
                str(one.held),
                str(len(one.ends)),
                f"{one.ends[0]:.1f}" if one.ends else "-",
                f"{one.ends[-1]:.1f}" if one.ends else "-",
                *(normal if place == 0 else ("", "")),
                mebibytes(result.memory.peak) if place == 0 else "",
            )
    return table


def restart_line(one: RestartResult) -> str:
    """Return a line about a rolling restart."""
    return (
        f"Rolling restart of two servers: {one.calls:,} calls, {one.lost} lost, {one.wrong} wrong, "
        f"the longest {one.longest:.2f} s"
    )


def soak_line(one: SoakResult) -> str:
    """Return a line about many small calls."""
    return f"Soak: {one.calls:,} calls of 64 × 64 in {one.seconds:,.0f} s ({one.calls_per_second:.0f}/s), " + (
        "growth not measured" if one.growth is None else f"{one.growth / MIB:+.2f} MiB for 10,000 calls"
    )
