"""gRPC's options: it ignores names that it does not know, so each must be one that it has."""

from pathlib import Path

import grpc
import pytest

from compressor.client import addresses, connection
from compressor.service import server
from compressor.service.config import ServerConfig

OPTIONS: list[tuple[str, object]] = [
    *server.channel_options(ServerConfig()),
    *connection.channel_options(1 << 17),
    *addresses.balancing_options(["a:1", "b:1"]),
]


@pytest.fixture(scope="module")
def library() -> bytes:
    """Return gRPC's compiled library."""
    [path] = (Path(grpc.__file__).parent / "_cython").glob("cygrpc*.so")
    return path.read_bytes()


@pytest.mark.parametrize("name", sorted({name for name, _ in OPTIONS}))
def test_grpc_knows_the_option(name: str, library: bytes) -> None:
    assert name.encode() + b"\0" in library


def test_the_server_allows_the_pings_of_the_client() -> None:
    """Else it would end a call in which nothing is sent for minutes, as while a large image is encoded again."""
    allowed = dict(server.channel_options(ServerConfig()))["grpc.http2.min_ping_interval_without_data_ms"]
    sent = dict(connection.channel_options(1 << 17))["grpc.keepalive_time_ms"]
    assert allowed < sent
