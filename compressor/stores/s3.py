"""A bucket of S3 or of a compatible server, by boto3.

obstore, which serves gs:// and az://, is not used: its listing of a bucket fails at the first key with a tab, a
newline, `//` or `..`, and it can't read tags, holds or storage classes (0.12).
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from compressor.stores import s3_client
from compressor.stores.contract import (
    TEMPORARY_KEY,
    VERSIONED,
    Attributes,
    Body,
    Entry,
    OnAccessDenied,
    Precondition,
    Store,
    StoreError,
    StoreErrorKind,
    check_key_order,
    check_not_temporary,
    check_precondition,
    check_written,
    lost_extended_attributes,
    temporary_key,
    unquote_etag,
)
from compressor.stores.markers import without_marked_folders
from compressor.stores.places import split_url
from compressor.stores.s3_client import ERRORS, ClientError, http_status, to_store_error, was_retried
from compressor.stores.s3_fast_path import FastPath
from compressor.stores.s3_multipart import abort_leftovers, copy_within, upload_in_parts
from compressor.stores.s3_objects import (
    BodyFile,
    OpenS3Object,
    acl_grants,
    hold_reason,
    object_attributes,
    object_entry,
    put_parameters,
)

PUT_BYTES = 64 << 20  # up to this size one request, unless a condition needs more
CONFLICTS = 3
VERSIONING_SUSPENDED = "versioning is suspended: objects written before that stay as versions if they are replaced"
VERSIONING_DENIED = "access to its versioning state was denied: replaced objects may stay as versions"
PAGE_KEYS = 1000  # the maximum

Reply = TypeVar("Reply")


class Bucket:
    """A bucket, or a prefix of one, used like a folder. Credentials, endpoint, region and retries come from boto3's
    environment variables (AWS_PROFILE, AWS_ENDPOINT_URL_S3, AWS_MAX_ATTEMPTS, …).

    Up to `conditional_bytes`, an object is written by one PutObject with If-Match or If-None-Match, and streamed. It is
    0 if the server ignores these headers, which is probed once, by a request that must be refused. With `probed` the
    given size is used.
    Larger objects are uploaded in parts to PREFIX.compressor-DIGEST.part, which is copied over the target within the
    store after a check that the target has not changed. What a killed run left of it is removed when the same key is
    written again.

    `open` takes one request, and one more for an object with tags. `write` takes two, and one more with an ETag in a
    bucket with ACLs, which are kept. An archived object that has been restored is read, and written to its storage
    class again.
    """

    def __init__(self, url: str, conditional_bytes: int, probed: bool = False) -> None:
        bucket, self._root = split_url(url)
        self.url = url
        self._bucket = bucket.removeprefix("s3://")
        self._limit, self._probed = conditional_bytes, probed
        self.left_out: list[str] = []
        self._quote_etags = True  # in conditions
        self._client = s3_client.connect()
        self._fast = FastPath(self._client, self._bucket)

    @cached_property
    def conditional_bytes(self) -> int:
        if self._probed:
            return self._limit
        name = temporary_key(self._root, "")
        with self._store_errors(""):
            try:
                self._client.put_object(Bucket=self._bucket, Key=name, Body=b"", IfMatch='"no such etag"')
            except ClientError as error:
                # Denied: no write is possible, and the first will report it.
                return self._limit if http_status(error) in (403, 404, 412) else 0
            self._client.delete_object(Bucket=self._bucket, Key=name)
            return 0

    @cached_property
    def notices(self) -> tuple[str, ...]:
        with self._store_errors(""):
            try:
                status = self._client.get_bucket_versioning(Bucket=self._bucket).get("Status")
            except ClientError as error:
                if http_status(error) not in (403, 405, 501):
                    raise
                return (VERSIONING_DENIED,) if http_status(error) == 403 else ()
        if status == "Suspended":
            return (VERSIONING_SUSPENDED,)
        return (VERSIONED,) if status == "Enabled" else ()

    def entries(self, on_denied: OnAccessDenied | None = None) -> Iterator[Entry]:
        return without_marked_folders(self, self._listed())

    def _listed(self) -> Iterator[Entry]:
        asked: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._root, "MaxKeys": PAGE_KEYS}
        before, folders = "", 0
        while True:
            with self._store_errors(""):
                page = self._client.list_objects_v2(**asked)
            for item in page.get("Contents", ()):
                key = item["Key"][len(self._root) :]
                folders += key.endswith("/")
                if not key or key.endswith("/") or TEMPORARY_KEY.fullmatch(key) is not None:
                    continue
                check_key_order(self.url, before, key)
                before = key
                yield object_entry(key, item)
            if not page.get("IsTruncated"):
                if folders:
                    self.left_out.append(f"{folders:,} keys that end in / (folder placeholders) are left out")
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def open(self, key: str) -> OpenS3Object:
        with self._store_errors(key) as name:
            reply = self._fast.get(name) if self._fast_path_works() else None
            if reply is None:
                reply = self._client.get_object(Bucket=self._bucket, Key=name)
            try:
                tags, lost = self._tags(name, reply)
                attributes = object_attributes(reply, tags, lost)
                return OpenS3Object(
                    self._where(key), object_entry(key, reply), attributes, hold_reason(reply), reply["Body"]
                )
            except BaseException:
                reply["Body"].close()
                raise

    def _tags(self, name: str, reply: dict[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return an object's tags, and a description of those that can't be read."""
        if not reply.get("TagCount"):
            return {}, ()
        version = {"VersionId": reply["VersionId"]} if reply.get("VersionId", "null") != "null" else {}
        try:
            found = self._client.get_object_tagging(Bucket=self._bucket, Key=name, **version)["TagSet"]
        except ClientError as error:
            if http_status(error) != 403:
                raise
            return {}, (f"{reply['TagCount']} tags, which can't be read",)
        return {tag["Key"]: tag["Value"] for tag in found}, ()

    def head(self, key: str) -> Entry | None:
        with self._store_errors(key) as name:
            return self._head(key, name)

    def _head(self, key: str, name: str) -> Entry | None:
        reply = self._fast.head(name) if self._fast_path_works() else None
        if reply is not None:
            return object_entry(key, reply) if reply else None
        try:
            return object_entry(key, self._client.head_object(Bucket=self._bucket, Key=name))
        except ClientError as error:
            if http_status(error) == 404:
                return None
            raise

    def write(self, key: str, body: Body, attributes: Attributes, condition: Precondition | None) -> Entry:
        replacing = condition is not None and condition.etag is not None
        return self._write(key, body, attributes, condition, key if replacing else None)

    def write_successor(self, key: str, body: Body, attributes: Attributes, of: str) -> Entry:
        return self._write(key, body, attributes, Precondition(None), of)

    def _write(
        self, key: str, body: Body, attributes: Attributes, condition: Precondition | None, replaced: str | None
    ) -> Entry:
        """See `Store.write`. replaced: key of the object whose encryption and ACL are kept; None: the defaults."""
        with self._store_errors(key) as name:
            check_not_temporary(name)
            sent = put_parameters(attributes, replacing=replaced is not None)
            if replaced is not None:
                sent |= self._acl_parameters(self._root + replaced)
            if condition is not None and 0 < self.conditional_bytes >= body.size:
                etag = self._put_conditionally(key, name, body, sent, condition)
            else:
                etag = self._put_unconditionally(key, name, body, sent, condition)
            return self._written(key, name, body.size, etag)

    def _put(self, name: str, body: Body, sent: dict[str, Any], **condition: str) -> str:
        sent = {**sent, **condition}
        reply, unanswered = None, False
        if self._fast_path_works():
            reply, unanswered = self._fast.put(name, body, sent)
        try:
            reply = reply or self._client.put_object(Bucket=self._bucket, Key=name, Body=BodyFile(body), **sent)
        except ClientError as error:
            if unanswered:
                error.response["ResponseMetadata"]["RetryAttempts"] = 1  # as if boto3 had tried before
            raise
        return unquote_etag(reply["ETag"])

    def _put_conditionally(self, key: str, name: str, body: Body, sent: dict[str, Any], condition: Precondition) -> str:
        """Write by one conditional request."""
        for attempt in range(CONFLICTS):
            try:
                if condition.etag is None:
                    return self._put(name, body, sent, IfNoneMatch="*")
                return self._matching(name, condition.etag, lambda etag: self._put(name, body, sent, IfMatch=etag))
            except ClientError as error:
                if http_status(error) == 409 and attempt + 1 < CONFLICTS:
                    continue  # a concurrent write, whose result the next try shows
                if http_status(error) not in (404, 409, 412):
                    raise
                now = self._head(key, name)
                if (
                    now is not None
                    and now.size == body.size
                    and was_retried(error)
                    and self._has_content(name, now.etag, body)
                ):
                    return now.etag  # the first try succeeded, but its response was lost
                check_precondition(condition, etag_if_any(now))
                if condition.etag is None or http_status(error) != 412:
                    raise
            # The condition fails although nothing has changed: so does Ceph 16 in a versioned bucket.
            return self._put_unconditionally(key, name, body, sent, condition)
        raise AssertionError("the last try returns or raises")

    def _matching(self, name: str, etag: str, request: Callable[[str], Reply]) -> Reply:
        """Make a conditional request with the ETag in the form that the server accepts: in quotes, or without."""
        quoted = self._quote_etags
        try:
            return request(f'"{etag}"' if quoted else etag)
        except ClientError as error:
            if http_status(error) != 412 or not quoted:
                raise
            now = self._head("", name)
            if now is None or now.etag != etag:
                raise
        reply = request(etag)  # Ceph 16 compares the quotes too
        self._quote_etags = False
        return reply

    def _put_unconditionally(
        self, key: str, name: str, body: Body, sent: dict[str, Any], condition: Precondition | None
    ) -> str:
        """Write without a condition in the request; a given condition is checked before.

        Large objects are uploaded to a temporary name, and copied over the target when they are complete.
        """
        if condition is not None:
            check_precondition(condition, etag_if_any(self._head(key, name)), one_step=False)
        if body.size <= PUT_BYTES:
            return self._put(name, body, sent)
        part = temporary_key(self._root, name)
        abort_leftovers(self._client, self._bucket, part)
        try:
            etag = upload_in_parts(self._client, self._bucket, part, body, sent)
            if condition is not None:
                check_precondition(condition, etag_if_any(self._head(key, name)))
            return self._copied(part, etag, body.size, name, sent)
        finally:
            with contextlib.suppress(*ERRORS):  # otherwise it is overwritten the next time, and not listed until then
                self._client.delete_object(Bucket=self._bucket, Key=part)

    def _copied(self, name: str, etag: str, size: int, to: str, sent: dict[str, Any]) -> str:
        return self._matching(
            name, etag, lambda form: copy_within(self._client, self._bucket, name, form, size, to, sent)
        )

    def _written(self, key: str, name: str, size: int, etag: str) -> Entry:
        return check_written(self._head(key, name), size, etag)

    def copy(self, key: str, etag: str, to: str, target: Store | None = None) -> Entry:
        """See `Store`; that `to` does not exist is checked before, which is not atomic."""
        target = target or self
        assert isinstance(target, Bucket) and target._bucket == self._bucket
        with target._store_errors(to) as target_name:
            check_precondition(Precondition(None), etag_if_any(target._head(to, target_name)))
        with self._store_errors(key) as name:
            reply = self._client.head_object(Bucket=self._bucket, Key=name)
            entry = object_entry(key, reply)
            check_precondition(Precondition(etag), entry.etag)
            sent = put_parameters(object_attributes(reply, *self._tags(name, reply)), replacing=True)
            copied = self._copied(name, etag, entry.size, target_name, sent)
        with target._store_errors(to):
            return target._written(to, target_name, entry.size, copied)

    def clean_up(self, key: str) -> None:
        with self._store_errors(key) as name:
            part = temporary_key(self._root, name)
            abort_leftovers(self._client, self._bucket, part)
            self._client.delete_object(Bucket=self._bucket, Key=part)

    def delete(self, key: str, etag: str) -> None:
        with self._store_errors(key) as name:
            now = self._head(key, name)
            if now is None:
                return
            check_precondition(Precondition(etag), now.etag)
            if self._fast_path_works() and self._fast.delete(name, f'"{etag}"' if self._quote_etags else etag):
                return
            try:
                self._matching(
                    name, etag, lambda form: self._client.delete_object(Bucket=self._bucket, Key=name, IfMatch=form)
                )
            except ClientError as error:
                if http_status(error) in (404, 412) and self._head(key, name) is None:
                    return  # by an earlier request, whose response was lost
                if http_status(error) not in (400, 501):
                    raise
                self._client.delete_object(Bucket=self._bucket, Key=name)

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """Describe what `write` would not carry over."""
        return lost_extended_attributes(attributes)

    @cached_property
    def _has_acls(self) -> bool:
        """True if objects may have their own ACLs, which is not the default at AWS."""
        try:
            found = self._client.get_bucket_ownership_controls(Bucket=self._bucket)
        except ClientError:
            return True  # access denied, or not supported by this server
        rules = found.get("OwnershipControls", {}).get("Rules", ())
        return not any(rule["ObjectOwnership"] == "BucketOwnerEnforced" for rule in rules)

    def _acl_parameters(self, name: str) -> dict[str, str]:
        """Return parameters for the object's ACL, if it is not the default."""
        if not self._has_acls or (self._fast_path_works() and self._fast.has_default_acl(name)):
            return {}
        try:
            return acl_grants(self._client.get_object_acl(Bucket=self._bucket, Key=name))
        except ClientError as error:
            if http_status(error) in (400, 405, 501):
                return {}  # not supported by this server
            raise

    def _has_content(self, name: str, etag: str, body: Body) -> bool:
        """Return whether the object has this content."""
        reply = self._matching(
            name, etag, lambda form: self._client.get_object(Bucket=self._bucket, Key=name, IfMatch=form)
        )
        with contextlib.closing(reply["Body"]) as stream:
            return all(stream.read(len(chunk)) == chunk for chunk in body.chunks()) and not stream.read(1)

    def _fast_path_works(self) -> bool:
        """Return whether the fast path can be used."""
        return self._fast.discover(temporary_key(self._root, ""))

    def _where(self, key: str) -> str:
        return f"{self.url}: {key!r}" if key else self.url

    @contextmanager
    def _store_errors(self, key: str) -> Iterator[str]:
        """Give the name of a key in the bucket; raise errors as StoreError, with store and key in front."""
        name = self._root + key
        try:
            name.encode()
        except UnicodeEncodeError:
            raise StoreError(StoreErrorKind.IMPOSSIBLE, f"{self._where(key)}: not UTF-8") from None
        try:
            yield name
        except StoreError as error:
            raise error.located(self._where(key)) from error
        except ERRORS as error:
            raise to_store_error(self._where(key), error) from error


def etag_if_any(entry: Entry | None) -> str | None:
    return None if entry is None else entry.etag
