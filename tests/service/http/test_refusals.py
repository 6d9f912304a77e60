"""Requests that are wrong: each gets the problem that says so."""

import re
from pathlib import Path

import pytest
from google.rpc import code_pb2

from compressor.metrics.service import DEFAULT_REASONS, REASONS, UNDELIVERED
from compressor.service.http.problem import AcceptError, RequestError, reason_of
from compressor.service.status import CODES
from compressor.service.tenants import line_of
from tests import ROOT
from tests.service.conftest import png
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.http.raw_peer import RawPeer
from tests.service.logs import logged
from tests.service.running import Running, eventually

SMALL = png(16, 16)


@pytest.mark.parametrize(
    "query, field, text",
    [
        ("quality=0", "quality", "must be a whole number from 1 to 100"),
        ("quality=high", "quality", "must be a whole number"),
        ("quality=", "quality", "must be a whole number"),
        ("quality=70&quality=80", "quality", "is given twice"),
        ("quality=70&target_score=80", "target_score", "contradicts quality"),
        ("qualiti=70", "qualiti", "is not a parameter"),
        ("lossless=maybe", "lossless", "must be yes or no"),
        ("max_bytes=12cats", "max_bytes", "must be a size"),
        ("min_saving=much", "min_saving", "must be a share"),
        ("target_score=nan", "target_score", "must be"),
        ("background=red", "background", "must be red, green and blue"),
        ("format=gif", "format", "must be one of"),
        ("accept=gif&format=auto", "accept", "must be some of"),
        ("report=yaml", "report", "must be json"),
        ("raw=1", "raw", "is not a parameter"),
        ("x" * 9000, "query", "at most 8192"),
    ],
)
def test_a_wrong_query_is_named(peer: RawPeer, query: str, field: str, text: str) -> None:
    answer = peer.request(f"/v1/compress?{query}", SMALL)

    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "INVALID_ARGUMENT", field)
    assert text in answer.json["detail"]


def test_a_setting_in_the_query_and_in_the_header_is_given_twice(peer: RawPeer) -> None:
    answer = peer.request("/v1/compress?quality=70", SMALL, "Compressor-Quality: 70")

    assert (answer.status, answer.json["field"], answer.json["detail"]) == (400, "quality", "quality: is given twice")


def test_inspect_has_no_report(peer: RawPeer) -> None:
    assert peer.request("/v1/inspect?report=json", SMALL).status == 400


@pytest.mark.parametrize(
    "field, status",
    [
        ("Content-Type: multipart/form-data; boundary=x", 415),
        ("Content-Encoding: gzip", 415),
        ("Compressor-Timeout: soon", 400),
        ("Compressor-Timeout: -1", 400),
        ("Compressor-Timeout: inf", 400),
        ("Compressor-Quality: high", 400),
        ("Compressor-Qualiti: 70", 400),
        ("Compressor-Quality: 70\r\nCompressor-Quality: 80", 400),
        ("Accept: image/gif", 406),
        ("Accept: image/png;q=high", 406),
    ],
)
def test_a_wrong_header_field_is_refused(peer: RawPeer, field: str, status: int) -> None:
    answer = peer.request("/v1/compress", SMALL, field)

    assert (answer.status, answer.json["status"]) == (status, status)


@pytest.mark.parametrize(
    "field, reason",
    [
        ("Content-Encoding: gzip", "request"),
        ("Accept: image/gif", "settings"),
        ("Compressor-Timeout: -1", "settings"),
        ("Content-Type: image/png", "format"),
    ],
)
def test_the_log_has_a_documented_reason(peer: RawPeer, field: str, reason: str) -> None:
    with logged() as log:
        identity = peer.request("/v1/compress", b"no image", field).fields["x-request-id"]
        assert eventually(lambda: identity in log.text)

    assert [line["reason"] for line in log.requests if line["request_id"] == identity] == [reason]


def test_all_reasons_are_in_the_documentation() -> None:
    page = (ROOT / "docs" / "logging.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `reason` |"))
    documented = set(re.findall(r"`([a-z]+)`", row)) - {"reason"}
    kinds = {reason_of(kind.__new__(kind)) for kind in CODES}
    bad = reason_of(RequestError(415, code_pb2.INVALID_ARGUMENT, "a form"))
    others = {bad, reason_of(AcceptError("accept", "is x")), reason_of(ValueError()), UNDELIVERED}

    assert documented | set(REASONS) == kinds | others | set(REASONS) | set(DEFAULT_REASONS.values())


def test_a_broken_image_is_located(peer: RawPeer) -> None:
    answer = peer.request("/v1/compress", b"\xff\xd8\xff\xc0\x00\x03" + bytes(96))

    assert (answer.status, answer.json["code"]) == (422, "INVALID_ARGUMENT")
    assert answer.json["format"] == "JPEG" and answer.json["place"] and answer.json["offset"] >= 2


def test_an_empty_body_is_no_image(peer: RawPeer) -> None:
    assert peer.request("/v1/compress", b"").status == 422
    peer.send(b"POST /v1/compress HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert peer.receive().status == 422


@pytest.mark.parametrize(
    "method, path, status, allowed",
    [
        ("GET", "/v1/compress", 405, "POST"),
        ("HEAD", "/v1/inspect", 405, "POST"),
        ("OPTIONS", "/v1/compress", 405, "POST"),
        ("POST", "/", 405, "GET, HEAD"),
        ("PUT", "/v1/openapi.json", 405, "GET, HEAD"),
        ("GET", "/v1/compress/", 404, None),
        ("POST", "/v2/compress", 404, None),
        ("GET", "/page/../page.js", 404, None),
        ("GET", "/%2e%2e/etc/passwd", 404, None),
    ],
)
def test_wrong_paths_and_methods_are_problems(
    peer: RawPeer, method: str, path: str, status: int, allowed: str | None
) -> None:
    answer = peer.request(path, method=method)

    assert (answer.status, answer.fields.get("allow")) == (status, allowed)
    assert answer.fields["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json["status"] == status


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"POST /v1/compress HTTP/1.1\r\n\r\n",  # no Host
        b"POST /v1/compress HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/compress HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
    ],
)
def test_what_is_not_http_is_refused(peer: RawPeer, request_: bytes) -> None:
    peer.send(request_)
    answer = peer.receive()

    assert answer.status == 400 and answer.json["code"] == "INVALID_ARGUMENT"
    assert peer.is_closed()


def test_a_body_that_breaks_its_framing_is_no_image(fake_peer: RawPeer) -> None:
    """Without this, a cut upload could be taken for a short file."""
    fake_peer.begin("/v1/compress?delivery=safe", None)
    fake_peer.chunk(file_of(700))
    fake_peer.send(b"zz\r\n")

    assert fake_peer.receive().status == 400
    assert fake_peer.is_closed()


def test_no_response_may_be_read_by_other_sites(peer: RawPeer) -> None:
    answer = peer.request("/v1/compress", SMALL, "Origin: https://elsewhere.example")

    assert answer.status == 200
    assert not [name for name in answer.fields if name.startswith("access-control-")]


def test_the_page_is_off_by_default() -> None:
    with Running(fake_codec(), http_address="127.0.0.1:0") as server, RawPeer(server.server.http_port) as peer:
        assert peer.request("/", method="GET").status == 404


@pytest.mark.parametrize("field", [None, "Bearer wrong", "Basic one", "one"])
def test_a_request_without_a_token_is_refused_before_its_body(tmp_path: Path, field: str | None) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"{line_of('shop', 'one')}\n{line_of('press', 'two')}\n")
    config = {"token_file": str(path), "http_address": "127.0.0.1:0", "http_page": True}
    with Running(fake_codec(), **config) as server, RawPeer(server.server.http_port) as peer:
        fields = [] if field is None else [f"Authorization: {field}"]
        answer = peer.request("/v1/compress?delivery=safe", file_of(700), *fields)

        assert (answer.status, answer.json["code"]) == (401, "UNAUTHENTICATED")
        assert answer.fields["www-authenticate"] == "Bearer"
        metrics = server.scrape()
        assert 'requests_rejected_total{reason="unauthenticated"} 1.0' in metrics
        assert 'outcomes_total{outcome="failed"} 0.0' in metrics
    with Running(fake_codec(), **config) as server, RawPeer(server.server.http_port) as peer:
        assert peer.request("/v1/compress?delivery=safe", file_of(700), "Authorization: bearer two").status == 200
        assert b'<div id="access" class="field">' in peer.request("/", method="GET").body
