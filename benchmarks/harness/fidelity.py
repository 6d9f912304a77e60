"""Similarity of two images, which accompanies every figure of speed or size, and the image data of a JPEG file."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Image.MAX_IMAGE_PIXELS = None  # the benchmarks open only trusted files, some of them big
Pixels = npt.NDArray[np.uint8]
SCORED = (512, 768)  # rows and columns in the middle of an image that are scored
EOI, SOS, METADATA = 0xD9, 0xDA, {*range(0xE0, 0xF0), 0xFE}  # T.81 B.1; METADATA is APPn and COM


def psnr(a: Pixels, b: Pixels) -> float:
    """Return the peak signal-to-noise ratio in dB over all samples of two images; inf if they are identical.

    Needs bounded additional memory. Raises ValueError if the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    total = 0.0
    for top in range(0, len(a), 256):
        difference = a[top : top + 256].astype(np.int32) - b[top : top + 256]
        total += float(np.square(difference).sum(dtype=np.int64))
    return float("inf") if total == 0 else float(10 * np.log10(255**2 * a.size / total))


def decoded(data: bytes) -> Pixels:
    """Decode a file with Pillow to (height, width, 3), transparent pixels on white, as the benchmarks request it."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            white = Image.new("RGBA", image.size, "white")
            return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
        return np.asarray(image.convert("RGB"))


def middle(pixels: Pixels) -> Pixels:
    """Return the part of an image that is scored; all of a small one."""
    (rows, columns), (height, width) = SCORED, pixels.shape[:2]
    top, left = max(0, height - rows) // 2, max(0, width - columns) // 2
    return np.ascontiguousarray(pixels[top : top + rows, left : left + columns])


class Eighths:
    """Means of 8 × 8 pixels, collected band by band: an image of any size in 1/64 of its memory.

    A JPEG file decoded at 1/8 scale has the same means, apart from its coding losses.
    """

    def __init__(self, width: int, height: int) -> None:
        self.means = np.empty((height // 8, width // 8, 3), np.uint8)
        self._row = 0

    def add(self, band: Pixels) -> None:
        """Add the next rows. Each band but the last has a multiple of 8 rows."""
        rows, columns = len(band) // 8, band.shape[1] // 8
        whole = band[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8, 3)
        self.means[self._row : self._row + rows] = np.rint(whole.mean((1, 3), dtype=np.float32))
        self._row += rows

    def psnr(self, path: Any) -> float:
        """Return the PSNR against a JPEG file that Pillow decodes at 1/8 scale."""
        with Image.open(path) as image:
            size = image.size
            image.draft("RGB", (size[0] // 8, size[1] // 8))
            small = np.asarray(image.convert("RGB"))
        if (-(-size[0] // 8), -(-size[1] // 8)) != (small.shape[1], small.shape[0]):
            raise ValueError(f"{size} was decoded as {small.shape}")
        return psnr(self.means, small[: self.means.shape[0], : self.means.shape[1]])


def image_data_bytes(data: bytes) -> int:
    """Return the size of a JPEG file without application segments, comments and trailing data (T.81 B.1).

    Dropped metadata then does not count as a saving, nor does added metadata as a loss.
    """
    total = at = 2  # SOI
    while data[at : at + 1] == b"\xff":
        code = data[at + 1]
        if code == EOI:
            return total + 2
        size = 1 if code == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")  # FF is a fill byte
        end = end_of_scan(data, at + size) if code == SOS else at + size
        if code not in METADATA:
            total += end - at
        at = end
    raise ValueError(f"neither a marker nor the end of the image at byte {at}")


def end_of_scan(data: bytes, at: int) -> int:
    """Return the position of the marker that ends entropy-coded data: an FF that neither 00 nor RSTn follows."""
    while (at := data.find(b"\xff", at)) >= 0:
        if at + 1 < len(data) and data[at + 1] and data[at + 1] not in range(0xD0, 0xD8):
            return at
        at += 2
    raise ValueError("a scan without an end")
