"""A system clock that is set while calls run: nothing that is measured may depend on it (`libfaketime`)."""

import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor.client import Client
from compressor.settings import Settings
from tests.service.fake_pipeline import file_of
from tests.service.running import Process

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
DAY = 86_400


class Clock:
    """The offset of a process' system clock. Its monotonic clock is left alone, as by the kernel."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "offset"
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Set the clock to the real time and so many seconds."""
        replacement = self._path.with_suffix(".new")
        replacement.write_text(f"{seconds:+d}s")
        os.replace(replacement, self._path)


def metric(server: Process, name: str) -> float:
    with urllib.request.urlopen(f"{server.metrics}/metrics", timeout=5) as answer:
        found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_step_of_the_clock_ends_no_call_and_counts_no_time(
    seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(tmp_path)
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    server = Process("fake", idle_seconds=30.0, max_call_seconds=60.0)
    for name in clock.environment:
        monkeypatch.delenv(name)
    stepped = threading.Event()

    def chunks() -> Iterator[Any]:
        yield file_of(100_000)
        stepped.wait(20)
        yield bytes(100_000)

    with server, Client(server.address, timeout=30, retries=0) as client:
        with client.stream(chunks(), Settings()) as stream:
            assert stream.source.format == "fake"
            clock.step(seconds)
            time.sleep(0.6)  # the service looks for slow clients in between
            stepped.set()
            list(stream)
            assert stream.report.bytes_in == 200_000
        assert client.compress(file_of(700)).data
        created = metric(server, 'compressor_requests_created{code="OK",path="pixels"}')
        assert created == pytest.approx(time.time() + seconds, abs=60), "the service's clock was set"
        assert metric(server, "compressor_requests_in_progress") == 0
        assert 0 < metric(server, "compressor_request_duration_seconds_sum") < 20
        assert metric(server, 'compressor_requests_total{code="OK",path="pixels"}') == 2
