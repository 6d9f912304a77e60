"""What the header says that an image takes, against what it took: each in a process of its own, on very wide images.

What is held grows with the width, so that a few hundred rows show it. The figures are printed with `-s`.
"""

import functools
import struct
import zlib
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
JUDGED_FROM_BYTES = 8 * MIB  # below it fixed costs hide the formula
OVER_MAX = 1.5


def png_of(width: int, rows: int, depth: int, channels: int) -> bytes:
    """Noise on a gradient, filtered by Sub, in one zlib stream."""
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
    """A file of a kind: baseline, progressive and png are 4:2:0 and RGB, others say what they are."""
    if kind in tiled_images.KINDS:
        return tiled_images.Files(path.parent / kind, width, rows)[kind]
    words = kind.split("-")
    if words[0] == "png":
        path.write_bytes(png_of(width, rows, int(words[2]), int(words[1])))
        return path
    if "noise" in words:  # the most that a block can cost
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


# Kind of the source, settings. White is what alpha lies on in a JPEG.
FAST, TWO_PASSES, BEST, LOSSLESS = {"effort": "fast"}, {"effort": "balanced"}, {"effort": "best"}, {"lossless": True}
JPEG, PNG = {"format": "jpeg", "background": (255, 255, 255)}, {"format": "png"}
SHORT = (
    ("baseline-444-noise", TWO_PASSES | {"quality": 100}),
    ("progressive-444", TWO_PASSES),
    ("interlaced", FAST | JPEG),
    ("png-4-16", TWO_PASSES | PNG),
)
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
)


def named(case: object) -> str:
    """For the test's name: "png, effort=fast format=jpeg"."""
    if isinstance(case, dict):
        return " ".join(f"{name}={value}" for name, value in case.items() if name != "background")
    return str(case)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory):
    """Measures a conversion once."""
    folder = tmp_path_factory.mktemp("wide")

    @functools.cache
    def file_of(kind, width, rows):
        return write(kind, folder / f"{kind}-{width}", width, rows)

    done: dict[str, peak.PeakMemory] = {}

    def measure(kind, settings):
        key = f"{kind} {named(settings)}"
        if key not in done:
            small, large = file_of(kind, 64, 64), file_of(kind, WIDTH, ROWS)
            found = done[key] = peak.measure("compressor", small, large, folder / "result", **settings)
            over = found.reserved_bytes / max(1, found.peak_bytes)
            figures = f"{found.peak_bytes / MIB:7.1f} MiB measured {found.reserved_bytes / MIB:7.1f} reserved"
            print(f"\n{key:60} {figures} {over:5.2f} x")
        return done[key]

    return measure


def check(found: peak.PeakMemory) -> None:
    assert found.bytes_out > 50_000
    assert found.peak_bytes <= found.reserved_bytes, "took more than was reserved"
    if found.peak_bytes > JUDGED_FROM_BYTES:
        assert found.reserved_bytes <= OVER_MAX * found.peak_bytes, "reserved much more than it took"


@pytest.mark.parametrize("kind, settings", SHORT, ids=named)
def test_wide_images_take_what_was_reserved_and_not_much_less(measured: Any, kind: Any, settings: Any) -> None:
    check(measured(kind, settings))


@pytest.mark.heavy
@pytest.mark.parametrize("kind, settings", FULL, ids=named)
def test_every_kind_of_wide_image_takes_what_was_reserved_and_not_much_less(
    measured: Any, kind: Any, settings: Any
) -> None:
    check(measured(kind, settings))
