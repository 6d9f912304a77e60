"""JPEGs of all kinds that the makers of other tests make, for archiving, and their archives."""

import functools
from typing import Any

import numpy as np

from compressor import archive
from compressor.t81 import SOF9
from tests.fuzz.seeds import EXIF, jpegs
from tests.jpeg import test_tolerance, test_without_eoi
from tests.jpeg_files import jpeg
from tests.planted.jpeg import files as planted_files
from tests.planted.profiles import wide_profile
from tests.reference import huffman

PLAIN = jpeg(120, 90, quality=85)


def edited(data: bytes, marker: int, at: int, value: bytes) -> bytes:
    """Return a JPEG with other bytes in its first segment of a marker, from `at` bytes after the marker on."""
    start = data.index(bytes([0xFF, marker])) + 2 + at
    return data[:start] + value + data[start + len(value) :]


@functools.cache
def odd_jpegs() -> dict[str, bytes]:
    """Return JPEGs by what is odd about them: some that the library can't hold, some that no decoder reads."""
    files = {f"fuzz seed {number}": data for number, data in enumerate(jpegs())}
    files |= {f"planted {found.name}": found.data for found in planted_files()}
    files |= {f"tolerated: {name}": data for name, (_, data, _) in test_tolerance.TOLERATED.items()}
    refused = test_tolerance.REFUSED | test_tolerance.REFUSED_BY_BOTH
    files |= {f"refused: {name}": data for name, (data, _) in refused.items()}
    for kind, whole in test_without_eoi.WHOLE.items():
        files |= {f"{kind}, {name}": whole[:-2] + tail for name, tail in test_without_eoi.TRAILERS.items()}
        files[f"{kind}, tail"] = whole + bytes(range(256)) * 8
    flat = [np.zeros((1, 1, 64), np.int64)]
    return files | {
        "grey": jpeg(64, 50, "L"),
        "CMYK": jpeg(64, 50, "CMYK"),
        "with a profile": jpeg(64, 50, icc_profile=wide_profile(b"archived")),
        "12-bit": edited(huffman.encode(flat, 8, 8, [(1, 1)]), 0xC0, 2, b"\x0c"),
        "arithmetic": PLAIN.replace(b"\xff\xc0", bytes([0xFF, SOF9]), 1),
        "truncated in its scan": PLAIN[: len(PLAIN) // 2],
        "truncated in its header": PLAIN[:100],
        "only a signature": PLAIN[:3],
        "a long tail": PLAIN + bytes(5_000_000),
        "one pixel": jpeg(1, 1),
        "wide": jpeg(3000, 3),
        "millions of pixels by its header alone": edited(PLAIN, 0xC0, 3, b"\xff\xff\xff\xff"),
    }


@functools.cache
def mutated_jpegs() -> tuple[bytes, ...]:
    """Return JPEGs of which mutants are made: most are large enough that their archives are smaller."""
    described: dict[str, Any] = {"exif": EXIF, "icc_profile": wide_profile(b"mutated"), "comment": b"a comment" * 20}
    large = (
        *test_without_eoi.WHOLE.values(),
        jpeg(150, 100, subsampling=0, quality=70, optimize=True, **described),
        jpeg(100, 150, subsampling=1, progressive=True, **described),
        jpeg(90, 90, restart_marker_rows=1, quality=95, **described),
        PLAIN + PLAIN[-300:],
    )
    return 3 * large + jpegs()


@functools.cache
def photo_archive() -> tuple[bytes, bytes]:
    """Return a JPEG with Exif and a profile, and its archive."""
    data = jpeg(160, 120, quality=85, exif=EXIF, icc_profile=wide_profile(b"archived"))
    return data, archive.jxl_of(data)
