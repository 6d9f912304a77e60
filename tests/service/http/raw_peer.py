"""A client that controls every byte of HTTP/1.1, for tests of what well-behaved clients do not do."""

import contextlib
import json
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Any, Self


@dataclass
class Answer:
    """A response: the status, the fields with names in lower case, and the body. is_complete: it ended as it should."""

    status: int
    fields: dict[str, str]
    body: bytes
    is_complete: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawPeer:
    """A connection."""

    def __init__(self, port: int | None, receive_bytes: int | None = None, tls: ssl.SSLContext | None = None) -> None:
        assert port is not None
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(20)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def begin(self, target: str, length: int | None, *fields: str, method: str = "POST") -> None:
        """Send the head of a request; without a length, the body is in chunks."""
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", framing, *fields]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def chunk(self, data: bytes) -> None:
        """Send a chunk; without data, the last one."""
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def request(self, target: str, body: bytes = b"", *fields: str, method: str = "POST") -> Answer:
        """Send a request and receive its response."""
        self.begin(target, len(body), *fields, method=method)
        with contextlib.suppress(ConnectionError):  # a server may refuse the rest
            self.send(body)
        return self.receive(has_body=method != "HEAD")

    def receive(self, has_body: bool = True) -> Answer:
        """Receive a response, or what arrives of it. A status of 100 is skipped."""
        status, fields = self.receive_head()
        if not has_body:
            return Answer(status, fields, b"")
        try:
            if fields.get("transfer-encoding") != "chunked":
                length = int(fields["content-length"])
                body = self._file.read(length)
                return Answer(status, fields, body, len(body) == length)
            body = b""
            while (line := self._file.readline()) not in (b"0\r\n", b""):
                body += self._file.read(int(line, 16))
                self._file.readline()
            return Answer(status, fields, body, bool(line) and bool(self._file.readline()))
        except ConnectionResetError:
            return Answer(status, fields, b"", is_complete=False)

    def receive_head(self) -> tuple[int, dict[str, str]]:
        """Receive a status line and the fields."""
        while True:
            line = self._file.readline()
            if not line:
                raise ConnectionResetError("no response")
            status = int(line.split()[1])
            fields = {}
            while (field := self._file.readline()) not in (b"\r\n", b""):
                name, _, value = field.decode().partition(":")
                fields[name.lower()] = value.strip()
            if status != 100:
                return status, fields

    def is_closed(self) -> bool:
        """Wait for the end of the connection, and return whether it comes without more bytes."""
        with contextlib.suppress(ConnectionResetError):
            return self._file.read(1) == b""
        return True

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def reset(self) -> None:
        """Close without the usual end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
