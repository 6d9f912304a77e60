"""The tables of docs/methodology.md, generated from the model, so that page and program agree."""

import re
from collections.abc import Iterable, Sequence

from benchmarks.footprint.sensitivity import Bar, break_evens, sensitivity
from compressor.footprint import Bound, Coefficient, load
from compressor.footprint.coefficients import BOUNDS
from compressor.humanize import two_digits

MARK = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def stated(bound: Bound) -> str:
    """Return the number, marked with its basis: * derived, ° excerpt, † assumption."""
    number = f"{bound.stated:.6g}" if bound.stated >= 0.01 else f"{bound.stated:.3g}"
    return number + {"derived": "\\*", "excerpt": "°", "assumption": "†"}.get(bound.basis, "")


def notes_of(one: Coefficient) -> list[str]:
    """Return the notes on a coefficient's bounds, each with the bounds' names unless it applies to all of them."""
    names_by_note: dict[str, list[str]] = {}
    for name, bound in zip(BOUNDS, one.bounds, strict=True):
        names_by_note.setdefault(bound.note, []).append(name)
    return [
        note if len(names) == len(BOUNDS) else f"{' and '.join(names)}: {note}"
        for note, names in names_by_note.items()
        if note
    ]


def coefficient_table() -> str:
    """Return all coefficients with their bounds and sources."""

    def row(one: Coefficient) -> list[str]:
        notes = "; ".join(notes_of(one))
        unit = "" if one.stated_unit == "1" else one.stated_unit
        description = one.what + (f" ({notes})" if notes else "")
        return [f"`{one.key}`", description, unit, *map(stated, one.bounds), ", ".join(one.sources)]

    head = ["key", "description", "unit", "low", "central", "high", "sources"]
    return table(head, map(row, load().coefficients.values()))


def grid_table() -> str:
    """Return the electricity grids by region."""

    def cell(bound: Bound | None) -> str:
        return "" if bound is None else stated(bound)

    rows = (
        [
            f"`{one.key}`",
            one.what,
            cell(one.pue),
            cell(one.average),
            f"{one.average.source}, {one.average.year}",
            cell(one.marginal),
            cell(one.ccf),
        ]
        for one in load().regions.values()
    )
    return table(["key", "region", "PUE", "average, g/kWh", "source, year", "marginal", "CCF"], rows)


def source_table() -> str:
    """Return all sources, with links."""

    def title(name: str, url: str) -> str:
        return f"[{name}]({url})" if url else name

    rows = (
        [f"`{one.key}`", title(one.title, one.url), one.kind, str(one.year), one.license, one.as_of]
        for one in load().sources.values()
    )
    return table(["key", "source", "kind", "year", "license", "as of"], rows)


def sensitivity_table() -> str:
    """Return the net at the low and the high value of each input."""
    alone = {bar.name: bar for bar in sensitivity(False)}
    rows = (
        [bar.name, f"{bar.low:.3g} … {bar.high:.3g}", span(alone.get(bar.name)), span(bar)] for bar in sensitivity(True)
    )
    return table(["input", "low … high", "net by storage, g", "net with 10 downloads, g"], rows)


def span(bar: Bar | None) -> str:
    """Format the range of the net; "" without a bar."""
    return "" if bar is None else f"{two_digits(bar.net_at_low)} … {two_digits(bar.net_at_high)}"


def break_even_table() -> str:
    """Return the CPU seconds per GB saved at which the net is 0."""
    rows = []
    for (days, grams), found in break_evens().items():
        unit = "grams of CO2e" if grams else "joules, without embodied emissions"
        rows.append([f"{days:g} days", unit, *(two_digits(value) for value in (found.low, found.central))])
    return table(["stored for", "break-even in", "conservative", "central"], rows)


TABLES = {
    "coefficients": coefficient_table,
    "grids": grid_table,
    "sources": source_table,
    "sensitivity": sensitivity_table,
    "breakeven": break_even_table,
}


def fill(page: str) -> str:
    """Return the page with each table generated again. Raises KeyError for a mark without a table."""
    return MARK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)
