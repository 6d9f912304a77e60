"""Train the Huffman codes of `compressor/jpeg/static_codes.py`, and print those that differ from the file.

They have to suit unseen images. So they are trained on many photographs of several cameras, each weighted by its number
of symbols, and every symbol gets a code. Photographs for validation are left out.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.harness import photos
from compressor.jpeg import perceptual, static_codes, writer
from compressor.jpeg.encoder import Statistics, Transform
from compressor.jpeg.tables import huffman_spec
from compressor.settings import Effort
from compressor.tiles import band_lines

NAMES = ("DC of luma", "DC of chroma", "AC of luma", "AC of chroma")
WIDTH = 1 << 11  # wider photographs are reduced to about this width, as they are on the web


def images() -> list[npt.NDArray[np.uint8]]:
    """Return Kodak's photographs for tuning; and others for tuning, and those of cameras, both reduced."""
    found = [photos.pixels(path) for path in photos.from_corpus("kodak") if path.name in photos.TUNING]
    for path in photos.from_corpus("photos/tuning") + photos.from_corpus("camera"):
        with Image.open(path) as image:
            found.append(np.asarray(image.convert("RGB").reduce(max(2, -(-image.width // WIDTH)))))
    return found


def statistics(image: npt.NDArray[np.uint8], distance: float) -> npt.NDArray[np.int64]:
    """Return the counts of the symbols that effort fast codes: (components, 2, 256)."""
    height, width, channels = image.shape
    frame = writer.frame_for(width, height, channels, "420")
    transform = Transform(
        frame,
        perceptual.quantization_tables(distance, channels, perceptual.table_set_of(Effort.FAST)),
        perceptual.dead_zones(distance, channels),
    )
    lines, samples, collected = band_lines(width, 16), image.reshape(height, -1), Statistics(frame)
    for slab in transform.slabs(samples[top : top + lines] for top in range(0, height, lines)):
        collected.add(slab)
    return collected.counts


def with_all_symbols(counts: npt.NDArray[np.int64], symbols: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return counts in which each of `symbols` occurs."""
    full = np.zeros(256, np.int64)
    full[symbols] = 1
    return counts * 16 + full


def tables(distance: float) -> list[str]:
    """Return BITS and HUFFVAL in hexadecimal: DC of luma, DC of chroma, AC of luma, AC of chroma."""
    dc = np.arange(12)  # Table F.1
    ac = np.array([0, 0xF0, *(run << 4 | ssss for run in range(16) for ssss in range(1, 11))])  # Table F.2
    counts = np.sum([statistics(image, distance) for image in images()], axis=0)
    found = []
    for tc, symbols in ((0, dc), (1, ac)):
        for group in (counts[0, tc], counts[1:, tc].sum(0)):
            bits, values = huffman_spec(with_all_symbols(group, symbols))
            found.append((bits + values).hex())
    return found


def run(out: Path) -> bool:
    """Train the codes; return False if they differ from the file."""
    differing = 0
    for distance, present in zip(static_codes.DISTANCES, static_codes.TABLES, strict=True):
        for name, trained, current in zip(NAMES, tables(distance), present, strict=True):
            if trained != current:
                print(f"distance {distance}, {name}: {trained}")
                differing += 1
    count = len(static_codes.DISTANCES) * len(NAMES)
    print(f"{differing} of {count} tables differ from those of compressor/jpeg/static_codes.py")
    return differing == 0
