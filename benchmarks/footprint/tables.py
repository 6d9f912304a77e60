"""The tables of docs/methodology.md, made from the model, so that page and program say the same."""

import re
from collections.abc import Iterable, Sequence

from benchmarks.footprint.sensitivity import Bar, break_evens, sensitivity
from compressor.footprint import Bound, Coefficient, load
from compressor.footprint.coefficients import BOUNDS
from compressor.humanize import two_digits

MARK = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def stated(bound: Bound) -> str:
    """Return the number, marked with its basis: * derived, ° excerpt, † assumption."""
    number = f"{bound.stated:.6g}" if bound.stated >= 0.01 else f"{bound.stated:.3g}"
    return number + {"derived": "\\*", "excerpt": "°", "assumption": "†"}.get(bound.basis, "")


def notes_of(one: Coefficient) -> list[str]:
    """What is said of its bounds, each with the names of those that it is said of; without, where that is all."""
    said: dict[str, list[str]] = {}
    for name, bound in zip(BOUNDS, one.bounds, strict=True):
        said.setdefault(bound.note, []).append(name)
    return [note if len(names) == 3 else f"{' and '.join(names)}: {note}" for note, names in said.items() if note]


def coefficient_table() -> str:
    def row(one: Coefficient) -> list[str]:
        notes = "; ".join(notes_of(one))
        unit = "" if one.stated_unit == "1" else one.stated_unit
        what = one.what + (f" ({notes})" if notes else "")
        return [f"`{one.key}`", what, unit, *map(stated, one.bounds), ", ".join(one.sources)]

    head = ["key", "what", "unit", "low", "central", "high", "sources"]
    return table(head, map(row, load().coefficients.values()))


def grid_table() -> str:
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
    return table(["key", "where", "PUE", "average, g/kWh", "source, year", "marginal", "of ccf"], rows)


def source_table() -> str:
    def title(name: str, url: str) -> str:
        return f"[{name}]({url})" if url else name

    rows = (
        [f"`{one.key}`", title(one.title, one.url), one.kind, str(one.year), one.licence, one.as_of]
        for one in load().sources.values()
    )
    return table(["key", "source", "kind", "year", "licence", "as of"], rows)


def sensitivity_table() -> str:
    alone = {bar.name: bar for bar in sensitivity(False)}
    rows = (
        [bar.name, f"{bar.low:.3g} … {bar.high:.3g}", span(alone.get(bar.name)), span(bar)] for bar in sensitivity(True)
    )
    return table(["input", "low … high", "net by storage, g", "net with 10 downloads, g"], rows)


def span(bar: Bar | None) -> str:
    return "" if bar is None else f"{two_digits(bar.net_at_low)} … {two_digits(bar.net_at_high)}"


def break_even_table() -> str:
    rows = []
    for (days, grams), found in break_evens().items():
        what = "grams of CO2e" if grams else "joules, embodied left out"
        rows.append([f"{days:g} days", what, *(two_digits(value) for value in (found.low, found.central))])
    return table(["stored for", "net of 0", "conservative", "central"], rows)


TABLES = {
    "coefficients": coefficient_table,
    "grids": grid_table,
    "sources": source_table,
    "sensitivity": sensitivity_table,
    "breakeven": break_even_table,
}


def filled(page: str) -> str:
    """The page with every table made anew; KeyError for a mark that no table has."""
    return MARK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)
