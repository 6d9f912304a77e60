"""Traces: the span of a call and those within it, their parent, and where they are exported to."""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from compressor.client import Client
from compressor.errors import CompressorError, SettingsError
from compressor.metrics import Account, Metrics
from compressor.service import server, tracing
from compressor.service.tenants import line_of
from compressor.service.tracing import Tracing, is_asked_for, tracing_of
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from compressor.work_times import WorkTimes
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.logs import logged
from tests.service.running import Running, eventually, free_port

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALL = "compressor.v1.CompressorService/Compress"


class Traced:
    """A server whose spans are kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, codec: Any = None, **config: Any) -> None:
        self._exporter = InMemorySpanExporter()
        tracer_provider = TracerProvider()
        tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        monkeypatch.setattr(server, "tracing_of", lambda: Tracing(tracer_provider))
        self.running = Running(codec or fake_codec(), **config)

    def spans(self, count: int) -> dict[str, ReadableSpan]:
        """Wait for some spans, and return them by name."""
        assert eventually(lambda: len(self._exporter.get_finished_spans()) >= count)
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of this name so far."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    @property
    def count(self) -> int:
        return len(self._exporter.get_finished_spans())


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    found = Traced(monkeypatch)
    with found.running:
        yield found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def compress(address: str, verb: bytes = b"half", **more: Any) -> None:
    with grpc.insecure_channel(address) as channel:
        parts = [
            pb.CompressRequest(settings=pb.Settings()),
            pb.CompressRequest(chunk=file_of(1000, verb)),
            pb.CompressRequest(finish=pb.Finish(total_bytes=1000)),
        ]
        list(rpc.CompressorServiceStub(channel).Compress(iter(parts), **more))


def test_the_span_of_a_call_has_the_attributes_of_the_conventions(traced: Traced) -> None:
    compress(traced.running.address, metadata=(("x-request-id", "id-1"),))
    span = traced.spans(3)[CALL]

    found = attributes(span)
    assert found.pop("network.peer.port") > 0
    assert found == {
        "rpc.system.name": "grpc",
        "rpc.method": CALL,
        "rpc.response.status_code": "OK",
        "network.peer.address": "127.0.0.1",
        "compressor.request_id": "id-1",
        "compressor.bytes_in": 1000,
        "compressor.bytes_out": 500,
        "compressor.format": "fake",
        "compressor.result_format": "jpeg",
        "compressor.pixels": 4,
        "compressor.reserved_bytes": 7,
        "compressor.outcome": "compressed",
    }
    assert span.kind is SpanKind.SERVER and span.parent is None
    assert span.status.status_code is StatusCode.UNSET


def test_a_request_over_http_has_the_attributes_of_http(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = Traced(monkeypatch, http_address="127.0.0.1:0")
    with traced.running as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.server.http_port or 0, timeout=10)
        connection.request("POST", "/v1/compress?delivery=safe", file_of(1000))
        assert connection.getresponse().read()
        connection.request("POST", "/v1/compress?quality=0", file_of(1000))
        assert connection.getresponse().status == 400
        connection.close()
        assert eventually(lambda: len(traced.named("POST /v1/compress")) == 2)
    # A span may end after the request that follows.
    spans = [attributes(span) for span in traced.named("POST /v1/compress")]
    right, wrong = sorted(spans, key=lambda found: found["http.response.status_code"])
    assert (right["http.route"], right["http.response.status_code"]) == ("/v1/compress", 200)
    assert (wrong["http.request.method"], wrong["http.response.status_code"]) == ("POST", 400)
    assert not any(name.startswith("rpc.") for name in right)


def test_the_context_is_taken_over_from_the_caller(traced: Traced) -> None:
    with logged() as log:
        compress(traced.running.address, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        spans = traced.spans(3)
        assert eventually(lambda: log.requests)

    caller = spans[CALL].parent
    assert caller is not None and f"{caller.span_id:016x}" == PARENT
    assert {f"{span.context.trace_id:032x}" for span in spans.values() if span.context} == {TRACE}
    for name in ("receive", "send"):
        parent, call = spans[name].parent, spans[CALL].context
        assert parent is not None and call is not None and parent.span_id == call.span_id
    assert (log.requests[0]["trace_id"], log.requests[0]["request_id"]) == (TRACE, TRACE)


def test_a_caller_that_does_not_sample_gets_no_spans(traced: Traced) -> None:
    compress(traced.running.address, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-00"),))
    compress(traced.running.address)
    spans = traced.spans(3)

    assert spans[CALL].context is not None and f"{spans[CALL].context.trace_id:032x}" != TRACE
    assert traced.count == 3


def test_an_error_of_the_service_is_marked_and_one_of_the_client_is_not(traced: Traced) -> None:
    for verb in (b"bug!", b"over"):
        with pytest.raises(grpc.RpcError):
            compress(traced.running.address, verb)
    assert eventually(lambda: traced.count >= 4)
    found = {
        attributes(span)["rpc.response.status_code"]: (span.status.status_code, attributes(span)["compressor.reason"])
        for span in traced._exporter.get_finished_spans()
        if span.name == CALL
    }

    assert found == {
        "INTERNAL": (StatusCode.ERROR, "internal"),
        "RESOURCE_EXHAUSTED": (StatusCode.UNSET, "limit"),
    }


def test_a_call_without_a_token_has_a_span(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "tokens").write_text(line_of("shop", "secret"))
    traced = Traced(monkeypatch, token_file=str(tmp_path / "tokens"))
    with traced.running, Client(traced.running.address, token="wrong") as client:
        with pytest.raises(CompressorError):
            client.compress(file_of(500))
        span = traced.spans(1)[CALL]

    assert attributes(span)["rpc.response.status_code"] == "UNAUTHENTICATED"


def test_the_stages_of_the_real_pipeline_have_spans(monkeypatch: pytest.MonkeyPatch, real: Any) -> None:
    traced = Traced(monkeypatch, real.server._codec)
    with traced.running, Client(traced.running.address) as client:
        client.compress(real.large, format="jpeg")
        spans = traced.spans(5)

    assert set(spans) >= {CALL, "receive", "decode", "encode", "send"}
    call = spans[CALL]
    for name in ("receive", "decode", "encode", "send"):
        span = spans[name]
        assert span.start_time and span.end_time and call.start_time and call.end_time
        assert call.start_time - 1000 <= span.start_time <= span.end_time <= call.end_time + 1000
    assert attributes(spans["decode"])["compressor.cpu_seconds"] > 0
    assert abs((call.start_time or 0) - time.time_ns()) < 60e9


def test_waits_have_spans_unless_they_are_short() -> None:
    account = Account(Metrics(), "Compress")
    begun = account.started
    waits = {"memory": (begun, begun + 0.5), "cores": (begun + 0.5, begun + 0.5001)}
    account.worked(WorkTimes(waited_seconds={"memory": 0.5, "cores": 0.0001}, queue_intervals=waits))
    account.end("OK")
    account.close()
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Tracing(provider).record(account, None)

    queue, call = exporter.get_finished_spans()
    assert (queue.name, call.name) == ("queue", CALL)
    assert attributes(queue) == {"compressor.resource": "memory", "compressor.waited_seconds": 0.5}
    assert queue.start_time == call.start_time == account.started_ns
    assert queue.end_time is not None and abs(queue.end_time - account.started_ns - 5e8) < 1000


def test_a_call_that_is_not_sampled_costs_one_span_and_has_no_trace_id() -> None:
    account = Account(Metrics(), "Compress")
    account.end("OK")
    account.close()

    assert Tracing(TracerProvider(sampler=ALWAYS_OFF)).record(account, None) == ""


@pytest.mark.parametrize(
    "peer, expected",
    [
        ("ipv4:10.0.0.1:50", {"network.peer.address": "10.0.0.1", "network.peer.port": 50}),
        ("ipv6:%5B::1%5D:50", {"network.peer.address": "::1", "network.peer.port": 50}),
        ("unix:/run/x", {"network.peer.address": "unix:/run/x"}),
        ("unix:", {"network.peer.address": "unix:"}),
    ],
)
def test_the_address_of_a_peer(peer: str, expected: dict[str, Any]) -> None:
    assert tracing._peer(peer) == expected


@pytest.mark.parametrize(
    "environment, asked",
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(environment: dict[str, str], asked: bool) -> None:
    assert is_asked_for(environment) is asked


def test_an_unknown_exporter_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="zipkin.*otlp, console, none"):
        tracing_of({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_without_the_extra_the_server_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    assert tracing_of({}) is None
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: needs pip install 'compressor\[otel\]'"):
        tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317"})


def test_opentelemetry_is_not_imported_unless_a_variable_asks_for_it() -> None:
    command = "import sys, compressor.service.server; print(any('opentelemetry' in name for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.requests = list[Any]()

    def Export(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


def test_spans_are_exported_before_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    collector, listening = Collector(), grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    listening.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    with Running(fake_codec()) as running:
        compress(running.address)
    listening.stop(None)

    (resource,) = [spans for request in collector.requests for spans in request.resource_spans]
    names = [span.name for scope in resource.scope_spans for span in scope.spans]
    assert sorted(names) == sorted([CALL, "receive", "send"])
    (service,) = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
    assert service == "compressor"


@pytest.mark.serial
def test_a_collector_that_does_not_answer_delays_the_end_by_a_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with Running(fake_codec()) as running:
        compress(running.address)
        began = time.monotonic()

    assert time.monotonic() - began < tracing.FLUSH_SECONDS + 3
