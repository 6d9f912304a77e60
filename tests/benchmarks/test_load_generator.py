"""The load generator next to servers that do not answer, or lose connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from benchmarks.service import generator, http2, multiplexed
from benchmarks.service.generator import LoadGenerator, LoadOrder
from benchmarks.service.mix import MixedFile
from benchmarks.service.multiplexed import DEADLINE_EXCEEDED, UNAVAILABLE, Exchange, MultiplexedConnection
from benchmarks.service.records import BY_CLIENT
from benchmarks.service.rpcs import RecodeRpc

FILES = [MixedFile(0, http2.prefixed(b"a"), 1, 0)]


@pytest.fixture(autouse=True)
def few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "OTHER_CONNECTIONS", 2)


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """A server that reads and never answers."""

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass
        writer.close()

    async with await asyncio.start_server(read, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_call_that_the_server_does_not_end_by_its_deadline_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "LATE_SECONDS", 0.1)  # earlier than a late end by the server counts as late
    async with silent_server() as address:
        load = LoadGenerator(address, RecodeRpc(), FILES)
        records = await load.execute(LoadOrder(0.2, (1.0,), rate=100.0, deadline=0.1))
        load.close()

    assert records.outcomes()["failed"] == len(records.calls) > 5
    assert {(call.code, call.reason) for call in records.calls} == {(DEADLINE_EXCEEDED, BY_CLIENT)}
    assert min(call.end - call.sent for call in records.calls) >= 0.19


class Connections:
    """Connections whose frames go nowhere; a new one takes a moment, and comes only if the server accepts it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.accepted, self.opened, self.found = True, 0, list[MultiplexedConnection]()
        monkeypatch.setattr(multiplexed, "connected", self.connected)

    async def connected(self, address: str, source: str) -> MultiplexedConnection | None:
        self.opened += 1
        await asyncio.sleep(0.05)
        if not self.accepted:
            return None
        connection = MultiplexedConnection()
        connection.connection_made(_Transport())
        self.found.append(connection)
        return connection

    def lose(self) -> None:
        for connection in self.found:
            connection.connection_lost(None)
        self.found.clear()

    @property
    def active(self) -> int:
        return sum(one.active for one in self.found)


class _Transport(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


async def test_a_lost_connection_is_opened_once_and_calls_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connections, ended = Connections(monkeypatch), list[Exchange]()
    load = LoadGenerator("127.0.0.1:1", RecodeRpc(), FILES)
    await load.connect()
    assert connections.opened == 4
    connections.lose()

    for _ in range(20):
        load.begin(Exchange(b"body", ended.append), b"", None, 0.0)
    await asyncio.sleep(0.2)

    assert connections.opened == 5 and connections.active == 20 and not ended


async def test_calls_that_wait_are_lost_if_no_connection_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    connections, ended = Connections(monkeypatch), list[Exchange]()
    load = LoadGenerator("127.0.0.1:1", RecodeRpc(), FILES)
    await load.connect()
    connections.accepted = False

    def end(exchange: Exchange) -> None:
        ended.append(exchange)
        load.ended(exchange)

    count = 4 * multiplexed.STREAMS_MAX + 2000  # more than all connections take
    for _ in range(count):
        load.begin(Exchange(b"body", end), b"", None, 0.0)
    assert connections.active == 4 * multiplexed.STREAMS_MAX
    connections.lose()
    await asyncio.sleep(0.2)

    assert connections.opened == 5
    assert len(ended) == count and {one.code for one in ended} == {UNAVAILABLE}
