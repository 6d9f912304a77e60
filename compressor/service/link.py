"""Messages between a service and its workers, over a socket pair: JSON, each after its length."""

import asyncio
import json
import socket
import struct
import threading
from typing import Any

LENGTH = struct.Struct("!I")
MESSAGE_BYTES_MAX = 1 << 20  # the metrics of a worker take some ten kilobytes


class LinkError(Exception):
    """A message that is too long, or no message."""


def encoded(kind: str, content: dict[str, Any]) -> bytes:
    """Return a message as bytes."""
    data = json.dumps(content | {"kind": kind}).encode()
    if len(data) > MESSAGE_BYTES_MAX:
        raise LinkError(f"a message {kind!r} has {len(data)} bytes")
    return LENGTH.pack(len(data)) + data


def _length(head: bytes) -> int:
    length = int(LENGTH.unpack(head)[0])
    if length > MESSAGE_BYTES_MAX:
        raise LinkError(f"a message has {length} bytes")
    return length


def _decoded(data: bytes) -> dict[str, Any]:
    message = json.loads(data)
    if not isinstance(message, dict) or "kind" not in message:
        raise LinkError("a message has no kind")
    return message


async def read_message(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Return the next message; None if the other end is closed."""
    try:
        return _decoded(await reader.readexactly(_length(await reader.readexactly(LENGTH.size))))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class Link:
    """The worker's end: blocking. Any thread may send; one receives."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._file = end.makefile("rb")
        self._sending = threading.Lock()

    def send(self, kind: str, **content: Any) -> None:
        """Send a message. Raise OSError if the other end is closed."""
        message = encoded(kind, content)
        with self._sending:
            self._socket.sendall(message)

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next message; None if the other end is closed."""
        try:
            head = self._file.read(LENGTH.size)
            if len(head) < LENGTH.size:
                return None
            length = _length(head)
            data = self._file.read(length)
        except ConnectionError:
            return None
        return _decoded(data) if len(data) == length else None
