"""The addresses and options of a connection, for both clients."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from compressor import wire
from compressor.client.addresses import Rotation, balancing_options, targets_of
from compressor.client.retries import Attempts
from compressor.v1 import compressor_pb2_grpc as rpc


@dataclass(eq=False)
class Connection(ABC):
    """A connection to a service, opened when it is first used.

    address          host:port, several of these (a sequence, or separated by commas), or a gRPC target, such as
                     dns:///host:port. Calls are distributed over several servers, and avoid those that drain
    timeout          seconds for a call with all its retries; None: no limit
    retries          how often a call is repeated that was rejected as busy, after the time that the service asks for,
                     or whose connection was lost or refused
    chunk_bytes      size of image chunks in messages
    window_bytes     HTTP/2 window of a call: bytes received ahead of the reader. Limits a download to window / RTT
    credentials      of grpc.ssl_channel_credentials(…), for TLS
    token            sent as `authorization: Bearer TOKEN`
    channel_options  options of gRPC's channels, in addition to ours or in place of them
    """

    address: str | Sequence[str]
    timeout: float | None = field(default=None, kw_only=True)
    retries: int = field(default=5, kw_only=True)
    chunk_bytes: int = field(default=wire.CHUNK_BYTES, kw_only=True)
    window_bytes: int = field(default=1 << 20, kw_only=True)
    credentials: grpc.ChannelCredentials | None = field(default=None, kw_only=True, repr=False)
    token: str | None = field(default=None, kw_only=True, repr=False)
    channel_options: Sequence[tuple[str, int | str]] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        targets = targets_of(self.address)
        options: dict[str, int | str] = dict(channel_options(self.window_bytes))
        options |= dict(balancing_options(targets)) | dict(self.channel_options)
        self._channels = [self._open_channel(target, list(options.items())) for target in targets]
        self._stubs: list[Any] = [rpc.CompressorServiceStub(channel) for channel in self._channels]
        self._rotation = Rotation(len(targets))
        self._metadata = metadata_of(self.token)

    @abstractmethod
    def _open_channel(self, target: str, options: list[tuple[str, int | str]]) -> Any:
        """Return a channel with `credentials`, or without TLS if there are none."""

    def _call(self, method: str, attempts: Attempts, *requests: Any) -> Any:
        """Call a method of the next server: begin a stream, or return a unary response."""
        function = getattr(self._stubs[attempts.target()], method)
        return function(*requests, timeout=attempts.timeout(), metadata=self._metadata)

    def _attempts(self) -> Attempts:
        return Attempts(self.timeout, self.retries, self._rotation)


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
        # A server that restarts is found again within a second (gRPC: after up to two minutes), and one that does not
        # answer at all holds no call for more than 5 s (gRPC: 20 s).
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", 5000),
    ]


def metadata_of(token: str | None) -> tuple[tuple[str, str], ...] | None:
    """Return the metadata that each call sends."""
    return (("authorization", f"Bearer {token}"),) if token else None
