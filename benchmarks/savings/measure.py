"""What saving costs: CPU time, memory, joules and grams for a GB saved of camera JPEGs, beside Pillow, jpegli, mozjpeg.

python -m benchmarks savings [--images N] [--repeats N] [--metric NAME] [--jobs N] [--cache DIR] [--out DIR]

The task is a stored collection that is encoded anew: bytes of a file in, bytes of a smaller one out, decoding included.
All that lose something are compared at equal look against the source, lossless ones with lossless ones.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import encoders, fidelity, photos, record, scores
from benchmarks.memory import peak, tiled_images
from benchmarks.speed.run import limit_cores

# Nothing here may import compressor: each tool works in a process of its own, whose memory is measured.

QUALITY = 80  # ours by default; the score that `ANCHOR` has there is what the others have to reach
ANCHOR = "balanced"
STEPS = {"ssimulacra2": 0.5, "butteraugli": 0.03}  # about a step of quality: where the search goes first
OFF_MAX = {"ssimulacra2": 0.7, "butteraugli": 0.04}  # by which a mean may miss the anchor's: qualities are whole
SCORED = (512, 768)  # rows and columns in the middle of a picture that scores look at
PSNR_MIN_DB = 28.0
REPEATS = 5
BY_NAME = {tool.name: tool for tool in encoders.RECODERS}


# --- one file -----------------------------------------------------------------------------------------------------


def middle(pixels: fidelity.Pixels) -> fidelity.Pixels:
    """The part that is scored; all of a small picture."""
    (rows, columns), (height, width) = SCORED, pixels.shape[:2]
    top, left = max(0, height - rows) // 2, max(0, width - columns) // 2
    return np.ascontiguousarray(pixels[top : top + rows, left : left + columns])


@dataclass(frozen=True)
class Judged:
    """What a tool made of a file.

    digest  of the tool's result
    saved   bytes of the picture; 0 where the result is no smaller, for then the source is kept
    same    whether the pixels are those of the source
    """

    digest: str
    saved: int
    same: bool
    score: float
    butteraugli: float | None
    problem: str = ""

    def look(self, metric: str) -> float:
        """More is better."""
        return self.score if metric == "ssimulacra2" else -(self.butteraugli or 0.0)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def judged_one(
    data: bytes, source: fidelity.Pixels, tool: encoders.Recoder, quality: int, known: scores.Scores
) -> Judged:
    """Decode what comes of a file, as Pillow does, and compare all of it, the middle by the eye."""
    result = tool.recode(data, quality)
    saved = max(0, fidelity.picture_bytes(data) - fidelity.picture_bytes(result))
    pixels = fidelity.decoded(result if saved else data)
    same = bool(np.array_equal(pixels, source))
    if same:
        return Judged(digest(result), saved, same, 100.0, 0.0)
    problem = ""
    try:
        if tool.lossless:
            problem = "is not lossless"
        elif (ratio := fidelity.psnr(source, pixels)) < PSNR_MIN_DB:
            problem = f"has a PSNR of {ratio:.1f} dB"
    except ValueError as error:
        return Judged(digest(result), saved, same, 0.0, None, str(error))
    return Judged(digest(result), saved, same, *known.of(middle(pixels)), problem)


def judged(path: Path, wanted: Mapping[str, int], cache: Path | None) -> dict[str, Judged]:
    """By tool, one photograph at a quality for each."""
    data = path.read_bytes()
    source = fidelity.decoded(data)
    with scores.Scores(middle(source), cache) as known:
        return {name: judged_one(data, source, BY_NAME[name], quality, known) for name, quality in wanted.items()}


# --- equal look ---------------------------------------------------------------------------------------------------


def next_quality(found: Mapping[int, float], target: float, step: float) -> int | None:
    """Where to look for what is nearer to `target`; None where the nearest is among those found.

    found  mean look by quality, which rises with it
    step   by which it rises, about
    """
    below = max((quality for quality, look in found.items() if look <= target), default=None)
    above = min((quality for quality, look in found.items() if look > target), default=None)
    if below is None or above is None:
        known = next(quality for quality in (below, above) if quality is not None)
        steps = max(1, round(abs(target - found[known]) / step))
        quality = min(100, known + steps) if above is None else max(1, known - steps)
        return None if quality == known else quality
    share = (target - found[below]) / (found[above] - found[below])
    between = round(below + share * (above - below))
    return None if above - below <= 1 else min(above - 1, max(below + 1, between))


Look = dict[Path, Judged]


def equal_look(
    names: Sequence[str], metric: str, judge: Callable[[dict[str, int]], dict[Path, dict[str, Judged]]]
) -> dict[str, tuple[int, Look]]:
    """By tool the quality at which its mean look is nearest to the anchor's, and what it made of every photograph.

    judge  by photograph and tool, at a quality for each tool

    Means are over the photographs that the anchor changed: others are no finer than its quality, and all keep them.
    """
    looks: dict[str, dict[int, Look]] = {name: {} for name in names}
    wanted: dict[str, int] = dict.fromkeys(names, QUALITY)
    while wanted:
        for path, by_tool in judge(wanted).items():
            for name, one in by_tool.items():
                looks[name].setdefault(wanted[name], {})[path] = one
        changed = [path for path, one in looks[ANCHOR][QUALITY].items() if not one.same]
        if not changed:
            raise ValueError(f"no photograph here is finer than quality {QUALITY}")
        means = {
            name: {
                quality: statistics.mean(look[path].look(metric) for path in changed) for quality, look in found.items()
            }
            for name, found in looks.items()
        }
        target = means[ANCHOR][QUALITY]
        following = {name: next_quality(means[name], target, STEPS[metric]) for name in names if name != ANCHOR}
        wanted = {name: quality for name, quality in following.items() if quality is not None}
    nearest = {name: min((abs(look - target), quality) for quality, look in means[name].items())[1] for name in names}
    return {name: (quality, looks[name][quality]) for name, quality in nearest.items()}


# --- time and memory ----------------------------------------------------------------------------------------------


def work(name: str, quality: int, path: Path) -> tuple[float, str]:
    """CPU seconds, user and system, of all threads of this process from a file's bytes to the result's; its digest."""
    data = path.read_bytes()
    start = time.process_time()
    result = BY_NAME[name].recode(data, quality)
    seconds = time.process_time() - start
    return seconds, digest(result)


def forget_peak() -> None:
    """A new VmHWM from here on, proc(5)."""
    Path("/proc/self/clear_refs").write_text("5")


@dataclass
class Took:
    """Of a tool: CPU seconds of each round over the collection; the most memory that its process had, all of it."""

    cpu_seconds: list[float]
    peak_bytes: int = 0


def timed(
    chosen: Mapping[str, tuple[int, Look]], paths: Sequence[Path], rounds: int, tell: Callable[[str], None]
) -> tuple[dict[str, Took], list[str]]:
    """Each tool in a process of its own on one core, in turns, file by file; what is not what was judged is wrong."""
    names, wrong = list(chosen), []
    took = {name: Took([0.0] * rounds) for name in names}
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, spawn, limit_cores, (1,))) for name in names}
        for number in range(-1, rounds):  # the first is not counted: kernels are compiled or loaded, buffers are made
            tell(f"round {number + 1} of {rounds}")
            for path in paths:
                for name in names if number % 2 else reversed(names):
                    quality, look = chosen[name]
                    seconds, found = pools[name].submit(work, name, quality, path).result()
                    if number >= 0:
                        took[name].cpu_seconds[number] += seconds
                    if found != look[path].digest:
                        wrong.append(f"{path.stem}, {name}: not the result that was looked at")
            if number < 0:
                for pool in pools.values():
                    pool.submit(forget_peak).result()
        for name, pool in pools.items():
            took[name].peak_bytes = pool.submit(peak.status_bytes, "VmHWM").result()
    return took, wrong


# --- a run --------------------------------------------------------------------------------------------------------


def options(words: Sequence[str]) -> argparse.Namespace:
    """The command line of this benchmark, without what all of them take."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks savings")
    parser.add_argument("--images", type=int, help="only the first N photographs", metavar="N")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds that are timed", metavar="N")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="that score", metavar="N")
    parser.add_argument("--cache", type=Path, default=tiled_images.default_folder(), help="folder that keeps scores")
    parser.add_argument("--metric", choices=STEPS, default="ssimulacra2", help="by which looks are equal")
    chosen = parser.parse_args(words)
    if chosen.metric == "butteraugli" and not scores.has_butteraugli():
        parser.error(f"{scores.BUTTERAUGLI} is not installed")
    return chosen


def collection() -> list[Path]:
    """JPEG files as cameras wrote them; without a corpus those of scikit-image."""
    return photos.from_corpus("camera") or [path for path in photos.packaged() if path.suffix == ".jpg"]


@dataclass(frozen=True)
class Reading:
    """What was measured of a tool over the collection.

    quality      of its own scale; None where it is lossless
    score        mean SSIMULACRA2 over the photographs that the anchor changed, like butteraugli's 3-norm
    bytes_in     of the files, metadata included
    saved        of the pictures in them
    kept         how many files were kept, since the result was no smaller: their CPU seconds count as well
    cpu_seconds  of each round
    peak_bytes   of the tool's process, all of it
    """

    tool: str
    quality: int | None
    score: float | None
    butteraugli: float | None
    bytes_in: int
    saved: int
    kept: int
    cpu_seconds: tuple[float, ...]
    peak_bytes: int

    @property
    def cpu_seconds_median(self) -> float:
        return statistics.median(self.cpu_seconds)


def reading_of(name: str, looks: Mapping[str, tuple[int, Look]], took: Took) -> Reading:
    quality, look = looks[name]
    exact = BY_NAME[name].lossless
    changed = [look[path] for path, one in looks[ANCHOR][1].items() if not one.same]
    distances = [one.butteraugli for one in changed if one.butteraugli is not None]
    return Reading(
        tool=name,
        quality=None if exact else quality,
        score=None if exact else statistics.mean(one.score for one in changed),
        butteraugli=statistics.mean(distances) if len(distances) == len(changed) and not exact else None,
        bytes_in=sum(path.stat().st_size for path in look),
        saved=sum(one.saved for one in look.values()),
        kept=sum(not one.saved for one in look.values()),
        cpu_seconds=tuple(took.cpu_seconds),
        peak_bytes=took.peak_bytes,
    )


def measure(
    paths: Sequence[Path], names: Sequence[str], chosen: argparse.Namespace, tell: Callable[[str], None]
) -> tuple[list[Reading], list[str]]:
    """A reading for each tool, and what is wrong."""
    with ProcessPoolExecutor(chosen.jobs, multiprocessing.get_context("spawn")) as pool:

        def judge(wanted: dict[str, int]) -> dict[Path, dict[str, Judged]]:
            tell(", ".join(f"{name} at {quality}" for name, quality in wanted.items()))
            call = functools.partial(judged, wanted=wanted, cache=chosen.cache)
            return dict(zip(paths, pool.map(call, paths), strict=True))

        looks = equal_look([name for name in names if not BY_NAME[name].lossless], chosen.metric, judge)
        exact = judge({name: 0 for name in names if BY_NAME[name].lossless})
    for name in names:
        if BY_NAME[name].lossless:
            looks[name] = 0, {path: by_tool[name] for path, by_tool in exact.items()}
    took, wrong = timed(looks, paths, chosen.repeats, tell)
    wrong += [
        f"{path.stem}, {name}: {one.problem}"
        for name, (_, look) in looks.items()
        for path, one in look.items()
        if one.problem
    ]
    return [reading_of(name, looks, took[name]) for name in names], wrong


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, show, keep; False where a result is no such picture, or an equal look was not found."""
    from benchmarks.savings import table

    chosen = options(words)
    paths = collection()[: chosen.images]
    tools = encoders.installed(encoders.RECODERS)
    console = record.console()
    with console.status("") as status:
        tell = status.update if console.is_terminal else lambda text: print(text, file=sys.stderr, flush=True)
        readings, wrong = measure(paths, [tool.name for tool in tools], chosen, tell)
    wrong += table.off_target(readings, chosen.metric)
    content = {"photographs": [path.name for path in paths], "metric": chosen.metric, "problems": wrong}
    content |= table.as_json(readings)
    path = record.save(out, "savings", json.loads(json.dumps(content)))
    for found in table.tables(readings, len(paths)):
        console.print(found)
    missing = sorted({tool.package for tool in encoders.RECODERS} - {tool.package for tool in tools})
    lines = [table.headline(readings)]
    lines += [
        f"[yellow]Not measured: {package} is not installed (compressor\\[bench] has it)[/]" for package in missing
    ]
    lines += [f"[red]{line}[/]" for line in wrong]
    console.print("\n".join([*lines, str(path)]), soft_wrap=True)
    return not wrong
