"""The registry of a service, with metrics that are read from elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from compressor.metrics.estimates import Estimates


class ServiceRegistry:
    """A registry of its own: two servers in one process do not mix. `wsgi` answers scrapes."""

    def __init__(self) -> None:
        # Readings and merged metrics are known only at a scrape; `/metrics?name[]=…` selects from them as well.
        self.registry = CollectorRegistry(support_collectors_without_names=True)
        self.wsgi: Callable[..., Iterable[bytes]] = make_wsgi_app(self.registry)

    def watch_energy(self, joules: Callable[[], float]) -> None:
        """Export at each scrape the energy that the processor counts."""
        text = "Energy counted by the processor, of the whole machine, for comparison with the model."
        self.registry.register(Reading("compressor_cpu_energy_joules", text, joules, {"source": "rapl"}))

    def estimate(self, estimates: Estimates, reserved_vcpus: float | None) -> None:
        """Export estimates, and the vCPUs that are reserved for the service."""
        self.registry.register(estimates)
        if reserved_vcpus is not None:
            text = "vCPUs reserved for the service, as configured."
            Gauge("reserved_vcpus", text, namespace="compressor", registry=self.registry).set(reserved_vcpus)


class Reading(Collector):
    """A counter that is read from elsewhere."""

    def __init__(
        self, name: str, text: str, read: Callable[[], float], labels: Mapping[str, str] | None = None
    ) -> None:
        self._name, self._text, self._read, self._labels = name, text, read, labels or {}

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), self._read())
        yield family


def memory_held(byte_seconds: Callable[[], float]) -> Reading:
    """Return the counter of memory times the time that it was held."""
    text = "Memory of the process, idle and for calls, times how long it was held."
    return Reading("compressor_memory_byte_seconds", text, byte_seconds)
