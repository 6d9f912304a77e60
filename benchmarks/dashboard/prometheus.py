"""The dashboard of deploy/grafana without a Grafana: what each panel asks, asked of a Prometheus, on one sheet."""

import argparse
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "compressor.json"
POINTS = 300  # of a curve


@dataclass(frozen=True)
class Series:
    """What one query found.

    ref     of the query in its panel
    name    as the legend has it
    labels  without the metric's own name
    points  time and value; of an instant query the one of now
    """

    ref: str
    name: str
    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


class Prometheus:
    """Answers of one, about a time that ends now."""

    def __init__(self, url: str, minutes: float) -> None:
        self._url, self._end = url.rstrip("/"), time.time()
        self._start = self._end - 60 * minutes
        self._step = max(0.25, 60 * minutes / POINTS)

    def series(self, panel: dict[str, Any]) -> list[Series]:
        """All that a panel shows."""
        return [one for target in panel.get("targets", ()) for one in self._found(target)]

    def _found(self, target: dict[str, Any]) -> list[Series]:
        expression = target["expr"].replace("$__rate_interval", f"{max(240, round(4 * self._step))}s")
        if target.get("instant"):
            results = self._ask("query", query=expression, time=self._end)
        else:
            results = self._ask("query_range", query=expression, start=self._start, end=self._end, step=self._step)
        found = []
        for result in results:
            labels = {key: value for key, value in result["metric"].items() if key != "__name__"}
            name = target.get("legendFormat", "")
            for key in re.findall(r"{{(\w+)}}", name):
                name = name.replace(f"{{{{{key}}}}}", labels.get(key, ""))
            values = [result["value"]] if "value" in result else result["values"]
            points = tuple((float(when), float(value)) for when, value in values)
            found.append(Series(target["refId"], name, labels, points))
        return found

    def _ask(self, what: str, **words: object) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(words)}", timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


def rows_of(panel: dict[str, Any], found: Sequence[Series]) -> list[dict[str, Any]]:
    """The rows of a table: what agrees in all labels that both have is one row, as Grafana's transformations do it."""
    rows: list[dict[str, Any]] = []
    for one in found:
        fitting = [row for row in rows if all(row.get(key, value) == value for key, value in one.labels.items())]
        if not fitting:
            rows.append({})
            fitting = rows[-1:]
        for row in fitting:
            row.update(one.labels)
            row[f"Value #{one.ref}"] = one.last
    options = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
    order, names = options.get("indexByName", {}), options["renameByName"]
    keys = sorted({key for row in rows for key in row}, key=lambda key: (order.get(key, key.startswith("Value")), key))
    table = [{names.get(key, key): row.get(key) for key in keys} for row in rows]
    for by in panel["options"].get("sortBy", ()):
        table.sort(key=lambda row: str(row[by["displayName"]]), reverse=by["desc"])
    return table


def options(words: Sequence[str]) -> argparse.Namespace:
    """The command line of this drawing, without what all of them take."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks dashboard")
    parser.add_argument("--prometheus", required=True, metavar="URL", help="http://localhost:9090")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="how far back curves go")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Ask and draw; say which panels have nothing to show, as those of batch runs where there are none."""
    from benchmarks.dashboard import sheet

    chosen = options(words)
    dashboard = json.loads(DASHBOARD.read_text())
    prometheus = Prometheus(chosen.prometheus, chosen.minutes)
    panels = [(panel, prometheus.series(panel)) for panel in dashboard["panels"]]
    print(sheet.draw(panels, out / "dashboard.png"))
    for panel, found in panels:
        if panel.get("targets") and not found:
            print(f"no data: {panel['title']}")
    return True
