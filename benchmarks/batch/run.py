"""`compressor batch` as users start it: objects per second, CPU time outside the codec, and memory by number of keys.

python -m benchmarks batch [--quick] [--parts local,s3,fast-path,dask,keys,peer] [--objects N] [--workers 1,2]
                           [--keys 10000,100000] [--endpoint URL] [--fast-path-rounds N] [--peer-rounds N] [--out DIR]
"""

import argparse
import compileall
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import compressor
from benchmarks.batch import backends, local_peer, measure, table
from benchmarks.harness import record, sources
from benchmarks.harness.options import add_parts

PARTS = ("local", "s3", "fast-path", "dask", "keys", "peer")


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks batch")
    parser.add_argument("--quick", action="store_true", help="few objects and rounds, for a first impression")
    add_parts(parser, PARTS)
    parser.add_argument("--objects", type=int, help="number of objects in each run", metavar="N")
    parser.add_argument("--keys", help="numbers of keys for which memory is measured, ascending", metavar="N,…")
    parser.add_argument("--workers", default="1,2", help="numbers of worker processes", metavar="N,…")
    parser.add_argument("--endpoint", help="URL of a running S3 server; default: Ceph's or moto's, if installed")
    parser.add_argument("--fast-path-rounds", type=int, help="runs with and without the S3 fast path", metavar="N")
    parser.add_argument("--peer-rounds", type=int, help="rounds of the comparison with jpegoptim", metavar="N")
    chosen = parser.parse_args(words)
    usual = {"objects": 400, "keys": "10000,100000", "fast_path_rounds": 3, "peer_rounds": 5}
    quick = {"objects": 100, "keys": "1000", "fast_path_rounds": 1, "peer_rounds": 1}
    for name, value in (quick if chosen.quick else usual).items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    return chosen


@dataclass
class Results:
    """The results of all parts that were chosen."""

    stores: list[measure.BatchResult] = field(default_factory=list)
    fast_path: measure.FastPathResult | None = None
    listings: list[measure.ListingResult] = field(default_factory=list)
    local: list[local_peer.LocalResult] = field(default_factory=list)

    def problems(self) -> list[str]:
        """List everything that is wrong or exceeds its limit."""
        found = measure.problems_of(self.stores, self.fast_path, self.listings)
        return found + [f"{one.tool}, {one.size}: {one.problem}" for one in self.local if one.problem]


def measure_stores(
    chosen: argparse.Namespace,
    objects: Mapping[str, bytes],
    root: Path,
    results: Results,
    on_progress: Callable[[str], None],
) -> None:
    """Measure runs over the same objects on all stores and engines."""
    numbers = [int(word) for word in chosen.workers.split(",")]
    folders = backends.FolderBackend(root)
    stores: list[backends.Backend] = [folders] if "local" in chosen.parts else []
    needs_s3 = {"s3", "fast-path"} & {*chosen.parts}
    with backends.s3(chosen.endpoint) if needs_s3 else nullcontext() as s3:
        stores += [s3] if s3 is not None and "s3" in chosen.parts else []
        for backend in stores:
            for workers in numbers:
                on_progress(f"{backend.name}, {workers} workers")
                results.stores.append(measure.measure(backend, objects, "local", workers))
        if s3 is not None and "fast-path" in chosen.parts and chosen.fast_path_rounds:
            on_progress(f"{s3.name}, with and without the S3 fast path")
            results.fast_path = measure.measure_fast_path(s3, objects, chosen.fast_path_rounds)
    for workers in numbers if "dask" in chosen.parts else ():
        with backends.dask_cluster(root / "dask", workers) as address:
            if address is not None:
                on_progress(f"{folders.name}, {workers} workers of Dask")
                arguments = ("--engine", "dask", "--scheduler", address)
                results.stores.append(measure.measure(folders, objects, "dask", workers, *arguments))


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result is wrong or exceeds its limit."""
    chosen = options(words)
    console = record.console()
    compileall.compile_dir(str(Path(compressor.__file__).parent), quiet=1)  # as pip does: each run is a new process
    results, objects = Results(), dict[str, bytes]()
    if {*chosen.parts} - {"keys", "peer"}:
        objects = measure.generate_objects(chosen.objects)
    with tempfile.TemporaryDirectory() as scratch, console.status("") as status:
        on_progress = record.progress(console, status)
        if objects:
            measure_stores(chosen, objects, Path(scratch), results, on_progress)
        if "keys" in chosen.parts:
            numbers = [int(word) for word in chosen.keys.split(",") if word]
            results.listings = [measure.measure_listing(Path(scratch), number) for number in numbers]
        if "peer" in chosen.parts:
            for name, count in (local_peer.QUICK_OBJECTS if chosen.quick else local_peer.OBJECTS).items():
                on_progress(f"{count} local files of {sources.SIZES[name]}")
                results.local += local_peer.compare(sources.SIZES[name], count, chosen.peer_rounds)
    problems = results.problems()
    if results.stores:
        console.print(table.batch_table(results.stores, sum(map(len, objects.values())) / len(objects)))
    if results.fast_path is not None:
        console.print(table.fast_path_table(results.fast_path))
    if results.listings:
        console.print(table.listing_table(results.listings))
    if results.local:
        console.print(table.local_table(results.local, chosen.peer_rounds))
        if not local_peer.has_jpegoptim():
            console.print("[yellow]Not measured, since not installed: jpegoptim (Debian package jpegoptim)[/]")
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    content = {
        "results": [asdict(one) for one in results.stores],
        "fast_path": None if results.fast_path is None else asdict(results.fast_path),
        "listings": [asdict(one) for one in results.listings],
        "local_files": [asdict(one) for one in results.local],
        "problems": problems,
    }
    console.print(f"[dim]{record.save(out, 'batch', content)}[/]", soft_wrap=True)
    return not problems
