"""A service and a batch run that a real Prometheus observes for a year, which passes in seconds: its rule must agree
with the ledger."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor.client import Client
from compressor.ledger.ledger import Ledger
from compressor.ledger.schema import OVERHEAD
from tests import ROOT
from tests.deploy.real_prometheus import eventually, query, scraping
from tests.reference import footprint as reference

GRID = 383.55  # g/kWh
YEAR_SECONDS = 8760 * 3600.0
STEPS = 40
USED = 'compressor_estimated_used_co2e_high_grams_total{job="%s"}'
RULE = "compressor:net_co2e_conservative_grams:increase30d"
# The exporter, with a clock that is read from a file.
EXPORTER = """
import sys
from pathlib import Path
from compressor.exporter.accounting import ExporterConfig
from compressor.exporter.serve import serve
from compressor.footprint import Basis

ledger, state, clock = map(Path, sys.argv[1:4])
basis = Basis(storage_class="hdd-3az", originals_deleted=True, grid_grams_per_kwh=float(sys.argv[4]))
serve(
    ExporterConfig(ledgers=(ledger,), state=state, basis=basis), "127.0.0.1:0",
    lambda port: print(f"metrics on http://127.0.0.1:{port}/metrics", flush=True), lambda: float(clock.read_text()),
)
"""


def photographs(folder: Path, count: int) -> None:
    """Write files that are larger than necessary for their content, like those of cameras."""
    folder.mkdir()
    y, x = np.mgrid[:1500, :2000]
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 12, (1500, 2000, 3))
        picture = 128 + 90 * np.sin((x + 90 * number) / 97) * np.cos(y / 61)
        Image.fromarray(np.clip(picture[..., None] + noise, 0, 255).astype(np.uint8)).save(
            folder / f"{number}.jpg", quality=98, subsampling=0
        )


@contextmanager
def running(*command: str) -> Iterator[re.Match[str]]:
    """Run a command of the package; yield the match of its first line."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"^(?:serving on (\S+), )?metrics on http://(\S+)/metrics", process.stdout.readline())
            assert found is not None
            yield found
        finally:
            process.terminate()


def scraped(address: str, name: str) -> float:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[ {{]", line))


def value(prometheus: str, expression: str) -> float:
    """Return the value of an instant query; 0 without a result."""
    found = query(prometheus, expression)
    return float(found[0]["value"][1]) if found else 0.0


def rise(prometheus: str, series: str) -> float:
    """Return the increase of all series of that name, from first to last sample, without extrapolation."""
    found = [one["values"] for one in query(prometheus, f"{series}[1h]")]
    return sum(float(samples[-1][1]) - float(samples[0][1]) for samples in found)


def net_of_ledger(path: Path, years: float, own_cpu: float) -> float:
    """Return net grams, benefits low and costs high, from a ledger's measurements, by the slow reference."""
    with Ledger(path) as ledger:
        totals, facts = ledger.totals(), ledger.facts()
    cpu, memory = (float(facts[name]) for name in OVERHEAD)
    case = {
        "gigabytes": sum(total.saved_bytes for total in totals) / 1e9,
        "years": years,
        "downloads": 0.0,
        "cpu_hours": (sum(total.cpu_seconds for total in totals) + cpu + own_cpu) / 3600,
        "gigabyte_hours": (sum(total.memory_byte_seconds for total in totals) + memory) / 3600e9,
        "reserved_hours": -1.0,
    }
    return reference.net(case, "hdd-3az", "fixed", GRID)[0][1]


@pytest.mark.parametrize("pictures", [6, pytest.param(30, marks=pytest.mark.heavy)])
def test_the_net_rule_agrees_with_the_ledger(pictures: int, tmp_path: Path) -> None:
    photographs(tmp_path / "bucket", pictures)
    ledger, clock = tmp_path / "run.ledger", tmp_path / "clock"
    clock.write_text(start := f"{time.time():.0f}")
    serve = "-m compressor.cli serve --address 127.0.0.1:0 --metrics-address 127.0.0.1:0 --storage hdd-3az"
    batch = "-m compressor.cli batch --in-place --discard-originals --allow-non-atomic --quality 50 --effort fast"
    exporter = ("-c", EXPORTER, str(ledger), str(tmp_path / "state"), str(clock), str(GRID))
    with (
        running(*serve.split(), "--originals-deleted", "--grid", str(GRID)) as service,
        running(*exporter) as accrual,
        scraping(tmp_path, [("service", service[2], "/metrics"), ("exporter", accrual[2], "/metrics")]) as prometheus,
    ):
        seen = "count(count_over_time(compressor_estimated_used_co2e_high_grams_total[1h]) >= 8)"
        assert eventually(lambda: value(prometheus, seen) >= 6)
        with Client(service[1]) as client:
            for path in sorted((tmp_path / "bucket").iterdir())[:3]:
                client.compress(path.read_bytes(), quality=50)
        subprocess.run(
            [sys.executable, *batch.split(), str(tmp_path / "bucket"), "--ledger", str(ledger), "--json"],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert eventually(lambda: scraped(accrual[2], "compressor_ledger_saved_bytes") > 0)
        for step in range(1, STEPS + 1):
            clock.write_text(f"{float(start) + step * YEAR_SECONDS / STEPS:.0f}")
            time.sleep(0.25)
        time.sleep(15)  # as many samples again, so that `increase` extrapolates little
        own_cpu = scraped(accrual[2], "process_cpu_seconds_total")
        expected = net_of_ledger(ledger, 1.0, own_cpu) - rise(prometheus, USED % "service")
        net = value(prometheus, RULE)

    print(f"{net:.5f} g from the rule, {expected:.5f} g from the ledger, {pictures} pictures")
    assert net == pytest.approx(expected, rel=0.02)
