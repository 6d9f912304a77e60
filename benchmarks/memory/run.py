"""Peak memory by image size: every native conversion, in the service and in process, compared with other libraries.

python -m benchmarks memory [--megapixels 1,4,16,100,400] [--cache DIR] [--out DIR] [--json]
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import record
from benchmarks.memory import plot, table
from benchmarks.memory.measure import TARGET_BYTES, MemoryBenchmark, problems_of


def megapixels(text: str) -> list[float]:
    """Parse "1,4,16"."""
    sizes = [float(word) for word in text.split(",")]
    if not all(0 < size <= 4290 for size in sizes):
        raise argparse.ArgumentTypeError("sizes must be above 0 and at most 4290 megapixels, the limit of JPEG")
    return sorted(sizes)


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    default = [1.0, 4.0, 16.0, 100.0, 400.0]
    parser.add_argument("--megapixels", type=megapixels, default=default, help="image sizes", metavar="N,…")
    parser.add_argument(
        "--cache", type=Path, default=record.default_cache(), help="folder that keeps the source images", metavar="DIR"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print, save and plot; return False if a result is wrong or takes more memory than its target."""
    chosen = options(words)
    console = record.console()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="result-", dir=chosen.cache) as folder:
        with console.status("") as status:
            benchmark = MemoryBenchmark(chosen.cache, Path(folder), record.progress(console, status))
            for size in chosen.megapixels:
                benchmark.measure_size(size)
    results = benchmark.results
    problems = problems_of(results)
    content = {"targets": TARGET_BYTES, "conversions": [asdict(one) for one in results], "problems": problems}
    path = record.save(out, "memory", content)
    picture = plot.draw(results, path.with_suffix(".png"))
    if chosen.json:
        print(json.dumps(content))
    else:
        console.print(table.conversion_table(results))
        console.print("\n".join([*(f"[red]{line}[/]" for line in problems), f"{path}", f"{picture}"]))
    return not problems
