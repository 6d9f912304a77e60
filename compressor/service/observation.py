"""Observation of calls: the id of each, its metrics, its line in the log, and its span."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import grpc

from compressor.metrics import Account, Metrics
from compressor.service import request_id
from compressor.service.grpc_log import GrpcLogFilter
from compressor.service.request_id import CallMetadata
from compressor.service.request_log import log_request
from compressor.service.tracing import Tracing

GrpcContext = grpc.aio.ServicerContext[Any, Any]

# The account of the call that a task belongs to.
_current: ContextVar[Account | None] = ContextVar("account", default=None)


def _count_undelivered() -> None:
    account = _current.get()
    if account is not None:
        account.undelivered = True


# One for the process, as gRPC has one logger.
grpc_log_filter = GrpcLogFilter(_count_undelivered)


class CallObserver:
    """Observes the calls of one server.

    tracing  makes a span of each call; None: there are no traces
    """

    def __init__(self, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self._metrics, self._tracing = metrics, tracing

    @contextlib.contextmanager
    def observe(
        self,
        method: str,
        metadata: CallMetadata,
        peer: str,
        tenant: str | None = None,
        remaining_seconds: Callable[[], float | None] = lambda: None,
    ) -> Iterator[Account]:
        """Observe a call of any transport. One that ends without a status was canceled, or passed its deadline.

        method             name of the RPC
        metadata           of the call, with keys in lower case
        remaining_seconds  returns the time until its deadline; None if it has none
        """
        account = Account(self._metrics, method, request_id.request_id_of(metadata), peer, tenant)
        parent = None if self._tracing is None else self._tracing.parent_of(metadata)
        request_id.current.set(account.request_id)
        _current.set(account)
        try:
            yield account
        except (asyncio.CancelledError, GeneratorExit, grpc.aio.InternalError):
            account.lose_client()
            raise
        except Exception:
            account.end("UNKNOWN", reason="internal")
            raise
        finally:
            remaining = remaining_seconds()
            account.end("DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED")
            account.close()
            log_request(account, "" if self._tracing is None else self._tracing.record(account, parent))

    @contextlib.contextmanager
    def call(self, method: str, context: GrpcContext, tenant: str | None = None) -> Iterator[Account]:
        """Observe a call of gRPC. Its id goes into the trailing metadata."""
        metadata = context.invocation_metadata() or ()
        with self.observe(method, metadata, context.peer(), tenant, context.time_remaining) as account:
            context.set_trailing_metadata(((request_id.KEY, account.request_id),))
            yield account

    def reject_token(self, method: str, context: GrpcContext) -> None:
        """Observe a call that is rejected before its handler begins, for want of a valid token."""
        with self.call(method, context) as account:
            account.end("UNAUTHENTICATED", "unauthenticated")
