"""The balance of what saved bytes avoid and what saving them used, in joules and in grams of CO2e.

    E_storage  = saved byte-seconds × copies × p_storage × PUE
    E_network  = saved bytes × downloads × e_network                     marginal; counted downloads only
    E_cpu      = CPU seconds × P_max × PUE
    E_idle     = (reserved vCPU-seconds − CPU seconds) × P_min × PUE     of vCPU reserved for this (SCI, "E")
    E_memory   = byte-seconds of memory × p_memory × PUE
    C          = E × grid intensity
    M_server   = reserved vCPU-seconds, else CPU seconds, × m_vcpu       embodied (SCI, "M")
    net        = avoided − used; low: avoided at low − used at high; high: the other way around

Software Carbon Intensity (ISO/IEC 21031:2024): reserved capacity counts like used capacity, intensities are
location-based, and there are no offsets. ITU-T L.1480: the avoided amount is the difference to what would have been
stored and sent, minus our own footprint. It is reported next to an inventory of scopes 1 to 3, never within it. The
functions are pure and use SI units; every term names its coefficients, and these name their sources.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from compressor.errors import SettingsError
from compressor.footprint.coefficients import Coefficient, Model, load
from compressor.footprint.place import Place, Profile
from compressor.footprint.ranges import ZERO, Range

STORAGE_CLASSES = tuple(f"{medium}-{zones}" for medium in ("hdd", "ssd") for zones in ("3az", "1az"))
ACCESSES = ("fixed", "mobile")


class Side(StrEnum):
    """The side of the balance that a term is on. Amounts are never negative: a loss is a term of USED."""

    AVOIDED = "avoided"
    USED = "used"


@dataclass(frozen=True)
class Drivers:
    """The measured, or assumed, inputs of an estimate: everything but the coefficients.

    cpu_seconds, memory_byte_seconds   work and memory that saving used; required
    reserved_vcpu_seconds              vCPU × time reserved for this, idle or not; None: a shared node, no idle share
    stored_byte_seconds                from `stored_byte_seconds`; negative if more is stored; None: no storage term
    storage_class                      one of STORAGE_CLASSES
    unsent_bytes                       saved bytes × counted downloads; negative if more is sent; None: no network term
    access                             one of ACCESSES: the access network of the downloads
    """

    cpu_seconds: float
    memory_byte_seconds: float
    reserved_vcpu_seconds: float | None = None
    stored_byte_seconds: float | None = None
    storage_class: str = "hdd-3az"
    unsent_bytes: float | None = None
    access: str = "fixed"

    def __post_init__(self) -> None:
        if self.cpu_seconds < 0 or self.memory_byte_seconds < 0:
            raise SettingsError("cpu_seconds", "and memory_byte_seconds must be 0 or more")
        if self.reserved_vcpu_seconds is not None and self.reserved_vcpu_seconds < self.cpu_seconds:
            raise SettingsError("reserved_vcpus", "× reserved seconds must be at least the CPU seconds")
        if self.storage_class not in STORAGE_CLASSES:
            raise SettingsError("storage", f"is {self.storage_class!r}, must be one of {', '.join(STORAGE_CLASSES)}")
        if self.access not in ACCESSES:
            raise SettingsError("network", f"is {self.access!r}, must be one of {', '.join(ACCESSES)}")


@dataclass(frozen=True)
class Term:
    """A line of the balance.

    formula       in words
    coefficients  in the order of the formula, the grid last
    energy_joules None for embodied emissions, which have no joules
    co2e_grams    None without a grid
    """

    name: str
    side: Side
    formula: str
    coefficients: tuple[Coefficient, ...]
    energy_joules: Range | None
    co2e_grams: Range | None


@dataclass(frozen=True)
class Estimate:
    """A balance, with everything needed to reproduce it. `co2e_grams` is None without a grid."""

    profile: Profile
    version: str
    sha256: str
    terms: tuple[Term, ...]

    def energy_joules(self, side: Side) -> Range:
        found = (term.energy_joules for term in self.terms if term.side is side)
        return sum((energy for energy in found if energy is not None), ZERO)

    def co2e_grams(self, side: Side) -> Range | None:
        if any(term.co2e_grams is None for term in self.terms):
            return None
        found = (term.co2e_grams for term in self.terms if term.side is side)
        return sum((grams for grams in found if grams is not None), ZERO)

    @property
    def net_energy_joules(self) -> Range:
        """Return avoided minus used; may be negative."""
        return self.energy_joules(Side.AVOIDED) - self.energy_joules(Side.USED)

    @property
    def net_co2e_grams(self) -> Range | None:
        """Return avoided minus used; may be negative."""
        avoided, used = self.co2e_grams(Side.AVOIDED), self.co2e_grams(Side.USED)
        return None if avoided is None or used is None else avoided - used

    @property
    def first(self) -> str:
        """Return the bound that the profile shows first: low or central."""
        return "low" if self.profile is Profile.CONSERVATIVE else "central"


def stored_byte_seconds(
    saved_bytes: float, seconds: float, *, originals_deleted: bool, added_bytes: float = 0
) -> float:
    """Return the byte-seconds that are no longer stored. Baseline: WBCSD Guidance on Avoided Emissions.

    saved_bytes        original − result; negative if the result is larger
    originals_deleted  the original is deleted, including versions and backups; else nothing is credited, and
                       added_bytes, stored in addition to it, are a cost
    """
    return (saved_bytes if originals_deleted else -added_bytes) * seconds


def estimate(
    drivers: Drivers,
    place: Place,
    profile: Profile = Profile.CONSERVATIVE,
    *,
    storage_embodied: bool = False,
    model: Model | None = None,
) -> Estimate:
    """Return the balance of what was avoided and what was used.

    storage_embodied  count drives that need not be made: contested by a factor of 10 and more, so off by default

    Own CPU, memory, idle share and embodied servers are always included. Each profile gives its range; see `Profile`.
    """
    if profile is Profile.OFF:
        raise SettingsError("profile", "is off: nothing is estimated")
    model = model or load()
    terms = [*_storage(drivers, place, profile, storage_embodied, model), *_network(drivers, place, profile, model)]
    return Estimate(profile, model.version, model.sha256, (*terms, *_own_use(drivers, place, profile, model)))


def _storage(drivers: Drivers, place: Place, profile: Profile, embodied: bool, model: Model) -> Iterator[Term]:
    """Yield the storage terms: average power of stored bytes × time, which is saved once fewer drives are bought."""
    amount = drivers.stored_byte_seconds
    if amount is None or (profile is Profile.SWDM4 and amount >= 0):  # SWDM counts bytes sent, none stored
        return
    side, pue = (Side.AVOIDED, place.pue_benefit) if amount >= 0 else (Side.USED, place.pue_cost)
    medium, zones = drivers.storage_class.split("-")
    copies = model.coefficients[f"ccf_copies_{zones}" if profile is Profile.CCF else f"copies_{zones}"]
    power = _for_profile(profile, model.coefficients[f"storage_{medium}"])
    formula = "byte-seconds × copies × storage power × PUE"
    yield _operation("storage", side, formula, abs(amount), (copies, power, pue), place.storage_grid)
    if embodied and profile is not Profile.CCF:
        drives = model.coefficients[f"storage_embodied_{medium}"]
        has_grid = place.storage_grid is not None
        yield _embodied(
            "storage_embodied", side, "byte-seconds × copies × drives", abs(amount), (copies, drives), has_grid
        )


def _network(drivers: Drivers, place: Place, profile: Profile, model: Model) -> Iterator[Term]:
    """Yield the network terms: energy of unsent bytes. low is a marginal figure, because a saving is a difference."""
    amount, grid = drivers.unsent_bytes, place.network_grid
    if amount is None:
        return
    side, known = (Side.AVOIDED if amount >= 0 else Side.USED), model.coefficients
    if profile is Profile.SWDM4:
        for part in ("data_center", "network", "device"):
            formula = f"unsent bytes × energy of {part.replace('_', ' ')}s"
            yield _operation(part, side, formula, abs(amount), (known[f"swdm4_{part}"],), grid)
        both = (known["swdm4_embodied"], known["swdm4_grid"])
        formula = "unsent bytes × embodied energy × world grid"
        yield _embodied("transfer_embodied", side, formula, abs(amount), both, grid is not None)
    elif profile is Profile.CCF:
        both = (known["ccf_network"], place.pue_benefit)
        yield _operation("network", side, "unsent bytes × network energy × PUE", abs(amount), both, grid)
    else:
        energy = known[f"network_{drivers.access}"]
        yield _operation("network", side, "unsent bytes × network energy", abs(amount), (energy,), grid)


def _own_use(drivers: Drivers, place: Place, profile: Profile, model: Model) -> Iterator[Term]:
    """Yield the terms of our own use. The power of a vCPU includes some memory, which thus counts twice, against us."""
    busy, idle, memory, embodied = (
        _for_profile(profile, model.coefficients[key]) for key in ("cpu_max", "cpu_min", "memory", "server_embodied")
    )
    reserved, pue, grid = drivers.reserved_vcpu_seconds, place.pue_cost, place.compute_grid
    yield _operation("cpu", Side.USED, "CPU seconds × busy power × PUE", drivers.cpu_seconds, (busy, pue), grid)
    if reserved is not None:
        formula, rest = "(reserved vCPU-seconds − CPU seconds) × idle power × PUE", reserved - drivers.cpu_seconds
        yield _operation("idle", Side.USED, formula, rest, (idle, pue), grid)
    formula = "byte-seconds of memory × memory power × PUE"
    yield _operation("memory", Side.USED, formula, drivers.memory_byte_seconds, (memory, pue), grid)
    formula = (
        "CPU seconds × manufacture of servers" if reserved is None else "reserved vCPU-seconds × manufacture of servers"
    )
    held = drivers.cpu_seconds if reserved is None else reserved
    yield _embodied("embodied", Side.USED, formula, held, (embodied,), grid is not None)


def _for_profile(profile: Profile, coefficient: Coefficient) -> Coefficient:
    """Return the coefficient; for CCF its central value as a point, because that is CCF's number, without a range."""
    return coefficient.at(coefficient.central) if profile is Profile.CCF else coefficient


def _operation(
    name: str, side: Side, formula: str, amount: float, factors: tuple[Coefficient, ...], grid: Coefficient | None
) -> Term:
    energy = _product(amount, factors)
    if grid is None:
        return Term(name, side, formula, factors, energy, None)
    return Term(name, side, formula, (*factors, grid), energy, energy * grid.range)


def _embodied(
    name: str, side: Side, formula: str, amount: float, factors: tuple[Coefficient, ...], has_grid: bool
) -> Term:
    """Return a term in grams that needs no grid; None if the other terms have no grams, or it would seem the total."""
    return Term(name, side, formula, factors, None, _product(amount, factors) if has_grid else None)


def _product(amount: float, factors: tuple[Coefficient, ...]) -> Range:
    product = Range.point(amount)
    for factor in factors:
        product = product * factor.range
    return product
