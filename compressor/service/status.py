"""Errors as gRPC statuses: one table of status codes, and details for clients to act on."""

import logging
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from compressor import wire
from compressor.errors import (
    BusyError,
    CompressorError,
    DeadlineError,
    FormatError,
    IdleError,
    IncompleteError,
    LimitError,
    SettingsError,
    SpoolError,
    UnsupportedError,
)
from compressor.v1 import compressor_pb2 as pb

log = logging.getLogger(__name__)

CODES: dict[type[CompressorError], int] = {
    FormatError: code_pb2.INVALID_ARGUMENT,
    SettingsError: code_pb2.INVALID_ARGUMENT,
    UnsupportedError: code_pb2.UNIMPLEMENTED,
    LimitError: code_pb2.RESOURCE_EXHAUSTED,
    BusyError: code_pb2.UNAVAILABLE,
    SpoolError: code_pb2.UNAVAILABLE,
    IncompleteError: code_pb2.DATA_LOSS,
    IdleError: code_pb2.DEADLINE_EXCEEDED,
    DeadlineError: code_pb2.DEADLINE_EXCEEDED,
}

# Label `reason` of compressor_requests_rejected_total: calls that were rejected before any work, or given up. The first
# class that fits counts.
REJECTED: dict[type[CompressorError], str] = {
    LimitError: "limit",
    SpoolError: "disk",
    BusyError: "busy",
    UnsupportedError: "unsupported",
    DeadlineError: "deadline",
}


def failure_of(error: BaseException) -> pb.Failure:
    """Return the failure that ends a call, in band and as a detail of its status.

    Any error but a CompressorError is a bug in the service: it is logged with its traceback, and the client gets the
    name of its class.
    """
    for kind in type(error).__mro__:
        if kind in CODES:
            assert isinstance(error, CompressorError)
            return wire.failure_to_proto(CODES[kind], error)
    log.error("unexpected %s", type(error).__name__, exc_info=error)
    return pb.Failure(
        code=code_pb2.INTERNAL, message=f"internal error: {type(error).__name__}; the service's log has the details"
    )


def rejection_of(error: BaseException) -> str | None:
    """Return why a call was rejected before any work, or given up; None if it failed."""
    return next((reason for kind, reason in REJECTED.items() if isinstance(error, kind)), None)


def reason_of(error: BaseException) -> str:
    """Return why a call failed, as one word of its line in the log: the kind of the error in CODES."""
    kind = next((kind for kind in type(error).__mro__ if kind in CODES), None)
    if kind is None:
        return "internal"
    return rejection_of(error) or kind.__name__.removesuffix("Error").lower()


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", failure: pb.Failure) -> NoReturn:
    """End a call with a failure. The trailing metadata that were set before are kept: gRPC would replace them."""
    status = rpc_status.to_status(status_of(failure))
    kept = context.trailing_metadata() or ()
    await context.abort_with_status(status._replace(trailing_metadata=(*kept, *status.trailing_metadata)))
    raise AssertionError("unreachable: to abort a call raises")


def status_of(failure: pb.Failure) -> status_pb2.Status:
    """Return the status of a failure. Details of google.rpc come first; ours, the complete one, is the last."""
    details = []
    if failure.code == code_pb2.INVALID_ARGUMENT:
        details.append(_bad_request(failure))
    if failure.HasField("retry_after_seconds"):
        nanos = round(failure.retry_after_seconds * 1e9)
        delay = Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    details.append(failure)
    status = status_pb2.Status(code=failure.code, message=failure.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _bad_request(failure: pb.Failure) -> error_details_pb2.BadRequest:
    """Return the field at fault: the path of a setting in the proto, or for a broken image the part that carries it."""
    field = f"settings.{failure.field}" if failure.field else "chunk"
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=failure.message)
    return error_details_pb2.BadRequest(field_violations=[violation])
