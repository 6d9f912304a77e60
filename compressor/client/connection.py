"""The address and options of a connection, and the retries of a call, for both clients."""

import random
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import grpc

from compressor import wire
from compressor.errors import BusyError
from compressor.v1 import compressor_pb2_grpc as rpc


@dataclass(eq=False)
class Connection(ABC):
    """A connection to a service, opened when it is first used.

    address       host:port
    timeout       seconds for a call with all its retries; None: no limit
    retries       how often a call that is rejected as busy is repeated, after the time that the service asks for
    chunk_bytes   size of image chunks in messages
    window_bytes  HTTP/2 window of a call: bytes received ahead of the reader. Limits a download to window / RTT
    credentials   of grpc.ssl_channel_credentials(…), for TLS
    token         sent as `authorization: Bearer TOKEN`
    """

    address: str
    timeout: float | None = field(default=None, kw_only=True)
    retries: int = field(default=5, kw_only=True)
    chunk_bytes: int = field(default=wire.CHUNK_BYTES, kw_only=True)
    window_bytes: int = field(default=1 << 20, kw_only=True)
    credentials: grpc.ChannelCredentials | None = field(default=None, kw_only=True, repr=False)
    token: str | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        self._channel = self._open_channel(channel_options(self.window_bytes))
        self._stub: Any = rpc.CompressorServiceStub(self._channel)
        self._metadata = metadata_of(self.token)

    @abstractmethod
    def _open_channel(self, options: list[tuple[str, int]]) -> Any:
        """Return a channel with `credentials`, or without TLS if there are none."""


def channel_options(window_bytes: int) -> list[tuple[str, int]]:
    """Return the client's gRPC options. They bound the memory that a stalled download holds in this process."""
    return [
        ("grpc.max_receive_message_length", wire.MESSAGE_BYTES_MAX),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", window_bytes),  # ignored if BDP probing is on
        # Each client has a connection of its own: a service with several workers distributes connections, not calls.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", 60_000),  # the server allows a ping every 30 s
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def metadata_of(token: str | None) -> tuple[tuple[str, str], ...] | None:
    """Return the metadata that each call sends."""
    return (("authorization", f"Bearer {token}"),) if token else None


class Attempts:
    """The attempts of one call, within the timeout and retries of its connection.

    replayable  whether the source can be read again; otherwise there is one attempt
    """

    def __init__(self, connection: Connection, replayable: bool) -> None:
        self._end = None if connection.timeout is None else time.monotonic() + connection.timeout
        self._left = 1 + (connection.retries if replayable else 0)

    def timeout(self) -> float | None:
        """Return the seconds left for the next attempt; None: no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def pause(self, error: BusyError) -> float:
        """Return the seconds to wait before the next attempt. Raises `error` if no attempt or no time is left.

        The pause varies by half, so that clients that were rejected together do not return together.
        """
        self._left -= 1
        pause = error.retry_after_seconds * random.uniform(1, 1.5)
        if self._left == 0 or (self._end is not None and time.monotonic() + pause >= self._end):
            raise error
        return pause
