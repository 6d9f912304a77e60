"""The rate at which objects are started: configured caps, and backing off where a store throttles."""

import time
from collections.abc import Callable

SLOTS_MIN = 1
SLOTS_LIMIT_MAX = 64  # once this many are reached, slots are unlimited again
UNLIMITED = 1 << 30
SUCCESSES_PER_SLOT = 20  # answers without throttling before another slot is granted
BURST_SECONDS = 1.0  # of an unused cap that may be used at once


class RateLimit:
    """Caps on objects and bytes read per second; and slots, halved when the store throttles and slowly granted again.

    objects_per_second, read_bytes_per_second  None: no cap
    """

    def __init__(
        self,
        objects_per_second: float | None = None,
        read_bytes_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caps = (objects_per_second, read_bytes_per_second)
        self._debts = [0.0, 0.0]  # seconds until each cap allows the next object
        self._clock = clock
        self._last = clock()
        self._successes = 0
        self.slots = UNLIMITED

    @property
    def reason(self) -> str:
        """A description of why no object is started although slots are free."""
        if self.slots < UNLIMITED:
            return "the store is throttling"
        return "rate limit" if max(self._debts) > 0 else ""

    def _elapse(self) -> None:
        now = self._clock()
        passed, self._last = now - self._last, now
        self._debts = [max(-BURST_SECONDS, debt - passed) for debt in self._debts]

    def try_acquire(self, size: int) -> bool:
        """Return whether an object of `size` bytes may start now, and count it if so.

        An object may exceed what a cap has left: those after it wait longer.
        """
        self._elapse()
        if any(cap is not None and debt > 0 for cap, debt in zip(self._caps, self._debts, strict=True)):
            return False
        for number, amount in enumerate((1, size)):
            cap = self._caps[number]
            if cap is not None:
                self._debts[number] += amount / cap
        return True

    def wait_seconds(self, most: float) -> float:
        """Return the seconds until every cap allows another object, at most `most`; `most` where no cap prevents it."""
        self._elapse()
        debts = (debt for cap, debt in zip(self._caps, self._debts, strict=True) if cap is not None)
        debt = max(debts, default=0.0)
        return min(most, debt) if debt > 0 else most

    def record_throttling(self, in_flight: int) -> None:
        """Halve the slots: the store throttled a request while so many objects were in flight."""
        self.slots = max(SLOTS_MIN, min(self.slots, in_flight) // 2)
        self._successes = 0

    def record_success(self) -> None:
        """Count an answer without throttling; after enough of them grant another slot."""
        self._successes += 1
        if self._successes >= SUCCESSES_PER_SLOT and self.slots < UNLIMITED:
            self._successes, self.slots = 0, self.slots + 1
            if self.slots >= SLOTS_LIMIT_MAX:
                self.slots = UNLIMITED
