"""A bucket of S3, or of a server that speaks it, by boto3. Not by obstore, as gs:// and az:// are: its listing of a
whole bucket ends in an error at the first key with a tab, a newline, `//` or `..` in it, and it can't read tags, holds
or storage classes (0.12)."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from compressor.stores import s3_client
from compressor.stores.contract import (
    PART,
    Attributes,
    Body,
    Entry,
    OnAccessDenied,
    Precondition,
    Store,
    StoreError,
    StoreErrorKind,
    check_precondition,
    part_name,
)
from compressor.stores.markers import outside
from compressor.stores.s3_client import ERRORS, ClientError, retried, status_of, store_error
from compressor.stores.s3_fast_path import Quick
from compressor.stores.s3_multipart import abort_leftovers, copy_within, upload
from compressor.stores.s3_objects import (
    BodyFile,
    OpenObject,
    attributes_of,
    bare,
    entry_of,
    grants,
    held_by,
    parameters,
)

PUT_BYTES = 64 << 20  # up to here one request, where no condition asks for more
CONFLICTS = 3
PAGE_KEYS = 1000  # the most that is given

Reply = TypeVar("Reply")


class Bucket:
    """A bucket, or a prefix of one as if that were a folder. Credentials, endpoint, region and retries are those of
    boto3's environment (AWS_PROFILE, AWS_ENDPOINT_URL_S3, AWS_MAX_ATTEMPTS, …).

    Up to `conditional_bytes` an object is written by one PutObject with If-Match or If-None-Match, of which nothing is
    held in memory. 0 where the server does not heed these, which is tried out once: by a request that must be refused.
    With `probed` it is not: what was given holds.
    Larger ones are uploaded in parts beside their target, as PREFIX.compressor-DIGEST.part, which is copied over it
    within the store when a look at the target has shown what is expected there; what a killed run left of that goes
    when the same key is written the next time.

    `open` takes one request, and one more for an object with tags; `write` two, and one more on an etag in a bucket
    that has ACLs, which are carried over. An archived object that has been restored is read, and written to its class
    again.
    """

    def __init__(self, url: str, conditional_bytes: int, probed: bool = False) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self.url = url
        self._bucket = bucket
        self._root = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._limit, self._probed = conditional_bytes, probed
        self.left_out: list[str] = []
        self._quoted = True  # etags in conditions
        self._client = s3_client.connect()
        self._quick = Quick(self._client, self._bucket)

    @cached_property
    def conditional_bytes(self) -> int:
        if self._probed:
            return self._limit
        name = part_name(self._root, "")
        with self._troubles(""):
            try:
                self._client.put_object(Bucket=self._bucket, Key=name, Body=b"", IfMatch='"of nothing"')
            except ClientError as error:
                # Denied: nothing can be written anyway, and the write will say so.
                return self._limit if status_of(error) in (403, 404, 412) else 0
            self._client.delete_object(Bucket=self._bucket, Key=name)
            return 0

    @cached_property
    def notices(self) -> tuple[str, ...]:
        with self._troubles(""):
            try:
                status = self._client.get_bucket_versioning(Bucket=self._bucket).get("Status")
            except ClientError as error:
                if status_of(error) not in (403, 405, 501):
                    raise
                return ("whether it is versioned can't be seen",) if status_of(error) == 403 else ()
        return ("versioned: replaced and deleted objects stay as versions",) if status == "Enabled" else ()

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        return outside(self, self._listed())

    def _listed(self) -> Iterator[Entry]:
        asked: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._root, "MaxKeys": PAGE_KEYS}
        before, folders = "", 0
        while True:
            with self._troubles(""):
                page = self._client.list_objects_v2(**asked)
            for item in page.get("Contents", ()):
                key = item["Key"][len(self._root) :]
                folders += key.endswith("/")
                if not key or key.endswith("/") or PART.fullmatch(key) is not None:
                    continue
                if key <= before:  # code points, which are in the order of UTF-8
                    raise StoreError(
                        StoreErrorKind.IMPOSSIBLE, f"{self.url}: {key!r}: listed out of order, behind {before!r}"
                    )
                before = key
                yield entry_of(key, item)
            if not page.get("IsTruncated"):
                self.left_out += [f"{folders:,} keys end in /, as marks of folders: they are left out"] * bool(folders)
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def open(self, key: str) -> OpenObject:
        with self._troubles(key) as name:
            reply = self._quick.get(name) if self._learned() else None
            if reply is None:
                reply = self._client.get_object(Bucket=self._bucket, Key=name)
            try:
                tags, lost = self._tags(name, reply)
                attributes = attributes_of(reply, tags, lost)
                return OpenObject(self._where(key), entry_of(key, reply), attributes, held_by(reply), reply["Body"])
            except BaseException:
                reply["Body"].close()
                raise

    def _tags(self, name: str, reply: dict[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Tags, and what can't be had of them."""
        if not reply.get("TagCount"):
            return {}, ()
        version = {"VersionId": reply["VersionId"]} if reply.get("VersionId", "null") != "null" else {}
        try:
            found = self._client.get_object_tagging(Bucket=self._bucket, Key=name, **version)["TagSet"]
        except ClientError as error:
            if status_of(error) != 403:
                raise
            return {}, (f"{reply['TagCount']} tags, which can't be read",)
        return {tag["Key"]: tag["Value"] for tag in found}, ()

    def head(self, key: str) -> Entry | None:
        with self._troubles(key) as name:
            return self._head(key, name)

    def _head(self, key: str, name: str) -> Entry | None:
        reply = self._quick.head(name) if self._learned() else None
        if reply is not None:
            return entry_of(key, reply) if reply else None
        try:
            return entry_of(key, self._client.head_object(Bucket=self._bucket, Key=name))
        except ClientError as error:
            if status_of(error) == 404:
                return None
            raise

    def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
        with self._troubles(key) as name:
            if PART.fullmatch(name) is not None:
                raise StoreError(StoreErrorKind.IMPOSSIBLE, "a name kept for objects being written")
            sent = parameters(attributes, replacing=only is not None and only.etag is not None)
            if only is not None and only.etag is not None:
                sent |= self._grants(name)
            if only is not None and 0 < self.conditional_bytes >= body.size:
                etag = self._put_only(key, name, body, sent, only)
            else:
                etag = self._put_unconditionally(key, name, body, sent, only)
            return self._written(key, name, body.size, etag)

    def _put(self, name: str, body: Body, sent: dict[str, Any], **condition: str) -> str:
        sent = {**sent, **condition}
        reply, unanswered = None, False
        if self._learned():
            reply, unanswered = self._quick.put(name, body, sent)
        try:
            reply = reply or self._client.put_object(Bucket=self._bucket, Key=name, Body=BodyFile(body), **sent)
        except ClientError as error:
            if unanswered:
                error.response["ResponseMetadata"]["RetryAttempts"] = 1  # as if boto3 had tried before
            raise
        return bare(reply["ETag"])

    def _put_only(self, key: str, name: str, body: Body, sent: dict[str, Any], only: Precondition) -> str:
        """One request with the condition in it."""
        for attempt in range(CONFLICTS):
            try:
                if only.etag is None:
                    return self._put(name, body, sent, IfNoneMatch="*")
                return self._matching(name, only.etag, lambda etag: self._put(name, body, sent, IfMatch=etag))
            except ClientError as error:
                if status_of(error) == 409 and attempt + 1 < CONFLICTS:
                    continue  # with another writer: who that was shows at the next try
                if status_of(error) not in (404, 409, 412):
                    raise
                now = self._head(key, name)
                if now is not None and now.size == body.size and retried(error) and self._same(name, now.etag, body):
                    return now.etag  # the first try had arrived, its answer had not
                check_precondition(only, etag_of(now))
                if only.etag is None or status_of(error) != 412:
                    raise
            # Nothing has changed, and still the condition is said to fail: so does Ceph 16 in a versioned bucket.
            return self._put_unconditionally(key, name, body, sent, only)
        raise AssertionError("the last try returns or raises")

    def _matching(self, name: str, etag: str, request: Callable[[str], Reply]) -> Reply:
        """Make a request on this etag in the form that the server takes: in quotes, as it is written, or without."""
        quoted = self._quoted
        try:
            return request(f'"{etag}"' if quoted else etag)
        except ClientError as error:
            if status_of(error) != 412 or not quoted:
                raise
            now = self._head("", name)
            if now is None or now.etag != etag:
                raise
        reply = request(etag)  # Ceph 16 compares with the quotes
        self._quoted = False
        return reply

    def _put_unconditionally(
        self, key: str, name: str, body: Body, sent: dict[str, Any], only: Precondition | None
    ) -> str:
        """Without a condition in the request; a look at the target comes before, where there is one. What takes more
        than a request is uploaded beside the target, and copied over it when it is whole."""
        if only is not None:
            check_precondition(only, etag_of(self._head(key, name)), one_step=False)
        if body.size <= PUT_BYTES:
            return self._put(name, body, sent)
        part = part_name(self._root, name)
        abort_leftovers(self._client, self._bucket, part)
        try:
            etag = upload(self._client, self._bucket, part, body, sent)
            if only is not None:
                check_precondition(only, etag_of(self._head(key, name)))
            return self._copied(part, etag, body.size, name, sent)
        finally:
            with contextlib.suppress(*ERRORS):  # else it is overwritten the next time, and not listed until then
                self._client.delete_object(Bucket=self._bucket, Key=part)

    def _copied(self, name: str, etag: str, size: int, to: str, sent: dict[str, Any]) -> str:
        return self._matching(
            name, etag, lambda form: copy_within(self._client, self._bucket, name, form, size, to, sent)
        )

    def _written(self, key: str, name: str, size: int, etag: str) -> Entry:
        """Look at what was written."""
        now = self._head(key, name)
        if now is None or now.etag != etag:
            raise StoreError(StoreErrorKind.CHANGED, "was written, and changed again at once")
        if now.size != size:
            raise StoreError(StoreErrorKind.OTHER, f"{size} bytes written, {now.size} there")
        return now

    def copy(self, key: str, etag: str, to: str, place: Store | None = None) -> Entry:
        """As `Store` has it; that nothing is at `to` is looked for before, which is not atomic."""
        place = place or self
        assert isinstance(place, Bucket) and place._bucket == self._bucket
        with place._troubles(to) as target:
            check_precondition(Precondition(None), etag_of(place._head(to, target)))
        with self._troubles(key) as name:
            reply = self._client.head_object(Bucket=self._bucket, Key=name)
            entry = entry_of(key, reply)
            check_precondition(Precondition(etag), entry.etag)
            sent = parameters(attributes_of(reply, *self._tags(name, reply)), replacing=True)
            copied = self._copied(name, etag, entry.size, target, sent)
        with place._troubles(to):
            return place._written(to, target, entry.size, copied)

    def clean_up(self, key: str) -> None:
        with self._troubles(key) as name:
            part = part_name(self._root, name)
            abort_leftovers(self._client, self._bucket, part)
            self._client.delete_object(Bucket=self._bucket, Key=part)

    def delete(self, key: str, etag: str) -> None:
        with self._troubles(key) as name:
            now = self._head(key, name)
            if now is None:
                return
            check_precondition(Precondition(etag), now.etag)
            try:
                self._matching(
                    name, etag, lambda form: self._client.delete_object(Bucket=self._bucket, Key=name, IfMatch=form)
                )
            except ClientError as error:
                if status_of(error) not in (400, 501):
                    raise
                self._client.delete_object(Bucket=self._bucket, Key=name)

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """What `write` would not carry over, in words."""
        extended = len(attributes.local[4]) if attributes.local is not None else 0
        return (f"{extended} extended attributes",) if extended else ()

    @cached_property
    def _has_acls(self) -> bool:
        """Whether objects may have ACLs of their own; buckets of AWS have not, unless that was asked for."""
        try:
            found = self._client.get_bucket_ownership_controls(Bucket=self._bucket)
        except ClientError:
            return True  # not allowed to see it, or not known to this server
        rules = found.get("OwnershipControls", {}).get("Rules", ())
        return not any(rule["ObjectOwnership"] == "BucketOwnerEnforced" for rule in rules)

    def _grants(self, name: str) -> dict[str, str]:
        """The ACL of the object, where it is not what every object gets."""
        if not self._has_acls or (self._learned() and self._quick.has_usual_acl(name)):
            return {}
        try:
            return grants(self._client.get_object_acl(Bucket=self._bucket, Key=name))
        except ClientError as error:
            if status_of(error) in (400, 405, 501):
                return {}  # a server without them
            raise

    def _same(self, name: str, etag: str, body: Body) -> bool:
        """Whether the object has this content."""
        reply = self._matching(
            name, etag, lambda form: self._client.get_object(Bucket=self._bucket, Key=name, IfMatch=form)
        )
        with contextlib.closing(reply["Body"]) as stream:
            return all(stream.read(len(chunk)) == chunk for chunk in body.chunks()) and not stream.read(1)

    def _learned(self) -> bool:
        """Whether the quick way can be gone."""
        return self._quick.learn(part_name(self._root, ""))

    def _where(self, key: str) -> str:
        return f"{self.url}: {key!r}" if key else self.url

    @contextmanager
    def _troubles(self, key: str) -> Iterator[str]:
        """The name of a key in the bucket, and what the client's errors are to us."""
        name = self._root + key
        try:
            name.encode()
        except UnicodeEncodeError:
            raise StoreError(StoreErrorKind.IMPOSSIBLE, f"{self._where(key)}: not UTF-8") from None
        try:
            yield name
        except StoreError as error:
            raise error.at(self._where(key)) from error
        except ERRORS as error:
            raise store_error(self._where(key), error) from error


def etag_of(entry: Entry | None) -> str | None:
    return None if entry is None else entry.etag
