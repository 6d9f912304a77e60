"""The metrics of several processes as those of one service.

`prometheus_client` has a mode for several processes, but it does not support collectors of one's own.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from compressor.metrics.registry import ServiceRegistry, memory_held

Samples = list[tuple[str, dict[str, str], float]]  # names, labels and values
Families = list[tuple[str, str, str, Samples]]  # names, texts, types and samples, as JSON can carry them

# Values that are the same in every process, or that describe the first one. Of all others, sums are exported.
LOWEST = {
    "compressor_memory_budget_bytes",
    "compressor_spool_budget_bytes",
    "compressor_tls_certificate_expiry_timestamp_seconds",
    "process_start_time_seconds",
    "process_max_fds",
    "python_info",
}
NEVER_FALL = {"counter", "histogram"}


def families_of(registry: CollectorRegistry) -> Families:
    """Return the present values of a registry."""
    return [
        (metric.name, metric.documentation, metric.type, [(one.name, one.labels, one.value) for one in metric.samples])
        for metric in registry.collect()
    ]


def merge(processes: Iterable[Families]) -> Families:
    """Add up the metrics of several processes, or of those that have ended and those that replaced them."""
    families: dict[str, tuple[str, str]] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for process in processes:
        for name, text, kind, samples in process:
            families.setdefault(name, (text, kind))
            found = values.setdefault(name, {})
            for sample, labels, value in samples:
                key = sample, tuple(labels.items())
                if key not in found:
                    found[key] = value
                elif name in LOWEST or sample.endswith("_created"):
                    found[key] = min(found[key], value)
                else:
                    found[key] += value
    return [
        (name, text, kind, [(sample, dict(labels), value) for (sample, labels), value in values[name].items()])
        for name, (text, kind) in families.items()
    ]


def counted(families: Families) -> Families:
    """Return what stays counted when its process ends."""
    return [family for family in families if family[2] in NEVER_FALL]


class MergedMetrics(ServiceRegistry, Collector):
    """The metrics of a service whose calls are in other processes.

    processes     called at each scrape: returns the metrics of each of these processes, present or ended
    byte_seconds  memory of this process, times how long it was held
    """

    def __init__(self, processes: Callable[[], Iterable[Families]], byte_seconds: Callable[[], float]) -> None:
        super().__init__()
        self._processes = processes
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        PlatformCollector(registry=self._own)
        GCCollector(registry=self._own)
        self._own.register(memory_held(byte_seconds))
        self._latest: Families = []
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield what the processes and this one have measured together."""
        self._latest = merge([*self._processes(), families_of(self._own)])
        for name, text, kind, samples in self._latest:
            family = Metric(name, text, kind)
            for sample, labels, value in samples:
                family.add_sample(sample, labels, value)
            yield family

    def latest(self, name: str) -> float:
        """Return the sum of a counter at the present scrape."""
        return sum(
            value
            for family, _, _, samples in self._latest
            if family == name
            for sample, _, value in samples
            if sample == f"{name}_total"
        )

    def describe(self) -> list[Metric]:
        """Return nothing at registration, which is not a scrape."""
        return []
