"""Connections to a service that asks for TLS, client certificates or tokens, by files."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from compressor import credentials
from compressor.client import transfer
from compressor.client.sync import Client
from compressor.errors import SettingsError
from compressor.settings import Access

PLAINTEXT = Access()


def connect(address: str, access: Access = PLAINTEXT, **options: Any) -> Client:
    """Return a client with the credentials that files hold. Raises SettingsError where they can't be used.

    options  of Client
    """
    return Client(address, credentials=_channel_credentials(access), token=_token(access), **options)


def check_access(access: Access) -> None:
    """Raise SettingsError where the files can't be used, before anything is begun that needs them."""
    _channel_credentials(access)
    _token(access)


def health(address: str, timeout: float = 3.0, access: Access = PLAINTEXT) -> bool:
    """Return whether the service at `address` takes calls.

    With a certificate and no `tls_ca` the service must have that very certificate, under whatever address it is asked:
    so a probe that runs beside a server needs nothing but the server's own settings.
    """
    own = credentials.identity(access.tls_cert, access.tls_key)
    options: list[tuple[str, str]] = []
    if own is not None and access.tls_ca is None:
        secure: grpc.ChannelCredentials | None = grpc.ssl_channel_credentials(own.leaf, own.key, own.chain)
        options = [("grpc.ssl_target_name_override", name.replace("*", "probe")) for name in own.names[:1]]
    else:
        secure = _channel_credentials(access)
    metadata = transfer.metadata_of(_token(access))
    with grpc.secure_channel(address, secure, options) if secure else grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout, metadata=metadata)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _channel_credentials(access: Access) -> grpc.ChannelCredentials | None:
    own = credentials.identity(access.tls_cert, access.tls_key)
    if access.tls_ca is None:
        if own is not None:
            problem = "is missing: with tls_cert it must name the authorities that the server's certificate comes from"
            raise SettingsError("tls_ca", problem)
        return None
    roots = credentials.authorities("tls_ca", access.tls_ca)
    if own is None:
        return grpc.ssl_channel_credentials(roots)
    return grpc.ssl_channel_credentials(roots, own.key, own.chain)


def _token(access: Access) -> str | None:
    return None if access.token_file is None else credentials.tokens(access.token_file)[0]
