"""Bytes at equal visual quality: ours at every effort, Pillow, mozjpeg and jpegli, by SSIMULACRA2 and butteraugli.

python -m benchmarks density [--qualities 20,30,…] [--efforts fast,…] [--images N] [--jobs N] [--cache DIR] [--out DIR]
"""

import argparse
import functools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from benchmarks.density import plot, sheet, table
from benchmarks.density.curves import DensityResults
from benchmarks.density.measure import PEERS, QUALITIES, measure, measure_all
from benchmarks.harness import encoders, photos, record, scores


def as_json(results: DensityResults) -> dict[str, Any]:
    """Return every point as [quality, bytes, ssimulacra2, butteraugli]."""
    return {
        name: {
            image: {encoder: [astuple(point) for point in points] for encoder, points in measured.items()}
            for image, measured in images.items()
        }
        for name, images in results.items()
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
    parser.add_argument("--qualities", type=qualities, default=QUALITIES, help="qualities to encode at", metavar="N,…")
    parser.add_argument("--efforts", type=efforts, default=encoders.EFFORTS, help="our efforts", metavar="NAME,…")
    parser.add_argument("--images", type=int, help="only the first N of each set", metavar="N")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="number of processes", metavar="N"
    )
    parser.add_argument(
        "--cache", type=Path, default=record.default_cache(), help="folder that keeps scores", metavar="DIR"
    )
    return parser.parse_args(words)


def collect(
    chosen: argparse.Namespace, names: Sequence[str], on_progress: Callable[[str], None]
) -> tuple[DensityResults, list[str]]:
    """Measure every set; return the points and the problems."""
    sets = {name: images[: chosen.images] for name, images in photos.scored().items()}
    call = functools.partial(measure, names=names, qualities=chosen.qualities, cache=chosen.cache)
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
    with console.status("") as status:
        on_progress = record.progress(console, status)
        results, problems = collect(chosen, names, on_progress)
        on_progress("drawing")
        rates = table.bd_rates(results)
        scale = table.quality_scale(results, chosen.efforts)
        problems += table.scale_problems(results, scale)
        content = {
            "qualities": list(chosen.qualities),
            "butteraugli": scores.has_butteraugli(),
            "bd_rates": rates,
            "scale": scale,
            "problems": problems,
            "points": as_json(results),
        }
        path = record.save(out, "density", json.loads(json.dumps(content)))
        pictures = [plot.draw(results, path.with_suffix(".png"))]
        pictures += sheet.draw(names, path)
    for found in table.tables(results, rates, scale):
        console.print(found)
    missing = sorted({one.package for one in PEERS} - {one.package for one in peers})
    lines = [f"[yellow]Not measured: {package} is not installed (compressor\\[bench] has it)[/]" for package in missing]
    if not scores.has_butteraugli():
        lines.append(f"[yellow]Not measured: {scores.BUTTERAUGLI} (Debian: libjxl-devtools) is not installed[/]")
    lines += [f"[red]{line}[/]" for line in problems]
    console.print("\n".join([*lines, *map(str, (path, *pictures))]), soft_wrap=True)
    return not problems
