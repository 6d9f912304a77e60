"""For human eyes: crops of what ours makes at three qualities, beside the peers' at the same number of bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.harness import encoders, fidelity, photos

QUALITIES = (40, 60, 80)
ANCHOR = "balanced"  # whose bytes the others get
WIDTH, HEIGHT, ZOOM = 176, 132, 2
GAP, LINE = 6, 20
# Left and top of what shows ringing, blocks and bleeding colour best; of others the middle.
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
    """A crop, and what is written below it."""

    pixels: fidelity.Pixels
    text: str


def equal_bytes(encode: encoders.Encode, wanted: int) -> tuple[int, bytes]:
    """The quality, 1 to 100, whose result is nearest in bytes; results grow with the quality."""
    low, high = 1, 100
    made: dict[int, bytes] = {}
    while low < high:
        middle = (low + high) // 2
        made[middle] = encode(middle)
        if len(made[middle]) < wanted:
            low = middle + 1
        else:
            high = middle
    for quality in (low, max(1, low - 1)):
        made.setdefault(quality, encode(quality))
    return min(made.items(), key=lambda item: (abs(len(item[1]) - wanted), item[0]))


def cropped(pixels: fidelity.Pixels, name: str) -> fidelity.Pixels:
    """WIDTH x HEIGHT pixels, or less of a smaller image, magnified."""
    height, width = pixels.shape[:2]
    left, top = CROPS.get(name, ((width - WIDTH) // 2, (height - HEIGHT) // 2))
    left, top = max(0, min(left, width - WIDTH)), max(0, min(top, height - HEIGHT))
    crop = pixels[top : top + HEIGHT, left : left + WIDTH]
    return crop.repeat(ZOOM, 0).repeat(ZOOM, 1)


def cells(image: photos.Photograph, columns: Sequence[encoders.Encoder], quality: int) -> Iterator[Cell]:
    """The source, then every column."""
    pixels = image.pixels()
    yield Cell(cropped(pixels, image.name), f"{image.name}, source")
    anchor = next((one for one in columns if one.name == ANCHOR), columns[0])
    first = anchor.encode(pixels, quality)
    for column in columns:
        chosen, data = (quality, first) if column is anchor else equal_bytes(column.hold(pixels), len(first))
        off = len(data) / len(first) - 1
        size = f"{len(data):,} bytes" if column is anchor else f"{off:+.1%}"
        yield Cell(cropped(fidelity.decoded(data), image.name), f"{column.name}, quality {chosen}: {size}")


def sheet(images: Sequence[photos.Photograph], columns: Sequence[encoders.Encoder], quality: int) -> Image.Image:
    """A line for each photograph, a column for the source and each encoder."""
    step = WIDTH * ZOOM + GAP, HEIGHT * ZOOM + LINE + GAP
    made = Image.new("RGB", (step[0] * (len(columns) + 1) + GAP, step[1] * len(images) + GAP), "white")
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(13)
    for row, image in enumerate(images):
        for column, cell in enumerate(cells(image, columns, quality)):
            left, top = GAP + column * step[0], GAP + row * step[1]
            made.paste(Image.fromarray(np.ascontiguousarray(cell.pixels)), (left, top))
            pen.text((left, top + HEIGHT * ZOOM + 2), cell.text, "black", font=font)
    return made


def chosen_photographs() -> list[photos.Photograph]:
    """Kodak's where they are there, else scikit-image's."""
    found = {image.name: image for images in photos.scored().values() for image in images}
    kodak = [found[name] for name in CROPS if name.startswith("kodim") and name in found]
    return kodak or [found[name] for name in CROPS if name in found]


def draw(names: Sequence[str], path: Path, images: Sequence[photos.Photograph] | None = None) -> list[Path]:
    """A PNG file for each quality, named after `path`."""
    known = {one.name: one for one in (*encoders.OURS, encoders.PILLOW, encoders.MOZJPEG, encoders.JPEGLI)}
    peers = [known[name] for name in names if name in known and not known[name].effort]
    ours = [known[name] for name in names if name in known and known[name].effort]
    made = []
    for quality in QUALITIES:
        made.append(path.with_name(f"{path.stem}-crops-{quality}.png"))
        sheet(chosen_photographs() if images is None else images, [*peers, *ours], quality).save(made[-1])
    return made
