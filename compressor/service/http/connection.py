"""A connection of the HTTP door: uvicorn's protocol of HTTP/1.1, with limits that it lacks.

What a connection holds is bounded: uvicorn stops reading at 64 KiB of a body that nobody takes, and READ_BYTES are read
at a time. Nothing is written before the kernel has what was written before.
"""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

import h11
from google.rpc import code_pb2
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from compressor.service.http.exchange import READ_BYTES, Exchange, Handler
from compressor.service.http.problem import CONTENT_TYPE, details_of
from compressor.v1 import compressor_pb2 as pb

RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)  # SO_LINGER


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of connections.

    connections     open at a time
    header_seconds  for a request to arrive up to its body: after the connection, or after the response before
    """

    connections: int
    header_seconds: float


class HttpConnection(H11Protocol):
    """A connection: answers its requests one after the other.

    answer  answers a request
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
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._answer, self._limits = answer, limits
        self._timer: asyncio.TimerHandle | None = None
        self._is_lost = False
        self.app = self._run

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1, low=0)  # with TLS, 0 means: always paused
        lower: socket.socket = transport.get_extra_info("socket")
        lower.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it only if the protocol is not 0
        if hasattr(transport, "max_size"):  # of one read; 256 KiB by default
            transport.max_size = READ_BYTES
        self._await_request()
        if len(self.connections) > self._limits.connections:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
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
        self._stop_waiting()
        try:
            await self._answer(Exchange(scope, receive, send, self.abort))
        finally:
            self._await_request()  # also for a client that does not read the end of the response

    def abort(self) -> None:
        """Reset the connection: its client can't take what it has received for a complete response."""
        if self._is_lost:
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        lower: socket.socket | None = self.transport.get_extra_info("socket")
        if lower is not None:
            lower.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_WHEN_CLOSED)
        self.transport.abort()
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
