"""A TCP proxy that counts the bytes between a client and a server, HTTP/2 frames and headers included.

It runs in a process of its own, so that it takes no time from the client's interpreter.
"""

import multiprocessing
import socket
import threading
import time
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

READ_BYTES = 1 << 16
SETTLED_SECONDS = 0.05


def pump(source: socket.socket, sink: socket.socket, counter: Any) -> None:
    """Forward bytes until `source` ends, and count them."""
    try:
        while data := source.recv(READ_BYTES):
            with counter.get_lock():
                counter.value += len(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one side has closed: close the other
        source.close()
        sink.close()


def forward(target: tuple[str, int], ready: Connection, up: Any, down: Any) -> None:
    """Send the port to `ready`, then accept connections endlessly."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname()[1])
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(target)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=pump, args=(client, server, up), daemon=True).start()
        threading.Thread(target=pump, args=(server, client, down), daemon=True).start()


class CountingProxy:
    """A proxy in front of the server at `address`; clients connect to its own `address`."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        context = multiprocessing.get_context("spawn")
        self._up, self._down = context.Value("Q", 0), context.Value("Q", 0)
        self._ready, ready = context.Pipe(duplex=False)
        self._process = context.Process(
            target=forward, args=((host, int(port)), ready, self._up, self._down), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        self.address = f"127.0.0.1:{self._ready.recv()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    def counts(self) -> tuple[int, int]:
        """Wait until nothing is transferred any more; return the bytes to the server and from it so far."""
        before = (-1, -1)
        while (now := (int(self._up.value), int(self._down.value))) != before:
            before = now
            time.sleep(SETTLED_SECONDS)
        return now


def sink_address(stop: threading.Event) -> tuple[str, int]:
    """Start a server that discards its input and then answers one byte; return its address.

    Sending a file to it shows the minimum that sending it can cost.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)

    def discard() -> None:
        while not stop.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(None)
                while client.recv(READ_BYTES):
                    pass
                client.sendall(b"!")
        listener.close()

    threading.Thread(target=discard, daemon=True).start()
    host, port = listener.getsockname()
    return str(host), int(port)
