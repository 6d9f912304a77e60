"""Settings are given in one way to every call: as an object, as keywords, or both, here and by both clients."""

import asyncio
import inspect
import io
from collections.abc import Callable, Iterator
from typing import Any, Unpack

import numpy as np
import pytest
from PIL import Image

import compressor
from compressor.client import AsyncClient, Client
from compressor.errors import SettingsError
from compressor.settings import Raw, Settings, Tile
from tests.service.conftest import Service

PIXELS = np.random.default_rng(4).integers(0, 255, (24, 32, 3), np.uint8)
RAW = Raw(width=32, height=24, channels=3, tile_width=32, tile_height=24)
TILES = [Tile(0, 0, PIXELS.tobytes())]
Call = Callable[..., Any]
VERBS = ("compress", "stream", "inspect")


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", quality=95)
    return file.getvalue()


DATA = jpeg()


async def awaited(address: str, verb: str, *arguments: Any, **keywords: Any) -> Any:
    async with AsyncClient(address, timeout=60) as client:
        if verb != "stream":
            return await getattr(client, verb)(*arguments, **keywords)
        async with client.stream(*arguments, **keywords) as stream:
            return [chunk async for chunk in stream]


@pytest.fixture(params=["library", "client", "async client"])
def door(request: pytest.FixtureRequest, real: Service) -> Iterator[Call]:
    """Return a function that calls a method by name."""
    if request.param == "async client":
        yield lambda verb, *arguments, **keywords: asyncio.run(awaited(real.address, verb, *arguments, **keywords))
    elif request.param == "client":
        with Client(real.address, timeout=60) as client:
            yield lambda verb, *arguments, **keywords: getattr(client, verb)(*arguments, **keywords)
    else:
        yield lambda verb, *arguments, **keywords: getattr(compressor, verb)(*arguments, **keywords)


def bytes_of(result: Any) -> bytes:
    """Return the bytes of a result or a stream."""
    return result.data if isinstance(result, compressor.Result) else b"".join(result)


@pytest.mark.parametrize("verb", ["compress", "stream"])
def test_an_object_and_keywords_mean_the_same_and_keywords_take_precedence(door: Call, verb: str) -> None:
    expected = compressor.compress(DATA, quality=50, effort="fast").data

    for given in (
        door(verb, DATA, Settings(quality=50, effort="fast")),
        door(verb, DATA, quality=50, effort="fast"),
        door(verb, DATA, Settings(quality=50), effort="fast"),
        door(verb, DATA, Settings(quality=90, effort="fast"), quality=50),
        door(verb, image=DATA, settings=Settings(quality=50, effort="fast")),
    ):
        assert bytes_of(given) == expected


def test_the_settings_of_inspect_count(door: Call) -> None:
    plain, lossless = door("inspect", DATA), door("inspect", DATA, lossless=True, effort="best")

    assert plain.reserved_bytes == door("inspect", DATA, Settings()).reserved_bytes != lossless.reserved_bytes
    assert lossless == door("inspect", DATA, Settings(lossless=True), effort="best")


@pytest.mark.parametrize("verb", ["stream", "inspect"])
def test_tiles_need_raw_and_take_keywords(door: Call, verb: str) -> None:
    given = door(verb, TILES, raw=RAW, quality=50)

    if verb == "stream":
        assert bytes_of(given) == bytes_of(compressor.stream(TILES, Settings(quality=50), raw=RAW))
    else:
        assert (given.format, given.width, given.height) == ("raw", 32, 24)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "arguments, keywords, problem",
    [
        ((), {"qualty": 80}, "qualty: is no setting; did you mean quality"),
        ((Settings(),), {"qualty": 80}, "qualty: is no setting; did you mean quality"),
        (({"quality": 80},), {}, "settings: is of type dict"),
        ((80,), {}, "settings: is of type int"),
        ((Settings(quality=80),), {"target_score": 70}, "target_score: contradicts quality"),
    ],
)
def test_wrong_settings_are_the_same_error(
    door: Call, verb: str, arguments: tuple[Any, ...], keywords: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{problem}"):
        door(verb, DATA, *arguments, **keywords)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", [compressor, Client, AsyncClient], ids=["library", "client", "async client"])
def test_signatures_begin_and_end_alike(place: Any, verb: str) -> None:
    """The last parameter is not repeated by hand in any of them, so that none can have fewer settings."""
    parameters = list(inspect.signature(getattr(place, verb)).parameters.values())
    positional = [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]

    assert [name for name in positional if name != "self"] == ["image", "settings"]
    assert parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    assert parameters[-1].annotation in (Unpack[compressor.SettingsFields], "Unpack[SettingsFields]")


@pytest.mark.parametrize("verb", ["unarchive", "unarchive_stream"])
@pytest.mark.parametrize("place", [compressor, Client, AsyncClient], ids=["library", "client", "async client"])
def test_what_has_no_settings_has_the_same_names(place: Any, verb: str) -> None:
    assert "image" in inspect.signature(getattr(place, verb)).parameters
