"""The door: whether a call may begin is decided when it arrives, before any of it is read and any thread is made.

Every call that is let in is charged for what it may hold besides its image, until it has ended. One is refused if too
many calls are open, if memory is short, or if those before it would keep the cores busy for too long. While calls are
refused for want of room, those whose clients are late make way.

It runs in the event loop, and waits for nothing but memory that has to be brought from elsewhere.
"""

import asyncio
import heapq
import math
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from compressor.calls.patience import ClientClock, Patience
from compressor.cores import Demand, cores
from compressor.errors import BusyError, CompressorError, DeadlineError
from compressor.memory import Allowance, Reservation, Resources

CPU_SECONDS = 0.02  # of a call of which nothing is known, until others have ended
WEIGHT = 1 / 16  # of the last call in the means of all
SILENT_SECONDS = 0.5  # after which a call that waits for its client is not expected to need a core soon
LATE_SECONDS = 2.0  # that a client has to be late for its call to make way
# Calls that make way at a time, those whose clients are the latest; and seconds between two times, since all calls are
# compared for it.
MAKE_WAY, MAKE_WAY_SECONDS = 8, 0.1
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.1, 30.0
PATIENT_CALLS = 8  # that wait at the same time for memory to be brought
BACKLOG_SECONDS = 0.02  # that a sum over all calls is used again
RATE_SECONDS = 2.0  # over which the rate of work is measured: some ten calls of 12 megapixels
RATE_MIN = 0.1  # of the cores
TICK_SECONDS = 0.25
CUT_OFF_SECONDS = 1.0  # for a call that was given up to end: its client may have to read what was sent before


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """The limits of the door.

    calls           that are open at the same time
    calls_per_peer  of one address; None: no limit
    queue_seconds   of expected CPU time before a call, on all cores; a deadline lowers it to half of what is left
    """

    calls: int = 256
    calls_per_peer: int | None = None
    queue_seconds: float = 5.0


class Admitted:
    """A call that is let in.

    reservation  of its memory: the overhead, until the call has ended
    demand       for cores, and the deadline
    clock        of its client
    is_working   whether it may still need a core
    give_up      called with the error that ends it, when its client takes too long or it has to make way
    cut_off      called if that has not ended it
    """

    def __init__(self, peer: str, reservation: Reservation, demand: Demand, clock: ClientClock) -> None:
        self.peer, self.reservation, self.demand, self.clock = peer, reservation, demand, clock
        self.is_working = True
        self.given_up_at: float | None = None
        self.forget()

    def forget(self) -> None:
        """Forget what is called: it refers to the call, which should be freed at its end."""
        self.give_up: Callable[[CompressorError], None] = lambda error: None
        self.cut_off: Callable[[], None] = lambda: None

    def end(self, error: CompressorError, now: float) -> None:
        """End the call, unless that has begun."""
        if self.given_up_at is None:
            self.given_up_at = now
            self.give_up(error)

    def backlog_seconds(self, mean: float, now: float) -> float:
        """Return the CPU time that it is expected to need from now on; `mean` if nothing is known of its image."""
        if not self.is_working or self.clock.is_waiting(SILENT_SECONDS, now):
            return 0.0
        demand = self.demand
        return max(0.0, (demand.expected_seconds or mean) - demand.spent_seconds)


class WorkRate:
    """The CPU seconds of work in a second while there is more than the cores can do at once.

    It is less than the number of cores where the cores have other work, too: the transport's, or another process'.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work = self._seconds = self._pending = 0.0  # decaying sums; work since `at`
        self._at = 0.0

    def count(self, cpu_seconds: float) -> None:
        """Count work that has been done; called in any thread."""
        with self._lock:
            self._pending += cpu_seconds

    def measure(self, is_busy: bool, now: float) -> None:
        """End an interval, in which the cores had more than enough to do, or not."""
        with self._lock:
            seconds, self._at = min(now - self._at, RATE_SECONDS), now
            if is_busy:
                kept = math.exp(-seconds / RATE_SECONDS)
                self._work = self._work * kept + self._pending
                self._seconds = self._seconds * kept + seconds
            self._pending = 0.0

    @property
    def value(self) -> float:
        """Return the rate; that of idle cores until it is known."""
        if self._seconds < RATE_SECONDS / 2:
            return cores.count
        return min(max(self._work / self._seconds, RATE_MIN * cores.count), cores.count)


class Door:
    """The door of a server, with the calls that it has let in."""

    def __init__(self, resources: Resources, limits: DoorLimits, patience: Patience) -> None:
        self._resources, self._limits, self._patience = resources, limits, patience
        resources.retry_seconds = self.retry_seconds
        self._open: set[Admitted] = set()
        self._peers = Counter[str]()
        self._entering = self._patient = 0  # calls between the checks and the reservation; those that wait for it
        self._mean_cpu = CPU_SECONDS
        # Between the ends of two calls, while any is open; the last end, or when the first one was let in.
        self._mean_interval, self._busy_since = CPU_SECONDS, 0.0
        self._backlog, self._backlog_at = 0.0, 0.0
        self._work, self._is_busy = WorkRate(), False
        self._has_late, self._made_way_at = False, -math.inf

    @property
    def open_calls(self) -> int:
        """Return the number of calls that are let in and have not ended."""
        return len(self._open)

    @asynccontextmanager
    async def admitted(
        self, peer: str, deadline: float | None, allowance: Allowance | None = None
    ) -> AsyncIterator[Admitted]:
        """Let a call in for the block.

        peer       the address of its client
        deadline   of time.monotonic(), or None
        allowance  what its memory counts for, besides the budget

        Raise BusyError, with the time after which there may be room, or DeadlineError.
        """
        self._check(peer, deadline)
        self._peers[peer] += 1
        self._entering += 1
        try:
            try:
                reservation = await self._reserved(allowance)
            finally:
                self._entering -= 1
            admitted = Admitted(peer, reservation, Demand(deadline), ClientClock(self._patience, time.monotonic()))
            if not self._open:
                self._busy_since = time.monotonic()
            self._open.add(admitted)
            self._backlog += self._mean_cpu
            try:
                yield admitted
            finally:
                self._open.discard(admitted)
                reservation.close()
                self._count_end(time.monotonic())
        finally:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]

    def _check(self, peer: str, deadline: float | None) -> None:
        limits, now = self._limits, time.monotonic()
        if deadline is not None and deadline <= now:
            raise DeadlineError("the deadline has passed")
        if limits.calls_per_peer is not None and self._peers[peer] >= limits.calls_per_peer:
            raise BusyError(f"{limits.calls_per_peer} calls of this client are running", self.retry_seconds())
        if len(self._open) + self._entering >= limits.calls:
            self._make_way(now)
            raise BusyError(f"{limits.calls} calls are running", self.retry_seconds())
        expected = self.expected_seconds(now)
        allowed = limits.queue_seconds if deadline is None else min(limits.queue_seconds, (deadline - now) / 2)
        if expected > allowed:
            raise BusyError(f"the calls before are expected to take {expected:.2g} s", self.retry_seconds())
        if self._resources.longest_wait_seconds > limits.queue_seconds / 2:
            self._make_way(now)
            raise BusyError("calls are waiting for memory", self.retry_seconds())

    async def _reserved(self, allowance: Allowance | None) -> Reservation:
        """Return a reservation of a call's overhead."""
        try:
            reservation = self._resources.reservation_at_once() or await self._brought()
        except BusyError as error:
            self._make_way(time.monotonic())
            raise BusyError(str(error), self.retry_seconds()) from None
        if allowance is not None:
            try:
                reservation.count_for(allowance)
            except CompressorError:
                reservation.close()
                raise
        return reservation

    async def _brought(self) -> Reservation:
        """Return the same, of memory that has to be brought: on a thread, since that takes some time."""
        if self._patient >= PATIENT_CALLS:
            raise BusyError("memory is short", self.retry_seconds())
        self._patient += 1
        waiting = asyncio.get_running_loop().run_in_executor(None, self._resources.reservation)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            waiting.add_done_callback(_close)
            raise
        finally:
            self._patient -= 1

    def _make_way(self, now: float) -> None:
        """End the calls whose clients are the latest, if any are late enough."""
        if now - self._made_way_at < MAKE_WAY_SECONDS:
            return
        self._made_way_at = now
        lateness = {call: call.clock.lateness(now) for call in self._open if call.given_up_at is None}
        latest = heapq.nlargest(MAKE_WAY, lateness, key=lateness.__getitem__)
        # Calls whose clients are late do not end as others did: they will have to make way.
        self._has_late = bool(latest) and lateness[latest[0]] > SILENT_SECONDS
        error = BusyError("ended to make way for other calls: its client was slow", self.retry_seconds())
        for call in latest:
            if lateness[call] > LATE_SECONDS:
                call.end(error, now)

    def expected_seconds(self, now: float) -> float:
        """Return the time after which the cores are expected to have done the work of all calls."""
        if now - self._backlog_at > BACKLOG_SECONDS:
            left = [call.backlog_seconds(self._mean_cpu, now) for call in self._open]
            self._work.measure(self._is_busy, now)
            self._is_busy = sum(seconds > 0 for seconds in left) > cores.count
            self._backlog, self._backlog_at = sum(left), now
        return self._backlog / self._work.value

    def retry_seconds(self) -> float:
        """Return after what time there may be room: when half of the calls will have ended, if they go on as before, or
        when late ones can have made way."""
        longest = LATE_SECONDS / 2 + CUT_OFF_SECONDS / 2 if self._has_late else RETRY_SECONDS_MAX
        return min(max(RETRY_SECONDS, len(self._open) / 2 * self._mean_interval), longest)

    def _count_end(self, now: float) -> None:
        """Count the end of a call."""
        self._mean_interval += WEIGHT * (now - self._busy_since - self._mean_interval)
        self._busy_since = now

    def learn(self, cpu_seconds: float) -> None:
        """Count the CPU time of a call whose work has ended; called in any thread."""
        self._work.count(cpu_seconds)
        self._mean_cpu += WEIGHT * (cpu_seconds - self._mean_cpu)

    async def watch(self) -> None:
        """End calls whose clients take too long, until canceled."""
        tick = min(TICK_SECONDS, self._patience.idle_seconds / 4, self._patience.header_seconds / 4)
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            for call in self._overdue(now):
                call.cut_off()

    def _overdue(self, now: float) -> Iterator[Admitted]:
        """End calls, and yield those that have not ended although they should have."""
        for call in list(self._open):
            if call.given_up_at is not None:
                if now - call.given_up_at > CUT_OFF_SECONDS:
                    yield call
            elif (problem := call.clock.problem(now)) is not None:
                call.end(problem, now)


def _close(reserved: asyncio.Future[Reservation]) -> None:
    """Free a reservation whose call has ended."""
    if not reserved.cancelled() and reserved.exception() is None:
        reserved.result().close()
