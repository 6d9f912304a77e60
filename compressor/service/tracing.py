"""Traces in OpenTelemetry's form, if the standard variables OTEL_* ask for them. Nothing of it is imported otherwise.

A call is a span of kind SERVER, with spans for receiving, for each queue, for each stage of the work, and for sending.
All are made when the call has ended, from the times that its account has collected: nothing happens during a call, and
its spans are sampled and exported together.
"""

import importlib
import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from compressor.errors import SettingsError
from compressor.metrics import Account
from compressor.service.log_format import VALUE_CHARACTERS_MAX, bounded

SERVICE = "compressor.v1.CompressorService"
EXTRA = "pip install 'compressor[otel]'"
FLUSH_SECONDS = 2.0  # for the last spans to be exported when the server stops
QUEUE_SECONDS_MIN = 0.001  # a shorter wait has no span
# Statuses that are errors of a server, by the semantic conventions for gRPC; the others are its clients'.
SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Return whether the variables of OpenTelemetry name an exporter of traces, or where to export them to."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER")
    if exporter:
        return exporter != "none"
    return bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def tracing_of(environment: Mapping[str, str] = os.environ) -> "Tracing | None":
    """Return what makes traces; None if no variable asks for them. Raise SettingsError if they can't be made."""
    if not is_asked_for(environment):
        return None
    try:
        return Tracing(_provider(environment))
    except ImportError as error:
        name = "OTEL_TRACES_EXPORTER" if environment.get("OTEL_TRACES_EXPORTER") else "OTEL_EXPORTER_OTLP_ENDPOINT"
        raise SettingsError(name, f"needs {EXTRA} ({error}); OTEL_SDK_DISABLED=true disables traces") from None


def _provider(environment: Mapping[str, str]) -> Any:
    """Return a provider with the exporter that OTEL_TRACES_EXPORTER names. The SDK reads the other variables."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    is_named = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if is_named else {"service.name": "compressor"}))
    provider.add_span_processor(BatchSpanProcessor(_exporter(environment.get("OTEL_TRACES_EXPORTER") or "otlp")))
    return provider


def _exporter(name: str) -> Any:
    match name:
        case "otlp":
            module = importlib.import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
            return module.OTLPSpanExporter()
        case "console":
            from opentelemetry.sdk.trace.export import ConsoleSpanExporter

            return ConsoleSpanExporter()
    raise SettingsError("OTEL_TRACES_EXPORTER", f"is {name!r}, must be one of otlp, console, none")


class Tracing:
    """Makes the spans of calls.

    provider  of OpenTelemetry's SDK, which samples and exports them; closed by `close`
    """

    def __init__(self, provider: Any) -> None:
        from opentelemetry import propagate, trace
        from opentelemetry.trace import SpanKind, StatusCode

        self._provider, self._trace, self._propagate = provider, trace, propagate
        self._kind, self._error = SpanKind.SERVER, StatusCode.ERROR
        self._tracer = provider.get_tracer("compressor")

    def parent_of(self, metadata: Iterable[tuple[str, str | bytes]]) -> Any:
        """Return the context that the metadata of a call carry, by the propagators of OTEL_PROPAGATORS."""
        return self._propagate.extract({key: value for key, value in metadata if isinstance(value, str)})

    def record(self, account: Account, parent: Any) -> str:
        """Make the spans of a call that has ended. Return its trace-id, or "" if it is not sampled."""
        assert account.ended is not None
        name = f"{SERVICE}/{account.method}" if account.http is None else f"POST {account.http[0]}"
        call = self._tracer.start_span(name, parent, self._kind, _attributes(account), start_time=account.started_ns)
        if call.is_recording():
            inside = self._trace.set_span_in_context(call, parent)
            for name, begin, end, attributes in _parts(account):
                part = self._tracer.start_span(name, inside, attributes=attributes, start_time=_unix_ns(account, begin))
                part.end(_unix_ns(account, end))
            if account.code in SERVER_ERRORS:
                call.set_status(self._error)
        call.end(_unix_ns(account, account.ended))
        found = call.get_span_context()
        return self._trace.format_trace_id(found.trace_id) if found.trace_flags.sampled else ""

    def close(self) -> None:
        """Export the last spans, for at most FLUSH_SECONDS: by itself the SDK waits until its exporter gives up, which
        takes 8 s if nobody listens at its address."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(FLUSH_SECONDS)


def _unix_ns(account: Account, moment: float) -> int:
    """Return a time of time.monotonic() in nanoseconds of Unix time."""
    return account.started_ns + int((moment - account.started) * 1e9)


def _attributes(account: Account) -> dict[str, str | int | float]:
    """Return the attributes of a call: those of the semantic conventions for RPC or HTTP, and ours."""
    found: dict[str, str | int | float] = {
        **_protocol(account),
        **_peer(account.peer),
        "compressor.request_id": account.request_id,
        "compressor.bytes_in": account.bytes_in,
        "compressor.bytes_out": account.bytes_out,
    }
    if account.tenant is not None:
        found["compressor.tenant"] = account.tenant
    if account.reason:
        found["compressor.reason"] = account.reason
    if account.source is not None:
        found["compressor.format"] = account.source.format
        found["compressor.pixels"] = account.source.width * account.source.height
        found["compressor.reserved_bytes"] = account.source.reserved_bytes
    if account.report is not None:
        found["compressor.outcome"] = account.report.outcome.value
        found["compressor.result_format"] = account.report.format
    return found


def _protocol(account: Account) -> dict[str, str | int | float]:
    """Return the attributes of a call of gRPC, or of a request over HTTP."""
    if account.http is None:
        method = f"{SERVICE}/{account.method}"
        return {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": account.code or ""}
    path, status = account.http
    found: dict[str, str | int | float] = {"http.request.method": "POST", "http.route": path, "url.path": path}
    return found | ({"http.response.status_code": status} if status else {})


def _peer(peer: str) -> dict[str, str | int | float]:
    """Return the attributes of a peer as gRPC writes it: ipv4:HOST:PORT, ipv6:%5BHOST%5D:PORT, or another form."""
    host, _, port = unquote(peer.partition(":")[2]).rpartition(":")
    if not port.isdecimal():
        return {"network.peer.address": bounded(peer, VALUE_CHARACTERS_MAX)}
    return {"network.peer.address": bounded(host.strip("[]"), VALUE_CHARACTERS_MAX), "network.peer.port": int(port)}


def _parts(account: Account) -> Iterable[tuple[str, float, float, dict[str, str | float]]]:
    """Yield name, begin, end and attributes of the spans within a call."""
    times = account.times
    if account.last_received is not None:
        yield "receive", account.started, account.last_received, {}
    for resource, (begin, end) in times.queue_intervals.items():
        if end - begin >= QUEUE_SECONDS_MIN:
            waited = times.waited_seconds.get(resource, end - begin)
            yield "queue", begin, end, {"compressor.resource": resource, "compressor.waited_seconds": waited}
    for stage, (begin, end) in times.stage_intervals.items():
        yield stage, begin, end, {"compressor.cpu_seconds": times.stage_seconds.get(stage, 0.0)}
    if account.first_byte is not None and account.ended is not None:
        yield "send", account.first_byte, account.ended, {"compressor.waited_seconds": account.send_seconds}
