"""CPU time and memory of tools that make JPEG files smaller, at qualities that give equal visual quality."""

import contextlib
import functools
import hashlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import encoders, fidelity, process, scores
from benchmarks.harness.judges import BUTTERAUGLI, SSIMULACRA2, usable

# This module must not import compressor: each tool runs in a process of its own, whose memory is measured.

REFERENCE = "balanced"
QUALITY = 80  # our default; the other tools have to match the score of `REFERENCE` at this quality
STEPS = {
    "ssimulacra2": 0.5,
    "butteraugli": 0.03,
}  # typical change per unit of quality; starts the search
DIFFERENCE_MAX = {"ssimulacra2": 0.7, "butteraugli": 0.04}  # of a mean from the reference's; qualities are integers
PSNR_MIN_DB = 28.0
REPEATS = 5
BY_NAME = {tool.name: tool for tool in encoders.RECODERS}


# --- one file -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecodedFile:
    """A tool's result for a file.

    digest     of the result
    saved      bytes of image data; 0 if the result is not smaller, since the source is then kept
    unchanged  whether the pixels are those of the source
    """

    digest: str
    saved: int
    unchanged: bool
    score: float
    butteraugli: float | None
    problem: str = ""

    def quality_score(self, metric: str) -> float:
        """Return the score by a metric, on a scale on which more is better."""
        return self.score if metric == "ssimulacra2" else -(self.butteraugli or 0.0)


def digest(data: bytes) -> str:
    """Return a short SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def recode_one(
    data: bytes, source: fidelity.Pixels, tool: encoders.Recoder, quality: int, known: scores.Scores
) -> RecodedFile:
    """Recode a file, decode the result with Pillow, check all of it and score the middle."""
    result = tool.recode(data, quality)
    saved = max(0, fidelity.image_data_bytes(data) - fidelity.image_data_bytes(result))
    pixels = fidelity.decoded(result if saved else data)
    unchanged = bool(np.array_equal(pixels, source))
    if unchanged:
        return RecodedFile(digest(result), saved, unchanged, 100.0, 0.0)
    problem = ""
    try:
        if tool.lossless:
            problem = "is not lossless"
        elif (psnr := fidelity.psnr(source, pixels)) < PSNR_MIN_DB:
            problem = f"has a PSNR of {psnr:.1f} dB"
    except ValueError as error:
        return RecodedFile(digest(result), saved, unchanged, 0.0, None, str(error))
    found = known.score(fidelity.middle(pixels))
    return RecodedFile(digest(result), saved, unchanged, found["ssimulacra2"], found.get("butteraugli"), problem)


def recode(path: Path, qualities: Mapping[str, int], cache: Path | None) -> dict[str, RecodedFile]:
    """Return the results for one photograph by tool. `qualities`: by tool."""
    data = path.read_bytes()
    source = fidelity.decoded(data)
    with scores.Scores(fidelity.middle(source), cache, [SSIMULACRA2.name, *usable([BUTTERAUGLI])]) as known:
        return {name: recode_one(data, source, BY_NAME[name], quality, known) for name, quality in qualities.items()}


# --- equal visual quality -------------------------------------------------------------------------------------------


def next_quality(found: Mapping[int, float], target: float, step: float) -> int | None:
    """Return the next quality to try for a score nearer to `target`; None if the nearest is among those found.

    found  mean score by quality, with which it rises
    step   typical rise per unit of quality
    """
    below = max((quality for quality, score in found.items() if score <= target), default=None)
    above = min((quality for quality, score in found.items() if score > target), default=None)
    if below is None or above is None:
        known = next(quality for quality in (below, above) if quality is not None)
        steps = max(1, round(abs(target - found[known]) / step))
        quality = min(100, known + steps) if above is None else max(1, known - steps)
        return None if quality == known else quality
    share = (target - found[below]) / (found[above] - found[below])
    between = round(below + share * (above - below))
    return None if above - below <= 1 else min(above - 1, max(below + 1, between))


RecodedCollection = dict[Path, RecodedFile]


def match_quality(
    names: Sequence[str], metric: str, recode_all: Callable[[dict[str, int]], dict[Path, dict[str, RecodedFile]]]
) -> dict[str, tuple[int, RecodedCollection]]:
    """Return for each tool the quality with the mean score nearest to the reference's, and its results.

    recode_all  returns the results by photograph and tool, given a quality for each tool

    Means are over the photographs that the reference changed. The others were saved at no higher quality than its own,
    so that it keeps their coefficients.
    """
    results: dict[str, dict[int, RecodedCollection]] = {name: {} for name in names}
    qualities: dict[str, int] = dict.fromkeys(names, QUALITY)
    while qualities:
        for path, by_tool in recode_all(qualities).items():
            for name, one in by_tool.items():
                results[name].setdefault(qualities[name], {})[path] = one
        changed = [path for path, one in results[REFERENCE][QUALITY].items() if not one.unchanged]
        if not changed:
            raise ValueError(f"no photograph has a quality above {QUALITY}")
        means = {
            name: {
                quality: statistics.mean(files[path].quality_score(metric) for path in changed)
                for quality, files in found.items()
            }
            for name, found in results.items()
        }
        target = means[REFERENCE][QUALITY]
        following = {name: next_quality(means[name], target, STEPS[metric]) for name in names if name != REFERENCE}
        qualities = {name: quality for name, quality in following.items() if quality is not None}
    nearest = {name: min((abs(score - target), quality) for quality, score in means[name].items())[1] for name in names}
    return {name: (quality, results[name][quality]) for name, quality in nearest.items()}


# --- time and memory ------------------------------------------------------------------------------------------------


def timed_recode(name: str, quality: int, path: Path) -> tuple[float, str]:
    """Recode a file; return the CPU seconds (user and system) of all threads, and the digest of the result."""
    data = path.read_bytes()
    start = time.process_time()
    result = BY_NAME[name].recode(data, quality)
    seconds = time.process_time() - start
    return seconds, digest(result)


@dataclass
class ResourceUse:
    """The CPU seconds of a tool in each round over the collection, and the peak memory of its whole process."""

    cpu_seconds: list[float]
    peak_bytes: int = 0


def measure_resources(
    chosen: Mapping[str, tuple[int, RecodedCollection]],
    paths: Sequence[Path],
    rounds: int,
    on_progress: Callable[[str], None],
) -> tuple[dict[str, ResourceUse], list[str]]:
    """Time each tool in a process of its own on one core, file by file, in interleaved rounds; return problems, too."""
    names, problems = list(chosen), []
    use = {name: ResourceUse([0.0] * rounds) for name in names}
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, spawn, process.limit_cores, (1,))) for name in names}
        for number in range(-1, rounds):  # the first round is not counted: it loads or compiles the kernels
            on_progress(f"round {number + 1} of {rounds}")
            for path in paths:
                for name in names if number % 2 else reversed(names):
                    quality, files = chosen[name]
                    seconds, found = pools[name].submit(timed_recode, name, quality, path).result()
                    if number >= 0:
                        use[name].cpu_seconds[number] += seconds
                    if found != files[path].digest:
                        problems.append(f"{path.stem}, {name}: the timed result is not the one that was checked")
            if number < 0:
                for pool in pools.values():
                    pool.submit(process.reset_peak).result()
        for name, pool in pools.items():
            use[name].peak_bytes = pool.submit(process.status_bytes, "VmHWM").result() or 0
    return use, problems


# --- results --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ToolResult:
    """The measurements of a tool over the collection.

    quality      on its own scale; None if it is lossless
    score        mean SSIMULACRA2 over the photographs that the reference changed
    butteraugli  mean 3-norm over the same photographs
    bytes_in     of the files, metadata included
    saved        bytes of image data
    kept         number of files that were kept, since the result was not smaller; their CPU time counts
    cpu_seconds  of each round
    peak_bytes   of the tool's whole process
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
        """The median of the rounds."""
        return statistics.median(self.cpu_seconds)


def result_of(name: str, matched: Mapping[str, tuple[int, RecodedCollection]], use: ResourceUse) -> ToolResult:
    """Return the result of one tool."""
    quality, files = matched[name]
    lossless = BY_NAME[name].lossless
    changed = [files[path] for path, one in matched[REFERENCE][1].items() if not one.unchanged]
    distances = [one.butteraugli for one in changed if one.butteraugli is not None]
    return ToolResult(
        tool=name,
        quality=None if lossless else quality,
        score=None if lossless else statistics.mean(one.score for one in changed),
        butteraugli=statistics.mean(distances) if len(distances) == len(changed) and not lossless else None,
        bytes_in=sum(path.stat().st_size for path in files),
        saved=sum(one.saved for one in files.values()),
        kept=sum(not one.saved for one in files.values()),
        cpu_seconds=tuple(use.cpu_seconds),
        peak_bytes=use.peak_bytes,
    )


def measure(
    paths: Sequence[Path],
    names: Sequence[str],
    *,
    metric: str,
    rounds: int,
    jobs: int,
    cache: Path | None,
    on_progress: Callable[[str], None],
) -> tuple[list[ToolResult], list[str]]:
    """Return a result for each tool, and the problems."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:

        def recode_all(qualities: dict[str, int]) -> dict[Path, dict[str, RecodedFile]]:
            on_progress(", ".join(f"{name} at {quality}" for name, quality in qualities.items()))
            call = functools.partial(recode, qualities=qualities, cache=cache)
            return dict(zip(paths, pool.map(call, paths), strict=True))

        matched = match_quality([name for name in names if not BY_NAME[name].lossless], metric, recode_all)
        lossless = recode_all({name: 0 for name in names if BY_NAME[name].lossless})
    for name in names:
        if BY_NAME[name].lossless:
            matched[name] = 0, {path: by_tool[name] for path, by_tool in lossless.items()}
    use, problems = measure_resources(matched, paths, rounds, on_progress)
    problems += [
        f"{path.stem}, {name}: {one.problem}"
        for name, (_, files) in matched.items()
        for path, one in files.items()
        if one.problem
    ]
    return [result_of(name, matched, use[name]) for name in names], problems
