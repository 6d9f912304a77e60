"""CPU time of JPEG to JPEG, compared with Pillow's decoding and encoding of the same kind; results are checked."""

import io
import math
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.harness import fidelity, scores, sources
from benchmarks.small import counts

QUALITY = 80
EFFORTS = ("fast", "balanced")
# As the users of Pillow would replace that effort
PILLOW: dict[str, dict[str, bool]] = {"fast": {}, "balanced": {"optimize": True, "progressive": True}}
FILES_MAX = 4
FILES_MEGAPIXELS_MAX = 24.0  # of the files of a size together
ROUNDS = 15
BLOCK_SECONDS = 0.15  # of CPU time, at least, of each side in a round
SCORE_LOSS_MAX = 3.0  # SSIMULACRA2, mean, below Pillow's at the same quality
PSNR_MIN_DB = 28.0

Recode = Callable[[bytes], bytes]


@dataclass(frozen=True)
class SmallResult:
    """Medians over all rounds, for each image.

    ratio         of our CPU time to Pillow's in the same round; below 1: cheaper than Pillow
    quartiles     of this ratio, the first and the third
    page_faults   minor ones
    files         temporary files that a call creates
    python_calls  of functions written in Python or C in a call
    kernel_calls  of these, those of compiled kernels; 0 if Numba compiles them
    bytes         of the results, relative to the sources
    score         SSIMULACRA2 of the middle, mean
    problem       why a result is wrong, or ""
    """

    effort: str
    size: str
    megapixels: float
    source_bytes: int
    cpu_seconds: float
    pillow_cpu_seconds: float
    ratio: float
    quartiles: tuple[float, float]
    page_faults: float
    pillow_page_faults: float
    files: int
    python_calls: int
    kernel_calls: int
    bytes: float
    pillow_bytes: float
    psnr_db: float
    pillow_psnr_db: float
    score: float
    pillow_score: float
    problem: str


def ours(effort: str) -> Recode:
    """Return the public call with its defaults: safe delivery, metadata kept."""
    import compressor

    return lambda data: bytes(compressor.compress(data, quality=QUALITY, effort=compressor.Effort(effort)).data)


def pillow(effort: str) -> Recode:
    """Return a call of Pillow's `open` and `save`."""

    def recode(data: bytes) -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=QUALITY, **PILLOW[effort])
        return file.getvalue()

    return recode


# --- checks of results ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Likeness:
    """Mean similarity of results to their sources."""

    psnr_db: float
    score: float


def likeness(files: Sequence[bytes], results: Sequence[bytes], cache: Path | None) -> Likeness:
    """Decode all sources and results with Pillow. Raises ValueError for a result of another size."""
    psnrs, found = [], []
    for data, result in zip(files, results, strict=True):
        source, pixels = fidelity.decoded(data), fidelity.decoded(result)
        psnrs.append(fidelity.psnr(source, pixels))
        with scores.Scores(fidelity.middle(source), cache, ["ssimulacra2"]) as known:
            found.append(known.score(fidelity.middle(pixels))["ssimulacra2"])
    return Likeness(statistics.mean(psnrs), statistics.mean(found))


def problem_of(files: Sequence[bytes], results: Sequence[bytes], found: Likeness, peer: Likeness) -> str:
    """Return why our results are wrong, or ""."""
    if any(len(result) >= len(data) for data, result in zip(files, results, strict=True)):
        return "a result is not smaller than its source"
    if found.psnr_db < PSNR_MIN_DB:
        return f"{found.psnr_db:.1f} dB"
    loss = peer.score - found.score
    return f"SSIMULACRA2 is {loss:.1f} below Pillow's" if loss > SCORE_LOSS_MAX else ""


# --- measuring ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Use:
    """CPU seconds of all threads, and minor page faults, for each image."""

    cpu_seconds: float
    page_faults: float


def measure_block(recode: Recode, files: Sequence[bytes], repeats: int, expected: Sequence[bytes]) -> Use:
    """Recode all files `repeats` times. Raises RuntimeError if a result is not the expected one."""
    faults, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
    for _ in range(repeats):
        results = [recode(data) for data in files]
    seconds = time.process_time() - start
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    if results != list(expected):
        raise RuntimeError("a timed result is not the one that was checked")
    return Use(seconds / (repeats * len(files)), faults / (repeats * len(files)))


def repeats_of(recode: Recode, files: Sequence[bytes], expected: Sequence[bytes]) -> int:
    """Return how often a block recodes all files, so that it takes BLOCK_SECONDS."""
    used = min(measure_block(recode, files, 1, expected).cpu_seconds for _ in range(2)) * len(files)
    return max(1, math.ceil(BLOCK_SECONDS / used))


def compare(
    effort: str, size: sources.Size, rounds: int = ROUNDS, files_max: int = FILES_MAX, cache: Path | None = None
) -> SmallResult:
    """Check the results of both sides, then time them in interleaved rounds, every other one in reverse order."""
    files = sources.files(size, max(1, min(files_max, int(FILES_MEGAPIXELS_MAX / size.megapixels))))
    calls = {"ours": ours(effort), "Pillow": pillow(effort)}
    results = {name: [call(data) for data in files] for name, call in calls.items()}
    alike = {name: likeness(files, found, cache) for name, found in results.items()}
    repeats = {name: repeats_of(call, files, results[name]) for name, call in calls.items()}
    uses: dict[str, list[Use]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in calls if number % 2 else reversed(calls):
            uses[name].append(measure_block(calls[name], files, repeats[name], results[name]))
    ratios = [one.cpu_seconds / peer.cpu_seconds for one, peer in zip(uses["ours"], uses["Pillow"], strict=True)]
    quartiles = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
    counted = counts.count(lambda: calls["ours"](files[0]))
    source_bytes = sum(map(len, files))
    return SmallResult(
        effort=effort,
        size=str(size),
        megapixels=size.megapixels,
        source_bytes=source_bytes // len(files),
        cpu_seconds=statistics.median(one.cpu_seconds for one in uses["ours"]),
        pillow_cpu_seconds=statistics.median(one.cpu_seconds for one in uses["Pillow"]),
        ratio=quartiles[1],
        quartiles=(quartiles[0], quartiles[2]),
        page_faults=statistics.median(one.page_faults for one in uses["ours"]),
        pillow_page_faults=statistics.median(one.page_faults for one in uses["Pillow"]),
        files=counted.files,
        python_calls=counted.python_calls,
        kernel_calls=counted.kernel_calls,
        bytes=sum(map(len, results["ours"])) / source_bytes,
        pillow_bytes=sum(map(len, results["Pillow"])) / source_bytes,
        psnr_db=alike["ours"].psnr_db,
        pillow_psnr_db=alike["Pillow"].psnr_db,
        score=alike["ours"].score,
        pillow_score=alike["Pillow"].score,
        problem=problem_of(files, results["ours"], alike["ours"], alike["Pillow"]),
    )


def measure(effort: str, size: sources.Size, rounds: int, files_max: int, cache: Path) -> SmallResult:
    """Compare in a new process, so that no other size has used its memory and its tables before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(compare, effort, size, rounds, files_max, cache).result()
