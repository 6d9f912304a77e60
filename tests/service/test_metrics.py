"""Metrics after known calls."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from compressor.client import Client
from compressor.errors import CompressorError
from compressor.footprint import Basis, Profile
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.running import Running, eventually


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with Running(fake_codec()) as running, Client(running.address, retries=0) as client:
        client.compress(file_of(1000), score=True)
        client.inspect(file_of(1000))
        for verb in (b"busy", b"over", b"nope", b"bug!"):
            with pytest.raises(CompressorError):
                client.compress(file_of(500, verb))
        assert eventually(lambda: "in_progress 0.0" in running.scrape())
        yield running


@pytest.mark.parametrize(
    "sample",
    [
        'compressor_requests_total{code="OK",path="pixels"} 1.0',
        'compressor_requests_total{code="OK",path="none"} 1.0',
        'compressor_requests_total{code="UNAVAILABLE",path="none"} 1.0',
        'compressor_requests_total{code="RESOURCE_EXHAUSTED",path="none"} 1.0',
        'compressor_requests_total{code="UNIMPLEMENTED",path="none"} 1.0',
        'compressor_requests_total{code="INTERNAL",path="none"} 1.0',
        'compressor_input_bytes_total{format="fake"} 2000.0',
        'compressor_input_bytes_total{format="none"} 2000.0',
        'compressor_output_bytes_total{format="jpeg"} 500.0',
        'compressor_delivered_input_bytes_total{format="fake"} 1000.0',  # without failed or inspected images
        'compressor_delivered_output_bytes_total{format="fake"} 500.0',
        'compressor_requests_rejected_total{reason="unauthenticated"} 0.0',
        'compressor_requests_rejected_total{reason="deadline"} 0.0',
        "compressor_request_duration_seconds_count 6.0",
        "compressor_time_to_first_byte_seconds_count 1.0",
        'compressor_cpu_seconds_total{stage="encode"} 0.25',
        'compressor_cpu_seconds_total{stage="decode"} 0.5',  # by the four failed calls
        'compressor_cpu_seconds_total{stage="verify"} 0.0',
        'compressor_score_bucket{format="jpeg",le="75.0"} 0.0',
        'compressor_score_bucket{format="jpeg",le="80.0"} 1.0',
        'compressor_score_count{format="jpeg"} 1.0',
        'compressor_score_sum{format="jpeg"} 76.5',
        'compressor_cpu_seconds_total{stage="score"} 0.125',
        "compressor_memory_budget_bytes 2.68435456e+08",
        "compressor_memory_reserved_bytes 7.0",
        'compressor_requests_rejected_total{reason="busy"} 1.0',
        'compressor_requests_rejected_total{reason="limit"} 1.0',
        'compressor_outcomes_total{outcome="compressed"} 1.0',
        'compressor_outcomes_total{outcome="failed"} 4.0',
    ],
)
def test_a_scrape_counts(running: Any, sample: str) -> None:
    assert sample in running.scrape().splitlines()


def test_promtool_accepts_a_scrape(running: Any) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=running.scrape(), capture_output=True, text=True, timeout=60
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_without_a_profile_nothing_is_estimated_but_memory_is_measured(running: Any) -> None:
    page = running.scrape()

    assert "compressor_estimated" not in page and "compressor_methodology" not in page
    assert float(value_of(page, "compressor_memory_byte_seconds_total")) > 0.5


def test_what_the_process_uses_is_estimated_and_never_falls() -> None:
    basis = Basis(storage_class="hdd-3az", originals_deleted=True, region="us-east-1", reserved_vcpus=2.0)
    with Running(fake_codec(), footprint=basis) as running:
        first = running.scrape()
        with Client(running.address) as client:
            report = client.compress(file_of(1000)).report
        second = running.scrape()
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=second, capture_output=True, text=True, timeout=60
        )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    for quantity, unit, components in (
        ("energy", "joules", ("cpu", "memory", "idle")),
        ("co2e", "grams", ("cpu", "memory", "idle", "embodied")),
    ):
        for component in components:
            name = f'compressor_estimated_used_{quantity}_{{}}_{unit}_total{{{{component="{component}"}}}}'
            low, central, high = (float(value_of(second, name.format(b))) for b in ("low", "central", "high"))
            assert 0 < low <= central <= high
            assert float(value_of(first, name.format("high"))) <= high
    assert "compressor_estimated_avoided" in second and "avoided_energy_low_joules_total{" not in second
    assert float(value_of(second, "compressor_reserved_vcpus")) == 2
    assert 'profile="conservative"' in second and 'originals_deleted="true"' in second
    assert report.footprint is not None and report.footprint.used_co2e_grams is not None
    assert report.footprint.used_co2e_grams.low > 0 and report.footprint.storage_class == "hdd-3az"


def test_reports_have_a_footprint_unless_the_profile_is_off(running: Any) -> None:
    with Client(running.address) as client:
        footprint = client.compress(file_of(1000)).report.footprint
    assert footprint is not None
    assert footprint.profile == "conservative" and footprint.used_co2e_grams is None
    with Running(fake_codec(), footprint=Basis(profile=Profile.OFF)) as silent, Client(silent.address) as client:
        assert client.compress(file_of(1000)).report.footprint is None


def value_of(page: str, series: str) -> str:
    return next(line.rpartition(" ")[2] for line in page.splitlines() if line.rpartition(" ")[0] == series)
