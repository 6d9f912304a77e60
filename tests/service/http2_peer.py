"""A client that misbehaves: HTTP/2 frames by hand, many calls on one connection, and a window that it chooses."""

import contextlib
import socket
import struct
import threading
from typing import Self

from benchmarks.service import http2
from benchmarks.service.rpcs import CompressRpc


class Http2Peer:
    """A connection.

    window    for the responses of each call, in bytes; 0: nothing can be sent to this client but headers
    received  (kind, flags, stream, payload) of each frame so far
    closed    set once the server has closed the connection
    """

    def __init__(self, address: str, window: int = 0) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), 10)
        self._headers = http2.request_headers(address, CompressRpc.method)
        self.received: list[tuple[int, int, int, bytes]] = []
        self.closed = threading.Event()
        self._socket.sendall(
            http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, window))
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(self, stream: int) -> None:
        """Begin a call, whose number is odd."""
        self._send(http2.frame(http2.HEADERS, http2.END_HEADERS, stream, self._headers))

    def message(self, stream: int, data: bytes) -> None:
        """Send a message of a call."""
        self.data(stream, http2.prefixed(data))

    def data(self, stream: int, data: bytes) -> None:
        """Send bytes of a call."""
        self._send(
            b"".join(http2.frame(http2.DATA, 0, stream, data[at : at + 16384]) for at in range(0, len(data), 16384))
        )

    def cancel(self, stream: int) -> None:
        """Cancel a call."""
        self._send(http2.frame(http2.RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL)))

    def ended(self) -> set[int]:
        """Return the streams that the server has reset or ended."""
        return {
            stream
            for kind, flags, stream, _ in list(self.received)
            if kind == http2.RST_STREAM or (kind in (http2.DATA, http2.HEADERS) and flags & http2.END_STREAM)
        }

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _read(self) -> None:
        file = self._socket.makefile("rb")
        try:
            while len(head := file.read(9)) == 9:
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                payload = file.read(int.from_bytes(head[:3], "big"))
                if kind == http2.SETTINGS and not flags & http2.ACK:
                    self._send(http2.frame(http2.SETTINGS, http2.ACK, 0, b""))
                elif kind == http2.PING and not flags & http2.ACK:
                    self._send(http2.frame(http2.PING, http2.ACK, 0, payload))
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
