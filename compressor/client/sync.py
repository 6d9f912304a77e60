"""The synchronous client. Unlike the asynchronous one, it always receives the status of a call."""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc

from compressor import inputs, wire
from compressor.client import transfer
from compressor.client.connection import Attempts, Connection
from compressor.client.transfer import Input, M, RequestBuilder, ResponseReader, SplitSource
from compressor.errors import BusyError, CompressorError, IncompleteError
from compressor.settings import Raw, Report, Result, Settings, Source, Tile
from compressor.v1 import compressor_pb2 as pb

T = TypeVar("T")


class _Requests(Generic[M]):
    """Requests that gRPC reads on a thread of its own.

    reason  the error that the caller's iterator raised there, or None

    Such an error ends the upload without `finish`, so that the server rejects it as incomplete.
    """

    def __init__(self, requests: Iterator[M]) -> None:
        self._requests = requests
        self.reason: Exception | None = None

    def __iter__(self) -> Iterator[M]:
        return self

    def __next__(self) -> M:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except Exception as error:
            self.reason = error
            raise StopIteration from None


class ResultStream:
    """The result of a call: an iterator of chunks, with `source` once it is known and `report` after the last chunk.

    Chunks followed by an error are invalid. Leaving the context before the end cancels the call.
    """

    def __init__(
        self, method: Callable[..., Any], requests: Iterator[Any], notices: tuple[str, ...], **options: Any
    ) -> None:
        self._response = ResponseReader(notices)
        self._requests = _Requests(requests)
        self._call = method(self._requests, **options)
        self._chunk = b""  # received together with the source

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self._chunk = self._chunk, b""
        while not chunk:
            chunk = self._pull()
        return chunk

    def _pull(self) -> bytes:
        """Receive one message; return its chunk, or b"" if it has none."""
        try:
            return self._response.read(next(self._call))
        except StopIteration:
            self._response.finished()
            raise
        except grpc.RpcError as error:
            raise self._requests.reason or transfer.error_of(error) from None
        except CompressorError as error:
            self._call.cancel()
            raise self._requests.reason or error from None

    @property
    def source(self) -> Source:
        """The source, as the service recognized it; waits until it is known."""
        while self._response.source is None:
            try:
                self._chunk = self._pull()
            except StopIteration:
                raise IncompleteError("the response ended before it named the source") from None
        return self._response.source

    @property
    def report(self) -> Report:
        """The report; known after the last chunk."""
        return self._response.finished()

    def close(self) -> None:
        """Cancel the call, unless it has ended."""
        self._call.cancel()

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

    Its options are those of `Connection`. Threads may share a client: it is one connection.
    """

    def _open_channel(self, options: list[tuple[str, int]]) -> grpc.Channel:
        if self.credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, self.credentials, options)

    def compress(self, source: Input, **settings: Any) -> Result:
        """Compress bytes, a path, a binary file, a NumPy array (h, w) or (h, w, c) of uint8, a Pillow image, or chunks.

        A call that is rejected as busy is retried, unless the source is a file or an iterator, which can be read once.
        Raises the errors of compressor.errors that the service raised, and CallError for any other failure.
        """
        checked = Settings(**settings)

        def call(timeout: float | None) -> Result:
            with self._stream(transfer.split(source, self.chunk_bytes, checked), checked, timeout) as stream:
                data = b"".join(stream)
                return Result(data, stream.report)

        return self._retried(call, inputs.is_replayable(source))

    def stream(
        self, chunks: "Input | Iterable[Tile]", settings: Settings | None = None, *, raw: Raw | None = None
    ) -> ResultStream:
        """Compress chunks as they arrive (with `raw`: tiles), or any source of `compress`. Use it as a context manager.

        A failed call is not retried.
        """
        settings = settings or Settings()
        return self._stream(transfer.split(chunks, self.chunk_bytes, settings, raw), settings, self.timeout)

    def _stream(self, source: SplitSource, settings: Settings, timeout: float | None) -> ResultStream:
        requests = RequestBuilder(pb.CompressRequest, self.chunk_bytes).all(settings, source)
        return ResultStream(self._stub.Compress, requests, source.notices, timeout=timeout, metadata=self._metadata)

    def unarchive(self, source: Input) -> Result:
        """Make the JPEG of an archive again: bytes, a path, a binary file or chunks. Retries and errors are those of
        `compress`."""

        def call(timeout: float | None) -> Result:
            with self._unarchived(transfer.split_file(source, self.chunk_bytes), timeout) as stream:
                data = b"".join(stream)
                return Result(data, stream.report)

        return self._retried(call, inputs.is_replayable(source))

    def unarchive_stream(self, chunks: Input) -> ResultStream:
        """Make the JPEG of an archive again, of chunks as they arrive. Use it as `stream`."""
        return self._unarchived(transfer.split_file(chunks, self.chunk_bytes), self.timeout)

    def _unarchived(self, source: SplitSource, timeout: float | None) -> ResultStream:
        requests = RequestBuilder(pb.UnarchiveRequest, self.chunk_bytes).all(None, source)
        return ResultStream(self._stub.Unarchive, requests, (), timeout=timeout, metadata=self._metadata)

    def inspect(self, source: Input, **settings: Any) -> Source:
        """Return the source as the service recognizes it, and the memory it would reserve. Needs only the header."""
        checked = Settings(**settings)

        def call(timeout: float | None) -> Source:
            split = transfer.split(source, self.chunk_bytes, checked)
            builder = RequestBuilder(pb.InspectRequest, self.chunk_bytes)
            requests = _Requests(builder.all(checked, split))
            try:
                response = self._stub.Inspect(requests, timeout=timeout, metadata=self._metadata)
            except grpc.RpcError as error:
                raise requests.reason or transfer.error_of(error) from None
            return wire.source_from_proto(response.source)

        return self._retried(call, inputs.is_replayable(source))

    def _retried(self, call: Callable[[float | None], T], replayable: bool) -> T:
        attempts = Attempts(self, replayable)
        while True:
            try:
                return call(attempts.timeout())
            except BusyError as error:
                time.sleep(attempts.pause(error))

    def close(self) -> None:
        """Close the connection; running calls are canceled."""
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
