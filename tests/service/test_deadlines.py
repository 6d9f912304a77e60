"""Calls that can't be finished before their deadline."""

import time

import pytest

from compressor.calls.codec import pipeline_codec
from compressor.client import Client
from compressor.errors import CallError
from compressor.memory import Resources
from compressor.pipeline import expected_cpu
from compressor.settings import Effort
from tests.jpeg_files import jpeg
from tests.service.running import Running


def test_a_call_that_would_end_too_late_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_cpu, "_rates", {})
    monkeypatch.setattr(expected_cpu, "FIRST_RATES", dict.fromkeys(Effort, 0.1))
    with Running(pipeline_codec(Resources())) as server:
        start = time.monotonic()
        with Client(server.address, timeout=60) as client, pytest.raises(CallError, match="can't be met") as failed:
            client.compress(jpeg(175, 121))
        assert failed.value.code == "DEADLINE_EXCEEDED"
        assert time.monotonic() - start < 30
        with Client(server.address) as client:
            assert client.compress(jpeg(175, 121)).data
        samples = server.scrape().splitlines()
    assert 'compressor_requests_rejected_total{reason="deadline"} 1.0' in samples
    assert any(line.startswith('compressor_requests_total{code="DEADLINE_EXCEEDED"') for line in samples)
