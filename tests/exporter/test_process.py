"""The exporter in a separate process, with the ledger of a real run, scraped over HTTP."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from compressor.cli.app import app
from compressor.exporter.accounting import Exporter, ExporterConfig
from compressor.exporter.serve import metrics_of, tick_once
from compressor.footprint import Basis, Drivers, Side
from compressor.usage import ProcessUsage
from tests import ROOT
from tests.batch.support import jpeg, png
from tests.exporter.support import CREDITED, DAY, Bench
from tests.ledger.ledgers import write

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
CREDIT = ["--storage", "hdd-3az", "--originals-deleted", "--grid", 383.55]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the ledger of a real run in place, and the run's summary."""
    folder = tmp_path_factory.mktemp("run")
    files = {"a.jpg": jpeg(1), "b.png": png(1), "c.txt": b"text", "broken.jpg": jpeg(2)[:900]}
    for key, data in files.items():
        (folder / "in").mkdir(exist_ok=True)
        (folder / "in" / key).write_bytes(data)
    how = ["--in-place", "--discard-originals", "--allow-non-atomic", "--ledger", "ledgers/run.ledger"]
    (folder / "ledgers").mkdir()
    command = [
        sys.executable,
        "-m",
        "compressor.cli",
        "batch",
        "in",
        *how,
        "--workers",
        "1",
        "--quality",
        "70",
        "--json",
    ]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr  # one is broken
    return folder / "ledgers" / "run.ledger", json.loads(done.stdout)


def used(summary: dict[str, Any]) -> tuple[float, float]:
    """Return CPU seconds and byte-seconds of memory from the summary."""
    return sum(summary["stage_seconds"].values()) + summary["other_seconds"], summary["memory_byte_seconds"]


@contextmanager
def running(folder: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `compressor exporter`; yield the process and its URL."""
    command = [sys.executable, "-m", "compressor.cli", "exporter", "--state", "state", *map(str, options)]
    command += ["--metrics-address", "127.0.0.1:0"]
    process = subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"metrics on (http://127\.0\.0\.1:\d+)/metrics\n", line)
        assert found, line + process.communicate(timeout=10)[1]
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def scrape(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return samples(answer.read().decode())


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_a_real_run_is_scraped_and_counted_once_across_restarts(
    ledger: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, summary = ledger
    with running(tmp_path, "--ledger", path.parent, *CREDIT) as (process, url):
        first = scrape(url)
        assert not any(value for name, value in first.items() if name.startswith("compressor_") and "_total" in name)
        second = scrape(url)
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert second["compressor_ledger_saved_bytes"] == summary["saved_bytes"] > 0
    cpu, memory = used(summary)
    assert second["compressor_ledger_cpu_seconds_total"] == pytest.approx(cpu) and cpu > 0
    assert second["compressor_ledger_memory_byte_seconds_total"] == pytest.approx(memory) and memory > 0
    assert second["compressor_oldest_ledger_read_timestamp_seconds"] == pytest.approx(time.time(), abs=60)

    with running(tmp_path, "--ledger", path, *CREDIT) as (process, url):
        third = scrape(url)
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=page(url), capture_output=True, text=True, timeout=60
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert third["compressor_ledger_cpu_seconds_total"] == second["compressor_ledger_cpu_seconds_total"]
    assert third["compressor_avoided_storage_byte_seconds_total{storage_class=hdd-3az}"] > 0
    assert all(third[name] >= value for name, value in second.items() if re.match(r"compressor_\w+_total", name))
    own = "compressor_estimated_used_energy_high_joules_total{component=cpu}"
    assert third[own] > second[own]  # the exporter's own


def page(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.heavy
def test_a_repeatedly_killed_exporter_counts_every_event_once(tmp_path: Path) -> None:
    rng = random.Random(0)
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    options = ["--ledger", ".", "--feed", "feed.jsonl", "--network", "fixed", *CREDIT]
    with running(tmp_path, *options) as (_, url):
        scrape(url)
    written, seen = 0, 0.0
    for _ in range(12):
        with running(tmp_path, *options) as (process, url), (tmp_path / "feed.jsonl").open("a") as feed:
            end = time.monotonic() + rng.random()
            while time.monotonic() < end:
                for _ in range(1000):
                    feed.write(json.dumps({"time": time.time(), "event": "download", "key": "a.jpg"}) + "\n")
                feed.flush()
                written += 1000
            process.kill()
    with running(tmp_path, *options) as (_, url):
        end = time.monotonic() + 60
        while time.monotonic() < end and seen < 400 * written:
            time.sleep(0.5)
            seen = scrape(url)["compressor_avoided_egress_bytes_total{access=fixed}"]
        time.sleep(2)
        assert scrape(url)["compressor_avoided_egress_bytes_total{access=fixed}"] == 400 * written > 0


def test_a_scrape_is_answered_while_a_long_feed_is_read() -> None:
    lock, stop = threading.RLock(), threading.Event()

    class Busy:
        """An exporter whose feed has no end."""

        def tick(self) -> None:
            pass

        def follow(self) -> bool:
            with lock:
                time.sleep(0.01)
            return True

    busy: Any = Busy()
    reading = threading.Thread(target=tick_once, args=(busy, stop), daemon=True)
    reading.start()
    try:
        for _ in range(20):
            assert lock.acquire(timeout=5)
            lock.release()
    finally:
        stop.set()
        reading.join(20)
    assert not reading.is_alive()


def test_a_year_of_a_real_run_accrues_what_the_model_estimates_for_its_ledger(
    ledger: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, summary = ledger
    bench = Bench(tmp_path, ledgers=(path,), scraped=False)
    metrics = metrics_of(bench.exporter, bench.exporter._config)

    def scraped() -> dict[str, float]:
        request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""}
        return samples(b"".join(metrics.wsgi(request, lambda status, headers: None)).decode())

    first = scraped()
    bench.exporter.tick()
    for _ in range(73):
        bench.now += 5 * DAY
        last = scraped()
    grown = {name: value - first.get(name, 0) for name, value in last.items()}

    cpu, memory = used(summary)
    estimate = CREDITED.estimate(
        Drivers(cpu, memory, stored_byte_seconds=summary["saved_bytes"] * 365 * DAY, storage_class="hdd-3az")
    )
    for side in Side:
        for quantity, unit in (("energy", "joules"), ("co2e", "grams")):
            bounds = estimate.energy_joules(side) if quantity == "energy" else estimate.co2e_grams(side)
            assert bounds is not None
            for bound, expected in zip(("low", "central", "high"), bounds, strict=True):
                name = f"compressor_estimated_{side}_{quantity}_{bound}_{unit}_total"
                assert sum(value for of, value in grown.items() if of.startswith(name)) == pytest.approx(expected)


def test_a_second_exporter_and_invalid_options_are_errors_of_one_line(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})

    def refused(*options: object) -> str:
        done = CliRunner().invoke(app, ["exporter", *map(str, options)])
        assert done.exit_code
        return done.stderr.splitlines()[-1]

    with running(tmp_path, "--ledger", "."):
        message = refused("--ledger", ".", "--state", tmp_path / "state")
    assert message == f"compressor: {tmp_path}/state is in use by another exporter"
    assert "storage class" in refused("--ledger", ".", "--state", tmp_path / "s", "--originals-deleted")
    assert "--profile is 'x'" in refused("--ledger", ".", "--state", tmp_path / "s", "--profile", "x")
    assert "max-credit-days" in refused("--ledger", ".", "--state", tmp_path / "s", "--max-credit-days", 0)
    assert "--ledger" in refused("--state", tmp_path / "s")


def test_an_exporter_that_cannot_write_its_state_is_not_healthy_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path)
    bench.observe()
    state = bench.exporter._state
    run = state.run

    def full(statement: str, *values: Any) -> Any:
        if statement == "COMMIT":
            raise OSError(28, "No space left on device")
        return run(statement, *values)

    monkeypatch.setattr(state, "run", full)
    write(tmp_path / "a.ledger", {"b.jpg": (1000, 600)})
    bench.now += DAY
    with pytest.raises(OSError, match="No space"):
        bench.exporter.tick()
    assert bench.exporter.healthy is False

    monkeypatch.setattr(state, "run", run)
    found = bench.wait(1)
    assert (bench.exporter.healthy, found.saved_bytes) == (True, 800)
    assert found.counters["ledger_cpu_seconds", ""] == 2.0
    assert found.counters["avoided_storage_byte_seconds", "hdd-3az"] == 2 * 400 * DAY


@pytest.mark.serial
def test_the_exporters_own_time_and_memory_count_as_used(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)}, cpu=0.0)
    config = ExporterConfig(ledgers=(tmp_path,), state=tmp_path / "state", basis=CREDITED)
    exporter = Exporter(config, lambda: 1e9, ProcessUsage(since_start=True))
    exporter.readings()
    before = time.monotonic()
    while time.monotonic() < before + 0.2:
        sum(range(1000))
    used = exporter.readings().amounts

    assert used["used", "energy", "cpu"][0] > 0.1 * 1.7
    assert used["used", "energy", "memory"][0] > 0.2 * 2e7 * 0.284e-9
    assert exporter.readings().counters["ledger_cpu_seconds", ""] == 0
    exporter.close()


def test_network_and_region_are_labels_of_the_methodology_info(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        Basis(storage_class="ssd-1az", originals_deleted=True, network="mobile", region="us-east-1"),
        scraped=False,
    )
    metrics = metrics_of(bench.exporter, bench.exporter._config)
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""}
    found = samples(b"".join(metrics.wsgi(request, lambda status, headers: None)).decode())

    assert found["compressor_estimated_avoided_co2e_low_grams_total{component=network}"] == 0
    assert found["compressor_avoided_egress_bytes_total{access=mobile}"] == 0
    info = next(name for name in found if name.startswith("compressor_methodology_info"))
    assert "region=us-east-1" in info and "network_term=mobile" in info
