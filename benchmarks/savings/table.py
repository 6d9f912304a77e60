"""What `savings` measured, in figures: for a GB saved, against the break-even, as joules and grams, and as days."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from benchmarks.harness import record
from benchmarks.savings.measure import ANCHOR, BY_NAME, OFF_MAX, QUALITY, Reading
from compressor.footprint import Drivers, Range, Side, breakeven, estimate, load, place
from compressor.humanize import two_digits

GB = 1e9
DAY = 86400.0
YEAR = 365 * DAY
REGION = "us"  # 383.55 g/kWh, Ember 2024: the grid of the worked example
STORAGE = "hdd-3az"
HELD = 1e9  # bytes of memory in the break-even that CPU seconds are compared with: more than any of these takes
BUSY_SHARES = (1.0, 0.5, 0.1)  # of reserved vCPU-seconds: what else there is, is idle share


@dataclass(frozen=True)
class Cost:
    """Of saving a GB. Ranges are the model's; days are until the net by storage alone is 0.

    joules, grams_running  used
    grams                  used, with manufacture of servers
    days                   with it, in grams; None: never
    days_running           without it, in joules; None: never
    year_grams             net of a TB of originals whose saved bytes stay saved for a year
    """

    cpu_seconds: float
    joules: Range
    grams_running: Range
    grams: Range
    days: Range | None
    days_running: Range | None
    year_grams: Range


def cost_of(reading: Reading, busy: float = 1.0) -> Cost | None:
    """None where nothing was saved: no time pays for that.

    busy  share of the reserved vCPU-seconds that were worked; 1: a shared node, without an idle share
    """
    if reading.saved <= 0:
        return None
    where = place(REGION)
    seconds = GB * reading.cpu_seconds_median / reading.saved
    drivers = Drivers(
        seconds,
        memory_byte_seconds=seconds / busy * reading.peak_bytes,
        reserved_vcpu_seconds=None if busy == 1 else seconds / busy,
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
    saved_of_tb = reading.saved / reading.bytes_in * 1e12 / GB
    year = Range(*(value * saved_of_tb for value in net))
    return Cost(seconds, joules, joules * where.compute_grid.range, grams, days, running, year)


def break_even(days: float, *, grams: bool = False) -> Range:
    """CPU seconds for a GB saved at which the net of so many days of storage is 0, with 1 GB of memory held."""
    drivers = Drivers(0.0, 0.0, stored_byte_seconds=GB * days * DAY, storage_class=STORAGE)
    return breakeven.cpu_seconds(drivers, place(REGION), memory_bytes=HELD, grams=grams)


def further(readings: Sequence[Reading]) -> dict[str, float | None]:
    """By tool the CPU seconds for each GB that it saves beyond the next cheaper tool; None where that makes no sense.

    That is where another takes no more CPU time and saves as much. The cheapest is compared with doing nothing.
    """
    found: dict[str, float | None] = {}
    seconds, saved = 0.0, 0
    for one in sorted(readings, key=lambda one: (one.cpu_seconds_median, -one.saved)):
        if one.saved <= saved:
            found[one.tool] = None
            continue
        found[one.tool] = GB * (one.cpu_seconds_median - seconds) / (one.saved - saved)
        seconds, saved = one.cpu_seconds_median, one.saved
    return found


def tasks(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Those that lose something, and lossless ones: each is compared with its like."""
    return [[one for one in readings if BY_NAME[one.tool].lossless is exact] for exact in (False, True)]


def off_target(readings: Sequence[Reading], metric: str) -> list[str]:
    """Tools whose look is not equal to the anchor's."""
    looks = {one.tool: one.score if metric == "ssimulacra2" else one.butteraugli for one in readings}
    target = looks[ANCHOR]
    assert target is not None
    return [
        f"{one.tool}: {metric} is {look:.3f} at quality {one.quality}, not {target:.3f}"
        for one in readings
        if (look := looks[one.tool]) is not None and abs(look - target) > OFF_MAX[metric]
    ]


def as_json(readings: Sequence[Reading]) -> dict[str, Any]:
    """Readings, and all that was computed of them, with the model that did."""
    lines = []
    steps = {name: value for task in tasks(readings) for name, value in further(task).items()}
    for one in readings:
        costs = {f"{busy:g}": cost_of(one, busy) for busy in BUSY_SHARES}
        lines.append(
            asdict(one)
            | {"cpu_seconds_for_a_further_gb": steps[one.tool]}
            | {"for_a_gb_by_busy_share": {busy: None if cost is None else asdict(cost) for busy, cost in costs.items()}}
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


def tables(readings: Sequence[Reading], files: int) -> list[Table]:
    """What was measured; what is estimated from it: used for a GB, and when that pays."""
    return [measured_table(readings, files), used_table(readings), return_table(readings)]


def style_of(one: Reading) -> str:
    return "bold" if BY_NAME[one.tool].ours else ""


def fixed(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def seconds_of(value: float) -> str:
    """As whole ones, but for few."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def measured_table(readings: Sequence[Reading], files: int) -> Table:
    table = record.table(
        f"Saving bytes of {files} camera JPEGs, {readings[0].bytes_in / 1e6:.0f} MB, measured on one core",
        ("",),
        (
            "qual-\nity",
            "SSIMU-\nLACRA2",
            "butter-\naugli",
            "saved\n%",
            "CPU-s for\na GB read",
            "a GB\nsaved",
            "±\n%",
            "further\nGB",
            "peak\nMB",
            "margin",
        ),
        f"Medians of {len(readings[0].cpu_seconds)} rounds, ± half of their span; user and system time, warm, decoding "
        "included. Further GB: CPU-s for each beyond the next cheaper tool; -: another takes less and saves as much. "
        f"Margin: how often a GB saved fits into the break-even of a year, {two_digits(break_even(365).low)} CPU-s "
        "(conservative, in joules, 1 GB of memory held).",
    )
    for task in tasks(readings):
        steps = further(task)
        for one in task:
            cost, step = cost_of(one), steps[one.tool]
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
    """Conservative first: of a cost or a time the high, of a benefit the low."""
    if range_ is None:
        return "never"
    return " / ".join(two_digits(value) for value in (range_ if benefit else reversed([*range_])))


def add_lines(table: Table, readings: Sequence[Reading], cells: Callable[[Cost], list[str]]) -> Table:
    """A line for each tool, and for the anchor one more for each share of a reserved vCPU that was busy."""
    for task in tasks(readings):
        for one in task:
            for busy in BUSY_SHARES if one.tool == ANCHOR else BUSY_SHARES[:1]:
                cost = cost_of(one, busy)
                name = one.tool if busy == 1 else f"  {100 * busy:.0f} % busy"
                texts = ["never"] * len(table.columns[1:]) if cost is None else cells(cost)
                table.add_row(name, *texts, style=style_of(one) if busy == 1 else "")
        table.add_section()
    return table


def used_table(readings: Sequence[Reading]) -> Table:
    grid = load().regions[REGION]
    table = record.table(
        "Estimated use for a GB saved: conservative / central / favourable",
        ("",),
        ("J", "mg CO2e to run", "and with servers made"),
        f"Model {load().version}; {grid.what}, {grid.average.year}: {grid.average.stated:g} g/kWh (Ember). A shared "
        "node, without an idle share, but where it says which share of a reserved vCPU's time was busy.",
    )

    def cells(cost: Cost) -> list[str]:
        return [triple(cost.joules), triple(cost.grams_running * 1e3), triple(cost.grams * 1e3)]

    return add_lines(table, readings, cells)


def return_table(readings: Sequence[Reading]) -> Table:
    table = record.table(
        "Estimated return by storage alone: conservative / central / favourable",
        ("",),
        (
            "days until it pays,\nrunning (joules)",
            "days until it pays,\nservers made (grams)",
            "net g of a year\na TB of originals",
        ),
        f"On {STORAGE}, originals deleted; no downloads counted. Days are of storage, until its net is 0.",
    )

    def cells(cost: Cost) -> list[str]:
        return [triple(cost.days_running), triple(cost.days), triple(cost.year_grams, benefit=True)]

    return add_lines(table, readings, cells)


def headline(readings: Sequence[Reading]) -> str:
    """The anchor's CPU time against the break-even of a year and of a month, and for what it saves beyond others."""
    anchor = next(one for one in readings if one.tool == ANCHOR)
    cost, step = cost_of(anchor), further(tasks(readings)[0])[ANCHOR]
    if cost is None or cost.days is None:
        return f"{ANCHOR} saves nothing: it never pays"
    year, month = break_even(365), break_even(30)
    lines = [
        f"{ANCHOR} at quality {QUALITY} takes {seconds_of(cost.cpu_seconds)} CPU-s to save a GB. Break-even of a year: "
        f"{two_digits(year.low)} (central {two_digits(year.central)}), of 30 days: {two_digits(month.low)} "
        f"({two_digits(month.central)}).",
        f"It pays from day {two_digits(cost.days.high)} on (central {two_digits(cost.days.central)}, favourable "
        f"{two_digits(cost.days.low)}), servers' manufacture included.",
    ]
    if step is not None:
        made = break_even(365, grams=True).low
        lines.append(
            f"What it saves beyond the next cheaper tool takes {seconds_of(step)} CPU-s a GB: "
            f"{'within' if step <= made else 'beyond'} that of a year with servers' manufacture, {two_digits(made)}."
        )
    return "\n".join(f"[bold]{line}[/]" for line in lines)
