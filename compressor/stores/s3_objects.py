"""Objects of S3 as we see them: their attributes from replies and for requests, their bytes, and bytes for requests."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from compressor.stores.contract import CHUNK_BYTES, Attributes, Body, Entry
from compressor.stores.s3_client import ERRORS, store_error

HEADERS = {
    "content-type": "ContentType",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "expires": "Expires",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
}
# What belongs to the bucket as much as to the object: carried where an object is replaced, not to another bucket.
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
# Parameters that a copy needs again: it takes the others from its source.
OF_COPIES = {*ENCRYPTION.values(), *GRANTS.values(), "StorageClass", "WebsiteRedirectLocation"}
HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


def entry_of(key: str, reply: Mapping[str, Any]) -> Entry:
    """Of a reply to GetObject or HeadObject, or an item of a listing. That has milliseconds, which are cut off, so that
    all are equal."""
    size = reply["ContentLength"] if "ContentLength" in reply else reply["Size"]
    storage_class = str(reply.get("StorageClass") or "")
    return Entry(
        key,
        int(size),
        bare(reply.get("ETag") or ""),
        float(int(reply["LastModified"].timestamp())) if reply.get("LastModified") else 0.0,
        "" if storage_class == "STANDARD" else storage_class,
    )


def bare(etag: str) -> str:
    """Without the quotes, as inventories have it."""
    return etag.strip('"')


def held_by(reply: Mapping[str, Any]) -> str:
    """What holds an object, as far as we may see it."""
    for name in ("ObjectLockLegalHoldStatus", "ObjectLockEventHold"):
        if reply.get(name) == "ON":
            return "legal hold" if name == "ObjectLockLegalHoldStatus" else "event hold"
    until = reply.get("ObjectLockRetainUntilDate")
    if until is not None and until > datetime.now(UTC):
        return f"retained until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({reply.get('ObjectLockMode', 'unknown')})"
    return ""


def attributes_of(reply: Mapping[str, Any], tags: Mapping[str, str], lost: tuple[str, ...]) -> Attributes:
    """Of a reply to GetObject. What no request takes back is named: values that are not ASCII, broken dates, metadata
    that the API can't show."""
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
    return Attributes(headers, metadata, dict(tags), entry_of("", reply).storage_class, lost=(*missing, *lost))


def parameters(attributes: Attributes, replacing: bool) -> dict[str, Any]:
    """For PutObject or CreateMultipartUpload.

    replacing  the object whose attributes these are
    """
    found: dict[str, Any] = {"Metadata": dict(attributes.metadata)} if attributes.metadata else {}
    for name, field in (HEADERS | (ENCRYPTION if replacing else {})).items():
        value = attributes.headers.get(name)
        if value:
            found[field] = True if field == "BucketKeyEnabled" else value
    if attributes.tags:
        found["Tagging"] = urlencode(attributes.tags, quote_via=quote)  # Ceph takes `+` for itself
    if attributes.storage_class:
        found["StorageClass"] = attributes.storage_class
    return found


def grants(acl: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that give an object this ACL; none where it is the owner's full control alone, as it is by default."""
    owner, found = acl.get("Owner", {}).get("ID"), dict[str, list[str]]()
    plain = True
    for grant in acl.get("Grants", ()):
        who, permission = grant["Grantee"], grant["Permission"]
        plain = plain and (who.get("ID"), permission) == (owner, "FULL_CONTROL")
        kind, name = ("uri", who["URI"]) if who.get("URI") else ("id", who.get("ID", ""))
        found.setdefault(GRANTS[permission], []).append(f'{kind}="{name}"')
    return {} if plain else {field: ", ".join(names) for field, names in found.items()}


class OpenObject:
    """An object that is being read, in one request."""

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
            raise store_error(f"{self._where}: in the middle of reading", error) from error

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> "OpenObject":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BodyFile:
    """A body as the client wants one: a file that it reads twice, for the signature and for the request, and once more
    for each retry. Nothing of it is held but a chunk."""

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
