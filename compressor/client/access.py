"""Connections to a service that requires TLS, client certificates or tokens, from files."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from compressor import credentials
from compressor.client.connection import metadata_of
from compressor.client.sync import Client
from compressor.errors import SettingsError
from compressor.settings import Access

PLAINTEXT = Access()


def connect(address: str, access: Access = PLAINTEXT, **options: Any) -> Client:
    """Return a client with credentials from files. Raises SettingsError if they can't be used.

    options  those of `Client`
    """
    return Client(address, credentials=_channel_credentials(access), token=_token(access), **options)


def check_access(access: Access) -> None:
    """Raise SettingsError if the files can't be used. Called before any work that needs them."""
    _channel_credentials(access)
    _token(access)


def health(address: str, timeout: float = 3.0, access: Access = PLAINTEXT) -> bool:
    """Return whether the service at `address` accepts calls.

    With a certificate but without `tls_ca`, the service must present that same certificate, whatever its address: a
    probe on the server's machine needs no other settings than the server. It needs no token either, so that the
    server's `token_file`, which has none, is ignored.
    """
    own = credentials.read_identity(access.tls_cert, access.tls_key)
    options: list[tuple[str, str]] = []
    if own is not None and access.tls_ca is None:
        secure: grpc.ChannelCredentials | None = grpc.ssl_channel_credentials(own.leaf, own.key, own.chain)
        options = [("grpc.ssl_target_name_override", name.replace("*", "probe")) for name in own.names[:1]]
    else:
        secure = _channel_credentials(access)
    hashed = access.token_file is not None and credentials.has_hashes(access.token_file)  # the server's own file
    metadata = metadata_of(None if hashed else _token(access))
    with grpc.secure_channel(address, secure, options) if secure else grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout, metadata=metadata)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _channel_credentials(access: Access) -> grpc.ChannelCredentials | None:
    own = credentials.read_identity(access.tls_cert, access.tls_key)
    if access.tls_ca is None:
        if own is not None:
            problem = "is missing: with tls_cert it must name the authorities that issued the server's certificate"
            raise SettingsError("tls_ca", problem)
        return None
    roots = credentials.read_authorities("tls_ca", access.tls_ca)
    if own is None:
        return grpc.ssl_channel_credentials(roots)
    return grpc.ssl_channel_credentials(roots, own.key, own.chain)


def _token(access: Access) -> str | None:
    return None if access.token_file is None else credentials.read_token(access.token_file)
