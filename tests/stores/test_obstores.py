"""obstore's stores, tested with the one in memory."""

import obstore
import pytest
from obstore.store import MemoryStore, S3Store

from compressor.stores.contract import Attributes, Precondition, StoreError, StoreErrorKind
from compressor.stores.obstores import CLIENT, ERROR_PATTERNS, ObstoreBucket, error_kind
from compressor.stores.open import open_store
from tests.stores.s3_servers import moto_server
from tests.stores.store_contract import (
    NO_ATTRIBUTES,
    PLAIN_KEYS,
    SLASHED_KEYS,
    BytesBody,
    Leftovers,
    Rival,
    StoreContract,
    keys,
    noise,
    read,
    refusal,
)

ATTRIBUTES = Attributes(
    headers={
        "content-type": "image/jpeg",
        "cache-control": "max-age=86400, public",
        "content-disposition": 'attachment; filename="a b.jpg"',
        "content-encoding": "identity",
        "content-language": "de, en",
    },
    metadata={"one": "1", "two_words": "a b, c=d"},
)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(memory: MemoryStore) -> ObstoreBucket:
    return ObstoreBucket.over(memory, "memory://container/some/prefix", 6 << 20)


@pytest.fixture
def rival(memory: MemoryStore) -> Rival:
    return lambda key, data: obstore.put(memory, f"some/prefix/{key}", data)


@pytest.fixture
def leftovers(memory: MemoryStore) -> Leftovers:
    return lambda: [item["path"] for page in obstore.list(memory) for item in page if ".compressor-" in item["path"]]


class TestObstoreBucket(StoreContract):
    keys = (*PLAIN_KEYS, "q?x#y&z=1", "'\"<>")
    attributes = ATTRIBUTES


@pytest.mark.parametrize("key", ["a\tb", "a\\b", "a\nb", "/a", "a/", *(key for key in SLASHED_KEYS)])
def test_keys_that_obstore_rejects_are_refused(store: ObstoreBucket, key: str) -> None:
    assert refusal(store.write, key, BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE
    assert refusal(store.open, key) is StoreErrorKind.IMPOSSIBLE
    assert keys(store) == []


def test_a_listing_with_a_key_that_obstore_rejects_names_it() -> None:
    with moto_server() as server:
        bucket = server.bucket()
        for key in ("a", "b\tc", "d"):
            server.client.put_object(Bucket=bucket, Key=key, Body=b"")
        s3_store = S3Store(bucket, endpoint=server.address, client_options=CLIENT)
        store = ObstoreBucket.over(s3_store, f"s3://{bucket}", 1)

        with pytest.raises(StoreError, match=r"b\\tc") as caught:
            keys(store)
        assert caught.value.kind is StoreErrorKind.IMPOSSIBLE


def test_uploads_in_progress_are_not_listed(store: ObstoreBucket, memory: MemoryStore) -> None:
    name = f".compressor-{'0' * 32}.part"
    obstore.put(memory, f"some/prefix/{name}", b"half")

    assert keys(store) == keys(ObstoreBucket.over(memory, "memory://container", 1)) == []
    assert refusal(store.write, name, BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE


def test_attributes_that_cannot_be_kept_are_named(memory: MemoryStore) -> None:
    attributes = Attributes({"content-type": "image/png", "expires": "0"}, {"a-b": "1", "ab": "2"})

    assert ObstoreBucket.over(memory, "az://container", 1).unsupported_attributes(attributes) == (
        "expires",
        "metadata a-b",
    )
    assert ObstoreBucket.over(memory, "gs://bucket", 1).unsupported_attributes(attributes) == ("expires",)
    assert "tags can't be read" in ObstoreBucket.over(memory, "az://container", 1).notices[0]


def test_an_unknown_kind_of_store_is_impossible() -> None:
    with pytest.raises(StoreError, match="zz://bucket/prefix: .*zz://bucket") as caught:
        open_store("zz://bucket/prefix")
    assert caught.value.kind is StoreErrorKind.IMPOSSIBLE


@pytest.mark.parametrize(
    "message, expected",
    [
        ("Server returned non-2xx status code: 503 Service Unavailable: ServerBusy", StoreErrorKind.THROTTLED),
        ("Server returned non-2xx status code: 429 Too Many Requests", StoreErrorKind.THROTTLED),
        ("Server returned non-2xx status code: 409 Conflict: <Code>BlobArchived</Code>", StoreErrorKind.ARCHIVED),
        ("Server returned non-2xx status code: 409 Conflict: BlobImmutableDueToPolicy", StoreErrorKind.HELD),
        ("Server returned non-2xx status code: 500 Internal Server Error", StoreErrorKind.UNAVAILABLE),
        ("error sending request for url (http://127.0.0.1:9/x)", StoreErrorKind.UNAVAILABLE),
        ("Generic HTTP error: request or response body error: operation timed out", StoreErrorKind.UNAVAILABLE),
        ("Server returned non-2xx status code: 400 Bad Request: InvalidMetadata", StoreErrorKind.OTHER),
    ],
)
def test_an_error_without_a_class_is_classified_by_its_message(message: str, expected: StoreErrorKind) -> None:
    assert error_kind(obstore.exceptions.GenericError(message)) is expected
    assert len(ERROR_PATTERNS) == 5


def test_writing_the_same_bytes_again_changes_the_etag(store: ObstoreBucket) -> None:
    first = store.write("a", BytesBody(noise(9)), NO_ATTRIBUTES, None)
    second = store.write("a", BytesBody(noise(9)), NO_ATTRIBUTES, Precondition(first.etag))

    assert first.etag != second.etag
    assert read(store, "a") == noise(9)


def test_an_object_too_large_for_a_condition_is_not_replaced_atomically(
    store: ObstoreBucket, leftovers: Leftovers
) -> None:
    first = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)

    assert (
        refusal(store.write, "a", BytesBody(noise(7 << 20)), NO_ATTRIBUTES, Precondition(first.etag, atomic=True))
        is StoreErrorKind.NOT_ATOMIC
    )
    assert read(store, "a") == b"first" and leftovers() == []
    store.write("a", BytesBody(noise(1000)), NO_ATTRIBUTES, Precondition(first.etag, atomic=True))
