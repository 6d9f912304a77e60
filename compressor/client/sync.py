"""The synchronous client. Unlike the asynchronous one, it always receives the status of a call."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, NamedTuple, Unpack

import grpc

from compressor import inputs, wire
from compressor.choices import SettingsFields
from compressor.client import transfer
from compressor.client.connection import Connection
from compressor.client.progress import Meter, OnCallProgress
from compressor.client.retries import Attempts
from compressor.client.transfer import M, RequestBuilder, ResponseReader, SplitSource, Splitter
from compressor.errors import CompressorError, IncompleteError
from compressor.inputs import FileInput, Input
from compressor.results import Result
from compressor.settings import Raw, Report, Settings, Source, Tile, settings_of
from compressor.v1 import compressor_pb2 as pb

READING_SECONDS = 0.1  # the settings take microseconds; any longer, and gRPC's thread reads the caller's iterator


class _Requests(Generic[M]):
    """The requests of an attempt, which gRPC reads on a thread of its own.

    reason  the error that the caller's iterator raised there, or None

    Such an error ends the upload without `finish`, so that the server rejects it as incomplete.
    """

    def __init__(self, builder: RequestBuilder[M], requests: Iterator[M], meter: Meter) -> None:
        self._builder = builder
        self._requests = requests
        self._meter = meter
        self._unsent = 0  # bytes of the last message; gRPC has accepted it when it asks for the next one
        self._abandoned = self._is_closed = False
        self._lock = threading.Lock()
        self.reason: Exception | None = None

    def __iter__(self) -> Iterator[M]:
        return self

    def __next__(self) -> M:
        with self._lock:
            try:
                if self._abandoned:
                    raise StopIteration
                unsent, self._unsent = self._unsent, 0
                self._meter.add(sent=unsent)
                message = next(self._requests)
                self._unsent = self._meter.bytes_in(message)
                return message
            except StopIteration:
                raise
            except Exception as error:
                self.reason = error
                raise StopIteration from None
            finally:
                if self._is_closed:
                    self._requests = iter(())

    def abandon(self) -> bool:
        """Let gRPC's thread read no more. Return whether nothing of the source was read."""
        if self._builder.begun or not self._lock.acquire(timeout=READING_SECONDS):
            return False
        self._abandoned = True
        self._lock.release()
        return not self._builder.begun

    def close(self) -> None:
        """Free the source, which may have a file open. If gRPC's thread reads from it, that frees it afterwards."""
        self._is_closed = True
        if self._lock.acquire(timeout=READING_SECONDS):
            self._requests = iter(())
            self._lock.release()


class _Attempt(NamedTuple):
    """One attempt of a call that streams its result."""

    call: Any
    requests: "_Requests[Any]"
    response: ResponseReader
    meter: Meter


class ResultStream:
    """The result of a call: an iterator of chunks, with `source` once it is known and `report` after the last chunk.

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
        self._closed = threading.Event()
        self._chunk = b""  # received together with the source
        self._attempt = begin(split(), attempts)

    @property
    def _call(self) -> Any:
        return self._attempt.call

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self._chunk = self._chunk, b""
        while not chunk:
            chunk = self._pull()
        self._has_returned_chunk = True
        return chunk

    def _pull(self) -> bytes:
        """Receive one message, of another attempt if one fails; return its chunk, or b"" if it has none."""
        while True:
            attempt = self._attempt
            try:
                chunk = attempt.response.read(next(attempt.call))
            except StopIteration:
                attempt.response.finished()
                raise
            except grpc.RpcError as error:
                if attempt.call.initial_metadata():  # sent before anything else
                    self._attempts.answered()
                failure = transfer.error_of(error)
            except CompressorError as error:
                attempt.call.cancel()
                failure = error
            else:
                self._attempts.answered()
                attempt.meter.add(received=len(chunk))
                return chunk
            self._retry(failure)

    def _retry(self, failure: CompressorError) -> None:
        """Begin another attempt after a pause. Raises `failure`, or the error that caused it, if there is none."""
        self._attempts.failed(failure)
        requests = self._attempt.requests
        if requests.reason is not None:
            raise requests.reason
        if self._has_returned_chunk:
            raise failure
        if self._closed.wait(self._attempts.pause(failure, requests.abandon() or self._replayable)):
            raise failure
        self._chunk = b""
        requests.close()
        self._attempt = self._begin(self._split(), self._attempts)
        if self._closed.is_set():  # by another thread, which may have found only the attempt before this one
            self.close()
            raise failure

    def read(self) -> Result:
        """Return the whole result. Unlike iteration, it can repeat the call until it is complete."""
        chunks: list[bytes] = []
        while True:
            attempt = self._attempt
            try:
                chunk = self._pull()
            except StopIteration:
                return Result(b"".join(chunks), self.report)
            if self._attempt is not attempt:
                chunks.clear()
            chunks.append(chunk)

    @property
    def source(self) -> Source:
        """The source, as the service recognized it; waits until it is known."""
        while (source := self._attempt.response.source) is None:
            try:
                self._chunk = self._pull()
            except StopIteration:
                raise IncompleteError("the response ended before it named the source") from None
        return source

    @property
    def report(self) -> Report:
        """The report; known after the last chunk."""
        return self._attempt.response.finished()

    def close(self) -> None:
        """Cancel the call, unless it has ended."""
        self._closed.set()
        self._call.cancel()
        self._attempt.requests.close()
        self._split = transfer.no_source  # free the source: the traceback of an error keeps the stream

    def __enter__(self) -> "ResultStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Client(Connection):
    """A client that sends images to a service to be compressed.

        with Client("localhost:50051") as client:
            result = client.compress("photo.jpg", quality=80)

    Its options are those of `Connection`. Threads may share a client: it is one connection to each server.
    """

    def _open_channel(self, target: str, options: list[tuple[str, int | str]]) -> grpc.Channel:
        if self.credentials is None:
            return grpc.insecure_channel(target, options)
        return grpc.secure_channel(target, self.credentials, options)

    def compress(
        self,
        image: "Input",
        settings: Settings | None = None,
        *,
        on_progress: OnCallProgress | None = None,
        **keywords: Unpack[SettingsFields],
    ) -> Result:
        """Compress an image, and return the result in memory.

        A call that is rejected as busy, or whose connection is lost, is retried. A file or an iterator can be read
        once: with these, only if nothing of it was read.
        Raises the errors of compressor.errors that the service raised, and CallError for any other failure.

        image        bytes, a path, a binary file, a NumPy array (h, w) or (h, w, 1 to 4) of uint8, a Pillow image, or
                     chunks
        settings     of the call; None: the defaults
        on_progress  called with a CallProgress after each message, on the thread that moves it: it must return soon
        keywords     fields of `Settings`, in place of those of `settings`
        """
        with self.stream(image, settings, on_progress=on_progress, **keywords) as stream:
            return stream.read()

    def stream(
        self,
        image: "Input | Iterable[Tile]",
        settings: Settings | None = None,
        *,
        raw: Raw | None = None,
        on_progress: OnCallProgress | None = None,
        **keywords: Unpack[SettingsFields],
    ) -> ResultStream:
        """Compress any image of `compress`, chunks as they arrive; with `raw`, tiles. Use it as a context manager.

        A call is retried as by `compress`, but not after the first chunk of the result was returned.
        """
        chosen = settings_of(settings, keywords)
        split = transfer.splitter_of(image, self.chunk_bytes, chosen, raw)
        return self._result("Compress", pb.CompressRequest, chosen, split, inputs.is_replayable(image), on_progress)

    def unarchive(self, image: FileInput, *, on_progress: OnCallProgress | None = None) -> Result:
        """Make the JPEG of an archive again: bytes, a path, a binary file or chunks. Retries and errors are those of
        `compress`."""
        with self.unarchive_stream(image, on_progress=on_progress) as stream:
            return stream.read()

    def unarchive_stream(self, image: FileInput, *, on_progress: OnCallProgress | None = None) -> ResultStream:
        """Make the JPEG of an archive again, of chunks as they arrive. Use it as `stream`."""
        split = transfer.splitter_of_file(image, self.chunk_bytes)
        return self._result("Unarchive", pb.UnarchiveRequest, None, split, inputs.is_replayable(image), on_progress)

    def _result(
        self,
        method: str,
        request: type[pb.CompressRequest | pb.UnarchiveRequest],
        settings: Settings | None,
        split: Splitter,
        replayable: bool,
        on_progress: OnCallProgress | None,
    ) -> ResultStream:
        """Begin the first attempt of a call that streams its result."""

        def begin(source: SplitSource, attempts: Attempts) -> _Attempt:
            builder: RequestBuilder[Any] = RequestBuilder(request, self.chunk_bytes)
            meter = Meter(on_progress, source.size)
            requests = _Requests(builder, builder.all(settings, source), meter)
            call = self._call(method, attempts, requests)
            return _Attempt(call, requests, ResponseReader(source.notices), meter)

        return ResultStream(begin, split, self._attempts(), replayable)

    def inspect(
        self,
        image: "Input | Iterable[Tile]",
        settings: Settings | None = None,
        *,
        raw: Raw | None = None,
        **keywords: Unpack[SettingsFields],
    ) -> Source:
        """Return the source as the service recognizes it, and the memory it would reserve. Needs only the header."""
        chosen = settings_of(settings, keywords)
        split = transfer.splitter_of(image, self.chunk_bytes, chosen, raw)
        attempts, replayable = self._attempts(), inputs.is_replayable(image)
        while True:
            builder = RequestBuilder(pb.InspectRequest, self.chunk_bytes)
            requests = _Requests(builder, builder.all(chosen, split()), Meter(None, None))
            try:
                response = self._call("Inspect", attempts, requests)
                attempts.answered()
                return wire.source_from_proto(response.source)
            except grpc.RpcError as error:
                status: Any = error
                if status.initial_metadata():
                    attempts.answered()
                failure = transfer.error_of(error)
            finally:
                requests.close()
            attempts.failed(failure)
            if requests.reason is not None:
                raise requests.reason
            time.sleep(attempts.pause(failure, requests.abandon() or replayable))

    def close(self) -> None:
        """Close the connections; running calls are canceled."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
