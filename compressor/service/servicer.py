"""CompressorService: moves messages between gRPC and the pipes of a call. The pipeline makes all decisions."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import cast

import grpc
from google.protobuf.message import DecodeError

from compressor import wire
from compressor.calls.admission import Admission, client_key
from compressor.calls.call import IMMEDIATE_BYTES_MAX, LINGER_SECONDS, Call, Codec, Output, Trailer
from compressor.calls.pipe import ClosedError
from compressor.calls.threads import CallThreads
from compressor.calls.upload import Finish
from compressor.errors import BusyError, CompressorError, IncompleteError, SettingsError
from compressor.footprint import Basis
from compressor.metrics import Account
from compressor.service import status
from compressor.service.calls import admitted_call, keep_pace, with_footprint
from compressor.service.messages import Response, parts_from_proto, response_of
from compressor.service.observation import CallObserver, GrpcContext
from compressor.service.reset import reset
from compressor.service.tenants import current_tenant
from compressor.settings import VERSION
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

Work = Callable[[Call], None]

# At most so many refused calls at a time are sent their failure in band, too, and one every IN_BAND_SECONDS: it takes a
# third of the CPU time of a refusal, and the message may have to wait for its client.
IN_BAND_MAX, IN_BAND_SECONDS = 64, 0.02


class CompressorService(rpc.CompressorServiceServicer):
    """The RPCs.

    admission     admits calls
    threads       as many calls run at a time
    draining      sent in the initial metadata, so that clients can use another server
    had_activity  whether anything has arrived or ended since this was set to False
    """

    def __init__(
        self, codec: Codec, observer: CallObserver, footprint: Basis, admission: Admission, threads: CallThreads
    ) -> None:
        self._codec = codec
        self._footprint = footprint
        self._observer = observer
        self._admission, self._threads = admission, threads
        self._refused_in_band, self._refused_at = 0, -math.inf
        self.draining = False
        self.had_activity = False

    # `request_iterator` is not used: it keeps each message until the next one is requested.

    async def Compress(self, request_iterator: object, context: GrpcContext) -> AsyncIterator[pb.CompressResponse]:
        """Stream one image through the codec. A generator: only that learns of a canceled call at once."""
        with self._account("Compress", context) as account:
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
        with self._account("Unarchive", context) as account:
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
        async with contextlib.AsyncExitStack() as stack:
            try:
                call = await stack.enter_async_context(self._call(work, context, account))
            except CompressorError as error:
                failure = _failure(error, account)
                if self._may_refuse_in_band():
                    with self._in_band():
                        yield kind(failure=failure)
                await status.abort(context, failure)
            await context.send_initial_metadata(self._identity())
            download = call.admitted.clock.download
            try:
                while (item := await call.outbox.get(IMMEDIATE_BYTES_MAX)) is not None:
                    output = Output(chunk=item) if isinstance(item, bytes) else item
                    size = len(output.chunk or b"")
                    response = self._response(kind, output, account)
                    del item, output
                    download.begin(time.monotonic())
                    account.begin_write()
                    yield response
                    account.end_write()
                    download.end(size, time.monotonic())
                    del response
                account.end("OK")
            except Exception as error:
                failure = _failure(error, account)
                # In band first: a client that is still writing may not receive the status.
                download.begin(time.monotonic())
                yield kind(failure=failure)
                await call.linger()
                await status.abort(context, failure)

    async def Inspect(self, request_iterator: object, context: GrpcContext) -> pb.InspectResponse:
        """Answer from the header."""
        with self._account("Inspect", context) as account:
            try:
                async with self._call(Call.inspect, context, account) as call:
                    try:
                        await context.send_initial_metadata(self._identity())
                        output = await call.outbox.get()
                        assert isinstance(output, Output) and output.source is not None
                    except Exception:
                        await call.linger()
                        raise
            except Exception as error:
                await status.abort(context, _failure(error, account))
            account.source = output.source
            account.end("OK")
            self._cut_off_unless_read(context)
            return pb.InspectResponse(source=wire.source_to_proto(output.source))

    def _response(self, kind: type[Response], output: Output, account: Account) -> Response:
        """Return an item of the output as a message, and count it."""
        report = None
        if output.source is not None:
            account.source = output.source
        if output.chunk is not None:
            account.sent(len(output.chunk))
        if output.trailer is not None:
            account.report = output.trailer.report
            report = self._report(output.trailer)
        return response_of(kind, output, report)

    def _report(self, trailer: Trailer) -> pb.Report:
        report = with_footprint(trailer.report, self._footprint)
        return wire.report_to_proto(report, trailer.bytes_out, trailer.crc32c)

    def _identity(self) -> tuple[tuple[str, str], ...]:
        return (("compressor-version", VERSION), ("compressor-draining", str(self.draining).lower()))

    def _may_refuse_in_band(self) -> bool:
        now = time.monotonic()
        if self._refused_in_band >= IN_BAND_MAX or now - self._refused_at < IN_BAND_SECONDS:
            return False
        self._refused_at = now
        return True

    @contextlib.contextmanager
    def _in_band(self) -> Iterator[None]:
        """Send a refused call its failure in the block, as long as its client may need to read it."""
        handler = asyncio.current_task()
        assert handler is not None
        cut_off = asyncio.get_running_loop().call_later(LINGER_SECONDS, reset, handler)
        self._refused_in_band += 1
        try:
            yield
        finally:
            self._refused_in_band -= 1
            cut_off.cancel()

    def _cut_off_unless_read(self, context: GrpcContext) -> None:
        """End a call whose only response gRPC is about to send, if its client does not read that."""
        handler = asyncio.current_task()
        assert handler is not None
        cut_off = asyncio.get_running_loop().call_later(self._admission.idle_seconds, reset, handler)
        context.add_done_callback(lambda context: cut_off.cancel())  # type: ignore[arg-type]

    @contextlib.contextmanager
    def _account(self, method: str, context: GrpcContext) -> Iterator[Account]:
        """Observe a call."""
        tenant = current_tenant.get()
        try:
            with self._observer.call(method, context, None if tenant is None else tenant.name) as account:
                yield account
        finally:
            self.had_activity = True

    @contextlib.asynccontextmanager
    async def _call(self, work: Work, context: GrpcContext, account: Account) -> AsyncIterator[Call]:
        """Admit a call, and feed it with what the client sends until the context closes. Raise what refuses it."""
        handler = asyncio.current_task()
        assert handler is not None
        remaining = context.time_remaining()
        async with admitted_call(self._codec, self._admission, _peer(context), remaining, account) as call:
            admitted = call.admitted
            tasks = {asyncio.create_task(self._feed(call, work, context, account))}
            (call.feeding,) = tasks

            def give_up(error: CompressorError) -> None:
                if admitted.clock.download.current(time.monotonic()):
                    # Its handler can't end it, since it waits for the client.
                    tasks.add(asyncio.create_task(_abort_blocked(_failure(error, account), context)))
                call.outbox.abandon(error)
                call.inbox.close()

            admitted.give_up = give_up
            admitted.cut_off = lambda: reset(handler)
            try:
                yield call
            finally:
                for task in tasks:
                    task.cancel()
                admitted.forget()

    async def _feed(self, call: Call, work: Work, context: GrpcContext, account: Account) -> None:
        """Move parts from the client into the inbox; the first one starts the work."""
        try:
            finished = await self._next(call, context, account)
            if not call.start(work, self._threads):
                raise BusyError("too many calls are running", self._admission.retry_seconds())
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
        clock = call.admitted.clock
        clock.upload.begin(time.monotonic())
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
        clock.received(size, time.monotonic())
        finished = bool(parts) and isinstance(parts[-1], Finish)
        if finished:
            clock.upload.end(0, time.monotonic())
        account.received(size)
        if parts:
            call.inbox.put(parts, size)
        await keep_pace(size, clock, is_last=finished)
        return finished


def _peer(context: GrpcContext) -> str:
    """Return the client: gRPC writes ipv4:10.0.0.7:PORT, ipv6:%5B::1%5D:PORT, or unix:PATH."""
    return client_key(context.peer().partition(":")[2].rpartition(":")[0])


async def _abort_blocked(failure: pb.Failure, context: GrpcContext) -> None:
    """End a call whose handler waits for the client. It may have ended at the same time."""
    with contextlib.suppress(grpc.aio.AbortError, grpc.aio.UsageError, grpc.aio.InternalError):
        await status.abort(context, failure)


async def _discard_rest(context: GrpcContext) -> None:
    """Read the rest of an upload: gRPC's asyncio clients lose received messages when one of their writes fails."""
    with contextlib.suppress(Exception):
        while (request := await context.read()) is not grpc.aio.EOF:
            if request.HasField("finish") or request.parts.HasField("finish"):
                return


def _failure(error: Exception, account: Account) -> pb.Failure:
    failure = status.failure_of(error)
    account.end(wire.code_name(failure.code), status.rejection_of(error), status.reason_of(error))
    return failure
