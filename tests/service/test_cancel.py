"""Canceled calls: never treated as complete, and ended soon."""

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from compressor.client import Client
from compressor.client.transfer import RequestBuilder
from compressor.errors import FormatError
from compressor.settings import Settings
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.running import eventually

TRIES = 100


def threads() -> int:
    return sum(thread.name in ("compress", "inspect") for thread in threading.enumerate())


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_canceled_upload_is_never_treated_as_complete(service: Any, how: str) -> None:
    """Everything but `finish` is sent, then the call is canceled. gRPC mostly reports a regular end."""
    before = service.counts.reported
    for number in range(TRIES):
        sent, go = threading.Event(), threading.Event()

        def parts(sent: threading.Event = sent, go: threading.Event = go) -> Iterator[pb.CompressRequest]:
            upload = RequestBuilder(pb.CompressRequest, 1 << 18)
            yield from upload.start(Settings(), None)
            yield from upload.messages(service.small)
            sent.set()
            go.wait(10)

        channel = grpc.insecure_channel(service.address, [("grpc.use_local_subchannel_pool", 1)])
        call = rpc.CompressorServiceStub(channel).Compress(parts())
        assert sent.wait(10)
        time.sleep(random.Random(number).choice([0, 0.001, 0.005]))
        if how == "cancel":
            call.cancel()
        channel.close()
        go.set()

    assert eventually(lambda: threads() == 0)
    assert service.counts.reported == before
    assert service.counts.closed == service.counts.started


@pytest.mark.serial
def test_a_canceled_call_stops_its_thread_within_a_pull(service: Any) -> None:
    before = service.counts.closed
    with Client(service.address) as client:
        stream = client.stream(slowly(service.large))
        assert stream.source.width > 0
        started = time.monotonic()
        stream.close()
        assert eventually(lambda: service.counts.closed > before)
        assert time.monotonic() - started < 0.5


def slowly(data: bytes) -> Iterator[bytes]:
    """Yield the first part at once, and the rest over half a minute."""
    yield data[: 1 << 18]
    for start in range(1 << 18, len(data), 4096):
        time.sleep(0.03)
        yield data[start : start + 4096]


def test_a_client_that_is_rejected_while_it_writes_stops_writing(fake: Any) -> None:
    """It does not send the rest of the upload."""
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        yield b"FAKElate"
        while pulled < 10_000:
            pulled += 1
            yield bytes(1 << 16)

    with Client(fake.address) as client, client.stream(endless()) as stream, pytest.raises(FormatError):
        list(stream)

    assert pulled < 200


def test_no_threads_and_no_calls_are_left(service: Any) -> None:
    assert eventually(lambda: threads() == 0)
    assert eventually(lambda: "compressor_requests_in_progress 0.0" in service.scrape())
