"""Pieces of HTML that the sections of a report are made of."""

import html
from collections.abc import Iterable, Iterator, Sequence

from compressor.humanize import ENERGY_UNITS, MASS_UNITS, printable, two_digits
from compressor.report.summary import Summary
from compressor.settings import Bounds


def text(words: object) -> str:
    """Anything, safe between tags and in attributes."""
    return html.escape(printable(str(words)))


def section(title: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>" if content else ""


def table(
    names: Sequence[str], numbers: int, rows: Iterable[Sequence[str]], foot: Sequence[str] = (), name: str = "totals"
) -> str:
    """Cells are HTML; the last `numbers` columns are numbers."""
    first = len(names) - numbers

    def line(cells: Sequence[str], tag: str) -> str:
        marks = (' class="number"' if column >= first else "" for column in range(len(cells)))
        return f"<tr>{''.join(f'<{tag}{mark}>{cell}</{tag}>' for cell, mark in zip(cells, marks, strict=True))}</tr>\n"

    body = "".join(line(row, "td") for row in rows)
    end = f"<tfoot>\n{line(foot, 'td')}</tfoot>\n" if foot else ""
    head = line(names, "th")
    inside = f"<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n{end}"
    return f'<div class="wide"><table class="{name}">\n{inside}</table></div>'


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
