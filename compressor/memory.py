"""Admission of memory: the byte budget of a process, and the share of it that a request reserves."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from compressor.errors import BusyError, LimitError
from compressor.spool import Spool
from compressor.spool_budget import SpoolAccount, SpoolBudget
from compressor.spool_directory import SpoolDirectory
from compressor.usage import MemoryGauge

PATIENCE_SECONDS = 0.25
SHARE_SECONDS = 1.0  # that a request waits for a larger share of the budgets: some round trips, on a busy machine


class Allowance(Protocol):
    """The memory that the requests of one tenant may reserve together."""

    def reserve(self, size: int, held: int = 0) -> None:
        """Count memory that a request with `held` bytes is about to reserve. Raise LimitError or BusyError if that is
        too much."""
        ...

    def release(self, size: int) -> None:
        """Count memory as free again."""
        ...


class Reservation:
    """A request's share of the byte budget, released by `close`.

    It starts with the overhead of any request, grows by the metadata of its header, and then waits once for the memory
    of its image.

    bytes       without what is lent to its spools
    held        with it
    admitted    the memory of its image is reserved
    may_borrow  memory may be lent to its spools
    spools      what the spool budget knows of its spools
    wait        begin and end of the wait for the memory of its image, of time.monotonic(); None before it
    allowance   what it counts for, besides the budget
    """

    def __init__(self, resources: "Resources") -> None:
        self._resources = resources
        self.bytes = 0
        self.held = MemoryGauge()
        self.admitted = False
        self.may_borrow = True
        self.spools = SpoolAccount()
        self.wait: tuple[float, float] | None = None
        self.allowance: Allowance | None = None

    def hold(self, count: int) -> None:
        """Reserve `count` more bytes now. Raise LimitError if they never fit, BusyError if others need them."""
        with self._allowed(count):
            self._resources.take(self, count)

    def count_for(self, allowance: Allowance) -> None:
        """Count for an allowance from now on. Raise LimitError or BusyError if that is too much for it."""
        allowance.reserve(self.bytes)
        self.allowance = allowance

    @contextmanager
    def _allowed(self, count: int) -> Iterator[None]:
        """Count bytes for the allowance, unless the block raises an error."""
        if self.allowance is None:
            yield
            return
        self.allowance.reserve(count, self.bytes)
        try:
            yield
        except BaseException:
            self.allowance.release(count)
            raise

    def extend(self, count: int, still_wanted: Callable[[], None] = lambda: None) -> None:
        """Reserve `count` more bytes for the image; wait in a queue until they are free.

        still_wanted  called every PATIENCE_SECONDS of waiting; an exception that it raises ends the wait

        Raise LimitError if they never fit, BusyError if the queue is full or the wait too long.
        """
        began = time.monotonic()
        try:
            with self._allowed(count):
                self._resources.await_room(self, count, still_wanted)
        finally:
            self.wait = (began, time.monotonic())

    @property
    def most_bytes(self) -> int | None:
        """Return the bytes that can be reserved for the image at all; None: no limit."""
        return self._resources.most_bytes(self)

    def spool(self, still_wanted: Callable[[], None]) -> Spool:
        """Return a new, empty spool of this request, to be closed before the reservation."""
        return Spool(self._resources.spool_directory, self, still_wanted)

    def charge(self, count: int, still_wanted: Callable[[], None] = lambda: None) -> None:
        """Count bytes for `Lender.charge`."""
        self._resources.spools.charge(count, self.spools, still_wanted)

    def lend(self, spool: Spool, count: int) -> bool:
        """Lend memory for `Lender.lend`."""
        return self.may_borrow and self._resources.lend(spool, count, self)

    def take_back(self, spool: Spool) -> None:
        """Take back what was lent to a spool."""
        self._resources.take_back(spool)

    def shrink(self) -> None:
        """Release all but the overhead: the image is finished, its request is not."""
        self._release(self._resources.overhead)

    def close(self) -> None:
        """Release the reservation; may be called again."""
        self._release(0)

    def _release(self, kept: int) -> None:
        count = self.bytes - kept
        if count > 0:
            self._resources.release(self, count)
            if self.allowance is not None:
                self.allowance.release(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request that waits for the memory of its image: the bytes, and since when, of time.monotonic()."""

    missing: int
    since: float


class Resources:
    """The resources that all requests of a process share.

    memory_budget  bytes that all requests may reserve together, waiting ones included; None: no limit
    spool_dir      directory of spools that outgrow memory; see `SpoolDirectory`
    spool_budget   bytes that all spools may hold together; None: no limit
    queue_limit    number of requests that may wait for memory at the same time
    wait_seconds   longest wait before a request is refused as busy
    overhead       bytes of each request besides those of its image: HTTP/2 windows, pipes, its thread

    Waiting requests hold some memory already. Two rules keep them from starving each other: they are served in the
    order of arrival, and no reservation is made that would leave too little for the largest waiting request even after
    all admitted requests have ended.

    Memory that nobody has reserved and for which nobody waits is lent to spools. It never delays or rejects a request:
    whoever reserves it has the spools moved to their files first.
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
        self.spool_directory = SpoolDirectory(spool_dir)
        self.memory_budget = memory_budget
        self.queue_limit = queue_limit
        self.wait_seconds = wait_seconds
        self.overhead = overhead
        self.held = MemoryGauge()
        self._early_bytes = 0  # reserved by requests that are not admitted
        self._lent: dict[Spool, tuple[int, Reservation | None]] = {}
        self._lent_bytes = 0
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self.retry_seconds: Callable[[], float] = lambda: self.wait_seconds / 4  # after which a refused request may fit
        self._whole = memory_budget  # of all processes that share the budget
        self._missing = 0  # bytes that requests wait for outside the queue
        # Called after a reservation, never between a wait and what it was for, which looks idle until it is reserved.
        self._on_change: Callable[[], None] = lambda: None
        self.spools = SpoolBudget(spool_budget, self._changed)

    @property
    def spool_budget(self) -> int | None:
        """Return the bytes that spools of this process may hold together; None: no limit."""
        return self.spools.share

    @property
    def spooled_bytes(self) -> int:
        """Return the bytes in all spools."""
        return self.spools.used

    def share(self, memory: int, spool: int, on_change: Callable[[], None]) -> None:
        """Share the budgets with other processes from now on, and begin with `memory` and `spool` bytes of them.

        on_change  called when the shares may be too small, or larger than necessary
        """
        self.change_share(memory - (self.memory_budget or 0), spool - (self.spool_budget or 0))
        self._on_change = self.spools.on_change = on_change

    def change_share(self, memory: int = 0, spool: int = 0) -> None:
        """Add to this process's shares of the budgets, or subtract from them, and wake waiting requests."""
        with self._lock:
            self.memory_budget = None if self.memory_budget is None else self.memory_budget + memory
            self.spools.share = None if self.spools.share is None else self.spools.share + spool
            self._on_change()
            self._changed.notify_all()

    @property
    def use(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the bytes in use, and the share that the next requests need, 0 if none waits, of both budgets."""
        missing = self._missing + (self._queue[0].missing if self._queue else 0)
        memory = (self.reserved_bytes, missing and self._unlent_bytes + missing)
        spools = self.spools
        return memory, (spools.used, spools.missing and spools.used + spools.missing)

    def _await_share(self, count: int, fits: Callable[[], bool]) -> bool:
        """Return whether `count` bytes fit, or fit soon because other processes give up what they do not use."""
        if fits():
            return True
        if self.memory_budget == self._whole:
            return False
        self._missing += count
        try:
            self._on_change()
            return self._changed.wait_for(fits, SHARE_SECONDS)
        finally:
            self._missing -= count

    @property
    def reserved_bytes(self) -> int:
        """Return the bytes that all requests have reserved together, and those that are lent to spools."""
        return self.held.bytes

    @property
    def waiting(self) -> int:
        """Number of requests that wait for memory."""
        return len(self._queue)

    def reservation(self) -> Reservation:
        """Begin a request: reserve its overhead. Raise BusyError if there is no room for it."""
        reservation = Reservation(self)
        self.take(reservation, self.overhead)
        return reservation

    def reservation_at_once(self) -> Reservation | None:
        """Return the same without waiting for anything; None if it is worth to wait in `reservation`."""
        with self._lock:
            reservation = Reservation(self)
            is_early = self._fits_early(reservation, self.overhead)
            if is_early and (self.memory_budget is None or self.reserved_bytes + self.overhead <= self.memory_budget):
                self._add(reservation, self.overhead)
                self._on_change()
                return reservation
            # Lent memory can be taken back, and what other processes do not use can be brought.
            if is_early and (self.memory_budget != self._whole or self._is_free(self.overhead)):
                return None
        raise BusyError(f"{self.overhead} bytes of memory are not available", self.retry_seconds())

    @property
    def longest_wait_seconds(self) -> float:
        """Return how long the first request in the queue has waited for memory; 0 if none waits."""
        with self._lock:
            return time.monotonic() - self._queue[0].since if self._queue else 0.0

    def take(self, reservation: Reservation, count: int) -> None:
        """Reserve `count` bytes for `Reservation.hold`."""
        with self._lock:
            try:
                if self.memory_budget is not None:
                    self._check_possible(reservation, count)

                    def fits() -> bool:
                        return self._fits_early(reservation, count) and self._is_free(count)

                    if not self._fits_early(reservation, count) or not self._await_share(count, fits):
                        raise BusyError(f"{count} bytes of memory are not available", self.retry_seconds())
                recalled = self._recall(count)
                self._add(reservation, count)
            finally:
                self._on_change()
        for spool in recalled:
            spool.vacate()

    def _is_free(self, count: int) -> bool:
        return self.memory_budget is None or self._unlent_bytes + count <= self.memory_budget

    def _fits_early(self, reservation: Reservation, count: int) -> bool:
        """Return whether the requests that are not admitted leave enough for the largest waiting one."""
        needed = max((waiting.missing for waiting in self._queue), default=0)
        early = count + (0 if reservation.admitted else self._early_bytes + needed)
        return self._whole is None or early <= self._whole

    def await_room(self, reservation: Reservation, count: int, still_wanted: Callable[[], None]) -> None:
        """Reserve `count` bytes for `Reservation.extend`."""
        with self._lock:
            try:
                if self.memory_budget is not None:
                    self._queue_up(reservation, count, still_wanted)
                recalled = self._recall(count)
                self._add(reservation, count)
                self._early_bytes -= reservation.bytes
                reservation.admitted = True
            finally:
                self._on_change()
        for spool in recalled:
            spool.vacate()

    @property
    def _unlent_bytes(self) -> int:
        return self.reserved_bytes - self._lent_bytes

    def _recall(self, count: int) -> list[Spool]:
        """Take back what is lent until `count` bytes are free. Return the spools that have to be moved to files before
        these bytes are used, without holding the lock."""
        recalled: list[Spool] = []
        if self.memory_budget is not None:
            spools = iter(list(self._lent))
            while self._lent_bytes and self.reserved_bytes + count > self.memory_budget:
                recalled.append(next(spools))
                self._return(recalled[-1])
        return recalled

    def _return(self, spool: Spool) -> None:
        lent, reservation = self._lent.pop(spool, (0, None))
        self._lent_bytes -= lent
        self.held.add(-lent)
        if reservation is not None:
            reservation.held.add(-lent)

    def _queue_up(self, reservation: Reservation, missing: int, still_wanted: Callable[[], None]) -> None:
        self._check_possible(reservation, missing)
        if self._queue or not self._is_free(missing):
            if len(self._queue) >= self.queue_limit:
                raise BusyError(f"{self.queue_limit} requests are already waiting for memory", self.retry_seconds())
            if self._early_bytes + missing > (self._whole or 0):
                raise BusyError("waiting requests leave too little memory", self.retry_seconds())
        waiting = _Waiting(missing, time.monotonic())
        self._queue.append(waiting)
        try:
            self._await_turn(waiting, still_wanted)
        finally:
            self._queue.remove(waiting)
            self._changed.notify_all()

    def _await_turn(self, waiting: "_Waiting", still_wanted: Callable[[], None]) -> None:
        """Wait, first come, first served, so that small requests do not overtake a large one forever."""
        deadline = waiting.since + self.wait_seconds
        while self._queue[0] is not waiting or not self._is_free(waiting.missing):
            self._on_change()
            left = deadline - time.monotonic()
            if left <= 0:
                raise BusyError(
                    f"{waiting.missing} bytes of memory did not become available within {self.wait_seconds:g} s",
                    self.retry_seconds(),
                )
            self._changed.wait(min(left, PATIENCE_SECONDS))
            still_wanted()

    def _check_possible(self, reservation: Reservation, count: int) -> None:
        needed = reservation.bytes + count
        whole = self._whole
        if whole is not None and needed > whole:
            raise LimitError(f"needs {needed} bytes of memory, more than the whole memory budget of {whole}")

    def most_bytes(self, reservation: Reservation) -> int | None:
        """Return the bytes that a reservation can grow by at all, for `Reservation.most_bytes`."""
        return None if self._whole is None else self._whole - reservation.bytes

    def _add(self, reservation: Reservation, count: int) -> None:
        if not count:
            return
        reservation.bytes += count
        reservation.held.add(count)
        self.held.add(count)
        if not reservation.admitted:
            self._early_bytes += count

    def release(self, reservation: Reservation, count: int) -> None:
        """Free `count` bytes of a reservation, and wake the waiting requests."""
        with self._lock:
            self._add(reservation, -count)
            self._on_change()
            self._changed.notify_all()

    def charge(self, count: int, still_wanted: Callable[[], None] = lambda: None) -> None:
        """Count bytes of a spool that belongs to no request, for `Lender.charge`."""
        self.spools.charge(count, None, still_wanted)

    def lend(self, spool: Spool, count: int, reservation: Reservation | None = None) -> bool:
        """Lend `count` more bytes to a spool, if nobody has reserved them. Return whether they are lent."""
        with self._lock:
            lent, _ = self._lent.get(spool, (0, None))
            if self._queue or (self.memory_budget is not None and self.reserved_bytes + count > self.memory_budget):
                return False
            self._lent[spool] = lent + count, reservation
            self._lent_bytes += count
            self.held.add(count)
            if reservation is not None:
                reservation.held.add(count)
            return True

    def vacate_spools(self, ceiling: int) -> None:
        """Move spools to their files until no more than `ceiling` bytes are in use, or none is lent."""
        vacated: list[Spool] = []
        with self._lock:
            excess = self.reserved_bytes - ceiling
            for spool, (lent, _) in self._lent.items():
                if excess > 0:
                    vacated.append(spool)
                    excess -= lent
        for spool in vacated:
            spool.vacate()

    def take_back(self, spool: Spool) -> None:
        """Take back what was lent to a spool."""
        with self._lock:
            self._return(spool)
            self._on_change()

    def spool(self, still_wanted: Callable[[], None] = lambda: None) -> Spool:
        """Return a new, empty spool that belongs to no request; see `Spool` for `still_wanted`."""
        return Spool(self.spool_directory, self, still_wanted)
