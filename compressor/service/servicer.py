"""CompressorService: moves messages between gRPC and the pipes of a call. All decisions are the pipeline's."""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from compressor import wire
from compressor.calls.call import OUTPUT_BYTES_MAX, Call, Codec, Done
from compressor.calls.pipe import ClosedError
from compressor.calls.upload import part_of
from compressor.errors import BusyError, IdleError, IncompleteError, SettingsError
from compressor.footprint import Basis
from compressor.metrics import Account, Metrics
from compressor.service import status
from compressor.settings import VERSION, Source
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

Context = grpc.aio.ServicerContext[pb.CompressRequest, pb.CompressResponse]
Work = Callable[[Call], None]

RETRY_SECONDS = 1.0


class CompressorService(rpc.CompressorServiceServicer):
    """Chunks in, fewer bytes out.

    idle_seconds  how long a call may wait for its client
    calls_max     threads at a time; one more call is turned away as busy
    draining      said in the initial metadata, so that clients can go elsewhere
    moved         whether anything arrived or ended since somebody set it to False
    """

    def __init__(
        self, codec: Codec, metrics: Metrics, footprint: Basis, *, idle_seconds: float, calls_max: int
    ) -> None:
        self._codec = codec
        self._footprint = footprint
        self._metrics = metrics
        self._idle_seconds = idle_seconds
        self._threads = threading.BoundedSemaphore(calls_max)
        self.draining = False
        self.moved = False

    # `request_iterator` is left alone: it would keep every message until the next one is asked for.

    async def Compress(self, request_iterator: object, context: Context) -> AsyncIterator[pb.CompressResponse]:
        """Stream one image through the codec. A generator: that is what learns of a cancelled call at once."""
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
                # In band first: a client that is still writing may never see the status.
                yield pb.CompressResponse(failure=failure)
                await call.linger()
                await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))
            finally:
                account.count_outcome()

    async def Inspect(self, request_iterator: object, context: Context) -> pb.InspectResponse:
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

    def _response(self, item: Source | bytes | Done, account: Account) -> pb.CompressResponse:
        """What the thread has put into the outbox, as a message and in the account."""
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
    def _account(self, context: Context) -> Iterator[Account]:
        """Metrics of a call; what leaves without a word was cancelled, or its time was up."""
        account = Account(self._metrics)
        try:
            yield account
        finally:
            remaining = context.time_remaining()
            account.end("DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED")
            account.close()
            self.moved = True

    @contextlib.contextmanager
    def _call(self, work: Work, context: Context, account: Account) -> Iterator[Call]:
        """A call that is fed from the wire for as long as the context is open."""
        with Call(self._codec, self._idle_seconds, self._metrics.spent) as call:
            call.feeding = feeding = asyncio.create_task(self._feed(call, work, context, account))
            watching = asyncio.create_task(self._watch(call, context, account))
            try:
                yield call
            finally:
                feeding.cancel()
                watching.cancel()

    async def _watch(self, call: Call, context: Context, account: Account) -> None:
        """End a call whose reader does not read, from beside its handler."""
        failure = _failure(await call.stalled, account)
        with contextlib.suppress(grpc.aio.AbortError):
            await context.abort_with_status(rpc_status.to_status(status.status_of(failure)))

    async def _feed(self, call: Call, work: Work, context: Context, account: Account) -> None:
        """Move parts from the wire into the inbox; the first one starts the work. What nobody wants is dropped."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                finished = await self._next(call, context, account)
            if not self._threads.acquire(blocking=False):
                raise BusyError("all threads are taken", RETRY_SECONDS)
            call.start(work, self._threads.release)
        except TimeoutError:
            call.outbox.end(IdleError(f"nothing arrived for {self._idle_seconds:g} s"))
            return
        except Exception as error:
            call.outbox.end(error)
            await _drop(context)
            return
        try:
            while not finished:
                finished = await self._next(call, context, account)
            call.inbox.end()
        except ClosedError:
            await _drop(context)  # the work ended before the upload
        except Exception as error:
            call.inbox.end(error)
            await _drop(context)

    async def _next(self, call: Call, context: Context, account: Account) -> bool:
        """Move one part; True for the last one. Room first, so that no message waits outside the inbox."""
        await call.inbox.room()
        try:
            request = await context.read()
        except DecodeError as error:
            raise SettingsError("part", f"is no CompressRequest or InspectRequest: {error}") from None
        if cast(object, request) is grpc.aio.EOF:
            # Also what a cancelled upload looks like: the end without `finish` never counts.
            raise IncompleteError("the upload ended without `finish`: it was cut off")
        self.moved = True
        part, size = part_of(request)
        account.bytes_in += size
        call.inbox.put(part, size)
        return isinstance(part, pb.Finish)


async def _drop(context: Context) -> None:
    """Read on for nobody: gRPC's asyncio clients lose what came to them when a write of theirs fails."""
    with contextlib.suppress(Exception):
        while (request := await context.read()) is not grpc.aio.EOF:  # type: ignore[comparison-overlap]
            if request.HasField("finish"):
                return


def _failure(error: Exception, account: Account) -> pb.Failure:
    failure = status.failure_of(error)
    account.end(wire.code_name(failure.code), status.rejection_of(error))
    return failure
