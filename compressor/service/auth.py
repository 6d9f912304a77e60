"""Authentication of gRPC clients by bearer tokens."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from compressor.service.tenants import Tenants, current_tenant

HEALTH = "/grpc.health."  # probes have no token
REFLECTION = "/grpc.reflection."


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Rejects calls without `authorization: Bearer TOKEN`, and sets `current_tenant` for the others.

    open_methods  beginnings of the methods that need no token
    on_rejected   called for each rejected call, with the name of its method and its context
    """

    def __init__(
        self, tenants: Tenants, open_methods: tuple[str, ...], on_rejected: Callable[[str, Any], None]
    ) -> None:
        self._tenants, self._open_methods, self._on_rejected = tenants, open_methods, on_rejected

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Return the call's own handler, or one that rejects it. Both run in the context of this coroutine."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(self._open_methods):
            return handler
        metadata = handler_call_details.invocation_metadata
        tenant = self._tenants.identify(value for key, value in metadata if key == "authorization")
        if tenant is None:
            method = handler_call_details.method.rpartition("/")[2]
            return _rejecting(handler, lambda context: self._on_rejected(method, context))
        current_tenant.set(tenant)
        return handler


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
