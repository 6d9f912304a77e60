"""Back-pressure, slow clients, and requests that end early."""

import asyncio
import contextlib
import time
from typing import Any

import psutil
import pytest

from compressor.client import Client
from compressor.errors import BusyError
from compressor.memory import Resources
from tests.service.fake_pipeline import ERRORS, Counts, counted, fake_codec, file_of
from tests.service.http.raw_peer import RawPeer
from tests.service.running import Process, Running, eventually

IMMEDIATE, SAFE = "/v1/compress?delivery=immediate", "/v1/compress?delivery=safe"
OVERHEAD = 1000
MIB = 1 << 20


def running(counts: Counts | None = None, budget: int | None = None, **config: Any) -> Running:
    codec = fake_codec(Resources(memory_budget=budget, overhead=OVERHEAD))
    return Running(counted(codec, counts or Counts()), http_address="127.0.0.1:0", **config)


def reserved(server: Running) -> int:
    return server.server._codec.resources.reserved_bytes


def send_until_blocked(peer: RawPeer, block: bytes, most: int) -> int:
    """Return how many bytes are accepted before none are for half a second."""
    peer.socket.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < most:
            sent += peer.socket.send(block[: most - sent])
    peer.socket.settimeout(20)
    return sent


def test_an_upload_stops_while_its_output_is_not_read() -> None:
    """Most of what is accepted of 100 MB lies in the kernel's socket buffers, and little in the service."""
    with Process("fake", http_address="127.0.0.1:0") as server, contextlib.ExitStack() as stack:
        with RawPeer(server.http_port) as first:
            assert first.request(IMMEDIATE, file_of(700)).is_complete
        before = server.rss_bytes
        peers = [stack.enter_context(RawPeer(server.http_port, receive_bytes=64 << 10)) for _ in range(8)]
        block = file_of(1 << 18)
        for peer in peers:
            peer.begin(IMMEDIATE, 100 * MIB)
            assert send_until_blocked(peer, block, 100 * MIB) < 30 * MIB
        assert server.rss_bytes - before < 8 * 1.2 * MIB


def test_a_long_body_passes_in_bounded_memory() -> None:
    """100 MB in, a short result out."""
    with Process("fake", http_address="127.0.0.1:0") as server, RawPeer(server.http_port) as peer:
        assert peer.request(SAFE, file_of(700)).status == 200
        process, block = psutil.Process(server.process.pid), file_of(1 << 20)
        before = most = process.memory_info().rss
        peer.begin(SAFE, 100 * MIB)
        for _ in range(100):
            peer.send(block)
            most = max(most, process.memory_info().rss)
        assert peer.receive().status == 200
        assert most - before < 4 * MIB


def test_responses_do_not_wait_for_acknowledgments(fake_peer: RawPeer) -> None:
    """Without TCP_NODELAY each takes 40 ms."""
    image = file_of(3000)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        assert fake_peer.request(SAFE, image).status == 200
        seconds.append(time.perf_counter() - start)

    assert min(seconds) < 0.02


def test_a_client_that_sends_nothing_is_told_so_and_disconnected() -> None:
    with running(idle_seconds=0.3) as server, RawPeer(server.server.http_port) as peer:
        peer.begin(SAFE, 1000)
        peer.send(file_of(100))
        answer = peer.receive()

        assert (answer.status, answer.json["code"]) == (408, "DEADLINE_EXCEEDED")
        assert answer.fields["connection"] == "close" and peer.is_closed()
        assert eventually(lambda: reserved(server) == 0)


def test_a_client_that_reads_nothing_is_reset() -> None:
    with running(idle_seconds=0.4) as server, RawPeer(server.server.http_port, receive_bytes=4096) as peer:
        image = file_of(8 * MIB)
        peer.begin(IMMEDIATE, len(image))
        with contextlib.suppress(ConnectionError, TimeoutError):
            peer.socket.settimeout(5)
            peer.send(image)

        assert eventually(lambda: reserved(server) == 0)
        assert not peer.receive().is_complete


def test_a_connection_without_a_request_is_closed() -> None:
    with running(header_seconds=0.3) as server:
        with RawPeer(server.server.http_port) as silent, RawPeer(server.server.http_port) as slow:
            slow.send(b"POST /v1/compress HTTP/1.1\r\n")
            assert silent.is_closed() and slow.is_closed()
        with RawPeer(server.server.http_port) as idle:
            assert idle.request(SAFE, file_of(700)).status == 200
            assert idle.is_closed()


def test_connections_over_the_limit_are_closed() -> None:
    with running(max_connections=2) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(server.server.http_port)) for _ in range(2)]
        assert peers[1].request(SAFE, file_of(700)).status == 200
        with RawPeer(server.server.http_port) as third:
            assert third.is_closed()
        assert peers[0].request(SAFE, file_of(700)).status == 200


def test_a_refused_upload_is_not_read_and_says_when_to_retry() -> None:
    with running(max_concurrent_calls=1) as server, RawPeer(server.server.http_port) as first:
        first.begin(SAFE, 1000)
        first.send(file_of(500))
        assert eventually(lambda: reserved(server) == OVERHEAD)
        with RawPeer(server.server.http_port) as second:
            answer = second.request(SAFE, file_of(200_000))

        assert (answer.status, answer.json["code"]) == (503, "UNAVAILABLE")
        assert int(answer.fields["retry-after"]) >= answer.json["retry_after_seconds"] > 0
        first.send(file_of(500))
        assert first.receive().status == 200


def test_the_limit_of_an_address_counts_grpc_and_http() -> None:
    with running(max_calls_per_peer=1) as server, RawPeer(server.server.http_port) as first:
        first.begin(SAFE, 1000)
        first.send(file_of(500))
        assert eventually(lambda: reserved(server) == OVERHEAD)
        with Client(server.address, timeout=10) as client, pytest.raises(BusyError):
            client.compress(file_of(700))


def test_a_failure_after_the_first_byte_resets_the_connection(fake_peer: RawPeer) -> None:
    image = file_of(3 * MIB, b"late")
    fake_peer.begin(IMMEDIATE, len(image))
    with contextlib.suppress(ConnectionError):
        fake_peer.send(image)
    answer = fake_peer.receive()

    assert answer.status == 200 and not answer.is_complete


@pytest.mark.parametrize("verb", ERRORS)
def test_a_failure_before_the_first_byte_is_a_problem(fake_peer: RawPeer, verb: bytes) -> None:
    expected = {b"busy": 503, b"wait": 503, b"over": 413, b"nope": 415, b"bug!": 500}

    answer = fake_peer.request(IMMEDIATE, file_of(700, verb))

    assert answer.status == expected[verb] == answer.json["status"]
    assert answer.fields["content-type"] == "application/problem+json"
    assert fake_peer.request(IMMEDIATE, file_of(700)).status == 200  # on the same connection


def test_a_deadline_ends_the_request() -> None:
    with running() as server, RawPeer(server.server.http_port) as peer:
        peer.begin(SAFE, 1000, "Compressor-Timeout: 0.5")
        start = time.monotonic()
        answer = peer.receive()

        assert (answer.status, answer.json["code"]) == (504, "DEADLINE_EXCEEDED")
        assert 0.4 < time.monotonic() - start < 10


@pytest.mark.parametrize("target", [IMMEDIATE, SAFE])
def test_a_client_that_goes_ends_the_work(target: str) -> None:
    counts = Counts()
    with running(counts) as server:
        peer = RawPeer(server.server.http_port)
        peer.begin(target, 1000)
        peer.send(file_of(500))
        assert eventually(lambda: counts.started == 1)
        peer.reset()

        assert eventually(lambda: counts.closed == 1 and reserved(server) == 0)
        assert counts.reported == 0
        assert eventually(lambda: 'requests_total{code="CANCELLED",path="none"} 1.0' in server.scrape())


def test_a_client_that_goes_after_its_upload_ends_the_work() -> None:
    counts = Counts()
    with running(counts) as server:
        peer = RawPeer(server.server.http_port)
        image = file_of(4 * MIB, b"slow")
        peer.begin(SAFE, len(image))
        peer.send(image[:-1])
        assert eventually(lambda: counts.pulled > 2)
        peer.send(image[-1:])
        peer.reset()

        assert eventually(lambda: counts.closed == 1 and reserved(server) == 0)


def test_running_requests_end_before_the_server_does() -> None:
    with running(grace_seconds=10.0) as server, RawPeer(server.server.http_port) as peer:
        peer.begin(SAFE, 1000)
        peer.send(file_of(500))
        assert eventually(lambda: reserved(server) == OVERHEAD)
        stopping = asyncio.run_coroutine_threadsafe(server.server.stop(), server.loop)
        assert eventually(lambda: server.server._service.draining)
        time.sleep(0.3)
        assert not stopping.done()
        peer.send(file_of(500))
        answer = peer.receive()
        assert answer.status == 200 and peer.is_closed()
        stopping.result(10)
        server.server.stop = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
