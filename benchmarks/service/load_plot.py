"""Plots of measurements under load: what callers and the server saw, second by second."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import chart
from benchmarks.harness.chart import INK, PALE
from benchmarks.service.attacks import BUDGET_BYTES, AttackedResult
from benchmarks.service.load_table import name_of
from benchmarks.service.overload import GROUP_BYTES, MIB, OverloadResult
from benchmarks.service.soak import SoakResult

# Okabe and Ito's palette, safe for color blindness.
BLUE, ORANGE, GREEN, PINK, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
OUTCOME_COLORS = {"ok": BLUE, "refused": PALE, "deadline": YELLOW, "failed": ORANGE, "lost": PINK}
LATENCY_LINES = {
    "ok p50": (BLUE, "-"),
    "ok p95": (BLUE, ":"),
    "refused p50": (PALE, "-"),
    "refused p95": (PALE, ":"),
    "health max": (GREEN, "-"),
}
COLUMN_INCHES, ROW_INCHES = 4.4, 2.1


def draw_overload(results: Sequence[OverloadResult], path: Path) -> Path:
    """Write a PNG file with a column for each server: latency, completed work, outcomes, memory."""
    figure = chart.new_figure(max(2, len(results)) * COLUMN_INCHES, 4 * ROW_INCHES + 1)
    panels: Any = figure.subplots(4, len(results), sharex="col", sharey="row", squeeze=False)
    handles: dict[str, Any] = {}
    for column, one in enumerate(results):
        latency, goodput, counts, memory = panels[:, column]
        latency.set_title(name_of(one), loc="left", fontsize=12, color=INK)
        series, seconds = one.series, one.series["second"]
        for name, (color, style) in LATENCY_LINES.items():
            values = [None if value is None else value * 1e3 for value in series[name]]
            (handles[name],) = latency.plot(seconds, values, color=color, linestyle=style, linewidth=1.6, label=name)
        latency.set_yscale("log")
        (handles["completed work"],) = goodput.plot(
            seconds, [100 * value for value in series["goodput"]], color=INK, linewidth=1.6, label="completed work"
        )
        handles["limit"] = _limit(goodput, 85)
        for name, color in OUTCOME_COLORS.items():
            values = [count or None for count in series[name]]
            (handles[name],) = counts.plot(seconds, values, color=color, linewidth=1.6, label=f"{name} calls")
        counts.set_yscale("symlog", linthresh=10)
        handles["memory"] = _memory(memory, seconds, series["resident bytes"])
        _limit(memory, GROUP_BYTES / MIB)
        for axes in panels[:, column]:
            axes.axvspan(0, one.seconds, color=PALE, alpha=0.1, linewidth=0)
            _style(axes)
        memory.set_xlabel("seconds", color=INK)
    texts = ("latency, ms", "completed work,\n% of the closed load's", "calls a second", "resident memory, MiB")
    _label(figure, panels, texts)
    return chart.save(figure, "Ten times the load that the server can take", list(handles.values()), 5, path)


def draw_attacks(results: Sequence[AttackedResult], path: Path) -> Path:
    """Write a PNG file with a column for each attack: normal calls, calls held open, health, memory."""
    figure = chart.new_figure(max(2, len(results)) * COLUMN_INCHES, 4 * ROW_INCHES + 1)
    panels: Any = figure.subplots(4, len(results), sharex="col", sharey="row", squeeze=False)
    titles = {"loris": "slow senders", "readers": "clients that never read"}
    handles: dict[str, Any] = {}
    for column, one in enumerate(results):
        normal, held, health, memory = panels[:, column]
        normal.set_title(f"{one.count:,} {titles[one.name]}", loc="left", fontsize=12, color=INK)
        series, seconds = one.series, one.series["second"]
        (handles["ok"],) = normal.plot(seconds, series["ok"], color=BLUE, linewidth=1.6, label="normal calls")
        handles["limit"] = _limit(normal, 0.8 * one.before_per_second)
        (handles["held"],) = held.plot(seconds, series["held"], color=ORANGE, linewidth=1.6, label="calls held open")
        values = [None if value is None else value * 1e3 for value in series["health max"]]
        (handles["health"],) = health.plot(seconds, values, color=GREEN, linewidth=1.6, label="health max")
        health.set_yscale("log")
        handles["memory"] = _memory(memory, seconds, series["resident bytes"])
        if one.memory.idle is not None:
            _limit(memory, (one.memory.idle + BUDGET_BYTES) / MIB)
        for axes in panels[:, column]:
            axes.axvline(0, color=PALE, linewidth=1)
            axes.axvline(one.seconds, color=PALE, linewidth=1, linestyle=":")
            _style(axes)
        memory.set_xlabel("seconds; normal callers until the dotted line", color=INK)
    _label(figure, panels, ("normal calls a second", "calls held open", "health check, ms", "resident memory, MiB"))
    return chart.save(figure, "Clients that hold calls open", list(handles.values()), 5, path)


def draw_soak(one: SoakResult, path: Path) -> Path:
    """Write a PNG file of memory by calls."""
    figure = chart.new_figure(8, 3.6)
    axes: Any = figure.subplots()
    calls = [one.block_calls * (number + 1) for number in range(len(one.resident_bytes))]
    handle = _memory(axes, calls, one.resident_bytes)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("resident memory, MiB", color=INK)
    chart.style_axes(axes, "calls of 64 × 64")
    return chart.save(figure, f"Memory over {one.calls:,} calls", [handle], 1, path)


def _style(axes: Any) -> None:
    chart.style_axes(axes, "")
    axes.tick_params(which="minor", length=0)


def _memory(axes: Any, x: Sequence[float], sizes: Sequence[float | None]) -> Any:
    values = [None if size is None else size / MIB for size in sizes]
    return axes.plot(x, values, color=INK, linewidth=1.6, label="resident memory")[0]


def _limit(axes: Any, value: float) -> Any:
    return axes.axhline(value, color="#c0392b", linewidth=1.2, linestyle=(0, (6, 3)), label="limit")


def _label(figure: Any, panels: Any, texts: Sequence[str]) -> None:
    figure.align_ylabels(panels[:, 0])
    for row, text in zip(panels, texts, strict=True):
        row[0].set_ylabel(text, color=INK)
        row[0].set_ylim(bottom=0 if row[0].get_yscale() != "log" else None)
