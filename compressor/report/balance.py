"""The sections of a report's page about what a run takes and saves: space, money, energy and CO2e."""

from collections.abc import Iterable, Iterator

from compressor.humanize import ENERGY_UNITS, MASS_UNITS, common_unit, human_bytes, two_digits
from compressor.prices import human_money
from compressor.report.html import table, text
from compressor.report.money import MONTHS
from compressor.report.summary import Summary
from compressor.settings import Bounds


def space_section(summary: Summary) -> str:
    """Return a table of what is stored; "" where nothing but the results is."""
    space = summary.space
    if space is None or not space.to_delete:
        return ""
    stored = space.now - space.originals - space.versions
    rows = [
        ("Before the run", space.before),
        (
            "Results" + (" and copies at the destination" if space.copied else ", and objects that stay as they are"),
            stored,
        ),
        ("The source" if space.copied else "Kept originals", space.originals),
        ("Old versions of replaced objects", space.versions),
    ]
    foot = ("Stored now", human_bytes(space.now))
    return table(("", "Bytes"), 1, ((name, human_bytes(size)) for name, size in rows if size), foot)


def money_section(summary: Summary) -> str:
    """Return a table of savings in money, per month and per year; "" without prices."""
    money, prices, space = summary.money, summary.prices, summary.space
    if money is None or prices is None:
        return ""

    def row(name: str, amount: float) -> tuple[str, ...]:
        return name, *(text(human_money(amount * months, money.currency)) for months in (1, MONTHS))

    rows = [] if money.storage is None else [row("Storage", money.storage)]
    if money.egress is not None:
        rows.append(row(f"Egress, {prices.downloads_per_month:,.9g} downloads of each object a month", money.egress))
    once = "" if space is None else space.once_deleted
    saves = "Would save" if summary.mode == "dry run" else "Saves"
    foot = row(", ".join(filter(None, (saves, once))), money.per_month)
    note = "At the prices that were given, per 2<sup>30</sup> bytes, as clouds bill them."
    if (ends := summary.money_per_year_range) is not None and summary.projection is not None:
        low, high = (text(human_money(end, money.currency)) for end in ends)
        note = f"With {summary.projection.confidence:.0%} confidence {low} to {high} per year. {note}"
    if once:
        amount = text(human_money(abs(money.until_deleted), money.currency))
        until_then = f"Until then the run {'costs' if money.until_deleted < 0 else 'saves'} {amount} per month."
        note = f"{until_then} {note}"
    return f'{table(("", "Per month", "Per year"), 2, rows, foot)}\n<p class="quiet">{note}</p>'


def footprint_section(summary: Summary) -> str:
    """Return a table of ranges, and the caveats that go with it; "" where nothing was estimated."""
    footprint = summary.footprint
    if footprint is None:
        return ""
    would = "Would avoid" if summary.mode == "dry run" else "Avoids"
    names = "Used by this run", f"{would} per year"
    energy = footprint.used_energy_joules, summary.avoided_per_year(footprint.avoided_energy_joules_per_gb_year)
    rows = [*_range_rows(zip(names, energy, strict=True), ENERGY_UNITS, "")]
    used, avoided = footprint.used_co2e_grams, footprint.avoided_co2e_grams_per_gb_year
    if used is not None and avoided is not None:
        grams = used, summary.avoided_per_year(avoided)
        rows += _range_rows(zip(names, grams, strict=True), MASS_UNITS, " CO2e")
    grid = "" if avoided is not None else " No region was given: joules, but no grams of CO2e."
    whose = f"profile {text(footprint.profile)}, model {text(footprint.model)}"
    return f"""{table(("", "Low", "Central", "High", ""), 4, rows)}
<p class="quiet">ESTIMATES, not measured: {whose}, based on measured CPU time and memory. What is avoided is a scenario:
the originals are deleted from {text(footprint.storage_class)} for a whole year, with their versions, replicas and
backups, and in the end fewer drives are bought. None of it has been counted yet; <code>compressor exporter</code>
counts it as time passes. Not an offset.{grid}</p>"""


def _range_rows(
    named: Iterable[tuple[str, Bounds]], units: tuple[tuple[float, str], ...], what: str
) -> Iterator[tuple[str, ...]]:
    """Yield rows of what was used and avoided, in one unit."""
    rows = list(named)
    size, unit = common_unit((bounds.high for _, bounds in rows), units)
    for name, bounds in rows:
        values = (bounds.low, bounds.central, bounds.high)
        yield (name, *(two_digits(value / size) for value in values), unit + what)
