"""S3 buckets as stores, on moto's server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from compressor.stores import s3, s3_client, s3_multipart
from compressor.stores.contract import Attributes, Precondition, StoreErrorKind, temporary_key
from compressor.stores.s3 import Bucket
from tests.stores.s3_servers import Server, moto_server
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
        "expires": "Wed, 21 Oct 2037 07:28:00 GMT",
        "x-amz-website-redirect-location": "/elsewhere",
    },
    metadata={"one": "1", "two-words": "a b, c=d"},
    tags={"state": "a+b c/d=e", "empty": ""},
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with moto_server() as running:
        yield running


@pytest.fixture(scope="module")
def connection(server: Server) -> object:
    """A client for all tests: creating one takes longer than a test."""
    return s3_client.connect()


@pytest.fixture(autouse=True)
def shared_connection(connection: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "connect", lambda: connection)


@pytest.fixture
def bucket(server: Server) -> str:
    return server.bucket()


@pytest.fixture
def store(bucket: str) -> Bucket:
    return Bucket(f"s3://{bucket}/some/prefix", 6 << 20)


@pytest.fixture
def rival(server: Server, bucket: str) -> Rival:
    return lambda key, data: server.client.put_object(Bucket=bucket, Key=f"some/prefix/{key}", Body=data)


@pytest.fixture
def leftovers(server: Server, bucket: str) -> Leftovers:
    return lambda: server.leftovers(bucket)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PUT_BYTES", 6 << 20)
    monkeypatch.setattr(s3, "PAGE_KEYS", 5)


def without_acls(server: Server, bucket: str) -> None:
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    server.client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)


class TestBucket(StoreContract):
    keys = (*PLAIN_KEYS, *SLASHED_KEYS, "\t", "c\\d", "q?x#y&z=1", "'\"<>")  # moto's server does not support newlines
    attributes = Attributes(ATTRIBUTES.headers, ATTRIBUTES.metadata, ATTRIBUTES.tags, "STANDARD_IA")


def test_an_object_too_large_for_one_copy_is_copied_in_parts(
    server: Server, bucket: str, store: Bucket, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_multipart, "COPY_BYTES", 5 << 20)
    monkeypatch.setattr(s3_multipart, "COPY_PART_BYTES", 5 << 20)
    without_acls(server, bucket)  # moto fails on the ACL of a multipart upload

    first = store.write("a", BytesBody(noise(11 << 20)), ATTRIBUTES, Precondition(None))
    store.write("a", BytesBody(noise(7 << 20)), ATTRIBUTES, Precondition(first.etag))
    entry = store.head("a")
    assert entry is not None
    store.copy("a", entry.etag, "kept")

    for key in ("a", "kept"):
        with store.open(key) as opened:
            assert b"".join(opened.chunks()) == noise(7 << 20)
            assert opened.attributes == ATTRIBUTES
    assert leftovers() == []


def test_an_object_too_large_for_a_condition_is_not_replaced_atomically(store: Bucket, leftovers: Leftovers) -> None:
    first = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)

    assert (
        refusal(store.write, "a", BytesBody(noise(7 << 20)), NO_ATTRIBUTES, Precondition(first.etag, atomic=True))
        is StoreErrorKind.NOT_ATOMIC
    )
    assert read(store, "a") == b"first" and leftovers() == []
    second = store.write("a", BytesBody(noise(1000)), NO_ATTRIBUTES, Precondition(first.etag, atomic=True))
    assert store.head("a") == second


def test_a_prefix_is_a_folder(server: Server, bucket: str) -> None:
    for key in ("a", "a/", "a/b", "a/b/", "ab", "b"):
        server.client.put_object(Bucket=bucket, Key=key, Body=b"")

    assert keys(Bucket(f"s3://{bucket}", 1)) == ["a", "a/b", "ab", "b"]
    assert keys(Bucket(f"s3://{bucket}/", 1)) == ["a", "a/b", "ab", "b"]
    assert keys(Bucket(f"s3://{bucket}/a", 1)) == keys(Bucket(f"s3://{bucket}/a/", 1)) == ["b"]


def check_acls(server: Server, bucket: str, store: Bucket, size: int) -> None:
    where = {"Bucket": bucket, "Key": "some/prefix/a"}
    first = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    server.client.put_object_acl(**where, ACL="public-read")
    before = server.client.get_object_acl(**where)["Grants"]
    assert len(before) == 2

    store.write("a", BytesBody(noise(size)), NO_ATTRIBUTES, Precondition(first.etag))

    after = server.client.get_object_acl(**where)["Grants"]
    assert sorted(map(str, after)) == sorted(map(str, before))


@pytest.mark.parametrize("size", [100, 7 << 20], ids=["one request", "in parts"])
def test_acls_are_kept(server: Server, bucket: str, store: Bucket, size: int) -> None:
    check_acls(server, bucket, store, size)


def test_a_successor_has_the_acl_and_the_encryption_of_its_predecessor(
    server: Server, bucket: str, store: Bucket
) -> None:
    where = {"Bucket": bucket, "Key": "some/prefix/a"}
    server.client.put_object(**where, Body=b"first", ServerSideEncryption="AES256", ACL="public-read")
    with store.open("a") as opened:
        attributes = opened.attributes

    store.write_successor("b", BytesBody(b"second"), attributes, "a")

    successor = {"Bucket": bucket, "Key": "some/prefix/b"}
    assert server.client.head_object(**successor)["ServerSideEncryption"] == "AES256"
    grants = [server.client.get_object_acl(**one)["Grants"] for one in (where, successor)]
    assert grants[0] == grants[1] and any(grant["Permission"] == "READ" for grant in grants[1])
    assert refusal(store.write_successor, "c", BytesBody(b"third"), attributes, "none") is StoreErrorKind.MISSING


def test_buckets_without_acls_are_recognized(server: Server, bucket: str, store: Bucket) -> None:
    without_acls(server, bucket)

    assert not store._has_acls


def test_held_objects_are_recognized(server: Server) -> None:
    bucket = server.bucket(ObjectLockEnabledForBucket=True)
    store = Bucket(f"s3://{bucket}", 1 << 20)
    until = datetime.now(UTC) + timedelta(days=3)
    server.client.put_object(Bucket=bucket, Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON")
    server.client.put_object(
        Bucket=bucket, Key="kept", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until
    )
    server.client.put_object(Bucket=bucket, Key="free", Body=b"x")

    found = {}
    for key in ("held", "kept", "free"):
        with store.open(key) as opened:
            found[key] = opened.held
    assert found == {
        "held": "legal hold",
        "kept": f"retained until {until:%Y-%m-%d %H:%M} UTC (GOVERNANCE)",
        "free": "",
    }
    assert store.notices == ("versioned: replaced and deleted objects stay as versions",)


def test_archived_objects_are_recognized(server: Server, bucket: str, store: Bucket) -> None:
    server.client.put_object(Bucket=bucket, Key="some/prefix/a", Body=b"x", StorageClass="GLACIER")

    assert [entry.storage_class for entry in store.entries()] == ["GLACIER"]
    assert refusal(store.open, "a") is StoreErrorKind.ARCHIVED


def test_uploads_in_progress_are_not_listed(server: Server, bucket: str, store: Bucket) -> None:
    """Neither this store lists them nor one of a folder above or below."""
    name = temporary_key("some/prefix/", "x")
    server.client.put_object(Bucket=bucket, Key=name, Body=b"half")

    assert keys(store) == keys(Bucket(f"s3://{bucket}", 1)) == []
    assert (
        refusal(store.write, name.rpartition("/")[2], BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE
    )


def test_uploads_of_a_killed_run_are_aborted(server: Server, bucket: str, store: Bucket, leftovers: Leftovers) -> None:
    for key in ("a", "b"):
        name = temporary_key("some/prefix/", f"some/prefix/{key}")
        server.client.create_multipart_upload(Bucket=bucket, Key=name)
        server.client.put_object(Bucket=bucket, Key=name, Body=b"half")
    assert len(leftovers()) == 4

    store.write("a", BytesBody(noise(7 << 20)), NO_ATTRIBUTES, Precondition(None))

    assert len(leftovers()) == 2
    assert read(store, "a") == noise(7 << 20)

    store.clean_up("b")
    assert not leftovers() and keys(store) == ["a"]


def test_a_missing_bucket_is_not_an_empty_one(server: Server) -> None:
    store = Bucket("s3://no-such-bucket", 1 << 20)

    assert refusal(keys, store) is StoreErrorKind.OTHER
    assert refusal(store.open, "a") is StoreErrorKind.OTHER
    assert refusal(store.write, "a", BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.OTHER


def test_a_key_that_is_not_utf8_is_impossible(store: Bucket) -> None:
    assert refusal(store.write, "a\udcff", BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE


def test_extended_attributes_are_reported_as_lost(store: Bucket) -> None:
    attributes = Attributes(local=(0o644, 0, 0, 0, (("user.a", b"b"), ("user.c", b"d"))))

    assert store.unsupported_attributes(attributes) == ("2 extended attributes",)
    assert store.unsupported_attributes(ATTRIBUTES) == ()
