"""`compressor batch` as users start it: objects per second, CPU time outside the codec, and memory by number of keys.

python -m benchmarks batch [--objects N] [--workers 1,2] [--keys 10000,100000] [--endpoint URL] [--out DIR]
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.batch import backends, measure, table
from benchmarks.harness import record


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks batch")
    parser.add_argument("--objects", type=int, default=400, help="number of objects in each run", metavar="N")
    parser.add_argument(
        "--keys", default="10000,100000", help="numbers of keys for which memory is measured, ascending", metavar="N,…"
    )
    parser.add_argument("--workers", default="1,2", help="numbers of worker processes", metavar="N,…")
    parser.add_argument("--endpoint", help="URL of a running S3 server; default: Ceph's or moto's, if installed")
    parser.add_argument(
        "--fast-path-rounds", type=int, default=3, help="runs with and without the S3 fast path; 0: none", metavar="N"
    )
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result is wrong or exceeds its limit."""
    chosen = options(words)
    console = record.console()
    objects = measure.generate_objects(chosen.objects)
    numbers = [int(word) for word in chosen.workers.split(",")]
    results: list[measure.BatchResult] = []
    fast_path: measure.FastPathResult | None = None
    with tempfile.TemporaryDirectory() as scratch, backends.s3(chosen.endpoint) as s3:
        root = Path(scratch)
        folders = backends.FolderBackend(root)
        stores: list[backends.Backend] = [folders] if s3 is None else [folders, s3]
        for backend in stores:
            for workers in numbers:
                console.print(f"[dim]{backend.name}, {workers} workers[/]")
                results.append(measure.measure(backend, objects, "local", workers))
        if s3 is not None and chosen.fast_path_rounds:
            console.print(f"[dim]{s3.name}, with and without the S3 fast path[/]")
            fast_path = measure.measure_fast_path(s3, objects, chosen.fast_path_rounds)
        for workers in numbers:
            with backends.dask_cluster(root / "dask", workers) as address:
                if address is not None:
                    console.print(f"[dim]{folders.name}, {workers} workers of Dask[/]")
                    arguments = ("--engine", "dask", "--scheduler", address)
                    results.append(measure.measure(folders, objects, "dask", workers, *arguments))
        listings = [measure.measure_listing(root, int(word)) for word in chosen.keys.split(",") if word]
    problems = measure.problems_of(results, fast_path, listings)
    console.print(table.batch_table(results, sum(map(len, objects.values())) / len(objects)))
    if fast_path is not None:
        console.print(table.fast_path_table(fast_path))
    if listings:
        console.print(table.listing_table(listings))
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    content = {
        "results": [asdict(one) for one in results],
        "fast_path": None if fast_path is None else asdict(fast_path),
        "listings": [asdict(one) for one in listings],
        "problems": problems,
    }
    console.print(f"[dim]{record.save(out, 'batch', content)}[/]", soft_wrap=True)
    return not problems
