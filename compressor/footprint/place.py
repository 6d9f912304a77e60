"""The places where bytes are stored and work is done: the overhead of a facility, and the intensity of its grid."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from compressor.errors import SettingsError
from compressor.footprint.coefficients import JOULES_PER_KWH, Bound, Coefficient, Model, Region, load


class Profile(StrEnum):
    """The set of coefficients. Each gives low, central and high, and says which of them to show first.

    off           nothing is estimated
    conservative  this model; low first: benefits at low, costs at high
    central       this model; central first
    ccf           Cloud Carbon Footprint's for AWS, without ranges; for comparison
    swdm4         Sustainable Web Design Model v4, average energy per byte sent; own use by this model; for comparison
    """

    OFF = "off"
    CONSERVATIVE = "conservative"
    CENTRAL = "central"
    CCF = "ccf"
    SWDM4 = "swdm4"


@dataclass(frozen=True)
class Place:
    """The PUE of avoided and of used energy, and the grids' intensities in g/J; None: joules but no grams."""

    pue_benefit: Coefficient
    pue_cost: Coefficient
    storage_grid: Coefficient | None = None
    network_grid: Coefficient | None = None
    compute_grid: Coefficient | None = None


def place(
    region: str | None = None,
    grid_grams_per_kwh: float | None = None,
    profile: Profile = Profile.CONSERVATIVE,
    model: Model | None = None,
) -> Place:
    """Return one place for storage, network and compute.

    region              key of a region or grid of the model; None: the PUE of the model, and no grid
    grid_grams_per_kwh  location-based intensity that takes precedence over the region's

    The grid is the annual average of the location, one number for low, central and high (ISO/IEC 21031:2024, SCI: no
    market-based factors). SettingsError for an unknown region or an invalid intensity.
    """
    model = model or load()
    found = None if region is None else _region(region, model)
    grid = None if found is None else _grid_of(found, profile)
    if grid_grams_per_kwh is not None:
        if not 0 <= grid_grams_per_kwh < float("inf"):
            raise SettingsError("grid", f"is {grid_grams_per_kwh:g}, must be 0 or more grams of CO2e per kWh")
        given = Bound(grid_grams_per_kwh / JOULES_PER_KWH, grid_grams_per_kwh, "given", "given")
        grid = _grid("intensity of the grid, as given", given)
    if profile is Profile.CCF:
        benefit = cost = model.coefficients["ccf_pue"]
    else:
        benefit, cost = _pue(None if found is None else found.pue, model)
    return Place(benefit, cost, grid, grid, grid)


def _region(name: str, model: Model) -> Region:
    try:
        return model.regions[name.lower()]
    except KeyError:
        raise SettingsError("region", f"is {name!r}, must be one of {', '.join(sorted(model.regions))}") from None


def _grid_of(region: Region, profile: Profile) -> Coefficient:
    bound = region.ccf if profile is Profile.CCF and region.ccf is not None else region.average
    return _grid(f"intensity of the grid, {region.what}, annual average", bound)


def _grid(what: str, bound: Bound) -> Coefficient:
    return Coefficient("grid", "grid", what, "g/J", "g/kWh", bound, bound, bound)


def _pue(known: Bound | None, model: Model) -> tuple[Coefficient, Coefficient]:
    """Return PUE ranges: benefits 1.0, the region's, at least 1.15; costs at most 1.10, the region's, at least 1.35."""
    benefit, cost = model.coefficients["pue_benefit"], model.coefficients["pue_cost"]
    if known is None:
        return benefit, cost
    low = min(cost.low, known, key=_value)
    return (
        dataclasses.replace(benefit, central=known, high=max(known, benefit.high, key=_value)),
        dataclasses.replace(cost, low=low, central=known, high=max(known, cost.high, key=_value)),
    )


def _value(bound: Bound) -> float:
    return bound.value
