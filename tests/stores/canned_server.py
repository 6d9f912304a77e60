"""An HTTP server that sends prepared responses, one after the other, and records the requests."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class CannedResponse:
    """A response to send.

    status  0: close the connection without a response
    cut     close the connection after so many bytes of the body
    stalls  keep the connection open after the body, sending nothing
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    stalls: bool = False


def error_response(status: int, code: str = "") -> CannedResponse:
    body = f"<Error><Code>{code}</Code><Message>so it\nis</Message></Error>".encode() if code else b""
    return CannedResponse(status, {"Content-Type": "application/xml"}, body)


@dataclass
class RecordedRequest:
    """A request that the server has received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class CannedServer(ThreadingHTTPServer):
    """The server; `responses` are those still to be sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.responses: list[CannedResponse] = []
        self.requests: list[RecordedRequest] = []
        self.closing = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}"

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CannedServer

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(RecordedRequest(self.command, self.path, dict(self.headers), body))
        response = self.server.responses.pop(0)
        if response.status == 0:
            self.close()
            return
        self.send_response(response.status)
        for name, value in {"Content-Length": str(len(response.body)), **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[: response.cut])
        if response.stalls:
            self.server.closing.wait(30)
        if response.cut is not None:
            self.close()

    def close(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = respond  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def canned() -> Iterator[CannedServer]:
    with CannedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
