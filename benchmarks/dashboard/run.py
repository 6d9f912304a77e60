"""The dashboard of deploy/grafana without Grafana: its panels, with data from a Prometheus server, on one sheet.

python -m benchmarks dashboard --prometheus URL [--minutes N] [--out DIR]
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.dashboard import sheet
from benchmarks.dashboard.prometheus import Prometheus

DASHBOARD = ROOT / "deploy" / "grafana" / "compressor.json"


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks dashboard")
    parser.add_argument("--prometheus", required=True, metavar="URL", help="http://localhost:9090")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="time range of the curves", metavar="N")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Query and draw; print the panels without data, such as those of batch runs before the first one."""
    chosen = options(words)
    dashboard = json.loads(DASHBOARD.read_text())
    prometheus = Prometheus(chosen.prometheus, chosen.minutes)
    panels = [(panel, prometheus.series(panel)) for panel in dashboard["panels"]]
    print(sheet.draw(panels, out / "dashboard.png"))
    for panel, found in panels:
        if panel.get("targets") and not found:
            print(f"no data: {panel['title']}")
    return True
