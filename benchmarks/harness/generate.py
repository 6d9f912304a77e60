"""A big synthetic image that compresses like a photograph, as a PNG that is written band by band in bounded memory.

    python -m benchmarks.harness.generate OUT.png [WIDTH HEIGHT [SEED]]

It consists of noise of several octaves with natural amplitudes (about 1/f), outlines where an octave crosses zero,
color that varies more slowly than brightness, and sensor grain. The same seed gives the same pixels.
"""

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness.fidelity import Pixels

BAND_ROWS = 64
# (period in pixels, amplitude in 8-bit levels)
BRIGHTNESS = ((2048, 46.0), (512, 28.0), (128, 16.0), (32, 11.0), (8, 9.0), (3, 8.0))
COLOR = ((1024, 22.0), (128, 6.0))
OUTLINES = ((700, 34.0), (160, 16.0))
GRAIN = 7  # the grain is the sum of two uniform draws from 0 to GRAIN - 1: a standard deviation of 2.8 levels

Float32s = npt.NDArray[np.float32]


class Octave:
    """Smooth noise: a lattice of random values `period` pixels apart, interpolated linearly.

    Each lattice row has a random generator keyed by seed, octave and row, so that any band can be generated on its own.
    """

    def __init__(self, width: int, period: int, amplitude: float, key: tuple[int, int]) -> None:
        self.period = period
        self.amplitude = amplitude
        self._key = key
        self._columns = np.arange(width, dtype=np.float32) / period
        self._nodes = np.arange(width // period + 2)
        self._rows: dict[int, Float32s] = {}

    def _row(self, node: int) -> Float32s:
        if node not in self._rows:
            self._rows = {kept: row for kept, row in self._rows.items() if kept == node - 1}
            values = np.random.default_rng((*self._key, node)).uniform(-1, 1, len(self._nodes))
            self._rows[node] = (self.amplitude * np.interp(self._columns, self._nodes, values)).astype(np.float32)
        return self._rows[node]

    def row(self, y: int) -> Float32s:
        """Return row y: (width,), from -amplitude to amplitude."""
        node, share = divmod(y, self.period)
        above = self._row(node)
        return above + np.float32(share / self.period) * (self._row(node + 1) - above)


def bands(width: int, height: int, seed: int = 1) -> Iterator[Pixels]:
    """Yield the image as bands of (at most 64, width, 3) from the top."""
    brightness = [Octave(width, period, amplitude, (seed, n)) for n, (period, amplitude) in enumerate(BRIGHTNESS)]
    outlines = [Octave(width, period, 1.0, (seed, 10 + n)) for n, (period, _) in enumerate(OUTLINES)]
    red = [Octave(width, period, amplitude, (seed, 20 + n)) for n, (period, amplitude) in enumerate(COLOR)]
    blue = [Octave(width, period, amplitude, (seed, 30 + n)) for n, (period, amplitude) in enumerate(COLOR)]
    for top in range(0, height, BAND_ROWS):
        rows = min(BAND_ROWS, height - top)
        draws = np.random.default_rng((seed, 99, top)).integers(0, GRAIN, (2, rows, width, 3), dtype=np.uint8)
        samples = (draws[0] + draws[1]).astype(np.float32)
        for row in range(rows):
            y = top + row
            level = sum((octave.row(y) for octave in brightness), np.full(width, 122, np.float32))
            for octave, (_, step) in zip(outlines, OUTLINES, strict=True):
                level += np.where(octave.row(y) > 0, np.float32(step / 2), np.float32(-step / 2))
            redness = sum(octave.row(y) for octave in red)
            blueness = sum(octave.row(y) for octave in blue)
            samples[row, :, 0] += level + redness
            samples[row, :, 1] += level - np.float32(0.5) * redness - np.float32(0.2) * blueness
            samples[row, :, 2] += level + blueness
        yield np.clip(samples, 0, 255).astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk: length, type, data, CRC (ISO/IEC 15948, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def filtered(band: Pixels, before: Pixels) -> bytes:
    """Filter a band of scanlines (rows, width * 3), each preceded by its filter type; `before` is the row above it.

    Sub, Up, Average and Paeth alternate, so that a reader has to undo each of them (ISO/IEC 15948, 9.2).
    """
    raw = band.astype(np.int16)
    up = np.vstack([before[None], band[:-1]]).astype(np.int16)
    left = np.zeros_like(raw)
    left[:, 3:] = raw[:, :-3]
    corner = np.zeros_like(raw)
    corner[:, 3:] = up[:, :-3]
    out = np.empty((band.shape[0], 1 + band.shape[1]), np.uint8)
    for first, predict in enumerate((lambda a, b, c: a, lambda a, b, c: b, lambda a, b, c: (a + b) >> 1, paeth)):
        rows = slice(first, None, 4)
        out[rows, 0] = first + 1
        out[rows, 1:] = (raw[rows] - predict(left[rows], up[rows], corner[rows])).astype(np.uint8)
    return out.tobytes()


def paeth(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16], c: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return whichever of left, up and corner is nearest to left + up - corner, in this order (ISO/IEC 15948, 9.4)."""
    pa, pb = np.abs(b - c), np.abs(a - c)
    pc = np.abs(a + b - 2 * c)
    return np.where((pa <= pb) & (pa <= pc), a, np.where(pb <= pc, b, c))


def png(width: int, height: int, seed: int = 1, on_band: Callable[[Pixels], Any] | None = None) -> Iterator[bytes]:
    """Yield the image as the bytes of an 8-bit RGB PNG. `on_band` is called with every band of pixels."""
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    deflate = zlib.compressobj(1)
    before = np.zeros(width * 3, np.uint8)
    for band in bands(width, height, seed):
        if on_band is not None:
            on_band(band)
        lines = band.reshape(len(band), -1)
        data = deflate.compress(filtered(lines, before))
        before = lines[-1]
        if data:
            yield chunk(b"IDAT", data)
    yield chunk(b"IDAT", deflate.flush()) + chunk(b"IEND", b"")


def write_png(
    path: Path, width: int, height: int, seed: int = 1, on_band: Callable[[Pixels], Any] | None = None
) -> int:
    """Write the image to a PNG file; return the number of bytes."""
    with path.open("wb") as file:
        return sum(file.write(part) for part in png(width, height, seed, on_band))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:]] or [10_000, 10_000]
    print(f"{write_png(Path(sys.argv[1]), *numbers):,} bytes")  # type: ignore[arg-type]
