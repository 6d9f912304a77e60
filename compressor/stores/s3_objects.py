"""S3 objects: entries and attributes from replies, parameters for requests, and bodies."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from compressor.stores.contract import CHUNK_BYTES, Attributes, Body, Entry, OpenObject, unquote_etag
from compressor.stores.s3_client import ERRORS, to_store_error

HEADERS = {
    "content-type": "ContentType",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "expires": "Expires",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
}
# These depend on the bucket: kept when an object is replaced, not copied to another bucket.
ENCRYPTION = {
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
    "x-amz-server-side-encryption-bucket-key-enabled": "BucketKeyEnabled",
}
GRANTS = {
    "FULL_CONTROL": "GrantFullControl",
    "READ": "GrantRead",
    "READ_ACP": "GrantReadACP",
    "WRITE_ACP": "GrantWriteACP",
}
# Parameters that a copy needs again; it takes the others from its source.
COPY_PARAMETERS = {*ENCRYPTION.values(), *GRANTS.values(), "StorageClass", "WebsiteRedirectLocation"}
HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


def object_entry(key: str, reply: Mapping[str, Any]) -> Entry:
    """Return the entry from a reply to GetObject or HeadObject, or from an item of a listing.

    A listing's milliseconds are cut off, so that all are equal.
    """
    size = reply["ContentLength"] if "ContentLength" in reply else reply["Size"]
    storage_class = str(reply.get("StorageClass") or "")
    return Entry(
        key,
        int(size),
        unquote_etag(reply.get("ETag") or ""),
        float(int(reply["LastModified"].timestamp())) if reply.get("LastModified") else 0.0,
        "" if storage_class == "STANDARD" else storage_class,
    )


def hold_reason(reply: Mapping[str, Any]) -> str:
    """Return the legal hold or retention of an object, as far as it is visible; "" if none."""
    for name in ("ObjectLockLegalHoldStatus", "ObjectLockEventHold"):
        if reply.get(name) == "ON":
            return "legal hold" if name == "ObjectLockLegalHoldStatus" else "event hold"
    until = reply.get("ObjectLockRetainUntilDate")
    if until is not None and until > datetime.now(UTC):
        return f"retained until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({reply.get('ObjectLockMode', 'unknown')})"
    return ""


def object_attributes(reply: Mapping[str, Any], tags: Mapping[str, str], lost: tuple[str, ...]) -> Attributes:
    """Return the attributes from a reply to GetObject.

    `lost` includes what no request accepts: values that are not ASCII, invalid dates, metadata that the API can't show.
    """
    given = {name: reply.get(field) for name, field in (HEADERS | ENCRYPTION).items()}
    given["expires"] = reply.get("ExpiresString")
    headers = {name: str(value) for name, value in given.items() if value not in (None, "", False)}
    missing = [f"{reply['MissingMeta']} metadata entries"] if reply.get("MissingMeta") else []
    if "expires" in headers and HTTP_DATE.fullmatch(headers["expires"]) is None:
        missing.append(f"expires {headers.pop('expires')!r}")
    for name in [name for name, value in headers.items() if not value.isascii()]:
        missing.append(f"{name}, which is not ASCII")
        del headers[name]
    metadata = dict(reply.get("Metadata") or {})
    for name in [name for name, value in metadata.items() if not (name + value).isascii()]:
        missing.append(f"metadata {name}, which is not ASCII")
        del metadata[name]
    return Attributes(headers, metadata, dict(tags), object_entry("", reply).storage_class, lost=(*missing, *lost))


def put_parameters(attributes: Attributes, replacing: bool) -> dict[str, Any]:
    """Return the parameters of PutObject or CreateMultipartUpload for these attributes.

    replacing  the object with these attributes is replaced
    """
    found: dict[str, Any] = {"Metadata": dict(attributes.metadata)} if attributes.metadata else {}
    for name, field in (HEADERS | (ENCRYPTION if replacing else {})).items():
        value = attributes.headers.get(name)
        if value:
            found[field] = True if field == "BucketKeyEnabled" else value
    if attributes.tags:
        found["Tagging"] = urlencode(attributes.tags, quote_via=quote)  # Ceph reads `+` as a plus sign
    if attributes.storage_class:
        found["StorageClass"] = attributes.storage_class
    return found


def acl_grants(acl: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters for this ACL; none if it is the default, which is full control for the owner alone."""
    owner, found = acl.get("Owner", {}).get("ID"), dict[str, list[str]]()
    plain = True
    for grant in acl.get("Grants", ()):
        who, permission = grant["Grantee"], grant["Permission"]
        plain = plain and (who.get("ID"), permission) == (owner, "FULL_CONTROL")
        kind, name = ("uri", who["URI"]) if who.get("URI") else ("id", who.get("ID", ""))
        found.setdefault(GRANTS[permission], []).append(f'{kind}="{name}"')
    return {} if plain else {field: ", ".join(names) for field, names in found.items()}


class OpenS3Object(OpenObject):
    """An object that is being read, by one request."""

    def __init__(self, where: str, entry: Entry, attributes: Attributes, held: str, stream: Any) -> None:
        self.entry = entry
        self.attributes = attributes
        self.held = held
        self._where = where
        self._stream = stream

    def chunks(self) -> Iterator[bytes]:
        try:
            while chunk := self._stream.read(CHUNK_BYTES):
                yield chunk
        except ERRORS as error:
            raise to_store_error(f"{self._where}: while reading", error) from error

    def close(self) -> None:
        self._stream.close()


class BodyFile:
    """A body as a file for the client, which reads it twice, for the signature and for the request, and again for each
    retry. One chunk is in memory at a time."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.seek(0)

    def seek(self, offset: int, whence: int = 0) -> int:
        size = self._body.size
        self._at = offset + (0, getattr(self, "_at", 0), size)[whence]
        if self._at not in (0, size):
            raise OSError("can only be read from its beginning")
        self._chunks = self._body.chunks() if self._at == 0 else iter(())
        self._rest = memoryview(b"")
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            return b"".join([bytes(self._rest), *self._chunks])
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece, self._rest = self._rest[:count], self._rest[count:]
        self._at += len(piece)
        return bytes(piece)
