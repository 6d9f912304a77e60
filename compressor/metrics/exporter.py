"""The metrics of the exporter: what was accrued, as its state has it when somebody scrapes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from compressor.metrics.estimates import Amounts, Estimates, Factor

# name in the state: text, labels
COUNTERS = {
    "avoided_storage_byte_seconds": ("Bytes that are no longer stored × time, credited.", ["storage_class"]),
    "added_storage_byte_seconds": ("Results stored beside their originals × time.", ["storage_class"]),
    "avoided_egress_bytes": ("Bytes that were not sent, by what came over it; from feeds.", ["access"]),
    "ledger_cpu_seconds": ("CPU time of all work that ledgers tell of.", []),
    "ledger_memory_byte_seconds": ("Memory held for that work × time.", []),
    "feed_events": ("Lines of feeds, by event and what came of them.", ["event", "result"]),
}


class ExporterReadings(Protocol):
    """What is true at a scrape: counters by name and labels joined by commas."""

    @property
    def counters(self) -> Mapping[tuple[str, str], float]: ...
    @property
    def amounts(self) -> Amounts: ...
    @property
    def saved_bytes(self) -> int: ...
    @property
    def expired_bytes(self) -> int: ...
    @property
    def result_bytes(self) -> int: ...
    @property
    def read_timestamp(self) -> float: ...


class ExporterMetrics(Collector):
    """A registry of its own. `readings` is asked once for each scrape."""

    def __init__(self, readings: Callable[[], ExporterReadings]) -> None:
        self._readings = readings
        self._latest: ExporterReadings | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.wsgi: Callable[..., Iterable[bytes]] = make_wsgi_app(self._registry)  # what answers a scrape

    def estimate(self, version: str, factors: Sequence[Factor], info: Mapping[str, str]) -> None:
        """Export the estimates, too: those of the moment when this was last asked, just before."""
        self._registry.register(
            Estimates(version, lambda: {} if self._latest is None else self._latest.amounts, factors, info)
        )

    def collect(self) -> Iterator[Metric]:
        found = self._latest = self._readings()
        for name, (text, labels) in COUNTERS.items():
            family = CounterMetricFamily(f"compressor_{name}", text, labels=labels)
            for (of, values), amount in found.counters.items():
                if of == name:
                    family.add_metric(values.split(",") if labels else [], amount)
            yield family
        for name, text, value in (
            ("ledger_saved_bytes", "Bytes that are credited as not stored right now.", found.saved_bytes),
            ("ledger_expired_bytes", "Bytes whose credit ended for want of a confirmation.", found.expired_bytes),
            ("ledger_result_bytes", "Bytes of results that are stored right now.", found.result_bytes),
            (
                "oldest_ledger_read_timestamp_seconds",
                "Unix time when the ledger that waits for longest was read; 0: never.",
                found.read_timestamp,
            ),
        ):
            yield GaugeMetricFamily(f"compressor_{name}", text, float(value))

    def describe(self) -> list[Metric]:
        """Nothing at registration: that is no scrape."""
        return []
