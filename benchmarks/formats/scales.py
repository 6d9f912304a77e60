"""The tables of `compressor/raster/scales.py`, numbers of the encoders with the score of a JPEG of each quality, and
the scores of qualities of `compressor/pipeline/target.py`.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from benchmarks.harness import photos
from benchmarks.harness.fidelity import Pixels
from compressor import compress, raster
from compressor.raster.scales import QUALITIES
from compressor.settings import Effort
from compressor.ssimulacra2 import Ssimulacra2

FORMATS = ("webp", "avif")
NUMBERS = {
    "webp": (0, 8, 20, 35, 50, 62, 72, 80, 87, 93, 97, 100),
    "avif": (1, 12, 24, 35, 45, 55, 64, 72, 80, 87, 94, 100),
}
WIDTH, HEIGHT = 512, 384  # of the middle of a photograph, on which scores are measured
EFFORTS = tuple(Effort)


def tuning() -> list[photos.Photograph]:
    """Return the photographs for tuning; [] without a corpus."""
    return [image for name, images in photos.scored().items() if name.endswith(", tuning") for image in images]


def not_for_validation() -> list[list[photos.Photograph]]:
    """Return the photographs that are not for validation, by set."""
    return [images for name, images in photos.scored().items() if not name.endswith(", validation")]


def middle(pixels: Pixels) -> Pixels:
    """Return the middle of a photograph, at most HEIGHT x WIDTH."""
    top, left = max(0, (pixels.shape[0] - HEIGHT) // 2), max(0, (pixels.shape[1] - WIDTH) // 2)
    return np.ascontiguousarray(pixels[top : top + HEIGHT, left : left + WIDTH])


def score_of(source: Pixels, data: bytes) -> float:
    """Return the SSIMULACRA2 of a file."""
    with Image.open(io.BytesIO(data)) as image:
        result = np.asarray(image.convert("RGB"))
    scorer = Ssimulacra2(source.shape[1], source.shape[0], 3)
    scorer.add(source, result)
    return scorer.score()


def scores_of_jpeg(image: photos.Photograph) -> list[float]:
    """Return the score of our JPEG of the middle of a photograph at each of QUALITIES."""
    return _scores_of_jpeg(middle(image.pixels()))


def scores_of_whole_jpeg(image: photos.Photograph) -> list[float]:
    """Return the score of our JPEG of a whole photograph at each of QUALITIES."""
    return _scores_of_jpeg(image.pixels())


def _scores_of_jpeg(pixels: Pixels) -> list[float]:
    found = [compress(pixels, quality=quality, format="jpeg").data for quality in QUALITIES]
    return [score_of(pixels, data) for data in found]


def quality_scores(by_set: Sequence[Sequence[Sequence[float]]]) -> tuple[float, ...]:
    """Return the mean score at each of QUALITIES of the photographs of some sets, with the same weight for each set."""
    means = np.mean([np.mean(scores, 0) for scores in by_set], 0)
    return tuple(round(float(mean), 1) for mean in means)


def scores_of(work: tuple[photos.Photograph, str, Effort]) -> list[float]:
    """Return the score of a WebP or AVIF at each of NUMBERS."""
    image, format, effort = work
    pixels = middle(image.pixels())
    height, width, _ = pixels.shape
    return [
        score_of(pixels, raster.encode([pixels], width, height, 3, format, quality=number, effort=effort))
        for number in NUMBERS[format]
    ]


def fitted(format: str, scores: Sequence[Sequence[float]], wanted: Sequence[float]) -> tuple[float, ...]:
    """Return a number for each of QUALITIES.

    scores  of each photograph, at each of NUMBERS
    wanted  mean score of our JPEG at each of QUALITIES
    """
    means = np.maximum.accumulate(np.mean(scores, 0))
    numbers = np.interp(wanted, means, NUMBERS[format])
    numbers[np.array(wanted) >= means[-1]] = NUMBERS[format][-1]
    numbers[-1] = NUMBERS[format][-1]
    return tuple(round(float(number), 1) for number in np.maximum.accumulate(numbers))


def source_text(tables: Mapping[str, Mapping[Effort, Sequence[float]]]) -> str:
    """Return the tables as they stand in `scales.py`."""
    lines = ["SCALES: dict[str, dict[Effort, tuple[float, ...]]] = {"]
    for format, by_effort in tables.items():
        lines.append(f'    "{format}": {{')
        for effort, numbers in by_effort.items():
            lines.append(f"        Effort.{effort.name}: ({', '.join(f'{number:g}' for number in numbers)}),")
        lines.append("    },")
    return "\n".join([*lines, "}"])
