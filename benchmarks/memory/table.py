"""The results of `memory` as a table."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from benchmarks.harness import record
from benchmarks.memory.measure import MIB, ConversionResult, group_lines, slope


def conversion_table(results: Sequence[ConversionResult]) -> Table:
    """Return a row for each conversion, with a column for each size."""
    sizes = sorted({one.megapixels for one in results})
    caption = (
        "Targets: 48 MiB fast, 64 MiB balanced, 96 MiB best; 1 MiB per additional 100 MP without a score. "
        "r/m: reserved to measured, largest size. MP/s: wall-clock time, largest size."
    )
    columns = [*(f"{size:.3g} MP" for size in sizes), "r/m", "+100 MP", "MP/s"]
    table = record.table("Peak memory above idle, MiB", ("", "run by", "effort"), columns, caption)
    previous = ""
    for (name, runner, effort), line in group_lines(results).items():
        if previous not in ("", name):
            table.add_section()
        by_size = {one.megapixels: one for one in line}
        cells = [cell(by_size[size]) if size in by_size else Text("-") for size in sizes]
        growth, ratio = slope(line), line[-1].ratio
        table.add_row(
            "" if previous == name else name,
            runner,
            effort,
            *cells,
            "-" if ratio is None else f"{ratio:.2f}",
            "-" if growth is None else f"{growth / MIB:+.2f}",
            f"{line[-1].megapixels / line[-1].seconds:.0f}",
            style="" if line[-1].is_ours else "dim",
        )
        previous = name
    return table


def cell(one: ConversionResult) -> Text:
    """Format the peak of a conversion, red if it is wrong or above its target."""
    return Text(f"{(one.peak_bytes or 0) / MIB:.1f}", style="" if one.is_valid else "bold red")
