"""Sensitivity of the energy and carbon estimates to their inputs, plotted, and break-even points. Nothing is measured.

python -m benchmarks footprint [--page docs/methodology.md] [--out DIR]
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.footprint import plot, tables
from benchmarks.footprint.sensitivity import break_evens, net_grams, sensitivity
from benchmarks.harness import record
from compressor.footprint import load


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks footprint")
    parser.add_argument("--page", type=Path, help="replace the generated tables in this Markdown file", metavar="FILE")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Compute, print, save and plot."""
    chosen = options(words)
    bars = {"storage": sensitivity(False), "storage and network": sensitivity(True)}
    content = {
        "model": {"version": load().version, "sha256": load().sha256},
        "sensitivity": {name: [asdict(bar) for bar in found] for name, found in bars.items()},
        "break_evens": [
            {"days": days, "unit": "grams" if grams else "joules", "cpu_seconds": asdict(found)}
            for (days, grams), found in break_evens().items()
        ],
    }
    path = record.save(out, "footprint", content)
    centers = {name: net_grams(name != "storage").central for name in bars}
    picture = plot.draw(bars, centers, path.with_suffix(".png"))
    if chosen.page is not None:
        chosen.page.write_text(tables.fill(chosen.page.read_text()))
    print(tables.sensitivity_table(), tables.break_even_table(), path, picture, sep="\n")
    return True
