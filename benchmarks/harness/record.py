"""Results are data: a JSON file a run, with the machine and the versions that made it."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import ROOT

PACKAGES = ("compressor", "numpy", "numba", "pillow", "grpcio", "protobuf")


def console() -> Console:
    """Where tables go: as wide as the terminal, or 100 columns where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 100)


def table(title: str, texts: Sequence[str], figures: Sequence[str], caption: str | None = None) -> Table:
    """A table with columns of text, then of figures."""
    made = Table(title=title, caption=caption, box=box.SIMPLE, padding=(0, 0, 0, 1), title_justify="left")
    for name in texts:
        made.add_column(name, no_wrap=True, overflow="ellipsis", max_width=27)
    for name in figures:
        made.add_column(name, no_wrap=True, justify="right")
    return made


def cpu_name() -> str:
    """The processor's name as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    """The commit of the source tree, with a + where it has changes; "" outside of one."""
    folder = ROOT

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def machine() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "commit": commit(),
    }


def save(folder: Path, name: str, results: dict[str, Any]) -> Path:
    """Write `results` beside what made them; the file's name holds the time."""
    now = datetime.datetime.now(datetime.UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    record = {"benchmark": name, "time": now.isoformat(timespec="seconds"), "machine": machine(), "results": results}
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path
