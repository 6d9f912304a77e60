"""Authentication of clients: TLS, client certificates and bearer tokens, from files."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from compressor import credentials
from compressor.errors import SettingsError


def server_credentials(cert: str | None, key: str | None, client_ca: str | None) -> grpc.ServerCredentials | None:
    """Return the credentials of a TLS port, or None if none of the three is given.

    client_ca  clients must present a certificate of one of these authorities

    Raises SettingsError for an incomplete configuration and for files that can't be used.
    """
    own = credentials.read_identity(cert, key)
    if own is None:
        if client_ca is not None:
            raise SettingsError("tls_client_ca", "needs tls_cert and tls_key: without them the port does not speak TLS")
        return None
    authority = None if client_ca is None else credentials.read_authorities("tls_client_ca", client_ca)
    return grpc.ssl_server_credentials([(own.key, own.chain)], authority, require_client_auth=authority is not None)


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Rejects calls without `authorization: Bearer TOKEN`, except those of gRPC's own services: probes have no token.

    on_rejected  called for each, with the name of its method and its context
    """

    def __init__(self, token_file: str, on_rejected: Callable[[str, Any], None]) -> None:
        self._on_rejected = on_rejected
        self._tokens = [token.encode() for token in credentials.read_tokens(token_file)]

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Return the call's own handler, or one that rejects it."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith("/grpc."):
            return handler
        given = dict(handler_call_details.invocation_metadata).get("authorization", "")
        token = str(given).removeprefix("Bearer ").encode()
        found = [hmac.compare_digest(token, known) for known in self._tokens]  # all of them, in constant time
        if any(found):
            return handler
        method = handler_call_details.method.rpartition("/")[2]
        return _rejecting(handler, lambda context: self._on_rejected(method, context))


def _rejecting(handler: Any, on_rejected: Callable[[Any], None]) -> Any:
    async def stream(request: Any, context: Any) -> Any:
        on_rejected(context)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "needs `authorization: Bearer TOKEN`")
        yield

    async def single(request: Any, context: Any) -> Any:
        on_rejected(context)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "needs `authorization: Bearer TOKEN`")

    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(stream)
    return grpc.stream_unary_rpc_method_handler(single)
