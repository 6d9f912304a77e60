"""The HTTP/2 client of many calls at a time, against gRPC's own server, and its decoder of header blocks."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from benchmarks.service import hpack, http2, multiplexed
from benchmarks.service.multiplexed import Exchange, MultiplexedConnection

STREAMS_MAX = 40


class Echo:
    """A server of three methods, which answers bytes with bytes."""

    def __init__(self) -> None:
        self.hold = threading.Event()
        self.server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_concurrent_streams", STREAMS_MAX)])
        handlers: dict[str, Any] = {
            "Join": grpc.stream_unary_rpc_method_handler(lambda messages, _: b"".join(messages)),
            "Abort": grpc.unary_unary_rpc_method_handler(self.abort),
            "Hold": grpc.unary_unary_rpc_method_handler(self.wait),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Echo", handlers),))
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"

    def abort(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, message.decode())
        raise AssertionError

    def wait(self, message: bytes, _: object) -> bytes:
        self.hold.wait(10)
        return message


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    found = Echo()
    found.server.start()
    yield found
    found.hold.set()
    found.server.stop(0).wait()


class Calls:
    """Calls of one connection; `ended` waits until so many have ended."""

    def __init__(self, echo: Echo, connection: MultiplexedConnection) -> None:
        self.echo, self.connection = echo, connection
        self.done = list[Exchange]()
        self._ended = asyncio.Condition()
        self._notices = set[asyncio.Task[None]]()

    def _end(self, exchange: Exchange) -> None:
        self.done.append(exchange)
        self._notices.add(asyncio.get_running_loop().create_task(self._notify()))

    async def _notify(self) -> None:
        async with self._ended:
            self._ended.notify_all()

    def begin(self, method: str, *messages: bytes, allowed: int | None = None) -> Exchange:
        body = b"".join(map(http2.prefixed, messages))
        exchange = Exchange(body, self._end, allowed)
        self.connection.begin(exchange, http2.request_headers(self.echo.address, f"/tests.Echo/{method}"))
        return exchange

    async def ended(self, count: int) -> None:
        async with asyncio.timeout(10), self._ended:
            await self._ended.wait_for(lambda: len(self.done) >= count)


async def connected(echo: Echo, window: int = multiplexed.STREAM_WINDOW) -> Calls:
    connection = await multiplexed.connected(echo.address, window)
    assert connection is not None
    return Calls(echo, connection)


def result(exchange: Exchange) -> tuple[int, list[bytes]]:
    return exchange.code, http2.unprefixed(bytes(exchange.received))


async def test_many_calls_share_a_connection_and_its_window(echo: Echo) -> None:
    """Together 6 MB each way, more than all windows; and a connection can be used again."""
    calls = await connected(echo)
    for _ in range(2):
        calls.done.clear()
        sent = {calls.begin("Join", bytes([n]) * 100_000, b"!" * n, b"?" * 200_000): n for n in range(20)}
        await calls.ended(20)

        for exchange, n in sent.items():
            assert result(exchange) == (0, [bytes([n]) * 100_000 + b"!" * n + b"?" * 200_000])
            assert exchange.sent_at < exchange.end_at
    assert calls.connection.active == 0 and calls.connection.streams_max == STREAMS_MAX
    calls.connection.close()


async def test_a_status_and_its_message_are_read(echo: Echo) -> None:
    calls = await connected(echo)
    calls.begin("Abort", b"not now: 3 % left")
    calls.begin("Nothing", b"")
    await calls.ended(2)

    found = {exchange.code: exchange.reason for exchange in calls.done}
    assert found[multiplexed.UNAVAILABLE].startswith("not now: 3 ")
    assert set(found) == {multiplexed.UNAVAILABLE, 12}  # UNIMPLEMENTED
    calls.connection.close()


async def test_a_call_sends_no_more_than_it_is_allowed_to(echo: Echo) -> None:
    calls = await connected(echo)
    slow = calls.begin("Join", b"slow", allowed=3)
    calls.begin("Join", b"fast")
    await calls.ended(1)
    assert slow.code == multiplexed.RUNNING and slow.offset == 3

    for _ in range(6):
        calls.connection.allow(slow, 1)
    await calls.ended(2)
    assert slow.offset == len(slow.body) == 9 and result(slow) == (0, [b"slow"])
    calls.connection.close()


async def test_a_call_with_a_window_of_nothing_is_never_answered(echo: Echo) -> None:
    calls = await connected(echo, window=0)
    held = calls.begin("Join", b"a")
    calls.begin("Abort", b"a status needs no window")
    await calls.ended(1)

    await asyncio.sleep(0.1)
    assert held.code == multiplexed.RUNNING and not held.received
    calls.connection.close()
    await calls.ended(2)
    assert (held.code, held.reason) == (multiplexed.UNAVAILABLE, multiplexed.LOST)


async def test_a_canceled_call_ends_at_once_and_frees_its_stream(echo: Echo) -> None:
    calls = await connected(echo)
    held = [calls.begin("Hold", b"a") for _ in range(8)]
    for exchange in held:
        calls.connection.cancel(exchange, multiplexed.DEADLINE_EXCEEDED, "too late")

    assert [exchange.code for exchange in held] == [multiplexed.DEADLINE_EXCEEDED] * 8
    assert calls.connection.active == 0 and len(calls.done) == 8
    echo.hold.set()
    calls.begin("Join", b"still usable")
    await calls.ended(9)
    assert result(calls.done[-1]) == (0, [b"still usable"])
    calls.connection.close()


async def test_a_connection_that_is_refused_is_none() -> None:
    assert await multiplexed.connected("127.0.0.1:1") is None


def test_a_goaway_ends_the_calls_after_the_last_stream() -> None:
    """By hand: gRPC's server sends it only when it stops."""
    written, connection, done = list[bytes](), MultiplexedConnection(), list[Exchange]()
    connection.connection_made(_Transport(written))
    for _ in range(3):
        connection.begin(Exchange(b"", done.append), b"")

    connection.data_received(http2.frame(http2.GOAWAY, 0, 0, (3).to_bytes(4, "big") + bytes(4)))

    assert [(one.stream, one.code, one.reason) for one in done] == [(5, multiplexed.UNAVAILABLE, "GOAWAY")]
    assert not connection.usable and connection.active == 2


def test_a_refused_stream_is_told_from_another_reset() -> None:
    connection, done = MultiplexedConnection(), list[Exchange]()
    connection.connection_made(_Transport([]))
    for _ in range(2):
        connection.begin(Exchange(b"", done.append), b"")
    frames = [http2.frame(http2.RST_STREAM, 0, stream, error.to_bytes(4, "big")) for stream, error in ((1, 7), (3, 2))]
    for byte in b"".join(frames):  # whatever the reads, frames are complete
        connection.data_received(bytes([byte]))

    found = [(one.code, one.reason) for one in done]
    assert found == [(multiplexed.UNAVAILABLE, multiplexed.REFUSED_STREAM), (multiplexed.INTERNAL, "RST_STREAM 2")]


class _Transport(asyncio.Transport):
    def __init__(self, written: list[bytes]) -> None:
        super().__init__()
        self.written = written

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False


def test_header_fields_are_decoded() -> None:
    """RFC 7541: indexed, literal with and without indexing, a new size of the table, and a name of 200 bytes."""
    long = b"n" * 200
    block = b"\x3f\xe1\x1f" + b"\x20" + b"\x88" + http2.literal(b"grpc-status", b"14")
    block += b"\x40\x0cgrpc-message\x02no" + b"\x5f\x10application/grpc" + b"\x00\x7f\x49" + long + b"\x01v"

    found = hpack.fields(block)

    assert found[b":status"] == b"200"
    assert (found[b"grpc-status"], found[b"grpc-message"], found[long]) == (b"14", b"no", b"v")
    assert found[b"static-31"] == b"application/grpc"
    assert hpack.integer(b"\x1f\x9a\x0a", 0, 5) == (1337, 3)  # C.1.2
    # The strings of RFC 7541, C.4, and the base64 of a status.
    assert hpack.huffman_decoded(bytes.fromhex("f1e3c2e5f23a6ba0ab90f4ff")) == b"www.example.com"
    assert hpack.huffman_decoded(bytes.fromhex("25a849e95bb8e8b4bf")) == b"custom-value"
    for broken in (b"\x00\x00", b"\xff\xff\xff\xff"):
        with pytest.raises(ValueError, match="unknown code"):
            hpack.huffman_decoded(broken)


@pytest.mark.parametrize("block", [b"\x00", b"\x00\x05ab", b"\x00\x01a\x7f", b"\x7f\x80\x80", b"\xff\x00", b"\x80"])
def test_broken_header_blocks_are_rejected(block: bytes) -> None:
    with pytest.raises(ValueError, match="cut off|dynamic table"):
        hpack.fields(block)
