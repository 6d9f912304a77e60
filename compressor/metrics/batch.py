"""The metrics of a batch run, which ends before anybody could scrape it: as a file, or pushed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway, write_to_textfile
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from compressor.errors import CompressorError
from compressor.metrics.service import NO_FORMAT, STAGES

LAST_SUCCESS = "compressor_batch_last_success_timestamp_seconds"
LAST_SUCCESS_TEXT = "Unix time of the end of the last run without failures, or with accepted ones alone."
TEXTFILE_BYTES_MAX = 1 << 16  # ours have a tenth of it
PUSH_SECONDS = 30.0
NO_REASON, OTHER_STAGE, FAILED = "none", "other", "failed"


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
    def memory_byte_seconds(self) -> float: ...
    @property
    def wall_seconds(self) -> float: ...
    @property
    def ended(self) -> float: ...
    @property
    def interrupted(self) -> bool: ...
    @property
    def succeeded(self) -> bool: ...
    @property
    def accepted_failures(self) -> Mapping[str, int]: ...


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
        text = "Memory, times how long it was held."
        yield _counter("memory_byte_seconds", text, (), {(): summary.memory_byte_seconds})
        yield _gauge("compressor_batch_duration_seconds", "How long the run took.", summary.wall_seconds)
        yield _gauge("compressor_batch_interrupted", "1 where it did not come to its end.", float(summary.interrupted))
        accepted: dict[tuple[str, ...], float] = {
            (str(total.reason) or NO_REASON,): float(summary.accepted_failures.get(total.reason, 0))
            for total in summary.totals
            if total.outcome == FAILED
        }
        yield _accepted(accepted)
        if summary.succeeded:
            yield _gauge(LAST_SUCCESS, LAST_SUCCESS_TEXT, summary.ended)


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(f"compressor_batch_{name}", text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _accepted(values: Mapping[tuple[str, ...], float]) -> Metric:
    text = "Failures of the run that are known and accepted, by reason; 0 where none of a reason are."
    family = GaugeMetricFamily("compressor_batch_accepted_failures", text, labels=("reason",))
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
