"""Archives by the service: made by Compress, and made JPEGs again by Unarchive, both with every byte."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from compressor import pipeline
from compressor.client import AsyncClient, Client
from compressor.errors import FormatError, IncompleteError, LimitError, SettingsError, UnsupportedError
from compressor.results import Result
from compressor.settings import Path
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.archive.files import PLAIN, edited, photo_archive
from tests.jpeg_files import jpeg, photo
from tests.service.conftest import Service


def by_client(address: str, source: Any) -> Result:
    with Client(address, timeout=60) as client:
        return client.unarchive(source)


def by_async_client(address: str, source: Any) -> Result:
    async def run() -> Result:
        async with AsyncClient(address, timeout=60) as client:
            return await client.unarchive(source)

    return asyncio.run(run())


Verb = Callable[[str, object], Result]
both = pytest.mark.parametrize("unarchive", [by_client, by_async_client])


@both
def test_what_was_archived_is_made_again(real: Service, unarchive: Verb) -> None:
    data = jpeg(200, 150, progressive=True)
    with Client(real.address, timeout=60) as client:
        made = client.compress(data, archive=True)
    assert made.data == pipeline.compress(data, archive=True).data
    assert (made.report.format, made.report.source_format) == ("jxl", "jpeg")

    found = unarchive(real.address, made.data)

    assert found.data == data
    assert (found.report.format, found.report.path) == ("jpeg", Path.LOSSLESS)
    assert (found.report.bytes_in, found.report.bytes_out) == (len(made.data), len(data))
    assert found.report.footprint is not None


def test_an_archive_may_come_in_any_chunks(real: Service) -> None:
    data, made = photo_archive()
    pieces = [made[at : at + 1000] for at in range(0, len(made), 1000)]

    with Client(real.address, timeout=60) as client, client.unarchive_stream(iter(pieces)) as stream:
        assert (stream.source.format, stream.source.width) == ("jxl", 160)
        assert b"".join(stream) == data

    async def run() -> bytes:
        async def arriving() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        async with AsyncClient(real.address, timeout=60) as client, client.unarchive_stream(arriving()) as stream:
            return b"".join([chunk async for chunk in stream])

    assert asyncio.run(run()) == data


@both
def test_errors_say_what_and_where(real: Service, unarchive: Verb) -> None:
    _, made = photo_archive()
    with pytest.raises(UnsupportedError, match="JPEG: only an archive"):
        unarchive(real.address, PLAIN)
    with pytest.raises(FormatError, match="JPEG XL: box at byte"):
        unarchive(real.address, made[:-5])
    with pytest.raises(SettingsError, match="must be a file"):
        unarchive(real.address, photo(8, 8))
    with pytest.raises(FormatError, match="no JPEG can be made of it"):
        unarchive(real.address, made[:-200] + bytes(200))


def test_memory_is_charged_before_anything_is_decoded(real: Service) -> None:
    """The budget is 256 MiB, and a frame of 60,000 x 60,000 pixels would take more."""
    large = edited(PLAIN, 0xC0, 3, b"\xea\x60\xea\x60") + bytes(40 << 20)
    with Client(real.address, timeout=60) as client, pytest.raises(LimitError, match="more than the whole memory"):
        client.compress(large, archive=True)


def responses(service: Service, *requests: pb.UnarchiveRequest) -> list[pb.UnarchiveResponse]:
    with grpc.insecure_channel(service.address) as channel:
        return list(rpc.CompressorServiceStub(channel).Unarchive(iter(requests), timeout=60))


def test_parts_come_alone_or_together(real: Service) -> None:
    data, made = photo_archive()
    finish = pb.Finish(total_bytes=len(made))

    alone = responses(real, pb.UnarchiveRequest(chunk=made), pb.UnarchiveRequest(finish=finish))
    together = responses(real, pb.UnarchiveRequest(parts=pb.RequestParts(chunk=made, finish=finish)))

    assert [part.WhichOneof("part") for part in alone] == ["source", "chunk", "report"]
    assert [part.WhichOneof("part") for part in together] == ["parts"]
    assert alone[1].chunk == together[0].parts.chunk == data


@pytest.mark.parametrize(
    "parts, problem",
    [
        (pb.RequestParts(settings=pb.Settings()), "part: is settings, must be chunk or finish"),
        (pb.RequestParts(raw=pb.Raw(width=1)), "part: is raw, must be chunk"),
        (pb.RequestParts(tile=pb.Tile()), "part: is tile, must be chunk or finish"),
    ],
)
def test_settings_and_samples_are_refused(real: Service, parts: pb.RequestParts, problem: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        responses(real, pb.UnarchiveRequest(parts=parts), pb.UnarchiveRequest(finish=pb.Finish()))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == problem


def test_an_upload_without_its_end_gives_nothing(real: Service) -> None:
    _, made = photo_archive()
    with pytest.raises(grpc.RpcError) as caught:
        responses(real, pb.UnarchiveRequest(chunk=made))
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS

    def cut() -> Any:
        yield made[:1000]
        raise IncompleteError("the sender failed")

    with Client(real.address, timeout=60) as client, pytest.raises(IncompleteError, match="the sender failed"):
        client.unarchive(cut())
