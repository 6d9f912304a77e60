"""GetObject, HeadObject and PutObject as bare requests, while all goes well: a third of the CPU time that boto3 takes.
What it does better stays its own: addresses, regions and credentials are learned from it, it signs, and whatever is not
answered by success is asked again through it, with its retries and its errors.
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
from compressor.stores.s3_client import CONNECT_SECONDS, CONNECTIONS, READ_SECONDS, ClientError, Signer, certificates

# Fields of boto3's replies and parameters, and the headers they stand for.
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
# One grant, to the owner; behind it nothing but the ends of what is open.
USUAL_ACL = re.compile(
    rb"<Owner>\s*<ID>([^<]+)</ID>(?:(?!<Grant>).)*<Grant>\s*<Grantee[^>]*>(?:(?!</Grantee>).)*<ID>\1</ID>"
    rb"(?:(?!</Grantee>).)*</Grantee>\s*<Permission>FULL_CONTROL</Permission>\s*</Grant>\s*</AccessControlList>",
    re.DOTALL,
)
ACL_BYTES = 1 << 16
EMPTY = hashlib.sha256(b"").hexdigest()


class Quick:
    """Requests for objects of one bucket. All methods give None where boto3 is to be asked.

    learn  is done on the first use, by a request for an object that is not there
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._pool: Any = None
        self._learned = False
        self._region = self._origin = self._base = ""
        self._signer: Any = None

    def learn(self, name: str) -> bool:
        """Whether requests can be made here. `name`: of an object that is not there."""
        if self._learned:
            return self._pool is not None
        seen: list[Any] = []
        path = quote(name, safe="/~")

        def look(request: Any, **_: object) -> None:
            if request.url.endswith(path):
                seen.append(request)

        def take(request_signer: Any, **_: object) -> None:
            self._signer = request_signer

        events = self._client.meta.events
        events.register("before-sign.s3.HeadObject", take)
        events.register("before-send.s3.HeadObject", look)
        try:
            self._client.head_object(Bucket=self._bucket, Key=name)
        except ClientError:
            pass  # not there, or not for us to see
        finally:
            events.unregister("before-send.s3.HeadObject", look)
            events.unregister("before-sign.s3.HeadObject", take)
        if seen:
            self._take(seen[-1].url.removesuffix(path), str_of(seen[-1].headers.get("Authorization", "")))
        self._learned = True
        return self._pool is not None

    def _take(self, url: str, authorization: str) -> None:
        signed, parts = CREDENTIAL.match(authorization), urlsplit(url)
        proxied = parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")
        if signed is None or parts.query or proxied:
            return
        self._region, self._origin, self._base = signed[1], f"{parts.scheme}://{parts.netloc}", parts.path
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        options: dict[str, Any] = {"maxsize": CONNECTIONS, "timeout": timeout, "retries": False}
        if parts.scheme == "https":
            options |= {"ca_certs": certificates(), "cert_reqs": "CERT_REQUIRED"}
        self._pool = urllib3.connectionpool.connection_from_url(self._origin, **options)

    def get(self, name: str) -> dict[str, Any] | None:
        response = self._send("GET", name, {})
        if response is None or response.status != 200:
            drop(response)
            return None
        return {**reply_of(response.headers), "Body": response}

    def head(self, name: str) -> dict[str, Any] | None:
        """{} where there is nothing."""
        response = self._send("HEAD", name, {})
        drop(response)
        if response is None or response.status not in (200, 404):
            return None
        return reply_of(response.headers) if response.status == 200 else {}

    def has_usual_acl(self, name: str) -> bool:
        """Whether it is seen to be the owner's full control alone."""
        response = self._send("GET", name, {}, query="acl=")
        if response is None or response.status != 200:
            drop(response)
            return False
        try:
            return USUAL_ACL.search(response.read(ACL_BYTES)) is not None
        except (urllib3.exceptions.HTTPError, OSError):
            return False
        finally:
            drop(response)

    def put(self, name: str, body: Body, sent: Mapping[str, Any]) -> tuple[dict[str, Any] | None, bool]:
        """And whether it may have arrived although no answer has come."""
        headers = {FIELDS[field]: str(value) for field, value in sent.items() if field in FIELDS}
        headers |= {METADATA + field: value for field, value in sent.get("Metadata", {}).items()}
        if "x-amz-server-side-encryption-bucket-key-enabled" in headers:
            headers["x-amz-server-side-encryption-bucket-key-enabled"] = "true"
        if not all(f"{field}{value}".isascii() and f"{field}{value}".isprintable() for field, value in headers.items()):
            return None, False
        response = self._send("PUT", name, headers, body)
        if response is None:
            return None, True
        drop(response)
        return (reply_of(response.headers) if response.status == 200 else None), response.status >= 500

    def _send(self, method: str, name: str, headers: dict[str, str], body: Body | None = None, query: str = "") -> Any:
        """The response with its body unread; None where there is none."""
        target = self._base + quote(name, safe="/~") + (f"?{query}" if query else "")
        headers = self._signed(method, target, EMPTY if body is None else digest_of(body), headers)
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
        """With what AWS's Signature Version 4 adds. Credentials may be others than the last time."""
        credentials = self._signer.get_auth_instance("s3", self._region, "s3v4").credentials
        return Signer(credentials, "s3", self._region).headers(method, self._origin + target, digest, headers)


def reply_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """As boto3 has it, as far as it is asked for."""
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


def digest_of(body: Body) -> str:
    """Of a body that has the size it says: else the server would wait for the rest of it."""
    digest, size = hashlib.sha256(), 0
    for chunk in body.chunks():
        digest.update(chunk)
        size += len(chunk)
    if size != body.size:
        raise StoreError(StoreErrorKind.OTHER, f"{size} bytes to write, not {body.size}")
    return digest.hexdigest()


def str_of(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def drop(response: Any) -> None:
    """Read what little is left of it, so that its connection serves again."""
    if response is not None:
        response.drain_conn()
        response.release_conn()
