"""Estimates that accumulate over time, for counters."""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from compressor.footprint.basis import Basis, amounts
from compressor.footprint.model import Drivers
from compressor.footprint.ranges import ZERO, Range
from compressor.usage import Usage

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


class UsageSource(Protocol):
    """Measures what one or several processes use."""

    def read(self) -> Usage:
        """Return the usage until now."""
        ...


class AccruedUsage:
    """Estimates of what a service itself uses, busy or idle, for as long as it runs. May be used by several threads.

    usage              of its processes; memory that calls reserve is not part of it
    held_byte_seconds  returns the memory that calls have reserved, times how long, until now
    """

    def __init__(self, basis: Basis, usage: UsageSource, held_byte_seconds: Callable[[], float]) -> None:
        self._accrued = None if basis.is_off else Accrued(basis)
        self._reserved_vcpus = basis.reserved_vcpus
        self._usage, self._held_byte_seconds = usage, held_byte_seconds
        self._lock = threading.Lock()
        self._last = Usage()

    def _read(self) -> Usage:
        own = self._usage.read()
        return Usage(own.seconds, own.cpu_seconds, own.memory_byte_seconds + self._held_byte_seconds())

    def memory_byte_seconds(self) -> float:
        """Return the memory of the idle process and of its calls, times how long it was held, until now."""
        return self._read().memory_byte_seconds

    def amounts(self) -> Mapping[Key, Range]:
        """Return the estimates until now; none where the profile is off."""
        if self._accrued is None:
            return {}
        with self._lock:
            last, now = self._last, self._read()
            self._last = now
            seconds = max(0.0, now.seconds - last.seconds)
            cpu = max(0.0, now.cpu_seconds - last.cpu_seconds)
            memory = max(0.0, now.memory_byte_seconds - last.memory_byte_seconds)
            # The process may use more than what is reserved for it for a while; then none of that is idle.
            reserved = None if self._reserved_vcpus is None else max(cpu, self._reserved_vcpus * seconds)
            self._accrued.add(Drivers(cpu, memory, reserved_vcpu_seconds=reserved))
        return self._accrued.amounts
