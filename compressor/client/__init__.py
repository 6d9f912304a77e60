"""Clients of the service: `Client`, which is the one to take, and `AsyncClient` with the same verbs."""

from compressor.client.access import check_access, connect, health
from compressor.client.aio import AsyncClient, AsyncStream
from compressor.client.sync import Client, Stream
from compressor.settings import Access, Result

__all__ = ["Access", "AsyncClient", "AsyncStream", "Client", "Result", "Stream", "check_access", "connect", "health"]
