"""Invalid settings of TLS and tokens: neither side starts with them, and the error names the setting."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compressor.client import Access, connect, health
from compressor.errors import SettingsError
from compressor.service.config import ServerConfig
from compressor.service.server import Server
from tests.pem import write
from tests.service.fake_pipeline import fake_codec
from tests.service.running import free_port

SERVER = {"tls_cert": "server.crt", "tls_key": "server.key"}
CLIENT = {"tls_ca": "ca.crt", "tls_cert": "client.crt", "tls_key": "client.key"}
BROKEN = ["missing", "bad-empty", "bad-blank", "bad-text", "bad-der", "."]

CERTIFICATES = [*BROKEN, "bad-cut.crt", "bad-expired.crt", "bad-future.crt", "server.key"]
CHAINS = [*CERTIFICATES, "bad-chain-cut.crt", "bad-chain-expired.crt", "bad-odd.crt"]
KEYS = [*BROKEN, "bad-cut.key", "bad-encrypted.key", "server.crt", "stranger.key", "bad-odd.key"]
TOKENS = ["missing", "bad-empty", "bad-blank", "bad-tokens", "bad-der", "bad-text", "."]

# The settings, and the one that the error names.
REFUSED_BY_SERVER = [
    ({"tls_cert": "server.crt"}, "tls_key"),
    ({"tls_key": "server.key"}, "tls_cert"),
    ({"tls_client_ca": "ca.crt"}, "tls_client_ca"),
    ({"tls_client_ca": "ca.crt", "tls_cert": "server.crt"}, "tls_key"),
    ({"tls_client_ca": "ca.crt", "tls_key": "server.key"}, "tls_cert"),
    ({"tls_cert": "", "tls_key": ""}, "tls_cert"),
    (SERVER | {"tls_key": ""}, "tls_key"),
    (SERVER | {"tls_client_ca": ""}, "tls_client_ca"),
    ({"token_file": ""}, "token_file"),
    ({"tls_cert": "bad-expired.crt", "tls_key": "bad-expired.key"}, "tls_cert"),
    ({"tls_cert": "bad-future.crt", "tls_key": "bad-future.key"}, "tls_cert"),
    ({"tls_cert": "bad-odd.crt", "tls_key": "bad-odd.key"}, "tls_cert"),
    *((SERVER | {"tls_cert": name}, "tls_cert") for name in CHAINS),
    *((SERVER | {"tls_key": name}, "tls_key") for name in KEYS),
    *((SERVER | {"tls_client_ca": name}, "tls_client_ca") for name in CERTIFICATES),
    *(({"token_file": name}, "token_file") for name in [*TOKENS, "tokens"]),
    *((SERVER | {"token_file": name}, "token_file") for name in TOKENS),
]
REFUSED_BY_CLIENT = [
    ({"tls_cert": "client.crt", "tls_key": "client.key"}, "tls_ca"),
    ({"tls_cert": "client.crt"}, "tls_key"),
    ({"tls_key": "client.key"}, "tls_cert"),
    ({"tls_ca": "ca.crt", "tls_cert": "client.crt"}, "tls_key"),
    ({"tls_ca": "ca.crt", "tls_key": "client.key"}, "tls_cert"),
    ({"tls_ca": ""}, "tls_ca"),
    *((CLIENT | {"tls_cert": name}, "tls_cert") for name in CHAINS),
    *((CLIENT | {"tls_key": name}, "tls_key") for name in KEYS),
    *((CLIENT | {"tls_ca": name}, "tls_ca") for name in CERTIFICATES),
    *(({"token_file": name}, "token_file") for name in [*TOKENS, "tenants"]),
]


class WithoutCryptography:
    """An importer of a machine where the library of certificates is not installed."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name.split(".")[0] == "cryptography":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("config, field", REFUSED_BY_SERVER, ids=str)
def test_a_server_does_not_start_with_invalid_settings(config: Any, field: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        Server(ServerConfig(**config), fake_codec())
    assert caught.value.field == field
    assert "\n" not in str(caught.value)
    assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize("access, field", REFUSED_BY_CLIENT, ids=str)
def test_a_client_does_not_connect_with_invalid_settings(access: Any, field: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        connect("127.0.0.1:1", Access(**access))
    assert caught.value.field == field


@pytest.mark.parametrize("access", [{"tls_key": "client.key"}, {"tls_cert": "server.crt", "tls_key": "client.key"}])
def test_a_probe_does_not_connect_with_invalid_settings(access: Any) -> None:
    with pytest.raises(SettingsError):
        health("127.0.0.1:1", 1.0, Access(**access))


def test_a_chain_and_overlapping_authorities_are_accepted(folder: Any) -> None:
    (folder / "chain.crt").write_bytes((folder / "server.crt").read_bytes() + (folder / "ca.crt").read_bytes())
    authorities = "overlapping-authorities.crt"
    Server(ServerConfig(tls_cert="chain.crt", tls_key="server.key", tls_client_ca=authorities), fake_codec())
    Server(ServerConfig(tls_cert="both-in-one", tls_key="both-in-one"), fake_codec())


def test_without_the_library_of_certificates_tls_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "compressor.certificates", raising=False)
    monkeypatch.delattr("compressor.certificates", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [WithoutCryptography(), *sys.meta_path])

    with pytest.raises(SettingsError, match=r"tls_cert: needs .* install 'compressor\[tls\]'"):
        Server(ServerConfig(tls_cert="server.crt", tls_key="server.key"), fake_codec())
    with pytest.raises(SettingsError, match=r"tls_ca: needs .* install 'compressor\[tls\]'"):
        connect("127.0.0.1:1", Access(tls_ca="ca.crt"))


def test_no_repr_shows_a_secret() -> None:
    from compressor import credentials

    identity = credentials.read_identity("server.crt", "server.key")
    assert identity is not None and b"PRIVATE" in identity.key
    assert "PRIVATE" not in repr(identity)


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "compressor.cli", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | environment, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    "words, environment, flag",
    [
        (["--tls-cert", "server.crt"], {}, "--tls-key"),
        (["--tls-client-ca", "ca.crt"], {}, "--tls-client-ca"),
        ([], {"COMPRESSOR_TLS_KEY": "server.key"}, "--tls-cert"),
    ],
    ids=str,
)
def test_the_command_ends_with_2_and_never_listens(words: Any, environment: Any, flag: str) -> None:
    port = free_port()
    ran = run("serve", "--address", f"127.0.0.1:{port}", "--metrics-address", "none", *words, **environment)

    assert ran.returncode == 2
    assert ran.stderr.startswith(f"compressor: {flag} ") and ran.stderr.count("\n") == 1
    assert ran.stdout == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_an_incomplete_configuration_file_is_rejected_too(folder: Any) -> None:
    (folder / "half.toml").write_text('tls_cert = "server.crt"\n')
    assert run("--config", "half.toml", "serve").returncode == 2


@pytest.mark.parametrize("command", [["compress", "in.jpg", "--server"], ["batch", "in", "out", "--server"]])
def test_commands_reject_an_incomplete_configuration_before_they_begin(folder: Any, command: Any) -> None:
    (folder / "in.jpg").write_bytes(b"")
    (folder / "in").mkdir(exist_ok=True)
    ran = run(*command, "127.0.0.1:1", "--tls-ca", "ca.crt", "--tls-key", "client.key")

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith("compressor: --tls-cert is missing: tls_key needs its certificate\n")
    assert not list(folder.glob("*.ledger"))
