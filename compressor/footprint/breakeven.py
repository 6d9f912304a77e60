"""From where on saving pays: how much work a saving is worth, and how long it must last."""

from dataclasses import replace
from typing import Any

from compressor.errors import SettingsError
from compressor.footprint.coefficients import Model
from compressor.footprint.model import Drivers, Side, estimate
from compressor.footprint.place import Place, Profile
from compressor.footprint.ranges import Range


def cpu_seconds(
    drivers: Drivers,
    place: Place,
    profile: Profile = Profile.CONSERVATIVE,
    *,
    memory_bytes: float,
    grams: bool,
    model: Model | None = None,
) -> Range:
    """CPU seconds at which the net of what `drivers` avoid is 0, on a shared node; what they say of work is not read.

    memory_bytes  held for as long as the CPU works
    grams         of CO2e, with embodied servers; else of joules

    low is with benefits at low and costs at high. 0 where nothing is avoided: no work pays then.
    """
    gained = _net(replace(drivers, **NO_WORK), place, profile, grams, model)
    second = Drivers(cpu_seconds=1.0, memory_byte_seconds=memory_bytes)
    return _ratio(gained, _used(second, place, profile, grams, model))


def retention_seconds(
    saved_bytes: float,
    drivers: Drivers,
    place: Place,
    profile: Profile = Profile.CONSERVATIVE,
    *,
    grams: bool,
    model: Model | None = None,
) -> Range | None:
    """How long saved bytes must stay saved in `drivers.storage_class` until the work of `drivers` is paid back.

    What they say of bytes is not read. low is the shortest time (benefits at high, costs at low). None where no time
    is long enough.
    """
    if saved_bytes <= 0:
        return None
    storage = Drivers(0.0, 0.0, stored_byte_seconds=saved_bytes, storage_class=drivers.storage_class)
    gained = _net(storage, place, profile, grams, model)
    work = replace(drivers, stored_byte_seconds=None, unsent_bytes=None)
    return None if gained.low <= 0 else _ratio(_used(work, place, profile, grams, model), gained)


NO_WORK: dict[str, Any] = {"cpu_seconds": 0.0, "memory_byte_seconds": 0.0, "reserved_vcpu_seconds": None}


def _ratio(above: Range, below: Range) -> Range:
    """From the least over the most to the most over the least; 0 where what is above is negative."""
    pairs = zip(above, (below.high, below.central, below.low), strict=True)
    return Range(*(max(0.0, value) / by for value, by in pairs))


def _net(drivers: Drivers, place: Place, profile: Profile, grams: bool, model: Model | None) -> Range:
    balance = estimate(drivers, place, profile, model=model)
    return _known(balance.net_co2e_grams) if grams else balance.net_energy_joules


def _used(drivers: Drivers, place: Place, profile: Profile, grams: bool, model: Model | None) -> Range:
    balance = estimate(drivers, place, profile, model=model)
    return _known(balance.co2e_grams(Side.USED)) if grams else balance.energy_joules(Side.USED)


def _known(grams: Range | None) -> Range:
    if grams is None:
        raise SettingsError("grid", "is not given: a break-even in grams needs one")
    return grams
