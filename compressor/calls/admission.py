"""Admission control: whether a call may begin is decided when it arrives, before any of it is read or a thread made.

Every admitted call is charged for what it may hold besides its image, until it and its thread have ended. One is
refused if too many calls are open, if memory is short, or if those before it would keep the cores busy for too long.
While calls are refused for want of room, those whose clients are late are ended.

It runs in the event loop, and waits for nothing but memory that has to be taken back from others.
"""

import asyncio
import heapq
import ipaddress
import math
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from compressor.calls.client_clock import ClientClock, ClientLimits
from compressor.cores import Demand, cores
from compressor.errors import BusyError, CompressorError, DeadlineError
from compressor.memory import Allowance, Reservation, Resources

CPU_SECONDS = 0.02  # of a call of which nothing is known, until others have ended
WEIGHT = 1 / 16  # of the last call in the means of all
SILENT_SECONDS = 0.5  # after which a call that waits for its client is not expected to need a core soon
LATE_SECONDS = 2.0  # that a client has to be late for its call to be evicted
# Calls that are evicted at a time, those whose clients are the latest; and seconds between two times, since all calls
# are compared for it.
EVICTED_MAX, EVICTION_SECONDS = 8, 0.1
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.1, 30.0
RECLAIMING_CALLS_MAX = 8  # that wait at the same time for memory to be taken back from spools or other processes
BACKLOG_SECONDS = 0.02  # that a sum over all calls is used again
RATE_SECONDS = 2.0  # over which the rate of work is measured: some ten calls of 12 megapixels
RATE_MIN = 0.1  # of the cores
TICK_SECONDS = 0.25
CUT_OFF_SECONDS = 1.0  # for a call that was given up to end: its client may have to read what was sent before


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """The limits of admission.

    calls           that are open at the same time
    calls_per_peer  of one address; None: no limit
    queue_seconds   of expected CPU time before a call, on all cores; a deadline lowers it to half of what is left
    """

    calls: int = 256
    calls_per_peer: int | None = None
    queue_seconds: float = 5.0


class AdmittedCall:
    """A call that is admitted.

    reservation  of its memory: the overhead, until the call has ended
    demand       for cores, and the deadline
    clock        of its client
    is_working   whether it may still need a core
    give_up      called with the error that ends it, when its client takes too long or it is evicted
    cut_off      called if that has not ended it
    """

    def __init__(self, peer: str, reservation: Reservation, demand: Demand, clock: ClientClock) -> None:
        self.peer, self.reservation, self.demand, self.clock = peer, reservation, demand, clock
        self.is_working = True
        self.given_up_at: float | None = None
        self._users, self._lock = 1, threading.Lock()
        self.forget()

    def share(self) -> None:
        """Keep the reservation until one more user has left: the thread of a call may go on for some time after it."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """Leave. The last user closes the reservation."""
        with self._lock:
            self._users -= 1
            is_last = not self._users
        if is_last:
            self.reservation.close()

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
        self._work = self._seconds = 0.0  # decaying sums
        self._at = 0.0

    def measure(self, work: float, is_busy: bool, now: float) -> None:
        """End an interval with so many CPU seconds of work, in which the cores had more than enough to do, or not."""
        seconds, self._at = min(now - self._at, RATE_SECONDS), now
        if is_busy:
            kept = math.exp(-seconds / RATE_SECONDS)
            self._work = self._work * kept + work
            self._seconds = self._seconds * kept + seconds

    @property
    def value(self) -> float:
        """Return the rate; that of idle cores until it is known."""
        if self._seconds < RATE_SECONDS / 2:
            return cores.count
        return min(max(self._work / self._seconds, RATE_MIN * cores.count), cores.count)


class Admission:
    """Admits the calls of a server, and watches those that it has admitted."""

    def __init__(self, resources: Resources, limits: AdmissionLimits, client_limits: ClientLimits) -> None:
        self._resources, self._limits, self._client_limits = resources, limits, client_limits
        resources.retry_seconds = self.retry_seconds
        self._open: set[AdmittedCall] = set()
        self._peers = Counter[str]()
        self._entering = self._reclaiming = 0  # calls between the checks and the reservation; waits for memory
        self._threads = ThreadPoolExecutor(RECLAIMING_CALLS_MAX, "memory")
        self._mean_cpu = CPU_SECONDS
        # Between the ends of two calls, while any is open; the last end, or when the first one was admitted.
        self._mean_interval, self._busy_since = CPU_SECONDS, 0.0
        self._backlog, self._backlog_at = 0.0, 0.0
        self._work, self._is_busy = WorkRate(), False
        self._ended_seconds = self._spent_seconds = 0.0  # CPU time of calls that have ended; of all lately
        self._has_late, self._evicted_at = False, -math.inf

    @property
    def open_calls(self) -> int:
        """Return the number of calls that are admitted and have not ended."""
        return len(self._open)

    @property
    def idle_seconds(self) -> float:
        """Return how long a client may neither send nor read."""
        return self._client_limits.idle_seconds

    @asynccontextmanager
    async def admitted(
        self, peer: str, deadline: float | None, allowance: Allowance | None = None
    ) -> AsyncIterator[AdmittedCall]:
        """Admit a call for the block.

        peer       its client, see `client_key`
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
            clock = ClientClock(self._client_limits, time.monotonic())
            admitted = AdmittedCall(peer, reservation, Demand(deadline), clock)
            if not self._open:
                self._busy_since = time.monotonic()
            self._open.add(admitted)
            self._backlog += self._mean_cpu
            try:
                yield admitted
            finally:
                self._open.discard(admitted)
                self._ended_seconds += admitted.demand.spent_seconds
                admitted.leave()
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
            self._evict_late(now)
            raise BusyError(f"{limits.calls} calls are running", self.retry_seconds())
        expected = self.expected_seconds(now)
        allowed = limits.queue_seconds if deadline is None else min(limits.queue_seconds, (deadline - now) / 2)
        if expected > allowed:
            raise BusyError(f"the calls before are expected to take {expected:.2g} s", self.retry_seconds())
        if self._resources.longest_wait_seconds > limits.queue_seconds / 2:
            self._evict_late(now)
            raise BusyError("calls are waiting for memory", self.retry_seconds())

    async def _reserved(self, allowance: Allowance | None) -> Reservation:
        """Return a reservation of a call's overhead."""
        try:
            reservation = self._resources.reservation_at_once() or await self._reclaimed()
        except BusyError as error:
            self._evict_late(time.monotonic())
            raise BusyError(str(error), self.retry_seconds()) from None
        if allowance is not None:
            try:
                reservation.count_for(allowance)
            except CompressorError:
                reservation.close()
                raise
        return reservation

    async def _reclaimed(self) -> Reservation:
        """Return the same, of memory that has to be taken back from others: on a thread, since that takes some time."""
        if self._reclaiming >= RECLAIMING_CALLS_MAX:
            raise BusyError("memory is short", self.retry_seconds())
        self._reclaiming += 1
        waiting = asyncio.get_running_loop().run_in_executor(self._threads, self._resources.reservation)
        waiting.add_done_callback(self._count_reclaimed)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            waiting.add_done_callback(_close)
            raise

    def _count_reclaimed(self, reserved: "asyncio.Future[Reservation]") -> None:
        """Count a wait that has ended, be it that of a call which has not waited for it."""
        self._reclaiming -= 1

    def _evict_late(self, now: float) -> None:
        """End the calls whose clients are the latest, if any are late enough."""
        if now - self._evicted_at < EVICTION_SECONDS:
            return
        self._evicted_at = now
        lateness = {call: call.clock.lateness(now) for call in self._open if call.given_up_at is None}
        latest = heapq.nlargest(EVICTED_MAX, lateness, key=lateness.__getitem__)
        # Calls whose clients are late do not end as others did: they will be evicted.
        self._has_late = bool(latest) and lateness[latest[0]] > SILENT_SECONDS
        error = BusyError("ended to make room for other calls: its client was slow", self.retry_seconds())
        for call in latest:
            if lateness[call] > LATE_SECONDS:
                call.end(error, now)

    def expected_seconds(self, now: float) -> float:
        """Return the time after which the cores are expected to have done the work of all calls."""
        if now - self._backlog_at > BACKLOG_SECONDS:
            left = [call.backlog_seconds(self._mean_cpu, now) for call in self._open]
            spent = self._ended_seconds + sum(call.demand.spent_seconds for call in self._open)
            self._work.measure(spent - self._spent_seconds, self._is_busy, now)
            self._spent_seconds = spent
            self._is_busy = sum(seconds > 0 for seconds in left) > cores.count
            self._backlog, self._backlog_at = sum(left), now
        return self._backlog / self._work.value

    def retry_seconds(self) -> float:
        """Return after what time there may be room: when half of the calls will have ended, if they go on as before, or
        when late ones can have been evicted."""
        longest = LATE_SECONDS / 2 + CUT_OFF_SECONDS / 2 if self._has_late else RETRY_SECONDS_MAX
        return min(max(RETRY_SECONDS, len(self._open) / 2 * self._mean_interval), longest)

    def _count_end(self, now: float) -> None:
        """Count the end of a call."""
        self._mean_interval += WEIGHT * (now - self._busy_since - self._mean_interval)
        self._busy_since = now

    def learn(self, cpu_seconds: float) -> None:
        """Count the CPU time of a call whose work has ended; called in any thread."""
        self._mean_cpu += WEIGHT * (cpu_seconds - self._mean_cpu)

    async def watch(self) -> None:
        """End calls whose clients take too long, until canceled."""
        tick = min(TICK_SECONDS, self._client_limits.idle_seconds / 4, self._client_limits.header_seconds / 4)
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            for call in self._overdue(now):
                call.cut_off()

    def _overdue(self, now: float) -> Iterator[AdmittedCall]:
        """End calls, and yield those that have not ended although they should have."""
        for call in list(self._open):
            if call.given_up_at is not None:
                if now - call.given_up_at > CUT_OFF_SECONDS:
                    yield call
            elif (problem := call.clock.problem(now)) is not None:
                call.end(problem, now)


def client_key(host: str) -> str:
    """Return what the calls of one client have in common: its IPv4 address, or the /64 of its IPv6 address.

    host  as a transport gives it: "10.0.0.7", "::1", "[::1]", percent-encoded, with a zone; anything else is returned
    """
    try:
        address = ipaddress.ip_address(unquote(host).strip("[]").partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address.ipv4_mapped)
    return str(address)


def _close(reserved: asyncio.Future[Reservation]) -> None:
    """Free a reservation whose call has ended."""
    if not reserved.cancelled() and reserved.exception() is None:
        reserved.result().close()
