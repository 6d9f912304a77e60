"""Sensitivity of the estimated net CO2e to each input, and break-even points."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from compressor.footprint import Drivers, Model, Profile, Range, breakeven, estimate, load, place, stored_byte_seconds

GB = 1e9
DAY = 86400.0
GRID = 383.55  # g/kWh: United States, 2024
CPU_SECONDS, MEMORY_BYTES = 60.0, 1e9  # per GB saved
DAYS, DOWNLOADS = 365.0, 10.0
# The coefficients of the base case and their labels.
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
    "CPU-s per GB saved": (20.0, 600.0),
}


@dataclass(frozen=True)
class Bar:
    """The net grams with one input at its low and at its high value, and all others central."""

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
    """Estimate the base case: 1 GB saved on hdd-3az with CPU time of a shared node; with or without downloads."""
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
    """Return a bar for each input, the widest first."""
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
    varied: list[tuple[str, Callable[[float], Range]]] = [
        ("days stored", lambda value: net_grams(network, days=value)),
        ("grid, g/kWh", lambda value: net_grams(network, grid=value)),
        ("CPU-s per GB saved", lambda value: net_grams(network, cpu_seconds=value)),
    ]
    for name, estimate_with in varied:
        lowest, highest = INPUTS[name]
        bars.append(Bar(name, lowest, highest, estimate_with(lowest).central, estimate_with(highest).central))
    return sorted(bars, key=lambda bar: -bar.swing)


def break_evens() -> dict[tuple[float, bool], Range]:
    """Return the CPU seconds per GB saved at which the net of storage alone is 0, by (days stored, in grams)."""
    where = place(grid_grams_per_kwh=GRID)
    found = {}
    for days in (30.0, 365.0):
        drivers = Drivers(0, 0, stored_byte_seconds=GB * days * DAY)
        for grams in (False, True):
            found[days, grams] = breakeven.cpu_seconds(
                drivers, where, Profile.CONSERVATIVE, memory_bytes=MEMORY_BYTES, grams=grams
            )
    return found
