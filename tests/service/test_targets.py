"""Scores, target scores and maximum sizes through a service: the results are those of the library."""

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

import compressor
from compressor import wire
from compressor.calls.codec import pipeline_codec
from compressor.client import AsyncClient, Client
from compressor.errors import LimitError, SettingsError
from compressor.memory import Resources
from compressor.results import Result
from compressor.settings import Delivery, Outcome, Raw, Settings, Tile
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.running import Running

RAW = Raw(width=96, height=80, channels=3, tile_width=96, tile_height=16)
QUICK: dict[str, Any] = {"format": "jpeg", "effort": "fast"}


def pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a picture of soft colors with a little noise: (80, 96, 3)."""
    y, x = np.mgrid[:80, :96]
    light = 128 + 60 * np.sin(x / 9) * np.cos(y / 7)
    planes = np.stack([light + x / 5, light, light - y / 4], 2)
    return np.asarray((planes + np.random.default_rng(1).normal(0, 3, planes.shape)).clip(0, 255), np.uint8)


def encoded(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PIXELS = pixels()
PHOTO = encoded(PIXELS)
TILES = [Tile(0, y, PIXELS[y : y + 16].tobytes()) for y in range(0, 80, 16)]


@pytest.fixture(scope="module")
def real() -> Iterator[Running]:
    with Running(pipeline_codec(Resources(memory_budget=256 << 20, overhead=1 << 20))) as running:
        yield running


def by_client(address: str, source: Any, **settings: Any) -> Result:
    with Client(address, timeout=60) as client:
        return client.compress(source, **settings)


def by_async_client(address: str, source: Any, **settings: Any) -> Result:
    async def run() -> Result:
        async with AsyncClient(address, timeout=60) as client:
            return await client.compress(source, **settings)

    return asyncio.run(run())


@pytest.mark.parametrize("by", [by_client, by_async_client])
@pytest.mark.parametrize(
    "settings",
    [{"score": True}, {"target_score": 60.0}, {"max_bytes": 3000}, {"target_score": 76.0, "max_bytes": 1200}],
)
def test_results_and_scores_are_those_of_the_library(by: Any, settings: dict[str, Any], real: Running) -> None:
    expected = compressor.compress(PHOTO, **QUICK, **settings)

    result = by(real.address, PHOTO, **QUICK, **settings)

    assert result.data == expected.data
    assert (result.report.score, result.report.encodings) == (expected.report.score, expected.report.encodings)
    assert result.report.score is not None and result.report.encodings >= 1
    assert result.report.stage_seconds["score"] > 0
    assert len(result.data) <= settings.get("max_bytes", 1 << 20)
    if "max_bytes" not in settings:
        assert result.report.score >= settings.get("target_score", 0)


def test_raw_tiles_have_a_target_too(real: Running) -> None:
    with (
        Client(real.address, timeout=60) as client,
        client.stream(TILES, Settings(target_score=70, **QUICK), raw=RAW) as stream,
    ):
        size = sum(map(len, stream))

    assert stream.report.score is not None and stream.report.score >= 70
    assert 0 < size == stream.report.bytes_out


def test_a_score_does_not_delay_immediate_delivery_and_comes_in_the_report(real: Running) -> None:
    settings = Settings(score=True, delivery=Delivery.IMMEDIATE, **QUICK)
    unscored = Settings(delivery=Delivery.IMMEDIATE, **QUICK)

    with Client(real.address, timeout=60) as client:
        with client.stream([PHOTO], settings) as stream:
            scored = b"".join(stream)
        with client.stream([PHOTO], unscored) as other:
            plain = b"".join(other)

    assert scored == plain
    assert stream.report.score is not None and other.report.score is None


def test_a_result_that_has_the_targets_score_already_is_unchanged(real: Running) -> None:
    with Client(real.address, timeout=60) as client:
        first = client.compress(PHOTO, target_score=70, **QUICK)
        second = client.compress(first.data, target_score=70, **QUICK)

    assert second.data == first.data and second.report.outcome is Outcome.UNCHANGED
    assert second.report.reason == "made by compressor before"


def test_a_size_that_no_result_has_is_resource_exhausted_and_names_the_smallest(real: Running) -> None:
    def parts() -> Iterator[pb.CompressRequest]:
        yield pb.CompressRequest(settings=wire.settings_to_proto(Settings(max_bytes=100, **QUICK)))
        yield pb.CompressRequest(chunk=PHOTO)
        yield pb.CompressRequest(finish=pb.Finish(total_bytes=len(PHOTO)))

    with grpc.insecure_channel(real.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.CompressorServiceStub(channel).Compress(parts()))
    smallest = len(compressor.compress(PHOTO, quality=1, **QUICK).data)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(smallest) in str(caught.value.details())
    with Client(real.address) as client, pytest.raises(LimitError, match=f"max_bytes is 100.* {smallest} bytes"):
        client.compress(PHOTO, max_bytes=100, **QUICK)


def test_contradicting_settings_are_invalid_arguments(real: Running) -> None:
    def parts() -> Iterator[pb.CompressRequest]:
        yield pb.CompressRequest(settings=pb.Settings(quality=80, target_score=70))
        yield pb.CompressRequest(finish=pb.Finish())

    with grpc.insecure_channel(real.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.CompressorServiceStub(channel).Compress(parts()))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == str(SettingsError("target_score", "contradicts quality: give one of them"))


def test_measured_scores_are_in_the_metrics(real: Running) -> None:
    before = real.scrape()
    with Client(real.address, timeout=60) as client:
        client.compress(PHOTO, score=True, **QUICK)
        client.compress(PHOTO, **QUICK)
    after = real.scrape()

    def value(page: str, name: str) -> float:
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))

    assert value(after, 'compressor_score_count{format="jpeg"}') == 1 + value(
        before, 'compressor_score_count{format="jpeg"}'
    )
    assert value(after, 'compressor_cpu_seconds_total{stage="score"}') > value(
        before, 'compressor_cpu_seconds_total{stage="score"}'
    )
