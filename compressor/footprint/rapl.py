"""The processor's own energy counters: RAPL, Intel SDM volume 3B, section 16.10.1 (and AMD's since Linux 5.8).

They serve only to check the model, because they cover all work of the machine. Virtual machines rarely have them, and
since CVE-2020-8694 only root may read them.
"""

import threading
from contextlib import suppress
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Rapl:
    """The processor packages whose counters can be read. Other zones (core, uncore, dram) overlap with them."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones: dict[Path, tuple[int, int]] = {}  # by folder: range and last value of the counter, in microjoules
        self._microjoules = 0
        self._lock = threading.Lock()
        for zone in sorted(root.glob("intel-rapl:*")):
            with suppress(OSError, ValueError):
                if (zone / "name").read_text().startswith("package"):
                    self._zones[zone] = (_number(zone / "max_energy_range_uj"), _number(zone / "energy_uj"))

    def __bool__(self) -> bool:
        """Return True if there is a counter to read."""
        return bool(self._zones)

    def joules(self) -> float:
        """Return the joules since construction.

        Call it at least once before a counter wraps around: at 200 W the usual 262 kJ take 20 minutes.
        """
        with self._lock:
            for zone, (range_, last) in self._zones.items():
                with suppress(OSError, ValueError):
                    now = _number(zone / "energy_uj")
                    self._microjoules += now - last if now >= last else now - last + range_
                    self._zones[zone] = (range_, now)
            return self._microjoules / 1e6


def _number(path: Path) -> int:
    return int(path.read_text())
