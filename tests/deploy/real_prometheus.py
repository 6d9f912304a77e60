"""Debian's Prometheus in a separate process with the rules of deploy/ at short intervals, queried over HTTP."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import ROOT

DEPLOY = ROOT / "deploy"
RULES = ("recording.rules.yml", "alerting.rules.yml")


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed: it is in Debian's package `prometheus`"
    return found


@contextmanager
def scraping(folder: Path, jobs: Sequence[tuple[str, str, str]], interval: str = "250ms") -> Iterator[str]:
    """Run a Prometheus that scrapes and evaluates every `interval`; yield its address.

    jobs  name, address, path of each target
    """
    for name in RULES:
        rules = (DEPLOY / "prometheus" / name).read_text()
        (folder / name).write_text(re.sub(r"(?m)^(    interval: ).+$", rf"\g<1>{interval}", rules))
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": list(RULES),
        "scrape_configs": [
            {
                "job_name": f"{name} {number}",
                "metrics_path": path,
                "static_configs": [{"targets": [address], "labels": {"job": name}}],
                "relabel_configs": [{"target_label": "instance", "replacement": f"{address}{path}"}],
            }
            for number, (name, address, path) in enumerate(jobs)
        ],
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [tool("prometheus"), f"--config.file={folder}/config.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log) as process:
            try:
                yield address
            finally:
                process.terminate()


def ask(address: str, what: str, **parameters: object) -> Any:
    """Return the `data` of an answer; raise AssertionError with Prometheus' message where it rejects the request."""
    url = f"http://{address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        if error.code == 503:  # not up yet
            raise
        raise AssertionError(f"{parameters}: {error.read().decode()}") from None


def query(address: str, expression: str) -> list[Any]:
    """Return the result of an instant query."""
    found: list[Any] = ask(address, "query", query=expression)["result"]
    return found


def rules(address: str) -> list[dict[str, Any]]:
    """Return all rules that Prometheus has read, with their state."""
    return [rule for group in ask(address, "rules")["groups"] for rule in group["rules"]]


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Return whether a condition became true in time; a Prometheus that is still starting is not a failure."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except OSError:
            pass
        time.sleep(0.2)
    return False
