"""The client of S3 stores: how it is set up, and what its errors mean."""

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
    from botocore.utils import parse_timestamp
except ImportError as missing:
    raise StoreError(StoreErrorKind.IMPOSSIBLE, "s3:// needs more: pip install 'compressor[batch]'") from missing

__all__ = ["ERRORS", "ClientError", "Signer", "certificates", "connect", "retried", "status_of", "store_error"]

# All that a request, or a body that is being read, can fail with.
ERRORS = (boto.BotoCoreError, ClientError, urllib3.exceptions.HTTPError, OSError)

ATTEMPTS = 5
CONNECTIONS = 64  # kept; more threads than that make more, which are not kept
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
    "NoSuchUpload": StoreErrorKind.UNAVAILABLE,  # of one that a retried request has ended, or another run
    "XAmzContentSHA256Mismatch": StoreErrorKind.UNAVAILABLE,  # damaged on the way
    "BadDigest": StoreErrorKind.UNAVAILABLE,
    "ConditionalRequestConflict": StoreErrorKind.CHANGED,
    "NoSuchBucket": StoreErrorKind.OTHER,  # not what MISSING is said of
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
    boto.HTTPClientError,  # time-outs of connecting and reading, closed connections, names that don't resolve
    boto.IncompleteReadError,
    boto.ConnectionError,
    urllib3.exceptions.HTTPError,  # in the middle of a body
    OSError,
)


def connect() -> Any:
    """A client as boto3's environment has it: credentials, region, endpoint, proxies, retries; up to ATTEMPTS of these
    where nothing is configured.

    Checksums beyond the request's signature, which has the body's SHA-256, are left out: they take CPU, and not every
    server takes the form in which they are sent.
    """
    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
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


def certificates() -> str:
    """The file with those that such a client trusts."""
    configured = botocore.session.get_session().get_config_variable("ca_bundle")
    return str(get_cert_path(configured or os.environ.get("REQUESTS_CA_BUNDLE") or True))


class Signer(S3SigV4Auth):  # type: ignore[misc]
    """Signs a request whose body's SHA-256 is known."""

    def headers(self, method: str, url: str, digest: str, headers: Mapping[str, str]) -> dict[str, str]:
        """These, and those of the signature, which covers all of them."""
        request = AWSRequest(method, url, headers=headers)
        request.context["digest"] = digest
        self.add_auth(request)
        return dict(request.headers.items())

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["digest"])


def moment(text: str) -> datetime:
    """A time as servers write it; boto3 takes any form, and half of the time of a listing for that."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)  # type: ignore[no-any-return]


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def retried(error: ClientError) -> bool:
    """Whether the request was sent before: it may be that which the server refuses now."""
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def store_error(where: str, error: Exception) -> StoreError:
    """What an error of the client is to us."""
    if isinstance(error, ClientError):
        code, status = str(error.response.get("Error", {}).get("Code", "")), status_of(error)
        trouble = (
            CODES.get(code)
            or STATUSES.get(status)
            or (StoreErrorKind.UNAVAILABLE if status >= 500 else StoreErrorKind.OTHER)
        )
        said = error.response.get("Error", {}).get("Message") or ""
        problem = " ".join(f"{error.operation_name}: {status} {code if code != str(status) else ''} {said}".split())
        return StoreError(trouble, f"{where}: {problem}")
    problem = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, DENIALS):
        return StoreError(StoreErrorKind.DENIED, f"{where}: {problem}")
    if isinstance(error, INTERRUPTIONS):
        return StoreError(StoreErrorKind.UNAVAILABLE, f"{where}: {problem}")
    if isinstance(error, boto.ParamValidationError):
        return StoreError(StoreErrorKind.IMPOSSIBLE, f"{where}: {problem}")
    return StoreError(StoreErrorKind.OTHER, f"{where}: {problem}")
