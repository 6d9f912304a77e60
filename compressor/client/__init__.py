"""Clients of the service: `Client`, which is the one to take, and `AsyncClient` with the same verbs."""

from compressor.client.aio import AsyncClient, AsyncStream
from compressor.client.sync import Client, Stream, health
from compressor.settings import Result

__all__ = ["AsyncClient", "AsyncStream", "Client", "Result", "Stream", "health"]
