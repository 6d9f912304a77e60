"""Metrics of several processes, added up."""

from wsgiref.util import setup_testing_defaults

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from compressor.footprint import AccruedUsage, Basis
from compressor.metrics import Families, MergedMetrics, counted, families_of, merge
from compressor.service.energy import export_energy
from compressor.service.workers import TotalUsage
from compressor.usage import ProcessUsage, Usage


def process(calls: int, seconds: float, budget: int = 7) -> Families:
    """Return the metrics of a process that has had `calls` calls of this duration."""
    registry = CollectorRegistry()
    counter = Counter("calls", "Calls.", ["code"], registry=registry)
    histogram = Histogram("duration_seconds", "Their duration.", buckets=(1, 2), registry=registry)
    for _ in range(calls):
        counter.labels("OK").inc()
        histogram.observe(seconds)
    scores = Histogram("score", "Their scores.", ["format"], buckets=(70, 80), registry=registry)
    for _ in range(calls):
        scores.labels("jpeg").observe(75)
    Gauge("in_progress", "Calls in progress.", registry=registry).set(calls)
    Gauge("memory_budget_bytes", "The budget.", namespace="compressor", registry=registry).set(budget)
    return families_of(registry)


def values(families: Families) -> dict[str, float]:
    return {
        f"{name}{','.join(labels.values())}": value
        for *_, samples in families
        for name, labels, value in samples
        if not name.endswith("_created")
    }


def test_counters_histograms_and_gauges_are_added_up() -> None:
    merged = values(merge([process(2, 0.5), process(3, 1.5), process(0, 0.0)]))

    assert merged["calls_totalOK"] == 5
    assert merged["duration_seconds_bucket1.0"] == 2
    assert merged["duration_seconds_bucket2.0"] == merged["duration_seconds_bucket+Inf"] == 5
    assert merged["duration_seconds_sum"] == 2 * 0.5 + 3 * 1.5
    assert merged["score_bucketjpeg,70.0"] == 0
    assert merged["score_bucketjpeg,80.0"] == merged["score_countjpeg"] == 5
    assert merged["in_progress"] == 5


def test_a_gauge_that_all_processes_share_is_not_added_up() -> None:
    assert values(merge([process(1, 1), process(1, 1)]))["compressor_memory_budget_bytes"] == 7


def test_the_earliest_creation_counts() -> None:
    first, second = process(1, 1), process(1, 1)
    created = [
        value
        for families in (first, second, merge([second, first]))
        for *_, samples in families
        for name, _, value in samples
        if name == "calls_created"
    ]

    assert created == [created[0], created[1], created[0]]


def test_a_process_that_ended_leaves_its_counters_and_no_gauges() -> None:
    ended = counted(process(2, 0.5))
    merged = values(merge([ended, process(1, 1.5)]))

    assert merged["calls_totalOK"] == merged["duration_seconds_count"] == 3
    assert merged["in_progress"] == 1
    assert values(counted(merge([ended, counted(process(1, 1.5))])))["calls_totalOK"] == 3


def scrape(metrics: MergedMetrics, query: str = "") -> dict[str, float]:
    request: dict[str, object] = {"QUERY_STRING": query}
    setup_testing_defaults(request)
    lines = b"".join(metrics.wsgi(request, lambda status, headers: None)).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_a_scrape_includes_this_process() -> None:
    worker: Families = [
        ("process_cpu_seconds", "", "counter", [("process_cpu_seconds_total", {}, 1000.0)]),
        ("compressor_memory_byte_seconds", "", "counter", [("compressor_memory_byte_seconds_total", {}, 50.0)]),
    ]
    page = scrape(MergedMetrics(lambda: [worker], lambda: 7.0))

    assert page["compressor_memory_byte_seconds_total"] == 57
    assert 1000 < page["process_cpu_seconds_total"] < 2000
    assert page["process_open_fds"] > 0 and sum(name.startswith("python_info") for name in page) == 1


def test_a_scrape_may_select_metrics_by_name() -> None:
    worker: Families = [
        ("process_cpu_seconds", "", "counter", [("process_cpu_seconds_total", {}, 1000.0)]),
        ("compressor_input_bytes", "", "counter", [("compressor_input_bytes_total", {}, 5.0)]),
    ]
    metrics = MergedMetrics(lambda: [worker], lambda: 7.0)

    assert scrape(metrics, "name[]=compressor_input_bytes_total") == {"compressor_input_bytes_total": 5}
    assert scrape(metrics, "name[]=missing") == {}


def test_estimates_cover_all_processes_and_reserved_cores_count_once() -> None:
    class Own(ProcessUsage):
        def read(self) -> Usage:
            return Usage(1e6, 1.0, 0.0)

    worker: Families = [("process_cpu_seconds", "", "counter", [("process_cpu_seconds_total", {}, 5e5)])]
    found: list[Families] = [worker]
    metrics = MergedMetrics(lambda: found, lambda: 0.0)
    basis = Basis(storage_class="hdd-3az", originals_deleted=True, reserved_vcpus=2.0)
    export_energy(metrics, basis, AccruedUsage(basis, TotalUsage(Own(), metrics), lambda: 0.0))
    name = 'compressor_estimated_used_energy_central_joules_total{component="%s"}'
    first = scrape(metrics)
    found.append(worker)
    second = scrape(metrics)

    assert first["compressor_reserved_vcpus"] == 2
    # 2 vCPUs for 1e6 s, of which 1.5e6 s were idle. Later readings can't take that back.
    assert second[name % "cpu"] / first[name % "cpu"] == pytest.approx(2, rel=0.02)
    assert second[name % "idle"] == first[name % "idle"] > 0
