"""Many images at once: threads of one process, compared with one thread and with processes that do the same work."""

import io
import itertools
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Self

from PIL import Image

from benchmarks.harness import fidelity, sources
from benchmarks.harness.piped_process import CONTEXT, PipedProcess

ROUNDS = 7
ROUND_SECONDS = 0.6  # of one thread, at least
START_SECONDS_MAX = 600  # of a process, which may compile the kernels
BARRIER_SECONDS_MAX = 60  # if a process has died
PSNR_MIN_DB = 28.0
CONVERSIONS: dict[str, dict[str, Any]] = {
    "JPEG, fast": {"effort": "fast"},
    "JPEG, balanced": {},
    "JPEG, lossless": {"lossless": True},
    "PNG to JPEG": {"format": "jpeg"},
}


@dataclass(frozen=True)
class Layout:
    """A number of processes, and of threads in each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        name, number = ("processes", self.processes) if self.processes > 1 else ("threads", self.threads)
        return f"{number} {name}" if number > 1 else "1 thread"


ONE, THREADS, PROCESSES, MANY = Layout(1, 1), Layout(1, 2), Layout(2, 1), Layout(1, 8)
LAYOUTS = (ONE, THREADS, PROCESSES, MANY)


@dataclass(frozen=True)
class LayoutResult:
    """Medians over all rounds.

    images_per_second  wall-clock time
    cpu_seconds        of all processes, for each image
    vs_one             ratio of each round's images a second to those of one thread
    vs_processes       ratio of each round's images a second to those of two processes
    quartiles          of this ratio, the first and the third
    """

    conversion: str
    size: str
    layout: str
    images_per_second: float
    cpu_seconds: float
    vs_one: float
    vs_processes: float
    quartiles: tuple[float, float]
    problem: str


def source(size: sources.Size, conversion: str) -> bytes:
    """Return a photograph as a JPEG file, or as a PNG."""
    data = sources.files(size, 1)[0]
    if not conversion.startswith("PNG"):
        return data
    sink = io.BytesIO()
    Image.fromarray(fidelity.decoded(data)).save(sink, "PNG", compress_level=3)
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


# --- a process that compresses -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """Work of one process: the number of threads, and of images for each."""

    threads: int
    images: int


@dataclass(frozen=True)
class Done:
    """The start and the end of some work by the clock of the system, its CPU seconds, and the distinct results."""

    start: float
    end: float
    cpu_seconds: float
    results: frozenset[bytes]


def compress_forever(pipe: Connection, ready: Barrier, data: bytes, settings: dict[str, Any]) -> None:
    """Do the work that the pipe asks for, until it asks for None. All processes of a layout start together."""
    import compressor

    compressor.compress(data, **settings)
    pipe.send(None)
    while (work := pipe.recv()) is not None:
        found: set[bytes] = set()
        begin = threading.Barrier(work.threads + 1)

        def compress(images: int, begin: threading.Barrier = begin, found: set[bytes] = found) -> None:
            begin.wait()
            for _ in range(images):
                found.add(bytes(compressor.compress(data, **settings).data))

        threads = [threading.Thread(target=compress, args=(work.images,)) for _ in range(work.threads)]
        for thread in threads:
            thread.start()
        ready.wait(BARRIER_SECONDS_MAX)
        start, cpu = time.perf_counter(), time.process_time()
        begin.wait()
        for thread in threads:
            thread.join()
        pipe.send(Done(start, time.perf_counter(), time.process_time() - cpu, frozenset(found)))


class Workers(ExitStack):
    """Processes with warm kernels for all layouts. Only those of one layout work at a time."""

    def __init__(self, data: bytes, settings: dict[str, Any]) -> None:
        super().__init__()
        self._barriers = {number: CONTEXT.Barrier(number) for number in (1, 2)}  # processes don't keep them alive
        self._pools = {
            number: [
                PipedProcess(
                    "compressing", compress_forever, barrier, data, settings, start_seconds_max=START_SECONDS_MAX
                )
                for _ in range(number)
            ]
            for number, barrier in self._barriers.items()
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # which ends those that have started if another one fails to
            for process in itertools.chain(*self._pools.values()):
                stack.enter_context(process)
            self.push(stack.pop_all())
        return self

    def run(self, layout: Layout, images: int) -> list[Done]:
        """Compress `images` in all, divided among all threads."""
        pool = self._pools[layout.processes]
        for process in pool:
            process.send(Work(layout.threads, images // (layout.processes * layout.threads)))
        return [process.receive() for process in pool]


# --- measuring ------------------------------------------------------------------------------------------------------


def compare(conversion: str, size: sources.Size, rounds: int = ROUNDS) -> list[LayoutResult]:
    """Measure all layouts in interleaved rounds, every other one in reverse order."""
    settings = CONVERSIONS[conversion]
    data = source(size, conversion)
    rates: dict[Layout, list[float]] = {layout: [] for layout in LAYOUTS}
    cpu_seconds: dict[Layout, list[float]] = {layout: [] for layout in LAYOUTS}
    results: set[bytes] = set()
    unit = max(layout.processes * layout.threads for layout in LAYOUTS)
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(data, settings))
        first = workers.run(ONE, unit)[0]
        images = unit * max(1, round(ROUND_SECONDS / (first.end - first.start)))
        for number, layout in itertools.product(range(rounds), LAYOUTS):
            layout = layout if number % 2 else LAYOUTS[-1 - LAYOUTS.index(layout)]
            done = workers.run(layout, images)
            rates[layout].append(images / (max(one.end for one in done) - min(one.start for one in done)))
            cpu_seconds[layout].append(sum(one.cpu_seconds for one in done) / images)
            results.update(*(one.results for one in done))
    problem = problem_of(data, list(results), "lossless" in settings)

    def ratios(layout: Layout, reference: Layout) -> list[float]:
        return [a / b for a, b in zip(rates[layout], rates[reference], strict=True)]

    found = []
    for layout in LAYOUTS:
        each = ratios(layout, PROCESSES)
        quartiles = statistics.quantiles(each, n=4) if rounds > 1 else each * 3
        found.append(
            LayoutResult(
                conversion=conversion,
                size=str(size),
                layout=str(layout),
                images_per_second=statistics.median(rates[layout]),
                cpu_seconds=statistics.median(cpu_seconds[layout]),
                vs_one=statistics.median(ratios(layout, ONE)),
                vs_processes=quartiles[1],
                quartiles=(quartiles[0], quartiles[2]),
                problem=problem,
            )
        )
    return found
