"""Quotas of a tenant: calls per second, bytes per second, and memory at once.

Nothing here depends on a transport. Whoever admits a call asks `admit`. Whoever reads an upload waits as long as
`count` says. Whoever reserves memory asks `reserve`, and calls `release` once it is free again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from compressor.errors import BusyError, LimitError

BURST_SECONDS = 1.0  # what a tenant that was idle may use at once
RETRY_SECONDS = 1.0  # until memory may be free again: that depends on the tenant's other calls


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """The limits of one tenant; None: no limit.

    calls   calls per second
    bytes   bytes received per second
    memory  bytes that all its calls may reserve at once
    """

    calls: float | None = None
    bytes: float | None = None
    memory: int | None = None


class TokenBucket:
    """A token bucket: at most `rate` a second on average, and what accrues in BURST_SECONDS at once, at least 1.

    The level falls below 0 by what was taken in advance, which has to accrue before anything else is taken.
    """

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = self._most
        self._at = now

    @property
    def _most(self) -> float:
        return max(self._rate * BURST_SECONDS, 1.0)

    def set_rate(self, rate: float, now: float) -> None:
        """Use another rate from now on."""
        self._accrue(now)
        self._rate = rate

    def wait_seconds(self, count: float, now: float) -> float:
        """Return how long to wait until `count` can be taken; 0 if it can be now."""
        self._accrue(now)
        return max(0.0, (count - self._level) / self._rate)

    def take(self, count: float, now: float) -> None:
        """Take `count`, even if the level falls below 0."""
        self._accrue(now)
        self._level -= count

    def _accrue(self, now: float) -> None:
        self._level = min(self._level + max(0.0, now - self._at) * self._rate, self._most)
        self._at = now


class Quota:
    """A tenant's use of the service, and its limits. Any thread may call it.

    clock  returns seconds that never go back; tests replace it
    """

    def __init__(self, name: str, limits: QuotaLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._clock = name, clock
        self._lock = threading.Lock()
        self._calls: TokenBucket | None = None
        self._bytes: TokenBucket | None = None
        self._reserved = 0
        self.limits = QuotaLimits()
        self.change(limits)

    @property
    def reserved_bytes(self) -> int:
        """Return the bytes that the tenant's calls have reserved."""
        return self._reserved

    def change(self, limits: QuotaLimits) -> None:
        """Use other limits from now on. What is in use counts for them."""
        with self._lock:
            self.limits = limits
            self._calls = self._bucket(self._calls, limits.calls)
            self._bytes = self._bucket(self._bytes, limits.bytes)

    def _bucket(self, present: TokenBucket | None, rate: float | None) -> TokenBucket | None:
        if present is None or rate is None:
            return None if rate is None else TokenBucket(rate, self._clock())
        present.set_rate(rate, self._clock())
        return present

    def admit(self) -> None:
        """Count a call. Raise BusyError, and count nothing, if there were too many in the last second."""
        with self._lock:
            if self._calls is None:
                return
            now = self._clock()
            if wait := self._calls.wait_seconds(1, now):
                raise BusyError(f"{self._name} may make {self.limits.calls:g} calls per second", wait)
            self._calls.take(1, now)

    def count(self, size: int) -> float:
        """Count bytes that have been received. Return for how many seconds no more may be read from this call, so that
        the tenant stays within its bytes per second; 0: read on."""
        with self._lock:
            if self._bytes is None:
                return 0.0
            now = self._clock()
            self._bytes.take(size, now)
            return self._bytes.wait_seconds(0, now)

    def reserve(self, size: int, held: int = 0) -> None:
        """Count memory that is about to be reserved by a call that has reserved `held` bytes.

        Raise LimitError if it is more than all that the tenant may reserve, BusyError if its other calls have too much.
        """
        with self._lock:
            most, needed = self.limits.memory, held + size
            if most is not None and needed > most:
                raise LimitError(f"needs {needed} bytes of memory, more than the {most} that {self._name} may reserve")
            if most is not None and self._reserved + size > most:
                problem = f"{self._name} may reserve {most} bytes of memory at once, and has reserved {self._reserved}"
                raise BusyError(problem, RETRY_SECONDS)
            self._reserved += size

    def release(self, size: int) -> None:
        """Count memory as free again."""
        with self._lock:
            assert 0 <= size <= self._reserved
            self._reserved -= size
