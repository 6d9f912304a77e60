"""How fast objects may begin: caps that were asked for, and stepping back where a store asks to slow down."""

import time
from collections.abc import Callable

SLOTS_MIN = 1
CALM_ANSWERS = 20  # after so many good ones a slot more
BURST_SECONDS = 1.0  # of a cap that was not used may be used at once


class RateLimit:
    """Caps on objects and on bytes read, a second; and slots, halved when the store throttles and grown back slowly.

    objects_per_second, read_bytes_per_second  None: no cap
    """

    def __init__(
        self,
        objects_per_second: float | None = None,
        read_bytes_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caps = (objects_per_second, read_bytes_per_second)
        self._owed = [0.0, 0.0]  # seconds that each cap is behind
        self._clock = clock
        self._last = clock()
        self._good = 0
        self.slots = 1 << 30
        self._under_way = 1 << 30

    @property
    def reason(self) -> str:
        """Why nothing begins though there are slots: for people."""
        if self.slots < 1 << 30:
            return "the store asks to slow down"
        return "capped" if max(self._owed) > 0 else ""

    def _elapse(self) -> None:
        now = self._clock()
        passed, self._last = now - self._last, now
        self._owed = [max(-BURST_SECONDS, owed - passed) for owed in self._owed]

    def may(self, size: int) -> bool:
        """Whether an object of that size may begin now; it is counted then. An object may be larger than what is left:
        those after it wait the longer."""
        self._elapse()
        if any(cap is not None and owed > 0 for cap, owed in zip(self._caps, self._owed, strict=True)):
            return False
        for at, amount in enumerate((1, size)):
            cap = self._caps[at]
            if cap is not None:
                self._owed[at] += amount / cap
        return True

    def wait(self, most: float) -> float:
        """Seconds until every cap allows an object to begin, at most `most`; `most` where no cap stands in the way."""
        self._elapse()
        owed = max((owed for cap, owed in zip(self._caps, self._owed, strict=True) if cap is not None), default=0.0)
        return min(most, owed) if owed > 0 else most

    def throttled(self, under_way: int) -> None:
        """The store asked to slow down while so many objects were under way."""
        self.slots = max(SLOTS_MIN, min(self.slots, under_way) // 2)
        self._good = 0

    def went_well(self) -> None:
        """It did not."""
        self._good += 1
        if self._good >= CALM_ANSWERS and self.slots < 1 << 30:
            self._good, self.slots = 0, self.slots + 1
            if self.slots >= 64:
                self.slots = 1 << 30
