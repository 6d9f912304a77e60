"""The asynchronous client.

gRPC's asyncio client loses the status of a call that the server ends while the client still writes (INTERNAL in 193 of
200 calls). So nothing is written before the initial metadata arrive, and a failure in band takes precedence over the
status.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

import grpc

from compressor import inputs
from compressor.client import transfer
from compressor.client.connection import Attempts, Connection
from compressor.client.sync import Client
from compressor.client.transfer import BytesLike, Input, RequestBuilder, ResponseReader, SplitSource
from compressor.errors import BusyError, CompressorError, IncompleteError
from compressor.settings import Raw, Report, Result, Settings, Source, Tile
from compressor.v1 import compressor_pb2 as pb

T = TypeVar("T")
UploadParts = Iterable[BytesLike] | Iterable[Tile] | AsyncIterable[BytesLike] | AsyncIterable[Tile]


class _Writer:
    """Writes an upload to a call, in a task of its own while another one reads.

    reason  the error that the caller's iterator raised, or None
    """

    def __init__(
        self,
        call: Any,
        builder: RequestBuilder[Any],
        start: Iterable[Any],
        parts: UploadParts,
    ) -> None:
        self.reason: Exception | None = None
        self._call = call
        self._builder = builder
        self._task = asyncio.create_task(self._write(start, parts))

    async def _write(self, start: Iterable[Any], parts: UploadParts) -> None:
        # Writing to a call that has ended raises one of several errors; the reader gets the reason.
        ended = (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError, grpc.aio.InternalError)
        with contextlib.suppress(*ended):
            await self._call.initial_metadata()
            for message in start:
                await self._call.write(message)
            async for part in self._parts_of(parts):
                for message in self._builder.messages(part):
                    await self._call.write(message)
            if self.reason is None:  # otherwise the missing `finish` marks the upload as incomplete
                await self._call.write(self._builder.finish())
            await self._call.done_writing()

    async def _parts_of(self, parts: UploadParts) -> AsyncIterator[BytesLike | Tile]:
        iterator = parts.__aiter__() if isinstance(parts, AsyncIterable) else _in_threads(parts)
        while True:
            try:
                part = await anext(iterator)
            except StopAsyncIteration:
                return
            except Exception as error:
                self.reason = error
                return
            yield part

    async def stop(self) -> None:
        """Stop writing."""
        self._task.cancel()
        await asyncio.wait([self._task])


async def _in_threads(parts: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield the items of a plain iterable, each read on a thread: it may read from a disk."""
    iterator = iter(parts)
    end = object()
    while (part := await asyncio.to_thread(next, iterator, end)) is not end:
        yield part


class AsyncResultStream:
    """The result of a call: an asynchronous iterator of chunks. `source` is awaited; `report` follows the last chunk.

    Chunks followed by an error are invalid. Leaving the context before the end cancels the call.
    """

    def __init__(
        self,
        call: Any,
        builder: RequestBuilder[Any],
        start: Iterable[Any],
        source: SplitSource,
    ) -> None:
        self._response = ResponseReader(source.notices)
        self._call = call
        self._chunk = b""  # received together with the source
        self._writer = _Writer(call, builder, start, source.parts)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._chunk = self._chunk, b""
        while not chunk:
            chunk = await self._pull()
        return chunk

    async def _pull(self) -> bytes:
        """Receive one message; return its chunk, or b"" if it has none."""
        try:
            response = await self._call.read()
            if response is not grpc.aio.EOF:
                return self._response.read(response)
            if await self._call.code() != grpc.StatusCode.OK:
                raise await _error_of(self._call)
            self._response.finished()
        except grpc.aio.AioRpcError as error:
            raise self._writer.reason or transfer.error_of(error) from None
        except CompressorError as error:
            self._call.cancel()
            raise self._writer.reason or error from None
        raise StopAsyncIteration

    async def source(self) -> Source:
        """Return the source as the service recognized it; waits until it is known."""
        while self._response.source is None:
            try:
                self._chunk = await self._pull()
            except StopAsyncIteration:
                raise IncompleteError("the response ended before it named the source") from None
        return self._response.source

    @property
    def report(self) -> Report:
        """The report; known after the last chunk."""
        return self._response.finished()

    async def close(self) -> None:
        """Cancel the call, unless it has ended."""
        self._call.cancel()
        await self._writer.stop()

    async def __aenter__(self) -> "AsyncResultStream":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _error_of(call: Any) -> CompressorError:
    """Return the error of the status of a call."""
    error = grpc.aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )
    return transfer.error_of(error)


class AsyncClient(Connection):
    """A client for event loops. Its options are those of `Connection`, its methods and settings those of `Client`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Connects when it is first used.
        self._client = Client(**{one.name: getattr(self, one.name) for one in dataclasses.fields(self)})

    def _open_channel(self, options: list[tuple[str, int]]) -> grpc.aio.Channel:
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, options)
        return grpc.aio.secure_channel(self.address, self.credentials, options)

    async def compress(self, source: Input, **settings: Any) -> Result:
        """Compress a source as `Client.compress` does."""
        checked = Settings(**settings)

        async def call(timeout: float | None) -> Result:
            async with self._stream(self._split(source, checked), checked, timeout) as stream:
                data = b"".join([chunk async for chunk in stream])
                return Result(data, stream.report)

        replayable = not isinstance(source, AsyncIterable) and inputs.is_replayable(source)
        return await self._retried(call, replayable)

    def stream(
        self, chunks: "Input | UploadParts", settings: Settings | None = None, *, raw: Raw | None = None
    ) -> AsyncResultStream:
        """Compress chunks as `Client.stream` does; they may also come from an asynchronous iterator."""
        settings = settings or Settings()
        return self._stream(self._split(chunks, settings, raw), settings, self.timeout)

    def _split(self, source: "Input | UploadParts", settings: Settings, raw: Raw | None = None) -> SplitSource:
        if isinstance(source, AsyncIterable):
            return SplitSource(raw, source)
        return transfer.split(source, self.chunk_bytes, settings, raw)

    def _stream(self, source: SplitSource, settings: Settings, timeout: float | None) -> AsyncResultStream:
        builder = RequestBuilder(pb.CompressRequest, self.chunk_bytes)
        start = builder.start(settings, source.raw)  # raises for what can't be sent, before there is a call
        call = self._stub.Compress(timeout=timeout, metadata=self._metadata)
        return AsyncResultStream(call, builder, start, source)

    async def unarchive(self, source: Input) -> Result:
        """Make the JPEG of an archive again as `Client.unarchive` does."""

        async def call(timeout: float | None) -> Result:
            async with self._unarchived(source, timeout) as stream:
                data = b"".join([chunk async for chunk in stream])
                return Result(data, stream.report)

        replayable = not isinstance(source, AsyncIterable) and inputs.is_replayable(source)
        return await self._retried(call, replayable)

    def unarchive_stream(self, chunks: "Input | AsyncIterable[BytesLike]") -> AsyncResultStream:
        """Make the JPEG of an archive again as `Client.unarchive_stream` does; chunks may be asynchronous."""
        return self._unarchived(chunks, self.timeout)

    def _unarchived(self, source: "Input | AsyncIterable[BytesLike]", timeout: float | None) -> AsyncResultStream:
        is_async = isinstance(source, AsyncIterable)
        split = SplitSource(None, source) if is_async else transfer.split_file(source, self.chunk_bytes)
        builder = RequestBuilder(pb.UnarchiveRequest, self.chunk_bytes)
        call = self._stub.Unarchive(timeout=timeout, metadata=self._metadata)
        return AsyncResultStream(call, builder, (), split)

    async def inspect(self, source: Input, **settings: Any) -> Source:
        """Inspect a source with `Client.inspect`, on a thread: a unary response can't carry a failure in band."""
        return await asyncio.to_thread(self._client.inspect, source, **settings)

    async def _retried(self, call: Callable[[float | None], Awaitable[T]], replayable: bool) -> T:
        attempts = Attempts(self, replayable)
        while True:
            try:
                return await call(attempts.timeout())
            except BusyError as error:
                await asyncio.sleep(attempts.pause(error))

    async def close(self) -> None:
        """Close the connection; running calls are canceled."""
        await self._channel.close()
        self._client.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
