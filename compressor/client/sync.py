"""The synchronous client: one thread's view of a call, and always the right status."""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc

from compressor import inputs, wire
from compressor.client import transfer
from compressor.client.transfer import Answer, Cut, Input, M, Upload
from compressor.errors import BusyError, CompressorError, IncompleteError
from compressor.settings import Raw, Report, Result, Settings, Source, Tile
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

T = TypeVar("T")


class _Requests(Generic[M]):
    """Requests, which gRPC pulls on a thread of its own, and what the caller's own iterator raised there.

    An error of theirs ends the upload without `finish`: the server takes nothing for complete, and answers so.
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


class Stream:
    """A result on its way: an iterator of chunks, with `source` as soon as it is known and `report` at the end.

    Chunks that were followed by an error are void. Leaving the context before the end cancels the call.
    """

    def __init__(
        self, stub: Any, requests: Iterator[pb.CompressRequest], notices: tuple[str, ...], **options: Any
    ) -> None:
        self._answer = Answer(notices)
        self._requests = _Requests(requests)
        self._call = stub.Compress(self._requests, **options)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            if chunk := self._pull():
                return chunk

    def _pull(self) -> bytes:
        """Take one response: its chunk, or b"" where it carries none."""
        try:
            return self._answer.take(next(self._call))
        except StopIteration:
            self._answer.finished()
            raise
        except grpc.RpcError as error:
            raise self._requests.reason or transfer.error_of(error) from None
        except CompressorError as error:
            self._call.cancel()
            raise self._requests.reason or error from None

    @property
    def source(self) -> Source:
        """What the server recognised; waits for it."""
        while self._answer.source is None:
            try:
                self._pull()
            except StopIteration:
                raise IncompleteError("the answer ended before it named the source") from None
        return self._answer.source

    @property
    def report(self) -> Report:
        """What was done; known after the last chunk."""
        return self._answer.finished()

    def close(self) -> None:
        """Cancel the call, unless it has ended."""
        self._call.cancel()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Client:
    """Has images compressed by a service.

        with Client("localhost:50051") as client:
            result = client.compress("photo.jpg", quality=80)

    timeout       seconds for a call with all its retries; None: no limit
    retries       how often a call that found the service full is made again, after the time the service asks for
    chunk_bytes   of image in a message
    window_bytes  HTTP/2 window of a call: what may arrive before it is read. It caps a download at window / RTT
    credentials   of grpc.ssl_channel_credentials(…) for TLS
    token         sent as `authorization: Bearer TOKEN`
    Threads may share a client: it is one connection.
    """

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
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options)
        self._stub = rpc.CompressorServiceStub(self._channel)
        self._timeout = timeout
        self._retries = retries
        self._chunk_bytes = chunk_bytes
        self._metadata = transfer.metadata_of(token)

    def compress(self, source: Input, **settings: Any) -> Result:
        """Compress bytes, a path, a binary file, a NumPy array (h, w) or (h, w, c) of uint8, a Pillow image, or chunks.

        Where the service is full, the call is made again, unless the source is a file or an iterator, which is used up.
        Raises the errors of compressor.errors as the service raised them, and CallError for the rest.
        """
        wanted = Settings(**settings)

        def once(timeout: float | None) -> Result:
            with self._stream(transfer.cut(source, self._chunk_bytes, wanted), wanted, timeout) as stream:
                data = b"".join(stream)
                return Result(data, stream.report)

        return self._again(once, inputs.is_replayable(source))

    def stream(
        self, chunks: "Input | Iterable[Tile]", settings: Settings | None = None, *, raw: Raw | None = None
    ) -> Stream:
        """Compress chunks, or with `raw` tiles, as they come, or what `compress` takes; use it as a context.

        A failed call is not repeated.
        """
        settings = settings or Settings()
        return self._stream(transfer.cut(chunks, self._chunk_bytes, settings, raw), settings, self._timeout)

    def _stream(self, cut: Cut, settings: Settings, timeout: float | None) -> Stream:
        requests = Upload(pb.CompressRequest, self._chunk_bytes).all(settings, cut.raw, cut.parts)
        return Stream(self._stub, requests, cut.notices, timeout=timeout, metadata=self._metadata)

    def inspect(self, source: Input, **settings: Any) -> Source:
        """What the service recognises in a source and would reserve for it. Only the header has to arrive."""
        wanted = Settings(**settings)

        def once(timeout: float | None) -> Source:
            cut = transfer.cut(source, self._chunk_bytes, wanted)
            requests = _Requests(Upload(pb.InspectRequest, self._chunk_bytes).all(wanted, cut.raw, cut.parts))
            try:
                response = self._stub.Inspect(requests, timeout=timeout, metadata=self._metadata)
            except grpc.RpcError as error:
                raise requests.reason or transfer.error_of(error) from None
            return wire.source_from_proto(response.source)

        return self._again(once, inputs.is_replayable(source))

    def _again(self, once: Callable[[float | None], T], replayable: bool) -> T:
        """Call, and call again as long as the service is full and time is left."""
        end = None if self._timeout is None else time.monotonic() + self._timeout
        tries = 1 + (self._retries if replayable else 0)
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                return once(left)
            except BusyError as error:
                tries -= 1
                time.sleep(transfer.pause_of(error, tries, end))

    def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
