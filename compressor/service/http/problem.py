"""Failures as problem details (RFC 9457), with the codes of gRPC. One table says which status each has."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from google.rpc import code_pb2

from compressor import wire
from compressor.errors import CompressorError, FormatError, IdleError, SettingsError
from compressor.service import status
from compressor.service.http.exchange import Exchange, HeaderField
from compressor.v1 import compressor_pb2 as pb

CONTENT_TYPE = "application/problem+json"
TYPE = "about:blank"  # RFC 9457, 4.2.1: the title is that of the status

# By the code of a failure. What is below is more specific, and a RequestError has its own.
STATUSES: Mapping[int, int] = {
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.UNIMPLEMENTED: 415,
    code_pb2.RESOURCE_EXHAUSTED: 413,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.INTERNAL: 500,
}
FORMAT_STATUS = 422  # a broken image
IDLE_STATUS = 408  # a client that is too slow
NOT_ACCEPTABLE, METHOD_NOT_ALLOWED = 406, 405

TITLES: Mapping[int, str] = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class RequestError(CompressorError):
    """A request that is wrong before any image is looked at.

    status   of HTTP
    code     of gRPC
    headers  of the response
    """

    def __init__(self, status: int, code: int, problem: str, headers: Sequence[HeaderField] = ()) -> None:
        super().__init__(problem)
        self.status, self.code, self.headers = status, code, headers


class AcceptError(SettingsError):
    """An Accept field that names no format that can be made."""


def failure_of(error: Exception) -> pb.Failure:
    """Return the failure of a call, as gRPC has it."""
    if isinstance(error, RequestError):
        return wire.failure_to_proto(error.code, error)
    return status.failure_of(error)


def rejection_of(error: Exception) -> str | None:
    """Return why a request was rejected before any work, or given up; None if it failed."""
    if isinstance(error, RequestError):
        return "unauthenticated" if error.code == code_pb2.UNAUTHENTICATED else None
    return status.rejection_of(error)


def reason_of(error: Exception) -> str:
    """Return why a request failed, as one word of its line in the log."""
    return rejection_of(error) or ("request" if isinstance(error, RequestError) else status.reason_of(error))


def status_of(error: Exception, failure: pb.Failure) -> int:
    """Return the status of a failed request."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, AcceptError):
        return NOT_ACCEPTABLE
    if isinstance(error, FormatError):
        return FORMAT_STATUS
    return IDLE_STATUS if isinstance(error, IdleError) else STATUSES[failure.code]


def details_of(http_status: int, failure: pb.Failure) -> dict[str, Any]:
    """Return the problem details of a failure: what RFC 9457 names, and the fields of the failure that are set."""
    details: dict[str, Any] = {
        "type": TYPE,
        "title": TITLES[http_status],
        "status": http_status,
        "detail": failure.message,
        "code": wire.code_name(failure.code),
    }
    for name in ("field", "format", "place"):
        if value := getattr(failure, name):
            details[name] = value
    for name in ("offset", "retry_after_seconds"):
        if failure.HasField(name):
            details[name] = getattr(failure, name)
    return details


async def respond_problem(
    exchange: Exchange, error: Exception, failure: pb.Failure, headers: Sequence[HeaderField] = ()
) -> None:
    """Answer a request with the details of its failure."""
    http_status = status_of(error, failure)
    more = list(headers)
    if isinstance(error, RequestError):
        more += error.headers
    if failure.HasField("retry_after_seconds"):
        more.append(("retry-after", str(math.ceil(failure.retry_after_seconds))))
    await exchange.respond_json(http_status, details_of(http_status, failure), more, CONTENT_TYPE)
