"""Output of `compressor footprint`: each step for people, full precision for programs."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from compressor.footprint import (
    Coefficient,
    Drivers,
    Estimate,
    Place,
    Profile,
    Range,
    Side,
    Term,
    breakeven,
    estimate,
    load,
)
from compressor.humanize import ENERGY_UNITS, MASS_UNITS, human_bytes, two_digits

if TYPE_CHECKING:
    from rich.console import Console

GIGABYTE = 1e9
NAME_WIDTH, NUMBER_WIDTH = 26, 9
NETWORK_TITLES = {"fixed": "fixed lines", "mobile": "4G"}
DISCLOSURE = (
    "Estimated, not measured. Model {version}, SHA-256 {sha256:.12}, profile {profile}.",
    "What was used is subtracted. Not included: client decoding, CDN copies, rebound.",
    "Not an offset: not deductible from scopes 1 to 3. See docs/methodology.md.",
)


@dataclass(frozen=True)
class WhatIf:
    """A case: the options, and the inputs of the model that they describe."""

    inputs: dict[str, Any]
    drivers: Drivers
    place: Place
    profile: Profile

    def balance(self) -> Estimate | None:
        """Return the estimate; None with the profile `off`."""
        return None if self.profile is Profile.OFF else estimate(self.drivers, self.place, self.profile)

    @property
    def grams(self) -> bool:
        """True if a grid is known, so that there is an estimate in grams."""
        return self.place.compute_grid is not None

    def break_even(self) -> tuple[Range, Range] | None:
        """Return the CPU seconds per GB saved, and the seconds of storage, at which the net by storage alone is 0.

        None if no storage is avoided.
        """
        saved, drivers = self.inputs["saved_bytes"], replace(self.drivers, unsent_bytes=None)
        if self.profile in (Profile.OFF, Profile.SWDM4) or (drivers.stored_byte_seconds or 0) <= 0:
            return None
        held = drivers.memory_byte_seconds / drivers.cpu_seconds if drivers.cpu_seconds else self.inputs["memory_bytes"]
        work = breakeven.cpu_seconds(drivers, self.place, self.profile, memory_bytes=held, grams=self.grams)
        retention = breakeven.retention_seconds(saved, drivers, self.place, self.profile, grams=self.grams)
        return None if retention is None else (work * (GIGABYTE / saved), retention)

    def notes(self) -> list[str]:
        """Return remarks on what the balance does not include."""
        found = []
        if self.inputs["downloads"] and self.inputs["network"] is None:
            found.append("downloads are not counted: --network is missing")
        if self.inputs["storage"] is None:
            found.append("no --storage: no credit for bytes that are not stored")
        if self.profile is Profile.CCF:
            found.append("ccf is for comparison: for inventories of AWS, without ranges")
        if self.profile is Profile.SWDM4:
            found.append("swdm4 is for comparison: average intensities, which don't fall with")
            found.append("the bytes sent; it does not include storage")
        if not self.inputs["cpu_seconds"]:
            found.append("0 CPU-seconds: compression always takes some; this balance is gross")
        if not self.grams:
            found.append("neither --region nor --grid: joules, but no grams")
        return found


def disclosure(balance: Estimate) -> list[str]:
    """Return the three lines that must accompany every figure."""
    return [line.format(version=balance.version, sha256=balance.sha256, profile=balance.profile) for line in DISCLOSURE]


# --- for programs -------------------------------------------------------------------------------------------------


def case_as_json(case: WhatIf) -> str:
    """Return one line of JSON in SI units. Figures are null with profile off, grams also without a grid."""
    balance = case.balance()
    model = load()
    record: dict[str, Any] = {
        "model": {"version": model.version, "sha256": model.sha256, "profile": case.profile},
        "inputs": {key: value for key, value in case.inputs.items() if value is not None and key != "json"},
        "drivers": {
            key: value
            for key, value in asdict(case.drivers).items()
            if value is not None and (key != "access" or case.drivers.unsent_bytes is not None)
        },
        "notes": case.notes(),
    }
    for side in Side:
        record[f"{side}_energy_joules"] = balance and bounds_record(balance.energy_joules(side))
        record[f"{side}_co2e_grams"] = balance and bounds_record(balance.co2e_grams(side))
    record["net_energy_joules"] = balance and bounds_record(balance.net_energy_joules)
    record["net_co2e_grams"] = balance and bounds_record(balance.net_co2e_grams)
    if balance is not None:
        used = {one.key: one for term in balance.terms for one in term.coefficients}
        cited = {key for one in used.values() for key in one.sources} & set(model.sources)
        record |= {
            "first": balance.first,
            "terms": {term.name: term_record(term) for term in balance.terms},
            "coefficients": {key: coefficient_record(one) for key, one in used.items()},
            "sources": {key: asdict(model.sources[key]) for key in sorted(cited)},
            "break_even": break_even_record(case),
            "disclosure": disclosure(balance),
        }
    return json.dumps(record, ensure_ascii=False)


def bounds_record(values: Range | None) -> dict[str, float] | None:
    return None if values is None else {"low": values.low, "central": values.central, "high": values.high}


def term_record(term: Term) -> dict[str, Any]:
    return {
        "side": term.side,
        "formula": term.formula,
        "coefficients": [one.key for one in term.coefficients],
        "energy_joules": bounds_record(term.energy_joules),
        "co2e_grams": bounds_record(term.co2e_grams),
    }


def coefficient_record(one: Coefficient) -> dict[str, Any]:
    """Return a coefficient, with the value of each bound, in `unit`, and its source."""
    return {key: value for key, value in asdict(one).items() if key != "key"}


def break_even_record(case: WhatIf) -> dict[str, Any] | None:
    found = case.break_even()
    if found is None:
        return None
    return {
        "of": "co2e_grams" if case.grams else "energy_joules",
        "cpu_seconds_per_gigabyte_saved": bounds_record(found[0]),
        "retention_seconds": bounds_record(found[1]),
    }


# --- for people ---------------------------------------------------------------------------------------------------


def show(console: "Console", case: WhatIf) -> None:
    """Print the inputs, each term with its coefficients, and the balance, in at most 80 columns."""
    for name, text in given(case):
        console.print(f"[dim]{name:9}[/]{text}")
    balance = case.balance()
    if balance is None:
        console.print("\nprofile off: nothing is estimated")
        return
    energy = unit_of((term.energy_joules for term in balance.terms), ENERGY_UNITS)
    mass = unit_of((term.co2e_grams for term in balance.terms), MASS_UNITS)
    for term in balance.terms:
        console.print(f"\n[bold]{term.name.replace('_', ' ')}[/], {term.side} = {term.formula}")
        heading(console, "  source")
        for one in term.coefficients:
            label = one.name if one.stated_unit == "1" else f"{one.name}, {one.stated_unit}"
            stated = (f"{bound.stated:{'.5g' if bound.stated >= 0.01 else '.3g'}}" for bound in one.bounds)
            console.print(f"[dim]{cells(label, stated)}  {', '.join(one.sources)}[/]")
        show_range(console, "energy", term.energy_joules, energy)
        show_range(console, "CO2e", term.co2e_grams, mass)
    totals(console, balance, energy, mass)
    show_break_even(console, case)
    console.print()
    for note in case.notes():
        console.print(f"[yellow]note[/]  {note}")
    console.print("[dim]The sources are listed in docs/methodology.md, and by --json.[/]")
    for line in disclosure(balance):
        console.print(f"[dim]{line}[/]")


def given(case: WhatIf) -> list[tuple[str, str]]:
    """Return the inputs in words."""
    inputs, drivers = case.inputs, case.drivers
    rows = [("saved", human_bytes(inputs["saved_bytes"]))]
    if inputs["storage"] is not None:
        added = inputs["added_bytes"]
        fate = "originals replaced" if added is None else f"originals kept, {human_bytes(added)} added"
        rows.append(("stored", f"on {inputs['storage']} for {inputs['retention_days']:,.9g} days, {fate}"))
    if inputs["network"] is not None:
        rows.append(("sent", f"{inputs['downloads']:,.9g} times over {NETWORK_TITLES[inputs['network']]}"))
    used = f"{inputs['cpu_seconds']:,.9g} CPU-seconds, {human_bytes(inputs['memory_bytes'])} of memory for "
    rows.append(("used", f"{used}{inputs['held_seconds']:,.9g} s"))
    if drivers.reserved_vcpu_seconds is None:
        rows.append(("on", "a shared node: no idle share"))
    else:
        rows.append(("on", f"{inputs['reserved_vcpus']:g} vCPU reserved for {inputs['reserved_seconds']:,.9g} s"))
    grid = case.place.compute_grid
    if grid is not None:
        year = f", {grid.central.year}" if grid.central.year else ""
        rows.append(
            ("grid", f"{grid.central.stated:g} g/kWh: {grid.what.removeprefix('intensity of the grid, ')}{year}")
        )
    return rows


def unit_of(found: Iterable[Range | None], units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    """Return the largest unit in which the largest figure is at least 1, for all of them, so that they compare."""
    largest = max((abs(value) for values in found if values is not None for value in values), default=0.0)
    return next((unit for unit in reversed(units) if largest >= unit[0]), units[0])


def cells(label: str, numbers: Iterable[str]) -> str:
    return f"  {label:{NAME_WIDTH - 2}}" + "".join(f"{number:>{NUMBER_WIDTH}}" for number in numbers)


def heading(console: "Console", last: str = "") -> None:
    console.print(f"[dim]{cells('', ('low', 'central', 'high'))}{last}[/]")


def show_range(console: "Console", label: str, values: Range | None, unit: tuple[float, str], style: str = "") -> None:
    """Print a line of two-digit figures, if there are any."""
    if values is None:
        return
    numbers = []
    for value in values:
        text = f"{two_digits(value / unit[0]):>{NUMBER_WIDTH}}"
        numbers.append(f"[red]{text}[/]" if value < 0 else f"[{style}]{text}[/]" if style else text)
    console.print(cells(f"{label}, {unit[1]}", ()) + "".join(numbers))


def totals(console: "Console", balance: Estimate, energy: tuple[float, str], mass: tuple[float, str]) -> None:
    console.print("\n[bold]net[/] = avoided − used; its low is the low of avoided − the high of used")
    heading(console)
    for side in Side:
        show_range(console, f"{side}, energy", balance.energy_joules(side), energy)
    show_range(console, "net, energy", balance.net_energy_joules, energy, "bold")
    for side in Side:
        show_range(console, f"{side}, CO2e", balance.co2e_grams(side), mass)
    show_range(console, "net, CO2e", balance.net_co2e_grams, mass, "bold")
    grams = balance.net_co2e_grams
    net, unit, of = (balance.net_energy_joules, energy, "") if grams is None else (grams, mass, " CO2e")
    first = two_digits(getattr(net, balance.first) / unit[0])
    low, high = (two_digits(value / unit[0]) for value in (net.low, net.high))
    console.print(f"\n[bold]Estimated net avoided: {first} {unit[1]}{of}[/] ({balance.profile}: {balance.first})")
    console.print(f"Range: {low} to {high} {unit[1]}{of}")


def show_break_even(console: "Console", case: WhatIf) -> None:
    found = case.break_even()
    if found is None:
        return
    unit = "CO2e" if case.grams else "energy"
    console.print(f"\n[bold]break-even[/]: on a shared node, storage alone makes the net {unit} 0 at")
    heading(console)
    console.print(cells("CPU-seconds per GB saved", map(two_digits, found[0])))
    console.print(cells("or days stored", (two_digits(value / 86400) for value in found[1])))
