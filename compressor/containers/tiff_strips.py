"""The strips (TIFF 6.0 section 3) or tiles (section 15) that hold the samples of a page."""

from dataclasses import dataclass

import numpy as np

from compressor.errors import FormatError, LimitError
from compressor.parsers.tiff import (
    BITS,
    COMPRESSION,
    LENGTH,
    PHOTOMETRIC,
    PLANAR,
    SAMPLES,
    TITLE,
    WIDTH,
    Directory,
    Integers,
    TiffFile,
)

ROWS_PER_STRIP, TILE_WIDTH, TILE_LENGTH = 278, 322, 323
SUBSAMPLING, IMAGE_DEPTH, TILE_DEPTH = 530, 32997, 32998
BYTE_COUNTS = {324: 325, 273: 279}  # by the tag of the offsets, tiles first
SEPARATE, YCBCR, UNCOMPRESSED = 2, 6, 1
STRIPS_MAX = 1 << 20
SIDE_MAX = (1 << 31) - 1
SAMPLES_MAX = 65535


@dataclass(frozen=True)
class Strips:
    """The strips or tiles of a page, as far as they hold samples.

    tags          of the offsets and of the byte counts
    starts, ends  ranges in the file; equal where there is no data
    most          bytes of samples that one strip or tile can hold
    """

    tags: tuple[int, int]
    starts: Integers
    ends: Integers
    most: int


def strips_of(file: TiffFile, page: Directory) -> Strips:
    """Return a page's strips or tiles; uncompressed ones end with their samples."""
    tag = next((tag for tag in BYTE_COUNTS if page.find(tag) is not None), None)
    if tag is None:
        raise FormatError(TITLE, "IFD", page.offset, "neither strips nor tiles")
    width, length = (_side(file, page, tag_of_side) for tag_of_side in (WIDTH, LENGTH))
    samples = file.number(page, SAMPLES, 1)
    if not 1 <= samples <= SAMPLES_MAX:
        raise FormatError(TITLE, "SamplesPerPixel", page.offset, f"{samples}")
    planes = samples if file.number(page, PLANAR, 1) == SEPARATE else 1
    if page.find(TILE_WIDTH) is not None:
        across, rows = _side(file, page, TILE_WIDTH), _side(file, page, TILE_LENGTH)
        deep = max(1, file.number(page, TILE_DEPTH, 1))
        each = -(-width // across) * -(-length // rows) * -(-file.number(page, IMAGE_DEPTH, 1) // deep)
        last_rows = rows
    else:
        across, rows = width, min(max(1, file.number(page, ROWS_PER_STRIP, length)), length)
        deep, each = 1, -(-length // rows)
        last_rows = length - (each - 1) * rows
    if not 0 < each * planes <= STRIPS_MAX:
        raise LimitError(f"{TITLE}: {each * planes} strips or tiles, at most {STRIPS_MAX}")
    starts = file.integers(page, tag)
    if len(starts) > each * planes:  # readers disagree on which of them to use
        raise FormatError(TITLE, f"tag {tag}", page.offset, f"{len(starts)} offsets for {each * planes} strips")
    counts = file.integers(page, BYTE_COUNTS[tag])[: len(starts)]
    sizes = [deep * _sample_bytes(file, page, across, some, planes) for some in (rows, last_rows)]
    if file.number(page, COMPRESSION, 1) == UNCOMPRESSED:
        needed = np.full(len(starts), min(sizes[0], file.size), np.int64)
        needed[each - 1 :: each] = min(sizes[1], file.size)
        given = np.zeros_like(needed)
        given[: len(counts)] = counts
        counts = np.where((given > 0) & (given < needed) & (len(starts) > 1), given, needed)
    elif len(counts) < len(starts):
        raise FormatError(TITLE, "IFD", page.offset, "strips or tiles without their byte counts")
    counts[starts == 0] = 0  # of a sparse file: no data
    return Strips((tag, BYTE_COUNTS[tag]), starts, starts + counts, sizes[0])


def _side(file: TiffFile, page: Directory, tag: int) -> int:
    side = file.number(page, tag, 0)
    if not 1 <= side <= SIDE_MAX:
        raise FormatError(TITLE, f"tag {tag}", page.offset, f"a width or length of {side}")
    return side


def _sample_bytes(file: TiffFile, page: Directory, width: int, rows: int, planes: int) -> int:
    """Return the bytes of the samples of an uncompressed strip or tile."""
    samples = file.number(page, SAMPLES, 1)
    bits: list[int] = [max(0, found) for found in file.integers(page, BITS)[:samples].tolist()] or [1]
    if planes > 1:
        return -(-width * max(bits) // 8) * rows
    total = sum(bits) if len(bits) == samples else bits[0] * samples
    if file.number(page, PHOTOMETRIC, 0) == YCBCR and samples == 3:
        found: list[int] = file.integers(page, SUBSAMPLING).tolist()
        across, down = found if len(found) == 2 and min(found) > 0 else (2, 2)
        units = -(-width // across) * -(-rows // down)
        # Each row of data units has one additional byte.
        return -(-units * (across * down + 2) * bits[0] // 8) + -(-rows // down)
    return -(-width * total // 8) * rows
