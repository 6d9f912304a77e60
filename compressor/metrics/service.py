"""The measurements of a server."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector

from compressor.metrics.registry import Reading, ServiceRegistry, memory_held
from compressor.settings import Outcome, Report, Source

# From a thumbnail to a hundred megapixels; a call may wait for its sender.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
SCORES = (30, 50, 60, 70, 75, 80, 85, 90, 95, 100)  # SSIMULACRA2: 50 medium quality, 70 high, 90 visually lossless
STAGES = ("decode", "encode", "verify", "score", "container")
OUTCOMES = ("compressed", "unchanged", "larger", "failed")
REASONS = ("limit", "busy", "disk", "unsupported", "deadline", "unauthenticated")  # for rejecting a call
NO_FORMAT = NO_PATH = "none"  # it failed before the format was recognized or the path chosen


class Metrics(ServiceRegistry):
    """The metrics of one server."""

    def __init__(self) -> None:
        super().__init__()
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace="compressor", registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, namespace="compressor", registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float] = SECONDS, *labels: str) -> Histogram:
            return Histogram(name, text, labels, namespace="compressor", registry=registry, buckets=buckets)

        self.requests = counter("requests_total", "Calls that ended, by gRPC status and path.", "code", "path")
        self.input_bytes = counter("input_bytes_total", "Bytes received, by the source's format.", "format")
        self.output_bytes = counter("output_bytes_total", "Bytes sent, by the result's format.", "format")
        # Their difference was saved. Failed, cancelled and inspected calls have input only, so they count in neither.
        text = "Bytes of the images whose complete result was delivered, by the source's format."
        self.delivered_input = counter("delivered_input_bytes_total", text, "format")
        text = "Bytes of those results, by the source's format."
        self.delivered_output = counter("delivered_output_bytes_total", text, "format")
        self.duration = histogram("request_duration_seconds", "From the start of a call to its end.")
        self.first_byte = histogram("time_to_first_byte_seconds", "From the start of a call to its first output.")
        text = "SSIMULACRA2 of the results whose score was measured, by their format."
        self.score = histogram("score", text, SCORES, "format")
        self.cpu = counter("cpu_seconds_total", "CPU time of all work, successful or not, by stage.", "stage")
        self.memory_budget = gauge("memory_budget_bytes", "Memory that all calls together may reserve.")
        self.memory_reserved = gauge("memory_reserved_bytes", "Memory that calls have reserved now.")
        self.spool_budget = gauge("spool_budget_bytes", "Bytes that all spools together may hold.")
        self.spooled = gauge("spool_bytes", "Bytes in spools now, in memory and in files.")
        self.spool_files = gauge("spool_files", "Files of spools that are open now.")
        self.in_progress = gauge("requests_in_progress", "Calls that have started and not ended.")
        self.rejected = counter(
            "requests_rejected_total",
            "Calls rejected without work, or given up since their deadline can't be met.",
            "reason",
        )
        self.outcomes = counter("outcomes_total", "Images to be compressed, by outcome.", "outcome")
        self.reloads = counter("config_reloads_total", "Files of certificates or tokens read again.", "outcome")
        for outcome in ("success", "failure"):
            self.reloads.labels(outcome)
        for stage in STAGES:
            self.cpu.labels(stage)
        for outcome in OUTCOMES:
            self.outcomes.labels(outcome)
        for reason in REASONS:  # from 0: a rate over a counter that begins at 1 misses the first
            self.rejected.labels(reason)
        self.requests.labels("INTERNAL", NO_PATH)

    def spent(self, stage_seconds: Mapping[str, float]) -> None:
        """Count the CPU time of a call's work, which has ended; called in any thread."""
        for stage, seconds in stage_seconds.items():
            self.cpu.labels(stage).inc(seconds)

    def refused(self) -> None:
        """Count a call that was rejected before it began, for want of a valid token."""
        self.requests.labels("UNAUTHENTICATED", NO_PATH).inc()
        self.rejected.labels("unauthenticated").inc()

    def reloaded(self, outcome: str) -> None:
        """Count files that were read again, or that could not be used; called in any thread."""
        self.reloads.labels(outcome).inc()

    def watch_certificate(self, expiry: Callable[[], float]) -> None:
        """Export at each scrape when the server's certificate ends, in seconds since 1970."""
        text = "When the first certificate of the server's chain expires."
        name = "tls_certificate_expiry_timestamp_seconds"
        Gauge(name, text, namespace="compressor", registry=self.registry).set_function(expiry)

    def watch_memory(
        self, budget_bytes: int, reserved_bytes: Callable[[], int], byte_seconds: Callable[[], float]
    ) -> None:
        """Export the memory budget, and at each scrape the memory reserved now and held over time."""
        self.memory_budget.set(budget_bytes)
        self.memory_reserved.set_function(lambda: float(reserved_bytes()))
        self.registry.register(memory_held(byte_seconds))

    def watch_spool(
        self,
        budget_bytes: int | None,
        spooled_bytes: Callable[[], int],
        files: Callable[[], int],
        errors: Callable[[], int],
    ) -> None:
        """Export the spool budget, and at each scrape the bytes and files of spools and the errors of their disk."""
        self.spool_budget.set(math.inf if budget_bytes is None else budget_bytes)
        self.spooled.set_function(lambda: float(spooled_bytes()))
        self.spool_files.set_function(lambda: float(files()))
        text = "Errors of the spool directory and its files, in calls and in probes."
        self.registry.register(Reading("compressor_spool_errors", text, lambda: float(errors())))


class Account:
    """Collects what one call does, from its start, and adds it to the metrics at its end."""

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
        """Count bytes of the result that are being sent."""
        if self._first_byte is None:
            self._first_byte = time.perf_counter() - self._started
        self._bytes_out += size

    def end(self, code: str, rejected: str | None = None) -> None:
        """End the call with the gRPC status `code`, unless it has another one already.

        rejected  the reason, if it was rejected without work
        """
        if self._code is None:
            self._code = code
            if rejected is not None:
                self._metrics.rejected.labels(rejected).inc()

    def count_outcome(self) -> None:
        """Count the outcome of an image that was to be compressed."""
        outcome = self.report.outcome.value if self.report else "failed"
        self._metrics.outcomes.labels(outcome).inc()

    def close(self) -> None:
        """Add everything to the metrics."""
        metrics, report = self._metrics, self.report
        metrics.in_progress.dec()
        metrics.requests.labels(self._code, report.path.value if report else NO_PATH).inc()
        metrics.input_bytes.labels(self.source.format if self.source else NO_FORMAT).inc(self.bytes_in)
        metrics.duration.observe(time.perf_counter() - self._started)
        if self._first_byte is not None:
            metrics.first_byte.observe(self._first_byte)
            metrics.output_bytes.labels(report.format if report else NO_FORMAT).inc(self._bytes_out)
        if self._code == "OK" and report is not None and self.source is not None:
            metrics.delivered_input.labels(self.source.format).inc(self.bytes_in)
            metrics.delivered_output.labels(self.source.format).inc(self._bytes_out)
            if report.score is not None and report.outcome is not Outcome.UNCHANGED:
                metrics.score.labels(report.format).observe(report.score)
