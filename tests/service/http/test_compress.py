"""POST /v1/compress and /v1/inspect: what is sent, and what comes back."""

import base64
import io
import json
import socket
from typing import Any

import pytest
from PIL import Image

import compressor
from compressor.service.http.image_requests import REPORT_BYTES_MAX, encoded_report
from compressor.service.http.parameters import names_image_types
from tests.service.conftest import Service, png
from tests.service.fake_pipeline import file_of
from tests.service.http.raw_peer import Answer, RawPeer

SMALL = png(64, 48)


def report_of(answer: Answer) -> Any:
    field = answer.fields["compressor-report"]
    return json.loads(base64.urlsafe_b64decode(field + "=" * (-len(field) % 4)))


def test_a_result_is_that_of_the_library_and_its_report_comes_first(peer: RawPeer) -> None:
    answer = peer.request("/v1/compress?format=JPG&quality=70&background=255,255,255", SMALL)
    expected = compressor.compress(SMALL, format="jpeg", quality=70, background=(255, 255, 255))

    assert (answer.status, answer.body) == (200, expected.data)
    assert answer.fields["content-type"] == "image/jpeg"
    assert answer.fields["content-length"] == str(len(expected.data))
    assert answer.fields["vary"] == "accept"
    report = report_of(answer)
    assert report["bytes_out"] == len(expected.data) and report["bytes_in"] == len(SMALL)
    assert report["outcome"] == "compressed" and report["saved"] == expected.report.saved
    assert report["footprint"]["used_energy_joules"]["central"] > 0
    assert len(answer.fields["compressor-report"]) <= 8192


def test_settings_are_header_fields_too(peer: RawPeer) -> None:
    fields = ["Compressor-Quality: 70", "compressor-background: 255,255,255", "Compressor-Min-Saving: 5%"]
    answer = peer.request("/v1/compress?format=jpeg", SMALL, *fields)
    expected = compressor.compress(SMALL, format="jpeg", quality=70, background=(255, 255, 255), min_saving=0.05)

    assert (answer.status, answer.body) == (200, expected.data)


def test_a_body_in_chunks_gives_the_same_result(peer: RawPeer) -> None:
    peer.begin("/v1/compress?quality=70", None)
    for start in range(0, len(SMALL), 1000):
        peer.chunk(SMALL[start : start + 1000])
    peer.chunk(b"")

    assert peer.receive().body == compressor.compress(SMALL, quality=70).data


@pytest.mark.parametrize("query, media_type", [("png", "image/png"), ("webp", "image/webp"), ("keep", "image/png")])
def test_the_media_type_is_that_of_the_result(peer: RawPeer, query: str, media_type: str) -> None:
    answer = peer.request(f"/v1/compress?format={query}", SMALL)

    assert answer.fields["content-type"] == media_type
    Image.open(io.BytesIO(answer.body)).verify()


@pytest.mark.parametrize(
    "accept, query, format",
    [
        ("image/avif,image/webp,image/*;q=0.8", "", "auto"),
        ("image/webp", "", "webp"),
        ("image/jpeg", "?format=png", "png"),
        ("*/*", "", "keep"),
        ("text/html, */*;q=0.1", "", "keep"),
    ],
)
def test_accept_chooses_the_format_if_it_names_image_types(peer: RawPeer, accept: str, query: str, format: str) -> None:
    answer = peer.request(f"/v1/compress{query}", SMALL, f"Accept: {accept}")

    assert answer.status == 200
    assert bool(report_of(answer)["format_reason"]) == (format in ("auto", "webp"))
    assert report_of(answer)["format"] == ("png" if format in ("keep", "png") else report_of(answer)["format"])
    if format == "webp":
        assert answer.fields["content-type"] == "image/webp"


def test_image_types_are_recognized_in_an_accept_field() -> None:
    assert names_image_types("text/html, Image/WebP;q=0.5")
    assert not names_image_types("*/*")


def test_the_report_alone_replaces_the_result(peer: RawPeer) -> None:
    answer = peer.request("/v1/compress?report=json&score=yes", SMALL)

    assert answer.fields["content-type"] == "application/json"
    assert answer.json["score"] == 100 and answer.json["bytes_out"] > 0
    assert isinstance(answer.json["crc32c"], int)


def test_the_report_alone_counts_as_no_delivery(fake_http: Service, fake_peer: RawPeer) -> None:
    def delivered() -> list[str]:
        return [line for line in fake_http.scrape().splitlines() if "delivered_input_bytes_total{" in line]

    assert fake_peer.request("/v1/compress?delivery=safe", file_of(700)).status == 200
    before = delivered()
    assert fake_peer.request("/v1/compress?report=json", file_of(700)).status == 200

    assert before and delivered() == before


def test_inspect_answers_before_the_upload_has_ended(peer: RawPeer) -> None:
    peer.begin("/v1/inspect", 10_000_000)
    peer.send(SMALL)
    answer = peer.receive()

    assert answer.status == 200
    assert {name: answer.json[name] for name in ("format", "width", "height")} == {
        "format": "png",
        "width": 64,
        "height": 48,
    }
    assert answer.fields["connection"] == "close" and peer.is_closed()


def test_immediate_output_begins_before_the_input_has_ended(fake_peer: RawPeer) -> None:
    image = file_of(600_000)
    fake_peer.begin("/v1/compress?delivery=immediate", len(image))
    fake_peer.send(image[:300_000])
    status, fields = fake_peer.receive_head()
    fake_peer.send(image[300_000:])

    assert status == 200 and fields["transfer-encoding"] == "chunked"
    assert "compressor-report" not in fields and "content-length" not in fields
    assert fields["content-type"] == "application/octet-stream"  # the fake's result is none that is known


def test_requests_on_one_connection_are_answered_in_order(fake_peer: RawPeer) -> None:
    bodies = [file_of(size) for size in (700, 4000, 900)]
    for body in bodies:
        fake_peer.begin("/v1/compress?delivery=safe", len(body))
        fake_peer.send(body)
    answers = [fake_peer.receive() for _ in bodies]

    assert [report_of(answer)["bytes_in"] for answer in answers] == [700, 4000, 900]
    assert fake_peer.request("/v1/openapi.json", method="GET").status == 200


def test_the_id_of_a_request_comes_back(fake_peer: RawPeer) -> None:
    answer = fake_peer.request("/v1/compress?delivery=safe", file_of(700), "X-Request-Id: abc-1")

    assert answer.fields["x-request-id"] == "abc-1"


def test_the_body_is_asked_for_before_it_is_sent(fake_peer: RawPeer) -> None:
    fake_peer.begin("/v1/compress?delivery=safe", 700, "Expect: 100-continue")
    assert fake_peer.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 100"
    fake_peer.send(file_of(700))

    assert fake_peer.receive().status == 200


def test_a_report_that_is_too_long_says_how_many_notices_it_leaves_out() -> None:
    fields = {"notices": [f"notice {n}: " + "x" * 500 for n in range(100)], "reason": "y" * 9000, "format_reason": ""}
    field = encoded_report(fields)
    report = json.loads(base64.urlsafe_b64decode(field + "=" * (-len(field) % 4)))

    assert len(field) <= REPORT_BYTES_MAX * 4 / 3 + 4 <= 8200
    assert report["notices"][0].startswith("notice 0") and "more" in report["notices"][-1]
    assert len(report["notices"]) - 1 + int(report["notices"][-1].split()[0]) == 100
