"""Detection of TIFFs that Pillow misreads, often without an error. What is rejected here was decoded incorrectly in a
comparison with libvips over photometric interpretation, bits, planes, sample format, extra samples, compression and
byte order (`tests/raster/test_tiff.py`)."""

from dataclasses import dataclass
from typing import BinaryIO

from compressor.errors import UnsupportedError
from compressor.parsers import tiff
from compressor.parsers.tiff import BITS, COMPRESSION, PHOTOMETRIC, PLANAR, SAMPLES, Directory, TiffFile

YCBCR_COEFFICIENTS, SUBSAMPLING, BLACK_WHITE = 529, 530, 532
EXTRA_SAMPLES, SAMPLE_FORMAT, INK_SET, COLOR_MAP = 338, 339, 332, 320
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
SEPARATE, CMYK = 2, 1
PREMULTIPLIED = 1
BITS_READ = (1, 2, 4, 8, 12, 16)
FORMATS = {2: "signed", 3: "floating-point", 4: "untyped", 5: "complex", 6: "complex"}
LUMA = (0.299, 0.587, 0.114)
FULL_RANGE = (0, 255, 128, 255, 128, 255)
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, PALETTE: 1, SEPARATED: 4}  # color samples; 3 for others


@dataclass(frozen=True)
class TiffProperties:
    """Properties that Pillow does not report, or reports incorrectly.

    pages          1, or 2 for two or more pages that are not thumbnails
    thumbnails     number of pages that are only smaller versions of the first
    white          largest value of a sample
    premultiplied  whether colors are multiplied by alpha
    unnamed        unspecified extra samples of a pixel
    color_map      a color map with 8-bit instead of 16-bit values, as bytes, or None
    """

    pages: int
    thumbnails: int
    white: int
    premultiplied: bool
    unnamed: int
    color_map: bytes | None


def examine(file: BinaryIO) -> TiffProperties:
    """Read the directories of a TIFF. Raises UnsupportedError for what Pillow misreads."""

    def read(start: int, count: int) -> bytes:
        file.seek(start)
        return file.read(count)

    opened = TiffFile(read, file.seek(0, 2))
    first: Directory | None = None
    pages = thumbnails = 0
    for page in opened.pages():
        first = first or page
        small = opened.is_thumbnail(page, first)
        pages, thumbnails = pages + (not small), thumbnails + small
        if pages > 1:
            break
    assert first is not None  # there is one, or `pages` has raised an error
    if opened.big and opened.order == ">":
        raise UnsupportedError(f"{tiff.TITLE}: a big-endian BigTIFF")
    photometric = opened.number(first, PHOTOMETRIC, WHITE_IS_ZERO)
    bits, extra = _checked(opened, first, photometric)
    unnamed = sum(meaning not in (1, 2) for meaning in extra)
    color_map = _narrow_color_map(opened, first) if photometric == PALETTE else None
    return TiffProperties(pages, thumbnails, (1 << bits) - 1, PREMULTIPLIED in extra[:1], unnamed, color_map)


def _checked(file: TiffFile, page: Directory, photometric: int) -> tuple[int, list[int]]:
    """Return the bits of a sample and the types of extra samples. Raises UnsupportedError for what Pillow misreads."""
    samples = file.number(page, SAMPLES, 1)
    sizes = set(file.integers(page, BITS)[:samples].tolist()) or {1}
    if len(sizes) > 1:
        raise UnsupportedError(f"{tiff.TITLE}: samples of {', '.join(map(str, sorted(sizes)))} bits in one image")
    (bits,) = sizes
    for format in file.integers(page, SAMPLE_FORMAT).tolist():
        if format != 1:
            raise UnsupportedError(f"{tiff.TITLE}: {bits}-bit {FORMATS.get(format, 'unknown')} samples")
    if bits not in BITS_READ:
        raise UnsupportedError(f"{tiff.TITLE}: {bits}-bit samples")
    if photometric == WHITE_IS_ZERO and bits > 8:  # Pillow does not invert them
        raise UnsupportedError(f"{tiff.TITLE}: {bits}-bit samples of WhiteIsZero")
    if photometric == SEPARATED and file.number(page, INK_SET, CMYK) != CMYK:
        raise UnsupportedError(f"{tiff.TITLE}: inks other than cyan, magenta, yellow and black")
    colors = COLORS.get(photometric, 3)
    extra: list[int] = file.integers(page, EXTRA_SAMPLES)[: max(0, samples - colors)].tolist()
    plain = file.number(page, COMPRESSION, 1) == 1
    if samples > 1 and file.number(page, PLANAR, 1) == SEPARATE:
        if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED):
            raise UnsupportedError(f"{tiff.TITLE}: {'YCbCr' if photometric == YCBCR else 'Lab'} in planes")
        if colors == 1 and any(extra):
            raise UnsupportedError(f"{tiff.TITLE}: grey or a palette with alpha, in planes")
        if len(extra) > 1 and any(extra):
            raise UnsupportedError(f"{tiff.TITLE}: alpha and additional samples, in planes")
        if plain and (bits > 8 or (extra and not any(extra))):
            raise UnsupportedError(f"{tiff.TITLE}: {bits}-bit samples in planes, uncompressed")
    if photometric == YCBCR:
        _check_ycbcr(file, page, samples, plain)
    return bits, extra


def _check_ycbcr(file: TiffFile, page: Directory, samples: int, plain: bool) -> None:
    """Raise UnsupportedError for YCbCr that Pillow misreads as JFIF's at 4:4:4. libtiff converts compressed data."""
    if samples != 3:
        raise UnsupportedError(f"{tiff.TITLE}: YCbCr of {samples} samples")
    if not plain:
        return
    if [*file.integers(page, SUBSAMPLING).tolist(), 2, 2][:2] != [1, 1]:
        raise UnsupportedError(f"{tiff.TITLE}: subsampled YCbCr, uncompressed")
    for tag, usual in ((YCBCR_COEFFICIENTS, LUMA), (BLACK_WHITE, FULL_RANGE)):
        found = _rationals(file, page, tag)
        if found and (len(found) != len(usual) or any(abs(a - b) > 0.001 for a, b in zip(found, usual, strict=True))):
            raise UnsupportedError(f"{tiff.TITLE}: YCbCr that differs from JFIF's, uncompressed")


def _rationals(file: TiffFile, page: Directory, tag: int) -> list[float]:
    """Return a tag's values as numbers, of RATIONAL or any integer type."""
    entry = page.find(tag)
    if entry is None:
        return []
    if entry.kind != tiff.RATIONAL:
        return [float(value) for value in file.integers(page, tag)]
    data = file.values(entry)
    words = [file.integer(data[at : at + 4]) for at in range(0, len(data), 4)]
    return [top / max(1, bottom) for top, bottom in zip(words[::2], words[1::2], strict=True)]


def _narrow_color_map(file: TiffFile, page: Directory) -> bytes | None:
    """Return a color map that was written with 8-bit values, which would otherwise be all black."""
    found = file.integers(page, COLOR_MAP)
    return found.astype("u1").tobytes() if found.size and int(found.max()) < 256 else None
