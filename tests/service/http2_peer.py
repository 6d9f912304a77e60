"""A client that misbehaves: HTTP/2 frames by hand, many calls on one connection, and a window that it chooses."""

import contextlib
import socket
import struct
import threading
from typing import Self

from benchmarks.service.http2 import (
    ACK,
    CANCEL,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    literal,
    prefixed,
)  # fmt: skip

METHOD = "/compressor.v1.CompressorService/Compress"


class Http2Peer:
    """A connection.

    window    for the responses of each call, in bytes; 0: nothing can be sent to this client but headers
    received  (kind, flags, stream, payload) of each frame so far
    closed    set once the server has closed the connection
    """

    def __init__(self, address: str, window: int = 0) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), 10)
        self._headers = b"".join(
            literal(name.encode(), value.encode())
            for name, value in (
                (":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", address),
                ("te", "trailers"), ("content-type", "application/grpc"),
            )
        )  # fmt: skip
        self.received: list[tuple[int, int, int, bytes]] = []
        self.closed = threading.Event()
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window)))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(self, stream: int) -> None:
        """Begin a call, whose number is odd."""
        self._send(frame(HEADERS, END_HEADERS, stream, self._headers))

    def message(self, stream: int, data: bytes) -> None:
        """Send a message of a call."""
        self.data(stream, prefixed(data))

    def data(self, stream: int, data: bytes) -> None:
        """Send bytes of a call."""
        self._send(b"".join(frame(DATA, 0, stream, data[at : at + 16384]) for at in range(0, len(data), 16384)))

    def cancel(self, stream: int) -> None:
        """Cancel a call."""
        self._send(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    def ended(self) -> set[int]:
        """Return the streams that the server has reset or ended."""
        return {
            stream
            for kind, flags, stream, _ in list(self.received)
            if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM)
        }

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _read(self) -> None:
        file = self._socket.makefile("rb")
        try:
            while len(head := file.read(9)) == 9:
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                payload = file.read(int.from_bytes(head[:3], "big"))
                if kind == SETTINGS and not flags & ACK:
                    self._send(frame(SETTINGS, ACK, 0, b""))
                elif kind == PING and not flags & ACK:
                    self._send(frame(PING, ACK, 0, payload))
                self.received.append((kind, flags, stream, payload))
        except OSError:
            pass
        self.closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # the reader's file keeps it open otherwise
        self._socket.close()
