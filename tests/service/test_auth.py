"""TLS, client certificates and bearer tokens."""

import subprocess
from pathlib import Path

import grpc
import pytest

from compressor.client import Client, health
from compressor.errors import CallError, SettingsError
from compressor.service.auth import TokenInterceptor
from tests.service.fake_pipeline import fake_codec
from tests.service.running import Running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a self-signed certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return cert, key


def test_calls_without_the_token_are_refused_but_probes_are_not(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first\nsecond\n")
    with Running(fake_codec(), token_file=str(tokens)) as running:
        for token in ("first", "second"):
            with Client(running.address, token=token) as client:
                assert client.compress(b"FAKEhalf").data
        for wrong in (None, "third", ""):
            with Client(running.address, token=wrong) as client:
                for verb in (client.compress, client.inspect):
                    with pytest.raises(CallError) as caught:
                        verb(b"FAKEhalf")
                    assert caught.value.code == "UNAUTHENTICATED"
        assert health(running.address)
        refused = 'compressor_requests_total{code="UNAUTHENTICATED",path="none"} 6.0'
        assert refused in running.scrape()


def test_a_file_without_tokens_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("\n")
    with pytest.raises(SettingsError, match="token_file"):
        TokenInterceptor(str(tmp_path / "tokens"), lambda method, context: None)


def test_tls(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with Running(fake_codec(), tls_cert=str(cert), tls_key=str(key)) as running:
        trusted = grpc.ssl_channel_credentials(cert.read_bytes())
        for address in (running.address, [running.address, running.address]):
            with Client(address, credentials=trusted) as client:
                assert client.compress(b"FAKEhalf").data
        with Client(running.address, timeout=5) as client, pytest.raises(CallError, match="UNAVAILABLE"):
            client.compress(b"FAKEhalf")


def test_client_certificates(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    config = {"tls_cert": str(cert), "tls_key": str(key), "tls_client_ca": str(cert)}
    with Running(fake_codec(), **config) as running:
        known = grpc.ssl_channel_credentials(cert.read_bytes(), key.read_bytes(), cert.read_bytes())
        with Client(running.address, credentials=known) as client:
            assert client.compress(b"FAKEhalf").data
        unknown = grpc.ssl_channel_credentials(cert.read_bytes())
        with Client(running.address, credentials=unknown, timeout=5) as client, pytest.raises(CallError):
            client.compress(b"FAKEhalf")
