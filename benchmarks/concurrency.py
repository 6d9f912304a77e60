"""Many images at once in one process, as in a busy service: MP/s and CPU time, beside one after the other.

python -m benchmarks together [--sides 256,1024,3072] [--threads 1,2,8] [--out DIR]
"""

import argparse
import io
import itertools
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

import compressor
from benchmarks.harness import fidelity, photos, record

ROUNDS = 7
ROUND_SECONDS = 0.5  # of one thread
QUALITY = 92  # of the sources
LOOKS_FINE_DB = 28.0
WAYS: dict[str, dict[str, Any]] = {
    "JPEG, fast": {"effort": "fast"},
    "JPEG, balanced": {},
    "JPEG, lossless": {"lossless": True},
    "PNG to JPEG": {"format": "jpeg"},
}


@dataclass(frozen=True)
class Result:
    """Medians over all rounds, of images of side × side.

    ratio           of each round's MP/s to those of one thread
    cpu_seconds     of an image
    """

    way: str
    side: int
    threads: int
    mp_per_second: float
    ratio: float
    cpu_seconds: float
    problem: str


def source(side: int, kind: str) -> bytes:
    """A file of photographs laid beside each other."""
    largest = max((photos.pixels(path) for path in photos.packaged()), key=lambda pixels: pixels.size)
    across, down = (-(-side // length) for length in (largest.shape[1], largest.shape[0]))
    sink = io.BytesIO()
    options = {"quality": QUALITY} if kind == "JPEG" else {"compress_level": 3}
    Image.fromarray(np.tile(largest, (down, across, 1))[:side, :side]).save(sink, kind, **options)
    return sink.getvalue()


def problem_of(data: bytes, results: Sequence[bytes], lossless: bool) -> str:
    """Why results are not what they should be, or ""."""
    if len(set(results)) != 1:
        return "images that were made together differ"
    if len(results[0]) >= len(data):
        return "not smaller"
    psnr = fidelity.psnr(fidelity.decoded(data), fidelity.decoded(results[0]))
    if lossless and psnr != float("inf"):
        return "not lossless"
    return "" if psnr >= LOOKS_FINE_DB else f"{psnr:.1f} dB"


def compare(way: str, side: int, threads: Sequence[int], rounds: int = ROUNDS) -> list[Result]:
    """All numbers of threads in turns."""
    settings = WAYS[way]
    data = source(side, "PNG" if way.startswith("PNG") else "JPEG")
    begun = time.perf_counter()
    results = {compressor.compress(data, **settings).data for _ in range(2)}
    count = max(2 * max(threads), int(ROUND_SECONDS / (time.perf_counter() - begun)))
    rates: dict[int, list[float]] = {number: [] for number in threads}
    spent: dict[int, list[float]] = {number: [] for number in threads}
    for turn, number in itertools.product(range(rounds), threads):
        number = number if turn % 2 else threads[-1 - threads.index(number)]
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(time.sleep, [0.01] * number))  # all of them are there
            clock, cpu = time.perf_counter(), time.process_time()
            results.update(pool.map(lambda _: compressor.compress(data, **settings).data, range(count)))
            rates[number].append(count * side * side / 1e6 / (time.perf_counter() - clock))
            spent[number].append((time.process_time() - cpu) / count)
    problem = problem_of(data, list(results), "lossless" in settings)
    return [
        Result(
            way=way,
            side=side,
            threads=number,
            mp_per_second=statistics.median(rates[number]),
            ratio=statistics.median(a / b for a, b in zip(rates[number], rates[threads[0]], strict=True)),
            cpu_seconds=statistics.median(spent[number]),
            problem=problem,
        )
        for number in threads
    ]


def table_of(results: Sequence[Result]) -> Table:
    table = record.table("Images at once, in one process", ("", "side"), ("threads", "MP/s", "to one", "CPU ms"))
    for one in results:
        table.add_row(
            one.way if not one.problem else f"[red]{one.way}[/]",
            f"{one.side}",
            f"{one.threads}",
            f"{one.mp_per_second:.1f}",
            f"{one.ratio:.2f}",
            f"{one.cpu_seconds * 1e3:.1f}",
        )
    return table


def options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks together")
    parser.add_argument("--sides", default="256,1024,3072", help="of the square images, in pixels")
    parser.add_argument(
        "--threads", default="1,2,8", help="numbers of them; the first is what others are compared with"
    )
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print, save; False where a result is not as it should be."""
    chosen = options(words)
    console = record.console()
    sides, threads = ([int(word) for word in words.split(",")] for words in (chosen.sides, chosen.threads))
    results: list[Result] = []
    for way, side in itertools.product(WAYS, sides):
        console.print(f"[dim]{way}, {side} × {side}[/]")
        results += compare(way, side, threads)
    console.print(table_of(results))
    problems = sorted({f"{one.way}, {one.side}: {one.problem}" for one in results if one.problem})
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    console.print(
        f"[dim]{record.save(out, 'together', {'results': [asdict(one) for one in results]})}[/]", soft_wrap=True
    )
    return not problems
