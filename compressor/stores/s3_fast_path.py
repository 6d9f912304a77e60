"""GetObject, HeadObject, PutObject and DeleteObject as plain HTTP requests, in a third of boto3's CPU time.

boto3 provides addresses, regions, credentials and signatures. A request that does not succeed is repeated through
boto3, with its retries and errors.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from compressor.stores.contract import Body, StoreError, StoreErrorKind
from compressor.stores.s3_client import CONNECT_SECONDS, CONNECTIONS, READ_SECONDS, ClientError, Signer, ca_bundle

# Fields of boto3's replies and parameters, and their HTTP headers.
FIELDS = {
    "ETag": "etag",
    "VersionId": "x-amz-version-id",
    "ContentType": "content-type",
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "Expires": "expires",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "GrantFullControl": "x-amz-grant-full-control",
    "GrantRead": "x-amz-grant-read",
    "GrantReadACP": "x-amz-grant-read-acp",
    "GrantWriteACP": "x-amz-grant-write-acp",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "ObjectLockEventHold": "x-amz-object-lock-event-hold",
}
NUMBERS = {"ContentLength": "content-length", "TagCount": "x-amz-tagging-count", "MissingMeta": "x-amz-missing-meta"}
METADATA = "x-amz-meta-"
CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([a-z0-9-]+)/s3/aws4_request,")
# One grant, to the owner, followed only by closing tags.
DEFAULT_ACL = re.compile(
    rb"<Owner>\s*<ID>([^<]+)</ID>(?:(?!<Grant>).)*<Grant>\s*<Grantee[^>]*>(?:(?!</Grantee>).)*<ID>\1</ID>"
    rb"(?:(?!</Grantee>).)*</Grantee>\s*<Permission>FULL_CONTROL</Permission>\s*</Grant>\s*</AccessControlList>",
    re.DOTALL,
)
ACL_BYTES = 1 << 16
EMPTY = hashlib.sha256(b"").hexdigest()


class FastPath:
    """Requests for objects of one bucket, after `discover`. Methods return None if boto3 is to be used instead."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._pool: Any = None
        self._discovered = False
        self._region = self._origin = self._base = ""
        self._signer: Any = None

    def discover(self, name: str) -> bool:
        """Return whether requests are possible. The first call finds out by boto3's request for `name`, an object that
        does not exist."""
        if self._discovered:
            return self._pool is not None
        seen: list[Any] = []
        path = quote(name, safe="/~")

        def record_request(request: Any, **_: object) -> None:
            if request.url.endswith(path):
                seen.append(request)

        def record_signer(request_signer: Any, **_: object) -> None:
            self._signer = request_signer

        events = self._client.meta.events
        events.register("before-sign.s3.HeadObject", record_signer)
        events.register("before-send.s3.HeadObject", record_request)
        try:
            self._client.head_object(Bucket=self._bucket, Key=name)
        except ClientError:
            pass  # does not exist, or access is denied
        finally:
            events.unregister("before-send.s3.HeadObject", record_request)
            events.unregister("before-sign.s3.HeadObject", record_signer)
        if seen:
            self._connect(seen[-1].url.removesuffix(path), to_str(seen[-1].headers.get("Authorization", "")))
        self._discovered = True
        return self._pool is not None

    def _connect(self, url: str, authorization: str) -> None:
        signed, parts = CREDENTIAL.match(authorization), urlsplit(url)
        proxied = parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")
        if signed is None or parts.query or proxied:
            return
        self._region, self._origin, self._base = signed[1], f"{parts.scheme}://{parts.netloc}", parts.path
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        options: dict[str, Any] = {"maxsize": CONNECTIONS, "timeout": timeout, "retries": False}
        if parts.scheme == "https":
            options |= {"ca_certs": ca_bundle(), "cert_reqs": "CERT_REQUIRED"}
        self._pool = urllib3.connectionpool.connection_from_url(self._origin, **options)

    def get(self, name: str) -> dict[str, Any] | None:
        response = self._send("GET", name, {})
        if response is None or response.status != 200:
            drain(response)
            return None
        return {**parse_reply(response.headers), "Body": response}

    def head(self, name: str) -> dict[str, Any] | None:
        """Return {} if the object does not exist."""
        response = self._send("HEAD", name, {})
        drain(response)
        if response is None or response.status not in (200, 404):
            return None
        return parse_reply(response.headers) if response.status == 200 else {}

    def has_default_acl(self, name: str) -> bool:
        """Return whether the ACL is readable and grants full control to the owner alone."""
        response = self._send("GET", name, {}, query="acl=")
        if response is None or response.status != 200:
            drain(response)
            return False
        try:
            return DEFAULT_ACL.search(response.read(ACL_BYTES)) is not None
        except (urllib3.exceptions.HTTPError, OSError):
            return False
        finally:
            drain(response)

    def put(self, name: str, body: Body, sent: Mapping[str, Any]) -> tuple[dict[str, Any] | None, bool]:
        """Return the reply, and whether the object may have been written although there is none."""
        headers = {FIELDS[field]: str(value) for field, value in sent.items() if field in FIELDS}
        headers |= {METADATA + field: value for field, value in sent.get("Metadata", {}).items()}
        if "x-amz-server-side-encryption-bucket-key-enabled" in headers:
            headers["x-amz-server-side-encryption-bucket-key-enabled"] = "true"
        if not all(f"{field}{value}".isascii() and f"{field}{value}".isprintable() for field, value in headers.items()):
            return None, False
        response = self._send("PUT", name, headers, body)
        if response is None:
            return None, True
        drain(response)
        return (parse_reply(response.headers) if response.status == 200 else None), response.status >= 500

    def delete(self, name: str, etag: str) -> bool:
        """Delete an object if it has this ETag, in the form of the header; return whether it was deleted."""
        response = self._send("DELETE", name, {"if-match": etag})
        drain(response)
        return response is not None and response.status in (200, 204)

    def _send(self, method: str, name: str, headers: dict[str, str], body: Body | None = None, query: str = "") -> Any:
        """Return the response with its body unread; None if there is none."""
        target = self._base + quote(name, safe="/~") + (f"?{query}" if query else "")
        headers = self._signed(method, target, EMPTY if body is None else body_digest(body), headers)
        if body is not None:
            headers["content-length"] = str(body.size)
        chunks: Iterator[bytes] | bytes | None = None if body is None else body.chunks() if body.size else b""
        try:
            return self._pool.urlopen(
                method,
                target,
                body=chunks,
                headers=headers,
                preload_content=False,
                decode_content=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError):
            return None

    def _signed(self, method: str, target: str, digest: str, headers: dict[str, str]) -> dict[str, str]:
        """Return the headers with those of AWS Signature Version 4. Credentials may change between requests."""
        credentials = self._signer.get_auth_instance("s3", self._region, "s3v4").credentials
        return Signer(credentials, "s3", self._region).headers(method, self._origin + target, digest, headers)


def parse_reply(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return a reply with the fields of boto3's that are used."""
    given = {name.lower(): value for name, value in headers.items()}
    reply: dict[str, Any] = {field: given[name] for field, name in FIELDS.items() if name in given}
    reply |= {field: int(given[name]) for field, name in NUMBERS.items() if name in given}
    reply["Metadata"] = {name[len(METADATA) :]: value for name, value in given.items() if name.startswith(METADATA)}
    if "expires" in given:
        reply["ExpiresString"] = given["expires"]
    if "last-modified" in given:
        reply["LastModified"] = parsedate_to_datetime(given["last-modified"])
    if "x-amz-object-lock-retain-until-date" in given:
        until = datetime.fromisoformat(given["x-amz-object-lock-retain-until-date"])
        reply["ObjectLockRetainUntilDate"] = until if until.tzinfo else until.replace(tzinfo=UTC)
    reply["BucketKeyEnabled"] = given.get(FIELDS["BucketKeyEnabled"]) == "true"
    return reply


def body_digest(body: Body) -> str:
    """Return a body's SHA-256; raise StoreError if its size is wrong, since the server would wait for the rest."""
    digest, size = hashlib.sha256(), 0
    for chunk in body.chunks():
        digest.update(chunk)
        size += len(chunk)
    if size != body.size:
        raise StoreError(StoreErrorKind.OTHER, f"the body has {size} bytes, not {body.size}")
    return digest.hexdigest()


def to_str(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def drain(response: Any) -> None:
    """Read the rest of a response, so that its connection can be reused."""
    if response is not None:
        response.drain_conn()
        response.release_conn()
