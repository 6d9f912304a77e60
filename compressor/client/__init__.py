"""Clients of the service: `Client`, and `AsyncClient` with the same methods for event loops. Prefer `Client`."""

from compressor.client.access import check_access, connect, health
from compressor.client.aio import AsyncClient, AsyncResultStream
from compressor.client.progress import Progress
from compressor.client.sync import Client, ResultStream
from compressor.settings import Access, Result

__all__ = [
    "Access",
    "AsyncClient",
    "AsyncResultStream",
    "Client",
    "Progress",
    "Result",
    "ResultStream",
    "check_access",
    "connect",
    "health",
]
