"""One client of several servers: calls are distributed, and a server that drains gets no new ones."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from compressor.client import AsyncClient, Client, connection
from compressor.errors import CompressorError
from tests.service.fake_pipeline import fake_codec
from tests.service.running import Running, eventually


@pytest.fixture
def pair() -> Iterator[list[Running]]:
    """Two servers, whose sources are described as `first` and `second`. The first one drains for two seconds."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Running(fake_codec(description=name), drain_seconds=seconds))
            for name, seconds in (("first", 2.0), ("second", 0.0))
        ]


def addresses_of(servers: list[Running]) -> list[Any]:
    """Return the forms that several addresses may have."""
    addresses = [server.address for server in servers]
    return [addresses, ",".join(addresses), "ipv4:" + ",".join(addresses)]


def servers_of(client: Client, calls: int) -> Counter[str]:
    """Return which servers answer so many calls."""
    return Counter(client.inspect(b"FAKEhalf").description for _ in range(calls))


@pytest.mark.parametrize("form", range(3), ids=["sequence", "commas", "target"])
def test_calls_are_distributed_and_avoid_a_server_that_drains(pair: list[Running], form: int) -> None:
    with Client(addresses_of(pair)[form], timeout=20, retries=0) as client:
        assert eventually(lambda: servers_of(client, 10) == {"first": 5, "second": 5})
        stopping = asyncio.run_coroutine_threadsafe(pair[0].server.stop(), pair[0].loop)
        assert eventually(lambda: pair[0].server._service.draining)
        assert eventually(lambda: found(client) == "second" == found(client))
        for _ in range(10):
            assert servers_of(client, 2) == {"second": 2}
        assert not stopping.done(), "it still drains, and would still accept calls"
        stopping.result(20)


def found(client: Client) -> str:
    """Return which server answers; with `retries=0` the news that one drains may cost a call."""
    try:
        return client.inspect(b"FAKEhalf").description
    except CompressorError:
        return ""


def test_an_asynchronous_client_distributes_calls(pair: list[Running]) -> None:
    async def main() -> Counter[str]:
        async with AsyncClient([server.address for server in pair], timeout=20) as client:
            streams = [client.stream([b"FAKEhalf"]) for _ in range(10)]
            sources = [await stream.source() for stream in streams]
            for stream in streams:
                await stream.close()
            return Counter(source.description for source in sources)

    assert asyncio.run(main()) == {"first": 5, "second": 5}


def test_a_single_address_is_used_while_its_server_drains(pair: list[Running]) -> None:
    """It may be that of a load balancer: only another connection would lead to another server."""
    with Client(pair[0].address, timeout=20, retries=0) as client:
        assert servers_of(client, 1) == {"first": 1}
        stopping = asyncio.run_coroutine_threadsafe(pair[0].server.stop(), pair[0].loop)
        assert eventually(lambda: pair[0].server._service.draining)
        assert servers_of(client, 3) == {"first": 3}
        stopping.result(20)


def test_options_of_channels_replace_ours() -> None:
    class Recorded(Client):
        def _open_channel(self, target: str, options: list[tuple[str, int | str]]) -> grpc.Channel:
            seen.append(dict(options))
            return super()._open_channel(target, options)

    seen: list[dict[str, int | str]] = []
    given = (("grpc.keepalive_time_ms", 300_000), ("grpc.default_authority", "images.example"))
    with Recorded("127.0.0.1:1", channel_options=given):
        pass

    assert seen == [dict(connection.channel_options(1 << 20)) | dict(given)]


def test_a_name_is_resolved_by_grpc(fake: Any) -> None:
    port = fake.address.rpartition(":")[2]
    with Client(f"dns:///localhost:{port}", timeout=20) as client:
        assert servers_of(client, 2) == {"fake": 2}
