"""Results as data: one JSON file per run, with the machine and the versions that produced it."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table

from benchmarks import ROOT

LOAD_AT_START = os.getloadavg()[0]  # before the benchmark adds its own
PACKAGES = ("compressor", "numpy", "pillow", "grpcio", "protobuf")


def console() -> Console:
    """Return a console for tables, as wide as the terminal, or 100 columns without one."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 100)


def progress(console: Console, status: Status) -> Callable[[str], None]:
    """Return a function that shows a line of progress: in the status of a terminal, else on stderr."""
    return status.update if console.is_terminal else lambda text: print(text, file=sys.stderr, flush=True)


def table(title: str, texts: Sequence[str], figures: Sequence[str], caption: str | None = None) -> Table:
    """Return an empty table with columns of text, then of figures."""
    new = Table(title=title, caption=caption, box=box.SIMPLE, padding=(0, 0, 0, 1), title_justify="left")
    for name in texts:
        new.add_column(name, no_wrap=True, overflow="ellipsis", max_width=27)
    for name in figures:
        new.add_column(name, no_wrap=True, justify="right")
    return new


def cpu_name() -> str:
    """Return the processor's name as Linux reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    """Return the commit of the source tree, with a + if it has uncommitted changes; "" outside a repository."""
    folder = ROOT

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def version(package: str) -> str:
    """Return the version of an installed package, or ""."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def machine() -> dict[str, Any]:
    """Describe the machine and the software that figures depend on."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load": LOAD_AT_START,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "commit": commit(),
    }


def load_line() -> str:
    """Return a line with the load average at the start: figures of a busy machine are worthless."""
    return f"load average {LOAD_AT_START:.2f} on {os.cpu_count()} cores"


def default_cache() -> Path:
    """Return the folder that keeps generated files and scores between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compressor-benchmarks"


def save(folder: Path, name: str, results: dict[str, Any]) -> Path:
    """Write `results` and a description of the machine to a file that is named after the time."""
    now = datetime.datetime.now(datetime.UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    record = {"benchmark": name, "time": now.isoformat(timespec="seconds"), "machine": machine(), "results": results}
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path
