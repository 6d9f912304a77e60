"""The SSIMULACRA2 of bands: speed compared with PyPI's `ssimulacra2`, agreement with the twin in float64, and memory.

python -m benchmarks scoring [--quick] [--out DIR]
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table

from benchmarks.harness import judges, photos, record
from benchmarks.harness.fidelity import Pixels
from benchmarks.harness.process import limit_cores, reset_peak, status_bytes
from tests.reference import ssimulacra2 as reference

SIZE = (1500, 1000)
ROUNDS, QUICK_ROUNDS = 7, 2
CALLS = 10  # of the kernels in a round, since a single one is too short to be timed
QUALITIES = (20, 50, 75, 90)  # of JPEG, for one photograph after the other
BAND_LINES = 16
WIDE = 20_000  # pixels in a line, and lines
DIFFERENCE_MAX = 0.01
MEMORY_MAX_BYTES = 16 << 20


@dataclass
class SpeedResult:
    """Medians of CPU time over all rounds; `ratio` is that of PyPI's package to ours in the same round."""

    channels: int
    mp_per_second: float
    peer_mp_per_second: float
    ratio: float


@dataclass
class MemoryResult:
    """Resident memory that scoring adds to a process, what it states, and its speed at this width."""

    channels: int
    stated_bytes: int
    resident_bytes: int
    mp_per_second: float


def after_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return what a decoder shows of pixels compressed by Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def score(source: Pixels, result: Pixels) -> float:
    """Score two pictures in bands."""
    from compressor.ssimulacra2 import Ssimulacra2

    height, width, channels = source.shape
    scorer = Ssimulacra2(width, height, channels)
    for y in range(0, height, BAND_LINES):
        scorer.add(source[y : y + BAND_LINES], result[y : y + BAND_LINES])
    return scorer.score()


def cpu_seconds(call: Callable[[], float], calls: int = 1) -> float:
    """Return the CPU time of a call, the mean of `calls`."""
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls


def speed(source: Pixels, result: Pixels, rounds: int) -> list[SpeedResult]:
    """Time color and grey, and PyPI's package with the same pictures, in interleaved rounds."""
    megapixels = source.shape[0] * source.shape[1] / 1e6
    found = []
    with tempfile.TemporaryDirectory(prefix="scoring-") as folder:
        paths = Path(folder) / "source.ppm", Path(folder) / "result.ppm"
        for channels in (3, 1):
            pair = [np.ascontiguousarray(pixels[..., :channels]) for pixels in (source, result)]
            for path, pixels in zip(paths, pair, strict=True):
                Image.fromarray(pixels.squeeze()).save(path, "PPM")
            score(*pair)
            times = [
                (cpu_seconds(lambda pair=pair: score(*pair), CALLS), cpu_seconds(lambda: judges.ssimulacra2(*paths)))  # type: ignore[misc]
                for _ in range(rounds)
            ]
            ours, peer = (statistics.median(column) for column in zip(*times, strict=True))
            ratio = statistics.median(theirs / mine for mine, theirs in times)
            found.append(SpeedResult(channels, megapixels / ours, megapixels / peer, ratio))
    return found


def agreement(paths: Sequence[Path], on_progress: Callable[[str], None]) -> dict[str, tuple[float, float]]:
    """Return the score of each photograph after JPEG, and its difference from the twin's."""
    found = {}
    for n, path in enumerate(paths):
        on_progress(path.name)
        source, quality = photos.pixels(path), QUALITIES[n % len(QUALITIES)]
        result = after_jpeg(source, quality)
        mine = score(source, result)
        found[f"{path.name}, quality {quality}"] = mine, mine - reference.score(source, result)
    return found


def memory(channels: int, lines: int) -> MemoryResult:
    """Score WIDE x `lines` pixels of which one band is held."""
    from compressor.ssimulacra2 import Ssimulacra2, memory_bytes

    rng = np.random.default_rng(0)
    source, result = (rng.integers(0, 256, (BAND_LINES, WIDE, channels), np.uint8) for _ in range(2))
    reset_peak()
    before = status_bytes("VmRSS") or 0
    start = time.process_time()
    scorer = Ssimulacra2(WIDE, lines, channels)
    for y in range(0, lines, BAND_LINES):
        count = min(BAND_LINES, lines - y)
        scorer.add(source[:count], result[:count])
    scorer.score()
    seconds = time.process_time() - start
    added = (status_bytes("VmHWM") or 0) - before
    return MemoryResult(channels, memory_bytes(WIDE, channels), added, WIDE * lines / 1e6 / seconds)


def tables(
    timed: Sequence[SpeedResult], held: Sequence[MemoryResult], differences: Sequence[float], title: str
) -> list[Table]:
    """Return the tables of speed, memory and agreement."""
    kinds = {1: "grey", 3: "RGB"}
    fast = record.table(
        "Scoring on one core, CPU time", ("",), ("MP/s", "PyPI's\nMP/s", "ratio"), f"{SIZE[0]} × {SIZE[1]} of {title}"
    )
    for one in timed:
        fast.add_row(
            kinds[one.channels], f"{one.mp_per_second:.1f}", f"{one.peer_mp_per_second:.2f}", f"{one.ratio:.0f}×"
        )
    wide = record.table(f"{WIDE} pixels wide", ("",), ("stated\nMiB", "resident\nMiB", "MP/s"))
    for each in held:
        sizes = (f"{size / 2**20:.1f}" for size in (each.stated_bytes, each.resident_bytes))
        wide.add_row(kinds[each.channels], *sizes, f"{each.mp_per_second:.1f}")
    equal = record.table("Differences from the twin in float64", (), ("photographs", "largest", "mean"))
    sizes_of = [abs(each) for each in differences]
    equal.add_row(str(len(sizes_of)), f"{max(sizes_of):.5f}", f"{statistics.fmean(sizes_of):.5f}")
    return [fast, wide, equal]


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scoring")
    parser.add_argument("--quick", action="store_true", help="few rounds, photographs and lines")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a score differs from the twin's or memory is exceeded."""
    quick = options(words).quick
    limit_cores(1)
    console = record.console()
    source, title = photos.mosaic(*SIZE)
    paths = photos.from_corpus("kodak") or photos.packaged()
    with console.status("") as status:
        on_progress = record.progress(console, status)
        on_progress("memory")
        held = [memory(channels, 1000 if quick else WIDE) for channels in (3, 1)]
        on_progress("speed")
        timed = speed(source, after_jpeg(source, 75), QUICK_ROUNDS if quick else ROUNDS)
        compared = agreement(paths[:4] if quick else paths, on_progress)
    for table in tables(timed, held, [difference for _, difference in compared.values()], title):
        console.print(table)
    problems = [f"{name}: {off:+.4f} from the twin" for name, (_, off) in compared.items() if abs(off) > DIFFERENCE_MAX]
    problems += [f"{one.resident_bytes} bytes of memory" for one in held if one.resident_bytes > MEMORY_MAX_BYTES]
    content = {
        "speed": [asdict(one) for one in timed],
        "memory": [asdict(one) for one in held],
        "agreement": compared,
        "problems": problems,
    }
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    console.print(f"[dim]{record.save(out, 'scoring', content)}[/]", soft_wrap=True)
    return not problems
