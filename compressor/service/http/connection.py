"""A connection of the HTTP front end: uvicorn's protocol of HTTP/1.1, with limits that it lacks.

What a connection holds is bounded: uvicorn stops reading at 64 KiB of a body that nobody takes, and READ_BYTES are read
at a time. Nothing is written before the kernel has what was written before.
"""

import asyncio
import asyncio.sslproto
import contextlib
import json
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Any, cast

import h11
from google.rpc import code_pb2
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from compressor.service.http.exchange import HEADER_BYTES_MAX, READ_BYTES, Exchange, Handler
from compressor.service.http.problem import CONTENT_TYPE, details_of
from compressor.v1 import compressor_pb2 as pb

RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)  # SO_LINGER
TLS_READ_BYTES = 32 << 10  # two records
# Bytes that the chunks of a body have on average, once there are so many of them.
CHUNK_BYTES_MIN, CHUNKS_FREE = 64, 1000


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of connections.

    connections     open at a time, from their acceptance on
    header_seconds  for a TLS handshake; for a request to arrive up to its body, after the connection or after the
                    response before; and for a client to read a response that is sent without an admitted call
    """

    connections: int
    header_seconds: float


class RequestParser(h11.Connection):
    """h11's parser, which takes no body in tiny chunks: each costs 20 µs, so that those of 64 KiB would hold the event
    loop for 0.2 s."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEADER_BYTES_MAX)
        self._chunks = self._bytes = 0

    def next_event(self) -> Any:
        """Return the next event. Raise RemoteProtocolError if it ends one tiny chunk too many."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_end
            self._bytes += len(event.data)
            if self._chunks > CHUNKS_FREE and self._bytes < self._chunks * CHUNK_BYTES_MIN:
                raise h11.RemoteProtocolError("the chunks are too small")
        return event


class HttpConnection(H11Protocol):
    """A connection: answers its requests one after the other.

    answer    answers a request
    accepted  all connections that are open, also those whose TLS handshake is not complete
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        answer: Handler,
        limits: ConnectionLimits,
        accepted: "set[HttpConnection]",
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = RequestParser()
        self._answer, self._limits, self._accepted = answer, limits, accepted
        self._lower: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_lost = False
        self.app = self._run

    def accept(self, lower: asyncio.Transport) -> None:
        """Begin to count a connection, and reset it if it is one too many.

        lower  the transport of TCP, which TLS may be above
        """
        self._lower = lower
        self._socket: socket.socket = lower.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does if the protocol is not 0
        if hasattr(lower, "max_size"):  # of one read; 256 KiB by default
            lower.max_size = READ_BYTES
        self._accepted.add(self)
        if len(self._accepted) > self._limits.connections:
            self.abort()

    def forget(self) -> None:
        """End to count a connection."""
        self._accepted.discard(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1, low=0)  # with TLS, 0 means: always paused
        if self._lower is None:
            self.accept(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self.forget()
        self._stop_waiting()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which uvicorn forgets after a reset, and its timer would keep all of this

    def _await_request(self) -> None:
        self._stop_waiting()
        if self._is_lost:
            return
        self._timer = self.loop.call_later(self._limits.header_seconds, self.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _run(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, as an ASGI application."""
        cycle = self.cycle
        self._stop_waiting()
        try:
            seconds = self._limits.header_seconds
            await self._answer(Exchange(scope, receive, send, self.abort, lambda: cycle.disconnected, seconds))
        finally:
            if self.cycle is cycle:  # else the next one runs already: it came in the same bytes
                self._await_request()  # also for a client that does not read the end of the response

    def abort(self) -> None:
        """Reset the connection: its client can't take what it has received for a complete response."""
        if self._is_lost or self._lower is None:
            return
        with contextlib.suppress(OSError):  # it may be closed, and not lost yet
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_WHEN_CLOSED)
        self._lower.abort()  # that of TLS does nothing once it is closed twice
        self._end_cycle()

    def abort_handshake(self) -> None:
        """Reset the connection unless requests may arrive on it."""
        if self not in self.connections:
            self.abort()

    def _end_cycle(self) -> None:
        """Tell the request that is being answered that nobody waits for its response."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.flow is not None:
            self.flow.resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with a problem, unless a response has begun."""
        if self.conn.our_state is not h11.IDLE and self.conn.our_state is not h11.SEND_RESPONSE:
            self.abort()
            return
        failure = pb.Failure(code=code_pb2.INVALID_ARGUMENT, message="the request is not valid HTTP/1.1")
        body = json.dumps(details_of(400, failure)).encode() + b"\n"
        fields = {"content-type": CONTENT_TYPE, "content-length": str(len(body)), "connection": "close"}
        response = h11.Response(status_code=400, headers=list(fields.items()), reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._end_cycle()  # or it would answer, too


class TlsConnection(asyncio.sslproto.SSLProtocol):
    """The TLS of a connection. asyncio tells `http` of a connection only when the handshake is complete, and nothing of
    one that fails. So this is what accepts, and counts it from then on."""

    max_size = TLS_READ_BYTES  # 256 KiB by default, of each connection, even while it is idle

    def __init__(self, http: HttpConnection, context: ssl.SSLContext, seconds: float) -> None:
        super().__init__(
            http.loop,
            http,
            context,
            None,  # type: ignore[arg-type]  # nobody waits for the handshake
            server_side=True,
            ssl_handshake_timeout=seconds,  # type: ignore[arg-type]  # the stubs say int
            ssl_shutdown_timeout=seconds,
        )
        self._http = http

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._http.accept(cast(asyncio.Transport, transport))
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._http.forget()
        super().connection_lost(exc)
