"""A server that breaks calls off."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import google_crc32c
import grpc
import pytest

from compressor import wire
from compressor.client import retries
from compressor.settings import Outcome, Path, Report
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

RESULT = b"result"
REPORT = Report(
    outcome=Outcome.COMPRESSED,
    bytes_in=5,
    bytes_out=len(RESULT),
    source_format="fake",
    format="jpeg",
    width=2,
    height=2,
    path=Path.PIXELS,
    encodings=1,
    settings_digest="",
)


class Flaky(rpc.CompressorServiceServicer):
    """A server that breaks its first calls off: with UNAVAILABLE, as gRPC does when it loses a connection.

    breaks  for each of the first calls, how many responses (source, chunk, report) it sends before that
    """

    def __init__(self, breaks: list[int], code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.breaks = breaks
        self.calls = 0
        self.code = code
        self.before_sending: Callable[[Any], object] = list  # called with the upload

    def Compress(self, requests: Any, context: Any) -> Iterator[pb.CompressResponse]:
        yield from self._responses(pb.CompressResponse, requests, context)

    def Unarchive(self, requests: Any, context: Any) -> Iterator[pb.UnarchiveResponse]:
        yield from self._responses(pb.UnarchiveResponse, requests, context)

    def _responses(self, response: Any, requests: Any, context: Any) -> Iterator[Any]:
        responses = [
            response(source=pb.Source(format="fake", width=2, height=2)),
            response(chunk=RESULT),
            response(report=wire.report_to_proto(REPORT, len(RESULT), google_crc32c.value(RESULT))),
        ]
        self.calls += 1
        sent = self.breaks.pop(0) if self.breaks else len(responses)
        context.send_initial_metadata((("compressor-version", "1"),))
        self.before_sending(requests)
        yield from responses[:sent]
        if sent < len(responses):
            context.abort(self.code, "Socket closed")

    def Inspect(self, requests: Any, context: Any) -> pb.InspectResponse:
        self.calls += 1
        context.send_initial_metadata((("compressor-version", "1"),))
        self.before_sending(requests)
        if self.breaks.pop(0) == 0:
            context.abort(self.code, "Socket closed")
        return pb.InspectResponse(source=pb.Source(format="fake"))


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Flaky, str]]]:
    """Return a function that starts such a server. Pauses take no time."""
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.0)
    servers: list[grpc.Server] = []

    def start(*breaks: int, **options: Any) -> tuple[Flaky, str]:
        service = Flaky(list(breaks), **options)
        server = grpc.server(ThreadPoolExecutor(4))
        rpc.add_CompressorServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return service, f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)
