"""Raw tiles of at most 1 MiB, of the widest image that JPEG allows, sent to a server in another process."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.harness.server import ServerProcess
from benchmarks.memory import measure, tiled_images
from compressor.client import Client
from compressor.settings import Effort, Format, Raw, Settings, Tile

MIB = 1 << 20
WIDTH = 65_500
TILE = (16_384, 16)
PEAK_BYTES_MAX = 48 * MIB


def raw_of(picture: tiled_images.Picture) -> Raw:
    return Raw(width=picture.width, height=picture.height, channels=3, tile_width=TILE[0], tile_height=TILE[1])


def tiles_of(picture: tiled_images.Picture) -> Iterator[Tile]:
    """Yield tiles in raster order; those of a unit are made once."""
    columns = range(0, picture.width, TILE[0])
    lines = range(0, tiled_images.UNIT_ROWS, TILE[1])
    cut = [
        [[unit[y : y + TILE[1], x : x + TILE[0]].tobytes() for x in columns] for y in lines] for unit in picture.units
    ]
    for n, unit in enumerate(picture.order):
        for y, row in zip(lines, cut[unit], strict=True):
            top = n * tiled_images.UNIT_ROWS + y
            for x, pixels in zip(columns, row, strict=True):
                left = picture.height - top
                if left >= TILE[1]:
                    yield Tile(x, top, pixels)
                elif left > 0:
                    yield Tile(x, top, pixels[: left * 3 * min(TILE[0], picture.width - x)])


def sent(picture: tiled_images.Picture, format: str, result: Path) -> int:
    """Send a picture and check the result. Return the peak memory of the server above idle.

    The server is idle after a first call with tiles of the same size, so that what the process allocates once
    (threads, receive buffers, imported modules) is not counted as memory of the call that is measured.
    """
    low = tiled_images.Picture(picture.width, tiled_images.UNIT_ROWS)
    settings = Settings(effort=Effort.FAST, format=Format(format))
    with ServerProcess() as server, Client(server.address) as client:
        with client.stream(tiles_of(low), settings, raw=raw_of(low)) as stream:
            for _ in stream:
                pass
        time.sleep(measure.SETTLE_SECONDS)
        server.reset_peak()
        idle = server.resident_bytes
        start = time.perf_counter()
        with client.stream(tiles_of(picture), settings, raw=raw_of(picture)) as stream, result.open("wb") as file:
            file.writelines(stream)
        seconds, peak = time.perf_counter() - start, server.peak_bytes
    assert idle is not None and peak is not None
    size = f"{picture.width} x {picture.height}"
    reserved = stream.report.reserved_bytes
    figures = f"{(peak - idle) / MIB:.1f} MiB at most, {reserved / MIB:.1f} reserved"
    print(f"\nraw {size} to {format}: {figures}, {picture.width * picture.height / 1e6 / seconds:.0f} MP/s")
    assert (stream.report.width, stream.report.height) == (picture.width, picture.height)
    assert peak - idle <= min(reserved, PEAK_BYTES_MAX)
    return peak - idle


def check_result(picture: tiled_images.Picture, format: str, result: Path) -> None:
    """Check that every row is present and shows what was drawn."""
    with Image.open(result) as image:
        assert image.size == (picture.width, picture.height)
    found = measure.psnr_of(result, format, picture)
    assert not measure.problem_of(found, "png", format, picture.width * picture.height)


@pytest.mark.parametrize("format, rows", [("jpeg", 512), ("png", 100)])
def test_the_widest_picture_is_sent_as_tiles_in_little_memory(tmp_path: Path, format: str, rows: int) -> None:
    picture = tiled_images.Picture(WIDTH, rows, strip_rows=128)
    sent(picture, format, tmp_path / "result")
    check_result(picture, format, tmp_path / "result")


@pytest.mark.heavy
@pytest.mark.parametrize("format, rows", [("jpeg", 8000), ("png", 8000), ("jpeg", WIDTH)])
def test_memory_is_flat_however_high_the_picture_of_tiles_is(tmp_path: Path, format: str, rows: Any) -> None:
    low = sent(tiled_images.Picture(WIDTH, 512, strip_rows=128), format, tmp_path / "low")
    picture = tiled_images.Picture(WIDTH, rows)
    high = sent(picture, format, tmp_path / "high")
    check_result(picture, format, tmp_path / "high")

    assert high - low <= 2 * MIB
