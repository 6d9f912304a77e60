"""Shutdown: a server that is stopped lets calls end, and reports that it is draining."""

import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from compressor.client import Client, health
from compressor.errors import CompressorError
from compressor.service.config import ServerConfig
from compressor.service.server import Server
from tests.service.fake_pipeline import fake_codec
from tests.service.running import LOCAL, Process, Running, free_port

pytestmark = pytest.mark.serial


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_call_that_runs_when_the_server_is_stopped_is_finished() -> None:
    with Process("fake", drain_seconds=1.0) as process, Client(process.address, timeout=30, retries=0) as client:
        go = threading.Event()

        def chunks() -> Iterator[bytes]:
            yield b"FAKEhalf"
            go.wait(20)
            yield bytes(1000)

        with client.stream(chunks()) as stream:
            assert stream.source.format == "fake"
            process.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert not health(process.address), "NOT_SERVING while draining"
            assert get(f"{process.metrics}/readyz")[0] == 503
            assert get(f"{process.metrics}/healthz")[0] == 200
            late = client.stream([b"FAKEhalf"])
            assert dict(late._call.initial_metadata())["compressor-draining"] == "true"
            list(late)
            time.sleep(1)
            with pytest.raises(CompressorError, match="UNAVAILABLE"):
                client.compress(b"FAKEhalf")
            go.set()
            list(stream)

        assert stream.report.bytes_in == 1008
        assert process.process.wait(10) == 0


def test_the_process_ends_at_once_when_no_call_runs() -> None:
    with Process("fake") as process:
        started = time.monotonic()
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(10) == 0
        assert time.monotonic() - started < 5


def test_health_waits_for_the_kernels() -> None:
    """Calls are accepted from the start, but health reports SERVING only once the kernels are warm."""
    import dataclasses

    warm = threading.Event()

    def wait() -> None:
        warm.wait(20)

    codec = dataclasses.replace(fake_codec(), warm_up=wait)
    threading.Timer(1.5, warm.set).start()
    seen: list[bool] = []

    def watch() -> None:
        while not seen or seen[-1] is not True:
            seen.append(health(f"127.0.0.1:{port}", 0.5))
            time.sleep(0.1)

    port = free_port()
    watcher = threading.Thread(target=watch)
    watcher.start()
    with Running(codec, address=f"127.0.0.1:{port}"):
        watcher.join(10)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(service="compressor.v1.CompressorService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert seen[0] is False and seen[-1] is True and len(seen) > 5


def test_two_servers_do_not_share_a_port(service: Any) -> None:
    import asyncio

    async def second() -> None:
        await Server(ServerConfig(**(LOCAL | {"address": service.address})), fake_codec()).start()

    with pytest.raises(RuntimeError, match="bind"):
        asyncio.run(second())


def test_the_http_server_has_three_paths(service: Any) -> None:
    assert get(f"{service.metrics}/healthz") == (200, "alive\n")
    assert get(f"{service.metrics}/readyz") == (200, "ready\n")
    assert get(f"{service.metrics}/metrics")[0] == 200
    assert get(f"{service.metrics}/else")[0] == 404
