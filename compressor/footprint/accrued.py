"""Estimates that accumulate over time, for counters."""

import threading
from collections.abc import Mapping

from compressor.footprint.basis import Basis, amounts
from compressor.footprint.model import Drivers
from compressor.footprint.ranges import ZERO, Range

Key = tuple[str, str, str]


class Accrued:
    """Sums of estimates, by side, quantity and component. They never fall. Thread-safe.

    Every component that can occur starts at 0, so that the first scrape sees where its counter begins.
    """

    def __init__(self, basis: Basis) -> None:
        self._basis, self._lock = basis, threading.Lock()
        self._amounts: dict[Key, Range] = {}
        reserved = None if basis.reserved_vcpus is None else 0.0
        self.add(Drivers(0.0, 0.0, reserved_vcpu_seconds=reserved))

    def add(self, drivers: Drivers) -> None:
        """Add the estimate for what was measured since the last call."""
        found = amounts(self._basis.estimate(drivers))
        with self._lock:
            for key, amount in found.items():
                self._amounts[key] = self._amounts.get(key, ZERO) + amount

    @property
    def amounts(self) -> Mapping[Key, Range]:
        with self._lock:
            return dict(self._amounts)
