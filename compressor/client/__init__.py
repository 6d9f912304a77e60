"""Clients of the service: `Client`, and `AsyncClient` with the same methods for event loops. Prefer `Client`."""

from compressor.client.access import check_access, connect, health
from compressor.client.aio import AsyncClient, AsyncResultStream
from compressor.client.progress import CallProgress
from compressor.client.sync import Client, ResultStream
from compressor.results import Result
from compressor.settings import Access

__all__ = [
    "Access",
    "AsyncClient",
    "AsyncResultStream",
    "CallProgress",
    "Client",
    "Result",
    "ResultStream",
    "check_access",
    "connect",
    "health",
]
