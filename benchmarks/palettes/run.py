"""PNG with few colors beside pngquant: bytes at equal SSIMULACRA2 and at equal MS-SSIM, and CPU time.

python -m benchmarks palettes [--quick] [--graphics FOLDER] [--effort best] [--out DIR]
"""

import argparse
import io
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table

from benchmarks.harness import record
from benchmarks.harness.ms_ssim import ms_ssim
from benchmarks.harness.process import limit_cores
from benchmarks.palettes.curves import Point, difference
from benchmarks.palettes.pictures import sources
from compressor.settings import Effort
from tests.corpus import CORPUS

COUNTS, QUICK_COUNTS = (16, 32, 64, 128, 256), (32, 256)
QUICK_PICTURES = 3
LEAST_LACK = 1e-7  # of MS-SSIM to 1, so that it has a logarithm
BACKGROUNDS = (26, 230)  # of grey, onto which alpha is composited; the lower score counts


@dataclass
class Comparison:
    """A picture: our results and the peer's, and our bytes relative to its at equal score, minus 1.

    sizes       of the files as they are
    recoded     of both after our lossless compression
    by_ms_ssim  of the files as they are, at equal MS-SSIM
    undithered  of the files as they are, if the peer does not diffuse errors (`--nofs`)
    """

    name: str
    ours: list[Point]
    peer: list[Point]
    sizes: float | None
    recoded: float | None
    by_ms_ssim: float | None
    undithered: float | None


def pngquant() -> str | None:
    """Return the path of pngquant's program, of PyPI's `pngquant-cli` or of the system."""
    return shutil.which("pngquant", path=str(Path(sys.executable).parent)) or shutil.which("pngquant")


def scores(source: bytes, result: bytes) -> tuple[float, float]:
    """Return the SSIMULACRA2 of a PNG file against another one, and the MS-SSIM in decibels."""
    from compressor.ssimulacra2 import Ssimulacra2

    images = [Image.open(io.BytesIO(data)).convert("RGBA") for data in (source, result)]
    found, similar = [], []
    for grey in BACKGROUNDS:
        ground = Image.new("RGBA", images[0].size, (grey, grey, grey, 255))
        one, other = (np.asarray(Image.alpha_composite(ground, image).convert("RGB")) for image in images)
        scorer = Ssimulacra2(*images[0].size, 3)
        scorer.add(one, other)
        found.append(scorer.score())
        similar.append(ms_ssim(one, other))
    return min(found), -10 * float(np.log10(max(LEAST_LACK, 1 - min(similar))))


def ours(source: bytes, colors: int, effort: str) -> Point | None:
    """Return our result, None if it is lossless."""
    from compressor import pipeline

    start = time.process_time()
    result = pipeline.compress(source, png_colors=colors, target_score=0, effort=Effort(effort))
    seconds = time.process_time() - start
    if result.report.path != "pixels":
        return None
    return Point(colors, *scores(source, result.data), len(result.data), len(result.data), seconds)


def peers(program: str, source: bytes, colors: int, effort: str, *options: str) -> Point:
    """Return pngquant's result, with its defaults but for `options`. Its CPU time includes the start of the process."""
    from compressor import pipeline

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    start = used()
    done = subprocess.run([program, *options, str(colors), "-"], input=source, stdout=subprocess.PIPE, check=True)
    seconds = used() - start
    recoded = pipeline.compress(done.stdout, effort=Effort(effort)).data
    return Point(colors, *scores(source, done.stdout), len(done.stdout), len(recoded), seconds)


def compare(
    program: str, name: str, source: bytes, counts: Sequence[int], effort: str, on_progress: Callable[[str], None]
) -> Comparison:
    """Compare the results with several numbers of colors; both programs take turns."""
    own: list[Point] = []
    other: list[Point] = []
    undithered: list[Point] = []
    for colors in counts:
        on_progress(f"{name}, {colors} colors")
        if (point := ours(source, colors, effort)) is not None:
            own.append(point)
        other.append(peers(program, source, colors, effort))
        undithered.append(peers(program, source, colors, effort, "--nofs"))
    return Comparison(
        name,
        own,
        other,
        sizes=difference(own, other, "size"),
        recoded=difference(own, other, "recoded"),
        by_ms_ssim=difference(own, other, "size", "ms_ssim"),
        undithered=difference(own, undithered, "size"),
    )


def has_many_colors(source: bytes) -> bool:
    """Return whether a picture has more than 256 colors: others are not reduced."""
    image = Image.open(io.BytesIO(source))
    return image.mode in ("RGB", "RGBA") and image.convert("RGBA").getcolors(256) is None


def mean(values: Sequence[float | None]) -> float:
    """Return the geometric mean of ratios minus 1, without those that are None."""
    return float(np.exp(statistics.fmean(np.log1p(value) for value in values if value is not None)) - 1)


def table(results: Sequence[Comparison], effort: str) -> Table:
    """Return a row for each picture, and the mean."""
    title = f"at most 16 to 256 colors, {effort}: bytes at equal SSIMULACRA2 and CPU time, relative to pngquant"
    heads = ["bytes", "recoded", "MS-SSIM", "--nofs", "score", "its score", "CPU"]
    made = record.table(title, ["picture"], heads)

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:+.1%}"

    for one in results:
        shown = [f"{points[-1].score:.1f}" if points else "–" for points in (one.ours, one.peer)]
        made.add_row(one.name, *map(share, readings(one)), *shown, f"{cpu_ratio([one]):.2f}")
    made.add_section()
    means = [mean(values) for values in zip(*map(readings, results), strict=True)]
    made.add_row("mean", *map(share, means), "", "", f"{cpu_ratio(results):.2f}")
    return made


def readings(one: Comparison) -> tuple[float | None, ...]:
    """Return our bytes relative to the peer's in all four readings."""
    return one.sizes, one.recoded, one.by_ms_ssim, one.undithered


def cpu_ratio(results: Sequence[Comparison]) -> float:
    """Return our CPU time relative to the peer's, over the numbers of colors that both have reduced pictures to."""
    own = other = 0.0
    for one in results:
        reached = {point.colors for point in one.ours}
        own += sum(point.cpu_seconds for point in one.ours)
        other += sum(point.cpu_seconds for point in one.peer if point.colors in reached)
    return own / other if other else float("nan")


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks palettes")
    parser.add_argument("--quick", action="store_true", help="few pictures and numbers of colors")
    parser.add_argument("--graphics", type=Path, default=CORPUS / "graphics", help="folder of PNG files")
    parser.add_argument("--effort", default="balanced", choices=("fast", "balanced", "best"))
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if pngquant is missing or a result has too many colors."""
    chosen = options(words)
    console = record.console()
    program = pngquant()
    if program is None:
        console.print("pngquant is not installed: pip install pngquant-cli")
        return False
    limit_cores(1)
    counts = QUICK_COUNTS if chosen.quick else COUNTS
    pictures = [(name, data) for name, data in sources(chosen.graphics) if has_many_colors(data)]
    if chosen.quick:
        pictures = pictures[-QUICK_PICTURES:]
    with console.status("") as status:
        on_progress = record.progress(console, status)
        results = [compare(program, *picture, counts, chosen.effort, on_progress) for picture in pictures]
    console.print(table(results, chosen.effort))
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    content = {"pngquant": version, "effort": chosen.effort, "pictures": [asdict(one) for one in results]}
    console.print(f"[dim]{record.save(out, 'palettes', content)}[/]", soft_wrap=True)
    return all(one.ours for one in results)
