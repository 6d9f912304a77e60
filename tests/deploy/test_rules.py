"""The rules and the dashboard as files: promtool accepts them, and everything that they name exists."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.deploy import exposition, expressions
from tests.deploy.real_prometheus import DEPLOY, RULES, tool

DOCS = DEPLOY.parent / "docs"
ALERTS = {rule["alert"]: rule for rule in expressions.rules_of("alerting.rules.yml")}
RECORDED = [rule["record"] for rule in expressions.rules_of("recording.rules.yml")]
SERIES = re.compile(r"([a-z_:0-9]+)(?:\{([^}]*)\})?")


def parsed(series: str) -> tuple[str, str]:
    """Return the name of a series, and its labels."""
    found = SERIES.match(series)
    assert found is not None
    name, labels = found.groups()
    return name, labels or ""


# Labels of Prometheus itself, and those that the rules create.
OTHER_LABELS = {"job", "instance", "le", "side", "coefficient", "unit"}


def promtool(*words: str) -> str:
    """Run promtool; return what it prints to standard error."""
    folder = DEPLOY / "prometheus"
    done = subprocess.run([tool("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return labels of all exported metrics, by name, of a healthy and of a troubled installation."""
    found: dict[str, set[str]] = {"up": set()}
    for installation in (exposition.healthy, exposition.troubled):
        for page in installation(tmp_path_factory.mktemp("run")).values():
            for line in page().decode().splitlines():
                if not line.startswith("#"):
                    name, labels = parsed(line)
                    found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.mark.parametrize(
    "words", [("check", "rules", *RULES), ("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")]
)
def test_promtool_accepts_the_rules_and_passes_their_tests(words: tuple[str, ...]) -> None:
    assert promtool(*words) == ""


def test_promtool_accepts_the_configuration_for_compose() -> None:
    """Its rules are mounted beside it, in the container."""
    assert promtool("check", "config", "--syntax-only", "../compose/prometheus.yml") == ""


def test_promtool_accepts_the_configuration_for_kubernetes(tmp_path: Path) -> None:
    """Debian's Prometheus is built without the discovery of pods, whose place a list of targets takes here."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "kubernetes.yml").read_text())
    (job,) = config["scrape_configs"]
    (discovery,) = job.pop("kubernetes_sd_configs")
    job["static_configs"] = [{"targets": ["pod:9464"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))

    assert discovery == {"role": "pod", "selectors": [{"role": "pod", "label": "app.kubernetes.io/name=compressor"}]}
    assert promtool("check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")) == ""
    assert {rule.get("target_label") for rule in job["relabel_configs"]} >= {"namespace", "pod", "instance"}


@pytest.mark.parametrize("where, expression", list(expressions.expressions()))
def test_every_metric_and_label_in_an_expression_exists(
    where: str, expression: str, known: dict[str, set[str]]
) -> None:
    labels = OTHER_LABELS.union(*known.values())

    assert expressions.names_in(expression) - set(known) - set(RECORDED) == set()
    assert expressions.labels_in(expression) - labels == set()
    for pattern in expressions.PATTERN.findall(expression):
        assert any(re.fullmatch(pattern, name) for name in known), where


def test_the_metrics_and_labels_of_the_unit_tests_exist(known: dict[str, set[str]]) -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yml").read_text())["tests"]

    for series in [one["series"] for test in tests for one in test["input_series"]]:
        name, labels = parsed(series)
        assert name in known, series
        assert set(re.findall(r"(\w+)=", labels)) <= known[name] | {"job", "instance"}, series


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_severity_a_description_and_a_runbook(name: str) -> None:
    alert = ALERTS[name]

    assert alert["for"]
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_test_that_fires_and_one_that_does_not(name: str) -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yml").read_text())["tests"]
    tests_of_alert = [one for test in tests for one in test.get("alert_rule_test", ()) if one["alertname"] == name]

    assert {bool(one["exp_alerts"]) for one in tests_of_alert} == {True, False}


def test_every_recorded_metric_is_documented() -> None:
    page = (DOCS / "monitoring.md").read_text()

    assert [name for name in RECORDED if f"`{name}`" not in page] == []


def test_the_dashboard_fits_one_and_a_half_screens_and_needs_no_plugin() -> None:
    panels: list[dict[str, Any]] = expressions.dashboard()["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert {panel["type"] for panel in panels} <= {"stat", "timeseries", "table", "bargauge", "text"}
    assert {panel["datasource"]["uid"] for panel in panels if "targets" in panel} == {"${datasource}"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)  # no panels overlap
    assert max(x for x, _ in cells) < 24 and max(y for _, y in cells) < 36  # 24 rows are a screen of 1080 pixels


def test_no_estimate_is_shown_without_its_range() -> None:
    """A panel with a low has a high, and one with a central value has both."""
    for panel in expressions.dashboard()["panels"]:
        text = " ".join(target["expr"] for target in panel.get("targets", ()))
        if re.search(r"net_|side_component|_power_", text):
            low, high = ("conservative", "optimistic") if "net_" in text else ("_low_", "_high_")
            assert low in text and high in text, panel["title"]
