"""The results of `savings` as figures and tables: cost per GB saved, break-even points and payback times."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from benchmarks.harness import record
from benchmarks.savings.measure import BY_NAME, DIFFERENCE_MAX, QUALITY, REFERENCE, ToolResult
from compressor.footprint import Drivers, Range, Side, breakeven, estimate, load, place
from compressor.humanize import two_digits

GB = 1e9
DAY = 86400.0
YEAR = 365 * DAY
REGION = "us"  # 383.55 g/kWh, Ember 2024: the grid of the worked example
STORAGE = "hdd-3az"
MEMORY_BYTES = 1e9  # of the break-even that CPU seconds are compared with; more than any tool takes
UTILIZATIONS = (1.0, 0.5, 0.1)  # busy shares of reserved vCPU-seconds; the rest is idle


@dataclass(frozen=True)
class CostPerGb:
    """The estimated cost of saving a GB. Days are those of storage until its net is 0; None: never.

    joules         energy used
    grams_running  CO2e of that energy
    grams          CO2e including the manufacture of servers
    days           by grams
    days_running   by joules
    year_grams     net per TB of originals whose saved bytes stay saved for a year
    """

    cpu_seconds: float
    joules: Range
    grams_running: Range
    grams: Range
    days: Range | None
    days_running: Range | None
    year_grams: Range


def cost_of(result: ToolResult, utilization: float = 1.0) -> CostPerGb | None:
    """Estimate the cost of a tool; None if it saves nothing.

    utilization  busy share of the reserved vCPU-seconds; 1: a shared node, without an idle share
    """
    if result.saved <= 0:
        return None
    where = place(REGION)
    seconds = GB * result.cpu_seconds_median / result.saved
    drivers = Drivers(
        seconds,
        memory_byte_seconds=seconds / utilization * result.peak_bytes,
        reserved_vcpu_seconds=None if utilization == 1 else seconds / utilization,
        stored_byte_seconds=GB * YEAR,
        storage_class=STORAGE,
    )
    balance = estimate(drivers, where)
    grams, net = balance.co2e_grams(Side.USED), balance.net_co2e_grams
    assert grams is not None and net is not None and where.compute_grid is not None
    joules = balance.energy_joules(Side.USED)
    days, running = (
        None if found is None else found * (1 / DAY)
        for found in (breakeven.retention_seconds(GB, drivers, where, grams=grams_) for grams_ in (True, False))
    )
    saved_of_tb = result.saved / result.bytes_in * 1e12 / GB
    year = Range(*(value * saved_of_tb for value in net))
    return CostPerGb(seconds, joules, joules * where.compute_grid.range, grams, days, running, year)


def break_even(days: float, *, grams: bool = False) -> Range:
    """Return the CPU seconds per GB saved at which the net of that many days of storage is 0, with 1 GB of memory."""
    drivers = Drivers(0.0, 0.0, stored_byte_seconds=GB * days * DAY, storage_class=STORAGE)
    return breakeven.cpu_seconds(drivers, place(REGION), memory_bytes=MEMORY_BYTES, grams=grams)


def cpu_seconds_per_additional_gb(results: Sequence[ToolResult]) -> dict[str, float | None]:
    """Return by tool the CPU seconds per GB that it saves in addition to the next cheaper tool.

    The cheapest tool is compared with doing nothing. None if another tool saves as much with no more CPU time.
    """
    found: dict[str, float | None] = {}
    seconds, saved = 0.0, 0
    for one in sorted(results, key=lambda one: (one.cpu_seconds_median, -one.saved)):
        if one.saved <= saved:
            found[one.tool] = None
            continue
        found[one.tool] = GB * (one.cpu_seconds_median - seconds) / (one.saved - saved)
        seconds, saved = one.cpu_seconds_median, one.saved
    return found


def tasks(results: Sequence[ToolResult]) -> list[list[ToolResult]]:
    """Return the results of lossy tools and of lossless tools, which are compared separately."""
    return [[one for one in results if BY_NAME[one.tool].lossless is lossless] for lossless in (False, True)]


def quality_mismatches(results: Sequence[ToolResult], metric: str) -> list[str]:
    """List the tools whose mean score differs from the reference's."""
    scores = {one.tool: one.score if metric == "ssimulacra2" else one.butteraugli for one in results}
    target = scores[REFERENCE]
    assert target is not None
    return [
        f"{one.tool}: {metric} is {score:.3f} at quality {one.quality}, not {target:.3f}"
        for one in results
        if (score := scores[one.tool]) is not None and abs(score - target) > DIFFERENCE_MAX[metric]
    ]


def as_json(results: Sequence[ToolResult]) -> dict[str, Any]:
    """Return the results and the estimates based on them, with the version of the model."""
    lines = []
    additional = {name: value for task in tasks(results) for name, value in cpu_seconds_per_additional_gb(task).items()}
    for one in results:
        costs = {f"{utilization:g}": cost_of(one, utilization) for utilization in UTILIZATIONS}
        lines.append(
            asdict(one)
            | {"cpu_seconds_per_additional_gb": additional[one.tool]}
            | {"per_gb_by_utilization": {key: None if cost is None else asdict(cost) for key, cost in costs.items()}}
        )
    return {
        "model": {"version": load().version, "sha256": load().sha256},
        "grid": REGION,
        "storage": STORAGE,
        "break_even_cpu_seconds": {
            f"{days} days, {'grams' if grams else 'joules'}": asdict(break_even(days, grams=grams))
            for days in (30, 365)
            for grams in (False, True)
        },
        "tools": lines,
    }


# --- tables -------------------------------------------------------------------------------------------------------


def tables(results: Sequence[ToolResult], files: int) -> list[Table]:
    """Return three tables: the measurements, the estimated use per GB saved, and the estimated return."""
    return [measured_table(results, files), used_table(results), return_table(results)]


def style_of(one: ToolResult) -> str:
    """Return the style of a row: bold for our tools."""
    return "bold" if BY_NAME[one.tool].ours else ""


def fixed(value: float | None, digits: int) -> str:
    """Format a value with that many decimals; "" for None."""
    return "" if value is None else f"{value:.{digits}f}"


def seconds_of(value: float) -> str:
    """Format seconds as an integer from 10 on, with a decimal below."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def measured_table(results: Sequence[ToolResult], files: int) -> Table:
    """Return the measurements of each tool."""
    table = record.table(
        f"Recompressing {files} camera JPEGs, {results[0].bytes_in / 1e6:.0f} MB, measured on one core",
        ("",),
        (
            "qual-\nity",
            "SSIMU-\nLACRA2",
            "butter-\naugli",
            "saved\n%",
            "CPU-s per\nGB read",
            "GB\nsaved",
            "±\n%",
            "add'l\nGB",
            "peak\nMB",
            "margin",
        ),
        f"Medians of {len(results[0].cpu_seconds)} rounds, ± half of their range; user and system time, warm, decoding "
        "included. Add'l GB: CPU-s per GB saved in addition to the next cheaper tool; -: another saves as much for "
        f"less. Margin: the break-even of a year, {two_digits(break_even(365).low)} CPU-s (conservative, in joules, "
        "1 GB of memory), divided by the CPU-s per GB saved.",
    )
    for task in tasks(results):
        additional = cpu_seconds_per_additional_gb(task)
        for one in task:
            cost, step = cost_of(one), additional[one.tool]
            span = (max(one.cpu_seconds) - min(one.cpu_seconds)) / 2 / one.cpu_seconds_median
            table.add_row(
                one.tool,
                "" if one.quality is None else str(one.quality),
                fixed(one.score, 2),
                fixed(one.butteraugli, 3),
                fixed(100 * one.saved / one.bytes_in, 1),
                seconds_of(GB * one.cpu_seconds_median / one.bytes_in),
                "never" if cost is None else seconds_of(cost.cpu_seconds),
                f"{100 * span:.0f}",
                "-" if step is None else seconds_of(step),
                f"{one.peak_bytes / 1e6:.0f}",
                "none" if cost is None else f"{two_digits(break_even(365).low / cost.cpu_seconds)}×",
                style=style_of(one),
            )
        table.add_section()
    return table


def triple(range_: Range | None, *, benefit: bool = False) -> str:
    """Format a range with the conservative bound first: the high of a cost or a time, the low of a benefit."""
    if range_ is None:
        return "never"
    return " / ".join(two_digits(value) for value in (range_ if benefit else reversed([*range_])))


def add_rows(table: Table, results: Sequence[ToolResult], cells: Callable[[CostPerGb], list[str]]) -> Table:
    """Add a row for each tool, and for the reference additional rows for partly idle reserved vCPUs."""
    for task in tasks(results):
        for one in task:
            for utilization in UTILIZATIONS if one.tool == REFERENCE else UTILIZATIONS[:1]:
                cost = cost_of(one, utilization)
                name = one.tool if utilization == 1 else f"  {100 * utilization:.0f} % busy"
                texts = ["never"] * len(table.columns[1:]) if cost is None else cells(cost)
                table.add_row(name, *texts, style=style_of(one) if utilization == 1 else "")
        table.add_section()
    return table


def used_table(results: Sequence[ToolResult]) -> Table:
    """Return the estimated energy and CO2e used per GB saved."""
    grid = load().regions[REGION]
    table = record.table(
        "Estimated use per GB saved: conservative / central / favorable",
        ("",),
        ("J", "mg CO2e,\noperation", "mg CO2e, with\nmanufacture"),
        f"Model {load().version}; {grid.what}, {grid.average.year}: {grid.average.stated:g} g/kWh (Ember). A shared "
        "node without an idle share; the rows with a busy share assume a reserved vCPU.",
    )

    def cells(cost: CostPerGb) -> list[str]:
        return [triple(cost.joules), triple(cost.grams_running * 1e3), triple(cost.grams * 1e3)]

    return add_rows(table, results, cells)


def return_table(results: Sequence[ToolResult]) -> Table:
    """Return the estimated payback times, and the net of a year."""
    table = record.table(
        "Estimated return by storage alone: conservative / central / favorable",
        ("",),
        (
            "payback in days,\noperation (joules)",
            "payback in days,\nwith manufacture (grams)",
            "net g per year and\nTB of originals",
        ),
        f"Storage on {STORAGE}, originals deleted; downloads are not counted. Payback: days of storage until the net "
        "is 0.",
    )

    def cells(cost: CostPerGb) -> list[str]:
        return [triple(cost.days_running), triple(cost.days), triple(cost.year_grams, benefit=True)]

    return add_rows(table, results, cells)


def headline(results: Sequence[ToolResult]) -> str:
    """Summarize the reference: its CPU time, the break-even of a year and of a month, and its additional savings."""
    reference = next(one for one in results if one.tool == REFERENCE)
    cost, additional = cost_of(reference), cpu_seconds_per_additional_gb(tasks(results)[0])[REFERENCE]
    if cost is None or cost.days is None:
        return f"{REFERENCE} saves nothing: it never pays"
    year, month = break_even(365), break_even(30)
    lines = [
        f"{REFERENCE} at quality {QUALITY} takes {seconds_of(cost.cpu_seconds)} CPU-s to save a GB. The break-even of "
        f"a year is {two_digits(year.low)} (central {two_digits(year.central)}), of 30 days {two_digits(month.low)} "
        f"({two_digits(month.central)}).",
        f"It pays after {two_digits(cost.days.high)} days (central {two_digits(cost.days.central)}, favorable "
        f"{two_digits(cost.days.low)}), with the manufacture of servers.",
    ]
    if additional is not None:
        limit = break_even(365, grams=True).low
        lines.append(
            f"Its additional savings over the next cheaper tool take {seconds_of(additional)} CPU-s per GB: "
            f"{'below' if additional <= limit else 'above'} the break-even of a year with manufacture, "
            f"{two_digits(limit)}."
        )
    return "\n".join(f"[bold]{line}[/]" for line in lines)
