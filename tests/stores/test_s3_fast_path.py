"""Requests to S3 without boto3, and the fallback to it."""

from collections.abc import Iterator

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import get_cert_path

from compressor.stores import s3_client
from compressor.stores.contract import Precondition, StoreErrorKind
from compressor.stores.s3 import Bucket
from compressor.stores.s3_fast_path import DEFAULT_ACL, FastPath
from tests.stores.canned_server import CannedResponse, CannedServer, canned, error_response
from tests.stores.s3_servers import server_at
from tests.stores.store_contract import NO_ATTRIBUTES, BytesBody, noise, read, refusal
from tests.stores.test_s3_faults import NO_ACLS, PROBED, content, entry_response, written

KEY = "a b/ü+c%~(1)!*'/../d//e"


@pytest.fixture(scope="module")
def connection() -> Iterator[tuple[CannedServer, object]]:
    with canned() as server, server_at(server.address), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setenv("AWS_SESSION_TOKEN", "a token")
        yield server, s3_client.connect()


@pytest.fixture
def server(connection: tuple[CannedServer, object]) -> Iterator[CannedServer]:
    server = connection[0]
    server.responses, server.requests = [], []
    yield server
    assert server.responses == []


@pytest.fixture
def store(server: CannedServer, connection: tuple[CannedServer, object], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return a store that has discovered the fast path."""
    monkeypatch.setattr(s3_client, "connect", lambda: connection[1])
    store = Bucket("s3://bucket", 1 << 20)
    server.responses = [error_response(404)]
    assert store._fast_path_works()
    server.requests = []
    return store


def test_the_fast_path_is_discovered_once(server: CannedServer, store: Bucket) -> None:
    server.responses = [entry_response("1", 5), entry_response("1", 5)]

    assert store.head(KEY) == store.head(KEY)
    assert [request.path for request in server.requests] == ["/bucket/a%20b/%C3%BC%2Bc%25~%281%29%21%2A%27/../d//e"] * 2


def test_signatures_equal_botocores(server: CannedServer, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    server.responses = [written("1"), entry_response("1", 3)]
    attributes = {"one": "a  b", "two": "c"}
    monkeypatch.setattr(auth, "get_current_datetime", lambda: auth.datetime.datetime(2026, 11, 23, 6))

    reply, unanswered = store._fast.put(KEY, BytesBody(b"new"), {"Metadata": attributes, "ContentType": "image/png"})
    assert reply is not None and not unanswered

    sent = server.requests[0]
    names = ("x-amz-meta-one", "x-amz-meta-two", "content-type")
    covered = {name: value for name, value in sent.headers.items() if name.lower() in names}
    expected = AWSRequest("PUT", server.address + sent.path, data=b"new", headers=covered)
    auth.S3SigV4Auth(Credentials("testak", "testsk", "a token"), "s3", "us-east-1").add_auth(expected)
    assert expected.headers["Authorization"] == sent.headers["Authorization"]
    server.responses.pop()


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", ""])
def test_the_ca_bundle_is_boto3s(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    if name:
        monkeypatch.setenv(name, "/some/bundle.pem")
        assert s3_client.ca_bundle() == "/some/bundle.pem"
    else:
        assert s3_client.ca_bundle() == get_cert_path(True)


@pytest.mark.parametrize("first", [error_response(503, "SlowDown"), error_response(301), CannedResponse(0)])
def test_a_failed_request_is_repeated_through_boto3(server: CannedServer, store: Bucket, first: CannedResponse) -> None:
    server.responses = [first, content("1", b"bytes")]

    assert read(store, "a") == b"bytes"
    assert ["Boto3" in request.headers.get("User-Agent", "") for request in server.requests] == [False, True]


def test_a_put_whose_response_was_lost_is_recognized_as_done(server: CannedServer, store: Bucket) -> None:
    ours, now = noise(1000), entry_response("2", 1000)
    server.responses = [NO_ACLS, PROBED, CannedResponse(0), PROBED, now, now, content("2", ours), now]

    assert store.write("a", BytesBody(ours), NO_ATTRIBUTES, Precondition("1")).etag == "2"


def test_a_refused_put_is_not_taken_for_done(server: CannedServer, store: Bucket) -> None:
    now = entry_response("2", 1000)
    server.responses = [NO_ACLS, PROBED, PROBED, PROBED, now, now]

    assert refusal(store.write, "a", BytesBody(noise(1000)), NO_ATTRIBUTES, Precondition("1")) is StoreErrorKind.CHANGED


@pytest.mark.parametrize(
    "replies, requests",
    [
        ([CannedResponse(204)], 2),
        ([error_response(503), CannedResponse(204)], 3),
        ([CannedResponse(0), error_response(404, "NoSuchKey"), error_response(404)], 4),
        ([CannedResponse(0), PROBED, error_response(404), error_response(404)], 5),
        ([error_response(501), error_response(501), CannedResponse(204)], 4),
    ],
    ids=["at once", "by boto3", "before, and missing", "before, and refused", "without a condition"],
)
def test_an_object_is_deleted_on_the_condition_of_its_etag(
    server: CannedServer, store: Bucket, replies: list[CannedResponse], requests: int
) -> None:
    server.responses = [entry_response("1", 5), *replies]

    store.delete("a", "1")

    assert len(server.requests) == requests
    assert server.requests[1].method == "DELETE" and server.requests[1].headers["if-match"] == '"1"'


def test_an_object_that_has_changed_is_not_deleted(server: CannedServer, store: Bucket) -> None:
    now = entry_response("2", 5)
    server.responses = [entry_response("1", 5), PROBED, PROBED, now, now]

    assert refusal(store.delete, "a", "1") is StoreErrorKind.CHANGED


def test_a_body_of_another_size_is_not_sent(server: CannedServer, store: Bucket) -> None:
    body = BytesBody(b"12345")
    body.size = 6
    body.chunks = lambda: iter([b"12345"])  # type: ignore[method-assign]

    assert refusal(store.write, "a", body, NO_ATTRIBUTES, None) is StoreErrorKind.OTHER
    assert server.requests == []


@pytest.mark.parametrize("cut", [0, 300_000])
def test_a_truncated_body_is_an_error(server: CannedServer, store: Bucket, cut: int) -> None:
    response = content("1", b"x" * 700_000)
    response.cut = cut
    server.responses = [response]

    with store.open("a") as opened:
        assert refusal(list, opened.chunks()) is StoreErrorKind.UNAVAILABLE


def test_values_that_no_header_can_hold_are_left_to_boto3(server: CannedServer, store: Bucket) -> None:
    for value in ("Müller", "a\nb"):
        assert store._fast.put("a", BytesBody(b"x"), {"Metadata": {"name": value}}) == (None, False)
    assert server.requests == []


def test_bytes_are_returned_as_stored(server: CannedServer, store: Bucket) -> None:
    server.responses = [content("1", b"not gzip", **{"Content-Encoding": "gzip"})]

    assert read(store, "a") == b"not gzip"


def test_without_a_version_4_signature_boto3_is_used(server: CannedServer, store: Bucket) -> None:
    fast_path = FastPath(store._client, "bucket")

    fast_path._connect(f"{server.address}/bucket/", "AWS testak:signature")

    assert fast_path._pool is None


@pytest.mark.parametrize(
    "grants, default",
    [
        ([("<ID>me</ID>", "FULL_CONTROL")], True),
        ([("<ID>me</ID>", "READ")], False),
        ([("<ID>you</ID>", "FULL_CONTROL")], False),
        ([("<URI>all</URI>", "READ"), ("<ID>me</ID>", "FULL_CONTROL")], False),
        ([("<ID>me</ID>", "FULL_CONTROL"), ("<URI>all</URI>", "READ")], False),
        ([], False),
    ],
)
def test_an_acl_is_the_default_if_only_the_owner_has_access(grants: list[tuple[str, str]], default: bool) -> None:
    listed = "".join(
        f'<Grant><Grantee xsi:type="CanonicalUser">{who}<DisplayName>m</DisplayName></Grantee>'
        f"<Permission>{what}</Permission></Grant>"
        for who, what in grants
    )
    acl = f"<AccessControlPolicy><Owner><ID>me</ID><DisplayName>m</DisplayName></Owner><AccessControlList>{listed}"

    assert (DEFAULT_ACL.search(f"{acl}</AccessControlList></AccessControlPolicy>".encode()) is not None) == default
