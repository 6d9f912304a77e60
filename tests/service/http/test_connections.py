"""Limits of connections: what a client can't do to a server by being silent, slow, or many."""

import contextlib
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from compressor.service.http.connection import CHUNK_BYTES_MIN, CHUNKS_FREE, HttpConnection
from tests import pem
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.http.raw_peer import RawPeer
from tests.service.logs import Log, logged
from tests.service.running import Running, eventually

SAFE = "/v1/compress?delivery=safe"


def running(**config: Any) -> Running:
    return Running(fake_codec(), http_address="127.0.0.1:0", **config)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = pem.write(tmp_path_factory.mktemp("pem"))
    return {"tls_cert": str(folder / "server.crt"), "tls_key": str(folder / "server.key")}


def trusting(secure: dict[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(Path(secure["tls_cert"]).parent / "ca.crt"))


def accepted(server: Running) -> int:
    http = server.server._http
    assert http is not None
    return len(http._server.accepted)


def requests_of(log: Log, identity: str) -> list[dict[str, Any]]:
    """Return the lines of a request: one of an earlier test may come late."""
    return [line for line in log.requests if line["request_id"] == identity]


def test_a_pipelined_request_is_not_cut_off_by_the_one_before_it() -> None:
    with running(header_seconds=1.0) as server, RawPeer(server.server.http_port) as peer:
        image = file_of(2000)
        head = f"POST {SAFE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n".encode()
        peer.send(head + image + head + image[:1000])
        for start in range(1000, 2000, 100):  # for longer than that
            time.sleep(0.15)
            peer.send(image[start : start + 100])

        assert [peer.receive().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("path, count", [("/v1/openapi.json", 2000), ("/nothing" + "x" * 4000, 4000)])
def test_a_client_that_reads_no_small_response_is_reset(path: str, count: int) -> None:
    with running(header_seconds=0.5) as server, RawPeer(server.server.http_port, receive_bytes=4096) as peer:
        peer.socket.settimeout(5)  # it sends for as long as it is read
        with contextlib.suppress(TimeoutError, ConnectionError):
            peer.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * count)

        assert eventually(lambda: accepted(server) == 0, 10)


def test_silent_connections_to_a_port_with_tls_count_and_end(secure: dict[str, str]) -> None:
    with running(max_connections=2, header_seconds=2.0, **secure) as server, contextlib.ExitStack() as stack:
        port = server.server.http_port
        silent = [stack.enter_context(RawPeer(port)) for _ in range(2)]
        assert eventually(lambda: accepted(server) == 2)
        with contextlib.suppress(ConnectionError), RawPeer(port) as third:  # reset while it connects, or after that
            assert third.is_closed()
        assert accepted(server) == 2  # so it was not for the time that its handshake takes
        assert all(peer.is_closed() for peer in silent)
        assert eventually(lambda: accepted(server) == 0)
        with RawPeer(port, tls=trusting(secure)) as peer:
            assert peer.request(SAFE, file_of(700)).status == 200
            assert accepted(server) == 1


def test_silent_connections_do_not_delay_a_stop(secure: dict[str, str]) -> None:
    server = running(grace_seconds=20.0, **secure)
    with server:
        peer = RawPeer(server.server.http_port)
        assert eventually(lambda: accepted(server) == 1)
        start = time.monotonic()
    with peer:
        assert peer.is_closed()
    assert time.monotonic() - start < 10


def test_failed_handshakes_count_no_longer(secure: dict[str, str]) -> None:
    with running(max_connections=2, **secure) as server:
        for _ in range(5):
            with RawPeer(server.server.http_port) as plain:
                plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert plain.is_closed()
        assert eventually(lambda: accepted(server) == 0)


@pytest.mark.parametrize("has_tls", [False, True])
def test_a_request_whose_framing_breaks_is_answered_once(secure: dict[str, str], has_tls: bool) -> None:
    """With TLS, the connection is open until its client agrees to close it, and the request would run on."""
    config = secure if has_tls else {}
    with logged() as log, running(**config) as server:
        with RawPeer(server.server.http_port, tls=trusting(secure) if has_tls else None) as peer:
            peer.begin(SAFE, None, "Compressor-Timeout: 8", "X-Request-Id: broken")
            peer.chunk(file_of(700))
            assert eventually(lambda: server.server._admission.open_calls == 1)
            peer.send(b"zz\r\n")
            assert peer.receive().status == 400
            assert eventually(lambda: server.server._admission.open_calls == 0)  # before its deadline
            with contextlib.suppress(ConnectionError):
                peer.send(b"zz\r\n" * 100)
        assert eventually(lambda: accepted(server) == 0)

    assert [line for line in log.lines if line["level"] != "info"] == []
    (line,) = requests_of(log, "broken")
    assert line["code"] == "CANCELLED"


def test_a_body_in_tiny_chunks_is_refused(fake_peer: RawPeer) -> None:
    fake_peer.begin(SAFE, None)
    with contextlib.suppress(ConnectionError):
        fake_peer.send(b"1\r\nx\r\n" * 2 * CHUNKS_FREE)

    assert fake_peer.receive().status == 400
    assert fake_peer.is_closed()


@pytest.mark.parametrize("size, count", [(CHUNK_BYTES_MIN, 3 * CHUNKS_FREE), (1, CHUNKS_FREE - 100)])
def test_small_chunks_are_accepted_and_tiny_ones_while_they_are_few(fake_peer: RawPeer, size: int, count: int) -> None:
    for _ in range(2):  # each body counts for itself
        image = file_of(size * count)
        fake_peer.begin(SAFE, None)
        chunks = (image[start : start + size] for start in range(0, len(image), size))
        fake_peer.send(b"".join(b"%x\r\n%b\r\n" % (size, chunk) for chunk in chunks) + b"0\r\n\r\n")

        assert fake_peer.receive().status == 200


def test_a_client_that_goes_with_the_answer_to_the_head_of_its_upload_was_served() -> None:
    with logged() as log, running() as server:
        with RawPeer(server.server.http_port) as peer:
            peer.begin("/v1/inspect", 1 << 20, "X-Request-Id: enough")
            peer.send(file_of(1000))  # of a body that never ends
            assert peer.receive().json["format"] == "fake"
        assert eventually(lambda: requests_of(log, "enough"))
    (line,) = requests_of(log, "enough")
    assert line["code"] == "OK"


def test_a_client_that_goes_before_the_end_of_its_result_was_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = HttpConnection.accept

    def narrowed(connection: HttpConnection, lower: Any) -> None:
        accept(connection, lower)
        connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    monkeypatch.setattr(HttpConnection, "accept", narrowed)
    with logged() as log, running() as server:
        peer = RawPeer(server.server.http_port, receive_bytes=4096)
        image = file_of(60_000)  # half of it is one chunk, of which the buffers take less than a half
        peer.begin("/v1/compress?delivery=immediate", len(image), "X-Request-Id: gone")
        peer.send(image)
        peer.receive_head()
        time.sleep(0.3)
        peer.reset()

        assert eventually(lambda: requests_of(log, "gone"))
    (line,) = requests_of(log, "gone")
    assert (line["code"], line["bytes_out"]) == ("CANCELLED", 30_000)


@pytest.mark.parametrize("broken, status", [("threads._CallThread.start", 503), ("call.Call.start", 500)])
def test_a_request_whose_work_can_not_be_started_fails_at_once(
    monkeypatch: pytest.MonkeyPatch, broken: str, status: int
) -> None:
    def refuse(*arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    with running() as server:
        with monkeypatch.context() as patch, RawPeer(server.server.http_port) as peer:
            patch.setattr(f"compressor.calls.{broken}", refuse)
            assert peer.request(SAFE, file_of(700)).status == status
        with RawPeer(server.server.http_port) as another:
            assert another.request(SAFE, file_of(700)).status == 200
