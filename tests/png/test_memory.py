"""Peak memory of PNG to PNG, measured in a separate process, against its reservation."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.jpeg.test_scans_memory import measured
from tests.reference.pngfilter import chunk, png

MIB = 1 << 20


def write_png(path: Path, side: int, depth: int, color: int, channels: int) -> Path:
    """Write a gradient with noise line by line, without holding it in memory."""
    rng = np.random.default_rng(side)
    width = side * channels * depth // 8
    slope = np.arange(width) // 5
    lines = [((slope + rng.integers(0, 8, width)) % 256).astype(np.uint8) for _ in range(16)]
    around = png(side, side, depth, color, b"", idat_bytes=1)
    deflate = zlib.compressobj(1)
    with path.open("wb") as file:
        file.write(around[:-12])
        for y in range(side):
            if data := deflate.compress(b"\0" + np.roll(lines[y % 16], 3 * y).tobytes()):
                file.write(chunk(b"IDAT", data))
        file.write(chunk(b"IDAT", deflate.flush()) + around[-12:])
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("png") / "small.png", 64, 8, 2, 3)


@pytest.mark.parametrize(
    "effort, depth, color, channels, side",
    [
        ("fast", 8, 2, 3, 1000), ("balanced", 8, 2, 3, 800), ("balanced", 16, 6, 4, 500),
        ("balanced", 1, 0, 1, 2400), ("best", 8, 0, 1, 1100),
    ],
)  # fmt: skip
def test_memory_does_not_exceed_the_reservation(
    small: Path, tmp_path: Path, effort: str, depth: int, color: int, channels: int, side: int
) -> None:
    large = write_png(tmp_path / "large.png", side, depth, color, channels)

    found = measured(small, large, effort=effort)

    assert found["peak"] <= found["reserved"] < {"fast": 8, "balanced": 16, "best": 20}[effort] * MIB


@pytest.mark.heavy
@pytest.mark.parametrize("effort, limit", [("fast", 48), ("balanced", 64)])
def test_400_megapixels_do_not_exceed_the_reservation(small: Path, tmp_path: Path, effort: str, limit: int) -> None:
    large = write_png(tmp_path / "large.png", 20_000, 8, 2, 3)

    found = measured(small, large, seconds=3000, effort=effort)

    assert found["peak"] <= found["reserved"] <= limit * MIB
    assert found["reserved"] <= max(8 * MIB, 1.5 * found["peak"])


@pytest.mark.heavy
def test_400_megapixels_get_few_colors_in_64_mib(small: Path, tmp_path: Path) -> None:
    large = write_png(tmp_path / "large.png", 20_000, 8, 2, 3)

    found = measured(small, large, seconds=3000, effort="balanced", png_colors=64, target_score=0)

    assert found["peak"] <= found["reserved"] <= 64 * MIB
