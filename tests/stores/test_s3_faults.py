"""Made-up responses of an S3 server, and how the store handles them."""

import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from compressor.stores import s3_client, s3_fast_path
from compressor.stores.contract import Attributes, Precondition, StoreError, StoreErrorKind
from compressor.stores.s3 import VERSIONING_DENIED, Bucket
from tests.stores.canned_server import CannedResponse, CannedServer, canned, error_response
from tests.stores.s3_servers import server_at
from tests.stores.store_contract import NO_ATTRIBUTES, BytesBody, keys, noise, refusal

DATE = {"Last-Modified": "Mon, 23 Nov 2026 06:00:00 GMT"}
PROBED = error_response(412, "PreconditionFailed")
NO_ACLS = CannedResponse(
    body=b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"
)


def entry_response(etag: str, size: int, **headers: str) -> CannedResponse:
    return CannedResponse(headers={"ETag": f'"{etag}"', "Content-Length": str(size), **DATE, **headers})


def content(etag: str, body: bytes, **headers: str) -> CannedResponse:
    return CannedResponse(headers={"ETag": f'"{etag}"', **DATE, **headers}, body=body)


def written(etag: str) -> CannedResponse:
    return CannedResponse(headers={"ETag": f'"{etag}"'})


@pytest.fixture(scope="module")
def module_server() -> Iterator[tuple[CannedServer, dict[int, Any]]]:
    """The server, and clients for it by their number of attempts: creating one takes longer than a test."""
    with canned() as server, server_at(server.address), pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3_client, "READ_SECONDS", 0.4)
        clients = {}
        for attempts in (1, 2):
            patch.setenv("AWS_MAX_ATTEMPTS", str(attempts))
            clients[attempts] = s3_client.connect()
        yield server, clients


@pytest.fixture
def server(module_server: tuple[CannedServer, dict[int, Any]]) -> Iterator[CannedServer]:
    server = module_server[0]
    server.responses, server.requests = [], []
    yield server
    assert server.responses == []


@pytest.fixture(autouse=True)
def without_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the fast path, which has tests of its own."""
    monkeypatch.setattr(s3_fast_path.FastPath, "discover", lambda *_: False)


@pytest.fixture
def store(module_server: tuple[CannedServer, dict[int, Any]], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(s3_client, "connect", lambda: module_server[1][1])
    return Bucket("s3://bucket", 1 << 20)


@pytest.fixture
def retrying(module_server: tuple[CannedServer, dict[int, Any]], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(s3_client, "connect", lambda: module_server[1][2])
    return Bucket("s3://bucket", 1 << 20)


@pytest.mark.parametrize(
    "response, expected",
    [
        (error_response(404, "NoSuchKey"), StoreErrorKind.MISSING),
        (error_response(404, "NoSuchBucket"), StoreErrorKind.OTHER),
        (error_response(403, "AccessDenied"), StoreErrorKind.DENIED),
        (error_response(401), StoreErrorKind.DENIED),
        (error_response(403, "InvalidObjectState"), StoreErrorKind.ARCHIVED),
        (error_response(503, "SlowDown"), StoreErrorKind.THROTTLED),
        (error_response(503), StoreErrorKind.THROTTLED),
        (error_response(429), StoreErrorKind.THROTTLED),
        (error_response(500, "InternalError"), StoreErrorKind.UNAVAILABLE),
        (error_response(502), StoreErrorKind.UNAVAILABLE),
        (error_response(400, "RequestTimeout"), StoreErrorKind.UNAVAILABLE),
        (error_response(400, "InvalidArgument"), StoreErrorKind.OTHER),
        (CannedResponse(0), StoreErrorKind.UNAVAILABLE),
        (CannedResponse(200, body=b"<not xml", headers={"Content-Length": "100"}, cut=3), StoreErrorKind.UNAVAILABLE),
    ],
)
def test_an_error_response_has_its_kind(
    server: CannedServer, store: Bucket, response: CannedResponse, expected: StoreErrorKind
) -> None:
    server.responses = [response]

    if response.cut is None:
        assert refusal(store.open, "a") is expected
    else:
        assert refusal(keys, store) is expected


@pytest.mark.parametrize("how", ["cut", "stalls"])
def test_a_truncated_body_is_an_error(server: CannedServer, store: Bucket, how: str) -> None:
    response = content("1", b"x" * 700_000)
    response.cut = 300_000
    response.stalls = how == "stalls"
    server.responses = [response]

    with store.open("a") as opened:
        chunks = opened.chunks()
        next(chunks)
        assert refusal(list, chunks) is StoreErrorKind.UNAVAILABLE


def test_a_missing_response_is_a_time_out(server: CannedServer, store: Bucket) -> None:
    server.responses = [CannedResponse(200, {"Content-Length": "5"}, stalls=True)]

    assert refusal(keys, store) is StoreErrorKind.UNAVAILABLE


def test_a_refused_connection_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with server_at("http://127.0.0.1:9"):
        assert refusal(Bucket("s3://bucket", 1).head, "a") is StoreErrorKind.UNAVAILABLE


def test_missing_credentials_are_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_at("http://127.0.0.1:9"):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        assert refusal(Bucket("s3://bucket", 1).head, "a") is StoreErrorKind.DENIED


def test_a_put_whose_response_was_lost_is_recognized_as_done(server: CannedServer, retrying: Bucket) -> None:
    """The second try is refused because the first had succeeded."""
    ours = noise(1000)
    lost = [CannedResponse(0), PROBED, entry_response("2", 1000), content("2", ours), entry_response("2", 1000)]
    server.responses = [NO_ACLS, PROBED, *lost[:2], entry_response("2", 1000), *lost[2:]]

    assert retrying.write("a", BytesBody(ours), NO_ATTRIBUTES, Precondition("1")).etag == "2"
    assert server.methods()[2:] == ["PUT", "PUT", "HEAD", "HEAD", "GET", "HEAD"]
    server.responses = list(lost)
    assert retrying.write("a", BytesBody(ours), NO_ATTRIBUTES, Precondition(None)).etag == "2"


def test_a_put_whose_response_was_lost_is_not_confused_with_another_of_its_size(
    server: CannedServer, retrying: Bucket
) -> None:
    now = entry_response("2", 1000)
    server.responses = [NO_ACLS, PROBED, CannedResponse(0), PROBED, now, now, content("2", noise(999) + b"x")]

    assert (
        refusal(retrying.write, "a", BytesBody(noise(1000)), NO_ATTRIBUTES, Precondition("1")) is StoreErrorKind.CHANGED
    )


def test_conditions_are_written_in_the_form_that_the_server_accepts(server: CannedServer, store: Bucket) -> None:
    """Ceph's gateway compares the quotes too, up to version 16 at least."""
    server.responses = [
        NO_ACLS,
        PROBED,
        error_response(412),
        entry_response("1", 5),
        written("2"),
        entry_response("2", 3),
    ]
    store.write("a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("1"))
    server.responses = [written("3"), entry_response("3", 4)]
    store.write("a", BytesBody(b"next"), NO_ATTRIBUTES, Precondition("2"))

    assert [request.headers.get("If-Match") for request in server.requests if request.method == "PUT"][1:] == [
        '"1"',
        "1",
        "2",
    ]


def test_a_server_that_ignores_conditions_is_detected(server: CannedServer, store: Bucket) -> None:
    server.responses = [written("0"), CannedResponse(204)]

    assert store.conditional_bytes == 0
    assert server.methods() == ["PUT", "DELETE"]
    assert server.requests[0].path == server.requests[1].path
    server.responses = [NO_ACLS, entry_response("9", 5)]
    assert refusal(store.write, "a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("1")) is StoreErrorKind.CHANGED


@pytest.mark.parametrize("status, expected", [(403, 1 << 20), (404, 1 << 20), (412, 1 << 20), (400, 0), (501, 0)])
def test_the_probe_of_conditions_is_interpreted(
    server: CannedServer, store: Bucket, status: int, expected: int
) -> None:
    server.responses = [error_response(status, "So")]

    assert store.conditional_bytes == expected


def test_a_conflict_is_tried_again(server: CannedServer, store: Bucket) -> None:
    conflict = error_response(409, "ConditionalRequestConflict")
    server.responses = [NO_ACLS, PROBED, conflict, conflict, written("2"), entry_response("2", 3)]

    assert store.write("a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("1")).etag == "2"
    server.responses = [conflict, conflict, conflict, entry_response("2", 9)]
    assert refusal(store.write, "a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("2")) is StoreErrorKind.CHANGED


def test_a_condition_that_fails_without_a_change_is_given_up(server: CannedServer, store: Bucket) -> None:
    """Ceph's gateway, version 16, refuses every If-Match in a versioned bucket."""
    refused = [
        error_response(412),
        entry_response("1", 5),
        error_response(412),
        entry_response("1", 5),
        entry_response("1", 5),
    ]
    server.responses = [NO_ACLS, PROBED, *refused]
    assert (
        refusal(store.write, "a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("1", atomic=True))
        is StoreErrorKind.NOT_ATOMIC
    )

    server.responses = [*refused, written("2"), entry_response("2", 3)]
    assert store.write("a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("1")).etag == "2"
    assert "If-Match" not in server.requests[-2].headers


@pytest.mark.parametrize(
    "now, expected",
    [
        (entry_response("9", 3), StoreErrorKind.CHANGED),
        (entry_response("2", 4), StoreErrorKind.OTHER),
        (error_response(404), StoreErrorKind.CHANGED),
    ],
)
def test_a_written_object_is_checked(
    server: CannedServer, store: Bucket, now: CannedResponse, expected: StoreErrorKind
) -> None:
    server.responses = [written("2"), now]

    assert refusal(store.write, "a", BytesBody(b"new"), NO_ATTRIBUTES, None) is expected


def test_an_object_with_an_unreadable_acl_is_not_replaced(server: CannedServer, store: Bucket) -> None:
    server.responses = [error_response(403), error_response(403, "AccessDenied")]
    assert refusal(store.write, "a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("1")) is StoreErrorKind.DENIED

    server.responses = [error_response(501, "NotImplemented"), PROBED, written("2"), entry_response("2", 3)]
    assert store.write("a", BytesBody(b"new"), NO_ATTRIBUTES, Precondition("1")).etag == "2"


def test_attributes_that_cannot_be_kept_are_named(server: CannedServer, store: Bucket) -> None:
    server.responses = [
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
        error_response(403, "AccessDenied"),
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


def test_encryption_is_kept_for_a_replacement_and_not_for_a_copy(server: CannedServer, store: Bucket) -> None:
    prefix = "x-amz-server-side-encryption"
    sealed = {prefix: "aws:kms", f"{prefix}-aws-kms-key-id": "arn:key", f"{prefix}-bucket-key-enabled": "true"}
    server.responses = [content("1", b"", **sealed)]
    with store.open("a") as opened:
        attributes = opened.attributes
    server.responses = [NO_ACLS, PROBED, written("2"), entry_response("2", 3), written("3"), entry_response("3", 3)]

    store.write("a", BytesBody(b"new"), attributes, Precondition("1"))
    store.write("b", BytesBody(b"new"), attributes, Precondition(None))

    replaced, new = (
        request.headers for request in server.requests if request.method == "PUT" and request.body == b"new"
    )
    assert {name: value for name, value in replaced.items() if prefix in name} == sealed
    assert not any(prefix in name for name in new)


def test_a_listing_out_of_order_is_refused(server: CannedServer, store: Bucket) -> None:
    items = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>x</ETag></Contents>" for key in ("b", "c", "a"))
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()
    server.responses = [CannedResponse(body=page)]

    assert refusal(keys, store) is StoreErrorKind.IMPOSSIBLE


@pytest.mark.parametrize("status", [403, 405, 501])
def test_an_unreadable_versioning_state_is_no_error(server: CannedServer, store: Bucket, status: int) -> None:
    server.responses = [error_response(status, "So")]

    assert store.notices == ((VERSIONING_DENIED,) if status == 403 else ())


@pytest.mark.parametrize("library, url", [("boto3", "s3://bucket"), ("obstore", "az://container")])
def test_a_missing_library_is_named_with_the_extra_that_installs_it(library: str, url: str) -> None:
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

    assert re.fullmatch(r"impossible .* needs? additional packages: pip install 'compressor\[batch\]'\n", done.stdout)


def test_an_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(StoreError(StoreErrorKind.HELD, "so it is")))

    assert (error.kind, str(error)) == (StoreErrorKind.HELD, "so it is")


def test_attributes_are_empty_by_default(server: CannedServer, store: Bucket) -> None:
    server.responses = [content("1", b"x")]

    with store.open("a") as opened:
        assert opened.attributes == Attributes()
