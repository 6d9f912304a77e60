"""Certificates and tokens that are replaced while a server runs: by their files, and by SIGHUP."""

import logging
import shutil
import signal
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from compressor.client import Access, connect
from compressor.errors import CompressorError, SettingsError
from compressor.service import reload, tenants
from compressor.service.reload import WatchedFiles
from compressor.service.tenants import line_of
from tests.pem import Pem, pems, write
from tests.service.fake_pipeline import fake_codec
from tests.service.running import Process, Running, eventually

MUTUAL = {"tls_cert": "tls.crt", "tls_key": "tls.key", "tls_client_ca": "clients.crt"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with certificates, in which the tests run, and a server that polls often."""
    write(tmp_path)
    for name, source in (("tls.crt", "server.crt"), ("tls.key", "server.key"), ("clients.crt", "ca.crt")):
        shutil.copy(tmp_path / source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reload, "POLL_SECONDS", 0.05)
    return tmp_path


def replace(path: Path, data: bytes) -> None:
    """Replace a file as a deployment does, under a name that it has at every moment."""
    path.with_name(f"{path.name}.new").write_bytes(data)
    path.with_name(f"{path.name}.new").replace(path)


def presented(address: str) -> x509.Certificate:
    """Return the certificate that a server presents in a new handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return x509.load_der_x509_certificate(secure.getpeercert(True) or b"")


def loaded(pem: Pem) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.cert)


def value(running: Any, metric: str, **labels: str) -> float:
    with urllib.request.urlopen(f"{running.metrics}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == metric and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"no {metric} with {labels}")


def reloads(running: Any, outcome: str) -> float:
    return value(running, "compressor_config_reloads_total", outcome=outcome)


def accepted(address: str, **access: str) -> bool:
    with connect(address, Access(**access), timeout=10) as client:
        try:
            return bool(client.compress(b"FAKEhalf").data)
        except CompressorError:
            return False


def test_a_new_certificate_is_presented_without_a_restart_and_calls_go_on(folder: Path) -> None:
    new = Pem("server", pems()["ca"], days=(-1, 60))
    with Running(fake_codec(), tls_cert="tls.crt", tls_key="tls.key") as running:
        before = value(running, "compressor_tls_certificate_expiry_timestamp_seconds")
        assert before == loaded(pems()["server"]).not_valid_after_utc.timestamp()
        with connect(running.address, Access(tls_ca="ca.crt")) as client:
            with client.stream(iter([b"FAKEhalf", bytes(1000)])) as stream:
                assert stream.source.format == "fake"
                replace(folder / "tls.crt", new.cert)
                time.sleep(0.02)
                replace(folder / "tls.key", new.private())
                assert eventually(lambda: presented(running.address) == loaded(new))
                list(stream)
                assert stream.report.bytes_in == 1008
            assert client.compress(b"FAKEhalf").data, "its connection is still valid"
        assert accepted(running.address, tls_ca="ca.crt")
        assert value(running, "compressor_tls_certificate_expiry_timestamp_seconds") > before + 50 * 86400
        assert eventually(lambda: reloads(running, "success") == 1)


@pytest.mark.parametrize(
    "name, problem",
    [
        ("bad-expired", "tls_cert: tls.crt: expired on"),
        ("bad-future", "tls_cert: tls.crt: is not valid before"),
        ("stranger", ""),  # and the key stays that of the old one
        ("bad-empty", "tls_cert: tls.crt: is empty"),
        ("bad-cut", "tls_cert: tls.crt: must be valid certificates"),
        ("missing", "tls_cert: tls.crt: can't be read"),
    ],
)
def test_a_bad_certificate_leaves_the_old_one_and_is_reported_once(
    folder: Path, name: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    old = loaded(pems()["server"])
    source = folder / (name if (folder / name).exists() else f"{name}.crt")
    with Running(fake_codec(), tls_cert="tls.crt", tls_key="tls.key") as running:
        if source.exists():
            replace(folder / "tls.crt", source.read_bytes())
        else:
            (folder / "tls.crt").unlink()
        assert eventually(lambda: reloads(running, "failure") == 1)
        time.sleep(0.2)  # some polls later
        assert reloads(running, "failure") == 1
        assert presented(running.address) == old
        assert accepted(running.address, tls_ca="ca.crt")
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1
        assert errors[0].startswith(problem or "tls_key: tls.key: is not the private key")
        assert errors[0].endswith("; the previous certificates stay in use")

        replace(folder / "tls.crt", pems()["server"].cert)
        assert eventually(lambda: reloads(running, "success") == 1)


def test_a_certificate_that_expires_is_replaced_while_its_server_runs(folder: Path) -> None:
    short = Pem("server", pems()["ca"], days=(-1, 3 / 86400))
    (folder / "tls.crt").write_bytes(short.cert)
    (folder / "tls.key").write_bytes(short.private())
    with Running(fake_codec(), tls_cert="tls.crt", tls_key="tls.key") as running:
        with connect(running.address, Access(tls_ca="ca.crt")) as client:
            assert client.compress(b"FAKEhalf").data
            end = value(running, "compressor_tls_certificate_expiry_timestamp_seconds")
            assert end == loaded(short).not_valid_after_utc.timestamp()
            time.sleep(max(0.0, end + 1.1 - time.time()))
            assert client.compress(b"FAKEhalf").data, "it has connected before"
        assert not accepted(running.address, tls_ca="ca.crt")
        replace(folder / "tls.crt", pems()["server"].cert)
        replace(folder / "tls.key", pems()["server"].private())
        assert eventually(lambda: presented(running.address) == loaded(pems()["server"]))
        assert accepted(running.address, tls_ca="ca.crt")


def test_authorities_of_clients_are_replaced_too(folder: Path) -> None:
    other = Pem("client", pems()["other-ca"], names=())
    (folder / "other.crt").write_bytes(other.cert)
    (folder / "other.key").write_bytes(other.private())
    first = {"tls_ca": "ca.crt", "tls_cert": "client.crt", "tls_key": "client.key"}
    second = {"tls_ca": "ca.crt", "tls_cert": "other.crt", "tls_key": "other.key"}
    with Running(fake_codec(), **MUTUAL) as running:
        assert accepted(running.address, **first) and not accepted(running.address, **second)
        replace(folder / "clients.crt", pems()["ca"].cert + pems()["other-ca"].cert)
        assert eventually(lambda: reloads(running, "success") == 1)
        assert accepted(running.address, **first) and accepted(running.address, **second)
        replace(folder / "clients.crt", pems()["other-ca"].cert)
        assert eventually(lambda: reloads(running, "success") == 2)
        assert not accepted(running.address, **first) and accepted(running.address, **second)
        assert not accepted(running.address, tls_ca="ca.crt")


def test_files_behind_a_link_that_is_switched_are_noticed(folder: Path) -> None:
    """As Kubernetes replaces the files of a secret."""
    for number, token in enumerate(("one", "two")):
        (folder / f"version-{number}").mkdir()
        (folder / f"version-{number}" / "tokens").write_text(line_of("shop", token))
        (folder / f"{token}.token").write_text(token)
    (folder / "data").symlink_to("version-0")
    with Running(fake_codec(), token_file="data/tokens") as running:
        assert accepted(running.address, token_file="one.token")
        (folder / "data.new").symlink_to("version-1")
        (folder / "data.new").replace(folder / "data")
        assert eventually(lambda: accepted(running.address, token_file="two.token"))
        assert not accepted(running.address, token_file="one.token")


def test_a_pair_of_files_is_read_once_both_have_been_written(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    cert.write_text("1")
    key.write_text("1")
    read: list[str] = []
    files = WatchedFiles("pair", [str(cert), str(key)], lambda: read.append(cert.read_text() + key.read_text()))
    assert not files.are_due()
    replace(cert, b"2")
    assert not files.are_due(), "it has just changed"
    replace(key, b"2")
    assert not files.are_due(), "the other one has just changed"
    assert files.are_due()
    files.load()
    assert not files.are_due() and not files.are_due()
    assert read == ["11", "22"]


def test_files_that_can_not_be_used_are_tried_again_unless_they_are_being_written(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("1")
    files = WatchedFiles("tokens", [str(path)], lambda: None)
    files.problem = "not valid yet"
    assert files.are_due() and files.are_due()
    replace(path, b"")
    assert not files.are_due()
    replace(path, b"2")
    assert not files.are_due()
    assert files.are_due()


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("old")
    read: list[str] = []

    def load() -> None:
        read.append(path.read_text())
        if len(read) == 1:
            replace(path, b"newer")

    files = WatchedFiles("tokens", [str(path)], load)
    assert not files.are_due()
    assert files.are_due()
    files.load()
    assert read == ["old", "newer"] and not files.are_due()


def test_a_bug_while_files_are_read_does_not_end_the_watching(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "hashes").write_text(line_of("shop", "first-token"))
    with Running(fake_codec(), token_file="hashes") as running:
        with monkeypatch.context() as patch:
            patch.setattr(tenants, "read_lines", lambda path: 1 // 0)
            replace(folder / "hashes", line_of("shop", "second-token").encode())
            assert eventually(lambda: reloads(running, "failure") == 1)
            assert accepted(running.address, token_file="tokens")
        assert eventually(lambda: not accepted(running.address, token_file="tokens"))
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True]


def test_a_server_does_not_start_with_what_it_would_not_reload(folder: Path) -> None:
    (folder / "tokens").write_text("plain\n")
    with pytest.raises(SettingsError, match="token_file"):
        Running(fake_codec(), token_file="tokens")


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_reads_the_files_again_and_ends_no_call(folder: Path, workers: int) -> None:
    """Changed or not: polling would read only changed ones."""
    (folder / "old.token").write_text("old")
    (folder / "new.token").write_text("new")
    tokens = folder / "hashes"
    tokens.write_text(line_of("shop", "old"))
    certificates = {name: str(folder / path) for name, path in MUTUAL.items() if name != "tls_client_ca"}
    access = {"tls_ca": "ca.crt"}
    with Process("fake", workers=workers, token_file=str(tokens), **certificates) as process:
        with connect(process.address, Access(token_file="old.token", **access), timeout=30) as client:

            def chunks() -> Iterator[bytes]:
                yield b"FAKEhalf"
                process.process.send_signal(signal.SIGHUP)
                assert eventually(lambda: reloads(process, "success") == 2 * workers, 20)
                tokens.write_text(line_of("shop", "new"))
                process.process.send_signal(signal.SIGHUP)
                assert eventually(lambda: accepted(process.address, token_file="new.token", **access), 20)
                yield bytes(1000)

            with client.stream(chunks()) as stream:
                list(stream)
            assert stream.report.bytes_in == 1008
        assert process.process.poll() is None
        # Each worker reads them; connections are distributed among them.
        old = {"token_file": "old.token", **access}
        assert eventually(lambda: not any(accepted(process.address, **old) for _ in range(8)), 20)
        assert reloads(process, "failure") == 0
        expiry = value(process, "compressor_tls_certificate_expiry_timestamp_seconds")
        assert expiry == loaded(pems()["server"]).not_valid_after_utc.timestamp(), "not added up over workers"


def test_sighup_while_the_server_drains_does_not_end_it_either() -> None:
    with Process("fake", drain_seconds=1.0) as process, connect(process.address, timeout=30) as client:

        def chunks() -> Iterator[bytes]:
            yield b"FAKEhalf"
            process.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            process.process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            yield bytes(1000)

        with client.stream(chunks()) as stream:
            list(stream)
        assert stream.report.bytes_in == 1008
        assert process.process.wait(20) == 0
