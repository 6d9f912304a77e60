"""Estimates of energy and carbon, computed at each scrape from what was measured until then.

Each bound is a metric of its own: with a label for it, sum() and avg() over the labels would mean nothing. The net has
no counter, since it may fall and counters may not; a recording rule computes it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

# (side, quantity, component): low, central, high. side: avoided, used; quantity: energy (joules), co2e (grams).
Amounts = Mapping[tuple[str, str, str], Iterable[float]]

BOUNDS = ("low", "central", "high")
SIDES = {"avoided": "avoided by the bytes saved", "used": "used to save them"}
UNITS = {"energy": "joules", "co2e": "grams"}


# A coefficient of the estimates: name, text, value, labels.
Factor = tuple[str, str, float, Mapping[str, str]]


class Estimates(Collector):
    """The estimated counters, their coefficients, and the sources of those.

    version  of the model
    amounts  returns the current values, which never fall
    info     labels of compressor_methodology_info
    """

    def __init__(
        self, version: str, amounts: Callable[[], Amounts], factors: Sequence[Factor], info: Mapping[str, str]
    ) -> None:
        self._version, self._amounts, self._factors, self._info = version, amounts, factors, info

    def collect(self) -> Iterator[Metric]:
        amounts = self._amounts()
        for side, what in SIDES.items():
            for quantity, unit in UNITS.items():
                found = {
                    one: dict(zip(BOUNDS, values, strict=True))
                    for (*of, one), values in amounts.items()
                    if of == [side, quantity]
                }
                for bound in BOUNDS:
                    name = f"compressor_estimated_{side}_{quantity}_{bound}_{unit}"
                    text = f"ESTIMATE, model {self._version}, not measured: {what}; {bound}."
                    family = CounterMetricFamily(name, text, labels=["component"])
                    for component, values in found.items():
                        family.add_metric([component], values[bound])
                    yield family
        yield from self._gauges()
        text = "The model of the estimates, and its configuration."
        yield InfoMetricFamily("compressor_methodology", text, dict(self._info))

    def _gauges(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, value, labels in self._factors:
            family = families.setdefault(name, GaugeMetricFamily(name, text, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()

    def describe(self) -> list[Metric]:
        """Return nothing at registration: `amounts` may not be ready yet."""
        return []
