"""Requests to S3 without boto3, and how they go back to it."""

from collections.abc import Iterator

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import get_cert_path

from compressor.stores import s3_client
from compressor.stores.contract import Precondition, StoreErrorKind
from compressor.stores.s3 import Bucket
from compressor.stores.s3_fast_path import USUAL_ACL, Quick
from tests.stores.canned_server import Answer, Canned, canned, refusal
from tests.stores.s3_servers import server_at
from tests.stores.store_contract import NOTHING, Bytes, noise, read, trouble
from tests.stores.test_s3_faults import NO_ACLS, PROBED, content, there, written

KEY = "a b/ü+c%~(1)!*'/../d//e"


@pytest.fixture(scope="module")
def connection() -> Iterator[tuple[Canned, object]]:
    with canned() as server, server_at(server.address), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setenv("AWS_SESSION_TOKEN", "a token")
        yield server, s3_client.connect()


@pytest.fixture
def server(connection: tuple[Canned, object]) -> Iterator[Canned]:
    server = connection[0]
    server.answers, server.asked = [], []
    yield server
    assert server.answers == []


@pytest.fixture
def store(server: Canned, connection: tuple[Canned, object], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """One that has learned its way already."""
    monkeypatch.setattr(s3_client, "connect", lambda: connection[1])
    store = Bucket("s3://bucket", 1 << 20)
    server.answers = [refusal(404)]
    assert store._learned()
    server.asked = []
    return store


def test_the_way_is_learned_once(server: Canned, store: Bucket) -> None:
    server.answers = [there("1", 5), there("1", 5)]

    assert store.head(KEY) == store.head(KEY)
    assert [asked.path for asked in server.asked] == ["/bucket/a%20b/%C3%BC%2Bc%25~%281%29%21%2A%27/../d//e"] * 2


def test_requests_are_signed_as_botocore_signs_them(
    server: Canned, store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [written("1"), there("1", 3)]
    attributes = {"one": "a  b", "two": "c"}
    monkeypatch.setattr(auth, "get_current_datetime", lambda: auth.datetime.datetime(2026, 11, 23, 6))

    reply, unanswered = store._quick.put(KEY, Bytes(b"new"), {"Metadata": attributes, "ContentType": "image/png"})
    assert reply is not None and not unanswered

    asked = server.asked[0]
    names = ("x-amz-meta-one", "x-amz-meta-two", "content-type")
    covered = {name: value for name, value in asked.headers.items() if name.lower() in names}
    request = AWSRequest("PUT", server.address + asked.path, data=b"new", headers=covered)
    auth.S3SigV4Auth(Credentials("testak", "testsk", "a token"), "s3", "us-east-1").add_auth(request)
    assert request.headers["Authorization"] == asked.headers["Authorization"]
    server.answers.pop()


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", ""])
def test_certificates_are_those_that_boto3_trusts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    if name:
        monkeypatch.setenv(name, "/some/bundle.pem")
        assert s3_client.certificates() == "/some/bundle.pem"
    else:
        assert s3_client.certificates() == get_cert_path(True)


@pytest.mark.parametrize("first", [refusal(503, "SlowDown"), refusal(301), Answer(0)])
def test_what_does_not_succeed_is_asked_again_through_boto3(server: Canned, store: Bucket, first: Answer) -> None:
    server.answers = [first, content("1", b"bytes")]

    assert read(store, "a") == b"bytes"
    assert ["Boto3" in asked.headers.get("User-Agent", "") for asked in server.asked] == [False, True]


def test_a_put_whose_answer_was_lost_is_found_to_be_done(server: Canned, store: Bucket) -> None:
    ours, now = noise(1000), there("2", 1000)
    server.answers = [NO_ACLS, PROBED, Answer(0), PROBED, now, now, content("2", ours), now]

    assert store.write("a", Bytes(ours), NOTHING, Precondition("1")).etag == "2"


def test_a_put_that_was_refused_is_not(server: Canned, store: Bucket) -> None:
    now = there("2", 1000)
    server.answers = [NO_ACLS, PROBED, PROBED, PROBED, now, now]

    assert trouble(store.write, "a", Bytes(noise(1000)), NOTHING, Precondition("1")) is StoreErrorKind.CHANGED


def test_a_body_of_another_size_is_not_sent(server: Canned, store: Bucket) -> None:
    body = Bytes(b"12345")
    body.size = 6
    body.chunks = lambda: iter([b"12345"])  # type: ignore[method-assign]

    assert trouble(store.write, "a", body, NOTHING, None) is StoreErrorKind.OTHER
    assert server.asked == []


@pytest.mark.parametrize("cut", [0, 300_000])
def test_a_body_that_does_not_end_is_no_whole_one(server: Canned, store: Bucket, cut: int) -> None:
    answer = content("1", b"x" * 700_000)
    answer.cut = cut
    server.answers = [answer]

    with store.open("a") as opened:
        assert trouble(list, opened.chunks()) is StoreErrorKind.UNAVAILABLE


def test_what_no_header_can_carry_is_left_to_boto3(server: Canned, store: Bucket) -> None:
    for value in ("Müller", "a\nb"):
        assert store._quick.put("a", Bytes(b"x"), {"Metadata": {"name": value}}) == (None, False)
    assert server.asked == []


def test_bytes_come_as_they_are_stored(server: Canned, store: Bucket) -> None:
    server.answers = [content("1", b"not gzip", **{"Content-Encoding": "gzip"})]

    assert read(store, "a") == b"not gzip"


def test_without_a_signature_of_ours_all_goes_through_boto3(server: Canned, store: Bucket) -> None:
    quick = Quick(store._client, "bucket")

    quick._take(f"{server.address}/bucket/", "AWS testak:signature")

    assert quick._pool is None


@pytest.mark.parametrize(
    "grants, usual",
    [
        ([("<ID>me</ID>", "FULL_CONTROL")], True),
        ([("<ID>me</ID>", "READ")], False),
        ([("<ID>you</ID>", "FULL_CONTROL")], False),
        ([("<URI>all</URI>", "READ"), ("<ID>me</ID>", "FULL_CONTROL")], False),
        ([("<ID>me</ID>", "FULL_CONTROL"), ("<URI>all</URI>", "READ")], False),
        ([], False),
    ],
)
def test_an_acl_is_usual_if_it_is_the_owners_alone(grants: list[tuple[str, str]], usual: bool) -> None:
    listed = "".join(
        f'<Grant><Grantee xsi:type="CanonicalUser">{who}<DisplayName>m</DisplayName></Grantee>'
        f"<Permission>{what}</Permission></Grant>"
        for who, what in grants
    )
    acl = f"<AccessControlPolicy><Owner><ID>me</ID><DisplayName>m</DisplayName></Owner><AccessControlList>{listed}"

    assert (USUAL_ACL.search(f"{acl}</AccessControlList></AccessControlPolicy>".encode()) is not None) == usual
