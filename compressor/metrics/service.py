"""The measurements of a server."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector

from compressor.metrics.registry import Reading, ServiceRegistry, memory_held
from compressor.settings import Outcome, Report, Source
from compressor.work_times import WorkTimes

# From a thumbnail to a hundred megapixels; a call may wait for its sender.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
WAIT_SECONDS = (0.001, 0.0025, *SECONDS)
SCORES = (30, 50, 60, 70, 75, 80, 85, 90, 95, 100)  # SSIMULACRA2: 50 medium quality, 70 high, 90 visually lossless
STAGES = ("decode", "encode", "verify", "score", "container")
OUTCOMES = ("compressed", "unchanged", "larger", "failed")
REASONS = ("limit", "busy", "disk", "unsupported", "deadline", "unauthenticated")  # for rejecting a call
RESOURCES = ("memory", "cores")  # that calls wait for in a queue
DEFAULT_REASONS = {"CANCELLED": "canceled", "DEADLINE_EXCEEDED": "deadline", "UNAUTHENTICATED": "unauthenticated"}
UNDELIVERED = "undelivered"
TENANTS_MAX = 64  # names in metrics, in each process
OTHER_TENANTS = "other"
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

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace="compressor", registry=registry)

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
        self.queue_depth = gauge("queue_depth", "Requests that wait for memory, threads for a core.", "resource")
        text = "Time that a call waited for memory, and for cores in all; of calls whose work began."
        self.queue_wait = histogram("queue_wait_seconds", text, WAIT_SECONDS, "resource")
        text = "Messages that gRPC gave up receiving: too large, or of a call that was canceled in the middle of one."
        self.undelivered = counter("undelivered_messages_total", text)
        self.tenant_requests = counter("tenant_requests_total", "Calls that ended, by tenant.", "tenant", "code")
        self.tenant_input_bytes = counter("tenant_input_bytes_total", "Bytes received, by tenant.", "tenant")
        self.tenant_output_bytes = counter("tenant_output_bytes_total", "Bytes sent, by tenant.", "tenant")
        self._tenants = set[str]()
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Export every known label from the start: a rate over a counter that begins at 1 misses the first."""
        for outcome in ("success", "failure"):
            self.reloads.labels(outcome)
        for resource in RESOURCES:
            self.queue_depth.labels(resource)
            self.queue_wait.labels(resource)
        for stage in STAGES:
            self.cpu.labels(stage)
        for outcome in OUTCOMES:
            self.outcomes.labels(outcome)
        for reason in REASONS:
            self.rejected.labels(reason)
        self.requests.labels("INTERNAL", NO_PATH)

    def spent(self, stage_seconds: Mapping[str, float]) -> None:
        """Count the CPU time of a call's work, which has ended; called in any thread."""
        for stage, seconds in stage_seconds.items():
            self.cpu.labels(stage).inc(seconds)

    def waited(self, seconds: Mapping[str, float]) -> None:
        """Count how long a call waited, by resource; called in any thread."""
        for resource, waited in seconds.items():
            self.queue_wait.labels(resource).observe(waited)

    def count_tenant(self, tenant: str, code: str, bytes_in: int, bytes_out: int) -> None:
        """Count a call of a tenant. Tenants after the first TENANTS_MAX are counted together, as "other"."""
        if tenant not in self._tenants:
            if len(self._tenants) < TENANTS_MAX:
                self._tenants.add(tenant)
            else:
                tenant = OTHER_TENANTS
        self.tenant_requests.labels(tenant, code).inc()
        self.tenant_input_bytes.labels(tenant).inc(bytes_in)
        self.tenant_output_bytes.labels(tenant).inc(bytes_out)

    def watch_queues(self, depths: Mapping[str, Callable[[], int]]) -> None:
        """Export at each scrape how many wait for each resource."""
        for resource, depth in depths.items():
            self.queue_depth.labels(resource).set_function(depth)

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
    """Collects what one call does, from its start, and adds it to the metrics at its end.

    started      of time.monotonic(), which all times here are of; `started_ns` is the same in Unix time
    method       name of the RPC
    request_id   by which the client, its proxies and we know the call
    peer         address of the client, as its transport gives it
    tenant       to whom the token of the call belongs; None if there are no tenants
    code         gRPC status, once the call has one
    reason       why it has another status than OK: one word
    http         path and status of the response, 0 for none, of a request over HTTP; None: a call of gRPC
    is_delivered  the result is sent, and not only the report
    undelivered  gRPC gave up receiving a message: it was too large, or the call was canceled in the middle of it
    """

    def __init__(
        self, metrics: Metrics, method: str = "", request_id: str = "", peer: str = "", tenant: str | None = None
    ) -> None:
        self._metrics = metrics
        self.started, self.started_ns = time.monotonic(), time.time_ns()
        self.method, self.request_id, self.peer, self.tenant = method, request_id, peer, tenant
        self.source: Source | None = None
        self.report: Report | None = None
        self.times = WorkTimes()
        self.bytes_in = self.bytes_out = 0
        self.first_byte: float | None = None
        self.last_received: float | None = None
        self.send_seconds = 0.0  # that the transport took to accept the responses
        self.ended: float | None = None
        self.code: str | None = None
        self.reason = ""
        self.undelivered = False
        self.is_delivered = True
        self.http: tuple[str, int] | None = None
        self._writing: float | None = None
        metrics.in_progress.inc()

    @property
    def outcome(self) -> str:
        """Return the outcome of an image that was to be compressed."""
        return self.report.outcome.value if self.report else "failed"

    def received(self, size: int) -> None:
        """Count a message with `size` bytes of the image."""
        self.bytes_in += size
        self.last_received = time.monotonic()

    def sent(self, size: int) -> None:
        """Count bytes of the result that are being sent."""
        if self.first_byte is None:
            self.first_byte = time.monotonic()
        self.bytes_out += size

    def begin_write(self) -> None:
        """Begin to wait for the transport to accept a response."""
        self._writing = time.monotonic()

    def end_write(self) -> None:
        """End that wait."""
        if self._writing is not None:
            self.send_seconds += time.monotonic() - self._writing
            self._writing = None

    def worked(self, times: WorkTimes) -> None:
        """Count the work, which has ended; called in any thread, also after the end of a call that was canceled."""
        self.times = times
        self._metrics.spent(times.stage_seconds)
        self._metrics.waited(times.waited_seconds)

    def end(self, code: str, rejected: str | None = None, reason: str = "") -> None:
        """End the call with the gRPC status `code`, unless it has another one already.

        rejected  the reason, if it was rejected without work
        reason    why the status is not OK; the default follows from the other two
        """
        if self.code is None:
            self.code = code
            self.reason = rejected or reason or DEFAULT_REASONS.get(code, "")
            if rejected is not None:
                self._metrics.rejected.labels(rejected).inc()

    def lose_client(self) -> None:
        """Forget that the upload was cut off: its client has canceled the call or is gone, which looks alike."""
        if self.code == "DATA_LOSS":
            self.code, self.reason = None, ""

    def count_outcome(self) -> None:
        """Count the outcome of an image that was to be compressed."""
        self._metrics.outcomes.labels(self.outcome).inc()

    def close(self) -> None:
        """Add everything to the metrics."""
        metrics, report = self._metrics, self.report
        self.end_write()
        self.ended = time.monotonic()
        metrics.in_progress.dec()
        if self.undelivered and self.code != "OK":
            self.reason = UNDELIVERED
            metrics.undelivered.inc()
        metrics.requests.labels(self.code, report.path.value if report else NO_PATH).inc()
        metrics.input_bytes.labels(self.source.format if self.source else NO_FORMAT).inc(self.bytes_in)
        metrics.duration.observe(self.ended - self.started)
        if self.first_byte is not None:
            metrics.first_byte.observe(self.first_byte - self.started)
            metrics.output_bytes.labels(report.format if report else NO_FORMAT).inc(self.bytes_out)
        if self.code == "OK" and self.is_delivered and report is not None and self.source is not None:
            metrics.delivered_input.labels(self.source.format).inc(self.bytes_in)
            metrics.delivered_output.labels(self.source.format).inc(self.bytes_out)
            if report.score is not None and report.outcome is not Outcome.UNCHANGED:
                metrics.score.labels(report.format).observe(report.score)
        if self.tenant is not None:
            metrics.count_tenant(self.tenant, str(self.code), self.bytes_in, self.bytes_out)
