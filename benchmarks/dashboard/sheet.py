"""Panels of a Grafana dashboard, drawn roughly as Grafana does."""

import datetime
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.dashboard.prometheus import Series, rows_of
from compressor.humanize import human_bytes, human_seconds

INK, PALE, LINES = "#1f2933", "#6b7580", "#e4e7eb"
COLORS = {"red": "#c4162a", "orange": "#e69f00", "green": "#37872d", "blue": "#1f60c4", "text": INK}
CYCLE = ("#1f60c4", "#e69f00", "#37872d", "#8f3bb8", "#009e9e", "#a35200")
COLUMNS, CELL_INCHES = 24, (0.80, 0.38)
Panel = tuple[dict[str, Any], Sequence[Series]]


def format_value(value: float | str | None, field: dict[str, Any]) -> str:
    """Format a value with its unit and few digits."""
    if value is None or isinstance(value, str):
        return value or ""
    unit, decimals = field.get("unit", "short"), field.get("decimals")
    if math.isnan(value):
        return "NaN"
    if unit == "decbytes":
        return human_bytes(value)
    if unit == "s":
        return human_seconds(value) if value >= 1 or value == 0 else _prefixed(value, "s")
    if unit == "percentunit":
        return f"{100 * value:.{1 if decimals is None else decimals}f} %"
    suffix = {"joule": "J", "watt": "W", "massg": "g"}.get(unit)
    if suffix is not None:
        return _prefixed(value, suffix)
    digits = f"{value:.{decimals}f}" if decimals is not None else f"{value:.3g}"
    return digits + (unit.removeprefix("suffix:") if unit.startswith("suffix:") else "")


def _prefixed(value: float, unit: str) -> str:
    prefixes = {1e9: "G", 1e6: "M", 1e3: "k", 1.0: "", 1e-3: "m"}
    size = next((size for size in prefixes if abs(value) >= size), 1e-3) if value else 1.0
    return f"{value / size:.3g} {prefixes[size]}{unit}"


def field_of(panel: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the display settings for series of that name: the panel's defaults and overrides."""
    config = panel["fieldConfig"]
    field = dict(config["defaults"])
    for override in config["overrides"]:
        if override["matcher"]["options"] == name:
            for one in override["properties"]:
                field[one["id"]] = one["value"]
    return field


def _color(value: float, field: dict[str, Any]) -> str:
    steps = field.get("thresholds", {}).get("steps", [])
    passed = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return COLORS.get(passed[-1], INK) if passed else INK


def draw(panels: Sequence[Panel], path: Path) -> Path:
    """Write a PNG file of all panels in the dashboard's layout."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels)
    figure = Figure(figsize=(COLUMNS * CELL_INCHES[0], height * CELL_INCHES[1]), dpi=100, facecolor="#f4f5f7")
    FigureCanvasAgg(figure)
    kinds = {"stat": _stat, "timeseries": _curves, "table": _table, "bargauge": _bars, "text": _text}
    for panel, found in panels:
        at = panel["gridPos"]
        frame = (at["x"] / COLUMNS, 1 - (at["y"] + at["h"]) / height, at["w"] / COLUMNS, at["h"] / height)
        background = figure.add_axes((frame[0] + 0.002, frame[1] + 0.003, frame[2] - 0.004, frame[3] - 0.006))
        background.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
        for spine in background.spines.values():
            spine.set_color(LINES)
        inches = frame[3] * height * CELL_INCHES[1]
        background.text(0.015, 1 - 0.12 / inches, panel["title"], color=INK, fontweight="bold", va="top", fontsize=9)
        if panel.get("targets") and not found:
            text = panel["fieldConfig"]["defaults"].get("noValue") or "no data"
            background.text(0.5, 0.45, text, color=PALE, ha="center", fontsize=13)
        else:
            kinds[panel["type"]](background, panel, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _stat(axes: Any, panel: dict[str, Any], found: Sequence[Series]) -> None:
    names = [target.get("legendFormat", "") for target in panel["targets"]]
    values = {one.name: one.last for one in found}
    for row, name in enumerate(names):
        field, y = field_of(panel, name), 0.84 - 0.84 * (row + 0.55) / len(names)
        value = values.get(name)
        text, color = field.get("noValue", ""), PALE
        if value is not None:
            ranges = [mapping["options"] for mapping in field.get("mappings", ())]
            words = [one["result"]["text"] for one in ranges if one["from"] <= value <= one["to"]]
            text, color = words[0] if words else format_value(value, field), _color(value, field)
        if panel["options"]["colorMode"] == "background":
            axes.set_facecolor(color)
            axes.texts[0].set_color("white")
            axes.text(0.5, y, text, color="white", ha="center", va="center", fontsize=24, fontweight="bold")
            continue
        size = 15 if len(names) < 5 else 13
        axes.text(0.03, y, name, color=PALE, va="center", fontsize=10)
        axes.text(0.97, y, text, color=color, ha="right", va="center", fontsize=size, fontweight="bold")


def _curves(background: Any, panel: dict[str, Any], found: Sequence[Series]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = background.inset_axes((0.16, 0.27, 0.81, 0.57))
    floor: dict[float, float] = {}
    bands: dict[str, list[float]] = {}
    for number, one in enumerate(found):
        field = field_of(panel, one.name)
        custom = field.get("custom", {}) | {key.removeprefix("custom."): field[key] for key in field}
        times = [datetime.datetime.fromtimestamp(when, datetime.UTC) for when, _ in one.points]
        values = bands[one.name] = [value for _, value in one.points]
        color = COLORS[field["color"]["fixedColor"]] if "color" in field else CYCLE[number % len(CYCLE)]
        if custom.get("stacking", {}).get("mode") == "normal":
            below = [floor.get(when, 0.0) for when, _ in one.points]
            floor |= {when: value + floor.get(when, 0.0) for when, value in one.points}
            values = [floor[when] for when, _ in one.points]
            axes.fill_between(times, below, values, color=color, alpha=0.4, linewidth=0)
        axes.plot(
            times,
            values,
            color=color,
            linewidth=custom.get("lineWidth", 1.5),
            linestyle="--" if "lineStyle" in custom else "-",
            label=one.name,
        )
        high = bands.get(next((name for name in bands if _below(panel, name) == one.name), ""))
        if high is not None and len(high) == len(values):
            axes.fill_between(times, values, high, color=color, alpha=0.2)
    default = field_of(panel, "")
    _limits(axes, default)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value, default)))
    ticks: Any = AutoDateLocator(maxticks=5)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(ticks, show_offset=False))  # type: ignore[no-untyped-call]
    axes.tick_params(labelsize=8, colors=PALE, length=0)
    axes.grid(color=LINES)
    axes.spines[:].set_visible(False)
    columns = 2 if len(found) == 4 else 3
    background.legend(*axes.get_legend_handles_labels(), loc="lower left", ncols=columns, frameon=False, fontsize=8)


def _below(panel: dict[str, Any], name: str) -> str | None:
    """Return the name of the curve down to which the area below this one is filled."""
    below: str | None = field_of(panel, name).get("custom.fillBelowTo")
    return below


def _limits(axes: Any, field: dict[str, Any]) -> None:
    """Include 0 in the vertical range, and draw the thresholds in red."""
    low, high = axes.get_ylim()
    low, high = field.get("min", min(low, 0.0)), field.get("max", max(high, 0.0))
    style = field.get("custom", {}).get("thresholdsStyle", {}).get("mode")
    if style == "area":
        axes.axhspan(min(low, 0), 0, color=COLORS["red"], alpha=0.08)
        axes.axhline(0, color=COLORS["red"], linewidth=1)
    elif style == "line":
        axes.axhline(field["thresholds"]["steps"][-1]["value"], color=COLORS["red"], linewidth=1)
    axes.set_ylim(low, high)


def _table(axes: Any, panel: dict[str, Any], found: Sequence[Series]) -> None:
    rows = rows_of(panel, found)
    names = list(rows[0])
    texts = [[format_value(row[name], field_of(panel, name)) for name in names] for row in rows]
    texts = [[text if len(text) <= 26 else f"{text[:12]}…" for text in row] for row in texts]
    widths = [max(map(len, column)) + 2 for column in zip(names, *texts, strict=True)]
    edges = [sum(widths[:at]) / sum(widths) * 0.97 for at in range(len(widths) + 1)]
    lines = max(panel["gridPos"]["h"], len(texts) + 1)
    for at, name in enumerate(names):
        is_text = isinstance(rows[0][name], str)
        x, align = (edges[at] + 0.015, "left") if is_text else (edges[at + 1] + 0.015, "right")
        for row, text in enumerate([name, *(line[at] for line in texts)]):
            y = 0.82 - 0.8 * (row + 0.5) / lines
            axes.text(x, y, text, color=INK if row else PALE, ha=align, va="center", fontsize=8)


def _bars(axes: Any, panel: dict[str, Any], found: Sequence[Series]) -> None:
    most = max(one.last for one in found) or 1
    for row, one in enumerate(found):
        field, y = field_of(panel, one.name), 0.84 - 0.84 * (row + 0.5) / max(4, len(found))
        color = _color(one.last, field)
        axes.barh(y, 0.5 * one.last / most, left=0.27, height=0.12, color=color, alpha=0.6)
        axes.text(0.03, y, one.name, color=PALE, va="center", fontsize=10)
        axes.text(0.97, y, f"{one.last:,.0f}", color=color, ha="right", va="center", fontsize=12, fontweight="bold")
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _text(axes: Any, panel: dict[str, Any], found: Sequence[Series]) -> None:
    content = panel["options"]["content"].replace("**", "")
    lines = [line for part in content.split("\n\n") for line in [*textwrap.wrap(part, 9 * panel["gridPos"]["w"]), ""]]
    axes.text(0.015, 1 - 1 / panel["gridPos"]["h"], "\n".join(lines), color=INK, va="top", fontsize=8, linespacing=1.25)
