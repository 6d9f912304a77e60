"""Ledgers without a run, a clock that tests set, and an exporter that uses both."""

import json
from pathlib import Path
from typing import Any, ClassVar

from compressor.exporter.accounting import Exporter, ExporterConfig, Readings
from compressor.footprint import Basis
from compressor.usage import ProcessUsage, Usage

DAY = 86400.0
CREDITED = Basis(storage_class="hdd-3az", originals_deleted=True, grid_grams_per_kwh=383.55)


class NoUsage(ProcessUsage):
    """A process that uses nothing."""

    def read(self) -> Usage:
        return Usage()


class Bench:
    """An exporter in a folder, at a time that tests set; `restart` discards its memory, like a kill."""

    open: ClassVar[list["Bench"]] = []

    def __init__(self, folder: Path, basis: Basis = CREDITED, *, scraped: bool = True, **config: Any) -> None:
        self.open.append(self)
        self.folder, self.now = folder, 1_000_000_000.0
        self.feed = folder / "feed.jsonl"
        self._config = {"ledgers": (folder,), "state": folder / "state", "basis": basis, **config}
        self.exporter = self.start()
        if scraped:
            self.exporter.readings()

    def start(self, **changed: Any) -> Exporter:
        self._config |= changed
        self.exporter = Exporter(ExporterConfig(**self._config), lambda: self.now, NoUsage())
        return self.exporter

    def restart(self, **changed: Any) -> Exporter:
        self.exporter.close()
        return self.start(**changed)

    def wait(self, days: float) -> Readings:
        """Let time pass; return the readings."""
        self.now += days * DAY
        return self.observe()

    def observe(self) -> Readings:
        self.exporter.tick()
        while self.exporter.follow():
            pass
        return self.exporter.readings()

    def append_event(self, event: str, **more: Any) -> None:
        """Append to the feed."""
        with self.feed.open("a") as file:
            file.write(json.dumps({"time": self.now, "event": event, **more}) + "\n")


def avoided(found: Readings, storage: str = "hdd-3az") -> float:
    """Return the avoided byte-days."""
    return found.counters["avoided_storage_byte_seconds", storage] / DAY


def added(found: Readings, storage: str = "hdd-3az") -> float:
    return found.counters["added_storage_byte_seconds", storage] / DAY
