"""All PromQL expressions of deploy/, and the names in them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.deploy.real_prometheus import DEPLOY, RULES

# Grafana's variables and their values; $__rate_interval is at least four times the scrape interval.
VARIABLES = {"$__rate_interval": "4m"}
NAME = re.compile(r"\bcompressor[a-z_0-9:]*\b")
PATTERN = re.compile(r'__name__=~"([^"]+)"')
TEXT = re.compile(r'"[^"]*"')


def filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def rules_of(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "compressor.json").read_text())
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Yield location and expression of every query of the dashboard."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']}: {target['refId']}", filled(target["expr"])


def expressions() -> Iterator[tuple[str, str]]:
    """Yield location and expression of every rule and every query."""
    for file in RULES:
        for rule in rules_of(file):
            yield rule.get("record") or rule["alert"], rule["expr"]
    yield from queries()


def names_in(expression: str) -> set[str]:
    """Return the package's metrics that an expression names; `…_bucket` belongs to a histogram."""
    return set(NAME.findall(TEXT.sub('""', expression)))


def labels_in(expression: str) -> set[str]:
    """Return the labels that an expression matches, groups by or joins on."""
    grouped = re.findall(r"\b(?:by|on|ignoring|group_left)\s*\(([^)]*)\)", expression)
    matched = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression)
    words = {word.strip() for list_ in grouped for word in list_.split(",")} | set(matched)
    return words - {"", "__name__"}
