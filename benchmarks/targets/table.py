"""The results of `targets` as a table."""

import math
from collections.abc import Sequence

from rich.table import Table

from benchmarks.harness import record
from benchmarks.targets.measure import QUALITIES, STATISTICS, WINDOW, TargetResult


def targets_table(results: Sequence[TargetResult]) -> Table:
    """Return a row for each effort and target."""
    figures = ("reached", f"within\n+{WINDOW:g}", "mean", "1", "2", "3", "more", *(name for name in STATISTICS))
    table = record.table(
        f"Target scores: {results[0].images if results else 0} photographs",
        ("", "target"),
        figures,
        "1, 2, 3, more: encodings; last: bytes against the fixed quality where that statistic of the scores is equal, "
        f"interpolated between {QUALITIES[0]} and {QUALITIES[-1]}",
    )
    for before, one in zip((None, *results), results, strict=False):
        if before is not None and before.effort != one.effort:
            table.add_section()
        table.add_row(
            one.effort,
            f"{one.target:g}",
            f"{one.hits:.0%}",
            f"[bold]{one.close:.0%}[/]",
            f"{one.mean:.2f}",
            *(f"{share:.0%}" for share in one.trials),
            *("-" if math.isnan(ratio) else f"{ratio - 1:+.1%}" for ratio in one.against.values()),
            style="red" if one.problem else "",
        )
    return table
