"""What a server of S3 may answer, and what becomes of it; the answers are made up."""

import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from compressor.stores import s3_client, s3_fast_path
from compressor.stores.contract import Attributes, Precondition, StoreError, StoreErrorKind
from compressor.stores.s3 import Bucket
from tests.stores.canned_server import Answer, Canned, canned, refusal
from tests.stores.s3_servers import server_at
from tests.stores.store_contract import NOTHING, Bytes, keys, noise, trouble

DATE = {"Last-Modified": "Mon, 23 Nov 2026 06:00:00 GMT"}
PROBED = refusal(412, "PreconditionFailed")
NO_ACLS = Answer(
    body=b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"
)


def there(etag: str, size: int, **headers: str) -> Answer:
    return Answer(headers={"ETag": f'"{etag}"', "Content-Length": str(size), **DATE, **headers})


def content(etag: str, body: bytes, **headers: str) -> Answer:
    return Answer(headers={"ETag": f'"{etag}"', **DATE, **headers}, body=body)


def written(etag: str) -> Answer:
    return Answer(headers={"ETag": f'"{etag}"'})


@pytest.fixture(scope="module")
def module_server() -> Iterator[tuple[Canned, dict[int, Any]]]:
    """The server, and clients for it by the number of their attempts: to make one takes longer than a test."""
    with canned() as server, server_at(server.address), pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3_client, "READ_SECONDS", 0.4)
        clients = {}
        for attempts in (1, 2):
            patch.setenv("AWS_MAX_ATTEMPTS", str(attempts))
            clients[attempts] = s3_client.connect()
        yield server, clients


@pytest.fixture
def server(module_server: tuple[Canned, dict[int, Any]]) -> Iterator[Canned]:
    server = module_server[0]
    server.answers, server.asked = [], []
    yield server
    assert server.answers == []


@pytest.fixture(autouse=True)
def slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """All through boto3; the tests of the quick way undo it."""
    monkeypatch.setattr(s3_fast_path.Quick, "learn", lambda *_: False)


@pytest.fixture
def store(module_server: tuple[Canned, dict[int, Any]], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(s3_client, "connect", lambda: module_server[1][1])
    return Bucket("s3://bucket", 1 << 20)


@pytest.fixture
def retrying(module_server: tuple[Canned, dict[int, Any]], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(s3_client, "connect", lambda: module_server[1][2])
    return Bucket("s3://bucket", 1 << 20)


@pytest.mark.parametrize(
    "answer, expected",
    [
        (refusal(404, "NoSuchKey"), StoreErrorKind.MISSING),
        (refusal(404, "NoSuchBucket"), StoreErrorKind.OTHER),
        (refusal(403, "AccessDenied"), StoreErrorKind.DENIED),
        (refusal(401), StoreErrorKind.DENIED),
        (refusal(403, "InvalidObjectState"), StoreErrorKind.ARCHIVED),
        (refusal(503, "SlowDown"), StoreErrorKind.THROTTLED),
        (refusal(503), StoreErrorKind.THROTTLED),
        (refusal(429), StoreErrorKind.THROTTLED),
        (refusal(500, "InternalError"), StoreErrorKind.UNAVAILABLE),
        (refusal(502), StoreErrorKind.UNAVAILABLE),
        (refusal(400, "RequestTimeout"), StoreErrorKind.UNAVAILABLE),
        (refusal(400, "InvalidArgument"), StoreErrorKind.OTHER),
        (Answer(0), StoreErrorKind.UNAVAILABLE),
        (Answer(200, body=b"<not xml", headers={"Content-Length": "100"}, cut=3), StoreErrorKind.UNAVAILABLE),
    ],
)
def test_a_refusal_has_its_trouble(server: Canned, store: Bucket, answer: Answer, expected: StoreErrorKind) -> None:
    server.answers = [answer]

    if answer.cut is None:
        assert trouble(store.open, "a") is expected
    else:
        assert trouble(keys, store) is expected


@pytest.mark.parametrize("how", ["cut", "stalls"])
def test_a_body_that_does_not_end_is_no_whole_one(server: Canned, store: Bucket, how: str) -> None:
    answer = content("1", b"x" * 700_000)
    answer.cut = 300_000
    answer.stalls = how == "stalls"
    server.answers = [answer]

    with store.open("a") as opened:
        chunks = opened.chunks()
        next(chunks)
        assert trouble(list, chunks) is StoreErrorKind.UNAVAILABLE


def test_an_answer_that_does_not_come_is_a_time_out(server: Canned, store: Bucket) -> None:
    server.answers = [Answer(200, {"Content-Length": "5"}, stalls=True)]

    assert trouble(keys, store) is StoreErrorKind.UNAVAILABLE


def test_nobody_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with server_at("http://127.0.0.1:9"):
        assert trouble(Bucket("s3://bucket", 1).head, "a") is StoreErrorKind.UNAVAILABLE


def test_no_credentials_are_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_at("http://127.0.0.1:9"):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        assert trouble(Bucket("s3://bucket", 1).head, "a") is StoreErrorKind.DENIED


def test_a_put_whose_answer_was_lost_is_found_to_be_done(server: Canned, retrying: Bucket) -> None:
    """The second try is refused because the first had arrived."""
    ours = noise(1000)
    lost = [Answer(0), PROBED, there("2", 1000), content("2", ours), there("2", 1000)]
    server.answers = [NO_ACLS, PROBED, *lost[:2], there("2", 1000), *lost[2:]]

    assert retrying.write("a", Bytes(ours), NOTHING, Precondition("1")).etag == "2"
    assert server.methods()[2:] == ["PUT", "PUT", "HEAD", "HEAD", "GET", "HEAD"]
    server.answers = list(lost)
    assert retrying.write("a", Bytes(ours), NOTHING, Precondition(None)).etag == "2"


def test_a_put_whose_answer_was_lost_is_not_taken_for_another_of_that_size(server: Canned, retrying: Bucket) -> None:
    now = there("2", 1000)
    server.answers = [NO_ACLS, PROBED, Answer(0), PROBED, now, now, content("2", noise(999) + b"x")]

    assert trouble(retrying.write, "a", Bytes(noise(1000)), NOTHING, Precondition("1")) is StoreErrorKind.CHANGED


def test_conditions_are_written_as_the_server_wants_them(server: Canned, store: Bucket) -> None:
    """Ceph's gateway compares with the quotes, up to version 16 at least."""
    server.answers = [NO_ACLS, PROBED, refusal(412), there("1", 5), written("2"), there("2", 3)]
    store.write("a", Bytes(b"new"), NOTHING, Precondition("1"))
    server.answers = [written("3"), there("3", 4)]
    store.write("a", Bytes(b"next"), NOTHING, Precondition("2"))

    assert [asked.headers.get("If-Match") for asked in server.asked if asked.method == "PUT"][1:] == ['"1"', "1", "2"]


def test_a_server_that_does_not_heed_conditions_is_found_out(server: Canned, store: Bucket) -> None:
    server.answers = [written("0"), Answer(204)]

    assert store.conditional_bytes == 0
    assert server.methods() == ["PUT", "DELETE"]
    assert server.asked[0].path == server.asked[1].path
    server.answers = [NO_ACLS, there("9", 5)]
    assert trouble(store.write, "a", Bytes(b"new"), NOTHING, Precondition("1")) is StoreErrorKind.CHANGED


@pytest.mark.parametrize("status, expected", [(403, 1 << 20), (404, 1 << 20), (412, 1 << 20), (400, 0), (501, 0)])
def test_what_a_server_says_of_conditions_is_heeded(server: Canned, store: Bucket, status: int, expected: int) -> None:
    server.answers = [refusal(status, "So")]

    assert store.conditional_bytes == expected


def test_a_conflict_is_tried_again(server: Canned, store: Bucket) -> None:
    conflict = refusal(409, "ConditionalRequestConflict")
    server.answers = [NO_ACLS, PROBED, conflict, conflict, written("2"), there("2", 3)]

    assert store.write("a", Bytes(b"new"), NOTHING, Precondition("1")).etag == "2"
    server.answers = [conflict, conflict, conflict, there("2", 9)]
    assert trouble(store.write, "a", Bytes(b"new"), NOTHING, Precondition("2")) is StoreErrorKind.CHANGED


def test_a_condition_that_fails_though_nothing_has_changed_is_no_condition(server: Canned, store: Bucket) -> None:
    """Ceph's gateway, version 16, refuses every If-Match in a versioned bucket."""
    refused = [refusal(412), there("1", 5), refusal(412), there("1", 5), there("1", 5)]
    server.answers = [NO_ACLS, PROBED, *refused]
    assert (
        trouble(store.write, "a", Bytes(b"new"), NOTHING, Precondition("1", atomic=True)) is StoreErrorKind.NOT_ATOMIC
    )

    server.answers = [*refused, written("2"), there("2", 3)]
    assert store.write("a", Bytes(b"new"), NOTHING, Precondition("1")).etag == "2"
    assert "If-Match" not in server.asked[-2].headers


@pytest.mark.parametrize(
    "now, expected",
    [
        (there("9", 3), StoreErrorKind.CHANGED),
        (there("2", 4), StoreErrorKind.OTHER),
        (refusal(404), StoreErrorKind.CHANGED),
    ],
)
def test_what_was_written_is_looked_at(server: Canned, store: Bucket, now: Answer, expected: StoreErrorKind) -> None:
    server.answers = [written("2"), now]

    assert trouble(store.write, "a", Bytes(b"new"), NOTHING, None) is expected


def test_an_acl_that_can_not_be_read_is_not_lost(server: Canned, store: Bucket) -> None:
    server.answers = [refusal(403), refusal(403, "AccessDenied")]
    assert trouble(store.write, "a", Bytes(b"new"), NOTHING, Precondition("1")) is StoreErrorKind.DENIED

    server.answers = [refusal(501, "NotImplemented"), PROBED, written("2"), there("2", 3)]
    assert store.write("a", Bytes(b"new"), NOTHING, Precondition("1")).etag == "2"


def test_what_can_not_be_carried_is_named(server: Canned, store: Bucket) -> None:
    server.answers = [
        content(
            "1",
            b"",
            **{
                "x-amz-tagging-count": "2",
                "x-amz-missing-meta": "3",
                "x-amz-meta-name": "M\xfcller",
                "x-amz-meta-plain": "yes",
                "Expires": "0",
                "Content-Disposition": "attachment; filename=\xe4.jpg",
            },
        ),
        refusal(403, "AccessDenied"),
    ]

    with store.open("a") as opened:
        assert opened.attributes.lost == (
            "3 metadata entries",
            "expires '0'",
            "content-disposition, which is not ASCII",
            "metadata name, which is not ASCII",
            "2 tags, which can't be read",
        )
        assert opened.attributes.metadata == {"plain": "yes"}
        assert opened.attributes.headers == {}


def test_encryption_stays_with_the_object_and_does_not_move(server: Canned, store: Bucket) -> None:
    prefix = "x-amz-server-side-encryption"
    sealed = {prefix: "aws:kms", f"{prefix}-aws-kms-key-id": "arn:key", f"{prefix}-bucket-key-enabled": "true"}
    server.answers = [content("1", b"", **sealed)]
    with store.open("a") as opened:
        attributes = opened.attributes
    server.answers = [NO_ACLS, PROBED, written("2"), there("2", 3), written("3"), there("3", 3)]

    store.write("a", Bytes(b"new"), attributes, Precondition("1"))
    store.write("b", Bytes(b"new"), attributes, Precondition(None))

    replaced, new = (asked.headers for asked in server.asked if asked.method == "PUT" and asked.body == b"new")
    assert {name: value for name, value in replaced.items() if prefix in name} == sealed
    assert not any(prefix in name for name in new)


def test_a_listing_out_of_order_is_refused(server: Canned, store: Bucket) -> None:
    items = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>x</ETag></Contents>" for key in ("b", "c", "a"))
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()
    server.answers = [Answer(body=page)]

    assert trouble(keys, store) is StoreErrorKind.IMPOSSIBLE


@pytest.mark.parametrize("status", [403, 405, 501])
def test_versions_that_can_not_be_seen_are_no_obstacle(server: Canned, store: Bucket, status: int) -> None:
    server.answers = [refusal(status, "So")]

    assert store.notices == (("whether it is versioned can't be seen",) if status == 403 else ())


@pytest.mark.parametrize("library, url", [("boto3", "s3://bucket"), ("obstore", "az://container")])
def test_a_missing_library_is_named_with_what_brings_it(library: str, url: str) -> None:
    program = f"""
import sys
sys.modules[{library!r}] = None
from compressor.stores.contract import StoreError
from compressor.stores.open import open_store
try:
    open_store({url!r})
except StoreError as error:
    print(error.kind, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert re.fullmatch(r"impossible .* needs? more: pip install 'compressor\[batch\]'\n", done.stdout)


def test_an_error_goes_from_process_to_process() -> None:
    error = pickle.loads(pickle.dumps(StoreError(StoreErrorKind.HELD, "so it is")))

    assert (error.kind, str(error)) == (StoreErrorKind.HELD, "so it is")


def test_attributes_are_empty_by_default(server: Canned, store: Bucket) -> None:
    server.answers = [content("1", b"x")]

    with store.open("a") as opened:
        assert opened.attributes == Attributes()
