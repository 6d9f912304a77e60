"""Files under a megabyte that claim or hide much work: each is finished within two seconds, in little memory.

Time is CPU time, so that it does not depend on the load of the machine.
"""

import functools
import time
import zlib
from collections.abc import Iterable
from typing import Any

import pytest

import compressor
from compressor.errors import FormatError, LimitError, UnsupportedError
from tests.jpeg import test_hostile as jpeg_hostile
from tests.jpeg import test_scans_hostile as jpeg_scans_hostile
from tests.png import test_hostile as png_hostile
from tests.png import test_interlace as png_interlace
from tests.reference.pngfilter import chunk, png

SECONDS_MAX = 2.0
SIDE = 65_500
PALETTE = [(b"PLTE", b"\0\0\0\xff\xff\xff")]


def outcome(data: bytes, **settings: Any) -> tuple[str, float]:
    """Return the outcome or error of the public calls for a file, and their CPU time in seconds."""
    assert len(data) < 1 << 20
    start = time.process_time()
    try:
        compressor.inspect([data])
        found: str = compressor.compress(data, effort="fast", **settings).report.outcome
    except (FormatError, LimitError, UnsupportedError) as error:
        found = str(error)
    return found, time.process_time() - start


def zeros(count: int, level: int = 9) -> bytes:
    """Return a zlib stream of that many zeros, made in pieces."""
    made = zlib.compressobj(level)
    parts = [made.compress(bytes(min(1 << 20, count - at))) for at in range(0, count, 1 << 20)]
    return b"".join((*parts, made.flush()))


def text_bomb(kind: bytes) -> tuple[bytes, bytes]:
    """Return a chunk of 16 KiB that inflates to 16 MiB and a byte of metadata."""
    head = {b"zTXt": b"k\0\0", b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind]
    return kind, head + zeros((16 << 20) + 1)


IMAGE = zlib.compress(bytes(14))
TINY = png(2, 2, 8, 2, IMAGE)
SMALL_IDATS = chunk(b"IDAT", b"") * 80_000
FILES = {
    "a header of an interlaced image as large as can be": lambda: png(
        SIDE, SIDE, 8, 6, zlib.compress(b""), interlace=1
    ),
    "a header of a million pixels a side": lambda: png(1_000_000, 1_000_000, 16, 6, zlib.compress(b"")),
    "a wide one, 16 bits": lambda: png(1_000_000, 1, 16, 6, zeros(8_000_001)),
    "a wide one, interlaced": lambda: png(1_000_000, 1, 16, 6, zeros(8_000_007), interlace=1),
    "a high one": lambda: png(1, 1_000_000, 8, 0, zeros(2_000_000)),
    "a high one, interlaced": lambda: png(1, 1_000_000, 8, 0, zeros(2_000_000), interlace=1),
    "more image data than the header claims": lambda: png(2, 2, 8, 2, zeros(500_000_000)),
    "image data in chunks of nothing": lambda: TINY.replace(chunk(b"IDAT", IMAGE), SMALL_IDATS + chunk(b"IDAT", IMAGE)),
    "image data in chunks of a byte": lambda: png(300, 40, 8, 0, zlib.compress(bytes(301 * 40), 0), idat_bytes=1),
    "empty chunks of metadata": lambda: png(2, 2, 8, 2, IMAGE, before=[(b"teSt", b"")] * 60_000),
    "a bomb in zTXt": lambda: png(2, 2, 8, 2, IMAGE, before=[text_bomb(b"zTXt")]),
    "a bomb in iTXt": lambda: png(2, 2, 8, 2, IMAGE, before=[text_bomb(b"iTXt")]),
    "a bomb in iCCP": lambda: png(2, 2, 8, 2, IMAGE, before=[text_bomb(b"iCCP")]),
    "sixty bombs in zTXt, each within the limit": lambda: png(
        2, 2, 8, 2, IMAGE, before=[(b"zTXt", b"k\0\0" + zeros(15 << 20))] * 60
    ),
    "filters that do not exist, after much that is right": lambda: png(
        30_000, 4_000, 1, 0, zlib.compress(bytes(3751 * 3999) + b"\5" * 3751)
    ),
}


@functools.cache
def file(name: str) -> bytes:
    """Return a file, made when a test first needs it: one of them takes half a gigabyte of zeros."""
    return FILES[name]()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("settings", [{}, {"format": "jpeg", "background": (0, 0, 0)}], ids=["kept", "to JPEG"])
def test_a_hostile_png_is_finished_within_two_seconds(name: str, settings: dict[str, Any]) -> None:
    found, seconds = outcome(file(name), **settings)

    assert seconds < SECONDS_MAX, found


def test_files_of_the_other_hostile_sets_are_finished_within_two_seconds_each() -> None:
    """Their own tests run all of them; here the largest and a sample go through the public calls."""
    files = [data for cases in (*jpeg_hostile.SETS, *jpeg_scans_hostile.SETS) for data in sample(cases())]
    files += [data for cases in png_interlace.SETS for data in sample(cases())]
    files += [png_hostile.rich()]
    slowest = max(outcome(data)[1] for data in files)

    assert len(files) > 300
    assert slowest < SECONDS_MAX


def sample(files: Iterable[bytes]) -> list[bytes]:
    small = [data for data in files if len(data) < 1 << 20]
    return [data for n, data in enumerate(small) if n % 97 == 0 or len(data) > 60_000][-60:]
