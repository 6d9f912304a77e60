"""Assembly of tiles into bands, and bands of another number of lines."""

from collections.abc import Iterable, Iterator
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from compressor.errors import FormatError, IncompleteError, LimitError, SettingsError
from compressor.settings import Raw, Tile

SIDE_MAX = 1_000_000  # pixels, as for PNG; other formats hold less, which their routes check
TILE_BYTES_MAX = 1 << 20
BAND_PIXELS = 1 << 16

Band = NDArray[np.uint8]


def band_lines(width: int, mcu_lines: int) -> int:
    """Return the lines of a band: whole MCU rows of about BAND_PIXELS together, at least one."""
    return mcu_lines * max(1, BAND_PIXELS // (width * mcu_lines))


def check_raw(raw: Raw) -> None:
    """Raise SettingsError if the geometry is invalid, LimitError if it is too large."""
    if raw.channels not in (1, 2, 3, 4):
        raise SettingsError("raw.channels", f"is {raw.channels}, must be 1, 2, 3 or 4")
    for name in ("width", "height", "tile_width", "tile_height"):
        if getattr(raw, name) < 1:
            raise SettingsError(f"raw.{name}", f"is {getattr(raw, name)}, must be at least 1")
    for name in ("width", "height"):
        if getattr(raw, name) > SIDE_MAX:
            raise LimitError(f"raw.{name} is {getattr(raw, name)}, more than {SIDE_MAX}")
    if min(raw.tile_width, raw.width) * min(raw.tile_height, raw.height) * raw.channels > TILE_BYTES_MAX:
        raise LimitError(f"a tile is larger than {TILE_BYTES_MAX} bytes")


def tile_rows(raw: Raw, tiles: Iterable[Tile]) -> Iterator[Band]:
    """Assemble tiles in raster order into bands (lines, width * channels) uint8; the buffer is reused.

    Raise FormatError for a tile that is not the next one or has the wrong size, IncompleteError if tiles are missing.
    """
    arriving = iter(tiles)
    buffer = np.empty((min(raw.tile_height, raw.height), raw.width * raw.channels), np.uint8)
    for y in range(0, raw.height, raw.tile_height):
        lines = min(raw.tile_height, raw.height - y)
        for x in range(0, raw.width, raw.tile_width):
            columns = min(raw.tile_width, raw.width - x) * raw.channels
            tile = next(arriving, None)
            if tile is None:
                raise IncompleteError(f"the tile at ({x}, {y}) and those after it are missing")
            if (tile.x, tile.y) != (x, y):
                raise FormatError("raw", f"tile ({tile.x}, {tile.y})", None, f"expected the tile at ({x}, {y})")
            if len(tile.pixels) != lines * columns:
                expected = f"expected {lines * columns} bytes, found {len(tile.pixels)}"
                raise FormatError("raw", f"tile ({x}, {y})", None, expected)
            samples = np.frombuffer(tile.pixels, np.uint8).reshape(lines, columns)
            start = x * raw.channels
            buffer[:lines, start : start + columns] = samples
        yield buffer[:lines]
    if (extra := next(arriving, None)) is not None:
        raise FormatError("raw", f"tile ({extra.x}, {extra.y})", None, "comes after the last one")


def rebanded(bands: Iterable[Band], lines: int) -> Iterator[Band]:
    """Yield the same lines in bands of `lines`, except the last one. Bands that fit already are passed through."""
    held: Band | None = None
    filled = 0
    for band in bands:
        start = 0
        if filled == 0 and len(band) % lines == 0:
            yield band
            continue
        if held is None:
            held = np.empty((lines, band.shape[1]), np.uint8)
        while start < len(band):
            count = min(lines - filled, len(band) - start)
            held[filled : filled + count] = band[start : start + count]
            filled, start = filled + count, start + count
            if filled == lines:
                yield held
                filled = 0
    if held is not None and filled:
        yield held[:filled]


class BandLifetime(Enum):
    """How long bands are valid.

    STABLE       they do not change when the next one is requested
    REUSED       the buffer is reused: parts of a band have to be copied
    SLOW_SOURCE  as REUSED, and decoding takes longer than encoding: other threads could only wait
    """

    STABLE = auto()
    REUSED = auto()
    SLOW_SOURCE = auto()
