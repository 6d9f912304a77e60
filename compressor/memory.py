"""What a process may use, and where what needs a second look waits: the byte budget and the spool.

A **spool** keeps bytes in memory up to SPOOL_MEMORY_BYTES and in an unlinked file above that, so nothing is left
behind whatever happens to the process. The file's directory must be on a disk: on a memory-backed file system the
spool would be memory that no budget sees.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from compressor.errors import BusyError, LimitError, SettingsError
from compressor.spool import MEMORY_BACKED, Spool, default_spool_dir, file_system
from compressor.usage import MemoryGauge

PATIENCE_SECONDS = 0.25


class Reservation:
    """A request's share of the byte budget, given back on `close`.

    It begins with what any request takes, grows by what its header holds, and then waits once for what its image needs.
    """

    def __init__(self, resources: "Resources") -> None:
        self._resources = resources
        self.held = MemoryGauge()
        self.admitted = False  # what the image needs is there; until then others may be served first

    @property
    def bytes(self) -> int:
        return self.held.bytes

    def hold(self, count: int) -> None:
        """Take `count` more bytes at once. Raises LimitError if they never fit, BusyError where others need them."""
        self._resources.take(self, count)

    def extend(self, count: int, still_wanted: Callable[[], None] = lambda: None) -> None:
        """Take `count` more bytes for the image, waiting for one's turn.

        still_wanted  called every PATIENCE_SECONDS of waiting; what it raises ends the wait

        Raises LimitError if it can never fit, BusyError if the queue is full or the wait too long.
        """
        self._resources.await_room(self, count, still_wanted)

    def close(self) -> None:
        """Give it back; again is harmless."""
        self._resources.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Resources:
    """What all requests of a process share.

    memory_budget  bytes that all requests may reserve together, those that wait included, or None for no limit
    spool_dir      where spools go once they outgrow memory; None: `default_spool_dir`
    spool_budget   bytes that all spools may hold together, or None for no limit
    queue_limit    requests that may wait for memory at the same time
    wait_seconds   how long one waits before it is told to come back
    overhead       bytes that each request takes besides what its image needs: windows, pipes, its thread

    Requests that wait hold something already, so two rules keep them from starving each other: they are served in the
    order of their coming, and nobody takes what would leave the neediest of those who wait without hope, though all
    that are admitted had ended.
    """

    def __init__(
        self,
        *,
        memory_budget: int | None = None,
        spool_dir: str | None = None,
        spool_budget: int | None = None,
        queue_limit: int = 256,
        wait_seconds: float = 30.0,
        overhead: int = 0,
    ) -> None:
        self.spool_dir = spool_dir or default_spool_dir()
        if not os.path.isdir(self.spool_dir) or not os.access(self.spool_dir, os.W_OK):
            raise SettingsError("spool_dir", f"{self.spool_dir} is not a writable directory")
        if (kind := file_system(self.spool_dir)) in MEMORY_BACKED:
            raise SettingsError("spool_dir", f"{self.spool_dir} is in memory ({kind}): name a directory on a disk")
        self.memory_budget = memory_budget
        self.spool_budget = spool_budget
        self.queue_limit = queue_limit
        self.wait_seconds = wait_seconds
        self.overhead = overhead
        self.held = MemoryGauge()
        self.spooled_bytes = 0
        self._early_bytes = 0  # reserved by requests that are not admitted yet
        self._queue: deque[tuple[Reservation, int]] = deque()  # who waits, and for how many bytes more
        self._changed = threading.Condition()

    @property
    def reserved_bytes(self) -> int:
        """Of all requests together."""
        return self.held.bytes

    def reservation(self) -> Reservation:
        """Of a request that begins: the overhead. Raises BusyError where there is no room for it."""
        reservation = Reservation(self)
        self.take(reservation, self.overhead)
        return reservation

    def take(self, reservation: Reservation, count: int) -> None:
        """`Reservation.hold`."""
        with self._changed:
            self._check_possible(reservation, count)
            needed = max((missing for _, missing in self._queue), default=0)
            early = count + (0 if reservation.admitted else self._early_bytes + needed)
            if self.memory_budget is not None and max(self.reserved_bytes + count, early) > self.memory_budget:
                raise BusyError(f"{count} bytes of memory are not free", self.wait_seconds / 4)
            self._add(reservation, count)

    def await_room(self, reservation: Reservation, count: int, still_wanted: Callable[[], None]) -> None:
        """`Reservation.extend`."""
        with self._changed:
            if self.memory_budget is not None:
                self._queue_up(reservation, count, still_wanted)
            self._add(reservation, count)
            self._early_bytes -= reservation.bytes
            reservation.admitted = True

    def _queue_up(self, reservation: Reservation, missing: int, still_wanted: Callable[[], None]) -> None:
        budget = self.memory_budget or 0
        self._check_possible(reservation, missing)
        if self._queue or self.reserved_bytes + missing > budget:
            if len(self._queue) >= self.queue_limit:
                raise BusyError(f"{self.queue_limit} requests are waiting for memory already", self.wait_seconds / 4)
            if self._early_bytes + missing > budget:
                raise BusyError("those that wait for memory leave too little of it", self.wait_seconds / 4)
        ticket = (reservation, missing)
        self._queue.append(ticket)
        try:
            self._await_turn(ticket, still_wanted)
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()

    def _await_turn(self, ticket: tuple[Reservation, int], still_wanted: Callable[[], None]) -> None:
        """First come, first served: a large request is not overtaken for ever by small ones."""
        deadline = time.monotonic() + self.wait_seconds
        budget, missing = self.memory_budget or 0, ticket[1]
        while self._queue[0] is not ticket or self.reserved_bytes + missing > budget:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BusyError(
                    f"{missing} bytes of memory did not become free within {self.wait_seconds:g} s",
                    self.wait_seconds / 4,
                )
            self._changed.wait(min(left, PATIENCE_SECONDS))
            still_wanted()

    def _check_possible(self, reservation: Reservation, count: int) -> None:
        needed = reservation.bytes + count
        if self.memory_budget is not None and needed > self.memory_budget:
            raise LimitError(f"needs {needed} bytes of memory, more than the whole budget of {self.memory_budget}")

    def _add(self, reservation: Reservation, count: int) -> None:
        reservation.held.add(count)
        self.held.add(count)
        if not reservation.admitted:
            self._early_bytes += count

    def release(self, reservation: Reservation) -> None:
        """`Reservation.close`; those who wait look again."""
        with self._changed:
            self._add(reservation, -reservation.bytes)
            self._changed.notify_all()

    def charge_disk(self, count: int) -> None:
        """Count bytes that spools take or, negative, give back."""
        with self._changed:
            if count > 0 and self.spool_budget is not None and self.spooled_bytes + count > self.spool_budget:
                raise LimitError(f"the spools' budget of {self.spool_budget} bytes is used up")
            self.spooled_bytes += count

    def spool(self, still_wanted: Callable[[], None] = lambda: None) -> Spool:
        """A new, empty spool; `still_wanted` as there."""
        return Spool(self.spool_dir, self.charge_disk, still_wanted)
