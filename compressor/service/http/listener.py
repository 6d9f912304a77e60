"""The HTTP server: its sockets, and uvicorn in the event loop of the service [uvicorn]."""

import asyncio
import asyncio.sslproto
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import cast

import uvicorn

from compressor.service.http.connection import ConnectionLimits, HttpConnection
from compressor.service.http.exchange import HEADER_BYTES_MAX, Handler
from compressor.service.port import resolved

BACKLOG = 1024
TLS_READ_BYTES = 32 << 10  # two records
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
    """uvicorn in an event loop that is not its own. is_listening: set once connections are accepted."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()

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
        protocol = functools.partial(HttpConnection, answer=answer, limits=limits)
        config = uvicorn.Config(
            app=_unused,
            http=cast(type[asyncio.Protocol], protocol),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,  # its warnings are about clients, who are answered
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=1 << 20,  # HttpConnection has its own limit
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        )
        config.load()
        config.ssl = tls
        if tls is not None:
            # 256 KiB by default, of each connection, even while it is idle. Nothing else here uses asyncio's TLS.
            asyncio.sslproto.SSLProtocol.max_size = TLS_READ_BYTES
        config.http_protocol_class = cast(type[asyncio.Protocol], protocol)
        self._sockets = listening_sockets(address, reuse_port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._server = _Uvicorn(config)

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
        for connection in list(self._server.server_state.connections):
            cast(HttpConnection, connection).abort()
        await asyncio.wait([self._serving], timeout=END_SECONDS)


async def _unused(scope: object, receive: object, send: object) -> None:
    """Stand in for the application: each connection has its own."""
