"""Photographs and drawings encoded in every format at some qualities, and with the format `auto`."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.formats.scales import middle
from benchmarks.harness import photos
from benchmarks.harness.fidelity import Pixels
from compressor import compress
from compressor.errors import CompressorError
from compressor.pipeline.target import score_of_quality

QUALITIES = (60, 80, 90)
AUTO_QUALITY = 80  # of the comparison with all encodings
FORMATS = ("jpeg", "webp", "avif")
OTHERS: Mapping[str, dict[str, Any]] = {
    "JPEG, best": {"format": "jpeg", "effort": "best", "quality": AUTO_QUALITY},
    "PNG": {"format": "png"},
    "lossless WebP": {"format": "webp", "lossless": True},
    "auto": {"format": "auto", "quality": AUTO_QUALITY},
    "auto, jpeg and png": {"format": "auto", "quality": AUTO_QUALITY, "accept": "jpeg,png"},
    "auto, fast": {"format": "auto", "quality": AUTO_QUALITY, "effort": "fast"},
    "auto, best": {"format": "auto", "quality": AUTO_QUALITY, "effort": "best"},
}
COMPARED = (
    *(f"{format} {AUTO_QUALITY}" for format in FORMATS),
    "PNG",
    "lossless WebP",
)  # the oracle chooses among them
WANTED = score_of_quality(AUTO_QUALITY)
PHOTOGRAPHS, DRAWINGS = "photographs", "drawings"

DIFFERENCE_MAX = 1.0  # between the mean scores of formats at a quality, on photographs
AUTO_MAX = 0.72  # of the bytes of our JPEG of `best`, on photographs
ORACLE_MAX = 1.02  # of the bytes of the best of all encodings
ENCODINGS_MAX = 2.2
IMAGES_MIN = 18  # photographs, for the limits to apply


@dataclass(frozen=True)
class Encoded:
    """A result: its size, its score, how many encodings were made for it, and the CPU seconds of all stages."""

    format: str
    bytes: int
    score: float
    encodings: int
    cpu_seconds: float

    @property
    def is_lossless(self) -> bool:
        """Return whether it has any score that could be wanted."""
        return self.score >= 99.99


@dataclass(frozen=True)
class Picture:
    """A picture and its results by name: "webp 60", those of OTHERS. One that is not possible is missing."""

    name: str
    pixels: int
    results: Mapping[str, Encoded]

    def cost(self, name: str) -> float:
        """Return the bytes that a result would have with the wanted score.

        Between the results in the same format they are interpolated; beyond them, the nearest one counts as it is. A
        lossless result has its own bytes.
        """
        one = self.results[name]
        if one.is_lossless:
            return one.bytes
        curve = sorted((other.score, math.log(other.bytes)) for other in self._curve(one))
        wanted, own = np.interp([WANTED, one.score], [score for score, _ in curve], [size for _, size in curve])
        return one.bytes * math.exp(wanted - own)

    def _curve(self, one: Encoded) -> list[Encoded]:
        names = [name for name in self.results if name.split()[0] == one.format]
        return [other for name in names if not (other := self.results[name]).is_lossless] or [one]

    @property
    def best(self) -> float:
        """Return the bytes of the best of all encodings at the wanted score."""
        return min(self.cost(name) for name in COMPARED if name in self.results)


def drawings() -> list[Path]:
    """Return the corpus' graphics; [] without a corpus."""
    return photos.from_corpus("graphics")


def photographs() -> list[photos.Photograph]:
    """Return the photographs for validation; [] without a corpus."""
    return [image for name, images in photos.scored().items() if name.endswith(", validation") for image in images]


def pixels_of(source: photos.Photograph | Path) -> Pixels:
    """Return the middle of a photograph, or all of a drawing, (height, width, 3 or 4)."""
    if isinstance(source, photos.Photograph):
        return middle(source.pixels())
    with Image.open(source) as image:
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def encoded(pixels: Pixels, settings: Mapping[str, Any]) -> Encoded | None:
    """Encode pixels and score the result; None if that is not possible."""
    try:
        report = compress(pixels, score=True, **settings).report
    except CompressorError:
        return None
    assert report.score is not None
    return Encoded(report.format, report.bytes_out, report.score, report.encodings, report.cpu_seconds)


def measure(work: tuple[photos.Photograph | Path, Sequence[int]]) -> Picture:
    """Return the results of a picture at the given qualities."""
    source, qualities = work
    pixels = pixels_of(source)
    wanted: dict[str, dict[str, Any]] = {
        f"{format} {quality}": {"format": format, "quality": quality} for quality in qualities for format in FORMATS
    }
    found = {name: encoded(pixels, settings) for name, settings in {**wanted, **OTHERS}.items()}
    name = source.stem if isinstance(source, Path) else source.name
    return Picture(name, pixels.shape[0] * pixels.shape[1], {key: one for key, one in found.items() if one is not None})


@dataclass(frozen=True)
class Row:
    """Means of a kind of result over pictures of a kind.

    against_jpeg    geometric mean of bytes relative to our JPEG of `best` at AUTO_QUALITY, at the same score
    against_oracle  mean of bytes relative to the best of all encodings, at the same score
    cpu_seconds     per megapixel, decoding and scoring included
    formats         how often each format came back
    """

    images: int
    score: float
    score_min: float
    encodings: float
    against_jpeg: float
    against_oracle: float
    cpu_seconds: float
    formats: Mapping[str, int]


def row(pictures: Sequence[Picture], name: str) -> Row | None:
    """Return the means of a kind of result; None if no picture has it."""
    found = [(one, one.results[name]) for one in pictures if name in one.results]
    if not found:
        return None
    ratios = [math.log(one.cost(name) / one.cost("JPEG, best")) for one, _ in found if "JPEG, best" in one.results]
    return Row(
        images=len(found),
        score=_mean(result.score for _, result in found),
        score_min=min(result.score for _, result in found),
        encodings=_mean(result.encodings for _, result in found),
        against_jpeg=math.exp(_mean(ratios)) if ratios else math.nan,
        against_oracle=_mean(one.cost(name) / one.best for one, _ in found),
        cpu_seconds=sum(result.cpu_seconds for _, result in found) / sum(one.pixels for one, _ in found) * 1e6,
        formats=dict(Counter(result.format for _, result in found)),
    )


def rows(pictures: Sequence[Picture], qualities: Sequence[int]) -> dict[str, Row]:
    """Return the means of all kinds of results."""
    names = [f"{format} {quality}" for quality in qualities for format in FORMATS]
    found = {name: row(pictures, name) for name in (*names, *OTHERS)}
    return {name: one for name, one in found.items() if one is not None}


def problems(by_kind: Mapping[str, Mapping[str, Row]], qualities: Sequence[int]) -> list[str]:
    """List the goals that are missed, if there are enough photographs for a mean."""
    found = by_kind.get(PHOTOGRAPHS, {})
    if not found or found["auto"].images < IMAGES_MIN:
        return []
    missed = []
    for quality in qualities:
        means = [found[f"{format} {quality}"].score for format in FORMATS]
        if max(means) - min(means) > DIFFERENCE_MAX:
            scores = ", ".join(f"{format} {mean:.2f}" for format, mean in zip(FORMATS, means, strict=True))
            missed.append(f"quality {quality}: mean scores differ by {max(means) - min(means):.2f}: {scores}")
    if (share := found["auto"].against_jpeg) > AUTO_MAX:
        missed.append(f"auto takes {share:.3f} of the bytes of our best JPEG on photographs, not {AUTO_MAX}")
    all_rows = [kind["auto"] for kind in by_kind.values()]
    images = sum(one.images for one in all_rows)
    oracle = sum(one.against_oracle * one.images for one in all_rows) / images
    encodings = sum(one.encodings * one.images for one in all_rows) / images
    if oracle > ORACLE_MAX:
        missed.append(f"auto takes {oracle:.3f} of the bytes of the best of all encodings, not {ORACLE_MAX}")
    if encodings > ENCODINGS_MAX:
        missed.append(f"auto takes {encodings:.2f} encodings, not {ENCODINGS_MAX}")
    return missed


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
