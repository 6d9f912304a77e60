"""Pillow images that are sent to a service, and raw samples with metadata: the results are those of the library."""

import asyncio
import io
import warnings
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import compressor
from compressor import wire
from compressor.client import AsyncClient, Client
from compressor.client.transfer import RequestBuilder
from compressor.errors import LimitError, UnsupportedError
from compressor.results import Result
from compressor.settings import Effort, Format, Metadata, Raw, Settings, Tile
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.planted.profiles import wide_profile
from tests.service.conftest import Service

RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (40, 48, 3), np.uint8)
XMP = b"<x:xmpmeta>seen by nobody</x:xmpmeta>"
PROFILE = wide_profile(b"for pictures")
SHAPE: dict[str, Any] = {"width": 48, "height": 40, "channels": 3, "tile_width": 48, "tile_height": 16}
TILES = [Tile(0, y, PIXELS[y : y + 16].tobytes()) for y in range(0, 40, 16)]
HOSTILE = b"MM\0*" + b"\0\0\0\x08\xff\xff" + b"\x01\x12\xff\xff" * 3000


def described(mode: str = "RGB") -> Image.Image:
    """Return a picture with all metadata that a Pillow image can have."""
    image = Image.fromarray(PIXELS).convert(mode)
    exif = image.getexif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    exif.get_ifd(0x8825)[29] = "2026:11:30"
    text = PngInfo()
    text.add_text("Title", "a title")
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif, icc_profile=PROFILE, pnginfo=text, dpi=(300, 200))
    found = Image.open(io.BytesIO(out.getvalue()))
    found.info |= {"xmp": XMP, "comment": "für dich"}
    return found


def by_client(address: str, source: Any, **settings: Any) -> Result:
    with Client(address, timeout=60) as client:
        return client.compress(source, **settings)


def by_async_client(address: str, source: Any, **settings: Any) -> Result:
    async def run() -> Result:
        async with AsyncClient(address, timeout=60) as client:
            return await client.compress(source, **settings)

    return asyncio.run(run())


Verb = Callable[..., Result]
both = pytest.mark.parametrize("send", [by_client, by_async_client])


@both
@pytest.mark.parametrize("policy", ["keep", "color", "strip"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_a_picture_gives_the_same_result_by_service_and_library(
    real: Service, send: Verb, format: str, policy: str
) -> None:
    settings: dict[str, Any] = {"format": format, "metadata": policy, "effort": "fast"}
    here, sent = compressor.compress(described(), **settings), send(real.address, described(), **settings)
    found = Image.open(io.BytesIO(sent.data))

    assert sent.data == here.data
    assert sent.report.notices == here.report.notices
    assert found.getexif()[0x0112] == 6
    assert (found.getexif().get(0x010E) == "a picture") == (policy == "keep")
    assert found.info.get("icc_profile") == (None if policy == "strip" else PROFILE)
    assert (XMP in sent.data) == (policy == "keep")
    comments = any("für dich".encode(coding) in sent.data for coding in ("utf-8", "latin-1"))
    assert comments == (policy == "keep" and format in ("jpeg", "png"))


@both
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P"])
def test_a_picture_of_another_mode_gives_the_same_result_by_service_and_library(
    real: Service, send: Verb, mode: str
) -> None:
    here, sent = compressor.compress(described(mode)), send(real.address, described(mode))

    assert sent.data == here.data
    assert sent.report.notices == here.report.notices


@both
def test_losses_of_a_picture_are_in_the_report(real: Service, send: Verb) -> None:
    for image in (Image.fromarray(PIXELS).convert("CMYK"), Image.new("I;16", (16, 16))):
        here, sent = compressor.compress(image, format="png"), send(real.address, image, format="png")

        assert sent.report.notices == here.report.notices != ()
        assert sent.data == here.data


@both
def test_a_picture_that_lost_something_cannot_be_lossless(real: Service, send: Verb) -> None:
    image, reasons = Image.fromarray(PIXELS).convert("CMYK"), set()
    for compress in (compressor.compress, lambda *a, **b: send(real.address, *a, **b)):
        with pytest.raises(UnsupportedError, match="lossless: CMYK can't be kept on the way to png") as caught:
            compress(image, lossless=True)
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    with Client(real.address, timeout=60) as client, pytest.raises(UnsupportedError, match="CMYK"):
        client.inspect(image, lossless=True)


@both
def test_too_many_metadata_are_refused_before_anything_is_sent(real: Service, send: Verb) -> None:
    image = Image.fromarray(PIXELS)
    image.info["xmp"] = bytes(wire.RAW_METADATA_BYTES_MAX + 1)
    before = real.counts.started

    with pytest.raises(LimitError, match=r"raw\.xmp has 1048577 of 1048577 bytes"):
        send(real.address, image)
    assert real.counts.started == before


@both
def test_the_largest_metadata_arrive(real: Service, send: Verb) -> None:
    image = Image.fromarray(PIXELS)
    image.info["xmp"] = RNG.bytes(wire.RAW_METADATA_BYTES_MAX)

    assert send(real.address, image, format="png").data == compressor.compress(image, format="png").data


@pytest.mark.parametrize(
    "metadata, message",
    [
        ({"exif": bytes((1 << 20) + 1)}, r"raw\.exif has 1048577"),
        ({"comments": [""] * 5000}, r"raw\.comments has 5000"),
    ],
)
def test_the_service_refuses_too_many_metadata_itself(real: Service, metadata: dict[str, Any], message: str) -> None:
    upload = RequestBuilder(pb.CompressRequest, 1 << 18)
    requests = [*upload.start(Settings(), None), pb.CompressRequest(raw=pb.Raw(**SHAPE, **metadata))]
    with grpc.insecure_channel(real.address) as channel:
        answers = rpc.CompressorServiceStub(channel).Compress(iter(requests))
        failure = next(answers).failure
        with pytest.raises(grpc.RpcError) as caught:
            next(answers)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(wire.error_from_failure(failure), LimitError)
    assert failure.message.startswith(message.replace("\\", ""))


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("policy", ["keep", "color", "strip"])
def test_damaged_metadata_harm_nothing(real: Service, format: str, policy: str) -> None:
    raw = Raw(**SHAPE, icc_profile=b"RGB " * 90, exif=HOSTILE, xmp=b"\xff\0<", comments=("\0", "", "Exif\0\0: é"))
    settings = Settings(format=Format(format), metadata=Metadata(policy), effort=Effort.FAST)
    with Client(real.address, timeout=60) as client, client.stream(TILES, settings, raw=raw) as stream:
        sent = b"".join(stream)

    assert sent == b"".join(compressor.stream(TILES, settings, raw=raw))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about the Exif
        assert Image.open(io.BytesIO(sent)).size == (48, 40)


def test_metadata_of_raw_samples_are_charged(real: Service) -> None:
    xmp = bytes(100_000)
    charged = []
    for raw in (Raw(**SHAPE), Raw(**SHAPE, xmp=xmp)):
        with Client(real.address, timeout=60) as client, client.stream(TILES, raw=raw) as stream:
            b"".join(stream)
            charged.append(stream.report.reserved_bytes)
            assert stream.report.bytes_in == PIXELS.size

    assert charged[1] - charged[0] == 2 * len(xmp)
