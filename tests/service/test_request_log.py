"""The line of a request: one for each, whatever its end, and nothing secret in it."""

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from compressor.client import Client
from compressor.errors import CompressorError
from compressor.service.log_format import FORMATS
from compressor.service.tenants import line_of
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests import ROOT
from tests.service.conftest import png
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.logs import logged
from tests.service.running import Running, eventually

TOKEN, WRONG_TOKEN = "known-token-7f3a", "unknown-token-9c1b"
# Neither is part of any field by itself.
PIXELS, TEXT = bytes([0xC3, 0x5A, 0x91, 0x77]) * 64, b"SecretWordsInTheImage"


def test_a_request_is_logged_once_with_what_it_was_and_took(fake: Any) -> None:
    with logged() as log, Client(fake.address) as client:
        client.compress(file_of(1000), score=True)
        assert eventually(lambda: log.requests)

    (line,) = log.requests
    numbers = {key: line.pop(key) for key in list(line) if key.endswith("_seconds")}
    assert line.pop("time") and line.pop("pid") and str(line.pop("peer")).startswith("ipv4:127.0.0.1:")
    assert len(str(line.pop("request_id"))) == 32
    assert line == {
        "level": "info",
        "logger": "compressor.request",
        "event": "request",
        "method": "Compress",
        "code": "OK",
        "outcome": "compressed",
        "path": "pixels",
        "format": "fake",
        "result_format": "jpeg",
        "width": 2,
        "height": 2,
        "reserved_bytes": 0,
        "bytes_in": 1000,
        "bytes_out": 500,
    }
    assert numbers["encode_cpu_seconds"] == 0.25 and numbers["score_cpu_seconds"] == 0.125
    assert numbers["memory_wait_seconds"] == 0.5
    for earlier, later in (("receive", "duration"), ("first_byte", "duration"), ("send", "duration")):
        assert 0 <= numbers[f"{earlier}_seconds"] <= numbers[f"{later}_seconds"] < 10


def test_the_real_pipeline_logs_its_work_and_its_memory(real: Any) -> None:
    with logged() as log, Client(real.address) as client:
        client.compress(real.large, format="jpeg")
        assert eventually(lambda: log.requests)

    (line,) = log.requests
    assert (line["format"], line["result_format"], line["width"]) == ("png", "jpeg", 1500)
    assert line["reserved_bytes"] > 1 << 20
    assert 0 < line["decode_cpu_seconds"] <= line["work_seconds"] <= line["duration_seconds"]


@pytest.mark.parametrize(
    "verb, code, reason",
    [
        (b"busy", "UNAVAILABLE", "busy"),
        (b"over", "RESOURCE_EXHAUSTED", "limit"),
        (b"nope", "UNIMPLEMENTED", "unsupported"),
        (b"bug!", "INTERNAL", "internal"),
    ],
)
def test_a_refusal_and_a_crash_are_logged_with_their_reason(fake: Any, verb: bytes, code: str, reason: str) -> None:
    with logged() as log, Client(fake.address, retries=0) as client:
        with pytest.raises(CompressorError):
            client.compress(file_of(500, verb))
        assert eventually(lambda: log.requests)

    (line,) = log.requests
    assert (line["code"], line["reason"], line["bytes_in"]) == (code, reason, 500)
    others = [one for one in log.lines if one["event"] == "message"]
    assert all(one["request_id"] == line["request_id"] for one in others)
    assert len(others) == (verb == b"bug!")  # the traceback


@pytest.mark.parametrize("data, reason", [(b"JUNK" * 9, "format"), (b"", "format")])
def test_an_invalid_image_is_logged_with_its_reason(real: Any, data: bytes, reason: str) -> None:
    with logged() as log, Client(real.address) as client:
        with pytest.raises(CompressorError):
            client.inspect(data)
        assert eventually(lambda: log.requests)

    assert (log.requests[0]["method"], log.requests[0]["reason"]) == ("Inspect", reason)


@pytest.mark.parametrize("how, code", [("cancel", "CANCELLED"), ("deadline", "DEADLINE_EXCEEDED")])
def test_a_call_that_its_client_ends_is_logged_as_that(fake: Any, how: str, code: str) -> None:
    """An upload that its client cancels seems to end regularly at first."""
    tries, go = 10, threading.Event()

    def parts() -> Iterator[pb.CompressRequest]:
        yield pb.CompressRequest(settings=pb.Settings())
        yield pb.CompressRequest(chunk=file_of(500))
        go.wait(10)

    with logged() as log, grpc.insecure_channel(fake.address) as channel:
        for number in range(tries):
            call = rpc.CompressorServiceStub(channel).Compress(parts(), timeout=0.2 if how == "deadline" else 10)
            with pytest.raises(grpc.RpcError):
                next(call)
                if how == "cancel":
                    call.cancel()
                list(call)
            # Or the next one, whose deadline is near, may be refused for the work before it.
            assert eventually(lambda: len(log.requests) == number + 1)  # noqa: B023
        go.set()

    ends = [(line["code"], line["reason"]) for line in log.requests]
    # A client whose deadline has passed cancels the call, by its own clock.
    assert set(ends) <= {("CANCELLED", "canceled"), ("DEADLINE_EXCEEDED", "deadline")}
    assert [found for found, _ in ends].count(code) > tries // 2


def test_a_message_that_is_too_large_is_logged_and_counted(fake: Any) -> None:
    parts = [pb.CompressRequest(settings=pb.Settings()), pb.CompressRequest(chunk=bytes(2 << 20))]
    before = undelivered(fake)
    with logged() as log, grpc.insecure_channel(fake.address) as channel:
        call = rpc.CompressorServiceStub(channel).Compress(iter(parts))
        with pytest.raises(grpc.RpcError, match="larger than max"):
            list(call)
        assert eventually(lambda: log.requests)

    assert log.requests[0]["reason"] == "undelivered"
    assert undelivered(fake) == before + 1


def undelivered(service: Running) -> float:
    line = next(line for line in service.scrape().splitlines() if line.startswith("compressor_undelivered_messages"))
    return float(line.split()[1])


def secrets() -> list[bytes]:
    """Return parts of what is secret in the calls below, as bytes, as text, in hexadecimal, and in decimal."""
    found = [TOKEN.encode(), WRONG_TOKEN.encode(), TEXT, TEXT[:8], PIXELS[:4], PIXELS[:4].hex().encode()]
    found += [PIXELS[:4].hex(" ").encode(), repr(PIXELS[:4])[2:-1].encode(), b", ".join(b"%d" % x for x in PIXELS[:4])]
    return found


@pytest.mark.parametrize("format", FORMATS)
def test_no_byte_of_an_image_and_no_token_is_logged(real: Any, tmp_path: Path, format: str) -> None:
    """At level DEBUG, with images that are valid, and broken at their first bytes, in their header, in their data."""
    (tmp_path / "tokens").write_text(line_of("shop", TOKEN))
    image = png(32, 24)
    header = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + TEXT[:4] + PIXELS
    images = [image, PIXELS, TEXT * 9, header, image[:60] + PIXELS + TEXT, b"\xff\xd8\xff\xe1\x00\x20" + TEXT + PIXELS]
    codec = real.server._codec
    with logged(format, logging.DEBUG) as log, Running(codec, token_file=str(tmp_path / "tokens")) as running:
        for token in (TOKEN, WRONG_TOKEN, f"{WRONG_TOKEN}\t{TOKEN}"):
            with Client(running.address, token=token, retries=0) as client:
                for data in images:
                    for verb in (client.compress, client.inspect):
                        try:
                            verb(data)
                        except CompressorError:
                            continue
        assert eventually(lambda: log.text.count("compressor.request") >= 24)

    written = log.text.encode()
    assert written.count(b"compressor.request") >= 24 and b"UNAUTHENTICATED" in written
    assert [secret for secret in secrets() if secret.lower() in written.lower()] == []


def test_a_call_without_a_valid_token_is_logged(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(line_of("shop", TOKEN))
    with logged() as log, Running(fake_codec(), token_file=str(tmp_path / "tokens")) as running:
        with Client(running.address, token=WRONG_TOKEN) as client, pytest.raises(CompressorError):
            client.compress(file_of(500))
        assert eventually(lambda: log.requests)

    (line,) = log.requests
    assert (line["method"], line["code"], line["reason"]) == ("Compress", "UNAUTHENTICATED", "unauthenticated")
    assert line["peer"] and line["request_id"] and line["bytes_in"] == 0


@pytest.mark.parametrize("format", FORMATS)
def test_a_client_can_not_forge_a_line(fake: Any, format: str) -> None:
    with logged(format) as log, grpc.insecure_channel(fake.address) as channel:
        call = rpc.CompressorServiceStub(channel).Compress(iter(()), metadata=(("x-request-id", 'a"code=OK'),))
        with pytest.raises(grpc.RpcError):
            list(call)
        assert eventually(lambda: log.text.endswith("\n"))

    assert log.text.count("\n") == 1
    if format != "text":
        assert (log.requests[0]["request_id"], log.requests[0]["code"]) == ('a"code=OK', "DATA_LOSS")


def test_at_level_warning_requests_are_not_logged(fake: Any) -> None:
    with logged("json", logging.WARNING) as log, Client(fake.address) as client:
        client.compress(file_of(500))
    assert log.text == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_serve_logs_in_the_format_that_was_asked_for(workers: int) -> None:
    command = [sys.executable, "-m", "compressor.cli", "serve", "--log-format", "json", "--workers", str(workers)]
    command += ["--address", "127.0.0.1:0", "--metrics-address", "none", "--drain-seconds", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    address = process.stdout.readline().split()[-1].rstrip(",")
    with Client(address) as client:
        client.compress(png(32, 24))
    process.send_signal(signal.SIGTERM)
    _, written = process.communicate(timeout=60)

    lines = [json.loads(line) for line in written.splitlines()]
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["code"] == "OK" and (line["pid"] == process.pid) == (workers == 1)
    assert process.returncode == 0


def test_a_call_that_is_refused_on_arrival_is_logged() -> None:
    go = threading.Event()

    def parts() -> Iterator[pb.CompressRequest]:
        yield pb.CompressRequest(settings=pb.Settings())
        yield pb.CompressRequest(chunk=file_of(500))
        go.wait(10)

    with logged() as log, Running(fake_codec(), max_concurrent_calls=1) as running:
        with grpc.insecure_channel(running.address) as channel:
            stub = rpc.CompressorServiceStub(channel)
            first = stub.Compress(parts())
            next(first)
            second = stub.Compress(parts(), metadata=(("x-request-id", "id-2"),))
            assert next(second).failure.message
            assert second.code() is grpc.StatusCode.UNAVAILABLE
            assert dict(second.trailing_metadata())["x-request-id"] == "id-2"
            assert eventually(lambda: log.requests)
            first.cancel()
        go.set()

    line = log.requests[0]
    assert (line["request_id"], line["code"], line["reason"]) == ("id-2", "UNAVAILABLE", "busy")
    assert line["duration_seconds"] < 1 and "receive_seconds" not in line
