"""Addresses that a service listens on, and a port that only its own processes share (SO_REUSEPORT)."""

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from compressor.errors import SettingsError


def resolved(field: str, address: str) -> Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]:
    """Return the socket addresses of HOST:PORT, the value of a setting. Raise SettingsError for an unknown host."""
    host, _, port = address.rpartition(":")
    try:
        return socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        problem = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SettingsError(field, f"is {address!r}: {problem}") from None


def check_host(field: str, address: str) -> None:
    """Raise SettingsError for an unknown host, and for one that is not this machine."""
    for family, kind, protocol, _, name in resolved(field, address):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind((name[0], 0, *name[2:]))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                continue
        return  # any other problem is reported where it listens
    raise SettingsError(field, f"is {address!r}, which is not an address of this machine")


class ReservedPort:
    """A port of all addresses of a host, bound here so that only processes with SO_REUSEPORT can listen on it.

    address  host:port; port 0 takes a free one
    field    the setting that has the address

    It is bound before the option is set, which fails if anybody else uses the port, another service with workers
    included. Connections go to the processes that listen: this one never does.
    """

    def __init__(self, address: str, field: str = "address") -> None:
        host, _, port = address.rpartition(":")
        self.port = int(port)
        found = resolved(field, address)
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
