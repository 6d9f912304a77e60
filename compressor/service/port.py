"""A port that several processes of one service listen on (SO_REUSEPORT), and no other service."""

import socket
from contextlib import ExitStack
from typing import Self

from compressor.errors import SettingsError


class ReservedPort:
    """A port of all addresses of a host, bound here so that only processes with SO_REUSEPORT can listen on it.

    address  host:port; port 0 takes a free one

    It is bound before the option is set, which fails if anybody else uses the port, another service with workers
    included. Connections go to the processes that listen: this one never does.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise SettingsError("address", f"is {address!r}, must be HOST:PORT with several workers")
        self.port = int(port)
        try:
            found = socket.getaddrinfo(host.strip("[]"), self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise SettingsError("address", f"is {address!r}: {error.strerror}") from None
        with ExitStack() as sockets:
            for family, kind, protocol, _, name in found:
                listener = sockets.enter_context(socket.socket(family, kind, protocol))
                # Connections of an ended server may still be closing.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((name[0], self.port, *name[2:]))
                except OSError as error:
                    raise OSError(error.errno, error.strerror, f"{host}:{self.port}") from None
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                self.port = listener.getsockname()[1]
            self._sockets = sockets.pop_all()
        self.address = f"{host}:{self.port}"

    def close(self) -> None:
        """Release the port."""
        self._sockets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
