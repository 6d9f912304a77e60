"""What the estimates of energy and carbon depend on: a tornado of the inputs, and break-evens. Nothing is measured."""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import record
from compressor.footprint import Drivers, Model, Profile, Range, breakeven, estimate, load, place, stored_byte_seconds

GB = 1e9
DAY = 86400.0
GRID = 383.55  # g/kWh: United States, 2024
CPU_SECONDS, MEMORY_BYTES = 60.0, 1e9  # for a GB saved
DAYS, DOWNLOADS = 365.0, 10.0
# Those of the base case, and how the figure calls them.
COEFFICIENTS = {
    "copies_3az": "stored copies",
    "storage_hdd": "power of disks, W/TB",
    "pue_benefit": "PUE on benefits",
    "network_fixed": "network, kWh/GB",
    "cpu_max": "busy vCPU, W",
    "memory": "memory, W/GB",
    "server_embodied": "servers, g/vCPU-h",
    "pue_cost": "PUE on costs",
}
NETWORK_ONLY = {"network_fixed"}
INPUTS = {  # what a user sets or measures: (low, high)
    "days stored": (30.0, 365.0),
    "grid, g/kWh": (44.18, 708.96),  # France and India
    "CPU-seconds a GB saved": (20.0, 600.0),
}


@dataclass(frozen=True)
class Bar:
    """Net grams when one input is at its low and at its high, and all others are central."""

    name: str
    low: float
    high: float
    net_at_low: float
    net_at_high: float

    @property
    def swing(self) -> float:
        return abs(self.net_at_high - self.net_at_low)


def net_grams(
    network: bool,
    days: float = DAYS,
    grid: float = GRID,
    cpu_seconds: float = CPU_SECONDS,
    model: Model | None = None,
) -> Range:
    """Of the base case: 1 GB saved on hdd-3az, by CPU time of a shared node; with or without downloads."""
    drivers = Drivers(
        cpu_seconds,
        cpu_seconds * MEMORY_BYTES,
        stored_byte_seconds=stored_byte_seconds(GB, days * DAY, originals_deleted=True),
        unsent_bytes=DOWNLOADS * GB if network else None,
    )
    net = estimate(drivers, place(grid_grams_per_kwh=grid, model=model), model=model).net_co2e_grams
    assert net is not None  # there is a grid
    return net


def sensitivity(network: bool) -> list[Bar]:
    """A bar an input, the widest first."""
    model = load()
    bars = []
    for key, name in COEFFICIENTS.items():
        one = model.coefficients[key]
        if key in NETWORK_ONLY and not network:
            continue
        low, high = (
            net_grams(
                network, model=dataclasses.replace(model, coefficients={**model.coefficients, key: one.at(bound)})
            )
            for bound in (one.low, one.high)
        )
        bars.append(Bar(name, one.low.stated, one.high.stated, low.central, high.central))
    vary: list[tuple[str, Callable[[float], Range]]] = [
        ("days stored", lambda value: net_grams(network, days=value)),
        ("grid, g/kWh", lambda value: net_grams(network, grid=value)),
        ("CPU-seconds a GB saved", lambda value: net_grams(network, cpu_seconds=value)),
    ]
    for name, net_of in vary:
        least, most = INPUTS[name]
        bars.append(Bar(name, least, most, net_of(least).central, net_of(most).central))
    return sorted(bars, key=lambda bar: -bar.swing)


def break_evens() -> dict[tuple[float, bool], Range]:
    """CPU-seconds for a GB saved at which the net by storage alone is 0, by days stored and whether in grams."""
    where = place(grid_grams_per_kwh=GRID)
    found = {}
    for days in (30.0, 365.0):
        drivers = Drivers(0, 0, stored_byte_seconds=GB * days * DAY)
        for grams in (False, True):
            found[days, grams] = breakeven.cpu_seconds(
                drivers, where, Profile.CONSERVATIVE, memory_bytes=MEMORY_BYTES, grams=grams
            )
    return found


def options(words: Sequence[str]) -> argparse.Namespace:
    """The command line of this benchmark, without what all of them take."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks footprint")
    parser.add_argument("--page", type=Path, help="write the tables into this page, between their marks")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Compute, show, keep, draw."""
    from benchmarks.footprint import plot, tables

    chosen = options(words)
    bars = {"storage": sensitivity(False), "storage and network": sensitivity(True)}
    results = {
        "model": {"version": load().version, "sha256": load().sha256},
        "sensitivity": {name: [asdict(bar) for bar in found] for name, found in bars.items()},
        "break_evens": [
            {"days": days, "of": "grams" if grams else "joules", "cpu_seconds": asdict(found)}
            for (days, grams), found in break_evens().items()
        ],
    }
    path = record.save(out, "footprint", results)
    centres = {name: net_grams(name != "storage").central for name in bars}
    picture = plot.draw(bars, centres, path.with_suffix(".png"))
    if chosen.page is not None:
        chosen.page.write_text(tables.filled(chosen.page.read_text()))
    print(tables.sensitivity_table(), tables.break_even_table(), path, picture, sep="\n")
    return True
