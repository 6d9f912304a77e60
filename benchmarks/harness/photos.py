"""Photographs to measure with: scikit-image's packaged ones, and those of a corpus where there is one."""

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks import ROOT

# In scikit-image's wheel, not downloaded: colour photographs, PNG and JPEG.
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
SCORED_PIXELS_MAX = 850_000
# Kodak photographs that constants were tuned on; none of the others was looked at before the constants stood.
TUNING = frozenset(f"kodim{number}.png" for number in ("01", "05", "07", "13", "19", "23"))


def corpus() -> Path | None:
    """The folder of further photographs: COMPRESSOR_CORPUS, or ../shared/corpus beside the project."""
    default = ROOT.parent / "shared" / "corpus"
    path = Path(os.environ.get("COMPRESSOR_CORPUS", default))
    return path if path.is_dir() else None


def packaged() -> list[Path]:
    """scikit-image's photographs."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [folder / name for name in PACKAGED]


def from_corpus(name: str) -> list[Path]:
    """The files of a folder of the corpus ("camera", "kodak"); none without a corpus."""
    folder = corpus()
    if folder is None or not (folder / name).is_dir():
        return []
    return sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    """(height, width, 3) of a file, as Pillow decodes it."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def strips(paths: list[Path]) -> Iterator[npt.NDArray[np.uint8]]:
    """Strips of 250 rows of all photographs, in turns, for ever. Nothing is scaled."""
    images = [pixels(path) for path in paths]
    tops = [range(0, image.shape[0] - STRIP_ROWS + 1, STRIP_ROWS) for image in images]
    rounds = itertools.zip_longest(*tops)
    order = [(index, top) for tops_ in rounds for index, top in enumerate(tops_) if top is not None]
    for index, top in itertools.cycle(order):
        yield images[index][top : top + STRIP_ROWS]


def mosaic(width: int, height: int) -> tuple[npt.NDArray[np.uint8], str]:
    """A photograph of any size, laid out of others side by side: (height, width, 3), and what it is made of.

    Scaled up photographs would have no fine detail, and would flatter every encoder.
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
    """A photograph to score results with. `factor`: how many pixels a side become one, in the mean."""

    path: Path
    factor: int

    @property
    def name(self) -> str:
        return self.path.stem

    def pixels(self) -> npt.NDArray[np.uint8]:
        """(height, width, 3)"""
        with Image.open(self.path) as image:
            return np.asarray(image.convert("RGB").reduce(self.factor))


def scored() -> dict[str, list[Photograph]]:
    """Photographs by set: Kodak's in two halves where there is a corpus; a corpus' camera files and scikit-image's.

    Large ones are reduced by a whole number to at most 0.85 MP: scores cost time, and what an earlier JPEG left goes.
    """
    kodak = [Photograph(path, 1) for path in from_corpus("kodak")]
    found = {
        "Kodak, tuning": [one for one in kodak if one.path.name in TUNING],
        "Kodak, hold-out": [one for one in kodak if one.path.name not in TUNING],
        "photographs": [Photograph(path, factor_of(path)) for path in from_corpus("camera") + packaged()],
    }
    return {name: images for name, images in found.items() if images}


def factor_of(path: Path) -> int:
    """By which each side is divided so that no more than SCORED_PIXELS_MAX are left."""
    with Image.open(path) as image:
        return math.ceil(math.sqrt(image.width * image.height / SCORED_PIXELS_MAX))
