"""Containers of Azure (az://), buckets of Google (gs://) and what else obstore knows by its URL.

Azure's own emulator has been worked with; Google's store never: none could be had.
"""

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from compressor.stores.chunk_pump import fed
from compressor.stores.contract import (
    CHUNK_BYTES,
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

try:
    import obstore
    from obstore import exceptions
    from obstore.store import from_url
except ImportError as missing:
    raise StoreError(
        StoreErrorKind.IMPOSSIBLE, "gs:// and az:// need more: pip install 'compressor[batch]'"
    ) from missing

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

PIECE_BYTES = 8 << 20  # of an upload in parts, two of which are under way at a time
UPLOADS = 2
HEADERS = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language")
SENT_AS = {name: name.title() for name in HEADERS}
AZURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of metadata: an identifier of C#
# The time of a whole request, of which the bytes that a slow reader takes are a part.
CLIENT: "ClientConfig" = {"connect_timeout": "10s", "timeout": "15m", "allow_http": True}
NOTICES = {
    "az": "tags can't be read: an object that has some is replaced by one without; nor holds: they show by refusing",
    "gs": "holds can't be read: they show by refusing",
}
# Of errors that have no class of their own, by what the server said or the client.
SAID = (
    (r"BlobArchived|BlobBeingRehydrated", StoreErrorKind.ARCHIVED),
    (r"BlobImmutable|LeaseIdMissing|retention|under active.*hold", StoreErrorKind.HELD),
    (r"\b(429|503)\b|ServerBusy|OperationTimedOut|SlowDown|rateLimitExceeded", StoreErrorKind.THROTTLED),
    (r"illegal character|empty path segment|recognise URL|Invalid ?Path", StoreErrorKind.IMPOSSIBLE),
    (r"\b5\d\d\b|time.?out|timed out|connect|sending request|reading a body|decoding", StoreErrorKind.UNAVAILABLE),
)


class Objects:
    """A container, or a prefix of one as if that were a folder. Credentials and endpoint are those of obstore's
    environment (AZURE_STORAGE_ACCOUNT_NAME, GOOGLE_SERVICE_ACCOUNT, …), retries its own.

    Up to `conditional_bytes` an object is written by one request with a condition, and held in memory for that. Larger
    ones go in parts to PREFIX.compressor-DIGEST.part, which is copied over the target when a look at that has shown
    what is expected; what a killed run left of it goes when the same key is written the next time.

    Keys with control characters, `//` or `\\`, with `.` or `..` as a part, or with `/` at an end are IMPOSSIBLE; a
    listing ends at the first of most of them, and names it.
    """

    def __init__(self, url: str, conditional_bytes: int) -> None:
        scheme, _, rest = url.partition("://")
        container, _, prefix = rest.partition("/")
        self.url = url
        with self._troubles(""):
            self._take(from_url(f"{scheme}://{container}", client_options=CLIENT), prefix, conditional_bytes)

    @classmethod
    def over(cls, store: "ObjectStore", url: str, conditional_bytes: int) -> "Objects":
        """On a store of obstore that is there already; `url` names it."""
        self = cls.__new__(cls)
        self.url = url
        self._take(store, url.partition("://")[2].partition("/")[2], conditional_bytes)
        return self

    def _take(self, store: "ObjectStore", prefix: str, conditional_bytes: int) -> None:
        self._store = store
        self._root = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._azure = self.url.startswith(("az://", "azure://", "abfs"))
        self.conditional_bytes = conditional_bytes
        notice = NOTICES.get("az" if self._azure else self.url.partition(":")[0])
        self.notices: tuple[str, ...] = (notice,) if notice else ()
        self.left_out: list[str] = []

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        return outside(self, self._listed())

    def _listed(self) -> Iterator[Entry]:
        before = ""
        with self._troubles(""):
            pages = iter(obstore.list(self._store, self._root or None))
        while True:
            with self._troubles(""):
                page = next(pages, None)
            if page is None:
                return
            for item in page:
                key = item["path"][len(self._root) :]
                if not key or PART.fullmatch(key) is not None:
                    continue
                if key <= before:  # code points, which are in the order of UTF-8
                    raise StoreError(StoreErrorKind.IMPOSSIBLE, f"{self.url}: {key!r}: listed behind {before!r}")
                before = key
                yield self._entry(key, item)

    def open(self, key: str) -> "OpenStream":
        with self._troubles(key) as name:
            reply = obstore.get(self._store, name)
            return OpenStream(self, key, reply)

    def head(self, key: str) -> Entry | None:
        with self._troubles(key) as name:
            found = self._head(name)
            return None if found is None else self._entry(key, found)

    def _head(self, name: str) -> Any:
        try:
            return obstore.head(self._store, name)
        except FileNotFoundError:
            return None

    def _required(self, name: str, only: Precondition, one_step: bool = True) -> Any:
        """What is there, which must be as a condition has it."""
        found = self._head(name)
        check_precondition(only, None if found is None else etag_of(found), one_step)
        return found

    def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
        with self._troubles(key) as name:
            if PART.fullmatch(name) is not None:
                raise StoreError(StoreErrorKind.IMPOSSIBLE, "a name kept for objects being written")
            sent = self._sent(attributes)
            if only is not None and body.size <= self.conditional_bytes:
                etag = self._put_only(name, body, sent, only)
            elif only is not None:
                etag = self._replace_only(name, body, sent, only)
            else:
                etag = self._put(name, body, sent)
            return self._written(key, name, body.size, etag)

    def _put(self, name: str, body: Body, sent: dict[str, Any]) -> str | None:
        if body.size <= PIECE_BYTES:
            return obstore.put(self._store, name, b"".join(body.chunks()), **sent)["e_tag"]
        sent |= {"chunk_size": PIECE_BYTES, "max_concurrency": UPLOADS}
        with fed(body) as chunks:
            return obstore.put(self._store, name, chunks, **sent)["e_tag"] or None

    def _put_only(self, name: str, body: Body, sent: dict[str, Any], only: Precondition) -> str | None:
        data = b"".join(body.chunks())
        if only.etag is None:
            return obstore.put(self._store, name, data, mode="create", **sent)["e_tag"]
        # Google's condition is on the version, which listings do not have.
        found = self._required(name, only)
        mode = {name: found[name] for name in ("e_tag", "version") if found[name] is not None}
        return obstore.put(self._store, name, data, mode=mode, **sent)["e_tag"]  # type: ignore[arg-type]

    def _replace_only(self, name: str, body: Body, sent: dict[str, Any], only: Precondition) -> str | None:
        """In parts to a name beside, then over the target: not atomic on an etag, but for a moment only."""
        self._required(name, only, one_step=False)
        part = part_name(self._root, name)
        try:
            self._put(part, body, sent)
            self._required(name, only)
            obstore.copy(self._store, part, name, overwrite=only.etag is not None)
        finally:
            with contextlib.suppress(Exception):  # else it is overwritten the next time, and not listed until then
                obstore.delete(self._store, part)
        return None

    def _written(self, key: str, name: str, size: int, etag: str | None) -> Entry:
        """Look at what was written."""
        now = self._head(name)
        if now is None or (etag is not None and now["e_tag"] != etag):
            raise StoreError(StoreErrorKind.CHANGED, "was written, and changed again at once")
        if now["size"] != size:
            raise StoreError(StoreErrorKind.OTHER, f"{size} bytes written, {now['size']} there")
        return self._entry(key, now)

    def copy(self, key: str, etag: str, to: str, place: Store | None = None) -> Entry:
        """As `Store` has it; the original is looked at before and behind, which is not atomic."""
        place = place or self
        assert isinstance(place, Objects)
        with place._troubles(to) as target:
            place._required(target, Precondition(None))
        with self._troubles(key) as name:
            found = self._required(name, Precondition(etag))
            obstore.copy(self._store, name, target, overwrite=False)
            try:
                self._required(name, Precondition(etag))
            except StoreError:
                obstore.delete(self._store, target)
                raise
        with place._troubles(to):
            return place._written(to, target, found["size"], None)

    def clean_up(self, key: str) -> None:
        with self._troubles(key) as name, contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, part_name(self._root, name))

    def delete(self, key: str, etag: str) -> None:
        """As `Store` has it; the object is looked at before, which is not atomic."""
        with self._troubles(key) as name:
            found = self._head(name)
            if found is not None:
                check_precondition(Precondition(etag), etag_of(found))
                obstore.delete(self._store, name)

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        """What `write` would not carry over, in words."""
        extended = len(attributes.local[4]) if attributes.local is not None else 0
        return (
            *sorted(name for name in attributes.headers if name not in HEADERS),
            *(f"metadata {name}" for name in sorted(attributes.metadata) if not self._takes(name)),
            *([f"{extended} extended attributes"] if extended else []),
        )

    def _takes(self, name: str) -> bool:
        return not self._azure or AZURE_NAME.fullmatch(name) is not None

    def _sent(self, attributes: Attributes) -> dict[str, Any]:
        """Keyword arguments of a put."""
        sent = {SENT_AS[name]: value for name, value in attributes.headers.items() if name in HEADERS}
        sent |= {name: value for name, value in attributes.metadata.items() if self._takes(name)}
        if attributes.storage_class:
            sent["Storage-Class"] = attributes.storage_class
        return {"attributes": sent, **({"tags": dict(attributes.tags)} if attributes.tags else {})}

    def _entry(self, key: str, item: Any) -> Entry:
        return Entry(key, item["size"], etag_of(item), item["last_modified"].timestamp())

    @contextmanager
    def _troubles(self, key: str) -> Iterator[str]:
        """The name of a key in the container, and what errors are to us, with store and key in front."""
        where = f"{self.url}: {key!r}" if key else self.url
        try:
            if key.startswith("/") or key.endswith("/") or "\\" in key:
                # obstore takes slashes off; to Azure, or on the way there, the other way round they are the same.
                raise StoreError(StoreErrorKind.IMPOSSIBLE, "begins or ends with `/`, or has `\\` in it")
            yield getattr(self, "_root", "") + key
        except StoreError as error:
            raise error.at(where) from error
        except (exceptions.BaseError, OSError, ValueError, NotImplementedError) as error:
            raise StoreError(trouble_of(error), f"{where}: {first_line(error)}") from error


def etag_of(item: Any) -> str:
    """Without its quotes, which listings of Azure do not have."""
    return (item["e_tag"] or "").strip('"')


class OpenStream:
    """An object that is being read, in one request."""

    held = ""

    def __init__(self, store: Objects, key: str, reply: Any) -> None:
        self._troubles = store._troubles
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
            with self._troubles(self._key):
                piece = next(self._stream, None)
            if piece is None:
                return
            view = memoryview(piece)
            for at in range(0, len(view), CHUNK_BYTES):
                yield bytes(view[at : at + CHUNK_BYTES])

    def close(self) -> None:
        self._stream = iter(())

    def __enter__(self) -> "OpenStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def first_line(error: Exception) -> str:
    """Without what obstore adds for those who debug it; a key may be in it, so that control characters are shown."""
    said = str(error).partition("\n\nDebug source")[0].strip()[:500]
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in said)


def trouble_of(error: Exception) -> StoreErrorKind:
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
    return next((trouble for pattern, trouble in SAID if re.search(pattern, said, re.IGNORECASE)), StoreErrorKind.OTHER)
