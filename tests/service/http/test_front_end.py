"""TLS on the HTTP port, several workers, and a server without the extra."""

import contextlib
import gc
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import SettingsError
from compressor.service.config import ServerConfig
from compressor.service.http.connection import HttpConnection
from compressor.service.http.exchange import HTTP_CALL_BYTES, TLS_BYTES
from compressor.service.server import call_bytes
from compressor.service.tenants import line_of
from tests import ROOT, pem
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.http.raw_peer import RawPeer
from tests.service.running import Process, Running, eventually, free_port

SAFE = "/v1/compress?delivery=safe"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pem.write(tmp_path_factory.mktemp("pem"))


def serving(files: Path, **others: str) -> Running:
    config: dict[str, Any] = {"tls_cert": str(files / "server.crt"), "tls_key": str(files / "server.key"), **others}
    return Running(fake_codec(), http_address="127.0.0.1:0", **config)


def test_the_port_speaks_tls_with_the_certificate_of_the_service(files: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(files / "ca.crt"))
    with serving(files) as server:
        image = file_of(1 << 20)
        with RawPeer(server.server.http_port, tls=trusting) as peer:
            assert peer.request(SAFE, image).is_complete
            assert peer.request("/v1/compress?delivery=immediate", image).is_complete
        with RawPeer(server.server.http_port) as plain:
            plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert plain.is_closed()


def test_idle_connections_with_tls_cost_little(files: Path) -> None:
    """asyncio has a buffer of 256 KiB for each by default."""
    trusting = ssl.create_default_context(cafile=str(files / "ca.crt"))
    secure = {"tls_cert": str(files / "server.crt"), "tls_key": str(files / "server.key")}
    with Process("fake", http_address="127.0.0.1:0", **secure) as server, contextlib.ExitStack() as stack:
        with RawPeer(server.http_port, tls=trusting) as first:
            assert first.request(SAFE, file_of(700)).status == 200
        before = server.rss_bytes
        for _ in range(100):
            stack.enter_context(RawPeer(server.http_port, tls=trusting))
        assert server.rss_bytes - before < 100 * (96 << 10)


def test_clients_must_present_a_certificate_if_the_service_says_so(files: Path) -> None:
    anonymous = ssl.create_default_context(cafile=str(files / "ca.crt"))
    known = ssl.create_default_context(cafile=str(files / "ca.crt"))
    known.load_cert_chain(files / "client.crt", files / "client.key")
    with serving(files, tls_client_ca=str(files / "ca.crt")) as server:
        with RawPeer(server.server.http_port, tls=known) as peer:
            assert peer.request(SAFE, file_of(700)).status == 200
        with pytest.raises((ssl.SSLError, ConnectionError)), RawPeer(server.server.http_port, tls=anonymous) as peer:
            peer.request(SAFE, file_of(700))


def test_workers_share_the_port() -> None:
    with Process("fake", workers=2, http_address="127.0.0.1:0", memory_budget=64 << 20) as server:
        for _ in range(20):
            with RawPeer(server.http_port) as peer:
                assert peer.request(SAFE, file_of(700)).status == 200


def test_a_port_that_is_taken_is_an_error() -> None:
    with Running(fake_codec(), http_address="127.0.0.1:0") as server, pytest.raises(OSError):
        Running(fake_codec(), http_address=f"127.0.0.1:{server.server.http_port}")


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "no such host:80"])
def test_a_wrong_address_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match="http_address"):
        Running(fake_codec(), http_address=address)


def test_a_server_without_the_extra_says_how_to_install_it() -> None:
    program = f"""
import sys
sys.modules["uvicorn"] = None
from compressor.service.config import ServerConfig
from compressor.service.serve import serve
from tests.service.fake_pipeline import fake_codec
config = ServerConfig(address="127.0.0.1:0", metrics_address=None, http_address="127.0.0.1:{free_port()}")
serve(config, codec=fake_codec())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert "http_address: needs an HTTP server: install 'compressor[http]'" in done.stderr


def test_calls_are_charged_for_the_front_end_that_takes_more() -> None:
    plain, both = ServerConfig(), ServerConfig(http_address="127.0.0.1:0")
    secure = ServerConfig(http_address="127.0.0.1:0", tls_cert="a", tls_key="b")

    assert call_bytes(plain) == call_bytes(both) >= HTTP_CALL_BYTES
    assert call_bytes(secure) == HTTP_CALL_BYTES + TLS_BYTES


def test_a_replaced_certificate_is_used_from_the_next_handshake_on(files: Path, tmp_path: Path) -> None:
    cert, key = tmp_path / "own.crt", tmp_path / "own.key"
    authority = pem.pems()["ca"]
    trusting = ssl.create_default_context(cafile=str(files / "ca.crt"))

    def use(made: pem.Pem) -> None:
        cert.write_bytes(made.cert)
        key.write_bytes(made.private())

    def presented(server: Running) -> bytes | None:
        with RawPeer(server.server.http_port, tls=trusting) as peer:
            assert isinstance(peer.socket, ssl.SSLSocket)
            return peer.socket.getpeercert(binary_form=True)

    use(pem.Pem("first", authority))
    with Running(fake_codec(), http_address="127.0.0.1:0", tls_cert=str(cert), tls_key=str(key)) as server:
        with RawPeer(server.server.http_port, tls=trusting) as old:
            before = presented(server)
            use(pem.Pem("second", authority))
            server.loop.call_soon_threadsafe(server.server.access.reload)

            assert eventually(lambda: presented(server) != before)
            assert old.request(SAFE, file_of(700)).status == 200


def test_a_tenant_over_its_quota_is_told_when_to_come_back(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{line_of('shop', 'one')} calls=0.5/s\n")
    with Running(fake_codec(), http_address="127.0.0.1:0", token_file=str(tokens)) as server:
        with RawPeer(server.server.http_port) as peer:
            answers = [peer.request(SAFE, file_of(700), "Authorization: Bearer one") for _ in range(2)]

        assert [answer.status for answer in answers] == [200, 503]
        assert answers[1].fields["retry-after"] == "2"
        assert 'tenant_requests_total{code="OK",tenant="shop"} 1.0' in server.scrape()


def test_an_upload_is_slowed_to_the_bytes_per_second_of_its_tenant(tmp_path: Path) -> None:
    tokens, image = tmp_path / "tokens", file_of(30_000)
    tokens.write_text(f"{line_of('shop', 'one')} bytes=20000/s\n")
    with Running(fake_codec(), http_address="127.0.0.1:0", token_file=str(tokens)) as server:
        admission = server.server._admission
        with RawPeer(server.server.http_port) as peer:
            start = time.monotonic()
            peer.begin(SAFE, len(image), "Authorization: Bearer one")
            peer.send(image[:-1])
            assert eventually(lambda: [call.clock.upload.bytes for call in admission._open] == [len(image) - 1])
            peer.send(image[-1:])
            assert peer.receive().status == 200
        assert time.monotonic() - start > 0.4  # for what is above 20,000 bytes


def test_connections_that_were_reset_leave_nothing() -> None:
    """uvicorn keeps a timer of such a connection, and with it the connection."""
    with Running(fake_codec(), http_address="127.0.0.1:0") as server:
        for _ in range(20):
            peer = RawPeer(server.server.http_port)
            assert peer.request(SAFE, file_of(700)).status == 200
            peer.reset()

        def left() -> int:
            gc.collect()
            return sum(isinstance(one, HttpConnection) for one in gc.get_objects())

        assert eventually(lambda: left() == 0)
