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
from typing import Any, NamedTuple, Unpack

import grpc

from compressor import inputs
from compressor.choices import SettingsFields
from compressor.client import transfer
from compressor.client.connection import Connection
from compressor.client.progress import Meter, OnCallProgress
from compressor.client.retries import Attempts
from compressor.client.sync import Client
from compressor.client.transfer import RequestBuilder, ResponseReader, SplitSource, Splitter
from compressor.errors import CallError, CompressorError, IncompleteError
from compressor.inputs import BytesLike, FileInput, Input, Kind
from compressor.results import Result
from compressor.settings import Raw, Report, Settings, Source, Tile, settings_of
from compressor.v1 import compressor_pb2 as pb

LOST = "Internal error from Core"  # details of such a status
# What an operation of a call that has ended raises.
ENDED = (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError, grpc.aio.InternalError)
UploadParts = Iterable[BytesLike] | Iterable[Tile] | AsyncIterable[BytesLike] | AsyncIterable[Tile]


class _Writer:
    """Writes the upload of an attempt, in a task of its own while another one reads.

    reason  the error of the source or of the caller's function that ended the call, or None
    begun   whether anything was read of the source
    """

    def __init__(
        self, call: Any, builder: RequestBuilder[Any], start: Iterable[Any], parts: UploadParts, meter: Meter
    ) -> None:
        self.reason: Exception | None = None
        self.begun = False
        self._call = call
        self._builder = builder
        self._meter = meter
        self._task = asyncio.create_task(self._write(start, parts))

    async def _write(self, start: Iterable[Any], parts: UploadParts) -> None:
        """Write until all is written or the call has ended. Any error ends the call: else its reader would wait."""
        try:
            if not await _has_done(self._call.initial_metadata()):
                return
            async for message in self._messages(start, parts):
                if not await _has_done(self._call.write(message)):
                    return
                self._meter.add(sent=self._meter.bytes_in(message))
            await _has_done(self._call.done_writing())
        except asyncio.CancelledError:  # by `stop`, or raised by the source
            self._call.cancel()
            raise
        except Exception as error:
            self.reason = error
            self._call.cancel()

    async def _messages(self, start: Iterable[Any], parts: UploadParts) -> AsyncIterator[Any]:
        for message in start:
            yield message
        self.begun = True
        async for part in parts if isinstance(parts, AsyncIterable) else _in_threads(parts):
            for message in self._builder.messages(part):
                yield message
        yield self._builder.finish()

    async def stop(self) -> None:
        """Stop writing."""
        self._task.cancel()
        await asyncio.wait([self._task])


async def _has_done(operation: Awaitable[object]) -> bool:
    """Return whether an operation of a call succeeded. If not, the call has ended, and its reader gets the reason."""
    try:
        await operation
    except ENDED:
        return False
    return True


async def _in_threads(parts: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield the items of a plain iterable, each read on a thread: it may read from a disk."""
    iterator = iter(parts)
    end = object()
    while (part := await asyncio.to_thread(next, iterator, end)) is not end:
        yield part


class _Attempt(NamedTuple):
    """One attempt of a call that streams its result."""

    call: Any
    writer: _Writer
    response: ResponseReader
    meter: Meter


class AsyncResultStream:
    """The result of a call: an asynchronous iterator of chunks. `source` is awaited; `report` follows the last chunk.

    Chunks followed by an error are invalid. Leaving the context before the end cancels the call.
    """

    def __init__(
        self, begin: Callable[[SplitSource, Attempts], _Attempt], split: Splitter, attempts: Attempts, replayable: bool
    ) -> None:
        self._begin = begin
        self._split = split
        self._attempts = attempts
        self._replayable = replayable
        self._has_returned_chunk = False  # then the call can't be repeated
        self._closed = asyncio.Event()
        self._chunk = b""  # received together with the source
        self._attempt = begin(split(), attempts)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._chunk = self._chunk, b""
        while not chunk:
            chunk = await self._pull()
        self._has_returned_chunk = True
        return chunk

    async def _pull(self) -> bytes:
        """Receive one message, of another attempt if one fails; return its chunk, or b"" if it has none."""
        while True:
            attempt = self._attempt
            try:
                message = await attempt.call.read()
                if message is not grpc.aio.EOF:
                    chunk = attempt.response.read(message)
                    break
                if await attempt.call.code() == grpc.StatusCode.OK:
                    attempt.response.finished()
                    raise StopAsyncIteration
                raise await _status_of(attempt.call)
            except grpc.aio.AioRpcError as error:
                if error.initial_metadata():  # sent before anything else
                    self._attempts.answered()
                failure = _error_of(error)
            except CompressorError as error:
                attempt.call.cancel()
                failure = error
            except asyncio.CancelledError:
                if attempt.writer.reason is None:
                    raise
                raise attempt.writer.reason from None
            await self._retry(failure)
        self._attempts.answered()
        attempt.meter.add(received=len(chunk))
        return chunk

    async def _retry(self, failure: CompressorError) -> None:
        """Begin another attempt after a pause. Raises `failure`, or the error that caused it, if there is none."""
        self._attempts.failed(failure)
        writer = self._attempt.writer
        if writer.reason is not None:
            raise writer.reason
        if self._has_returned_chunk:
            raise failure
        pause = self._attempts.pause(failure, self._replayable or not writer.begun)
        await writer.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), pause)
        if self._closed.is_set():  # by another task
            raise failure
        self._chunk = b""
        self._attempt = self._begin(self._split(), self._attempts)

    async def read(self) -> Result:
        """Return the whole result. Unlike iteration, it can repeat the call until it is complete."""
        chunks: list[bytes] = []
        while True:
            attempt = self._attempt
            try:
                chunk = await self._pull()
            except StopAsyncIteration:
                return Result(b"".join(chunks), self.report)
            if self._attempt is not attempt:
                chunks.clear()
            chunks.append(chunk)

    async def source(self) -> Source:
        """Return the source as the service recognized it; waits until it is known."""
        while (source := self._attempt.response.source) is None:
            try:
                self._chunk = await self._pull()
            except StopAsyncIteration:
                raise IncompleteError("the response ended before it named the source") from None
        return source

    @property
    def report(self) -> Report:
        """The report; known after the last chunk."""
        return self._attempt.response.finished()

    async def close(self) -> None:
        """Cancel the call, unless it has ended."""
        self._closed.set()
        self._attempt.call.cancel()
        await self._attempt.writer.stop()

    async def __aenter__(self) -> "AsyncResultStream":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _status_of(call: Any) -> grpc.aio.AioRpcError:
    """Return the status of a call that has failed."""
    return grpc.aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )


def _error_of(error: grpc.aio.AioRpcError) -> CompressorError:
    """Return the error of a status. One that gRPC lost during a write, without a failure in band, is a lost connection:
    2 of 16 uploads to a server that was killed."""
    if error.code() is grpc.StatusCode.INTERNAL and error.details() == LOST:
        return CallError("UNAVAILABLE", "the connection was lost during the upload")
    return transfer.error_of(error)


class AsyncClient(Connection):
    """A client for event loops. Its options are those of `Connection`, its methods and settings those of `Client`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Connects when it is first used.
        self._client = Client(**{one.name: getattr(self, one.name) for one in dataclasses.fields(self)})

    def _open_channel(self, target: str, options: list[tuple[str, int | str]]) -> grpc.aio.Channel:
        if self.credentials is None:
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(target, self.credentials, options)

    async def compress(
        self,
        image: "Input | AsyncIterable[BytesLike]",
        settings: Settings | None = None,
        *,
        on_progress: OnCallProgress | None = None,
        **keywords: Unpack[SettingsFields],
    ) -> Result:
        """Compress an image as `Client.compress` does; chunks may be asynchronous. A Pillow image is converted on a
        thread."""
        chosen = settings_of(settings, keywords)
        if not isinstance(image, AsyncIterable) and inputs.kind_of(image) is Kind.PICTURE:
            split = await asyncio.to_thread(self._splitter_of, image, chosen)
        else:
            split = self._splitter_of(image, chosen)
        replayable = _is_replayable(image)
        async with self._result("Compress", pb.CompressRequest, chosen, split, replayable, on_progress) as stream:
            return await stream.read()

    def stream(
        self,
        image: "Input | UploadParts",
        settings: Settings | None = None,
        *,
        raw: Raw | None = None,
        on_progress: OnCallProgress | None = None,
        **keywords: Unpack[SettingsFields],
    ) -> AsyncResultStream:
        """Compress an image as `Client.stream` does; chunks and tiles may be asynchronous.

        A Pillow image is converted before this returns, while the event loop waits: `compress` uses a thread.
        """
        chosen = settings_of(settings, keywords)
        split = self._splitter_of(image, chosen, raw)
        return self._result("Compress", pb.CompressRequest, chosen, split, _is_replayable(image), on_progress)

    def _splitter_of(self, image: Any, settings: Settings, raw: Raw | None = None) -> Splitter:
        if isinstance(image, AsyncIterable):
            return lambda: SplitSource(raw, image)
        return transfer.splitter_of(image, self.chunk_bytes, settings, raw)

    async def unarchive(
        self, image: "FileInput | AsyncIterable[BytesLike]", *, on_progress: OnCallProgress | None = None
    ) -> Result:
        """Make the JPEG of an archive again as `Client.unarchive` does."""
        async with self.unarchive_stream(image, on_progress=on_progress) as stream:
            return await stream.read()

    def unarchive_stream(
        self, image: "FileInput | AsyncIterable[BytesLike]", *, on_progress: OnCallProgress | None = None
    ) -> AsyncResultStream:
        """Make the JPEG of an archive again as `Client.unarchive_stream` does; chunks may be asynchronous."""
        is_async = isinstance(image, AsyncIterable)
        split = (lambda: SplitSource(None, image)) if is_async else transfer.splitter_of_file(image, self.chunk_bytes)
        return self._result("Unarchive", pb.UnarchiveRequest, None, split, _is_replayable(image), on_progress)

    def _result(
        self,
        method: str,
        request: type[pb.CompressRequest | pb.UnarchiveRequest],
        settings: Settings | None,
        split: Splitter,
        replayable: bool,
        on_progress: OnCallProgress | None,
    ) -> AsyncResultStream:
        """Begin the first attempt of a call that streams its result."""

        def begin(source: SplitSource, attempts: Attempts) -> _Attempt:
            builder: RequestBuilder[Any] = RequestBuilder(request, self.chunk_bytes)
            start = builder.start(settings, source.raw)  # raises for what can't be sent, before there is a call
            call = self._call(method, attempts)
            meter = Meter(on_progress, source.size)
            writer = _Writer(call, builder, start, source.parts, meter)
            return _Attempt(call, writer, ResponseReader(source.notices), meter)

        return AsyncResultStream(begin, split, self._attempts(), replayable)

    async def inspect(
        self,
        image: "Input | Iterable[Tile]",
        settings: Settings | None = None,
        *,
        raw: Raw | None = None,
        **keywords: Unpack[SettingsFields],
    ) -> Source:
        """Inspect an image with `Client.inspect`, on a thread: a unary response can't carry a failure in band."""
        return await asyncio.to_thread(self._client.inspect, image, settings, raw=raw, **keywords)

    async def close(self) -> None:
        """Close the connections; running calls are canceled."""
        for channel in self._channels:
            await channel.close()
        self._client.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _is_replayable(source: object) -> bool:
    if isinstance(source, AsyncIterable):
        return not isinstance(source, AsyncIterator)
    return inputs.is_replayable(source)
