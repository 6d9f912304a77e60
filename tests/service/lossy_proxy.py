"""A TCP proxy that loses connections."""

import contextlib
import socket
import threading
from typing import Self


class LossyProxy:
    """Connections to `address` go to `target`. The first `losses` of them end after `count` bytes of the client."""

    def __init__(self, target: str, losses: int, count: int) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._losses_left = losses
        self._count = count
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.lost = 0
        self._thread = threading.Thread(target=self._accept)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            left = self._count if self._losses_left > 0 else None
            self._losses_left -= 1
            server = socket.create_connection(self._target)
            threading.Thread(target=self._forward, args=(client, server, left), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, None), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        """Forward until the end, or until no byte is left."""
        with contextlib.suppress(OSError):
            while (left is None or left > 0) and (data := source.recv(1 << 16)):
                sink.sendall(data)
                left = None if left is None else left - len(data)
            self.lost += left is not None and left <= 0
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # close alone would leave the other thread of the pair waiting
            end.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
