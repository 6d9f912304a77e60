"""JPEG to JPEG in process, from thumbnails to 12 megapixels, compared with Pillow; threads compared with processes.

python -m benchmarks small [--quick] [--sizes 64px,0.1,0.4,1,2,12] [--thread-sizes 0.4,1] [--rounds N]
                           [--cache DIR] [--out DIR]
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import record, sources
from benchmarks.small import measure, table, threads

QUICK_ROUNDS = 3


def sizes(text: str) -> list[sources.Size]:
    """Parse names of sizes: "64px,0.4,12"; "" is none."""
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in sources.SIZES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is not one of {', '.join(sources.SIZES)}")
    return [sources.SIZES[name] for name in names]


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks small")
    parser.add_argument("--quick", action="store_true", help="few rounds, files and sizes, for a first impression")
    parser.add_argument("--sizes", type=sizes, help="sizes compared with Pillow, in megapixels", metavar="N,…")
    parser.add_argument("--thread-sizes", type=sizes, help="sizes of many images at once; '': none", metavar="N,…")
    parser.add_argument("--rounds", type=int, help="number of timed rounds of each comparison", metavar="N")
    parser.add_argument(
        "--cache", type=Path, default=record.default_cache(), help="folder that keeps scores", metavar="DIR"
    )
    chosen = parser.parse_args(words)
    if chosen.sizes is None:
        chosen.sizes = sizes("64px,0.4" if chosen.quick else "64px,0.1,0.4,1,2,12")
    if chosen.thread_sizes is None:
        chosen.thread_sizes = sizes("0.4" if chosen.quick else "0.4,1")
    chosen.small_rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else measure.ROUNDS)
    chosen.thread_rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else threads.ROUNDS)
    chosen.files = 1 if chosen.quick else measure.FILES_MAX
    return chosen


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result is wrong."""
    chosen = options(words)
    console = record.console()
    results: list[measure.SmallResult] = []
    layouts: list[threads.LayoutResult] = []
    with console.status("") as status:
        on_progress = record.progress(console, status)
        for effort in measure.EFFORTS:
            for size in chosen.sizes:
                on_progress(f"{effort}, {size}")
                results.append(measure.measure(effort, size, chosen.small_rounds, chosen.files, chosen.cache))
        for conversion in threads.CONVERSIONS:
            for size in chosen.thread_sizes:
                on_progress(f"{conversion}, {size}, many at once")
                layouts += threads.compare(conversion, size, chosen.thread_rounds)
    problems = [f"{one.effort}, {one.size}: {one.problem}" for one in results if one.problem]
    problems += sorted({f"{one.conversion}, {one.size}: {one.problem}" for one in layouts if one.problem})
    if results:
        console.print(table.small_table(results, chosen.small_rounds))
        console.print(table.counts_table(results))
    if layouts:
        console.print(table.layout_table(layouts, chosen.thread_rounds))
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    content = {
        "photographs": {str(size): sources.description(size) for size in [*chosen.sizes, *chosen.thread_sizes]},
        "pillow": [asdict(one) for one in results],
        "threads": [asdict(one) for one in layouts],
        "problems": problems,
    }
    console.print(f"[dim]{record.save(out, 'small', content)}[/]", soft_wrap=True)
    return not problems
