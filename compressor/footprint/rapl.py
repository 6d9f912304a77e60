"""Joules that the processor itself counts: RAPL, Intel SDM volume 3B, section 16.10.1 (and AMD's since Linux 5.8).

A cross-check of the model and nothing more: it is of the whole machine, whoever works on it. Virtual machines rarely
have it, and since CVE-2020-8694 only root may read it.
"""

import threading
from contextlib import suppress
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Rapl:
    """Packages of the processor that can be read. Others (core, uncore, dram) are parts of them, or overlap."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones: dict[Path, tuple[int, int]] = {}  # folder: range of the counter, last value; microjoules
        self._microjoules = 0
        self._lock = threading.Lock()
        for zone in sorted(root.glob("intel-rapl:*")):
            with suppress(OSError, ValueError):
                if (zone / "name").read_text().startswith("package"):
                    self._zones[zone] = (_number(zone / "max_energy_range_uj"), _number(zone / "energy_uj"))

    def __bool__(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._zones)

    def joules(self) -> float:
        """Since this was made. To be called at least once in the time that a counter takes to begin anew: at 200 W
        the usual 262 kJ last 20 minutes."""
        with self._lock:
            for zone, (range_, last) in self._zones.items():
                with suppress(OSError, ValueError):
                    now = _number(zone / "energy_uj")
                    self._microjoules += now - last if now >= last else now - last + range_
                    self._zones[zone] = (range_, now)
            return self._microjoules / 1e6


def _number(path: Path) -> int:
    return int(path.read_text())
