"""The Compose file: accepted by docker-compose, and right for the server, Prometheus and Grafana that it starts.

No container is started.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests import ROOT
from tests.deploy import expressions, sizing
from tests.deploy.real_prometheus import DEPLOY

FILE = DEPLOY / "compose" / "compose.yaml"
PROVISIONING = DEPLOY / "grafana" / "provisioning"


SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]


def docker_compose(**environment: str) -> subprocess.CompletedProcess[str]:
    """Have docker-compose read the file."""
    variables = {name: value for name, value in os.environ.items() if name != "GRAFANA_PASSWORD"}
    command = ["docker-compose", "--file", str(FILE), "config"]
    return subprocess.run(command, env=variables | environment, capture_output=True, text=True, timeout=60)


def mounts(service: str) -> dict[str, Path]:
    """Return the files of the repository that a service is given, by their path in its container."""
    volumes = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {words[1]: (FILE.parent / words[0]).resolve() for words in volumes if words[0].startswith(".")}


def test_docker_compose_accepts_the_file_if_a_password_is_given() -> None:
    done = docker_compose(GRAFANA_PASSWORD="secret")
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)

    done = docker_compose()
    assert done.returncode != 0
    assert "GRAFANA_PASSWORD" in done.stderr


def test_the_service_has_the_sizes_that_follow_from_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    service = SERVICES["compressor"]
    config = sizing.server_config({name: str(value) for name, value in service["environment"].items()}, monkeypatch)

    stop_seconds = float(service["stop_grace_period"].removesuffix("s"))
    sizing.assert_sizes(config, sizing.size(service["mem_limit"]), stop_seconds)
    assert service["memswap_limit"] == service["mem_limit"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["/var/tmp"]  # anonymous, so on a disk and one for each container


def test_every_file_that_is_mounted_exists_and_ports_are_local() -> None:
    files = [file for name in SERVICES for file in mounts(name).values()]

    assert len(files) > 5
    assert [file for file in files if not file.exists()] == []
    assert (FILE.parent / SERVICES["compressor"]["build"]).resolve() == ROOT
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", ()))


def test_prometheus_reads_rules_that_are_mounted_and_finds_the_containers() -> None:
    mounted = mounts("prometheus")
    config = yaml.safe_load((FILE.parent / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]

    assert mounted["/etc/prometheus/prometheus.yml"] == FILE.parent / "prometheus.yml"
    assert {f"/etc/prometheus/{name}" for name in config["rule_files"]} <= set(mounted)
    assert job["job_name"] == "compressor"  # the rules expect it
    assert job["dns_sd_configs"][0]["names"][0] in SERVICES


def test_grafana_finds_its_prometheus_and_its_dashboard() -> None:
    mounted = mounts("grafana")
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "compressor.yml").read_text())["providers"]
    variable = expressions.dashboard()["templating"]["list"][0]
    folder = provider["options"]["path"]

    assert mounted["/etc/grafana/provisioning"] == PROVISIONING
    assert mounted[f"{folder}/compressor.json"] == DEPLOY / "grafana" / "compressor.json"
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].startswith(folder)
    assert source["url"].split("//")[1].split(":")[0] in SERVICES
    assert source["type"] == variable["query"] and source["isDefault"]


def lost(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Yield the places of fields that `after` lacks or has otherwise; it may have more, which are defaults."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after[key], f"{place}/{key}") if key in after else [f"{place}/{key}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif before != after:
        yield place


def lost_in_the_schema(dashboard: dict[str, Any]) -> list[str]:
    """Return the fields of a dashboard that are lost when it is read into Grafana's own types and written again."""
    return list(lost(dashboard, json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))))


def test_the_schema_of_grafana_has_every_field_of_the_dashboard() -> None:
    assert lost_in_the_schema(expressions.dashboard()) == []


@pytest.mark.parametrize(
    "path", [(), ("panels", 0), ("panels", 0, "gridPos"), ("panels", 0, "fieldConfig", "defaults"), ("templating",)]
)
def test_a_misspelled_field_of_a_dashboard_is_found(path: tuple[str | int, ...]) -> None:
    dashboard = expressions.dashboard()
    place: Any = dashboard
    for step in path:
        place = place[step]
    place["titel"] = 1

    assert lost_in_the_schema(dashboard) == ["".join(f"/{step}" for step in (*path, "titel"))]
