"""One quality in every format, and the choice of `auto`, on photographs and drawings of the corpus.

python -m benchmarks formats [--quick] [--images N] [--jobs N] [--out DIR]
python -m benchmarks formats --scales [--efforts fast,…]     the tables of compressor/raster/scales.py, and the scores
                                                             of qualities of compressor/pipeline/target.py
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.formats import measure, scales, table
from benchmarks.harness import options as parsing
from benchmarks.harness import photos, record
from compressor.settings import Effort

QUICK_IMAGES = 3


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks formats")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_IMAGES} photographs and drawings, one quality")
    parser.add_argument("--images", type=int, help="only the first N of each kind", metavar="N")
    parser.add_argument(
        "--scales", action="store_true", help="make the tables of scales.py, and the scores of qualities, instead"
    )
    parser.add_argument(
        "--efforts", type=parsing.among(scales.EFFORTS), default=scales.EFFORTS, help="of --scales", metavar="NAME,…"
    )
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="number of processes", metavar="N"
    )
    chosen = parser.parse_args(words)
    chosen.images = chosen.images or (QUICK_IMAGES if chosen.quick else None)
    return chosen


def make_scales(chosen: argparse.Namespace, out: Path) -> bool:
    """Make and print the tables; return True."""
    console, images = record.console(), scales.tuning()[: chosen.images]
    if not images:
        console.print("[yellow]Not measured: there is no corpus of photographs (COMPRESSOR_CORPUS)[/]")
        return True
    made: dict[str, dict[Effort, tuple[float, ...]]] = {format: {} for format in scales.FORMATS}
    with ProcessPoolExecutor(chosen.jobs) as pool:
        sets = [one[: chosen.images] for one in scales.not_for_validation()]
        of_qualities = scales.quality_scores([list(pool.map(scales.scores_of_whole_jpeg, one)) for one in sets])
        console.print(f"QUALITY_SCORES = {of_qualities}", soft_wrap=True, highlight=False, markup=False)
        wanted = np.mean(list(pool.map(scales.scores_of_jpeg, images)), 0).tolist()
        for effort in map(Effort, chosen.efforts):
            for format in scales.FORMATS:
                found = list(pool.map(scales.scores_of, [(image, format, effort) for image in images]))
                made[format][effort] = scales.fitted(format, found, wanted)
    console.print(scales.source_text(made), soft_wrap=True, highlight=False, markup=False)
    content = {
        "images": [image.name for image in images],
        "scores of JPEG": wanted,
        "scales": made,
        "scores of qualities": of_qualities,
    }
    console.print(f"[dim]{record.save(out, 'formats-scales', content)}[/]", soft_wrap=True)
    return True


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a goal is missed."""
    chosen = options(words)
    if chosen.scales:
        return make_scales(chosen, out)
    console = record.console()
    kinds: dict[str, Sequence[photos.Photograph | Path]] = {
        measure.PHOTOGRAPHS: measure.photographs(),
        measure.DRAWINGS: measure.drawings(),
    }
    qualities = (measure.AUTO_QUALITY,) if chosen.quick else measure.QUALITIES
    pictures: dict[str, list[measure.Picture]] = {}
    with console.status("") as status, ProcessPoolExecutor(chosen.jobs) as pool:
        on_progress = record.progress(console, status)
        for kind, sources in kinds.items():
            work = [(source, qualities) for source in sources[: chosen.images]]
            pictures[kind] = []
            for one in pool.map(measure.measure, work):
                pictures[kind].append(one)
                on_progress(f"{kind}: {len(pictures[kind])} of {len(work)}, {one.name}")
    by_kind = {kind: measure.rows(found, qualities) for kind, found in pictures.items() if found}
    if not by_kind:
        console.print("[yellow]Not measured: there is no corpus of photographs (COMPRESSOR_CORPUS)[/]")
        return True
    for kind, rows in by_kind.items():
        console.print(table.formats_table(kind, rows))
    missed = measure.problems(by_kind, qualities)
    for problem in missed:
        console.print(f"[red]{problem}[/]")
    content = {
        "rows": {kind: {name: asdict(one) for name, one in rows.items()} for kind, rows in by_kind.items()},
        "pictures": {kind: [asdict(one) for one in found] for kind, found in pictures.items()},
        "problems": missed,
    }
    console.print(f"[dim]{record.save(out, 'formats', content)}[/]", soft_wrap=True)
    return not missed
