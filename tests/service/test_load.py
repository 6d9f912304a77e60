"""Many calls at once, and stalled calls, to a server in another process.

Memory is the resident set of the server's process, above what it was when the server was ready.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from compressor.client import Client
from compressor.client.transfer import RequestBuilder
from compressor.settings import Delivery, Effort, Format, Settings
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.conftest import PIPELINES, png
from tests.service.fake_pipeline import file_of
from tests.service.running import Process

MIB = 1 << 20
STALLED = 32
# 1.75 MiB a call: a slab of scanlines and one of pixels, the decoder, pipes, a thread, window and buffers.
RISE_MIB_MAX = 56
CHUNK_BYTES = 256 << 10
IMMEDIATE = Settings(quality=90, effort=Effort.FAST, format=Format.JPEG, delivery=Delivery.IMMEDIATE)


@pytest.fixture(scope="module")
def image() -> bytes:
    """A PNG of 20 MB, as wide as one of 20 MP: what a call holds grows with the width."""
    return png(5472, 1216)


@pytest.fixture(params=PIPELINES)
def process(request: pytest.FixtureRequest) -> Iterator[Process]:
    with Process(request.param) as process:
        yield process


@pytest.fixture(scope="module", params=PIPELINES)
def shared(request: pytest.FixtureRequest) -> Iterator[Process]:
    """One server for all tests that do not measure its memory."""
    with Process(request.param) as process:
        yield process


def large(process: Process, image: bytes) -> bytes:
    return image if process.codec == "pipeline" else file_of(len(image))


class Sender:
    """An upload that stops when a share of the image has been read from it."""

    def __init__(self, data: bytes, share: float, settings: Settings) -> None:
        self.stopped = threading.Event()
        self.go = threading.Event()
        self._data, self._share, self._settings = data, share, settings

    def __iter__(self) -> Iterator[pb.CompressRequest]:
        upload = RequestBuilder(pb.CompressRequest, CHUNK_BYTES)
        yield from upload.start(self._settings, None)
        stop = int(len(self._data) * self._share)
        yield from upload.messages(memoryview(self._data)[:stop])
        self.stopped.set()
        self.go.wait(120)
        yield from upload.messages(memoryview(self._data)[stop:])
        yield upload.finish()


def settled(process: Process) -> int:
    """Return the resident set once it is stable."""
    sizes = [0, process.rss_bytes]
    while abs(sizes[-1] - sizes[-2]) > 128 << 10:
        time.sleep(2)  # the server returns memory every second
        sizes.append(process.rss_bytes)
    return sizes[-1]


@pytest.mark.parametrize("delivery", list(Delivery))
def test_senders_that_stop_in_the_middle_cost_little(process: Process, image: bytes, delivery: Any) -> None:
    idle = process.rss_bytes
    data = large(process, image)
    settings = Settings(effort=Effort.FAST, format=Format.JPEG, delivery=delivery)
    senders = [Sender(data, 0.5, settings) for _ in range(STALLED)]
    with grpc.insecure_channel(process.address) as channel:
        stub = rpc.CompressorServiceStub(channel)
        calls = [stub.Compress(iter(sender)) for sender in senders]
        # The results are read, or these would be stalled readers, too.
        readers = [threading.Thread(target=reader, args=(call,), daemon=True) for call in calls]
        for thread in readers:
            thread.start()
        assert all(sender.stopped.wait(120) for sender in senders)
        rise = settled(process) - idle
        for call in calls:
            call.cancel()
        for sender in senders:
            sender.go.set()

    assert rise / MIB < RISE_MIB_MAX


def reader(call: Any) -> None:
    try:
        for _ in call:
            pass
    except grpc.RpcError:
        pass


def test_readers_that_stop_cost_little(process: Process, image: bytes) -> None:
    idle = process.rss_bytes
    data = large(process, image)
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 64 << 10)]
    with grpc.insecure_channel(process.address, options) as channel:
        stub = rpc.CompressorServiceStub(channel)
        senders = [Sender(data, 1, IMMEDIATE) for _ in range(STALLED)]
        calls = [stub.Compress(iter(sender)) for sender in senders]
        for call in calls:
            assert next(call).WhichOneof("part") == "source"
            assert next(call).WhichOneof("part") == "chunk"
        rise = settled(process) - idle
        assert not any(sender.stopped.is_set() for sender in senders), "a reader that stops must stop its sender"
        for call in calls:
            call.cancel()

    assert rise / MIB < RISE_MIB_MAX


def test_a_hundred_calls_over_one_channel_all_succeed(shared: Process) -> None:
    data = file_of(4 * MIB) if shared.codec == "fake" else png(865, 578)
    # A busy server admits some of them at a time, however slow it is.
    with Client(shared.address, timeout=300, retries=100) as client, ThreadPoolExecutor(100) as pool:
        results = list(pool.map(lambda _: client.compress(data, format="jpeg"), range(100)))

    assert len({result.data for result in results}) == 1
    assert results[0].report.bytes_in == len(data)


def test_memory_is_returned_to_the_system_after_many_calls(process: Process, image: bytes) -> None:
    idle = process.rss_bytes
    data = large(process, image)
    with Client(process.address, timeout=300) as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.compress(data, format="jpeg", effort="fast"), range(8)))
    rise = settled(process) - idle

    assert rise / MIB < RISE_MIB_MAX


def test_a_reader_that_is_slow_gets_everything(shared: Process) -> None:
    data = file_of(8 * MIB) if shared.codec == "fake" else png(1730, 1156)
    with Client(shared.address, timeout=60, window_bytes=64 << 10) as client:
        with client.stream([data], IMMEDIATE) as stream:
            size = 0
            for chunk in stream:
                size += len(chunk)
                time.sleep(0.01)

        assert size == stream.report.bytes_out


def test_a_stalled_call_does_not_hold_up_others(shared: Process, image: bytes) -> None:
    data = large(shared, image)
    sender = Sender(data, 0.5, IMMEDIATE)
    with grpc.insecure_channel(shared.address) as channel, Client(shared.address, timeout=30) as client:
        call = rpc.CompressorServiceStub(channel).Compress(iter(sender))
        next(call)
        result = client.compress(file_of(700) if shared.codec == "fake" else png(32, 24), format="jpeg")
        call.cancel()
        sender.go.set()

    assert result.data
