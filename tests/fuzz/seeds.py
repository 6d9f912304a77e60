"""The seeds: small files of every kind that the readers support."""

import functools
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from compressor.png.header import DEPTHS
from tests.jpeg.test_scans import APART, BITWISE, SIMPLE
from tests.jpeg_files import jpeg, photo
from tests.reference import adam7, huffman, pngfilter
from tests.reference import progressive as scans

Chunks = Sequence[tuple[bytes, bytes]]

SEQUENTIAL_SCANS = [((0,), 0, 63, 0, 0), ((1, 2), 0, 63, 0, 0)]
GREY_SCANS = [((0,), 0, 0, 0, 1), ((0,), 1, 63, 0, 2), ((0,), 1, 63, 2, 1), ((0,), 0, 0, 1, 0), ((0,), 1, 63, 1, 0)]
EXIF = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)


def _scanned(
    script: list[Any],
    sof: int = 0xC2,
    interval: int = 0,
    sampling: Sequence[tuple[int, int]] = ((2, 2), (1, 1), (1, 1)),
) -> bytes:
    planes = huffman.random_planes(np.random.default_rng(1), 17, 9, list(sampling), 0.2)
    data: bytes = scans.encode(planes, 17, 9, list(sampling), script, sof=sof, intervals=(interval,))
    return data


def _sampled(sampling: list[tuple[int, int]], **options: Any) -> bytes:
    planes = huffman.random_planes(np.random.default_rng(2), 33, 20, sampling)
    data: bytes = huffman.encode(planes, 33, 20, sampling, **options)
    return data


def _several_pictures() -> bytes:
    sink = io.BytesIO()
    photo(24, 16).save(sink, "MPO", save_all=True, append_images=[photo(8, 8)], quality=80)
    return sink.getvalue()


@functools.cache
def jpegs() -> tuple[bytes, ...]:
    """Return JPEGs of every sampling, color space and kind of scan, with restarts, optimized tables and metadata."""
    profile = bytes(range(200))
    several = (b"ICC_PROFILE\0\1\2" + profile[:100], b"ICC_PROFILE\0\2\2" + profile[100:])
    segments = b"".join(huffman.segment(0xE2, piece) for piece in several) + huffman.segment(0xE1, EXIF)
    plain = jpeg(31, 17, subsampling=2, quality=85)
    return (
        plain,
        plain[:2] + segments + plain[2:],
        jpeg(17, 9, subsampling=0, quality=60, optimize=True),
        jpeg(40, 16, subsampling=1, quality=90, restart_marker_blocks=1),
        jpeg(24, 40, "L", quality=50),
        jpeg(24, 17, "L", quality=95, restart_marker_rows=1, comment=b"grey"),
        jpeg(20, 20, "CMYK", quality=70),
        jpeg(33, 17, "CMYK", quality=70, progressive=True),
        jpeg(33, 33, progressive=True, quality=80, subsampling=2),
        jpeg(17, 33, progressive=True, subsampling=0, restart_marker_blocks=2, exif=EXIF, icc_profile=profile),
        jpeg(17, 9, "L", quality=90, progressive=True),
        _several_pictures(),
        _sampled([(4, 1), (1, 1), (1, 1)], interval=1),
        _sampled([(1, 2), (1, 1), (1, 1)], dht=False),
        _sampled([(2, 2), (2, 1), (1, 2)]),
        _scanned(SIMPLE),
        _scanned(BITWISE),
        _scanned(APART, interval=2),
        _scanned(SEQUENTIAL_SCANS, sof=0xC1),
        _scanned(SEQUENTIAL_SCANS, sof=0xC0, interval=1),
        _scanned(GREY_SCANS, interval=1, sampling=((1, 1),)),
    )  # fmt: skip


def png(color: int, depth: int, interlaced: bool, before: Chunks = (), after: Chunks = (), **options: int) -> bytes:
    """Return a PNG of 17 x 11 pixels with every filter type."""
    width, height = 17, 11
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
    rows = pngfilter.random_rows(color + depth, height, (width * bits + 7) // 8)
    if interlaced:
        image = adam7.interlaced(rows, width, bits)
    else:
        image = pngfilter.filtered_rows(rows, [n % 5 for n in range(height)], max(1, bits // 8))
    palette = ((b"PLTE", bytes(range(3 << min(depth, 6)))),) if color == 3 else ()
    data = zlib.compress(image)
    made: bytes = pngfilter.png(
        width, height, depth, color, data, before=(*palette, *before), after=after, interlace=int(interlaced), **options
    )
    return made


METADATA = (
    (b"gAMA", (45455).to_bytes(4, "big")),
    (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
    (b"sRGB", b"\0"),
    (b"iCCP", b"a profile\0\0" + zlib.compress(bytes(16) + b"RGB " + bytes(40))),
    (b"tEXt", b"Title\0latin"),
    (b"zTXt", b"Author\0\0" + zlib.compress(b"somebody" * 9)),
    (b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0\0" + zlib.compress(b"<x/>")),
    (b"iTXt", b"Comment\0\0\0\0\0text"),
    (b"pHYs", struct.pack(">IIB", 3000, 3000, 1)),
    (b"eXIf", EXIF[6:]),
    (b"cICP", bytes((9, 16, 0, 1))),
    (b"tIME", bytes(7)),
)


@functools.cache
def pngs() -> tuple[bytes, ...]:
    """Return PNGs of every color type and depth, interlaced and not, with transparency, metadata, an animation."""
    kinds = [(color, depth) for color, depths in DEPTHS.items() for depth in depths]
    plain = [png(color, depth, interlaced) for interlaced in (False, True) for color, depth in kinds]
    frame = struct.pack(">IIIIHHBB", 17, 11, 0, 0, 1, 10, 0, 0)
    first = ((b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", bytes(4) + frame))
    image = pngfilter.filtered_rows(pngfilter.random_rows(9, 11, 68), [1] * 11, 4)
    second = ((b"fcTL", b"\0\0\0\1" + frame), (b"fdAT", b"\0\0\0\2" + zlib.compress(image)))
    return (
        *plain,
        png(0, 8, False, before=((b"tRNS", b"\0\7"),)),
        png(0, 16, True, before=((b"tRNS", b"\0\7"),)),
        png(2, 8, True, before=((b"tRNS", bytes(6)),)),
        png(2, 16, False, before=((b"tRNS", bytes(6)),), idat_bytes=50),
        png(3, 4, False, before=((b"tRNS", bytes(range(9))),), idat_bytes=9),
        png(3, 8, True, before=((b"tRNS", bytes(range(9))),), idat_bytes=9),
        png(2, 8, False, before=METADATA, after=((b"tEXt", b"Late\0"), (b"eXIf", EXIF[6:]))),
        png(4, 8, True, before=METADATA),
        png(6, 8, False, before=first, after=second),
    )
