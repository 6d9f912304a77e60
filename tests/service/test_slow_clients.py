"""Clients that do not read, that send slowly, and too many of them, through real connections."""

import contextlib
import io
import socket
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import code_pb2
from PIL import Image

from compressor.calls.codec import pipeline_codec
from compressor.client import Client
from compressor.errors import BusyError, CallError
from compressor.memory import Resources
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.http2_peer import Http2Peer
from tests.service.running import Running, eventually

OVERHEAD = 1000
WINDOW = 65_535


def running(budget: int | None = None, **config: Any) -> Running:
    codec = fake_codec(Resources(memory_budget=budget, overhead=OVERHEAD))
    return Running(codec, **config)


def reserved(server: Running) -> int:
    return server.server._codec.resources.reserved_bytes


def whole(size: int = 700) -> bytes:
    """Return an upload in one message."""
    image = file_of(size)
    finish = pb.Finish(total_bytes=len(image))
    parts = pb.RequestParts(settings=pb.Settings(), chunk=image, finish=finish)
    return pb.CompressRequest(parts=parts).SerializeToString()


def failures(peer: Http2Peer) -> list[pb.Failure]:
    """Return the failures that were sent in band."""
    found = [pb.CompressResponse.FromString(payload[5:]) for kind, _, _, payload in peer.received if not kind]
    return [one.failure for one in found if one.HasField("failure")]


def another_call(server: Running) -> None:
    """Make a call. grpcio keeps the last one of each method until then."""
    with Client(server.address, timeout=10) as client:
        assert client.compress(file_of(700)).data


def test_calls_that_are_never_read_are_charged_until_they_are_reset() -> None:
    with running(idle_seconds=0.3) as server, Http2Peer(server.address, window=0) as peer:
        for stream in range(1, 41, 2):
            peer.open(stream)
            peer.message(stream, whole())
        assert eventually(lambda: reserved(server) == 20 * OVERHEAD)
        assert len(peer.ended()) == 0
        assert eventually(lambda: reserved(server) == 0, 10)
        another_call(server)
        assert eventually(lambda: len(peer.ended()) == 20)


def test_a_client_that_does_not_read_a_failure_is_reset() -> None:
    broken = pb.RequestParts(settings=pb.Settings(), chunk=b"JUNK" * 10, finish=pb.Finish(total_bytes=40))
    with running(idle_seconds=0.3) as server, Http2Peer(server.address, window=0) as peer:
        peer.open(1)
        peer.message(1, pb.CompressRequest(parts=broken).SerializeToString())
        assert eventually(lambda: reserved(server) == OVERHEAD)
        assert eventually(lambda: reserved(server) == 0, 10)
        another_call(server)
        assert eventually(lambda: peer.ended() == {1})


def test_refused_calls_are_ended_at_once_even_if_they_are_not_read() -> None:
    with running(max_concurrent_calls=1, header_seconds=600) as server, Http2Peer(server.address, window=0) as peer:
        peer.open(1)
        assert eventually(lambda: reserved(server) == OVERHEAD)
        for stream in range(3, 403, 2):
            peer.open(stream)
        assert eventually(lambda: len(peer.ended()) >= 199, 10)
        assert reserved(server) == OVERHEAD


def test_a_refusal_is_sent_in_band_and_as_status_and_its_upload_is_not_read() -> None:
    with running(max_concurrent_calls=1) as server, Http2Peer(server.address, window=WINDOW) as peer:
        peer.open(1)
        assert eventually(lambda: reserved(server) == OVERHEAD)
        started = time.monotonic()
        peer.open(3)
        assert eventually(lambda: 3 in peer.ended())
        assert time.monotonic() - started < 1
        [failure] = failures(peer)
        assert failure.code == code_pb2.UNAVAILABLE
        assert failure.retry_after_seconds > 0
        with Client(server.address, retries=0) as client, pytest.raises(BusyError) as refused:
            client.compress(file_of(1 << 20))
        assert refused.value.retry_after_seconds > 0
        assert 'compressor_requests_rejected_total{reason="busy"} 2.0' in server.scrape()


@pytest.mark.parametrize("chunk", [b"", b"F"])
def test_trickled_chunks_do_not_keep_a_call(chunk: bytes) -> None:
    """Neither empty chunks nor a byte at a time: the call is late, however often it sends."""
    with running(idle_seconds=0.4, header_seconds=30) as server, Http2Peer(server.address, window=WINDOW) as peer:
        peer.open(1)
        peer.message(1, pb.CompressRequest(settings=pb.Settings()).SerializeToString())
        peer.message(1, pb.CompressRequest(chunk=b"FAKEhalf").SerializeToString())
        started = time.monotonic()
        while not peer.ended() and time.monotonic() - started < 10:
            peer.message(1, pb.CompressRequest(chunk=chunk).SerializeToString())
            time.sleep(0.05)
        assert peer.ended() == {1}
        assert time.monotonic() - started < 5
        assert failures(peer)[0].code == code_pb2.DEADLINE_EXCEEDED


def test_a_message_that_trickles_does_not_outlast_the_header_limit() -> None:
    with running(header_seconds=0.4) as server, Http2Peer(server.address, window=WINDOW) as peer:
        peer.open(1)
        data = whole()
        peer.data(1, b"\0" + len(data).to_bytes(4, "big"))
        for byte in data:
            if peer.ended():
                break
            peer.data(1, bytes([byte]))
            time.sleep(0.02)
        assert peer.ended() == {1}
        assert "header" in failures(peer)[0].message


@pytest.mark.parametrize("format", ["TIFF", "BMP", "WEBP", "JPEG"])
def test_a_steady_upload_may_take_longer_than_its_header(format: str) -> None:
    """A format may be read from its beginning, or when all of it has arrived."""
    file = io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    Image.fromarray(noise).save(file, format, **({"lossless": True} if format == "WEBP" else {}))
    data = file.getvalue()

    def steadily() -> Iterator[bytes]:
        for at in range(0, len(data), len(data) // 10 + 1):
            yield data[at : at + len(data) // 10 + 1]
            time.sleep(0.1)

    codec = pipeline_codec(Resources(memory_budget=64 << 20))
    with Running(codec, header_seconds=0.6) as server, Client(server.address, timeout=20) as client:
        assert client.compress(steadily(), format="jpeg").data


def test_a_call_has_a_longest_time() -> None:
    def steady() -> Iterator[pb.CompressRequest]:
        yield pb.CompressRequest(settings=pb.Settings())
        yield pb.CompressRequest(chunk=b"FAKEhalf")
        for _ in range(200):
            yield pb.CompressRequest(chunk=bytes(10_000))
            time.sleep(0.05)

    with running(max_call_seconds=0.5) as server, grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            list(rpc.CompressorServiceStub(channel).Compress(steady()))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "longer than" in (caught.value.details() or "")


def test_late_clients_make_way_for_others() -> None:
    with running(max_concurrent_calls=4) as server, Http2Peer(server.address, window=WINDOW) as peer:
        for stream in (1, 3, 5, 7):
            peer.open(stream)
        assert eventually(lambda: reserved(server) == 4 * OVERHEAD)
        with Client(server.address, retries=50, timeout=30) as client:
            assert client.compress(file_of(700)).data
        assert peer.ended()


def test_calls_of_one_address_have_a_limit() -> None:
    with (
        running(max_calls_per_peer=2) as server,
        Http2Peer(server.address) as first,
        Http2Peer(server.address) as other,
    ):
        first.open(1)
        other.open(1)
        assert eventually(lambda: reserved(server) == 2 * OVERHEAD)
        with Client(server.address, retries=0) as client, pytest.raises(BusyError, match="this client"):
            client.compress(file_of(700))


def test_connections_have_a_limit() -> None:
    with running(max_connections=3) as server:
        peers = [Http2Peer(server.address) for _ in range(3)]
        try:
            assert eventually(lambda: all(peer.received for peer in peers))
            host, _, port = server.address.rpartition(":")
            with socket.create_connection((host, int(port)), 10) as fourth:
                fourth.settimeout(5)
                assert fourth.recv(1) == b"", "closed by the server"
        finally:
            for peer in peers:
                peer.__exit__()

        def is_let_in() -> bool:
            with contextlib.suppress(CallError):
                another_call(server)
                return True
            return False

        assert eventually(is_let_in)
