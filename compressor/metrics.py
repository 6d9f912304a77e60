"""Every metric in one place, and the only door to prometheus_client (DESIGN section 6: measured drivers)."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
    pushadd_to_gateway,
    write_to_textfile,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from compressor.errors import CompressorError
from compressor.settings import Report, Source

# From a thumbnail to a hundred megapixels; a call may well wait for its sender.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
STAGES = ("decode", "encode", "verify", "container")
OUTCOMES = ("compressed", "unchanged", "larger", "failed")
NO_FORMAT = NO_PATH = "none"  # it failed before one was recognised or chosen


class Metrics:
    """The metrics of one server, in a registry of its own: two servers in one process do not mix."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.wsgi: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)  # what answers a scrape
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace="compressor", registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, namespace="compressor", registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(name, text, namespace="compressor", registry=registry, buckets=SECONDS)

        self.requests = counter("requests_total", "Calls that ended, by gRPC status and path.", "code", "path")
        self.input_bytes = counter("input_bytes_total", "Bytes received, by the source's format.", "format")
        self.output_bytes = counter("output_bytes_total", "Bytes given out, by the result's format.", "format")
        self.duration = histogram("request_duration_seconds", "From the start of a call to its end.")
        self.first_byte = histogram("time_to_first_byte_seconds", "From the start of a call to its first output.")
        self.cpu = counter("cpu_seconds_total", "CPU time of all work, whatever came of it, by stage.", "stage")
        self.memory_budget = gauge("memory_budget_bytes", "What all calls together may reserve.")
        self.memory_reserved = gauge("memory_reserved_bytes", "What is reserved by calls right now.")
        self.in_progress = gauge("requests_in_progress", "Calls that began and did not end.")
        self.rejected = counter("requests_rejected_total", "Calls turned away without work.", "reason")
        self.outcomes = counter("outcomes_total", "Images that were to be compressed, by what came of it.", "outcome")
        for stage in STAGES:
            self.cpu.labels(stage)
        for outcome in OUTCOMES:
            self.outcomes.labels(outcome)

    def spent(self, stage_seconds: Mapping[str, float]) -> None:
        """CPU time of a call's work, which has ended; from any thread."""
        for stage, seconds in stage_seconds.items():
            self.cpu.labels(stage).inc(seconds)

    def refused(self) -> None:
        """A call was turned away before it began: it showed no token that we know."""
        self.requests.labels("UNAUTHENTICATED", NO_PATH).inc()
        self.rejected.labels("unauthenticated").inc()

    def watch_memory(self, budget_bytes: int, reserved_bytes: Callable[[], int]) -> None:
        """Read the byte budget whenever somebody scrapes."""
        self.memory_budget.set(budget_bytes)
        self.memory_reserved.set_function(lambda: float(reserved_bytes()))


class Account:
    """What one call did. Made when it begins, added up when it ends."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.perf_counter()
        self._first_byte: float | None = None
        self.source: Source | None = None
        self.report: Report | None = None
        self.bytes_in = 0
        self._bytes_out = 0
        self._code: str | None = None
        metrics.in_progress.inc()

    def sent(self, size: int) -> None:
        """Some bytes of the result are leaving."""
        if self._first_byte is None:
            self._first_byte = time.perf_counter() - self._started
        self._bytes_out += size

    def end(self, code: str, rejected: str | None = None) -> None:
        """The call ends with the gRPC status `code`, unless another was named before.

        rejected  why it was turned away without work, if it was
        """
        if self._code is None:
            self._code = code
            if rejected is not None:
                self._metrics.rejected.labels(rejected).inc()

    def count_outcome(self) -> None:
        """Count what came of an image that was to be compressed."""
        outcome = self.report.outcome.value if self.report else "failed"
        self._metrics.outcomes.labels(outcome).inc()

    def close(self) -> None:
        """Add everything up."""
        metrics, report = self._metrics, self.report
        metrics.in_progress.dec()
        metrics.requests.labels(self._code, report.path.value if report else NO_PATH).inc()
        metrics.input_bytes.labels(self.source.format if self.source else NO_FORMAT).inc(self.bytes_in)
        metrics.duration.observe(time.perf_counter() - self._started)
        if self._first_byte is not None:
            metrics.first_byte.observe(self._first_byte)
            metrics.output_bytes.labels(report.format if report else NO_FORMAT).inc(self._bytes_out)


# --- of a batch run, which ends before anybody could scrape it ----------------------------------------------------

LAST_SUCCESS = "compressor_batch_last_success_timestamp_seconds"
LAST_SUCCESS_TEXT = "Unix time of the end of the last run without failures."
TEXTFILE_BYTES_MAX = 1 << 16  # ours have a tenth of it
PUSH_SECONDS = 30.0
NO_REASON, OTHER_STAGE = "none", "other"


class BatchTotal(Protocol):
    """Objects of which the same became, as batch.summary has them."""

    @property
    def outcome(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def objects(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def saved_bytes(self) -> int: ...


class BatchSummary(Protocol):
    """What a run has done, as batch.summary has it."""

    @property
    def totals(self) -> Sequence[BatchTotal]: ...
    @property
    def stage_seconds(self) -> Mapping[str, float]: ...
    @property
    def other_seconds(self) -> float: ...
    @property
    def wall_seconds(self) -> float: ...
    @property
    def ended(self) -> float: ...
    @property
    def interrupted(self) -> bool: ...
    @property
    def failed(self) -> int: ...


class _Batch(Collector):
    """The metrics of one run; families made by hand, since it is over and nothing will be counted any more."""

    def __init__(self, summary: BatchSummary) -> None:
        self._summary = summary

    def collect(self) -> Iterator[Metric]:
        summary = self._summary
        objects: dict[tuple[str, ...], float] = {}
        bytes_in: dict[tuple[str, ...], float] = {}
        bytes_out: dict[tuple[str, ...], float] = {}
        for total in summary.totals:
            fate, format = (str(total.outcome), str(total.reason) or NO_REASON), (total.format or NO_FORMAT,)
            objects[fate] = objects.get(fate, 0) + total.objects
            bytes_in[format] = bytes_in.get(format, 0) + total.bytes_in
            bytes_out[format] = bytes_out.get(format, 0) + total.bytes_in - total.saved_bytes
        stages: dict[tuple[str, ...], float] = {(stage,): 0.0 for stage in STAGES}
        stages |= {(stage,): seconds for stage, seconds in summary.stage_seconds.items()}
        stages[(OTHER_STAGE,)] = summary.other_seconds
        yield _counter("objects", "Objects of the run, by what became of them.", ("outcome", "reason"), objects)
        yield _counter("input_bytes", "Bytes of the objects, by the source's format.", ("format",), bytes_in)
        yield _counter("output_bytes", "Their bytes afterwards, by the source's format.", ("format",), bytes_out)
        yield _counter("cpu_seconds", "CPU time of all work, by stage.", ("stage",), stages)
        yield _gauge("compressor_batch_duration_seconds", "How long the run took.", summary.wall_seconds)
        yield _gauge("compressor_batch_interrupted", "1 where it did not come to its end.", float(summary.interrupted))
        if not summary.failed and not summary.interrupted:
            yield _gauge(LAST_SUCCESS, LAST_SUCCESS_TEXT, summary.ended)


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(f"compressor_batch_{name}", text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def batch_metrics(summary: BatchSummary) -> CollectorRegistry:
    """The metrics of a run that has ended, in a registry of their own."""
    registry = CollectorRegistry()
    registry.register(_Batch(summary))
    return registry


def write_textfile(registry: CollectorRegistry, path: Path) -> None:
    """Write them for node_exporter's textfile collector; the file appears when it is complete.

    The last success of the file that is replaced stays where this run was none, or nobody could ask how old it is.
    """
    if registry.get_sample_value(LAST_SUCCESS) is None and (last := _last_success(path)) is not None:
        Gauge(LAST_SUCCESS, LAST_SUCCESS_TEXT, registry=registry).set(last)
    write_to_textfile(str(path), registry)


def _last_success(path: Path) -> float | None:
    try:
        with path.open("rb") as file:
            text = file.read(TEXTFILE_BYTES_MAX).decode()
        families = list(text_string_to_metric_families(text))
    except (OSError, ValueError):  # none yet, or not one of ours
        return None
    return next((sample.value for family in families for sample in family.samples if sample.name == LAST_SUCCESS), None)


def push(registry: CollectorRegistry, url: str, job: str = "compressor_batch") -> None:
    """Push them to a Pushgateway; a last success that is there stays where this run was none.

    url  HOST:PORT or http://HOST:PORT
    job  the group that they replace there, metric by metric
    """
    try:
        pushadd_to_gateway(url, job, registry, timeout=PUSH_SECONDS)
    except (OSError, ValueError) as error:
        raise CompressorError(f"{url}: metrics were not taken: {getattr(error, 'reason', None) or error}") from None
