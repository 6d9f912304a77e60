"""Clients that are gone: what gRPC says of them is no error in the log."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from compressor.service.grpc_log import CLIENT_GONE, GrpcLogFilter
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests import ROOT
from tests.service.fake_pipeline import file_of
from tests.service.logs import logged
from tests.service.running import eventually

SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 16)]
# Sends and receives until it is killed; says so once it has received something.
CLIENT = """
import sys, grpc
from compressor.v1 import compressor_pb2 as pb, compressor_pb2_grpc as rpc

def upload():
    yield pb.CompressRequest(settings=pb.Settings(delivery=pb.DELIVERY_IMMEDIATE))
    while True:
        yield pb.CompressRequest(chunk=b"FAKEhalf" + bytes(100_000))

with grpc.insecure_channel(sys.argv[1]) as channel:
    for _ in rpc.CompressorServiceStub(channel).Compress(upload()):
        print("received", flush=True)
"""


def upload(chunks: int) -> Iterator[pb.CompressRequest]:
    yield pb.CompressRequest(settings=pb.Settings(delivery=pb.DELIVERY_IMMEDIATE))
    for number in range(chunks):
        yield pb.CompressRequest(chunk=bytes(100_000) if number else file_of(100_000))


def test_a_reader_that_stalls_and_vanishes_is_no_error(idle: Any) -> None:
    """The service has ended the call when its client goes, and a response still waits for it: gRPC logs a traceback."""
    with logged() as log, grpc.insecure_channel(idle.address, SMALL_WINDOW) as channel:
        call = rpc.CompressorServiceStub(channel).Compress(upload(200))
        next(call)
        time.sleep(1.0)  # three times the idle timeout
        call.cancel()
        assert eventually(lambda: log.requests)
        time.sleep(0.2)

    (line,) = log.lines
    assert (line["event"], line["code"], line["reason"]) == ("request", "DEADLINE_EXCEEDED", "idle")


def test_clients_that_are_killed_while_the_service_sends_are_no_errors(fake: Any) -> None:
    tries = 3
    with logged() as log:
        for _ in range(tries):
            command = [sys.executable, "-c", CLIENT, fake.address]
            with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as client:
                assert client.stdout is not None and client.stdout.readline() == b"received\n"
                client.kill()
        assert eventually(lambda: len(log.requests) == tries)
        time.sleep(0.2)

    assert [line["code"] for line in log.lines] == ["CANCELLED"] * tries


def record(level: int, message: str, error: Exception | None = None) -> logging.LogRecord:
    trace = (type(error), error, None) if error else None
    return logging.LogRecord("grpc._cython.cygrpc", level, "file", 1, message, (), trace)


@pytest.mark.parametrize(
    "error, is_logged",
    [
        (grpc.aio.InternalError(f"{CLIENT_GONE}: (…)"), False),
        (grpc.aio.InternalError("Failed grpc_call_start_batch: 8"), True),
        (RuntimeError(CLIENT_GONE), True),
        (None, True),
    ],
)
def test_only_clients_that_are_gone_are_left_out(error: Exception | None, is_logged: bool) -> None:
    assert GrpcLogFilter(lambda: None).filter(record(logging.ERROR, "Unexpected", error)) is is_logged


def test_debug_messages_are_counted_and_logged_at_level_debug_only() -> None:
    counted = list[int]()
    log_filter = GrpcLogFilter(lambda: counted.append(1))
    passed = []
    for level in (logging.INFO, logging.DEBUG):
        with logged(level=level):
            for message in ("Failed to receive any message from Core: %s", "Using AsyncIOEngine"):
                passed.append(log_filter.filter(record(logging.DEBUG, message)))

    assert passed == [False, False, True, True]
    assert len(counted) == 2
