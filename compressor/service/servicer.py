"""CompressorService: moves messages between gRPC and the pipes of a call. The pipeline makes all decisions."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from compressor import wire
from compressor.calls.call import IMMEDIATE_BYTES_MAX, Call, Codec, Output, Trailer
from compressor.calls.pipe import ClosedError
from compressor.calls.threads import CallThreads
from compressor.calls.upload import Finish, UploadPart
from compressor.errors import BusyError, IdleError, IncompleteError, SettingsError
from compressor.footprint import Basis
from compressor.metrics import Account, Metrics
from compressor.service import status
from compressor.settings import VERSION
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

GrpcContext = grpc.aio.ServicerContext[Any, Any]
Response = TypeVar("Response", pb.CompressResponse, pb.UnarchiveResponse)
Work = Callable[[Call], None]

RETRY_SECONDS = 1.0
FILE_PARTS = ("chunk", "finish")


class CompressorService(rpc.CompressorServiceServicer):
    """The RPCs.

    idle_seconds          how long a call waits for its client
    max_concurrent_calls  calls that run at a time, each on a thread; any other is rejected as busy
    draining              sent in the initial metadata, so that clients can use another server
    had_activity          whether anything has arrived or ended since this was set to False
    """

    def __init__(
        self, codec: Codec, metrics: Metrics, footprint: Basis, *, idle_seconds: float, max_concurrent_calls: int
    ) -> None:
        self._codec = codec
        self._footprint = footprint
        self._metrics = metrics
        self._idle_seconds = idle_seconds
        self._threads = CallThreads(max_concurrent_calls)
        self.draining = False
        self.had_activity = False

    # `request_iterator` is not used: it keeps each message until the next one is requested.

    async def Compress(self, request_iterator: object, context: GrpcContext) -> AsyncIterator[pb.CompressResponse]:
        """Stream one image through the codec. A generator: only that learns of a canceled call at once."""
        with self._account(context) as account:
            try:
                async with contextlib.aclosing(
                    self._streamed(pb.CompressResponse, Call.compress, context, account)
                ) as it:
                    async for response in it:
                        yield response
                        del response
            finally:
                account.count_outcome()

    async def Unarchive(self, request_iterator: object, context: GrpcContext) -> AsyncIterator[pb.UnarchiveResponse]:
        """Stream one archive through the codec."""
        with self._account(context) as account:
            async with contextlib.aclosing(
                self._streamed(pb.UnarchiveResponse, Call.unarchive, context, account)
            ) as it:
                async for response in it:
                    yield response
                    del response

    async def _streamed(
        self, kind: type[Response], work: Work, context: GrpcContext, account: Account
    ) -> AsyncGenerator[Response, None]:
        """Yield the responses to a call."""
        with self._call(work, context, account) as call:
            await context.send_initial_metadata(self._identity())
            try:
                while (item := await call.outbox.get(IMMEDIATE_BYTES_MAX)) is not None:
                    response = self._response(kind, item, account)
                    del item
                    yield response
                    del response
                account.end("OK")
            except Exception as error:
                failure = _failure(error, account)
                # In band first: a client that is still writing may not receive the status.
                yield kind(failure=failure)
                await call.linger()
                await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))

    async def Inspect(self, request_iterator: object, context: GrpcContext) -> pb.InspectResponse:
        """Answer from the header."""
        with self._account(context) as account, self._call(Call.inspect, context, account) as call:
            await context.send_initial_metadata(self._identity())
            try:
                output = await call.outbox.get()
                assert isinstance(output, Output) and output.source is not None
                account.source = output.source
                account.end("OK")
                return pb.InspectResponse(source=wire.source_to_proto(output.source))
            except Exception as error:
                failure = _failure(error, account)
                await call.linger()
                await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))
                raise

    def _response(self, kind: type[Response], item: bytes | Output, account: Account) -> Response:
        """Return an item of the outbox as a message, and count it."""
        output = Output(chunk=item) if isinstance(item, bytes) else item
        source = report = None
        if output.source is not None:
            account.source = output.source
            source = wire.source_to_proto(output.source)
        if output.chunk is not None:
            account.sent(len(output.chunk))
        if output.trailer is not None:
            account.report = output.trailer.report
            report = self._report(output.trailer)
        fields: dict[str, Any] = {"source": source, "chunk": output.chunk, "report": report}
        if sum(value is not None for value in fields.values()) > 1:
            return kind(parts=pb.ResponseParts(**fields))
        return kind(**fields)

    def _report(self, trailer: Trailer) -> pb.Report:
        report = trailer.report
        footprint = self._footprint.footprint_of(report.cpu_seconds, report.memory_byte_seconds)
        report = dataclasses.replace(report, footprint=footprint)
        return wire.report_to_proto(report, trailer.bytes_out, trailer.crc32c)

    def _identity(self) -> tuple[tuple[str, str], ...]:
        return (("compressor-version", VERSION), ("compressor-draining", str(self.draining).lower()))

    @contextlib.contextmanager
    def _account(self, context: GrpcContext) -> Iterator[Account]:
        """Count a call. One that ends without an outcome was canceled, or passed its deadline."""
        account = Account(self._metrics)
        try:
            yield account
        finally:
            remaining = context.time_remaining()
            account.end("DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED")
            account.close()
            self.had_activity = True

    @contextlib.contextmanager
    def _call(self, work: Work, context: GrpcContext, account: Account) -> Iterator[Call]:
        """Open a call and feed it with what the client sends until the context closes."""
        remaining = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        tasks = set[asyncio.Task[None]]()

        def abort(error: IdleError) -> None:
            tasks.add(asyncio.create_task(self._abort(error, context, account)))

        with Call(self._codec, self._idle_seconds, self._metrics.spent, abort, deadline) as call:
            call.feeding = asyncio.create_task(self._feed(call, work, context, account))
            tasks.add(call.feeding)
            try:
                yield call
            finally:
                for task in tasks:
                    task.cancel()

    async def _abort(self, error: IdleError, context: GrpcContext, account: Account) -> None:
        """End a call whose client does not read; its handler can't, since it waits for that client."""
        failure = _failure(error, account)
        with contextlib.suppress(grpc.aio.AbortError):
            await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))

    async def _feed(self, call: Call, work: Work, context: GrpcContext, account: Account) -> None:
        """Move parts from the client into the inbox; the first one starts the work."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                finished = await self._next(call, context, account)
            if not call.start(work, self._threads):
                raise BusyError("too many calls are running", RETRY_SECONDS)
        except TimeoutError:
            call.outbox.end(IdleError(f"nothing arrived for {self._idle_seconds:g} s"))
            return
        except Exception as error:
            call.outbox.end(error)
            await _discard_rest(context)
            return
        try:
            while not finished:
                finished = await self._next(call, context, account)
            call.inbox.end()
        except ClosedError:
            await _discard_rest(context)  # the work ended before the upload
        except Exception as error:
            call.inbox.end(error)
            await _discard_rest(context)

    async def _next(self, call: Call, context: GrpcContext, account: Account) -> bool:
        """Move a message; return whether it was the last. Waits for room first: none waits outside the inbox."""
        await call.inbox.room()
        try:
            request = await context.read()
        except DecodeError as error:
            raise SettingsError("part", f"is not a request of this call: {error}") from None
        if cast(object, request) is grpc.aio.EOF:
            # A canceled upload ends like this, too: without `finish` nothing is complete.
            raise IncompleteError("the upload was cut off: it ended without `finish`")
        self.had_activity = True
        if request.HasField("parts"):
            call.joins_output = True
        parts, size = parts_from_proto(request)
        finished = isinstance(parts[-1], Finish)
        account.bytes_in += size
        call.inbox.put(parts, size)
        return finished


def parts_from_proto(
    request: pb.CompressRequest | pb.InspectRequest | pb.UnarchiveRequest,
) -> tuple[list[UploadPart], int]:
    """Return the parts of a message, and how many bytes of image or metadata are in it.

    Each `bytes` field is read once, since reading it makes a copy.
    """
    fields = request.parts if request.HasField("parts") else request
    parts, size = list[UploadPart](), 0
    if isinstance(fields, pb.UnarchiveRequest):  # it has no field for settings or samples
        fields = pb.RequestParts(**{name: getattr(fields, name) for name in FILE_PARTS if fields.HasField(name)})
    if fields.HasField("settings"):
        parts.append(wire.settings_from_proto(fields.settings))
    if fields.HasField("raw"):
        raw = wire.raw_from_proto(fields.raw)
        parts.append(raw)
        size += sum(raw.metadata_bytes().values())
    if fields.HasField("chunk"):
        chunk = fields.chunk
        parts.append(chunk)
        size += len(chunk)
    if fields.HasField("tile"):
        tile = wire.tile_from_proto(fields.tile)
        parts.append(tile)
        size += len(tile.pixels)
    if fields.HasField("finish"):
        finish = fields.finish
        parts.append(Finish(finish.total_bytes, finish.crc32c if finish.HasField("crc32c") else None))
    if not parts:
        raise SettingsError("part", "is empty, must be one of settings, chunk, raw, tile, finish, parts")
    return parts, size


async def _discard_rest(context: GrpcContext) -> None:
    """Read the rest of an upload: gRPC's asyncio clients lose received messages when one of their writes fails."""
    with contextlib.suppress(Exception):
        while (request := await context.read()) is not grpc.aio.EOF:
            if request.HasField("finish") or request.parts.HasField("finish"):
                return


def _failure(error: Exception, account: Account) -> pb.Failure:
    failure = status.failure_of(error)
    account.end(wire.code_name(failure.code), status.rejection_of(error))
    return failure
