"""Many calls at a time on one HTTP/2 connection (RFC 9113), cheaply, and with senders and readers as slow as wanted."""

import asyncio
import base64
import contextlib
import math
import struct
import time
from collections.abc import Callable

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from benchmarks.service import hpack
from benchmarks.service.http2 import (
    ACK,
    CANCEL,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_MAX,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)

HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS = 1, 3  # settings
STREAMS_MAX = 100  # until the server states its own limit
STREAM_WINDOW, CONNECTION_WINDOW = 1 << 24, 1 << 28
UPDATE_BYTES = 1 << 24  # received before the window of the connection is renewed
# gRPC status codes, and those for HTTP/2 errors (gRPC's PROTOCOL-HTTP2.md); -1: the call has not ended.
RUNNING, OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = (
    -1,
    0,
    1,
    2,
    4,
    8,
    13,
    14,
)
STATUS_OF_RESET = {7: UNAVAILABLE, 8: CANCELLED, 11: RESOURCE_EXHAUSTED}
LOST = "the connection was lost"
REFUSED_STREAM = "RST_STREAM 7"


def says_when_to_retry(details: bytes) -> bool:
    """Return whether a status with these details, in base64 without padding, has a google.rpc.RetryInfo."""
    try:
        status = status_pb2.Status.FromString(base64.b64decode(details + b"=" * (-len(details) % 4)))
    except (ValueError, DecodeError):
        return False
    return any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)


class Exchange:
    """A call: its request, and what the server answered. Times are of time.perf_counter.

    allowed   bytes of the body that may be sent so far
    received  data of the response
    code      gRPC's status, RUNNING before the end
    reason    the status' message, or what ended the call instead of a status
    retry     the details of the status say when to retry
    """

    __slots__ = (
        "allowed", "body", "code", "end_at", "offset", "on_end", "reason", "received", "retry", "sent_at",
        "stream", "window",
    )  # fmt: skip

    def __init__(self, body: bytes, on_end: Callable[["Exchange"], None], allowed: int | None = None) -> None:
        self.body, self.on_end = body, on_end
        self.allowed = len(body) if allowed is None else allowed
        self.received = bytearray()
        self.offset = self.stream = self.window = 0
        self.sent_at = self.end_at = math.nan
        self.code, self.reason, self.retry = RUNNING, "", False


class MultiplexedConnection(asyncio.Protocol):
    """A connection to a server, for `loop.create_connection`.

    window       of each stream, for responses; 0: the server can't send any data
    streams_max  calls that the server accepts at a time
    usable       new calls can begin
    """

    def __init__(self, window: int = STREAM_WINDOW) -> None:
        self.streams_max, self.usable = STREAMS_MAX, False
        self._own_window = window
        self._exchanges: dict[int, Exchange] = {}
        self._blocked: dict[int, None] = {}  # streams that wait for the window of the connection, in order
        self._window = self._initial_window = DEFAULT_WINDOW
        self._next = 1
        self._unacknowledged = 0
        self._buffer, self._output = bytearray(), list[bytes]()

    @property
    def active(self) -> int:
        """Number of calls that have not ended."""
        return len(self._exchanges)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.usable = transport, True
        settings = struct.pack(">HIHI", HEADER_TABLE_SIZE, 0, INITIAL_WINDOW_SIZE, self._own_window)
        update = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", CONNECTION_WINDOW))
        transport.write(PREFACE + frame(SETTINGS, 0, 0, settings) + update)

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        for exchange in list(self._exchanges.values()):
            self._end(exchange, UNAVAILABLE, LOST)

    def close(self) -> None:
        """Close the connection; calls that have not ended are lost."""
        self.usable = False
        self._transport.close()

    def begin(self, exchange: Exchange, headers: bytes) -> None:
        """Send a header block, and as much of the body as is allowed and fits the windows."""
        exchange.stream, self._next = self._next, self._next + 2
        exchange.window, exchange.sent_at = self._initial_window, time.perf_counter()
        self._exchanges[exchange.stream] = exchange
        self._output.append(frame(HEADERS, END_HEADERS, exchange.stream, headers))
        self._send_body(exchange)
        self._flush()

    def allow(self, exchange: Exchange, count: int) -> None:
        """Allow some more bytes of the body to be sent, and send them, unless the call has ended."""
        exchange.allowed = min(len(exchange.body), exchange.allowed + count)
        if exchange.code == RUNNING:
            self._send_body(exchange)
            self._flush()

    def cancel(self, exchange: Exchange, code: int, reason: str) -> None:
        """End a call from this side."""
        self._reset(exchange)
        self._flush()
        self._end(exchange, code, reason)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at, buffer = 0, self._buffer
        while len(buffer) - at >= 9:
            head, kind, flags, stream = struct.unpack_from(">IBBI", b"\0" + buffer[at : at + 9])
            if len(buffer) < at + 9 + head:
                break
            self._received(kind, flags, stream, bytes(buffer[at + 9 : at + 9 + head]))
            at += 9 + head
        del buffer[:at]
        self._flush()

    def _flush(self) -> None:
        if self._output and not self._transport.is_closing():
            self._transport.write(b"".join(self._output))
        self._output.clear()

    def _send_body(self, exchange: Exchange) -> None:
        body, stream = exchange.body, exchange.stream
        while (waiting := exchange.allowed - exchange.offset) > 0 and exchange.window > 0:
            if self._window <= 0:
                self._blocked[stream] = None
                return
            room = min(self._window, exchange.window, FRAME_BYTES_MAX, waiting)
            end = exchange.offset + room
            flags = END_STREAM if end == len(body) else 0
            self._output.append(frame(DATA, flags, stream, body[exchange.offset : end]))
            exchange.offset = end
            exchange.window -= room
            self._window -= room

    def _reset(self, exchange: Exchange) -> None:
        self._output.append(frame(RST_STREAM, 0, exchange.stream, struct.pack(">I", CANCEL)))

    def _end(self, exchange: Exchange, code: int, reason: str) -> None:
        if self._exchanges.pop(exchange.stream, None) is None:
            return
        self._blocked.pop(exchange.stream, None)
        exchange.code, exchange.reason, exchange.end_at = code, reason, time.perf_counter()
        exchange.on_end(exchange)

    def _received(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        exchange = self._exchanges.get(stream)
        if kind == DATA:
            self._data(exchange, flags, payload)
        elif kind == HEADERS and exchange is not None:
            self._headers(exchange, flags, payload)
        elif kind == RST_STREAM and exchange is not None:
            (error,) = struct.unpack(">I", payload)
            self._end(exchange, STATUS_OF_RESET.get(error, INTERNAL), f"RST_STREAM {error}")
        elif kind == WINDOW_UPDATE:
            self._update(exchange, stream, int.from_bytes(payload, "big"))
        elif kind == SETTINGS and not flags & ACK:
            self._settings(payload)
        elif kind == PING and not flags & ACK:
            self._output.append(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._go_away(payload)

    def _data(self, exchange: Exchange | None, flags: int, payload: bytes) -> None:
        self._unacknowledged += len(payload)
        if self._unacknowledged >= UPDATE_BYTES:
            self._output.append(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._unacknowledged)))
            self._unacknowledged = 0
        if exchange is not None:
            exchange.received += payload
            if flags & END_STREAM:
                self._end(exchange, INTERNAL, "a response without a status")

    def _headers(self, exchange: Exchange, flags: int, payload: bytes) -> None:
        if not flags & END_STREAM:
            return
        found = hpack.fields(payload)
        code, message = found.get(b"grpc-status", b""), found.get(b"grpc-message", b"")
        if exchange.offset < len(exchange.body):
            self._reset(exchange)
        reason = message.decode(errors="replace") if code else f"HTTP {found.get(b':status', b'?').decode()}"
        exchange.retry = says_when_to_retry(found.get(b"grpc-status-details-bin", b""))
        self._end(exchange, int(code) if code.isdigit() else UNKNOWN, reason)

    def _update(self, exchange: Exchange | None, stream: int, increment: int) -> None:
        if stream == 0:
            self._window += increment
            waiting, self._blocked = list(self._blocked), {}
            for number in waiting:
                self._send_body(self._exchanges[number])
        elif exchange is not None:
            exchange.window += increment
            if stream not in self._blocked:
                self._send_body(exchange)

    def _settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == MAX_CONCURRENT_STREAMS:
                self.streams_max = value
            elif name == INITIAL_WINDOW_SIZE:
                increment, self._initial_window = value - self._initial_window, value
                for exchange in self._exchanges.values():
                    exchange.window += increment
                    self._send_body(exchange)
        self._output.append(frame(SETTINGS, ACK, 0, b""))

    def _go_away(self, payload: bytes) -> None:
        """Begin no further call; end those that the server will not answer (6.8)."""
        self.usable = False
        last = int.from_bytes(payload[:4], "big")
        for exchange in [exchange for stream, exchange in self._exchanges.items() if stream > last]:
            self._end(exchange, UNAVAILABLE, "GOAWAY")


async def connected(
    address: str, window: int = STREAM_WINDOW, source: str | None = None
) -> MultiplexedConnection | None:
    """Return a connection to host:port, from a source address if one is given; None if the server refuses it."""
    host, _, port = address.rpartition(":")
    local = None if source is None else (source, 0)
    with contextlib.suppress(OSError):
        create = asyncio.get_running_loop().create_connection
        _, protocol = await create(lambda: MultiplexedConnection(window), host, int(port), local_addr=local)
        return protocol
    return None
