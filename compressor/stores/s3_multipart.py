"""Multipart uploads to S3, and copies within a bucket."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from compressor.stores.contract import Body, unquote_etag
from compressor.stores.s3_client import ERRORS
from compressor.stores.s3_objects import COPY_PARAMETERS

PART_BYTES = 8 << 20  # of a part, which is held in memory
PARTS_MAX = 9000  # 10,000 are allowed
COPY_BYTES = 5 << 30  # the maximum of one CopyObject
COPY_PART_BYTES = 1 << 30


class MultipartUpload:
    """A multipart upload; see `multipart_upload`."""

    def __init__(self, client: Any, bucket: str, name: str, sent: Mapping[str, Any]) -> None:
        self._client = client
        self._object = {"Bucket": bucket, "Key": name}
        self._tags = parse_qsl(sent.get("Tagging", ""), keep_blank_values=True)
        sent = {field: value for field, value in sent.items() if field != "Tagging"}
        self._target = {**self._object, "UploadId": client.create_multipart_upload(**self._object, **sent)["UploadId"]}
        self._parts: list[dict[str, Any]] = []

    def add(self, data: bytes) -> None:
        """Upload the next part."""
        number = len(self._parts) + 1
        reply = self._client.upload_part(**self._target, PartNumber=number, Body=data)
        self._parts.append({"PartNumber": number, "ETag": reply["ETag"]})

    def add_range(self, source: Mapping[str, str], etag: str, first: int, last: int) -> None:
        """Copy bytes first … last of another object as the next part, if it has this ETag."""
        number = len(self._parts) + 1
        reply = self._client.upload_part_copy(
            **self._target,
            PartNumber=number,
            CopySource=source,
            CopySourceIfMatch=etag,
            CopySourceRange=f"bytes={first}-{last}",
        )
        self._parts.append({"PartNumber": number, "ETag": reply["CopyPartResult"]["ETag"]})

    def complete(self) -> str:
        """Complete the upload, set tags (Ceph 16 ignores them before), and return the object's ETag."""
        reply = self._client.complete_multipart_upload(**self._target, MultipartUpload={"Parts": self._parts})
        if self._tags:
            tags = [{"Key": key, "Value": value} for key, value in self._tags]
            self._client.put_object_tagging(**self._object, Tagging={"TagSet": tags})
        # Ceph 16 does not return it.
        return unquote_etag(reply["ETag"]) or unquote_etag(self._client.head_object(**self._object)["ETag"])

    def abort(self) -> None:
        with contextlib.suppress(*ERRORS):
            self._client.abort_multipart_upload(**self._target)


@contextmanager
def multipart_upload(client: Any, bucket: str, name: str, sent: Mapping[str, Any]) -> Iterator[MultipartUpload]:
    """Begin an upload, and abort it if the block fails."""
    upload = MultipartUpload(client, bucket, name, sent)
    try:
        yield upload
    except BaseException:
        upload.abort()
        raise


def upload_in_parts(client: Any, bucket: str, name: str, body: Body, sent: Mapping[str, Any]) -> str:
    """Write an object in parts, overwriting any other; return its ETag."""
    with multipart_upload(client, bucket, name, sent) as upload:
        for part in parts_of(body, max(PART_BYTES, -(-body.size // PARTS_MAX))):
            upload.add(part)
        return upload.complete()


def abort_leftovers(client: Any, bucket: str, name: str) -> None:
    """Abort unfinished uploads to this name, left by a run that was killed."""
    with contextlib.suppress(*ERRORS):  # listing them may be denied, which does no harm
        found = client.list_multipart_uploads(Bucket=bucket, Prefix=name)
        for item in found.get("Uploads", ()):
            if item["Key"] == name:
                client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=item["UploadId"])


def copy_within(client: Any, bucket: str, name: str, etag: str, size: int, to: str, sent: Mapping[str, Any]) -> str:
    """Copy an object, if it has this ETag, to `to`, overwriting any other; return the copy's ETag.

    etag  as in the condition
    sent  all parameters of the object; a copy by one request takes metadata and tags from its source
    """
    source = {"Bucket": bucket, "Key": name}
    if size <= COPY_BYTES:
        again = {field: value for field, value in sent.items() if field in COPY_PARAMETERS}
        reply = client.copy_object(Bucket=bucket, Key=to, CopySource=source, CopySourceIfMatch=etag, **again)
        return unquote_etag(reply["CopyObjectResult"]["ETag"])
    with multipart_upload(client, bucket, to, sent) as upload:
        for first in range(0, size, COPY_PART_BYTES):
            upload.add_range(source, etag, first, min(first + COPY_PART_BYTES, size) - 1)
        return upload.complete()


def parts_of(body: Body, bytes_each: int) -> Iterator[bytes]:
    """Yield a body in parts of this size; the last may be smaller."""
    waiting: list[bytes] = []
    size = 0
    for chunk in body.chunks():
        waiting.append(chunk)
        size += len(chunk)
        if size >= bytes_each:
            whole = b"".join(waiting)
            yield whole[:bytes_each]
            waiting = [whole[bytes_each:]]
            size = len(waiting[0])
    if size:
        yield b"".join(waiting)
