"""Bytes at equal visual quality by four judges: ours at every effort, Pillow, mozjpeg and jpegli.

python -m benchmarks density [--quick] [--qualities 20,30,…] [--efforts fast,…] [--images N] [--jobs N] [--cache DIR]
                             [--out DIR]
"""

import argparse
import functools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from benchmarks.density import plot, rates, scale, sheet, table
from benchmarks.density.curves import DensityResults
from benchmarks.density.measure import PEERS, QUALITIES, QUICK_IMAGES, QUICK_QUALITIES, measure, measure_all
from benchmarks.harness import encoders, judges, photos, record


def as_json(results: DensityResults) -> dict[str, Any]:
    """Return every point, with each judge's own figure."""
    return {
        name: {
            image: {encoder: [asdict(point) for point in points] for encoder, points in measured.items()}
            for image, measured in images.items()
        }
        for name, images in results.items()
    }


def as_dicts(verdicts: rates.Verdicts) -> dict[str, Any]:
    """Return verdicts as data: the figures by judge, their mean, and the worst judge."""
    return {
        name: {encoder: {**asdict(verdict), "worst": verdict.worst} for encoder, verdict in lines.items()}
        for name, lines in verdicts.items()
    }


def qualities(text: str) -> list[int]:
    """Parse "40,60,80". At least two are needed for a curve."""
    found = sorted({int(word) for word in text.split(",")})
    if len(found) < 2 or not all(1 <= quality <= 100 for quality in found):
        raise argparse.ArgumentTypeError("at least two qualities from 1 to 100 are needed")
    return found


def efforts(text: str) -> list[str]:
    """Parse "fast,balanced"."""
    words = text.split(",")
    if unknown := sorted(set(words) - set(encoders.EFFORTS)):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return words


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks density")
    parser.add_argument(
        "--quick", action="store_true", help="few qualities, of few photographs for tuning or validation"
    )
    parser.add_argument("--qualities", type=qualities, help="qualities to encode at", metavar="N,…")
    parser.add_argument("--efforts", type=efforts, default=encoders.EFFORTS, help="our efforts", metavar="NAME,…")
    parser.add_argument("--images", type=int, help="only the first N of each set", metavar="N")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="number of processes", metavar="N"
    )
    parser.add_argument(
        "--cache", type=Path, default=record.default_cache(), help="folder that keeps scores", metavar="DIR"
    )
    chosen = parser.parse_args(words)
    chosen.qualities = chosen.qualities or (QUICK_QUALITIES if chosen.quick else QUALITIES)
    chosen.images = chosen.images or (QUICK_IMAGES if chosen.quick else None)
    return chosen


def chosen_sets(chosen: argparse.Namespace) -> dict[str, list[photos.Photograph]]:
    """Return the photographs to measure by set."""
    found = photos.scored()
    if chosen.quick and len(found) > 1:
        found.pop(photos.OTHERS, None)
    return {name: images[: chosen.images] for name, images in found.items()}


def collect(
    chosen: argparse.Namespace, names: Sequence[str], usable: Sequence[str], on_progress: Callable[[str], None]
) -> tuple[DensityResults, list[str]]:
    """Measure every set; return the points and the problems."""
    sets = chosen_sets(chosen)
    call = functools.partial(measure, names=names, qualities=chosen.qualities, judges=usable, cache=chosen.cache)
    found = measure_all([image for images in sets.values() for image in images], chosen.jobs, call)
    results: DensityResults = {}
    problems: list[str] = []
    for name, images in sets.items():
        results[name] = {}
        for number, image in enumerate(images, 1):
            on_progress(f"{name}: {number} of {len(images)}, {image.name}")
            results[name][image.name], more = next(found)
            problems += more
    return results, problems


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print, save and draw; return False if a result is wrong or our quality scale is off."""
    chosen = options(words)
    console = record.console()
    peers = encoders.installed(PEERS)
    names = [*chosen.efforts, *(one.name for one in peers)]
    usable = judges.usable()
    with console.status("") as status:
        on_progress = record.progress(console, status)
        results, problems = collect(chosen, names, usable, on_progress)
        on_progress("drawing")
        bd_rates = rates.bd_rates(results)
        verdicts = rates.verdicts(bd_rates)
        margins = rates.margins(verdicts, chosen.efforts)
        quality_scale = scale.quality_scale(results, chosen.efforts)
        deficits, excesses = (
            scale.means_by_quality(results, chosen.efforts, one) for one in (scale.deficit, scale.excess)
        )
        problems += scale.scale_problems(results, quality_scale, deficits)
        content = {
            "qualities": list(chosen.qualities),
            "judges": {name: judges.BY_NAME[name].version() for name in usable},
            "bd_rates": bd_rates,
            "verdicts": as_dicts(verdicts),
            "margins": as_dicts(margins),
            "scale": quality_scale,
            "deficits": deficits,
            "excesses": excesses,
            "problems": problems,
            "points": as_json(results),
        }
        path = record.save(out, "density", json.loads(json.dumps(content)))
        pictures = [plot.draw(results, path.with_suffix(".png"))]
        pictures += sheet.draw(names, path)
    console.print(table.means_table(results, bd_rates, verdicts))
    if margins:
        console.print(table.margins_table(results, margins))
    console.print(table.photographs_table(results, bd_rates))
    console.print(table.scale_table(quality_scale))
    console.print(table.deficits_table(deficits))
    console.print(table.excesses_table(excesses))
    missing = sorted({one.package for one in PEERS} - {one.package for one in peers})
    lines = [f"[yellow]Not measured: {package} is not installed (compressor\\[bench] has it)[/]" for package in missing]
    reasons = [reason for judge in judges.JUDGES if (reason := judge.missing())]
    lines += [f"[yellow]Not measured: {escape(reason)}[/]" for reason in reasons]
    lines += [f"[red]{line}[/]" for line in problems]
    console.print("\n".join([*lines, *map(str, (path, *pictures))]), soft_wrap=True)
    return not problems
