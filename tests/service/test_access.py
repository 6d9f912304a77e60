"""Access to real servers by real clients with files of credentials, in every combination."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from compressor.batch.engine_dask import Distributed
from compressor.batch.engine_local import Local
from compressor.batch.job import Job, Prepared
from compressor.calls.codec import pipeline_codec
from compressor.cli.app import app
from compressor.client import Access, Client, connect, health
from compressor.errors import CallError
from compressor.memory import Resources
from compressor.stores.open import open_store
from tests import ROOT
from tests.batch.dask_cluster import Cluster
from tests.jpeg_files import jpeg
from tests.pem import pems, write
from tests.service.fake_pipeline import fake_codec
from tests.service.running import Running, eventually

SERVERS = {
    "plain": {},
    "tokens": {"token_file": "tenants"},
    "tls": {"tls_cert": "server.crt", "tls_key": "server.key"},
    "tls-tokens": {"tls_cert": "server.crt", "tls_key": "server.key", "token_file": "tenants"},
    "mutual": {"tls_cert": "server.crt", "tls_key": "server.key", "tls_client_ca": "ca.crt"},
    "mutual-tokens": {
        "tls_cert": "server.crt", "tls_key": "server.key", "tls_client_ca": "ca.crt", "token_file": "tenants",
    },
    "elsewhere": {"tls_cert": "far.crt", "tls_key": "far.key"},
}  # fmt: skip
TLS, SHOWN = {"tls_ca": "ca.crt"}, {"tls_cert": "client.crt", "tls_key": "client.key"}
TOKEN, WRONG = {"token_file": "tokens"}, {"token_file": "wrong-tokens"}
CLIENTS = {
    "nothing": {},
    "token": TOKEN,
    "wrong token": WRONG,
    "tls": TLS,
    "tls, token": TLS | TOKEN,
    "tls, wrong token": TLS | WRONG,
    "wrong authority": {"tls_ca": "other-ca.crt"},
    "certificate": TLS | SHOWN,
    "certificate, token": TLS | SHOWN | TOKEN,
    "certificate of a stranger": TLS | {"tls_cert": "stranger.crt", "tls_key": "stranger.key"},
}
ALL_TLS = {"tls", "tls, token", "tls, wrong token", "certificate", "certificate, token", "certificate of a stranger"}
WELCOME = {
    "plain": {"nothing", "token", "wrong token"},
    "tokens": {"token"},
    "tls": ALL_TLS,
    "tls-tokens": {"tls, token", "certificate, token"},
    "mutual": {"certificate", "certificate, token"},
    "mutual-tokens": {"certificate, token"},
    "elsewhere": set(),
}
HEALTHY = WELCOME | {  # a probe needs no token
    "tokens": WELCOME["plain"],
    "tls-tokens": ALL_TLS,
    "mutual-tokens": WELCOME["mutual"],
}
ASKED = [(server, client) for server in SERVERS for client in CLIENTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("access"))


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def addresses(folder: Path) -> Iterator[dict[str, str]]:
    """Run all servers; yield their addresses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        running = {name: Running(fake_codec(), **config) for name, config in SERVERS.items()}
    yield {name: one.address for name, one in running.items()}
    for one in running.values():
        one.__exit__()


def options_of(access: dict[str, str]) -> list[str]:
    return [word for name, path in access.items() for word in (f"--{name.replace('_', '-')}", path)]


@pytest.mark.parametrize("server, client", ASKED)
def test_a_client_is_accepted_where_it_should_be_and_nowhere_else(addresses: Any, server: Any, client: Any) -> None:
    with connect(addresses[server], Access(**CLIENTS[client]), timeout=10) as made:
        if client in WELCOME[server]:
            assert made.compress(b"FAKEhalf").data
            assert made.inspect(b"FAKEhalf").format == "fake"
        else:
            with pytest.raises(CallError) as caught:
                made.compress(b"FAKEhalf")
            assert caught.value.code in ("UNAUTHENTICATED", "UNAVAILABLE")


@pytest.mark.parametrize("server, client", ASKED)
def test_a_probe_is_accepted_where_it_should_be_and_nowhere_else(addresses: Any, server: Any, client: Any) -> None:
    words = ["health", "--address", addresses[server], "--timeout", "10", *options_of(CLIENTS[client])]
    ran = CliRunner().invoke(app, words)
    expected = client in HEALTHY[server]

    assert ran.exit_code == (0 if expected else 1)
    assert ran.output == f"{addresses[server]}: {'serving' if expected else 'not serving'}\n"


@pytest.mark.parametrize("server", SERVERS)
def test_a_probe_on_the_servers_machine_needs_only_the_servers_settings(addresses: Any, server: Any) -> None:
    """The certificate does not name the address, as in the image's HEALTHCHECK."""
    environment = {f"COMPRESSOR_{name.upper()}": path for name, path in SERVERS[server].items()}
    ran = CliRunner().invoke(app, ["health", "--address", addresses[server]], env=environment)

    assert (ran.exit_code, ran.output) == (0, f"{addresses[server]}: serving\n")


def test_several_addresses_are_checked_against_the_same_authority(addresses: Any, folder: Any) -> None:
    trusted = grpc.ssl_channel_credentials((folder / "ca.crt").read_bytes())
    with Client([addresses["tls"], addresses["tls"]], credentials=trusted, timeout=10) as client:
        assert client.compress(b"FAKEhalf").data


def test_a_probe_with_a_servers_settings_trusts_no_other_server(addresses: Any) -> None:
    """Nor one with a certificate of the same authority."""
    assert not health(addresses["tls"], 5.0, Access(tls_cert="far.crt", tls_key="far.key"))


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[str]:
    """Run the real pipeline in a server that requires client certificates and tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        running = Running(
            pipeline_codec(Resources(memory_budget=64 << 20, overhead=1 << 20)), **SERVERS["mutual-tokens"]
        )
    with running:
        yield running.address


ALL = CLIENTS["certificate, token"]


@pytest.mark.parametrize("given", ["options", "environment", "file"])
def test_compress_and_batch_take_options_environment_and_file(
    service: Any, folder: Any, tmp_path: Path, given: str
) -> None:
    source, result = tmp_path / "in", tmp_path / "out.jpg"
    source.mkdir()
    (source / "a.jpg").write_bytes(jpeg(96, 64, quality=95))
    words, environment, before = [], {}, []
    if given == "options":
        words = options_of(ALL)
    elif given == "environment":
        environment = {f"COMPRESSOR_{name.upper()}": path for name, path in ALL.items()}
    else:
        (tmp_path / "c.toml").write_text("".join(f'{name} = "{path}"\n' for name, path in ALL.items()))
        before = ["--config", str(tmp_path / "c.toml")]
    compress = ["compress", str(source / "a.jpg"), "-o", str(result), "--server", service, *words]
    ran = CliRunner().invoke(app, [*before, *compress], env=environment)
    assert ran.exit_code == 0, ran.output
    assert 0 < result.stat().st_size < (source / "a.jpg").stat().st_size

    ledger = tmp_path / "l.ledger"
    batch = ["batch", str(source), str(tmp_path / "out"), "--server", service, "--workers", "1", "--json", *words]
    ran = CliRunner().invoke(app, [*before, *batch, "--ledger", str(ledger)], env=environment)
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["saved_bytes"] > 0
    for secret in secrets():
        assert secret not in ran.output
        assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def secrets() -> list[str]:
    """Return secrets that must not appear anywhere: tokens, and lines from the middle of keys."""
    return ["first-token", *(pem.private().decode().splitlines()[1] for pem in pems().values())]


def test_a_batch_without_the_token_fails_for_every_object_and_says_why(service: Any, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jpg").write_bytes(jpeg(96, 64, quality=95))
    words = ["batch", str(source), str(tmp_path / "out"), "--server", service, "--workers", "1", "--json"]
    ran = CliRunner().invoke(app, [*words, *options_of(CLIENTS["certificate"]), "--ledger", str(tmp_path / "l")])

    assert ran.exit_code == 1
    assert "UNAUTHENTICATED" in ran.stdout


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_workers_read_the_files_themselves(
    service: Any, folder: Any, tmp_path: Path, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are sent paths only."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    target.mkdir()
    dask = tmp_path / "dask"
    dask.mkdir()
    (source / "a.jpg").write_bytes(jpeg(96, 64, quality=95))
    access = Access(**{name: str(folder / path) for name, path in ALL.items()})
    job = Job(source=str(source), target=str(target), server=service, access=access)
    assert not [secret for secret in secrets() if secret in repr(job)]
    with caplog.at_level(logging.DEBUG, "distributed"):
        if engine == "local":
            assert prepared(Local(job, 1), str(source)).done.bytes_out > 0
        else:
            with Cluster(dask, workers=1) as cluster:
                assert prepared(Distributed(job, cluster.address), str(source)).done.bytes_out > 0
    assert not [secret for secret in secrets() if secret in caplog.text]


def prepared(engine: Any, source: str) -> Prepared:
    try:
        engine.prepare(0, next(iter(open_store(source).entries())))
        found: list[Any] = []

        def answered() -> list[Any]:
            found.extend(engine.answers(0.1))
            return found

        assert eventually(answered, 60)
        answer = found[0][1]
        assert isinstance(answer, Prepared), answer
        return answer
    finally:
        engine.close()


def test_the_image_probes_with_the_servers_environment() -> None:
    """Run the command of its HEALTHCHECK against a server that also has its settings from the environment."""
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    probe = json.loads(found[1])
    assert probe[:2] == ["compressor", "health"]
    with Running(fake_codec(), **SERVERS["mutual-tokens"]) as running:
        at = probe.index("--address") + 1
        probe[at] = running.address
        environment = {f"COMPRESSOR_{name.upper()}": path for name, path in SERVERS["mutual-tokens"].items()}
        command = [sys.executable, "-m", "compressor.cli", *probe[1:]]
        ran = subprocess.run(command, env=environment | {"HOME": "/nonexistent"}, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, f"{running.address}: serving\n"), ran.stderr
