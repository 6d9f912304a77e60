"""Contact sheets of crops for visual comparison: our results at three qualities, and others of the same size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.harness import encoders, fidelity, photos

QUALITIES = (40, 60, 80)
REFERENCE = "balanced"  # the others match its number of bytes
WIDTH, HEIGHT, ZOOM = 176, 132, 2
GAP, LINE = 6, 20
# Left and top of the crops that show ringing, blocking and color bleeding best; other photographs: the center.
CROPS = {
    "kodim03": (380, 190),
    "kodim05": (330, 170),
    "kodim15": (390, 70),
    "kodim20": (300, 240),
    "kodim21": (250, 60),
    "kodim23": (400, 100),
    "astronaut": (130, 30),
    "coffee": (220, 60),
    "chelsea": (120, 60),
    "rocket": (300, 150),
}


@dataclass(frozen=True)
class Cell:
    """A crop and its caption."""

    pixels: fidelity.Pixels
    text: str


def equal_bytes(encode: encoders.Encode, wanted: int) -> tuple[int, bytes]:
    """Return the quality from 1 to 100 whose result is nearest in bytes, and the result. Sizes grow with quality."""
    low, high = 1, 100
    results: dict[int, bytes] = {}
    while low < high:
        middle = (low + high) // 2
        results[middle] = encode(middle)
        if len(results[middle]) < wanted:
            low = middle + 1
        else:
            high = middle
    for quality in (low, max(1, low - 1)):
        results.setdefault(quality, encode(quality))
    return min(results.items(), key=lambda item: (abs(len(item[1]) - wanted), item[0]))


def crop(pixels: fidelity.Pixels, name: str) -> fidelity.Pixels:
    """Return WIDTH × HEIGHT pixels, fewer of a smaller image, magnified."""
    height, width = pixels.shape[:2]
    left, top = CROPS.get(name, ((width - WIDTH) // 2, (height - HEIGHT) // 2))
    left, top = max(0, min(left, width - WIDTH)), max(0, min(top, height - HEIGHT))
    return pixels[top : top + HEIGHT, left : left + WIDTH].repeat(ZOOM, 0).repeat(ZOOM, 1)


def cells(image: photos.Photograph, columns: Sequence[encoders.Encoder], quality: int) -> Iterator[Cell]:
    """Yield the source, then a cell for each encoder."""
    pixels = image.pixels()
    yield Cell(crop(pixels, image.name), f"{image.name}, source")
    reference = next((one for one in columns if one.name == REFERENCE), columns[0])
    first = reference.encode(pixels, quality)
    for column in columns:
        chosen, data = (quality, first) if column is reference else equal_bytes(column.hold(pixels), len(first))
        difference = len(data) / len(first) - 1
        size = f"{len(data):,} bytes" if column is reference else f"{difference:+.1%}"
        yield Cell(crop(fidelity.decoded(data), image.name), f"{column.name}, quality {chosen}: {size}")


def sheet(images: Sequence[photos.Photograph], columns: Sequence[encoders.Encoder], quality: int) -> Image.Image:
    """Return an image with a row for each photograph and a column for the source and each encoder."""
    step = WIDTH * ZOOM + GAP, HEIGHT * ZOOM + LINE + GAP
    canvas = Image.new("RGB", (step[0] * (len(columns) + 1) + GAP, step[1] * len(images) + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for row, image in enumerate(images):
        for column, cell in enumerate(cells(image, columns, quality)):
            left, top = GAP + column * step[0], GAP + row * step[1]
            canvas.paste(Image.fromarray(np.ascontiguousarray(cell.pixels)), (left, top))
            pen.text((left, top + HEIGHT * ZOOM + 2), cell.text, "black", font=font)
    return canvas


def default_photographs() -> list[photos.Photograph]:
    """Return photographs of Kodak's if there is a corpus, else of scikit-image's."""
    found = {image.name: image for images in photos.scored().values() for image in images}
    kodak = [found[name] for name in CROPS if name.startswith("kodim") and name in found]
    return kodak or [found[name] for name in CROPS if name in found]


def draw(names: Sequence[str], path: Path, images: Sequence[photos.Photograph] | None = None) -> list[Path]:
    """Write a PNG file for each quality, named after `path`; return the paths."""
    known = {one.name: one for one in (*encoders.OURS, encoders.PILLOW, encoders.MOZJPEG, encoders.JPEGLI)}
    peers = [known[name] for name in names if name in known and not known[name].effort]
    ours = [known[name] for name in names if name in known and known[name].effort]
    paths = []
    for quality in QUALITIES:
        paths.append(path.with_name(f"{path.stem}-crops-{quality}.png"))
        sheet(default_photographs() if images is None else images, [*peers, *ours], quality).save(paths[-1])
    return paths
