"""POST /v1/compress and POST /v1/inspect: move bytes between HTTP and the pipes of a call.

The counterpart of `servicer.py`, which does this for gRPC. What both do alike is in `service/calls.py`.
"""

import asyncio
import base64
import contextlib
import functools
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from google.rpc import code_pb2

from compressor import wire
from compressor.calls.admission import Admission, client_key
from compressor.calls.call import IMMEDIATE_BYTES_MAX, Call, Codec, Output, Trailer
from compressor.calls.pipe import ClosedError
from compressor.calls.threads import CallThreads
from compressor.calls.upload import Finish, UploadPart
from compressor.errors import BusyError, CompressorError, DeadlineError, SettingsError
from compressor.footprint import Basis
from compressor.json_records import json_fields
from compressor.metrics import Account
from compressor.service import request_id
from compressor.service.calls import admitted_call, keep_pace, with_footprint
from compressor.service.http.exchange import ClientGoneError, Exchange, HeaderField
from compressor.service.http.parameters import TIMEOUT_FIELD, Query, parse_query
from compressor.service.http.problem import RequestError, failure_of, reason_of, rejection_of, respond_problem
from compressor.service.observation import CallObserver
from compressor.service.tenants import Tenants, current_tenant
from compressor.settings import VERSION, Delivery, Report, Settings
from compressor.sniff import MEDIA_TYPES, PREFIX, sniff
from compressor.v1 import compressor_pb2 as pb

REPORT = "compressor-report"
REPORT_BYTES_MAX = 6 << 10  # of the JSON in that field, which base64 makes a third longer
TEXT_CHARACTERS_MAX, NOTICES_MAX = 200, 30  # of a report that is too long
CHALLENGE = (("www-authenticate", "Bearer"),)  # RFC 6750, 3
OTHER_TYPE = "application/octet-stream"


class ImageRequests:
    """The requests that need an image.

    admission, threads  those of the gRPC service
    tenants        who may send requests; None: anybody, without a token
    on_activity    called when anything has arrived or ended
    """

    def __init__(
        self,
        codec: Codec,
        observer: CallObserver,
        footprint: Basis,
        admission: Admission,
        threads: CallThreads,
        tenants: Tenants | None,
        on_activity: Callable[[], None],
    ) -> None:
        self._codec, self._observer, self._footprint = codec, observer, footprint
        self._admission, self._threads, self._tenants, self._on_activity = admission, threads, tenants, on_activity

    async def compress(self, exchange: Exchange) -> None:
        """Answer with the result, or with the report alone."""
        with self._account("Compress", exchange) as account:
            try:
                await self._answered(exchange, account, self._deliver, Call.compress, may_report=True)
            finally:
                if account.code != "UNAUTHENTICATED":
                    account.count_outcome()

    async def inspect(self, exchange: Exchange) -> None:
        """Answer with what the header says."""
        with self._account("Inspect", exchange) as account:
            await self._answered(exchange, account, self._deliver_source, Call.inspect, may_report=False)

    async def _answered(
        self,
        exchange: Exchange,
        account: Account,
        deliver: Callable[..., Any],
        work: Callable[[Call], None],
        *,
        may_report: bool,
    ) -> None:
        """Answer a request, with a problem if it fails."""
        try:
            if self._tenants is not None and current_tenant.get() is None:
                raise RequestError(401, code_pb2.UNAUTHENTICATED, "needs `Authorization: Bearer TOKEN`", CHALLENGE)
            check_content(exchange)
            query = parse_query(exchange.query, exchange.metadata, exchange.header("accept"), may_report=may_report)
            async with self._call(work, query, exchange, account) as call:
                answer = await deliver(call, query, exchange, account)
            if answer is not None:  # the call is over: nobody need wait for a client that does not read this
                await exchange.respond_json(200, answer, identity(account))
            account.end("OK")
        except ClientGoneError:
            return
        except Exception as error:
            failure = _failure(error, account)
            if exchange.is_started:
                exchange.abort()
            else:
                with contextlib.suppress(ClientGoneError):
                    await respond_problem(exchange, error, failure, identity(account))

    async def _deliver(
        self, call: Call, query: Query, exchange: Exchange, account: Account
    ) -> Mapping[str, object] | None:
        """Send the result, or return the report."""
        clock, headers = call.admitted.clock, [*identity(account), ("vary", "accept")]
        trailer: Trailer | None = None
        while (item := await call.outbox.get(IMMEDIATE_BYTES_MAX)) is not None:
            output = Output(chunk=item) if isinstance(item, bytes) else item
            account.source = output.source or account.source
            if output.report is not None:
                headers += self._report_headers(output.report)
            trailer = output.trailer or trailer
            if (chunk := output.chunk) is not None and not query.report_only:
                account.sent(len(chunk))
                clock.download.begin(time.monotonic())
                account.begin_write()
                if not exchange.is_started:
                    await exchange.begin(200, [("content-type", media_type(chunk)), *headers])
                await exchange.write(chunk)
                account.end_write()
                clock.download.end(len(chunk), time.monotonic())
            del item, output, chunk
        assert trailer is not None
        account.report = trailer.report
        if query.report_only:
            account.is_delivered = False
            return self._with_footprint(trailer.report) | {"crc32c": trailer.crc32c}
        clock.download.begin(time.monotonic())
        await exchange.end()
        clock.download.end(0, time.monotonic())
        return None

    async def _deliver_source(
        self, call: Call, query: Query, exchange: Exchange, account: Account
    ) -> Mapping[str, object]:
        output = await call.outbox.get()
        assert isinstance(output, Output) and output.source is not None
        account.source = output.source
        return json_fields(output.source)

    def _with_footprint(self, report: Report) -> dict[str, Any]:
        return json_fields(with_footprint(report, self._footprint))

    def _report_headers(self, report: Report) -> list[HeaderField]:
        return [("content-length", str(report.bytes_out)), (REPORT, encoded_report(self._with_footprint(report)))]

    @contextlib.contextmanager
    def _account(self, method: str, exchange: Exchange) -> Iterator[Account]:
        """Observe a request under the name of the RPC that does the same."""
        tenant = None if self._tenants is None else self._tenants.identify(exchange.header_values("authorization"))
        current_tenant.set(tenant)
        name = None if tenant is None else tenant.name
        try:
            with self._observer.observe(method, exchange.metadata, exchange.address, name) as account:
                try:
                    yield account
                finally:
                    account.http = (exchange.path, exchange.status)
        finally:
            self._on_activity()

    @contextlib.asynccontextmanager
    async def _call(
        self, work: Callable[[Call], None], query: Query, exchange: Exchange, account: Account
    ) -> AsyncIterator[Call]:
        """Admit a call, and feed it with the body until the context closes. Raise what refuses it."""
        seconds = timeout_of(exchange)
        async with admitted_call(self._codec, self._admission, client_key(exchange.host), seconds, account) as call:
            admitted, settings = call.admitted, query.settings
            call.report_first = settings.delivery_of(raw=False) is Delivery.SAFE and not query.report_only
            feeding = asyncio.create_task(self._feed(call, work, settings, exchange, account))

            def give_up(error: CompressorError) -> None:
                if exchange.is_started:  # there is no other way to say that it is not complete
                    _failure(error, account)
                    exchange.abort()
                call.outbox.abandon(error)
                call.inbox.close()

            admitted.give_up, admitted.cut_off = give_up, exchange.abort
            with expiring(seconds, functools.partial(give_up, DeadlineError("the deadline has passed"))):
                try:
                    yield call
                finally:
                    admitted.forget()
                    feeding.cancel()
                    await asyncio.wait([feeding])  # only one may read from the connection

    async def _feed(
        self, call: Call, work: Callable[[Call], None], settings: Settings, exchange: Exchange, account: Account
    ) -> None:
        """Move the body into the inbox; its first part starts the work. Then wait for the client to go."""
        try:
            await self._next(call, exchange, account, [settings])
            if not call.start(work, self._threads):
                call.outbox.end(BusyError("too many calls are running", self._admission.retry_seconds()))
                return
            while not exchange.is_read:
                await self._next(call, exchange, account, [])
            call.inbox.end()
            while True:
                await exchange.read()
        except ClosedError:
            return  # the work ended before the upload
        except Exception as error:  # the client is gone, or no thread can be started
            call.outbox.abandon(error)
            call.inbox.close()

    async def _next(self, call: Call, exchange: Exchange, account: Account, parts: list[UploadPart]) -> None:
        """Move what has arrived, after `parts`. Waits for room first: nothing waits outside the inbox."""
        await call.inbox.room()
        clock = call.admitted.clock
        clock.upload.begin(time.monotonic())
        data = await exchange.read()
        clock.received(len(data), time.monotonic())
        account.received(len(data))
        self._on_activity()
        if data:
            parts.append(data)
        if exchange.is_read:
            clock.upload.end(0, time.monotonic())
            parts.append(Finish(account.bytes_in))
        if parts:
            call.inbox.put(parts, len(data))
        await keep_pace(len(data), clock, is_last=exchange.is_read)


def _failure(error: Exception, account: Account) -> pb.Failure:
    """Return the failure of a request, and end its account with it."""
    failure = failure_of(error)
    account.end(wire.code_name(failure.code), rejection_of(error), reason_of(error))
    return failure


def identity(account: Account | None = None) -> list[HeaderField]:
    """Return the fields of every response; those of a request that is observed have its id."""
    fields = [("compressor-version", VERSION), ("x-content-type-options", "nosniff")]
    return fields if account is None else [*fields, (request_id.KEY, account.request_id)]


def check_content(exchange: Exchange) -> None:
    """Raise RequestError if the body is not the image itself."""
    if (exchange.header("content-type") or "").lower().startswith("multipart/"):
        problem = "the body is a form, must be the image itself (curl: --data-binary @FILE, not --form)"
        raise RequestError(415, code_pb2.INVALID_ARGUMENT, problem)
    if (exchange.header("content-encoding") or "identity").lower() != "identity":
        raise RequestError(415, code_pb2.INVALID_ARGUMENT, "a Content-Encoding is not supported: images are compressed")


def timeout_of(exchange: Exchange) -> float | None:
    """Return the seconds that the client waits for the response; None: no limit."""
    text = exchange.header(TIMEOUT_FIELD)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingsError(TIMEOUT_FIELD, f"is {text!r:.40}, must be a positive number of seconds")
    return seconds


@contextlib.contextmanager
def expiring(seconds: float | None, expire: Callable[[], None]) -> Iterator[None]:
    """Call `expire` if the block takes longer; None: never."""
    timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, expire)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


def media_type(start: bytes) -> str:
    """Return the media type of a file from its first bytes."""
    return MEDIA_TYPES.get(sniff(start[:PREFIX]), OTHER_TYPE)


def encoded_report(fields: dict[str, Any]) -> str:
    """Return a report as the value of a header field: JSON in base64url without padding (RFC 4648, 5)."""
    text = _compact(fields)
    if len(text) > REPORT_BYTES_MAX:
        text = _compact(shortened(fields))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def shortened(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a report of at most REPORT_BYTES_MAX, since proxies limit header fields: long texts are cut, and the last
    notice says how many are left out. `?report=json` has all of them."""
    cut = fields | {name: fields[name][:TEXT_CHARACTERS_MAX] for name in ("reason", "format_reason")}
    notices = [notice[:TEXT_CHARACTERS_MAX] for notice in fields["notices"]]
    for kept in range(min(len(notices), NOTICES_MAX), -1, -1):
        left_out = len(notices) - kept
        cut["notices"] = notices[:kept] + ([f"{left_out} more, which report=json has"] if left_out else [])
        if len(_compact(cut)) <= REPORT_BYTES_MAX:
            break
    return cut


def _compact(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))
