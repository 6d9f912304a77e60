"""Camera files, odd JPEGs and mutants, archived and made again by each library that is installed.

Every file is measured in a process of its own, in rounds in which the libraries take turns.
"""

import argparse
import importlib.util
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.archive import odd
from benchmarks.archive.one import LIBRARIES, Measured, measure
from benchmarks.harness import photos, record

ROUNDS = 3
MUTANTS = 5000
OWN = "imagecodecs"
FIGURES = (
    "exact", "saved", "there\nMB/s", "back\nMB/s", "there\nMiB", "back\nMiB", "odd:\nexact", "other\nbytes",
    "not\nback", "refused",
)  # fmt: skip
MODULES = {"lepton-jpeg-python": "lepton_jpeg_python"}


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks archive")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    return parser.parse_args(arguments)


def installed() -> list[str]:
    """Return the libraries that can be imported."""
    return [name for name in LIBRARIES if importlib.util.find_spec(MODULES.get(name, name)) is not None]


def rows_of(library: str, found: list[Measured], counts: dict[str, int]) -> list[str]:
    """Return a row of the table. Rates are those of the median round, over all files."""
    done = [one for one in found if one.exact]
    files = {one.file: one for one in done}.values()
    bytes_in, bytes_out = sum(one.bytes_in for one in files), sum(one.bytes_out for one in files)

    def rate(name: str) -> str:
        seconds = [statistics.median(getattr(one, name) for one in done if one.file == file.file) for file in files]
        return f"{bytes_in / 1e6 / max(sum(seconds), 1e-9):.1f}"

    def peak(name: str) -> str:
        return f"{max((getattr(one, name) for one in done), default=0) / (1 << 20):.0f}"

    return [
        library, f"{len(files)}/{len({one.file for one in found})}", f"{1 - bytes_out / max(1, bytes_in):.2%}",
        rate("archive_seconds"), rate("unarchive_seconds"), peak("archive_peak"), peak("unarchive_peak"),
        *(f"{counts[name]:,}" for name in odd.OUTCOMES),
    ]  # fmt: skip


def run(out: Path, arguments: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a camera file did not come back exactly from the library in use."""
    chosen, console = options(arguments), record.console()
    subjects, libraries = photos.from_corpus("camera"), installed()
    found = [measure(library, path) for _ in range(chosen.rounds) for path in sorted(subjects) for library in libraries]
    counts = {library: odd.count(library, chosen.mutants) for library in libraries}
    title = f"{len(subjects)} camera files; odd JPEGs and {chosen.mutants:,} mutants"
    table = record.table(title, ("library",), FIGURES)
    for library in libraries:
        table.add_row(*rows_of(library, [one for one in found if one.library == library], counts[library]))
    console.print(table)
    content = {"files": [asdict(one) for one in found], "odd": counts}
    console.print(f"[dim]{record.save(out, 'archive', content)}[/]", soft_wrap=True)
    return bool(found) and all(one.exact for one in found if one.library == OWN)
