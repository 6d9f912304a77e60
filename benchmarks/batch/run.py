"""`compressor batch` as users start it: objects per second, CPU time beside the codec, and memory over the keys.

python -m benchmarks batch [--objects N] [--keys 10000,100000] [--endpoint URL] [--out DIR]
"""

import argparse
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from benchmarks import ROOT
from benchmarks.batch import backends as places
from benchmarks.harness import fidelity, photos, record

SIDE = 512
FEW = 16  # objects of a run that only begins: from as many results on all workers are taken to be at work
AT_ONCE = 4  # objects that a worker has; the last ones are not the same work any more
QUALITY = 92  # of the sources
LOOKS_FINE_DB = 28.0
OTHER_SECONDS_MAX = 3e-3  # CPU time of an object of local files, beside the codec
GROWTH_BYTES_MAX = 8 << 20  # of the coordinator, between the fewest and the most keys
LOOK_SECONDS = 0.1
MIB = 1 << 20
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Look:
    """At a run: how many results there are so far."""

    seconds: float
    results: int


@dataclass(frozen=True)
class Command:
    """One run of it.

    looks        some a second
    cpu_seconds  of all its processes, from beginning to end
    peak_bytes   of the coordinator; 0 where the system does not tell
    """

    summary: dict[str, Any]
    seconds: float
    looks: list[Look]
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Row:
    """A way to do all objects. Rates are those between the first results and the last, CPU times what all objects take
    more than a few: without beginning and ending.

    start_seconds  to the first result
    codec_seconds  CPU time of an object in the codec
    other_seconds  and beside it, in all processes of the command; None where workers are not its own
    """

    place: str
    engine: str
    workers: int
    objects: int
    objects_per_second: float
    bytes_per_second: float
    seconds: float
    start_seconds: float
    codec_seconds: float
    other_seconds: float | None
    problem: str


@dataclass(frozen=True)
class Listed:
    """A run over keys that are no images."""

    keys: int
    seconds: float
    peak_bytes: int
    problem: str


def batch(*words: object, environment: Mapping[str, str] = NOTHING, results: Callable[[], int] = lambda: 0) -> Command:
    """Run the command. Raises RuntimeError where it fails. `results` counts what there is so far."""
    command = [sys.executable, "-m", "compressor.cli", "batch", *map(str, words), "--json"]
    around = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    start, looks, peak, spent = time.perf_counter(), list[Look](), 0, ended_seconds()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, cwd=ROOT, env=around)
        try:
            while process.poll() is None:
                count = results()
                looks.append(Look(time.perf_counter() - start, count))
                peak = max(peak, peak_of(process.pid))
                time.sleep(LOOK_SECONDS)
        finally:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - start
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"compressor batch ended with code {process.returncode}: {errors.read()[-500:]}")
        return Command(json.loads(out.read()), seconds, looks, ended_seconds() - spent, peak)


def peak_of(pid: int) -> int:
    """The most that a process had in memory; 0 where it is gone or the system does not tell."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0


def ended_seconds() -> float:
    """CPU time of all processes that this one has started and waited for, with those that they have."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def objects_of(count: int) -> dict[str, bytes]:
    """`count` JPEG photographs of 512 × 512 by key: parts of the packaged ones, each from another place."""
    sources = [pixels for path in photos.packaged() if min((pixels := photos.pixels(path)).shape[:2]) > SIDE]
    dice, made = np.random.default_rng(1), {}
    for number, pixels in zip(range(count), itertools.cycle(sources), strict=False):
        top, left = (int(dice.integers(0, length - SIDE)) for length in pixels.shape[:2])
        sink = io.BytesIO()
        part = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
        Image.fromarray(part).save(sink, "JPEG", quality=QUALITY)
        made[f"{number % 10}/{number:06}.jpg"] = sink.getvalue()
    return made


def problem_of(command: Command, objects: Mapping[str, bytes], place: places.Place, target: str) -> str:
    """Why what came of the objects is not right, or ""."""
    summary, found = command.summary, 0
    if summary["objects"] != len(objects) or sum(total["objects"] for total in summary["totals"]) != len(objects):
        return f"{summary['objects']} of {len(objects)} objects are accounted for"
    written = 0
    for key, after in place.contents(target):
        before = objects.get(key)
        if before is None:
            return f"{key} came from nowhere"
        if len(after) > len(before):
            return f"{key} is larger than it was"
        if (
            after != before
            and (psnr := fidelity.psnr(fidelity.decoded(before), fidelity.decoded(after))) < LOOKS_FINE_DB
        ):
            return f"{key} has {psnr:.1f} dB"
        found, written = found + 1, written + len(after)
    if found != len(objects):
        return f"{len(objects) - found} objects are not there"
    return "" if written == summary["bytes_out"] else f"{summary['bytes_out']} bytes were told, {written} are there"


def steady_of(command: Command, objects: int, workers: int) -> tuple[Look, Look]:
    """The first and the last look at which all workers had as much to do as they take. Raises RuntimeError where there
    are no two."""
    steady = [look for look in command.looks if FEW <= look.results <= objects - AT_ONCE * workers]
    if len(steady) < 2 or steady[0].results == steady[-1].results:
        raise RuntimeError(f"{objects} objects are too few: they were done within {LOOK_SECONDS} s")
    return steady[0], steady[-1]


def measure(place: places.Place, objects: Mapping[str, bytes], engine: str, workers: int, *words: object) -> Row:
    """Have a few objects done, then all."""
    few = dict(itertools.islice(objects.items(), FEW))
    begun, _ = done_of(place, few, workers, *words)
    command, target = done_of(place, objects, workers, *words)
    first, last = steady_of(command, len(objects), workers)
    rate, more = (last.results - first.results) / (last.seconds - first.seconds), len(objects) - len(few)
    other = None
    if engine == "local":
        codec = (codec_seconds(command) - codec_seconds(begun)) / more
        other = (command.cpu_seconds - begun.cpu_seconds) / more - codec
    else:  # these workers stay: they had begun before the objects that count
        codec = codec_seconds(command) / len(objects)
    return Row(
        place=place.name,
        engine=engine,
        workers=workers,
        objects=len(objects),
        objects_per_second=rate,
        bytes_per_second=rate * command.summary["bytes_in"] / len(objects),
        seconds=command.seconds,
        start_seconds=next(look.seconds for look in command.looks if look.results),
        codec_seconds=codec,
        other_seconds=other,
        problem=problem_of(command, objects, place, target),
    )


def done_of(place: places.Place, objects: Mapping[str, bytes], workers: int, *words: object) -> tuple[Command, str]:
    """A run over objects that are new in place, and where their results are."""
    source, target = place.filled(objects), place.empty()
    with tempfile.TemporaryDirectory() as folder:
        words = (source, target, "--ledger", Path(folder) / "ledger", "--workers", workers, *words)
        return batch(*words, environment=place.environment, results=lambda: place.count(target)), target


def codec_seconds(command: Command) -> float:
    return float(sum(command.summary["stage_seconds"].values()))


def listed(root: Path, count: int) -> Listed:
    """Objects of some bytes that are no images, in place: each is opened, none is written."""
    folder = root / f"{count} keys"
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:05}").mkdir(parents=True)
        (folder / f"{number // 1000:05}" / f"object {number:08}.txt").write_bytes(b"no image\n")
    command = batch(
        folder, "--in-place", "--discard-originals", "--allow-non-atomic", "--ledger", root / f"{count}.ledger"
    )
    kept = sum(total["objects"] for total in command.summary["totals"] if total["reason"] == "not an image")
    problem = "" if kept == count else f"{kept} of {count} objects are accounted for"
    if not command.peak_bytes:
        problem = problem or "this system does not tell the memory of a process in /proc/PID/status"
    return Listed(count, command.seconds, command.peak_bytes, problem)


def problems_of(rows: Sequence[Row], lists: Sequence[Listed]) -> list[str]:
    """What is not as it should be."""
    found = [f"{one.place}, {one.engine}: {one.problem}" for one in rows if one.problem]
    found += [f"{one.keys} keys: {one.problem}" for one in lists if one.problem]
    for row in rows:
        told = f"{row.place}, {row.workers} workers: {(row.other_seconds or 0) * 1e3:.1f} ms beside the codec"
        if row.other_seconds is not None and row.other_seconds <= 0:
            found.append(f"{told} can't be: more objects would tell")
        elif row.place == places.Folders.name and row.other_seconds and row.other_seconds > OTHER_SECONDS_MAX:
            found.append(told)
    if len(lists) > 1 and (grown := lists[-1].peak_bytes - lists[0].peak_bytes) > GROWTH_BYTES_MAX:
        found.append(f"the coordinator grows by {grown / MIB:.1f} MiB from {lists[0].keys} to {lists[-1].keys} keys")
    return found


def table_of(rows: Sequence[Row], most: float) -> Table:
    """`most`: bytes of an object, on average."""
    table = record.table(
        f"compressor batch, JPEG photographs of {SIDE} × {SIDE}, {most / 1e3:.0f} kB on average",
        ("objects on", "engine"),
        ("workers", "objects/s", "MB/s in", "to one\nworker", "start s", "codec\nms", "other CPU\nms"),
    )
    for row in rows:
        one = next((r for r in rows if (r.place, r.engine, r.workers) == (row.place, row.engine, 1)), None)
        table.add_row(
            row.place if not row.problem else f"[red]{row.place}[/]",
            row.engine,
            str(row.workers),
            f"{row.objects_per_second:.1f}",
            f"{row.bytes_per_second / 1e6:.1f}",
            "-" if one is None else f"{row.objects_per_second / one.objects_per_second:.2f}",
            f"{row.start_seconds:.1f}",
            f"{row.codec_seconds * 1e3:.1f}",
            "-" if row.other_seconds is None else f"{row.other_seconds * 1e3:.2f}",
        )
    return table


def table_of_lists(lists: Sequence[Listed]) -> Table:
    table = record.table("No images, in place", ("keys",), ("s", "objects/s", "coordinator MiB"))
    for one in lists:
        table.add_row(
            f"{one.keys:,}", f"{one.seconds:.1f}", f"{one.keys / one.seconds:.0f}", f"{one.peak_bytes / MIB:.1f}"
        )
    return table


def options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks batch")
    parser.add_argument("--objects", type=int, default=400, help="of each run")
    parser.add_argument("--keys", default="10000,100000", help="of the runs that look at memory, the fewest first")
    parser.add_argument("--workers", default="1,2", help="numbers of worker processes")
    parser.add_argument("--endpoint", help="of an S3 server that runs; default: Ceph's or moto's, as installed")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print, save; False where something is not as it should be."""
    chosen = options(words)
    console = record.console()
    objects = objects_of(chosen.objects)
    numbers = [int(word) for word in chosen.workers.split(",")]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch, places.s3(chosen.endpoint) as s3:
        root = Path(scratch)
        stores: list[places.Place] = [places.Folders(root)]
        if s3 is not None:
            stores.append(s3)
        for place in stores:
            for workers in numbers:
                console.print(f"[dim]{place.name}, {workers} workers[/]")
                rows.append(measure(place, objects, "local", workers))
        for workers in numbers:
            with places.dask_cluster(root / "dask", workers) as address:
                if address is not None:
                    console.print(f"[dim]{stores[0].name}, {workers} workers of Dask[/]")
                    rows.append(
                        measure(stores[0], objects, "dask", workers, "--engine", "dask", "--scheduler", address)
                    )
        lists = [listed(root, int(word)) for word in chosen.keys.split(",") if word]
    problems = problems_of(rows, lists)
    console.print(table_of(rows, sum(map(len, objects.values())) / len(objects)))
    if lists:
        console.print(table_of_lists(lists))
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    results = {"rows": [asdict(row) for row in rows], "lists": [asdict(one) for one in lists], "problems": problems}
    console.print(f"[dim]{record.save(out, 'batch', results)}[/]", soft_wrap=True)
    return not problems
