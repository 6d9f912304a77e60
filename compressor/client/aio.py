"""The asynchronous client.

gRPC's asyncio client loses the status of a call whose server ends it while it still writes (INTERNAL in 193 of 200
calls). So nothing is written before the initial metadata is there, and a failure in band wins over the status.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

import grpc

from compressor import inputs, wire
from compressor.client import transfer
from compressor.client.sync import Client
from compressor.client.transfer import Answer, Bytes, Cut, Input, Upload
from compressor.errors import BusyError, CompressorError, IncompleteError
from compressor.settings import Raw, Report, Result, Settings, Source, Tile
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

T = TypeVar("T")
Parts = Iterable[Bytes] | Iterable[Tile] | AsyncIterable[Bytes] | AsyncIterable[Tile]


class _Writer:
    """Writes an upload to a call, in a task beside the one that reads.

    reason  what the caller's own iterator raised, or None
    """

    def __init__(
        self, call: Any, upload: Upload[pb.CompressRequest], start: Iterable[pb.CompressRequest], parts: Parts
    ) -> None:
        self.reason: Exception | None = None
        self._call = call
        self._upload = upload
        self._task = asyncio.create_task(self._write(start, parts))

    async def _write(self, start: Iterable[pb.CompressRequest], parts: Parts) -> None:
        # A call that has ended refuses to be written to in several ways; the reader learns why.
        ended = (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError, grpc.aio.InternalError)
        with contextlib.suppress(*ended):
            await self._call.initial_metadata()
            for message in start:
                await self._call.write(message)
            async for part in self._watched(parts):
                for message in self._upload.messages(part):
                    await self._call.write(message)
            if self.reason is None:  # or the end without `finish` says that nothing is complete
                await self._call.write(self._upload.finish())
            await self._call.done_writing()

    async def _watched(self, parts: Parts) -> AsyncIterator[Bytes | Tile]:
        iterator = parts.__aiter__() if isinstance(parts, AsyncIterable) else _aside(parts)
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
        """Write no more."""
        self._task.cancel()
        await asyncio.wait([self._task])


async def _aside(parts: Iterable[Any]) -> AsyncIterator[Any]:
    """What a plain iterable gives, pulled on a thread: it may read from a disk."""
    iterator = iter(parts)
    end = object()
    while (part := await asyncio.to_thread(next, iterator, end)) is not end:
        yield part


class AsyncStream:
    """A result on its way: an asynchronous iterator of chunks; `source` is awaited, `report` stands at the end.

    Chunks that were followed by an error are void. Leaving the context before the end cancels the call.
    """

    def __init__(
        self, call: Any, upload: Upload[pb.CompressRequest], start: Iterable[pb.CompressRequest], cut: Cut
    ) -> None:
        self._answer = Answer(cut.notices)
        self._call = call
        self._writer = _Writer(call, upload, start, cut.parts)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if chunk := await self._pull():
                return chunk

    async def _pull(self) -> bytes:
        """Take one response: its chunk, or b"" where it carries none."""
        try:
            response = await self._call.read()
            if response is not grpc.aio.EOF:
                return self._answer.take(response)
            if await self._call.code() != grpc.StatusCode.OK:
                raise await _error_of(self._call)
            self._answer.finished()
        except grpc.aio.AioRpcError as error:
            raise self._writer.reason or transfer.error_of(error) from None
        except CompressorError as error:
            self._call.cancel()
            raise self._writer.reason or error from None
        raise StopAsyncIteration

    async def source(self) -> Source:
        """What the server recognised; waits for it."""
        while self._answer.source is None:
            try:
                await self._pull()
            except StopAsyncIteration:
                raise IncompleteError("the answer ended before it named the source") from None
        return self._answer.source

    @property
    def report(self) -> Report:
        """What was done; known after the last chunk."""
        return self._answer.finished()

    async def close(self) -> None:
        """Cancel the call, unless it has ended."""
        self._call.cancel()
        await self._writer.stop()

    async def __aenter__(self) -> "AsyncStream":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _error_of(call: Any) -> CompressorError:
    """The error that the status of a call stands for."""
    error = grpc.aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )
    return transfer.error_of(error)


class AsyncClient:
    """Has images compressed by a service, from an event loop. Settings and verbs are those of `Client`."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float | None = None,
        retries: int = 5,
        chunk_bytes: int = wire.CHUNK_BYTES,
        window_bytes: int = 1 << 20,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
    ) -> None:
        options = transfer.channel_options(window_bytes)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options)
        self._stub: Any = rpc.CompressorServiceStub(self._channel)
        # Connects when it is first used.
        self._client = Client(
            address, timeout=timeout, retries=retries, chunk_bytes=chunk_bytes, credentials=credentials, token=token
        )
        self._timeout = timeout
        self._retries = retries
        self._chunk_bytes = chunk_bytes
        self._metadata = transfer.metadata_of(token)

    async def compress(self, source: Input, **settings: Any) -> Result:
        """As `Client.compress`."""
        wanted = Settings(**settings)

        async def once(timeout: float | None) -> Result:
            async with self._stream(self._cut(source, wanted), wanted, timeout) as stream:
                data = b"".join([chunk async for chunk in stream])
                return Result(data, stream.report)

        replayable = not isinstance(source, AsyncIterable) and inputs.is_replayable(source)
        return await self._again(once, replayable)

    def stream(
        self, chunks: "Input | Parts", settings: Settings | None = None, *, raw: Raw | None = None
    ) -> AsyncStream:
        """As `Client.stream`; the chunks may come from an asynchronous iterator, too."""
        settings = settings or Settings()
        return self._stream(self._cut(chunks, settings, raw), settings, self._timeout)

    def _cut(self, source: "Input | Parts", settings: Settings, raw: Raw | None = None) -> Cut:
        if isinstance(source, AsyncIterable):
            return Cut(raw, source)
        return transfer.cut(source, self._chunk_bytes, settings, raw)

    def _stream(self, cut: Cut, settings: Settings, timeout: float | None) -> AsyncStream:
        upload = Upload(pb.CompressRequest, self._chunk_bytes)
        start = upload.start(settings, cut.raw)  # what can't be sent is refused before there is a call
        call = self._stub.Compress(timeout=timeout, metadata=self._metadata)
        return AsyncStream(call, upload, start, cut)

    async def inspect(self, source: Input, **settings: Any) -> Source:
        """As `Client.inspect`, and made by one, on a thread: a single response has no place for a failure in band."""
        return await asyncio.to_thread(self._client.inspect, source, **settings)

    async def _again(self, once: Callable[[float | None], Awaitable[T]], replayable: bool) -> T:
        """Call, and call again as long as the service is full and time is left."""
        end = None if self._timeout is None else time.monotonic() + self._timeout
        tries = 1 + (self._retries if replayable else 0)
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                return await once(left)
            except BusyError as error:
                tries -= 1
                await asyncio.sleep(transfer.pause_of(error, tries, end))

    async def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        await self._channel.close()
        self._client.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
