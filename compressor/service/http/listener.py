"""The HTTP server: its sockets, and uvicorn in the event loop of the service [uvicorn]."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator

import uvicorn

from compressor.service.http.connection import ConnectionLimits, HttpConnection, TlsConnection
from compressor.service.http.exchange import Handler
from compressor.service.port import resolved

BACKLOG = 1024
END_SECONDS = 5.0  # for connections to end once they are reset


def listening_sockets(address: str, reuse_port: bool) -> list[socket.socket]:
    """Return sockets that listen on HOST:PORT, one for each address of the host; port 0 takes a free one.

    reuse_port  other processes of the same service listen on it, too
    """
    port = int(address.rpartition(":")[2])
    found: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        for family, _, _, _, name in resolved("http_address", address):
            both = family == socket.AF_INET6 and name[0] == "::"
            own = socket.create_server(
                (str(name[0]), port), family=family, backlog=BACKLOG, reuse_port=reuse_port, dualstack_ipv6=both
            )
            found.append(stack.enter_context(own))
            port = own.getsockname()[1]
        stack.pop_all()
    return found


class _Uvicorn(uvicorn.Server):
    """uvicorn in an event loop that is not its own.

    answer, limits, tls  as of HttpListener
    is_listening         set once connections are accepted
    accepted             the connections that are open
    """

    def __init__(
        self, config: uvicorn.Config, answer: Handler, limits: ConnectionLimits, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(config)
        self._answer, self._limits, self._tls = answer, limits, tls
        self.is_listening = asyncio.Event()
        self.accepted: set[HttpConnection] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections. uvicorn's own method knows no limits before a TLS handshake is complete."""
        loop = asyncio.get_running_loop()
        self.servers = [await loop.create_server(self._protocol, sock=own, backlog=BACKLOG) for own in sockets or ()]
        self.started = True
        self.is_listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and wait for requests. uvicorn would wait for TLS handshakes, too."""
        for connection in list(self.accepted):
            connection.abort_handshake()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol of a connection that is being accepted."""
        http = HttpConnection(
            self.config, self.server_state, {}, answer=self._answer, limits=self._limits, accepted=self.accepted
        )
        return http if self._tls is None else TlsConnection(http, self._tls, self._limits.header_seconds)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service."""
        yield


class HttpListener:
    """An HTTP server in the event loop: `start`, then `stop`. It listens as soon as it is made.

    answer  answers a request
    tls     None: plaintext
    """

    def __init__(
        self, address: str, answer: Handler, limits: ConnectionLimits, tls: ssl.SSLContext | None, *, reuse_port: bool
    ) -> None:
        config = uvicorn.Config(
            app=_unused,
            http=HttpConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,  # its warnings are about clients, who are answered
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=1 << 20,  # HttpConnection has its own limit
        )
        config.load()
        self._sockets = listening_sockets(address, reuse_port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._server = _Uvicorn(config, answer, limits, tls)

    async def start(self) -> None:
        """Accept connections."""
        self._serving = asyncio.create_task(self._server.serve(self._sockets))
        listening = asyncio.create_task(self._server.is_listening.wait())
        await asyncio.wait([self._serving, listening], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            self._serving.result()

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more connections, wait for running requests, and reset those that take longer."""
        self._server.should_exit = True
        await asyncio.wait([self._serving], timeout=grace_seconds)
        for connection in list(self._server.accepted):
            connection.abort()
        await asyncio.wait([self._serving], timeout=END_SECONDS)


async def _unused(scope: object, receive: object, send: object) -> None:
    """Stand in for the application: each connection has its own."""
