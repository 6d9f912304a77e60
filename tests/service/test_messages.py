"""Messages with several parts."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from compressor.client import AsyncClient, Client
from compressor.client.transfer import RequestBuilder, splitter_of
from compressor.settings import Settings
from compressor.v1 import compressor_pb2 as pb
from tests.service.fake_pipeline import file_of

CHUNK_BYTES = 1000
FILE = file_of(2400)


def fields_of(message: Any) -> list[str]:
    """Return the names of the parts of a message."""
    part = message.WhichOneof("part")
    return [part] if part != "parts" else [field.name for field, _ in message.parts.ListFields()]


def together(**parts: Any) -> pb.CompressRequest:
    return pb.CompressRequest(parts=pb.RequestParts(**parts))


def whole(data: bytes) -> pb.CompressRequest:
    return together(settings=pb.Settings(), chunk=data, finish=pb.Finish(total_bytes=len(data)))


def test_a_small_image_is_one_message_each_way(fake_stub: Any) -> None:
    responses = list(fake_stub.Compress(iter([whole(FILE)])))

    assert [fields_of(response) for response in responses] == [["source", "chunk", "report"]]
    assert len(responses[0].parts.chunk) == responses[0].parts.report.bytes_out == len(FILE) / 2


def test_a_client_that_sends_single_parts_gets_single_parts(fake_stub: Any) -> None:
    parts: dict[str, Any] = {"settings": pb.Settings(), "chunk": FILE, "finish": pb.Finish(total_bytes=len(FILE))}
    responses = list(fake_stub.Compress(pb.CompressRequest(**{name: part}) for name, part in parts.items()))

    names = [response.WhichOneof("part") for response in responses]
    assert names[0] == "source" and names[-1] == "report" and set(names[1:-1]) == {"chunk"}


def test_a_source_does_not_wait_for_the_rest_of_an_upload(fake_stub: Any) -> None:
    received = threading.Event()

    def upload() -> Iterator[pb.CompressRequest]:
        yield together(settings=pb.Settings(), chunk=FILE)
        received.wait(10)
        yield pb.CompressRequest(finish=pb.Finish(total_bytes=len(FILE)))

    call = fake_stub.Compress(upload(), timeout=5)
    assert fields_of(next(call))[0] == "source"
    received.set()
    rest = list(call)

    assert fields_of(rest[-1])[-1] == "report"


def test_the_source_of_a_failed_call_is_sent_first(fake_stub: Any) -> None:
    request = whole(FILE)
    request.parts.finish.total_bytes += 1
    call = fake_stub.Compress(iter([request]))
    names = []
    with pytest.raises(grpc.RpcError):
        for response in call:
            names += fields_of(response)

    assert names == ["source", "chunk", "failure"]


def test_a_message_with_a_chunk_and_a_tile_is_invalid(fake_stub: Any) -> None:
    request = whole(FILE)
    request.parts.tile.pixels = b"abc"
    with pytest.raises(grpc.RpcError) as caught:
        list(fake_stub.Compress(iter([request])))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "source, expected",
    [
        (FILE, [["settings", "chunk"], ["chunk"], ["chunk", "finish"]]),
        (FILE[:10], [["settings", "chunk", "finish"]]),
        (b"", [["settings", "finish"]]),
        (iter([FILE[:10]]), [["settings"], ["chunk"], ["finish"]]),
    ],
    ids=["three chunks", "one chunk", "empty", "iterator"],
)
def test_messages_are_joined_unless_a_part_has_to_be_waited_for(source: Any, expected: Any) -> None:
    builder = RequestBuilder(pb.CompressRequest, CHUNK_BYTES)
    settings = Settings()

    messages = list(builder.all(settings, splitter_of(source, CHUNK_BYTES, settings)()))

    assert [sorted(fields_of(message)) for message in messages] == [sorted(names) for names in expected]
    parts = [message.parts if message.HasField("parts") else message for message in messages]
    assert parts[-1].finish.total_bytes == sum(len(part.chunk) for part in parts)


def test_a_chunk_that_comes_with_the_source_is_kept(fake: Any) -> None:
    with Client(fake.address, timeout=60) as client, client.stream(FILE) as stream:
        assert stream.source.format == "fake"
        data = b"".join(stream)

    async def main() -> bytes:
        async with AsyncClient(fake.address, timeout=60) as client, client.stream(FILE) as stream:
            assert (await stream.source()).format == "fake"
            return b"".join([chunk async for chunk in stream])

    assert asyncio.run(main()) == data
    assert len(data) == len(FILE) / 2
