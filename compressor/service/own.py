"""What the server itself uses, busy or idle, for as long as it runs."""

import threading
import time
from collections.abc import Callable, Mapping

from compressor.footprint import Accrued, Basis, Drivers, Range
from compressor.usage import MemoryGauge, resident_bytes


class Own:
    """CPU seconds of the whole process, compiling included, and byte-seconds of memory: what is reserved by calls, and
    what the process held when it was ready for the first of them.

    held_byte_seconds  of all calls together until now
    """

    def __init__(self, basis: Basis, held_byte_seconds: Callable[[], float]) -> None:
        self._accrued = None if basis.is_off else Accrued(basis)
        self._reserved_vcpus = basis.reserved_vcpus
        self._held_byte_seconds = held_byte_seconds
        self._resident = MemoryGauge()
        self._resident.add(resident_bytes())
        self._lock = threading.Lock()
        self._last = (time.monotonic(), 0.0, 0.0)

    def ready(self) -> None:
        """Everything is loaded that calls need."""
        self._resident.add(resident_bytes() - self._resident.bytes)

    def memory_byte_seconds(self) -> float:
        """Until now."""
        return self._resident.byte_seconds() + self._held_byte_seconds()

    def amounts(self) -> Mapping[tuple[str, str, str], Range]:
        """Estimates until now."""
        if self._accrued is None:
            return {}
        with self._lock:
            now = (time.monotonic(), time.process_time(), self.memory_byte_seconds())
            seconds, cpu, memory = (max(0.0, new - old) for new, old in zip(now, self._last, strict=True))
            self._last = now
            # More than what is reserved may be lent for a while: then nothing of it is idle.
            reserved = None if self._reserved_vcpus is None else max(cpu, self._reserved_vcpus * seconds)
            self._accrued.add(Drivers(cpu, memory, reserved_vcpu_seconds=reserved))
        return self._accrued.amounts
