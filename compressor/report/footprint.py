"""The section of a report on energy and carbon: what a run used, and what its savings would avoid."""

from collections.abc import Iterator

from compressor.humanize import (
    ENERGY_UNITS,
    MASS_UNITS,
    two_digits,
)
from compressor.report.html import table, text
from compressor.report.summary import Summary
from compressor.settings import Bounds


def worth(summary: Summary) -> str:
    """A table of ranges and what must be said beside it; "" where nothing was estimated."""
    footprint = summary.footprint
    if footprint is None:
        return ""
    rows = [*_row("Used by this run", footprint.used_energy_joules, footprint.used_co2e_grams)]
    would = "Would avoid" if summary.mode == "dry run" else "Avoids"
    energy = summary.a_year_of(footprint.avoided_energy_joules_per_gb_year)
    grams = footprint.avoided_co2e_grams_per_gb_year
    rows += _row(f"{would} in each year", energy, None if grams is None else summary.a_year_of(grams))
    names = ("", "Low", "Central", "High", "")
    grid = "" if grams is not None else " No region was named: joules, and no grams of CO2e."
    whose = f"profile {text(footprint.profile)}, model {text(footprint.model)}"
    return f"""{table(names, 4, rows)}
<p class="quiet">ESTIMATES, not measured: {whose}, from CPU time and memory that were measured. The second line is a
scenario: that the originals are gone from {text(footprint.storage_class)} for a whole year, versions, replicas and
backups too, and that fewer drives are bought for it in the end. Nothing of it has been counted; <code>compressor
exporter</code> counts it as time passes. Not an offset.{grid}</p>"""


def _row(name: str, joules: Bounds, grams: Bounds | None) -> Iterator[tuple[str, ...]]:
    for bounds, units, what in ((joules, ENERGY_UNITS, ""), (grams, MASS_UNITS, " CO2e")):
        if bounds is not None:
            values = (bounds.low, bounds.central, bounds.high)
            size, unit = next((one for one in reversed(units) if bounds.high >= one[0]), units[0])
            yield (name, *(two_digits(value / size) for value in values), unit + what)
            name = ""
