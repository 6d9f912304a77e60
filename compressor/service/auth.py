"""Who may call: TLS, client certificates and bearer tokens, from files."""

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from compressor.errors import SettingsError


def server_credentials(cert: str, key: str, client_ca: str | None) -> grpc.ServerCredentials:
    """TLS; with `client_ca`, for clients that show a certificate of that authority."""
    authority = Path(client_ca).read_bytes() if client_ca else None
    pair = (Path(key).read_bytes(), Path(cert).read_bytes())
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without `authorization: Bearer TOKEN`, but for gRPC's own services: probes have no token.

    refused  called for each
    """

    def __init__(self, token_file: str, refused: Callable[[], None]) -> None:
        self._refused = refused
        lines = Path(token_file).read_text().splitlines()
        self._tokens = [line.strip().encode() for line in lines if line.strip()]
        if not self._tokens:
            raise SettingsError("token_file", f"{token_file} has no token in it")

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The call's own handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith("/grpc."):
            return handler
        given = dict(handler_call_details.invocation_metadata).get("authorization", "")
        token = str(given).removeprefix("Bearer ").encode()
        found = [hmac.compare_digest(token, known) for known in self._tokens]  # all of them, in constant time
        if any(found):
            return handler
        self._refused()
        return _refusal(handler)


def _refusal(handler: Any) -> Any:
    async def stream(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "needs `authorization: Bearer TOKEN`")
        yield

    async def single(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "needs `authorization: Bearer TOKEN`")

    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(stream)
    return grpc.stream_unary_rpc_method_handler(single)
