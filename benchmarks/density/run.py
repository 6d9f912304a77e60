"""Bytes at equal look: ours at every effort beside Pillow, mozjpeg and jpegli, by SSIMULACRA2 and butteraugli.

python -m benchmarks density [--qualities 20,30,…] [--efforts fast,…] [--images N] [--jobs N] [--cache DIR] [--out DIR]
"""

import argparse
import functools
import io
import itertools
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.density import table
from benchmarks.density.curves import Point
from benchmarks.density.table import Measured, Results
from benchmarks.harness import encoders, fidelity, photos, record, scores
from benchmarks.memory import tiled_images

# From about 50 to above 90 by SSIMULACRA2 with every encoder: a range that is not covered is not measured.
QUALITIES = (30, 40, 50, 60, 70, 80, 88, 94, 97)
PEERS = (
    encoders.PILLOW,
    encoders.PILLOW_PROGRESSIVE,
    encoders.MOZJPEG,
    encoders.JPEGLI_SEQUENTIAL,
    encoders.JPEGLI,
)
BY_NAME = {one.name: one for one in (*encoders.OURS, *PEERS)}
DIP_MAX = 1.0  # by which a score may fall where the quality rises: rounding of tables
FINE_FROM = 50  # the quality from which on
FINE_SCORE = 30.0  # is the least that any encoder's result has, by SSIMULACRA2


# --- measuring ----------------------------------------------------------------------------------------------------


def points_of(name: str, pixels: fidelity.Pixels, qualities: Sequence[int], known: scores.Scores) -> list[Point]:
    """Encode, decode and score one image at every quality. Raises ValueError where the result is no such picture."""
    encode = BY_NAME[name].hold(pixels)
    found = []
    for quality in qualities:
        data = encode(quality)
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "JPEG" or image.mode != "RGB":
                raise ValueError(f"quality {quality}: {image.format} in {image.mode}, not JPEG in RGB")
        result = fidelity.decoded(data)
        if result.shape != pixels.shape:
            raise ValueError(f"quality {quality}: {result.shape}, not {pixels.shape}")
        found.append(Point(quality, len(data), *known.of(result)))
    return found


def problems_of(points: Sequence[Point]) -> list[str]:
    """What no working encoder does: bad pictures at a fair quality, or worse ones at a better quality."""
    wrong = [
        f"SSIMULACRA2 {point.ssimulacra2:.1f} at quality {point.quality}"
        for point in points
        if not (-100 < point.ssimulacra2 <= 100) or (point.quality >= FINE_FROM and point.ssimulacra2 < FINE_SCORE)
    ]
    ordered = sorted(points, key=lambda point: point.quality)
    for one, next_ in itertools.pairwise(ordered):
        fall = one.ssimulacra2 - next_.ssimulacra2
        if fall > DIP_MAX:
            wrong.append(f"SSIMULACRA2 falls by {fall:.1f} up to quality {next_.quality}")
    return wrong


def measure(
    image: photos.Photograph, names: Sequence[str], qualities: Sequence[int], cache: Path | None
) -> tuple[Measured, list[str]]:
    """The points of one photograph by encoder, and what is wrong with them."""
    pixels = image.pixels()
    measured: Measured = {}
    wrong: list[str] = []
    with scores.Scores(pixels, cache) as known:
        for name in names:
            measured[name] = points_of(name, pixels, qualities, known)
            wrong += [f"{image.name}, {name}: {problem}" for problem in problems_of(measured[name])]
    return measured, wrong


def all_of(
    images: Sequence[photos.Photograph], jobs: int, call: "functools.partial[tuple[Measured, list[str]]]"
) -> Iterator[tuple[Measured, list[str]]]:
    """`call` for each photograph, in order, in as many processes as `jobs`; 1: in this one."""
    if jobs == 1:
        yield from map(call, images)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(call, images)


# --- a run ----------------------------------------------------------------------------------------------------------


def as_json(results: Results) -> dict[str, Any]:
    """Every point as [quality, bytes, ssimulacra2, butteraugli]."""
    return {
        name: {
            image: {encoder: [astuple(point) for point in points] for encoder, points in measured.items()}
            for image, measured in images.items()
        }
        for name, images in results.items()
    }


def numbers(text: str) -> list[int]:
    """From "40,60,80": at least two, as a curve has."""
    found = sorted({int(word) for word in text.split(",")})
    if len(found) < 2 or not all(1 <= number <= 100 for number in found):
        raise argparse.ArgumentTypeError("at least two qualities of 1 to 100")
    return found


def efforts(text: str) -> list[str]:
    """From "fast,balanced"."""
    words = text.split(",")
    if unknown := sorted(set(words) - set(encoders.EFFORTS)):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}")
    return words


def options(words: Sequence[str]) -> argparse.Namespace:
    """The command line of this benchmark, without what all of them take."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks density")
    parser.add_argument("--qualities", type=numbers, default=QUALITIES, help="with commas", metavar="N,N,…")
    parser.add_argument("--efforts", type=efforts, default=encoders.EFFORTS, help="ours, with commas", metavar="NAME,…")
    parser.add_argument("--images", type=int, help="only the first N of each set", metavar="N")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes", metavar="N")
    parser.add_argument("--cache", type=Path, default=tiled_images.default_folder(), help="folder that keeps scores")
    return parser.parse_args(words)


def collect(chosen: argparse.Namespace, names: Sequence[str], tell: Any) -> tuple[Results, list[str]]:
    """Measure every set; what was found, and what is wrong with it."""
    sets = {name: images[: chosen.images] for name, images in photos.scored().items()}
    call = functools.partial(measure, names=names, qualities=chosen.qualities, cache=chosen.cache)
    found = all_of([image for images in sets.values() for image in images], chosen.jobs, call)
    results: Results = {}
    wrong: list[str] = []
    for name, images in sets.items():
        results[name] = {}
        for number, image in enumerate(images, 1):
            tell(f"{name}: {number} of {len(images)}, {image.name}")
            results[name][image.name], problems = next(found)
            wrong += problems
    return results, wrong


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, show, keep, draw; False where a result is no picture of its source, or quality means something else."""
    from benchmarks.density import plot, sheet

    chosen = options(words)
    console = record.console()
    peers = encoders.installed(PEERS)
    names = [*chosen.efforts, *(one.name for one in peers)]
    with console.status("") as status:
        tell = status.update if console.is_terminal else lambda text: print(text, file=sys.stderr, flush=True)
        results, wrong = collect(chosen, names, tell)
        tell("drawing")
        rates = table.rates_of(results)
        off = table.scale_of(results, chosen.efforts)
        wrong += table.scale_problems(results, off)
        content = {
            "qualities": list(chosen.qualities),
            "butteraugli": scores.has_butteraugli(),
            "bd_rates": rates,
            "scale": off,
            "problems": wrong,
            "points": as_json(results),
        }
        path = record.save(out, "density", json.loads(json.dumps(content)))
        pictures = [plot.draw(results, path.with_suffix(".png"))]
        pictures += sheet.draw([*chosen.efforts, *(one.name for one in peers)], path)
    for found in table.tables(results, rates, off):
        console.print(found)
    missing = sorted({one.package for one in PEERS} - {one.package for one in peers})
    lines = [f"[yellow]Not measured: {package} is not installed (compressor\\[bench] has it)[/]" for package in missing]
    if not scores.has_butteraugli():
        lines.append(f"[yellow]Not measured: {scores.BUTTERAUGLI} (Debian: libjxl-devtools) is not installed[/]")
    lines += [f"[red]{line}[/]" for line in wrong]
    console.print("\n".join([*lines, *map(str, (path, *pictures))]), soft_wrap=True)
    return not wrong
