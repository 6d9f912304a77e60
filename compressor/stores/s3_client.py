"""The S3 client: its configuration, and the kinds of its errors."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compressor.stores.contract import StoreError, StoreErrorKind

try:
    import boto3
    import botocore.session
    import urllib3.exceptions
    from botocore import exceptions as boto
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.exceptions import ClientError
    from botocore.httpsession import get_cert_path
    from botocore.utils import parse_timestamp as parse_any_timestamp
except ImportError as missing:
    raise StoreError(
        StoreErrorKind.IMPOSSIBLE, "s3:// needs additional packages: pip install 'compressor[batch]'"
    ) from missing

__all__ = ["ERRORS", "ClientError", "Signer", "ca_bundle", "connect", "http_status", "to_store_error", "was_retried"]

# Everything that a request, or reading a body, can raise.
ERRORS = (boto.BotoCoreError, ClientError, urllib3.exceptions.HTTPError, OSError)

ATTEMPTS = 5
CONNECTIONS = 64  # kept open; additional threads open more, which are closed after use
CONNECT_SECONDS, READ_SECONDS = 10, 60

CODES = {
    "InvalidObjectState": StoreErrorKind.ARCHIVED,
    "SlowDown": StoreErrorKind.THROTTLED,
    "Throttling": StoreErrorKind.THROTTLED,
    "ThrottlingException": StoreErrorKind.THROTTLED,
    "RequestLimitExceeded": StoreErrorKind.THROTTLED,
    "TooManyRequests": StoreErrorKind.THROTTLED,
    "RequestTimeout": StoreErrorKind.UNAVAILABLE,
    "IncompleteBody": StoreErrorKind.UNAVAILABLE,
    "OperationAborted": StoreErrorKind.UNAVAILABLE,
    "NoSuchUpload": StoreErrorKind.UNAVAILABLE,  # of an upload that a retried request or another run has ended
    "XAmzContentSHA256Mismatch": StoreErrorKind.UNAVAILABLE,  # damaged in transit
    "BadDigest": StoreErrorKind.UNAVAILABLE,
    "ConditionalRequestConflict": StoreErrorKind.CHANGED,
    "NoSuchBucket": StoreErrorKind.OTHER,  # MISSING is for objects
    "ExpiredToken": StoreErrorKind.DENIED,
    "KeyTooLongError": StoreErrorKind.IMPOSSIBLE,
    "InvalidObjectName": StoreErrorKind.IMPOSSIBLE,
    "EntityTooLarge": StoreErrorKind.IMPOSSIBLE,
    "NotImplemented": StoreErrorKind.IMPOSSIBLE,
}
STATUSES = {
    401: StoreErrorKind.DENIED,
    403: StoreErrorKind.DENIED,
    404: StoreErrorKind.MISSING,
    408: StoreErrorKind.UNAVAILABLE,
    412: StoreErrorKind.CHANGED,
    429: StoreErrorKind.THROTTLED,
    503: StoreErrorKind.THROTTLED,
}
DENIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
)
INTERRUPTIONS = (
    boto.HTTPClientError,  # timeouts, closed connections, host names that don't resolve
    boto.IncompleteReadError,
    boto.ConnectionError,
    urllib3.exceptions.HTTPError,  # in the middle of a body
    OSError,
)


def connect() -> Any:
    """Return a client with the credentials, region, endpoint, proxies and retries of boto3's environment; ATTEMPTS
    requests at most unless configured.

    Checksums besides the request's signature, which covers the body's SHA-256, are left out: they take CPU time, and
    not every server accepts the form in which boto3 sends them.
    """
    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_timestamp)
    configured = session.get_config_variable("max_attempts") is not None
    return boto3.session.Session(botocore_session=session).client(
        "s3",
        config=Config(
            retries=None if configured else {"total_max_attempts": ATTEMPTS, "mode": "standard"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=CONNECTIONS,
            tcp_keepalive=True,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def ca_bundle() -> str:
    """Return the path of the CA certificates that such a client trusts."""
    configured = botocore.session.get_session().get_config_variable("ca_bundle")
    return str(get_cert_path(configured or os.environ.get("REQUESTS_CA_BUNDLE") or True))


class Signer(S3SigV4Auth):  # type: ignore[misc]
    """A signer of requests whose body's SHA-256 is known."""

    def headers(self, method: str, url: str, digest: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return these headers and the signature's, which covers all of them."""
        request = AWSRequest(method, url, headers=headers)
        request.context["digest"] = digest
        self.add_auth(request)
        return dict(request.headers.items())

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["digest"])


def parse_timestamp(text: str) -> datetime:
    """Parse a server's timestamp. boto3 accepts any form, which takes half of the time of a listing."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_any_timestamp(text)  # type: ignore[no-any-return]


def http_status(error: ClientError) -> int:
    """Return the status code of the response; 0 if there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def was_retried(error: ClientError) -> bool:
    """Return whether the request was sent several times: an earlier attempt may be why the server refuses."""
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def to_store_error(where: str, error: Exception) -> StoreError:
    """Return a StoreError for an error of the client."""
    if isinstance(error, ClientError):
        code, status = str(error.response.get("Error", {}).get("Code", "")), http_status(error)
        kind = (
            CODES.get(code)
            or STATUSES.get(status)
            or (StoreErrorKind.UNAVAILABLE if status >= 500 else StoreErrorKind.OTHER)
        )
        message = error.response.get("Error", {}).get("Message") or ""
        problem = " ".join(f"{error.operation_name}: {status} {code if code != str(status) else ''} {message}".split())
        return StoreError(kind, f"{where}: {problem}")
    problem = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, DENIALS):
        return StoreError(StoreErrorKind.DENIED, f"{where}: {problem}")
    if isinstance(error, INTERRUPTIONS):
        return StoreError(StoreErrorKind.UNAVAILABLE, f"{where}: {problem}")
    if isinstance(error, boto.ParamValidationError):
        return StoreError(StoreErrorKind.IMPOSSIBLE, f"{where}: {problem}")
    return StoreError(StoreErrorKind.OTHER, f"{where}: {problem}")
