"""One HTTP request and its response, over ASGI."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from compressor.calls.call import CALL_BYTES, LINGER_SECONDS, OUTPUT_BYTES_MAX

Message = dict[str, Any]
HeaderField = tuple[str, str]

READ_BYTES = 64 << 10  # from a connection at once
HEADER_BYTES_MAX = 16 << 10  # of a request up to its body
# Memory of a call, besides its image: what is read at once, h11's copy, a body of up to 64 KiB before that, its copy in
# the inbox, the one that the pipeline works on, the header, and the chunk that is being written.
HTTP_CALL_BYTES = CALL_BYTES + 2 * READ_BYTES + 3 * (READ_BYTES + (64 << 10)) + HEADER_BYTES_MAX + 2 * OUTPUT_BYTES_MAX
TLS_BYTES = 384 << 10  # asyncio's buffers of a connection with TLS, both ways
LINGER_BYTES = 4 << 20  # of a body that nobody needs, read so that its sender gets to the response


class ClientGoneError(Exception):
    """The connection is closed, so nobody waits for a response."""


class Exchange:
    """A request, and its response.

    abort       closes the connection at once, so that an incomplete response can't be taken for a complete one
    is_gone     returns whether the connection was lost before all of the response was sent
    seconds     that `respond` waits for the client to read
    status      of the response; 0 until its status line is sent
    is_started  whether that has been sent
    is_read     whether the body has arrived completely
    is_closing  whether the connection ends after the response
    """

    def __init__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        abort: Callable[[], None],
        is_gone: Callable[[], bool],
        seconds: float,
    ) -> None:
        self._receive, self._send, self.abort = receive, send, abort
        self._is_gone, self._seconds = is_gone, seconds
        self.method, self.path = str(scope["method"]), str(scope["path"])
        self.query: bytes = scope["query_string"]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._client: Sequence[Any] | None = scope["client"]
        self.is_closing = False
        self.status = 0
        self.is_read = self.header("transfer-encoding") is None and self.header("content-length") in (None, "0")
        self._may_receive = True
        self._has_length = False

    @property
    def is_started(self) -> bool:
        return self.status != 0

    def header(self, name: str) -> str | None:
        """Return the value of a header field, given in lower case; that of several fields joined; None without any."""
        found = self.header_values(name)
        return ", ".join(found) if found else None

    def header_values(self, name: str) -> list[str]:
        """Return the values of all header fields of this name."""
        return [value.decode("latin-1") for key, value in self._headers if key == name.encode()]

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """Return all header fields, with names in lower case."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._headers]

    @property
    def host(self) -> str:
        """Return the address of the client without its port."""
        return str(self._client[0]) if self._client else "unknown"

    @property
    def address(self) -> str:
        """Return the address of the client in the form of gRPC: ipv4:10.0.0.7:50000, ipv6:[::1]:50000."""
        if not self._client:
            return self.host
        return f"ipv6:[{self.host}]:{self._client[1]}" if ":" in self.host else f"ipv4:{self.host}:{self._client[1]}"

    async def read(self) -> bytes:
        """Return the next bytes of the body, and set `is_read` with the last ones. After those, wait for the client to
        go. Raise ClientGoneError when it has."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._may_receive = False
            raise ClientGoneError
        self.is_read = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def begin(self, status: int, headers: Sequence[HeaderField]) -> None:
        """Send the status line and the header fields. Raise ClientGoneError if nobody waits for them."""
        if not self.is_read:  # what has not arrived by now would be taken for the next request
            self.is_closing = True
        self._has_length = any(name == "content-length" for name, _ in headers)
        closing = [("connection", "close")] if self.is_closing else []
        fields = [(name.encode(), value.encode("latin-1", "replace")) for name, value in (*headers, *closing)]
        self.status = status
        await self._transmit({"type": "http.response.start", "status": status, "headers": fields})

    async def write(self, data: bytes) -> None:
        """Send a part of the response body. Wait until the kernel has the part before it; raise ClientGoneError if the
        client goes before."""
        await self._transmit({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """End the response. Wait until the kernel has all of it; raise ClientGoneError if the client goes before.

        With a Content-Length, a client has the end with the last byte, and may go before it has sent the rest of a body
        that is not needed.
        """
        if not self.is_read:
            await self._linger()
            if self._has_length and not self._may_receive:
                return
        await self._transmit({"type": "http.response.body", "body": b"", "more_body": False})

    async def _transmit(self, message: Message) -> None:
        await self._send(message)
        if self._is_gone():  # of which `send` says nothing
            raise ClientGoneError

    async def respond(self, status: int, content_type: str, body: bytes, headers: Sequence[HeaderField] = ()) -> None:
        """Send a whole response. Reset the connection of a client that does not read it in time, and raise
        ClientGoneError: no admitted call limits how long that takes."""
        length = ("content-length", str(len(body)))
        try:
            async with asyncio.timeout(self._seconds + LINGER_SECONDS):
                await self.begin(status, [("content-type", content_type), length, *headers])
                await self.write(body)
                await self.end()
        except TimeoutError:
            self.abort()
            raise ClientGoneError from None

    async def respond_json(
        self, status: int, record: Any, headers: Sequence[HeaderField] = (), content_type: str = "application/json"
    ) -> None:
        """Send a whole response with a value as JSON."""
        await self.respond(status, content_type, json.dumps(record).encode() + b"\n", headers)

    async def _linger(self) -> None:
        """Read some of a body that is not needed: a sender whose connection is closed may lose the response."""
        if not self._may_receive:
            return
        discarded = 0
        with contextlib.suppress(ClientGoneError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.is_read and discarded < LINGER_BYTES:
                    discarded += len(await self.read())


Handler = Callable[[Exchange], Awaitable[None]]
