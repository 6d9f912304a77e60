"""Break-even points: the work that a saving is worth, and the time that it must last."""

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
    """Return the CPU seconds at which the net of `drivers` is 0 on a shared node; their own work is ignored.

    memory_bytes  memory held while the CPU works
    grams         break-even in grams of CO2e, including embodied servers; else in joules

    low is with benefits at low and costs at high. 0 if nothing is avoided, because no work pays then.
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
    """Return how long `saved_bytes` must be stored in `drivers.storage_class` to compensate for the work of `drivers`.

    The bytes of `drivers` are ignored. low is the shortest time (benefits at high, costs at low). None if no time is
    long enough.
    """
    if saved_bytes <= 0:
        return None
    storage = Drivers(0.0, 0.0, stored_byte_seconds=saved_bytes, storage_class=drivers.storage_class)
    gained = _net(storage, place, profile, grams, model)
    work = replace(drivers, stored_byte_seconds=None, unsent_bytes=None)
    return None if gained.low <= 0 else _ratio(_used(work, place, profile, grams, model), gained)


NO_WORK: dict[str, Any] = {"cpu_seconds": 0.0, "memory_byte_seconds": 0.0, "reserved_vcpu_seconds": None}


def _ratio(numerator: Range, denominator: Range) -> Range:
    """Divide ranges: low is the lowest quotient and high the highest; 0 for a negative numerator."""
    pairs = zip(numerator, (denominator.high, denominator.central, denominator.low), strict=True)
    return Range(*(max(0.0, value) / by for value, by in pairs))


def _net(drivers: Drivers, place: Place, profile: Profile, grams: bool, model: Model | None) -> Range:
    balance = estimate(drivers, place, profile, model=model)
    return _require_grid(balance.net_co2e_grams) if grams else balance.net_energy_joules


def _used(drivers: Drivers, place: Place, profile: Profile, grams: bool, model: Model | None) -> Range:
    balance = estimate(drivers, place, profile, model=model)
    return _require_grid(balance.co2e_grams(Side.USED)) if grams else balance.energy_joules(Side.USED)


def _require_grid(grams: Range | None) -> Range:
    if grams is None:
        raise SettingsError("grid", "is not given: a break-even in grams needs one")
    return grams
