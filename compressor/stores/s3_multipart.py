"""What takes S3 more than one request: uploads in parts, and copies within a bucket."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from compressor.stores.contract import Body
from compressor.stores.s3_client import ERRORS
from compressor.stores.s3_objects import OF_COPIES, bare

PIECE_BYTES = 8 << 20  # of an upload; held in memory
PIECES = 9000  # 10,000 are allowed
COPY_BYTES = 5 << 30  # what one CopyObject takes
COPY_PIECE_BYTES = 1 << 30


class Parts:
    """An upload in parts, which is aborted if it does not get to its end."""

    def __init__(self, client: Any, bucket: str, name: str, sent: Mapping[str, Any]) -> None:
        self._client = client
        self._object = {"Bucket": bucket, "Key": name}
        self._tags = parse_qsl(sent.get("Tagging", ""), keep_blank_values=True)
        sent = {field: value for field, value in sent.items() if field != "Tagging"}
        self._target = {**self._object, "UploadId": client.create_multipart_upload(**self._object, **sent)["UploadId"]}
        self._done: list[dict[str, Any]] = []

    def add(self, data: bytes) -> None:
        number = len(self._done) + 1
        reply = self._client.upload_part(**self._target, PartNumber=number, Body=data)
        self._done.append({"PartNumber": number, "ETag": reply["ETag"]})

    def add_range(self, source: Mapping[str, str], etag: str, first: int, last: int) -> None:
        number = len(self._done) + 1
        reply = self._client.upload_part_copy(
            **self._target,
            PartNumber=number,
            CopySource=source,
            CopySourceIfMatch=etag,
            CopySourceRange=f"bytes={first}-{last}",
        )
        self._done.append({"PartNumber": number, "ETag": reply["CopyPartResult"]["ETag"]})

    def complete(self) -> str:
        """The etag of the whole. Tags are put on afterwards: Ceph 16 ignores them before."""
        reply = self._client.complete_multipart_upload(**self._target, MultipartUpload={"Parts": self._done})
        if self._tags:
            tags = [{"Key": key, "Value": value} for key, value in self._tags]
            self._client.put_object_tagging(**self._object, Tagging={"TagSet": tags})
        # Ceph 16 does not say it.
        return bare(reply["ETag"]) or bare(self._client.head_object(**self._object)["ETag"])

    def abort(self) -> None:
        with contextlib.suppress(*ERRORS):
            self._client.abort_multipart_upload(**self._target)


@contextmanager
def parts_of(client: Any, bucket: str, name: str, sent: Mapping[str, Any]) -> Iterator[Parts]:
    parts = Parts(client, bucket, name, sent)
    try:
        yield parts
    except BaseException:
        parts.abort()
        raise


def upload(client: Any, bucket: str, name: str, body: Body, sent: Mapping[str, Any]) -> str:
    """Write whatever is there over, in parts; its etag."""
    with parts_of(client, bucket, name, sent) as parts:
        for piece in pieces(body, max(PIECE_BYTES, -(-body.size // PIECES))):
            parts.add(piece)
        return parts.complete()


def abort_leftovers(client: Any, bucket: str, name: str) -> None:
    """Uploads to this very name that were begun and not ended: by a run that was killed."""
    with contextlib.suppress(*ERRORS):  # it may not be allowed to see them, and does not depend on it
        found = client.list_multipart_uploads(Bucket=bucket, Prefix=name)
        for item in found.get("Uploads", ()):
            if item["Key"] == name:
                client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=item["UploadId"])


def copy_within(client: Any, bucket: str, name: str, etag: str, size: int, to: str, sent: Mapping[str, Any]) -> str:
    """Copy the object that has this etag, as a condition has it, over whatever is at `to`; the copy's etag.

    sent  all parameters of the object; a copy in one request takes metadata and tags from its source
    """
    source = {"Bucket": bucket, "Key": name}
    if size <= COPY_BYTES:
        again = {field: value for field, value in sent.items() if field in OF_COPIES}
        reply = client.copy_object(Bucket=bucket, Key=to, CopySource=source, CopySourceIfMatch=etag, **again)
        return bare(reply["CopyObjectResult"]["ETag"])
    with parts_of(client, bucket, to, sent) as parts:
        for first in range(0, size, COPY_PIECE_BYTES):
            parts.add_range(source, etag, first, min(first + COPY_PIECE_BYTES, size) - 1)
        return parts.complete()


def pieces(body: Body, bytes_each: int) -> Iterator[bytes]:
    """A body in parts of that size; the last may be smaller."""
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
