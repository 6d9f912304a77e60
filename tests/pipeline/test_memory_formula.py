"""Memory reserved from the header against memory measured, each in a separate process.

Memory grows with the width, so a few hundred rows of a very wide image show it. Images of an ordinary width show fixed
costs. The figures are printed with `-s`.
"""

import functools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image, ImageFile

from benchmarks.harness import generate
from benchmarks.memory import peak, tiled_images

MIB = 1 << 20
WIDTH = 65_500
ROWS = 192
ORDINARY = 4000, 1000  # more pixels than images have whose spools may borrow free memory
JUDGED_FROM_BYTES = 8 * MIB  # below this, fixed costs hide the formula
OVER_MAX = 1.5


def png_of(width: int, rows: int, depth: int, channels: int) -> bytes:
    """Return a PNG of noise on a gradient, filtered by Sub, in one zlib stream."""
    sample = depth // 8
    rng = np.random.default_rng(channels * depth)
    line = np.linspace(0, 250 << (depth - 8), width * channels).astype(np.uint32)
    values = line + rng.integers(0, 5 << (depth - 8), (rows, width * channels), dtype=np.uint32)
    data = values.astype(">u2" if depth == 16 else np.uint8).view(np.uint8).reshape(rows, -1)
    filtered = np.ones((rows, 1 + data.shape[1]), np.uint8)
    filtered[:, 1:] = data
    filtered[:, 1 + channels * sample :] -= data[:, : -channels * sample]
    ihdr = struct.pack(">IIBBBBB", width, rows, depth, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    idat = generate.chunk(b"IDAT", zlib.compress(filtered.tobytes(), 1))
    return b"\x89PNG\r\n\x1a\n" + generate.chunk(b"IHDR", ihdr) + idat + generate.chunk(b"IEND", b"")


def write(kind: str, path: Path, width: int, rows: int) -> Path:
    """Write a file of a kind: baseline, progressive and png are 4:2:0 and RGB, the others are as named."""
    if kind in tiled_images.KINDS:
        return tiled_images.Files(path.parent / kind, width, rows)[kind]
    words = kind.split("-")
    if words[0] == "png":
        path.write_bytes(png_of(width, rows, int(words[2]), int(words[1])))
        return path
    if "noise" in words:  # the largest cost of a block
        picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (rows, width, 3), dtype=np.uint8))
    else:
        picture = Image.fromarray(np.concatenate(list(generate.bands(width, rows))))
    if "cmyk" in words:
        picture = picture.convert("CMYK")
    if "grey" in words:
        picture = picture.convert("L")
    chroma = {} if picture.mode != "RGB" else {"subsampling": {"444": 0, "422": 1}[words[1]]}
    with mock.patch.object(ImageFile, "MAXBLOCK", 8 * width * rows):  # Pillow's buffer, or noise does not fit
        picture.save(
            path, "JPEG", quality=100 if "noise" in words else 90, progressive=words[0] == "progressive", **chroma
        )
    return path


# Kind of the source, settings. Alpha is composited onto white in a JPEG.
Options = dict[str, Any]
FAST: Options = {"effort": "fast"}
TWO_PASSES: Options = {"effort": "balanced"}
BEST: Options = {"effort": "best"}
LOSSLESS: Options = {"lossless": True}
JPEG: Options = {"format": "jpeg", "background": (255, 255, 255)}
PNG: Options = {"format": "png"}
SCORE: Options = {"score": True}
TARGET: Options = {"target_score": 70}
PALETTE: Options = {"png_colors": 64, "target_score": 0}
SHORT = (
    ("baseline-444-noise", TWO_PASSES | {"quality": 100}),
    ("progressive-444", TWO_PASSES),
    ("interlaced", FAST | JPEG),
    ("png-4-16", TWO_PASSES | PNG),
)
ORDINARY_CASES = [
    (kind, settings)
    for kind in ("baseline", "progressive", "png", "interlaced")
    for settings in (FAST | JPEG, TWO_PASSES | JPEG, FAST | PNG)
] + [("png", TWO_PASSES | PALETTE)]
FULL = (
    ("baseline-444-noise", FAST | {"quality": 100}),
    ("baseline-444-noise", LOSSLESS),
    ("progressive-444-noise", LOSSLESS),
    ("baseline-444", FAST),
    ("baseline-444", TWO_PASSES),
    ("baseline-444", LOSSLESS),
    ("baseline-444", FAST | {"delivery": "immediate"}),
    ("baseline", FAST),
    ("baseline", TWO_PASSES),
    ("baseline-422", TWO_PASSES),
    ("baseline-cmyk", TWO_PASSES),
    ("baseline-grey", TWO_PASSES),
    ("progressive", FAST),
    ("progressive", TWO_PASSES),
    ("progressive", LOSSLESS),
    ("progressive-444", FAST),
    ("progressive-cmyk", TWO_PASSES),
    ("png", FAST | JPEG),
    ("png", TWO_PASSES | JPEG),
    ("png", TWO_PASSES | JPEG | {"subsampling": "444"}),
    ("png-4-8", TWO_PASSES | JPEG),
    ("png-3-16", TWO_PASSES | JPEG),
    ("png-1-8", TWO_PASSES | JPEG),
    ("interlaced", TWO_PASSES | JPEG),
    ("png", FAST | PNG),
    ("png", TWO_PASSES | PNG),
    ("png-4-8", TWO_PASSES | PNG),
    ("png-4-16", FAST | PNG),
    ("interlaced", FAST | PNG),
    ("interlaced", TWO_PASSES | PNG),
    ("baseline", FAST | PNG),
    ("baseline", TWO_PASSES | PNG),
    ("baseline-grey", TWO_PASSES | PNG),
    ("baseline-444", BEST | PNG),
    ("progressive", TWO_PASSES | PNG),
    ("baseline", TWO_PASSES | SCORE),
    ("progressive", FAST | SCORE),
    ("png", FAST | JPEG | SCORE),
    ("png", TWO_PASSES | JPEG | SCORE),
    ("png", FAST | JPEG | TARGET),
    ("png", TWO_PASSES | JPEG | TARGET),
    ("png-4-8", TWO_PASSES | JPEG | {"target_score": 85}),
    ("baseline", BEST | TARGET),
    ("baseline-444", TWO_PASSES | {"max_bytes": 1 << 20}),
    ("png", FAST | PALETTE),
    ("png", BEST | PALETTE),
    ("png-4-8", TWO_PASSES | PALETTE),
    ("png-4-16", TWO_PASSES | PALETTE),
    ("interlaced", TWO_PASSES | PALETTE),
    ("baseline", TWO_PASSES | PNG | PALETTE),
)


def named(case: object) -> str:
    """Return a test's name for a case, such as "effort=fast format=jpeg"."""
    if isinstance(case, dict):
        return " ".join(f"{name}={value}" for name, value in case.items() if name != "background")
    return str(case)


Measure = Callable[..., peak.PeakMemory]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measure:
    """Measure each conversion once."""
    folder = tmp_path_factory.mktemp("wide")

    @functools.cache
    def file_of(kind: str, width: int, rows: int) -> Path:
        return write(kind, folder / f"{kind}-{width}", width, rows)

    done: dict[str, peak.PeakMemory] = {}

    def measure(kind: str, settings: Options, size: tuple[int, int] = (WIDTH, ROWS)) -> peak.PeakMemory:
        key = f"{kind} {named(settings)} {size[0]}"
        if key not in done:
            small, large = file_of(kind, 64, 64), file_of(kind, *size)
            found = done[key] = peak.measure("compressor", small, large, folder / "result", **settings)
            over = found.reserved_bytes / max(1, found.peak_bytes)
            figures = f"{found.peak_bytes / MIB:7.1f} MiB measured {found.reserved_bytes / MIB:7.1f} reserved"
            print(f"\n{key:60} {figures} {over:5.2f} x")
        return done[key]

    return measure


def check(found: peak.PeakMemory) -> None:
    assert found.bytes_out > 30_000
    assert found.peak_bytes <= found.reserved_bytes, "more memory used than reserved"
    if found.peak_bytes > JUDGED_FROM_BYTES:
        assert found.reserved_bytes <= OVER_MAX * found.peak_bytes, "much more memory reserved than used"


@pytest.mark.parametrize("kind, settings", SHORT, ids=named)
def test_wide_images_use_the_reserved_memory_and_little_less(measured: Measure, kind: str, settings: Options) -> None:
    check(measured(kind, settings))


@pytest.mark.parametrize("kind, settings", ORDINARY_CASES, ids=named)
def test_images_of_an_ordinary_width_use_no_more_than_is_reserved(
    measured: Measure, kind: str, settings: Options
) -> None:
    found = measured(kind, settings, ORDINARY)
    assert found.bytes_out > 30_000
    assert found.peak_bytes <= found.reserved_bytes


@pytest.mark.heavy
@pytest.mark.parametrize("kind, settings", FULL, ids=named)
def test_every_kind_of_wide_image_uses_the_reserved_memory_and_little_less(
    measured: Measure, kind: str, settings: Options
) -> None:
    check(measured(kind, settings))
