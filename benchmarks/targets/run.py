"""Target scores on Kodak's photographs and the corpus': how many are reached, how closely, and for how many bytes.

python -m benchmarks targets [--efforts fast,…] [--targets 70,76,82] [--images N] [--jobs N] [--out DIR]
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import options as parsing
from benchmarks.harness import photos, record
from benchmarks.targets import measure, table


def targets(text: str) -> list[float]:
    """Parse "70,76.5"."""
    found = [float(word) for word in text.split(",")]
    if not all(0 <= target <= 100 for target in found):
        raise argparse.ArgumentTypeError("target scores are from 0 to 100")
    return found


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks targets")
    parser.add_argument(
        "--efforts", type=parsing.among(measure.EFFORTS), default=measure.EFFORTS, help="our efforts", metavar="NAME,…"
    )
    parser.add_argument("--targets", type=targets, default=measure.TARGETS, help="target scores", metavar="N,…")
    parser.add_argument("--images", type=int, help="only the first N photographs", metavar="N")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="number of processes", metavar="N"
    )
    return parser.parse_args(words)


def _measure(
    work: tuple[photos.Photograph, str, Sequence[float]],
) -> tuple[list[measure.Encoded], list[measure.Encoded]]:
    image, effort, goals = work
    return measure.measure(image.pixels(), effort, goals)


def collect(
    images: Sequence[photos.Photograph], efforts: Sequence[str], goals: Sequence[float], jobs: int
) -> Iterator[measure.TargetResult]:
    """Yield the summary for each effort and target."""
    with ProcessPoolExecutor(jobs) as pool:
        for effort in efforts:
            found = list(pool.map(_measure, [(image, effort, goals) for image in images]))
            fixed = [one[1] for one in found]
            for number, target in enumerate(goals):
                yield measure.summary(effort, target, [one[0][number] for one in found], fixed)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result misses its target."""
    chosen = options(words)
    console = record.console()
    images = measure.images()[: chosen.images]
    if not images:
        console.print("[yellow]Not measured: there is no corpus of photographs (COMPRESSOR_CORPUS)[/]")
        return True
    results: list[measure.TargetResult] = []
    with console.status("") as status:
        on_progress = record.progress(console, status)
        on_progress(f"{len(images)} photographs")
        for one in collect(images, chosen.efforts, chosen.targets, chosen.jobs):
            on_progress(f"{one.effort}, {one.target:g}")
            results.append(one)
    problems = [f"{one.effort}, target {one.target:g}: {one.problem}" for one in results if one.problem]
    console.print(table.targets_table(results))
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    content = {"results": [asdict(one) for one in results], "problems": problems}
    console.print(f"[dim]{record.save(out, 'targets', content)}[/]", soft_wrap=True)
    return not problems
