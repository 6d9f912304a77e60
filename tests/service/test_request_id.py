"""The id of a request: where it comes from, and that the client gets it back, whatever the outcome."""

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from compressor.service.request_id import request_id_of
from compressor.service.tenants import line_of
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.running import Running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
NEW = re.compile("[0-9a-f]{32}")


@pytest.mark.parametrize(
    "metadata, expected",
    [
        ((("x-request-id", "a"),), "a"),
        ((("x-request-id", "!~" * 64),), "!~" * 64),
        ((("x-request-id", "first"), ("x-request-id", "second")), "first"),
        ((("traceparent", PARENT), ("x-request-id", "own")), "own"),
        ((("traceparent", PARENT),), TRACE),
        ((("x-request-id", "has space"), ("traceparent", PARENT)), TRACE),
        ((("traceparent", f"cc-{TRACE}-b7ad6b7169203331-01-of a later version"),), TRACE),
    ],
)
def test_an_id_is_taken_over(metadata: Any, expected: str) -> None:
    assert request_id_of(metadata) == expected


@pytest.mark.parametrize(
    "key, value",
    [
        ("x-request-id", ""),
        ("x-request-id", "x" * 129),
        ("x-request-id", "a\n"),
        ("x-request-id", "é"),
        ("traceparent", ""),
        ("traceparent", PARENT.upper()),
        ("traceparent", f"ff-{TRACE}-b7ad6b7169203331-01"),
        ("traceparent", f"00-{'0' * 32}-b7ad6b7169203331-01"),
        ("traceparent", f"00-{TRACE}-{'0' * 16}-01"),
        ("traceparent", f"{PARENT}-more"),
        ("traceparent", f"{PARENT}\n"),
    ],
)
def test_an_invalid_one_is_replaced_by_a_new_one(key: str, value: str) -> None:
    first, second = request_id_of([(key, value)]), request_id_of([(key, value)])

    assert NEW.fullmatch(first) and first not in (second, TRACE)


def requests(verb: bytes, finished: bool = True) -> Iterator[pb.CompressRequest]:
    yield pb.CompressRequest(settings=pb.Settings())
    yield pb.CompressRequest(chunk=file_of(500, verb))
    if finished:
        yield pb.CompressRequest(finish=pb.Finish(total_bytes=500))


@pytest.mark.parametrize("verb, code", [(b"half", "OK"), (b"busy", "UNAVAILABLE"), (b"bug!", "INTERNAL")])
def test_the_trailing_metadata_of_a_stream_have_the_id(fake_stub: Any, verb: bytes, code: str) -> None:
    call = fake_stub.Compress(requests(verb), metadata=(("x-request-id", "id-7"),))
    with contextlib.suppress(grpc.RpcError):
        list(call)

    assert call.code().name == code
    trailing = dict(call.trailing_metadata())
    assert trailing["x-request-id"] == "id-7"
    assert ("grpc-status-details-bin" in trailing) == (code != "OK")


@pytest.mark.parametrize("verb, code", [(b"half", "OK"), (b"nope", "UNIMPLEMENTED")])
def test_the_trailing_metadata_of_inspect_have_the_id(fake_stub: Any, verb: bytes, code: str) -> None:
    parts = (pb.InspectRequest(chunk=file_of(500, verb)),)
    call = fake_stub.Inspect.future(
        iter((pb.InspectRequest(settings=pb.Settings()), *parts)), metadata=(("traceparent", PARENT),)
    )

    assert call.code().name == code
    assert dict(call.trailing_metadata())["x-request-id"] == TRACE


def test_a_call_that_is_ended_since_nothing_arrives_has_the_id(idle: Any) -> None:
    with grpc.insecure_channel(idle.address) as channel:
        call = rpc.CompressorServiceStub(channel).Compress(endless(), metadata=(("x-request-id", "id-8"),))
        with pytest.raises(grpc.RpcError):
            list(call)
        assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert dict(call.trailing_metadata())["x-request-id"] == "id-8"


def endless() -> Iterator[pb.CompressRequest]:
    yield pb.CompressRequest(settings=pb.Settings())
    time.sleep(2)


def test_a_call_without_a_token_has_an_id(tmp_path: Any) -> None:
    (tmp_path / "tokens").write_text(line_of("shop", "secret"))
    with Running(fake_codec(), token_file=str(tmp_path / "tokens")) as running:
        with grpc.insecure_channel(running.address) as channel:
            call = rpc.CompressorServiceStub(channel).Compress(requests(b"half"))
            with pytest.raises(grpc.RpcError):
                list(call)
    assert call.code() is grpc.StatusCode.UNAUTHENTICATED
    assert NEW.fullmatch(str(dict(call.trailing_metadata())["x-request-id"]))
