"""JPEG files of any size, as cameras write them: photographs cut, scaled down and encoded at quality 92."""

import functools
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import photos
from benchmarks.harness.fidelity import Pixels

QUALITY = 92
SMALLEST_CUT = 0.7  # of the sides of the largest part that has the proportions of the file
PHOTOGRAPHS_MIN = 3  # below this, the figures would be those of one photograph


@dataclass(frozen=True)
class Size:
    """The size of an image in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width} × {self.height}"

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


# By their names in tables and options. The side of a thumbnail; then megapixels, in the proportions 3:2.
SIZES = {
    "64px": Size(64, 64),
    "0.1": Size(384, 256),
    "0.4": Size(768, 512),
    "1": Size(1224, 816),
    "2": Size(1728, 1152),
    "8": Size(3264, 2448),  # 4:3, as many cameras have it
    "12": Size(4240, 2832),
}


def camera_jpeg(pixels: Pixels) -> bytes:
    """Encode as most cameras do: sequential, 4:2:0, with the typical Huffman codes of T.81 Annex K."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, subsampling=2)
    return file.getvalue()


@functools.cache
def covering(size: Size) -> list[Path]:
    """Return the photographs that have at least this width and height; [] if they are too few."""
    paths = photos.from_corpus("camera") + photos.from_corpus("kodak") + photos.packaged()
    found = []
    for path in paths:
        with Image.open(path) as image:
            if image.width >= size.width and image.height >= size.height:
                found.append(path)
    return found if len(found) >= PHOTOGRAPHS_MIN else []


def description(size: Size) -> str:
    """Return which photographs the files of a size are made from."""
    if paths := covering(size):
        return f"{len(paths)} photographs"
    return f"mosaics of {photos.mosaic(64, 64)[1]}"


def cut(image: Image.Image, size: Size, rng: np.random.Generator) -> Pixels:
    """Return a random part of a photograph, scaled down to (height, width, 3), and mirrored at random."""
    largest = min(image.width / size.width, image.height / size.height)
    scale = max(1.0, largest * rng.uniform(SMALLEST_CUT, 1.0))
    width, height = size.width * scale, size.height * scale
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    if scale == 1:  # nothing is interpolated
        left, top = int(left), int(top)
    part = image.resize(
        (size.width, size.height), Image.Resampling.LANCZOS, (left, top, left + width, top + height), 3.0
    )
    mirrored = np.asarray(part)[:, :: rng.choice((-1, 1))]
    return np.ascontiguousarray(mirrored)


def files(size: Size, count: int, seed: int = 1) -> list[bytes]:
    """Return `count` different JPEG files.

    Each is a part of a photograph, scaled down to the size. A size that no photograph covers is assembled from strips
    instead, which are not scaled (`photos.mosaic`), and shifted at random.
    """
    made: dict[int, bytes] = {}
    if paths := covering(size):
        for place, path in enumerate(paths[:count]):
            with Image.open(path) as image:
                photograph = image.convert("RGB")
            for number in range(place, count, len(paths)):
                made[number] = camera_jpeg(cut(photograph, size, np.random.default_rng((seed, number))))
    else:
        mosaic, _ = photos.mosaic(size.width, size.height)
        for number in range(count):
            shift = np.random.default_rng((seed, number)).integers(0, (size.height, size.width))
            made[number] = camera_jpeg(np.roll(mosaic, shift, (0, 1)))
    return [made[number] for number in range(count)]
