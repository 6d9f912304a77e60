"""docs/operate.md: every alert has a section, and its table, links and queries are right."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests import ROOT
from tests.deploy import expressions
from tests.deploy.real_prometheus import tool
from tests.project.test_docs import PAGES, metrics

RUNBOOK = (ROOT / "docs" / "operate.md").read_text()
MONITORING = (ROOT / "docs" / "monitoring.md").read_text()
ALERTS = {rule["alert"]: rule for rule in expressions.rules_of("alerting.rules.yml")}
RECORDED = {rule["record"] for rule in expressions.rules_of("recording.rules.yml")}
SECTIONS = re.findall(r"(?m)^## (.+)$", RUNBOOK)
QUERIES = [line for block in re.findall(r"```promql\n(.*?)```", RUNBOOK, re.DOTALL) for line in block.splitlines()]
FOREIGN = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and GitLab make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    without_code = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"(?m)^#+ (.+)$", without_code)}


def rows() -> Iterator[tuple[str, str, set[str]]]:
    """Yield symptom, anchor and alerts of each row of the table at the top."""
    for symptom, link, alerts in re.findall(r"(?m)^\| \[([^]]+)\]\(#([^)]+)\) \| (.*) ?\|$", RUNBOOK):
        yield symptom, link, set(re.findall(r"\w+", alerts))


@pytest.mark.parametrize("name", ALERTS)
def test_the_runbook_of_an_alert_is_a_section_that_the_tables_name(name: str) -> None:
    page, _, section = ALERTS[name]["annotations"]["runbook_url"].partition("#")

    assert page == "docs/operate.md"
    assert section in {link for _, link, alerts in rows() if name in alerts}
    assert f"[{name}](operate.md#{section}) | {ALERTS[name]['labels']['severity']} |" in MONITORING


def test_the_table_names_every_section_and_no_unknown_alert() -> None:
    assert [symptom for symptom, _, _ in rows()] == SECTIONS
    assert [link for _, link, _ in rows()] == [anchor(section) for section in SECTIONS]
    assert set().union(*(alerts for _, _, alerts in rows())) == set(ALERTS)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_says_how_the_symptom_shows_and_what_to_do(section: str) -> None:
    text = RUNBOOK.split(f"\n## {section}\n")[1].split("\n## ")[0]

    assert "**Signs" in text
    assert "**Do.**" in text or "remedy" in text


def test_metrics_in_queries_exist() -> None:
    known = set(metrics()) | RECORDED | FOREIGN | {"up"}
    used = set(re.findall(r"\b(?:compressor|process)[a-z_0-9:]+", " ".join(QUERIES)))

    assert len(used) > 8
    assert used - known == set()


def test_promtool_accepts_the_queries(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}))
    command = [tool("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_to_sections_have_targets(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", page.read_text())
    targets = [(page.parent / name if name else page, section) for name, section in links]

    assert [
        f"{target.name}#{section}"
        for target, section in targets
        if target.suffix == ".md" and section not in anchors(target)
    ] == []
