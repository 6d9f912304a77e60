"""The metrics of a batch run, which ends before it could be scraped: written to a file, or pushed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway, write_to_textfile
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from compressor.errors import CompressorError
from compressor.metrics.service import NO_FORMAT, SCORES, STAGES

LAST_SUCCESS = "compressor_batch_last_success_timestamp_seconds"
LAST_SUCCESS_TEXT = "Unix time of the end of the last run without failures other than accepted ones."
TEXTFILE_BYTES_MAX = 1 << 16  # ten times a usual file
PUSH_SECONDS = 30.0
NO_REASON, OTHER_STAGE, FAILED = "none", "other", "failed"


class BatchTotal(Protocol):
    """Objects with the same outcome, as in report.summary."""

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


class BatchScores(Protocol):
    """The scores of a run's results, as in report.scores."""

    def histogram(self, bounds: Sequence[float]) -> Mapping[str, tuple[Sequence[int], float]]: ...


class BatchSummary(Protocol):
    """The result of a run, as in report.summary."""

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
    def scores(self) -> BatchScores | None: ...
    @property
    def accepted_failures(self) -> Mapping[str, int]: ...


class _Batch(Collector):
    """The metrics of one run, built by hand, since it has ended and nothing will be counted any more."""

    def __init__(self, summary: BatchSummary) -> None:
        self._summary = summary

    def collect(self) -> Iterator[Metric]:
        summary = self._summary
        objects: dict[tuple[str, ...], float] = {}
        bytes_in: dict[tuple[str, ...], float] = {}
        bytes_out: dict[tuple[str, ...], float] = {}
        for total in summary.totals:
            result, format = (str(total.outcome), str(total.reason) or NO_REASON), (total.format or NO_FORMAT,)
            objects[result] = objects.get(result, 0) + total.objects
            bytes_in[format] = bytes_in.get(format, 0) + total.bytes_in
            bytes_out[format] = bytes_out.get(format, 0) + total.bytes_in - total.saved_bytes
        stages: dict[tuple[str, ...], float] = {(stage,): 0.0 for stage in STAGES}
        stages |= {(stage,): seconds for stage, seconds in summary.stage_seconds.items()}
        stages[(OTHER_STAGE,)] = summary.other_seconds
        yield _counter("objects", "Objects of the run, by outcome and reason.", ("outcome", "reason"), objects)
        text = "Bytes of the objects before the run, by the source's format."
        yield _counter("input_bytes", text, ("format",), bytes_in)
        text = "Bytes of the objects after the run, by the source's format."
        yield _counter("output_bytes", text, ("format",), bytes_out)
        yield _counter("cpu_seconds", "CPU time of all work, by stage.", ("stage",), stages)
        text = "Memory, times how long it was held."
        yield _counter("memory_byte_seconds", text, (), {(): summary.memory_byte_seconds})
        yield _gauge("compressor_batch_duration_seconds", "Duration of the run.", summary.wall_seconds)
        yield _gauge("compressor_batch_interrupted", "1 if the run was interrupted.", float(summary.interrupted))
        accepted: dict[tuple[str, ...], float] = {
            (str(total.reason) or NO_REASON,): float(summary.accepted_failures.get(total.reason, 0))
            for total in summary.totals
            if total.outcome == FAILED
        }
        yield _accepted(accepted)
        yield _scores(summary.scores)
        if summary.succeeded:
            yield _gauge(LAST_SUCCESS, LAST_SUCCESS_TEXT, summary.ended)


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(f"compressor_batch_{name}", text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _accepted(values: Mapping[tuple[str, ...], float]) -> Metric:
    text = "Failures of the run that are known and accepted, by reason."
    family = GaugeMetricFamily("compressor_batch_accepted_failures", text, labels=("reason",))
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _scores(scores: BatchScores | None) -> Metric:
    text = "SSIMULACRA2 of the compressed objects whose score was measured, by format."
    family = HistogramMetricFamily("compressor_batch_score", text, labels=("format",))
    for format, (counts, total) in ({} if scores is None else scores.histogram(SCORES)).items():
        buckets = [(f"{float(bound)}", float(count)) for bound, count in zip(SCORES, counts, strict=True)]
        family.add_metric((format,), [*buckets, ("+Inf", buckets[-1][1])], total)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def batch_metrics(summary: BatchSummary) -> CollectorRegistry:
    """Return the metrics of a run that has ended, in a registry of their own."""
    registry = CollectorRegistry()
    registry.register(_Batch(summary))
    return registry


def write_textfile(registry: CollectorRegistry, path: Path) -> None:
    """Write metrics for node_exporter's textfile collector; the file appears once it is complete.

    After an unsuccessful run the last success in the old file is kept, so that its age can still be queried.
    """
    if registry.get_sample_value(LAST_SUCCESS) is None and (last := _last_success(path)) is not None:
        Gauge(LAST_SUCCESS, LAST_SUCCESS_TEXT, registry=registry).set(last)
    write_to_textfile(str(path), registry)


def _last_success(path: Path) -> float | None:
    try:
        with path.open("rb") as file:
            text = file.read(TEXTFILE_BYTES_MAX).decode()
        families = list(text_string_to_metric_families(text))
    except (OSError, ValueError):  # no file yet, or one of another program
        return None
    return next((sample.value for family in families for sample in family.samples if sample.name == LAST_SUCCESS), None)


def push(registry: CollectorRegistry, url: str, job: str = "compressor_batch") -> None:
    """Push metrics to a Pushgateway; after an unsuccessful run its last success is kept.

    url  HOST:PORT or http://HOST:PORT
    job  the group whose metrics are replaced, one by one
    """
    try:
        pushadd_to_gateway(url, job, registry, timeout=PUSH_SECONDS)
    except (OSError, ValueError) as error:
        raise CompressorError(f"{url}: metrics were not accepted: {getattr(error, 'reason', None) or error}") from None
