"""The queries of a Grafana dashboard's panels, answered by a Prometheus server."""

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

POINTS = 300  # per curve


@dataclass(frozen=True)
class Series:
    """A time series that a query returned.

    ref     the query's name in its panel
    name    in the legend
    labels  without the name of the metric
    points  times and values; an instant query has one point
    """

    ref: str
    name: str
    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


class Prometheus:
    """A Prometheus server, queried about the last `minutes`."""

    def __init__(self, url: str, minutes: float) -> None:
        self._url, self._end = url.rstrip("/"), time.time()
        self._start = self._end - 60 * minutes
        self._step = max(0.25, 60 * minutes / POINTS)

    def series(self, panel: dict[str, Any]) -> list[Series]:
        """Return the series of all queries of a panel."""
        return [one for target in panel.get("targets", ()) for one in self._query(target)]

    def _query(self, target: dict[str, Any]) -> list[Series]:
        expression = target["expr"].replace("$__rate_interval", f"{max(240, round(4 * self._step))}s")
        if target.get("instant"):
            results = self._request("query", query=expression, time=self._end)
        else:
            results = self._request("query_range", query=expression, start=self._start, end=self._end, step=self._step)
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

    def _request(self, endpoint: str, **parameters: object) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=60) as response:
            results: list[dict[str, Any]] = json.load(response)["data"]["result"]
            return results


def rows_of(panel: dict[str, Any], found: Sequence[Series]) -> list[dict[str, Any]]:
    """Return the rows of a table: series that agree in all common labels share one, as in Grafana's transformations."""
    rows: list[dict[str, Any]] = []
    for one in found:
        matching = [row for row in rows if all(row.get(key, value) == value for key, value in one.labels.items())]
        if not matching:
            rows.append({})
            matching = rows[-1:]
        for row in matching:
            row.update(one.labels)
            row[f"Value #{one.ref}"] = one.last
    options = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
    order, names = options.get("indexByName", {}), options["renameByName"]
    keys = sorted({key for row in rows for key in row}, key=lambda key: (order.get(key, key.startswith("Value")), key))
    table = [{names.get(key, key): row.get(key) for key in keys} for row in rows]
    for by in panel["options"].get("sortBy", ()):
        table.sort(key=lambda row: str(row[by["displayName"]]), reverse=by["desc"])
    return table
