"""What a scrape says after known calls."""

import subprocess

import pytest
from fake_pipeline import fake_codec, file_of
from running import Running, eventually

from compressor.client import Client
from compressor.errors import CompressorError


@pytest.fixture(scope="module")
def running():
    with Running(fake_codec()) as running, Client(running.address, retries=0) as client:
        client.compress(file_of(1000))
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
        "compressor_request_duration_seconds_count 6.0",
        "compressor_time_to_first_byte_seconds_count 1.0",
        'compressor_cpu_seconds_total{stage="encode"} 0.25',
        'compressor_cpu_seconds_total{stage="decode"} 0.5',  # of the four that failed
        'compressor_cpu_seconds_total{stage="verify"} 0.0',
        "compressor_memory_budget_bytes 2.68435456e+08",
        "compressor_memory_reserved_bytes 7.0",
        'compressor_requests_rejected_total{reason="busy"} 1.0',
        'compressor_requests_rejected_total{reason="limit"} 1.0',
        'compressor_outcomes_total{outcome="compressed"} 1.0',
        'compressor_outcomes_total{outcome="failed"} 4.0',
    ],
)
def test_a_scrape_counts(running, sample):
    assert sample in running.scrape().splitlines()


def test_promtool_has_nothing_to_say(running):
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=running.scrape(), capture_output=True, text=True, timeout=60
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
