"""The metrics of the exporter: what its state has accrued at the time of a scrape."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from compressor.metrics.estimates import Amounts, Estimates, Factor

# by name in the state: text, labels
COUNTERS = {
    "avoided_storage_byte_seconds": ("Bytes that are no longer stored × time, credited.", ["storage_class"]),
    "added_storage_byte_seconds": ("Bytes of results stored in addition to their originals × time.", ["storage_class"]),
    "avoided_egress_bytes": ("Bytes that were not sent, by access network; from feeds.", ["access"]),
    "ledger_cpu_seconds": ("CPU time of all work recorded in ledgers.", []),
    "ledger_memory_byte_seconds": ("Memory held for that work × time.", []),
    "feed_events": ("Lines of feeds, by event and result.", ["event", "result"]),
}


class ExporterReadings(Protocol):
    """The values of a scrape; counters by name and labels joined by commas."""

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
    def oldest_read_timestamp(self) -> float: ...


class ExporterMetrics(Collector):
    """The exporter's metrics, in a registry of their own. `readings` is called once for each scrape."""

    def __init__(self, readings: Callable[[], ExporterReadings]) -> None:
        self._readings = readings
        self._latest: ExporterReadings | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.wsgi: Callable[..., Iterable[bytes]] = make_wsgi_app(self._registry)  # answers scrapes

    def estimate(self, version: str, factors: Sequence[Factor], info: Mapping[str, str]) -> None:
        """Export the estimates, too: those of the readings that this collector has just taken."""
        self._registry.register(
            Estimates(version, lambda: {} if self._latest is None else self._latest.amounts, factors, info)
        )

    def collect(self) -> Iterator[Metric]:
        found = self._latest = self._readings()
        for name, (text, labels) in COUNTERS.items():
            family = CounterMetricFamily(f"compressor_{name}", text, labels=labels)
            for (counter, values), amount in found.counters.items():
                if counter == name:
                    family.add_metric(values.split(",") if labels else [], amount)
            yield family
        for name, text, value in (
            ("ledger_saved_bytes", "Bytes that are credited as no longer stored, now.", found.saved_bytes),
            ("ledger_expired_bytes", "Bytes whose credit expired without a confirmation.", found.expired_bytes),
            ("ledger_result_bytes", "Bytes of results that are stored now.", found.result_bytes),
            (
                "oldest_ledger_read_timestamp_seconds",
                "Unix time when the ledger that was not read for the longest time was last read; 0: never.",
                found.oldest_read_timestamp,
            ),
        ):
            yield GaugeMetricFamily(f"compressor_{name}", text, float(value))

    def describe(self) -> list[Metric]:
        """Return nothing at registration, which is not a scrape."""
        return []
