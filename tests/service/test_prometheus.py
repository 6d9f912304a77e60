"""The metrics as read by a real Prometheus: Debian's package, run as processes."""

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from compressor.client import Client
from tests.service.conftest import Service
from tests.service.running import eventually

CONFIG = """
global: {{scrape_interval: 200ms}}
scrape_configs:
  - job_name: compressor
    static_configs: [{{targets: ["{target}"]}}]
"""


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed: Debian's package `prometheus` has it"
    return found


@pytest.fixture(scope="module")
def prometheus(real: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Prometheus that scrapes the service five times a second; yield its address."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "config.yml").write_text(CONFIG.format(target=real.metrics.removeprefix("http://")))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [tool("prometheus"), f"--config.file={folder}/config.yml", f"--storage.tsdb.path={folder}/data"]
    with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as process:
        try:
            yield address
        finally:
            process.terminate()


def ask(address: str, query: str) -> list[Any]:
    """Return the result of an instant query, [] until Prometheus is up."""
    url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            result: list[Any] = json.load(answer)["data"]["result"]
            return result
    except OSError:
        return []


def value(address: str, query: str) -> float:
    result = ask(address, query)
    return float(result[0]["value"][1]) if result else 0.0


def test_a_real_prometheus_sees_what_was_done(real: Service, prometheus: str) -> None:
    with Client(real.address, timeout=60) as client:
        reports = [client.compress(real.large, format="jpeg", quality=70).report for _ in range(3)]

    metrics = "compressor_input_bytes_total", "compressor_output_bytes_total"
    assert eventually(lambda: value(prometheus, f'{metrics[0]}{{format="png"}}') >= 3 * len(real.large), 30)
    share = value(prometheus, f'1 - {metrics[1]}{{format="jpeg"}} / ignoring(format) {metrics[0]}{{format="png"}}')
    assert share == pytest.approx(reports[0].saved, abs=0.2)
    assert value(prometheus, 'compressor_requests_total{code="OK", path="pixels"}') >= 3
    assert value(prometheus, "sum(compressor_cpu_seconds_total)") >= sum(r.cpu_seconds for r in reports) * 0.99
    assert value(prometheus, "compressor_memory_budget_bytes") == 256 << 20
    quantile = "histogram_quantile(0.5, sum by (le) (compressor_request_duration_seconds_bucket))"
    assert value(prometheus, quantile) > 0


def test_promtool_accepts_the_metrics(real: Service) -> None:
    with urllib.request.urlopen(f"{real.metrics}/metrics", timeout=5) as answer:
        text = answer.read()

    done = subprocess.run([tool("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
