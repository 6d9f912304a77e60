"""Many images at once in one process, as in a busy service: MP/s and CPU time, compared with one after the other.

python -m benchmarks concurrency [--sides 256,1024,3072] [--threads 1,2,8] [--out DIR]
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
PSNR_MIN_DB = 28.0
CONVERSIONS: dict[str, dict[str, Any]] = {
    "JPEG, fast": {"effort": "fast"},
    "JPEG, balanced": {},
    "JPEG, lossless": {"lossless": True},
    "PNG to JPEG": {"format": "jpeg"},
}


@dataclass(frozen=True)
class ConcurrencyResult:
    """Medians over all rounds, for images of side × side.

    ratio        of each round's MP/s to the first number of threads
    cpu_seconds  per image
    """

    conversion: str
    side: int
    threads: int
    mp_per_second: float
    ratio: float
    cpu_seconds: float
    problem: str


def source(side: int, kind: str) -> bytes:
    """Return a square image of tiled photographs as a file."""
    largest = max((photos.pixels(path) for path in photos.packaged()), key=lambda pixels: pixels.size)
    across, down = (-(-side // length) for length in (largest.shape[1], largest.shape[0]))
    sink = io.BytesIO()
    options = {"quality": QUALITY} if kind == "JPEG" else {"compress_level": 3}
    Image.fromarray(np.tile(largest, (down, across, 1))[:side, :side]).save(sink, kind, **options)
    return sink.getvalue()


def problem_of(data: bytes, results: Sequence[bytes], lossless: bool) -> str:
    """Return why results are wrong, or ""."""
    if len(set(results)) != 1:
        return "results of concurrent calls differ"
    if len(results[0]) >= len(data):
        return "not smaller"
    psnr = fidelity.psnr(fidelity.decoded(data), fidelity.decoded(results[0]))
    if lossless and psnr != float("inf"):
        return "not lossless"
    return "" if psnr >= PSNR_MIN_DB else f"{psnr:.1f} dB"


def compare(conversion: str, side: int, threads: Sequence[int], rounds: int = ROUNDS) -> list[ConcurrencyResult]:
    """Measure all numbers of threads in interleaved rounds."""
    settings = CONVERSIONS[conversion]
    data = source(side, "PNG" if conversion.startswith("PNG") else "JPEG")
    start = time.perf_counter()
    results = {compressor.compress(data, **settings).data for _ in range(2)}
    count = max(2 * max(threads), int(ROUND_SECONDS / (time.perf_counter() - start)))
    rates: dict[int, list[float]] = {number: [] for number in threads}
    cpu_seconds: dict[int, list[float]] = {number: [] for number in threads}
    for round_, number in itertools.product(range(rounds), threads):
        number = number if round_ % 2 else threads[-1 - threads.index(number)]
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(time.sleep, [0.01] * number))  # starts all threads
            clock, cpu = time.perf_counter(), time.process_time()
            results.update(pool.map(lambda _: compressor.compress(data, **settings).data, range(count)))
            rates[number].append(count * side * side / 1e6 / (time.perf_counter() - clock))
            cpu_seconds[number].append((time.process_time() - cpu) / count)
    problem = problem_of(data, list(results), "lossless" in settings)
    return [
        ConcurrencyResult(
            conversion=conversion,
            side=side,
            threads=number,
            mp_per_second=statistics.median(rates[number]),
            ratio=statistics.median(a / b for a, b in zip(rates[number], rates[threads[0]], strict=True)),
            cpu_seconds=statistics.median(cpu_seconds[number]),
            problem=problem,
        )
        for number in threads
    ]


def table_of(results: Sequence[ConcurrencyResult]) -> Table:
    """Return a row for each conversion, size and number of threads."""
    columns = ("threads", "MP/s", "vs first", "CPU ms\nper image")
    table = record.table("Concurrent images in one process", ("", "side"), columns)
    for one in results:
        table.add_row(
            one.conversion if not one.problem else f"[red]{one.conversion}[/]",
            f"{one.side}",
            f"{one.threads}",
            f"{one.mp_per_second:.1f}",
            f"{one.ratio:.2f}",
            f"{one.cpu_seconds * 1e3:.1f}",
        )
    return table


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks concurrency")
    parser.add_argument("--sides", default="256,1024,3072", help="sides of the square images in pixels", metavar="N,…")
    parser.add_argument(
        "--threads", default="1,2,8", help="numbers of threads; the first is the reference", metavar="N,…"
    )
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result is wrong."""
    chosen = options(words)
    console = record.console()
    sides, threads = ([int(word) for word in words.split(",")] for words in (chosen.sides, chosen.threads))
    results: list[ConcurrencyResult] = []
    for conversion, side in itertools.product(CONVERSIONS, sides):
        console.print(f"[dim]{conversion}, {side} × {side}[/]")
        results += compare(conversion, side, threads)
    console.print(table_of(results))
    problems = sorted({f"{one.conversion}, {one.side}: {one.problem}" for one in results if one.problem})
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    path = record.save(out, "concurrency", {"results": [asdict(one) for one in results]})
    console.print(f"[dim]{path}[/]", soft_wrap=True)
    return not problems
