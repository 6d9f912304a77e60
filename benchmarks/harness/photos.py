"""Photographs for measurements: those packaged with scikit-image, and those of an optional corpus."""

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import ROOT
from benchmarks.harness.fidelity import Pixels

# Color photographs in scikit-image's wheel, PNG and JPEG; nothing is downloaded.
PACKAGED = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "ihc.png",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "rocket.jpg",
)
STRIP_ROWS = 250
OTHERS = "camera and scikit-image"  # the set that is neither for tuning nor for validation
SCORED_PIXELS_MAX = 850_000
# The Kodak photographs on which constants are tuned. None is tuned on the others, nor on those in photos/validation.
TUNING = frozenset(f"kodim{number}.png" for number in ("01", "05", "07", "13", "19", "23"))


def corpus() -> Path | None:
    """Return the folder of additional photographs (COMPRESSOR_CORPUS, by default ../shared/corpus), or None."""
    default = ROOT.parent / "shared" / "corpus"
    path = Path(os.environ.get("COMPRESSOR_CORPUS", default))
    return path if path.is_dir() else None


def packaged() -> list[Path]:
    """Return the paths of scikit-image's photographs."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [folder / name for name in PACKAGED]


def from_corpus(name: str) -> list[Path]:
    """Return the files of a folder of the corpus ("camera", "kodak", "photos/tuning"); [] without a corpus."""
    folder = corpus()
    if folder is None or not (folder / name).is_dir():
        return []
    return sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def pixels(path: Path) -> Pixels:
    """Decode a file with Pillow to (height, width, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def strips(paths: list[Path]) -> Iterator[Pixels]:
    """Yield strips of 250 rows of all photographs in rotation, endlessly. Nothing is scaled."""
    images = [pixels(path) for path in paths]
    tops = [range(0, image.shape[0] - STRIP_ROWS + 1, STRIP_ROWS) for image in images]
    rounds = itertools.zip_longest(*tops)
    order = [(index, top) for tops_ in rounds for index, top in enumerate(tops_) if top is not None]
    for index, top in itertools.cycle(order):
        yield images[index][top : top + STRIP_ROWS]


def mosaic(width: int, height: int) -> tuple[Pixels, str]:
    """Assemble an image of any size from strips of photographs; return it, (height, width, 3), and its description.

    Photographs that were scaled up would have no fine detail and would favor every encoder.
    """
    kodak = from_corpus("kodak")
    supply = strips(kodak or packaged())
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP_ROWS):
        left = 0
        while left < width:
            strip = next(supply)[: height - top, : width - left]
            image[top : top + strip.shape[0], left : left + strip.shape[1]] = strip
            left += strip.shape[1]
    return image, f"{len(kodak)} Kodak photographs" if kodak else f"{len(PACKAGED)} scikit-image photographs"


@dataclass(frozen=True)
class Photograph:
    """A photograph to score results with. Each side is reduced by `factor`, averaging pixels."""

    path: Path
    factor: int

    @property
    def name(self) -> str:
        return self.path.stem

    def pixels(self) -> Pixels:
        """Decode and reduce it to (height, width, 3)."""
        with Image.open(self.path) as image:
            return np.asarray(image.convert("RGB").reduce(self.factor))


def scored() -> dict[str, list[Photograph]]:
    """Return photographs by set: two for tuning, two for validation, and the corpus' camera files with scikit-image's.

    Large ones are reduced by a whole number to at most 0.85 MP: it saves scoring time and removes the artifacts of an
    earlier JPEG.
    """
    kodak = [Photograph(path, 1) for path in from_corpus("kodak")]
    found = {
        "Kodak, tuning": [one for one in kodak if one.path.name in TUNING],
        "photographs, tuning": reduced(from_corpus("photos/tuning")),
        "Kodak, validation": [one for one in kodak if one.path.name not in TUNING],
        "photographs, validation": reduced(from_corpus("photos/validation")),
        OTHERS: reduced(from_corpus("camera") + packaged()),
    }
    return {name: images for name, images in found.items() if images}


def reduced(paths: list[Path]) -> list[Photograph]:
    """Return photographs that are reduced so far that they are scored quickly."""
    return [Photograph(path, factor_of(path)) for path in paths]


def factor_of(path: Path) -> int:
    """Return the whole number by which each side is divided so that at most SCORED_PIXELS_MAX pixels remain."""
    with Image.open(path) as image:
        return math.ceil(math.sqrt(image.width * image.height / SCORED_PIXELS_MAX))
