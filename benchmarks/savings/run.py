"""The cost of saving: CPU time, memory, energy and CO2e per GB saved of camera JPEGs; ours, Pillow, jpegli and mozjpeg.

python -m benchmarks savings [--images N] [--repeats N] [--metric NAME] [--jobs N] [--cache DIR] [--out DIR]

The task is to make a stored collection smaller: the bytes of a file in, fewer bytes out, decoding included. Lossy tools
are compared at equal visual quality, lossless tools with one another.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import encoders, judges, photos, record
from benchmarks.savings import table
from benchmarks.savings.measure import DIFFERENCE_MAX, REPEATS, measure


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks savings")
    parser.add_argument("--images", type=int, help="only the first N photographs", metavar="N")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="number of timed rounds", metavar="N")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="number of scoring processes", metavar="N"
    )
    parser.add_argument(
        "--cache", type=Path, default=record.default_cache(), help="folder that keeps scores", metavar="DIR"
    )
    parser.add_argument(
        "--metric", choices=DIFFERENCE_MAX, default="ssimulacra2", help="metric of equal visual quality"
    )
    chosen = parser.parse_args(words)
    if reason := judges.BY_NAME[chosen.metric].missing():
        parser.error(reason)
    return chosen


def collection() -> list[Path]:
    """Return JPEG files of cameras; without a corpus those of scikit-image."""
    return photos.from_corpus("camera") or [path for path in photos.packaged() if path.suffix == ".jpg"]


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result is wrong or equal visual quality was not found."""
    chosen = options(words)
    paths = collection()[: chosen.images]
    tools = encoders.installed(encoders.RECODERS)
    console = record.console()
    with console.status("") as status:
        results, problems = measure(
            paths,
            [tool.name for tool in tools],
            metric=chosen.metric,
            rounds=chosen.repeats,
            jobs=chosen.jobs,
            cache=chosen.cache,
            on_progress=record.progress(console, status),
        )
    problems += table.quality_mismatches(results, chosen.metric)
    content = {"photographs": [path.name for path in paths], "metric": chosen.metric, "problems": problems}
    content |= table.as_json(results)
    path = record.save(out, "savings", json.loads(json.dumps(content)))
    for found in table.tables(results, len(paths)):
        console.print(found)
    missing = sorted({tool.package for tool in encoders.RECODERS} - {tool.package for tool in tools})
    lines = [table.headline(results)]
    lines += [
        f"[yellow]Not measured: {package} is not installed (compressor\\[bench] has it)[/]" for package in missing
    ]
    lines += [f"[red]{line}[/]" for line in problems]
    console.print("\n".join([*lines, str(path)]), soft_wrap=True)
    return not problems
