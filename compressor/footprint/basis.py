"""The basis of estimates: what the operator of a long-running process states once."""

import datetime
from dataclasses import dataclass
from functools import cached_property

from compressor.errors import SettingsError
from compressor.footprint.coefficients import BOUNDS, Coefficient, load
from compressor.footprint.model import ACCESSES, STORAGE_CLASSES, Drivers, Estimate, Side, estimate
from compressor.footprint.place import Place, Profile, place
from compressor.footprint.ranges import Range
from compressor.settings import Bounds, Footprint

UNIT_WORDS = {
    "1": "ratio",
    "J/B": "joules_per_byte",
    "W/B": "watts_per_byte",
    "W/vCPU": "watts_per_vcpu",
    "g/(vCPU s)": "grams_per_vcpu_second",
    "g/(B s)": "grams_per_byte_second",
    "g/J": "grams_per_joule",
}
GB_YEAR = 1e9 * 8760 * 3600.0
SOURCE_TIME = "compressor_coefficient_source_timestamp_seconds"


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The settings of all estimates of a process.

    profile             None: conservative if originals are replaced in a known storage class, else off
    storage_class       one of STORAGE_CLASSES; savings there are credited only if `originals_deleted`
    originals_deleted   originals are deleted once their results exist, including versions, replicas and backups
    network             one of ACCESSES: the access network of counted downloads; None: no network term
    region              key of a region or a grid; without it and `grid_grams_per_kwh`, joules but no grams
    reserved_vcpus      vCPUs reserved for this alone, idle or not; None: a shared node, no idle share
    """

    profile: Profile | None = None
    storage_class: str | None = None
    originals_deleted: bool = False
    network: str | None = None
    region: str | None = None
    grid_grams_per_kwh: float | None = None
    reserved_vcpus: float | None = None

    def __post_init__(self) -> None:
        if self.storage_class is not None and self.storage_class not in STORAGE_CLASSES:
            raise SettingsError("storage", f"is {self.storage_class!r}, must be one of {', '.join(STORAGE_CLASSES)}")
        if self.network is not None and self.network not in ACCESSES:
            raise SettingsError("network", f"is {self.network!r}, must be one of {', '.join(ACCESSES)}")
        if self.originals_deleted and self.storage_class is None:
            raise SettingsError("originals_deleted", "needs storage: the storage class of the originals")
        if self.reserved_vcpus is not None and not 0 < self.reserved_vcpus < float("inf"):
            raise SettingsError("reserved_vcpus", f"is {self.reserved_vcpus:g}, must be more than 0")
        _ = self.place

    @property
    def effective_profile(self) -> Profile:
        """Return the profile, or the default that the other settings imply."""
        if self.profile is not None:
            return self.profile
        return Profile.CONSERVATIVE if self.originals_deleted else Profile.OFF

    @property
    def is_off(self) -> bool:
        return self.effective_profile is Profile.OFF

    @cached_property
    def place(self) -> Place:
        return place(self.region, self.grid_grams_per_kwh, self.profile or Profile.CONSERVATIVE)

    def estimate(self, drivers: Drivers) -> Estimate:
        """Return the balance; SettingsError if the profile is off."""
        return estimate(drivers, self.place, self.effective_profile)

    def footprint_of(self, cpu_seconds: float, memory_byte_seconds: float) -> Footprint | None:
        """Return the footprint of a report: what its work used, and what a saved gigabyte would avoid in a year.

        Without configuration it is a scenario: the conservative profile, and the storage class of most buckets. None
        if `profile` is off.
        """
        profile = self.profile or Profile.CONSERVATIVE
        if profile is Profile.OFF:
            return None
        storage = self.storage_class or STORAGE_CLASSES[0]
        drivers = Drivers(cpu_seconds, memory_byte_seconds, stored_byte_seconds=GB_YEAR, storage_class=storage)
        balance = estimate(drivers, self.place, profile)
        return Footprint(
            profile=profile.value,
            model=balance.version,
            used_energy_joules=_bounds(balance.energy_joules(Side.USED)),
            used_co2e_grams=_bounds_or_none(balance.co2e_grams(Side.USED)),
            storage_class=storage,
            avoided_energy_joules_per_gb_year=_bounds(balance.energy_joules(Side.AVOIDED)),
            avoided_co2e_grams_per_gb_year=_bounds_or_none(balance.co2e_grams(Side.AVOIDED)),
        )

    def coefficients(self) -> dict[str, Coefficient]:
        """Return the coefficients that estimates on this basis use, by their key."""
        whole = Drivers(
            1.0,
            1.0,
            reserved_vcpu_seconds=None if self.reserved_vcpus is None else 1.0,
            stored_byte_seconds=1.0 if self.originals_deleted else None,
            storage_class=self.storage_class or STORAGE_CLASSES[0],
            unsent_bytes=None if self.network is None else 1.0,
            access=self.network or ACCESSES[0],
        )
        found = {one.key: one for term in self.estimate(whole).terms for one in term.coefficients}
        return {name: one for name, one in found.items() if one.key != "grid"}

    def gauges(self) -> list[tuple[str, str, float, dict[str, str]]]:
        """Return the coefficients, the grid and the age of their sources as gauges: name, text, value, labels."""
        model = load()
        found: list[tuple[str, str, float, dict[str, str]]] = []
        for key, one in self.coefficients().items():
            for name, bound in zip(BOUNDS, one.bounds, strict=True):
                text = f"Coefficient of the estimates: {one.what}; {name}."
                found.append((f"compressor_coefficient_{key}_{name}_{UNIT_WORDS[one.unit]}", text, bound.value, {}))
        if (grid := self.place.compute_grid) is not None:
            text = "Intensity of the grid, annual average of the location."
            zone = {"zone": "given" if self.region is None or self.grid_grams_per_kwh is not None else self.region}
            found.append(("compressor_grid_intensity_grams_per_joule", text, grid.central.value, zone))
        text = "Unix time of the end of the year of a coefficient's oldest source."
        for key, one in self.coefficients().items():
            year = min(bound.year or model.sources[bound.source].year for bound in one.bounds)
            found.append((SOURCE_TIME, text, _year_end(year), {"coefficient": key}))
        text = "Unix time when the sources were last checked for newer numbers."
        found.append(("compressor_methodology_reviewed_timestamp_seconds", text, _timestamp(model.reviewed), {}))
        return found

    def info(self) -> dict[str, str]:
        """Return the labels of compressor_methodology_info."""
        model, grid = load(), self.place.compute_grid
        bound = None if grid is None else grid.central
        known = None if bound is None else model.sources.get(bound.source)
        year = "" if bound is None or known is None else str(bound.year or known.year)
        return {
            "version": model.version,
            "sha256": model.sha256,
            "profile": self.effective_profile.value,
            "region": self.region or "",
            "ci_source": "" if bound is None else bound.source,
            "ci_year": year,
            "ci_kind": "" if bound is None else "average",
            "network_term": self.network or "off",
            "originals_deleted": str(self.originals_deleted).lower(),
        }


def amounts(balance: Estimate) -> dict[tuple[str, str, str], Range]:
    """Return the terms of a balance by side, quantity (energy in joules, co2e in grams) and component."""
    found: dict[tuple[str, str, str], Range] = {}
    for term in balance.terms:
        if term.energy_joules is not None:
            found[term.side.value, "energy", term.name] = term.energy_joules
        if term.co2e_grams is not None:
            found[term.side.value, "co2e", term.name] = term.co2e_grams
    return found


def _bounds(found: Range) -> Bounds:
    return Bounds(*found)


def _bounds_or_none(found: Range | None) -> Bounds | None:
    return None if found is None else Bounds(*found)


def _year_end(year: int) -> float:
    return _timestamp(datetime.date(year, 12, 31))


def _timestamp(day: datetime.date) -> float:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
