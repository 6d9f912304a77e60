"""CompressorService: moves messages between gRPC and the pipes of a call. The pipeline makes all decisions."""

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from compressor import wire
from compressor.calls.call import OUTPUT_BYTES_MAX, Call, Codec, Trailer
from compressor.calls.pipe import ClosedError
from compressor.calls.upload import Finish, UploadPart
from compressor.errors import BusyError, IdleError, IncompleteError, SettingsError
from compressor.footprint import Basis
from compressor.metrics import Account, Metrics
from compressor.service import status
from compressor.settings import VERSION, Source
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

GrpcContext = grpc.aio.ServicerContext[pb.CompressRequest, pb.CompressResponse]
Work = Callable[[Call], None]

RETRY_SECONDS = 1.0


class CompressorService(rpc.CompressorServiceServicer):
    """The two RPCs.

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
        self._threads = threading.BoundedSemaphore(max_concurrent_calls)
        self.draining = False
        self.had_activity = False

    # `request_iterator` is not used: it keeps each message until the next one is requested.

    async def Compress(self, request_iterator: object, context: GrpcContext) -> AsyncIterator[pb.CompressResponse]:
        """Stream one image through the codec. A generator: only that learns of a canceled call at once."""
        with self._account(context) as account, self._call(Call.compress, context, account) as call:
            await context.send_initial_metadata(self._identity())
            try:
                while (item := await call.outbox.get(OUTPUT_BYTES_MAX)) is not None:
                    response = self._response(item, account)
                    del item
                    yield response
                    del response
                account.end("OK")
            except Exception as error:
                failure = _failure(error, account)
                # In band first: a client that is still writing may not receive the status.
                yield pb.CompressResponse(failure=failure)
                await call.linger()
                await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))
            finally:
                account.count_outcome()

    async def Inspect(self, request_iterator: object, context: GrpcContext) -> pb.InspectResponse:
        """Answer from the header."""
        with self._account(context) as account, self._call(Call.inspect, context, account) as call:
            await context.send_initial_metadata(self._identity())
            try:
                source = await call.outbox.get()
                assert isinstance(source, Source)
                account.source = source
                account.end("OK")
                return pb.InspectResponse(source=wire.source_to_proto(source))
            except Exception as error:
                failure = _failure(error, account)
                await call.linger()
                await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))
                raise

    def _response(self, item: Source | bytes | Trailer, account: Account) -> pb.CompressResponse:
        """Return an item of the outbox as a message, and count it."""
        if isinstance(item, bytes):
            account.sent(len(item))
            return pb.CompressResponse(chunk=item)
        if isinstance(item, Source):
            account.source = item
            return pb.CompressResponse(source=wire.source_to_proto(item))
        account.report = item.report
        footprint = self._footprint.footprint_of(item.report.cpu_seconds, item.report.memory_byte_seconds)
        report = dataclasses.replace(item.report, footprint=footprint)
        return pb.CompressResponse(report=wire.report_to_proto(report, item.bytes_out, item.crc32c))

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
        with Call(self._codec, self._idle_seconds, self._metrics.spent, deadline) as call:
            call.feeding = feeding = asyncio.create_task(self._feed(call, work, context, account))
            watching = asyncio.create_task(self._watch(call, context, account))
            try:
                yield call
            finally:
                feeding.cancel()
                watching.cancel()

    async def _watch(self, call: Call, context: GrpcContext, account: Account) -> None:
        """End a call whose client does not read; its handler can't, since it waits for that client."""
        failure = _failure(await call.stalled, account)
        with contextlib.suppress(grpc.aio.AbortError):
            await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))

    async def _feed(self, call: Call, work: Work, context: GrpcContext, account: Account) -> None:
        """Move parts from the client into the inbox; the first one starts the work."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                finished = await self._next(call, context, account)
            if not self._threads.acquire(blocking=False):
                raise BusyError("too many calls are running", RETRY_SECONDS)
            call.start(work, self._threads.release)
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
        """Move one part; return whether it was the last. Waits for room first: no message waits outside the inbox."""
        await call.inbox.room()
        try:
            request = await context.read()
        except DecodeError as error:
            raise SettingsError("part", f"is not a CompressRequest or InspectRequest: {error}") from None
        if cast(object, request) is grpc.aio.EOF:
            # A canceled upload ends like this, too: without `finish` nothing is complete.
            raise IncompleteError("the upload was cut off: it ended without `finish`")
        self.had_activity = True
        part, size = part_from_proto(request)
        account.bytes_in += size
        call.inbox.put(part, size)
        return isinstance(part, Finish)


def part_from_proto(request: pb.CompressRequest | pb.InspectRequest) -> tuple[UploadPart, int]:
    """Return the part that a message carries, and how many bytes of image or metadata are in it.

    Each `bytes` field is read once, since reading it makes a copy.
    """
    match request.WhichOneof("part"):
        case "settings":
            return wire.settings_from_proto(request.settings), 0
        case "chunk":
            chunk = request.chunk
            return chunk, len(chunk)
        case "raw":
            raw = wire.raw_from_proto(request.raw)
            return raw, sum(raw.metadata_bytes().values())
        case "tile":
            tile = wire.tile_from_proto(request.tile)
            return tile, len(tile.pixels)
        case "finish":
            finish = request.finish
            return Finish(finish.total_bytes, finish.crc32c if finish.HasField("crc32c") else None), 0
    raise SettingsError("part", "is empty, must be one of settings, chunk, raw, tile, finish")


async def _discard_rest(context: GrpcContext) -> None:
    """Read the rest of an upload: gRPC's asyncio clients lose received messages when one of their writes fails."""
    with contextlib.suppress(Exception):
        while (request := await context.read()) is not grpc.aio.EOF:  # type: ignore[comparison-overlap]
            if request.HasField("finish"):
                return


def _failure(error: Exception, account: Account) -> pb.Failure:
    failure = status.failure_of(error)
    account.end(wire.code_name(failure.code), status.rejection_of(error))
    return failure
