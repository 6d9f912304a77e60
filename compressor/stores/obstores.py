"""Azure containers (az://), Google Cloud Storage buckets (gs://) and other stores that obstore opens by URL.

Tested with Azure's emulator. Never tested with Google Cloud Storage, for lack of access.
"""

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from compressor.stores.chunk_pump import pumped
from compressor.stores.contract import (
    CHUNK_BYTES,
    TEMPORARY_KEY,
    Attributes,
    Body,
    Entry,
    OnAccessDenied,
    OpenObject,
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

try:
    import obstore
    from obstore import exceptions
    from obstore.store import from_url
except ImportError as missing:
    raise StoreError(
        StoreErrorKind.IMPOSSIBLE, "gs:// and az:// need additional packages: pip install 'compressor[batch]'"
    ) from missing

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

PART_BYTES = 8 << 20  # of a multipart upload
PARTS_AT_ONCE = 2
HEADERS = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language")
SENT_AS = {name: name.title() for name in HEADERS}
AZURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of metadata: a C# identifier
# The timeout covers a whole request, including the time that a slow reader takes.
CLIENT: "ClientConfig" = {"connect_timeout": "10s", "timeout": "15m", "allow_http": True}
NOTICES = {
    "az": "tags can't be read: replaced objects lose theirs; holds can't be read: writes to held objects fail",
    "gs": "holds can't be read: writes to held objects fail",
}
# The kinds of errors that have no class of their own, by the message of server or client.
ERROR_PATTERNS = (
    (r"BlobArchived|BlobBeingRehydrated", StoreErrorKind.ARCHIVED),
    (r"BlobImmutable|LeaseIdMissing|retention|under active.*hold", StoreErrorKind.HELD),
    (r"\b(429|503)\b|ServerBusy|OperationTimedOut|SlowDown|rateLimitExceeded", StoreErrorKind.THROTTLED),
    (r"illegal character|empty path segment|recognise URL|Invalid ?Path", StoreErrorKind.IMPOSSIBLE),
    (r"\b5\d\d\b|time.?out|timed out|connect|sending request|reading a body|decoding", StoreErrorKind.UNAVAILABLE),
)


class ObstoreBucket:
    """A container or bucket, or a prefix of one, used like a folder. Credentials and endpoint come from obstore's
    environment variables (AZURE_STORAGE_ACCOUNT_NAME, GOOGLE_SERVICE_ACCOUNT, …); retries are obstore's.

    Up to `conditional_bytes`, an object is held in memory and written by one conditional request. Larger ones are
    uploaded in parts to PREFIX.compressor-DIGEST.part, which is copied over the target after a check that the target
    has not changed. What a killed run left of it is removed when the same key is written again.

    Keys with control characters, `//` or `\\`, with `.` or `..` as a part, or with `/` at either end are IMPOSSIBLE;
    a listing fails at the first of most of them, and names it.
    """

    def __init__(self, url: str, conditional_bytes: int) -> None:
        container, prefix = split_url(url)
        self.url = url
        with self._store_errors(""):
            self._set_up(from_url(container, client_options=CLIENT), prefix, conditional_bytes)

    @classmethod
    def over(cls, store: "ObjectStore", url: str, conditional_bytes: int) -> "ObstoreBucket":
        """Wrap an existing store of obstore; `url` names it."""
        self = cls.__new__(cls)
        self.url = url
        self._set_up(store, split_url(url)[1], conditional_bytes)
        return self

    def _set_up(self, store: "ObjectStore", prefix: str, conditional_bytes: int) -> None:
        self._store = store
        self._root = prefix
        self._azure = self.url.startswith(("az://", "azure://", "abfs"))
        self.conditional_bytes = conditional_bytes
        notice = NOTICES.get("az" if self._azure else self.url.partition(":")[0])
        self.notices: tuple[str, ...] = (notice,) if notice else ()
        self.left_out: list[str] = []

    def entries(self, on_denied: OnAccessDenied | None = None) -> Iterator[Entry]:
        return without_marked_folders(self, self._listed())

    def _listed(self) -> Iterator[Entry]:
        before = ""
        with self._store_errors(""):
            pages = iter(obstore.list(self._store, self._root or None))
        while True:
            with self._store_errors(""):
                page = next(pages, None)
            if page is None:
                return
            for item in page:
                key = item["path"][len(self._root) :]
                if not key or TEMPORARY_KEY.fullmatch(key) is not None:
                    continue
                check_key_order(self.url, before, key)
                before = key
                yield self._entry(key, item)

    def open(self, key: str) -> "OpenObstoreObject":
        with self._store_errors(key) as name:
            reply = obstore.get(self._store, name)
            return OpenObstoreObject(self, key, reply)

    def head(self, key: str) -> Entry | None:
        with self._store_errors(key) as name:
            found = self._head(name)
            return None if found is None else self._entry(key, found)

    def _head(self, name: str) -> Any:
        try:
            return obstore.head(self._store, name)
        except FileNotFoundError:
            return None

    def _check(self, name: str, condition: Precondition, one_step: bool = True) -> Any:
        """Return what the store has under a name, which must meet a condition."""
        found = self._head(name)
        check_precondition(condition, None if found is None else item_etag(found), one_step)
        return found

    def write(self, key: str, body: Body, attributes: Attributes, condition: Precondition | None) -> Entry:
        with self._store_errors(key) as name:
            check_not_temporary(name)
            options = self._put_options(attributes)
            if condition is not None and body.size <= self.conditional_bytes:
                etag = self._put_conditionally(name, body, options, condition)
            elif condition is not None:
                etag = self._replace(name, body, options, condition)
            else:
                etag = self._put(name, body, options)
            return self._written(key, name, body.size, etag)

    def write_successor(self, key: str, body: Body, attributes: Attributes, of: str) -> Entry:
        """See `Store`; the attributes are all that is kept."""
        return self.write(key, body, attributes, Precondition(None))

    def _put(self, name: str, body: Body, options: dict[str, Any]) -> str | None:
        if body.size <= PART_BYTES:
            return obstore.put(self._store, name, b"".join(body.chunks()), **options)["e_tag"]
        options |= {"chunk_size": PART_BYTES, "max_concurrency": PARTS_AT_ONCE}
        with pumped(body) as chunks:
            return obstore.put(self._store, name, chunks, **options)["e_tag"] or None

    def _put_conditionally(self, name: str, body: Body, options: dict[str, Any], condition: Precondition) -> str | None:
        data = b"".join(body.chunks())
        if condition.etag is None:
            return obstore.put(self._store, name, data, mode="create", **options)["e_tag"]
        # Google's condition is on the version, which listings don't have.
        found = self._check(name, condition)
        mode = {name: found[name] for name in ("e_tag", "version") if found[name] is not None}
        return obstore.put(self._store, name, data, mode=mode, **options)["e_tag"]  # type: ignore[arg-type]

    def _replace(self, name: str, body: Body, options: dict[str, Any], condition: Precondition) -> str | None:
        """Upload in parts to a temporary name and copy over the target: not atomic, but only for a moment."""
        self._check(name, condition, one_step=False)
        part = temporary_key(self._root, name)
        try:
            self._put(part, body, options)
            self._check(name, condition)
            obstore.copy(self._store, part, name, overwrite=condition.etag is not None)
        finally:
            with contextlib.suppress(Exception):  # otherwise it is overwritten the next time, and not listed until then
                obstore.delete(self._store, part)
        return None

    def _written(self, key: str, name: str, size: int, etag: str | None) -> Entry:
        now = self._head(name)
        entry = None if now is None else self._entry(key, now)
        return check_written(entry, size, None if etag is None else unquote_etag(etag))

    def copy(self, key: str, etag: str, to: str, target: Store | None = None) -> Entry:
        """See `Store`; the original is checked before and after, which is not atomic."""
        target = target or self
        assert isinstance(target, ObstoreBucket)
        with target._store_errors(to) as target_name:
            target._check(target_name, Precondition(None))
        with self._store_errors(key) as name:
            found = self._check(name, Precondition(etag))
            obstore.copy(self._store, name, target_name, overwrite=False)
            try:
                self._check(name, Precondition(etag))
            except StoreError:
                obstore.delete(self._store, target_name)
                raise
        with target._store_errors(to):
            return target._written(to, target_name, found["size"], None)

    def clean_up(self, key: str) -> None:
        with self._store_errors(key) as name, contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, temporary_key(self._root, name))

    def delete(self, key: str, etag: str) -> None:
        """See `Store`; the object is checked before, which is not atomic."""
        with self._store_errors(key) as name:
            found = self._head(name)
            if found is not None:
                check_precondition(Precondition(etag), item_etag(found))
                obstore.delete(self._store, name)

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """Describe what `write` would not carry over."""
        return (
            *sorted(name for name in attributes.headers if name not in HEADERS),
            *(f"metadata {name}" for name in sorted(attributes.metadata) if not self._accepts_metadata(name)),
            *lost_extended_attributes(attributes),
        )

    def _accepts_metadata(self, name: str) -> bool:
        return not self._azure or AZURE_NAME.fullmatch(name) is not None

    def _put_options(self, attributes: Attributes) -> dict[str, Any]:
        """Return the keyword arguments of a put."""
        sent = {SENT_AS[name]: value for name, value in attributes.headers.items() if name in HEADERS}
        sent |= {name: value for name, value in attributes.metadata.items() if self._accepts_metadata(name)}
        if attributes.storage_class:
            sent["Storage-Class"] = attributes.storage_class
        return {"attributes": sent, **({"tags": dict(attributes.tags)} if attributes.tags else {})}

    def _entry(self, key: str, item: Any) -> Entry:
        return Entry(key, item["size"], item_etag(item), item["last_modified"].timestamp())

    @contextmanager
    def _store_errors(self, key: str) -> Iterator[str]:
        """Give the name of a key in the container; raise errors as StoreError, with store and key in front."""
        where = f"{self.url}: {key!r}" if key else self.url
        try:
            if key.startswith("/") or key.endswith("/") or "\\" in key:
                # obstore removes slashes at the ends; for Azure, or on the way there, a backslash is a slash.
                raise StoreError(StoreErrorKind.IMPOSSIBLE, "begins or ends with `/`, or contains `\\`")
            yield getattr(self, "_root", "") + key
        except StoreError as error:
            raise error.located(where) from error
        except (exceptions.BaseError, OSError, ValueError, NotImplementedError) as error:
            raise StoreError(error_kind(error), f"{where}: {error_summary(error)}") from error


def item_etag(item: Any) -> str:
    """Return an item's ETag without quotes, which Azure's listings don't have."""
    return unquote_etag(item["e_tag"] or "")


class OpenObstoreObject(OpenObject):
    """An object that is being read, by one request."""

    held = ""

    def __init__(self, store: ObstoreBucket, key: str, reply: Any) -> None:
        self._store_errors = store._store_errors
        self._key = key
        self._stream = iter(reply.stream(min_chunk_size=CHUNK_BYTES))
        self.entry = store._entry(key, reply.meta)
        given = dict(reply.attributes)
        self.attributes = Attributes(
            {name: given.pop(sent) for name, sent in SENT_AS.items() if sent in given},
            storage_class=given.pop("Storage-Class", ""),
            metadata=given,
        )

    def chunks(self) -> Iterator[bytes]:
        while True:
            with self._store_errors(self._key):
                piece = next(self._stream, None)
            if piece is None:
                return
            view = memoryview(piece)
            for at in range(0, len(view), CHUNK_BYTES):
                yield bytes(view[at : at + CHUNK_BYTES])

    def close(self) -> None:
        self._stream = iter(())


def error_summary(error: Exception) -> str:
    """Return the message without obstore's debugging output, control characters escaped: it may contain a key."""
    said = str(error).partition("\n\nDebug source")[0].strip()[:500]
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in said)


def error_kind(error: Exception) -> StoreErrorKind:
    """Return the kind of an error of obstore."""
    match error:
        case FileNotFoundError():
            return StoreErrorKind.MISSING
        case exceptions.AlreadyExistsError():
            return StoreErrorKind.EXISTS
        case exceptions.PreconditionError() | exceptions.NotModifiedError():
            return StoreErrorKind.CHANGED
        case exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return StoreErrorKind.DENIED
        case exceptions.NotSupportedError() | exceptions.InvalidPathError() | NotImplementedError():
            return StoreErrorKind.IMPOSSIBLE
    said = str(error)
    return next(
        (trouble for pattern, trouble in ERROR_PATTERNS if re.search(pattern, said, re.IGNORECASE)),
        StoreErrorKind.OTHER,
    )
