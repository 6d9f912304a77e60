"""Curves of bytes over visual quality: images encoded, decoded and scored at several qualities."""

import functools
import io
import itertools
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image

from benchmarks.density.curves import Point, PointsByEncoder
from benchmarks.harness import encoders, fidelity, photos, scores

# They give about 50 to above 90 in SSIMULACRA2 with every encoder. Only the covered range is measured. The lowest is
# below those of the quality scale, so that Pillow's curve reaches our lower scores by ColorVideoVDP at 30.
QUALITIES = (20, 30, 40, 50, 60, 70, 80, 88, 94, 97)
QUICK_QUALITIES = (20, 40, 60, 80, 96)
QUICK_IMAGES = 2
PEERS = (
    encoders.PILLOW,
    encoders.PILLOW_PROGRESSIVE,
    encoders.MOZJPEG,
    encoders.JPEGLI_SEQUENTIAL,
    encoders.JPEGLI,
)
BY_NAME = {one.name: one for one in (*encoders.OURS, *PEERS)}
DROP_MAX = 1.0  # by which a score may fall as the quality rises, since tables are rounded
SCORE_MIN = 30.0  # SSIMULACRA2 of any encoder's results
CHECKED_QUALITY_MIN = 50  # from this quality on


def points_of(name: str, pixels: fidelity.Pixels, qualities: Sequence[int], known: scores.Scores) -> list[Point]:
    """Encode, decode and score an image at every quality. Raises ValueError if a result has another format or shape."""
    encode = BY_NAME[name].hold(pixels)
    found = []
    for quality in qualities:
        data = encode(quality)
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "JPEG" or image.mode != "RGB":
                raise ValueError(f"quality {quality}: {image.format} in {image.mode}, not JPEG in RGB")
        result = fidelity.decoded(data)
        if result.shape != pixels.shape:
            raise ValueError(f"quality {quality}: {result.shape}, not {pixels.shape}")
        found.append(Point(quality, len(data), **known.score(result)))
    return found


def problems_of(points: Sequence[Point]) -> list[str]:
    """List what no working encoder does: a low score at a fair quality, or a lower score at a higher quality."""
    problems = [
        f"SSIMULACRA2 {point.ssimulacra2:.1f} at quality {point.quality}"
        for point in points
        if not (SCORE_MIN if point.quality >= CHECKED_QUALITY_MIN else -100) <= point.ssimulacra2 <= 100
    ]
    ordered = sorted(points, key=lambda point: point.quality)
    for one, next_ in itertools.pairwise(ordered):
        drop = one.ssimulacra2 - next_.ssimulacra2
        if drop > DROP_MAX:
            problems.append(f"SSIMULACRA2 falls by {drop:.1f} from quality {one.quality} to {next_.quality}")
    return problems


def measure(
    image: photos.Photograph, names: Sequence[str], qualities: Sequence[int], judges: Sequence[str], cache: Path | None
) -> tuple[PointsByEncoder, list[str]]:
    """Return the points of one photograph by encoder, and the problems. `names`: of encoders."""
    pixels = image.pixels()
    measured: PointsByEncoder = {}
    problems: list[str] = []
    with scores.Scores(pixels, cache, judges) as known:
        for name in names:
            measured[name] = points_of(name, pixels, qualities, known)
            problems += [f"{image.name}, {name}: {problem}" for problem in problems_of(measured[name])]
    return measured, problems


def measure_all(
    images: Sequence[photos.Photograph], jobs: int, call: "functools.partial[tuple[PointsByEncoder, list[str]]]"
) -> Iterator[tuple[PointsByEncoder, list[str]]]:
    """Yield the results of `call` for each photograph, in order, from `jobs` processes; 1: from this one."""
    if jobs == 1:
        yield from map(call, images)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(call, images)
