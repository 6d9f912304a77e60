"""Library and clients accept the same inputs, and reject others with the same errors."""

import asyncio
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import compressor
from compressor.client import AsyncClient, Client
from compressor.errors import SettingsError
from compressor.settings import Raw, Settings, Source, Tile
from tests.service.conftest import Service

HEIGHT, WIDTH = 24, 32
PIXELS = np.random.default_rng(3).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
RAW = Raw(width=WIDTH, height=HEIGHT, channels=3, tile_width=WIDTH, tile_height=16)
QUICK: dict[str, Any] = {"quality": 60, "effort": "fast"}


def encoded() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    return file.getvalue()


DATA = encoded()
HALVES = [DATA[:100], DATA[100:]]
TILES = [Tile(0, y, PIXELS[y : y + 16].tobytes()) for y in (0, 16)]
SPARSE = memoryview(bytes(byte for one in DATA for byte in (one, 0)))[::2]

FILES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda folder: DATA,
    "bytearray": lambda folder: bytearray(DATA),
    "memoryview": lambda folder: memoryview(DATA),
    "memoryview with gaps": lambda folder: SPARSE,
    "path": lambda folder: folder / "in.png",
    "name": lambda folder: str(folder / "in.png"),
    "file": lambda folder: io.BytesIO(DATA),
    "list of chunks": lambda folder: HALVES,
    "generator of chunks": lambda folder: (chunk for chunk in HALVES),
    "chunks of other types": lambda folder: [bytearray(HALVES[0]), memoryview(HALVES[1])],
}
SAMPLES: dict[str, Callable[[Path], Any]] = {
    "array": lambda folder: PIXELS,
    "grey array": lambda folder: PIXELS[:, :, 0],
    "array of one channel": lambda folder: PIXELS[:, :, :1],
    "array with alpha": lambda folder: np.dstack([PIXELS, PIXELS[:, :, 0]]),
    "array with gaps": lambda folder: PIXELS[::2, ::-1],
    "picture": lambda folder: Image.fromarray(PIXELS),
    "grey picture": lambda folder: Image.fromarray(PIXELS[:, :, 0]),
}
REFUSED: dict[str, tuple[Any, str]] = {
    "number": (7, "int"),
    "nothing": (None, "NoneType"),
    "channels first": (PIXELS.transpose(2, 0, 1), "channels come last"),
    "five channels": (np.zeros((9, 9, 5), np.uint8), r"\(9, 9, 5\)"),
    "floats": (np.zeros((9, 9, 3)), "float64"),
    "a line": (np.zeros(9, np.uint8), r"\(9,\)"),
    "no lines": (np.zeros((0, 9, 3), np.uint8), r"\(0, 9, 3\)"),
    "no channels": (np.zeros((9, 9, 0), np.uint8), r"\(9, 9, 0\)"),
    "numbers": ([1, 2, 3], "int"),
    "text": (["a", "b"], "binary mode"),
    "text file": (io.StringIO("a"), "binary mode"),
    "tiles without raw": (TILES, "raw"),
}


class Here:
    """The library in this process."""

    stream = staticmethod(compressor.stream)
    compress = staticmethod(compressor.compress)
    inspect = staticmethod(compressor.inspect)


class Awaited:
    """AsyncClient with synchronous methods."""

    def __init__(self, address: str) -> None:
        self._address = address

    def _run(self, verb: str, source: object, **settings: object) -> object:
        async def run() -> object:
            async with AsyncClient(self._address, timeout=60) as client:
                return await getattr(client, verb)(source, **settings)

        return asyncio.run(run())

    def compress(self, source: object, **settings: object) -> object:
        return self._run("compress", source, **settings)

    def inspect(self, source: object) -> object:
        return self._run("inspect", source)

    def stream(self, source: Any, settings: Settings, raw: Raw | None = None) -> list[bytes]:
        async def run() -> list[bytes]:
            async with AsyncClient(self._address, timeout=60) as client:
                async with client.stream(source, settings, raw=raw) as stream:
                    return [chunk async for chunk in stream]

        return asyncio.run(run())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("inputs")
    (made / "in.png").write_bytes(DATA)
    return made


@pytest.fixture(params=["library", "client", "async client"])
def entry_point(request: pytest.FixtureRequest, real: Service) -> Iterator[Any]:
    if request.param == "client":
        with Client(real.address, timeout=60) as client:
            yield client
    else:
        yield Here if request.param == "library" else Awaited(real.address)


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_any_form_gives_the_same(entry_point: Any, folder: Path, name: Any) -> None:
    expected = compressor.compress(DATA, **QUICK).data
    make = FILES[name]

    assert entry_point.compress(make(folder), **QUICK).data == expected
    assert b"".join(entry_point.stream(make(folder), Settings(**QUICK))) == expected
    found = entry_point.inspect(make(folder))
    assert (found.format, found.width, found.height) == ("png", WIDTH, HEIGHT)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_in_any_form_are_accepted(entry_point: Any, folder: Path, name: Any) -> None:
    source = SAMPLES[name](folder)
    expected = compressor.compress(source, **QUICK).data

    assert entry_point.compress(source, **QUICK).data == expected
    assert b"".join(entry_point.stream(source, Settings(**QUICK))) == expected
    found: Source = entry_point.inspect(source)
    shape = np.asarray(source).shape
    assert (found.format, found.height, found.width) == ("raw", *shape[:2])
    assert found.channels == (shape[2] if len(shape) == 3 else 1)


@pytest.mark.parametrize("verb", ["compress", "inspect", "stream"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_source_that_is_not_an_image_is_a_settings_error(entry_point: Any, verb: str, name: Any) -> None:
    source, hint = REFUSED[name]
    if hasattr(source, "seek"):
        source.seek(0)
    with pytest.raises(SettingsError, match=hint) as caught:
        if verb == "stream":
            b"".join(entry_point.stream(source, Settings()))
        else:
            getattr(entry_point, verb)(source)
    assert caught.value.field == "image"


@pytest.mark.parametrize("tiles", [TILES, iter(TILES)], ids=["list", "iterator"])
def test_tiles_are_accepted_in_a_list_and_an_iterator(tiles: Any) -> None:
    out = b"".join(compressor.stream(tiles, Settings(**QUICK), raw=RAW))

    assert Image.open(io.BytesIO(out)).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("source", [DATA, PIXELS, HALVES, "in.png"], ids=["bytes", "array", "chunks", "name"])
def test_raw_is_only_accepted_with_tiles(entry_point: Any, source: Any) -> None:
    with pytest.raises(SettingsError, match="tiles"):
        b"".join(entry_point.stream(source, Settings(), raw=RAW))


def test_a_large_array_can_be_inspected(entry_point: Any) -> None:
    """It is larger than a tile may be."""
    found = entry_point.inspect(np.zeros((1500, 1500, 3), np.uint8))

    assert (found.width, found.channels) == (1500, 3)


def test_an_open_file_is_read_from_its_position(entry_point: Any, folder: Path) -> None:
    with open(folder / "in.png", "rb") as file:
        file.seek(0)
        assert entry_point.inspect(file).format == "png"


def test_a_missing_file_is_the_systems_error(entry_point: Any) -> None:
    with pytest.raises(FileNotFoundError):
        entry_point.inspect("/nonexistent/in.png")
