"""Runs of `compressor batch` as users start it, and what they took. `table` formats it, `run` does all of it."""

import io
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import ROOT
from benchmarks.batch.backends import Backend, FolderBackend
from benchmarks.harness import fidelity, photos, process

SIDE = 512
FEW = 16  # objects of a run that measures start-up; with as many results, all workers are assumed to be busy
QUEUED_MAX = 4  # objects per worker; the last ones do not keep all workers busy
QUALITY = 92  # of the sources
PSNR_MIN_DB = 28.0
OTHER_SECONDS_MAX = 3e-3  # CPU time per object of local files, outside the codec
GROWTH_BYTES_MAX = 8 << 20  # of the coordinator, between the fewest and the most keys
SAMPLE_SECONDS = 0.1
MIB = 1 << 20
NO_VARIABLES: Mapping[str, str] = {}
COMMAND = "compressor.cli"
COMMAND_WITHOUT_FAST_PATH = "benchmarks.batch.without_fast_path"


@dataclass(frozen=True)
class ProgressSample:
    """The number of results at a time after the start of a run."""

    seconds: float
    results: int


@dataclass(frozen=True)
class CommandRun:
    """A run of the command.

    samples      several per second
    cpu_seconds  of all its processes, start-up included
    peak_bytes   of the coordinator; 0 if the system does not report it
    """

    summary: dict[str, Any]
    seconds: float
    samples: list[ProgressSample]
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class BatchResult:
    """The figures of one backend, engine and number of workers.

    Rates cover the time between the first results and the last. CPU times are what each object takes beyond the first
    few, so that they exclude start-up and shutdown.

    start_seconds  until the first result
    codec_seconds  CPU time per object in the codec
    other_seconds  CPU time per object outside the codec, in all processes of the command; None if it does not start
                   the workers
    """

    backend: str
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
class FastPathResult:
    """CPU time with and without `compressor/stores/s3_fast_path.py`, of all processes of a run with one worker.

    cpu_seconds, cpu_seconds_without    per object, start-up excluded
    run_seconds, run_seconds_without    of the whole run
    """

    backend: str
    objects: int
    cpu_seconds: float
    cpu_seconds_without: float
    run_seconds: float
    run_seconds_without: float
    problem: str

    @property
    def object_share(self) -> float:
        """The share of the CPU time per object without it that it saves."""
        return 1 - self.cpu_seconds / self.cpu_seconds_without

    @property
    def run_share(self) -> float:
        """The share of the CPU time of the whole run without it that it saves."""
        return 1 - self.run_seconds / self.run_seconds_without


@dataclass(frozen=True)
class ListingResult:
    """A run over objects that are not images."""

    keys: int
    seconds: float
    peak_bytes: int
    problem: str


def run_command(
    *arguments: object,
    environment: Mapping[str, str] = NO_VARIABLES,
    count_results: Callable[[], int] = lambda: 0,
    module: str = COMMAND,
) -> CommandRun:
    """Run `compressor batch`. Raises RuntimeError if it fails.

    count_results  returns the number of results so far
    module         the main module
    """
    command = [sys.executable, "-m", module, "batch", *map(str, arguments), "--json"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    start, samples, peak, cpu_before = time.perf_counter(), list[ProgressSample](), 0, children_cpu_seconds()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        running = subprocess.Popen(command, stdout=out, stderr=errors, cwd=ROOT, env=variables)
        ended: list[float] = []
        waiting = threading.Thread(target=_note_end, args=(running, ended))
        waiting.start()
        try:
            while waiting.is_alive():
                count = count_results()
                samples.append(ProgressSample(time.perf_counter() - start, count))
                peak = max(peak, process.status_bytes("VmHWM", running.pid) or 0)
                waiting.join(SAMPLE_SECONDS)
        finally:
            running.kill()
            waiting.join()
        seconds = ended[0] - start
        out.seek(0)
        errors.seek(0)
        if running.returncode:
            raise RuntimeError(f"compressor batch ended with code {running.returncode}: {errors.read()[-500:]}")
        return CommandRun(json.loads(out.read()), seconds, samples, children_cpu_seconds() - cpu_before, peak)


def _note_end(running: "subprocess.Popen[str]", ended: list[float]) -> None:
    """Wait for a process, and add the time of its end, of time.perf_counter()."""
    running.wait()
    ended.append(time.perf_counter())


def children_cpu_seconds() -> float:
    """Return the CPU time of all ended child processes, and of their ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def generate_objects(count: int) -> dict[str, bytes]:
    """Return `count` JPEG photographs of 512 × 512 by key: different parts of the packaged photographs."""
    sources = [pixels for path in photos.packaged() if min((pixels := photos.pixels(path)).shape[:2]) > SIDE]
    rng, objects = np.random.default_rng(1), {}
    for number, pixels in zip(range(count), itertools.cycle(sources), strict=False):
        top, left = (int(rng.integers(0, length - SIDE)) for length in pixels.shape[:2])
        sink = io.BytesIO()
        part = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
        Image.fromarray(part).save(sink, "JPEG", quality=QUALITY)
        objects[f"{number % 10}/{number:06}.jpg"] = sink.getvalue()
    return objects


def problem_of(run: CommandRun, objects: Mapping[str, bytes], backend: Backend, target: str) -> str:
    """Return why the results of a run are wrong, or ""."""
    summary = run.summary
    if summary["objects"] != len(objects) or sum(total["objects"] for total in summary["totals"]) != len(objects):
        return f"the summary has {summary['objects']} of {len(objects)} objects"
    written = 0

    def counted() -> Iterator[tuple[str, bytes]]:
        nonlocal written
        for key, data in backend.contents(target):
            written += len(data)
            yield key, data

    problem = problem_of_contents(objects, counted())
    if not problem and written != summary["bytes_out"]:
        problem = f"reported {summary['bytes_out']} bytes, found {written}"
    return problem


def problem_of_contents(objects: Mapping[str, bytes], contents: Iterable[tuple[str, bytes]]) -> str:
    """Return why results are wrong compared with the objects that they were made from, or ""."""
    found = 0
    for key, after in contents:
        before = objects.get(key)
        if before is None:
            return f"{key} has no source"
        if len(after) > len(before):
            return f"{key} is larger than its source"
        if after != before:
            psnr = fidelity.psnr(fidelity.decoded(before), fidelity.decoded(after))
            if psnr < PSNR_MIN_DB:
                return f"{key} has a PSNR of {psnr:.1f} dB"
        found += 1
    return "" if found == len(objects) else f"{len(objects) - found} objects are missing"


def steady_interval(run: CommandRun, objects: int, workers: int) -> tuple[ProgressSample, ProgressSample]:
    """Return the first and the last sample at which all workers were busy. Raises RuntimeError without two of them."""
    steady = [sample for sample in run.samples if FEW <= sample.results <= objects - QUEUED_MAX * workers]
    if len(steady) < 2 or steady[0].results == steady[-1].results:
        raise RuntimeError(f"{objects} objects are too few: they took less than {SAMPLE_SECONDS} s")
    return steady[0], steady[-1]


def measure(
    backend: Backend, objects: Mapping[str, bytes], engine: str, workers: int, *arguments: object
) -> BatchResult:
    """Compress a few objects, then all of them."""
    few = first_of(objects)
    short, _ = compress(backend, few, workers, *arguments)
    run, target = compress(backend, objects, workers, *arguments)
    first, last = steady_interval(run, len(objects), workers)
    rate, more = (last.results - first.results) / (last.seconds - first.seconds), len(objects) - len(few)
    other = None
    if engine == "local":
        codec, other = cpu_seconds_of_object(short, run, more)
    else:  # these workers keep running: their start-up was part of the short run
        codec = codec_seconds(run) / len(objects)
    return BatchResult(
        backend=backend.name,
        engine=engine,
        workers=workers,
        objects=len(objects),
        objects_per_second=rate,
        bytes_per_second=rate * run.summary["bytes_in"] / len(objects),
        seconds=run.seconds,
        start_seconds=next(sample.seconds for sample in run.samples if sample.results),
        codec_seconds=codec,
        other_seconds=other,
        problem=problem_of(run, objects, backend, target),
    )


def cpu_seconds_of_object(short: CommandRun, run: CommandRun, more: int) -> tuple[float, float]:
    """Return the CPU time of an object in the codec and outside it, without start-up. `more`: than in the short run."""
    codec = (codec_seconds(run) - codec_seconds(short)) / more
    return codec, (run.cpu_seconds - short.cpu_seconds) / more - codec


def measure_fast_path(backend: Backend, objects: Mapping[str, bytes], rounds: int) -> FastPathResult:
    """Compress the objects with the S3 fast path and without it, alternating; the medians of the rounds count."""
    few = first_of(objects)
    modules = (COMMAND, COMMAND_WITHOUT_FAST_PATH)
    runs: dict[str, list[float]] = {module: [] for module in modules}
    each: dict[str, list[float]] = {module: [] for module in modules}
    problems: list[str] = []
    for number in range(rounds):
        for module in modules if number % 2 else reversed(modules):
            short, _ = compress(backend, few, 1, module=module)
            run, target = compress(backend, objects, 1, module=module)
            runs[module].append(run.cpu_seconds)
            each[module].append((run.cpu_seconds - short.cpu_seconds) / (len(objects) - len(few)))
            problems.append(problem_of(run, objects, backend, target))
    return FastPathResult(
        backend=backend.name,
        objects=len(objects),
        cpu_seconds=statistics.median(each[COMMAND]),
        cpu_seconds_without=statistics.median(each[COMMAND_WITHOUT_FAST_PATH]),
        run_seconds=statistics.median(runs[COMMAND]),
        run_seconds_without=statistics.median(runs[COMMAND_WITHOUT_FAST_PATH]),
        problem=next(filter(None, problems), ""),
    )


def first_of(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the few objects of a run that measures start-up."""
    return dict(itertools.islice(objects.items(), FEW))


def compress(
    backend: Backend, objects: Mapping[str, bytes], workers: int, *arguments: object, module: str = COMMAND
) -> tuple[CommandRun, str]:
    """Store the objects in a new location and compress them into another; return the run and the target's URL."""
    source, target = backend.create_with(objects), backend.create()
    with tempfile.TemporaryDirectory() as folder:
        words = (source, target, "--ledger", Path(folder) / "ledger", "--workers", workers, *arguments)
        run = run_command(
            *words,
            environment=backend.environment,
            count_results=lambda: backend.count(target),
            module=module,
        )
        return run, target


def codec_seconds(run: CommandRun) -> float:
    """Return the CPU time in the codec of all objects of a run."""
    return float(sum(run.summary["stage_seconds"].values()))


def measure_listing(root: Path, count: int) -> ListingResult:
    """Run in place over small files that are not images: each is opened, none is written."""
    folder = root / f"{count} keys"
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:05}").mkdir(parents=True)
        (folder / f"{number // 1000:05}" / f"object {number:08}.txt").write_bytes(b"no image\n")
    run = run_command(
        folder, "--in-place", "--discard-originals", "--allow-non-atomic", "--ledger", root / f"{count}.ledger"
    )
    kept = sum(total["objects"] for total in run.summary["totals"] if total["reason"] == "not_an_image")
    problem = "" if kept == count else f"the summary has {kept} of {count} objects"
    if not run.peak_bytes:
        problem = problem or "this system does not report the memory of a process in /proc/PID/status"
    return ListingResult(count, run.seconds, run.peak_bytes, problem)


def problems_of(
    results: Sequence[BatchResult], fast_path: FastPathResult | None, listings: Sequence[ListingResult]
) -> list[str]:
    """List everything that is wrong or exceeds its limit."""
    found = [f"{one.backend}, {one.engine}: {one.problem}" for one in results if one.problem]
    if fast_path is not None and fast_path.problem:
        found.append(f"{fast_path.backend}, fast path: {fast_path.problem}")
    found += [f"{one.keys} keys: {one.problem}" for one in listings if one.problem]
    for one in results:
        if one.other_seconds is None:
            continue
        text = f"{one.backend}, {one.workers} workers: {one.other_seconds * 1e3:.1f} ms of CPU time outside the codec"
        if one.other_seconds <= 0:
            found.append(f"{text} is impossible: measure more objects")
        elif one.backend == FolderBackend.name and one.other_seconds > OTHER_SECONDS_MAX:
            found.append(text)
    if len(listings) > 1 and (growth := listings[-1].peak_bytes - listings[0].peak_bytes) > GROWTH_BYTES_MAX:
        keys = f"{listings[0].keys} to {listings[-1].keys} keys"
        found.append(f"the coordinator grows by {growth / MIB:.1f} MiB from {keys}")
    return found
