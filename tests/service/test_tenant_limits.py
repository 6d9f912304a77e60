"""Quotas of a tenant, through real calls."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor.client import Client
from compressor.errors import BusyError, LimitError
from compressor.memory import Resources
from compressor.service.tenants import line_of
from compressor.settings import Settings
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.running import Running, eventually

MIB = 1 << 20
LINES = (
    f"{line_of('caller', 'one')} calls=2/s",
    f"{line_of('sender', 'two')} bytes=1MiB/s",
    f"{line_of('holder', 'three')} memory=5MiB",
    line_of("free", "four"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server in which every call takes 1 MiB of memory."""
    path: Path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text("\n".join(LINES))
    codec = fake_codec(Resources(memory_budget=64 * MIB, overhead=MIB))
    with Running(codec, token_file=str(path), idle_seconds=0.5) as running:
        yield running


def client(server: Running, token: str) -> Client:
    return Client(server.address, token=token, retries=0, timeout=20)


def test_more_calls_per_second_are_refused_with_the_time_to_wait(server: Running) -> None:
    with client(server, "one") as caller, client(server, "four") as other:
        for _ in range(2):
            caller.compress(file_of(700))
        with pytest.raises(BusyError, match="caller may make 2 calls per second") as refused:
            caller.compress(file_of(700))
        assert 0 < refused.value.retry_after_seconds <= 0.5
        other.compress(file_of(700))
        time.sleep(refused.value.retry_after_seconds)
        caller.compress(file_of(700))


def test_an_upload_is_slowed_to_the_bytes_per_second_and_is_not_late(server: Running) -> None:
    with client(server, "two") as sender, client(server, "four") as other:
        started = time.monotonic()
        sender.compress(file_of(3 * MIB))
        slow = time.monotonic() - started
        started = time.monotonic()
        other.compress(file_of(3 * MIB))
        assert slow > 1.5
        assert time.monotonic() - started < slow


def test_memory_at_once_is_refused_by_whether_it_can_ever_fit(server: Running) -> None:
    def stopped() -> Iterator[Any]:
        yield b"FAKEhalf"
        time.sleep(0.4)
        yield bytes(100)

    with client(server, "three") as holder:
        streams = [holder.stream(stopped(), Settings()) for _ in range(5)]
        assert [stream.source.format for stream in streams] == ["fake"] * 5
        with pytest.raises(BusyError, match="holder may reserve 5242880 bytes"):
            holder.compress(file_of(700))
        with client(server, "four") as other:
            other.compress(file_of(700))
        for stream in streams:
            list(stream)
        assert eventually(lambda: server.server._codec.resources.reserved_bytes == 0)
        holder.compress(file_of(700))


def test_an_image_over_the_memory_of_its_tenant_never_fits(tmp_path: Path) -> None:
    from compressor.calls.codec import pipeline_codec
    from tests.service.conftest import png

    path = tmp_path / "tokens"
    path.write_text(f"{line_of('small', 'token')} memory=1500KB")
    codec = pipeline_codec(Resources(memory_budget=64 * MIB, overhead=MIB))
    with Running(codec, token_file=str(path)) as running, client(running, "token") as small:
        with pytest.raises(LimitError, match="small may reserve"):
            small.compress(png(200, 100))
        assert eventually(lambda: codec.resources.reserved_bytes == 0)
