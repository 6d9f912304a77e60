"""A process that makes calls: at given times whatever the server does (open load), or one after the other (closed).

One thread, so that the calls of a process cost the least CPU time. The results are checked when they arrive.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.harness.piped_process import PipedProcess
from benchmarks.service import http2, multiplexed
from benchmarks.service.mix import MixedFile
from benchmarks.service.multiplexed import DEADLINE_EXCEEDED, OK, RUNNING, UNAVAILABLE, Exchange, MultiplexedConnection
from benchmarks.service.records import BY_CLIENT, CallRecord, LoadRecords
from benchmarks.service.rpcs import RejectedError, Rpc

BUSY_CONNECTIONS = 2  # which get half of the calls
OTHER_CONNECTIONS = 30  # which share the other half
BUSY_SECONDS = 0.1  # before a caller of a closed load follows a call that failed with the next one
LATE_SECONDS = 1.0  # after its deadline, before a call that the server has not ended is given up
NO_CONNECTION = "no connection"


@dataclass(frozen=True)
class LoadOrder:
    """Calls to make, of files chosen at random.

    rate      calls in a second that arrive at random (a Poisson process); None: a closed load
    callers   of a closed load: each makes one call after the other
    calls     at most
    weights   of the sizes of the mix
    deadline  seconds of each call (grpc-timeout); None: none
    drain     seconds to wait for the last calls to end
    """

    seconds: float
    weights: tuple[float, ...]
    rate: float | None = None
    callers: int = 1
    calls: int = 1 << 30
    deadline: float | None = None
    drain: float = 60.0
    seed: int = 1


class LoadGenerator:
    """Connections to a server, each from another address of the loopback network, and the calls on them."""

    def __init__(self, address: str, rpc: Rpc, files: Sequence[MixedFile]) -> None:
        self._address, self._rpc, self._files = address, rpc, files
        self._connections: list[MultiplexedConnection | None] = [None] * (BUSY_CONNECTIONS + OTHER_CONNECTIONS)
        self._connecting: dict[int, asyncio.Task[None]] = {}  # by the number of the connection
        self._waiting = deque[tuple[Exchange, bytes, float | None]]()  # for a stream on any connection
        self._timers: dict[Exchange, asyncio.TimerHandle] = {}

    async def connect(self) -> None:
        """Open the connections that are missing."""
        await asyncio.gather(*(self._reconnect(n) for n, one in enumerate(self._connections) if not _usable(one)))

    def _reconnect(self, number: int) -> asyncio.Task[None]:
        """Open a connection again, unless it is being opened."""
        if number not in self._connecting:
            self._connecting[number] = asyncio.get_running_loop().create_task(self._connect(number))
        return self._connecting[number]

    async def _connect(self, number: int) -> None:
        """Open a connection, and send the calls that wait for one; they are lost if there is none."""
        self._connections[number] = await multiplexed.connected(self._address, source=f"127.0.8.{1 + number}")
        del self._connecting[number]
        if not any(map(_usable, self._connections)):
            lost, self._waiting = self._waiting, deque()
            for exchange, *_ in lost:
                exchange.code, exchange.reason, exchange.end_at = UNAVAILABLE, NO_CONNECTION, time.perf_counter()
                exchange.on_end(exchange)
        self._send_waiting()

    async def execute(self, order: LoadOrder) -> LoadRecords:
        """Make the calls of an order; return after the last one has ended, or after `drain` seconds."""
        await self.connect()
        rng = np.random.default_rng(order.seed)
        begin, cpu = time.perf_counter(), time.process_time()
        records = LoadRecords(begin, order.seconds, order.deadline)
        calls = _OrderRun(self, order, records, self._by_size())
        if order.rate is None:
            await calls.closed(rng)
        else:
            await calls.open(rng, order.rate)
        await calls.drained(order.drain)
        records.cpu_seconds = time.process_time() - cpu
        records.wall_seconds = time.perf_counter() - begin
        return records

    def _by_size(self) -> dict[int, list[MixedFile]]:
        found: dict[int, list[MixedFile]] = {}
        for file in self._files:
            found.setdefault(file.size_index, []).append(file)
        return found

    def headers(self, deadline: float | None) -> bytes:
        """Return the header block of each call."""
        timeout = () if deadline is None else (("grpc-timeout", f"{round(deadline * 1000)}m"),)
        return http2.request_headers(self._address, self._rpc.method, *timeout)

    def begin(self, exchange: Exchange, headers: bytes, deadline: float | None, draw: float) -> None:
        """Begin a call on a connection chosen by a random number below 1, or on any with room, or when one has room."""
        number = int(draw * 2 * BUSY_CONNECTIONS)
        if number >= BUSY_CONNECTIONS:
            number = BUSY_CONNECTIONS + int((2 * draw - 1) * OTHER_CONNECTIONS)
        connection = self._connections[number]
        if not _usable(connection):
            self._reconnect(number)
        if not _has_room(connection):
            connection = next(filter(_has_room, self._connections), None)
        if connection is None:
            self._waiting.append((exchange, headers, deadline))
        else:
            self._send(connection, exchange, headers, deadline)

    def _send(
        self, connection: MultiplexedConnection, exchange: Exchange, headers: bytes, deadline: float | None
    ) -> None:
        connection.begin(exchange, headers)
        if deadline is not None and exchange.code == RUNNING:
            later, seconds = asyncio.get_running_loop().call_later, deadline + LATE_SECONDS
            self._timers[exchange] = later(seconds, connection.cancel, exchange, DEADLINE_EXCEEDED, BY_CLIENT)

    def ended(self, exchange: Exchange) -> None:
        """Begin a call that waits for the place of one that has ended."""
        if (timer := self._timers.pop(exchange, None)) is not None:
            timer.cancel()
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send the calls that wait, as far as there is room; open a connection for them if all are lost."""
        while self._waiting and (connection := next(filter(_has_room, self._connections), None)) is not None:
            self._send(connection, *self._waiting.popleft())
        if self._waiting and not self._connecting and not any(map(_usable, self._connections)):
            self._reconnect(0)

    def read(self, exchange: Exchange, file: MixedFile) -> tuple[bool, bool]:
        """Return whether a call's response says when to retry, and whether it has the expected result."""
        try:
            result = self._rpc.result(http2.unprefixed(bytes(exchange.received)))
        except RejectedError:
            return True, False
        except RuntimeError:
            return False, False
        return False, file.is_result(result)

    def close(self) -> None:
        """Close all connections, and forget the calls that wait for one."""
        self._waiting.clear()
        for connection in self._connections:
            if connection is not None:
                connection.close()


class _OrderRun:
    """The calls of one order, on their way to the records."""

    def __init__(
        self, generator: LoadGenerator, order: LoadOrder, records: LoadRecords, files: dict[int, list[MixedFile]]
    ) -> None:
        self._generator, self._order, self._records, self._files = generator, order, records, files
        self._headers = generator.headers(order.deadline)
        self._running: dict[Exchange, tuple[MixedFile, float, asyncio.Event | None]] = {}
        self._all_ended = asyncio.Event()
        total = sum(order.weights)
        self._weights = [weight / total for weight in order.weights]
        self._begun = 0

    def _begin(self, rng: np.random.Generator, due: float, ended: asyncio.Event | None = None) -> Exchange:
        size_index = int(rng.choice(len(self._weights), p=self._weights))
        files = self._files[size_index]
        file = files[int(rng.integers(len(files)))]
        exchange = Exchange(file.body, self._end)
        self._running[exchange] = (file, due, ended)
        self._begun += 1
        self._generator.begin(exchange, self._headers, self._order.deadline, float(rng.random()))
        return exchange

    def _end(self, exchange: Exchange) -> None:
        file, due, ended = self._running.pop(exchange)
        self._records.calls.append(self._record(exchange, file, due))
        self._generator.ended(exchange)
        if ended is not None:
            ended.set()
        if not self._running:
            self._all_ended.set()

    def _record(self, exchange: Exchange, file: MixedFile, due: float) -> CallRecord:
        retry = right = False
        if exchange.code == OK or exchange.received:
            retry, right = self._generator.read(exchange, file)
        retry |= exchange.retry
        return CallRecord(
            file.size_index, due, exchange.sent_at, exchange.end_at, exchange.code, exchange.reason,
            retry, right,
        )  # fmt: skip

    async def open(self, rng: np.random.Generator, rate: float) -> None:
        """Make calls when they are due."""
        due = self._records.begin + rng.exponential(1 / rate)
        while due < self._records.begin + self._order.seconds and self._begun < self._order.calls:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._records.stall = max(self._records.stall, time.perf_counter() - due)
            self._begin(rng, due)
            due += rng.exponential(1 / rate)

    async def closed(self, rng: np.random.Generator) -> None:
        """Let callers make one call after the other."""
        await asyncio.gather(*(self._caller(rng.spawn(1)[0]) for _ in range(self._order.callers)))

    async def _caller(self, rng: np.random.Generator) -> None:
        last = self._records.begin + self._order.seconds
        while (now := time.perf_counter()) < last and self._begun < self._order.calls:
            ended = asyncio.Event()
            exchange = self._begin(rng, now, ended)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(last - now + self._order.drain):
                    await ended.wait()
            if exchange.code != OK:
                await asyncio.sleep(BUSY_SECONDS)

    async def drained(self, seconds: float) -> None:
        """Wait for the end of all calls; record those that have not ended."""
        if self._running:
            self._all_ended.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), seconds)
        for exchange, (file, due, _) in self._running.items():
            self._records.calls.append(
                CallRecord(file.size_index, due, exchange.sent_at, math.nan, RUNNING, "no end", False, False)
            )
            exchange.on_end = lambda _: None
        if self._running:
            self._generator.close()  # the next order begins with other connections
        self._running.clear()


def _usable(connection: MultiplexedConnection | None) -> bool:
    return connection is not None and connection.usable


def _has_room(connection: MultiplexedConnection | None) -> bool:
    return connection is not None and connection.usable and connection.active < connection.streams_max


async def _serve_orders(pipe: Connection, address: str, kind: type[Rpc], files: Sequence[MixedFile]) -> None:
    """Execute orders until one is None. The pipe is read on another thread: connections need answers meanwhile."""
    generator = LoadGenerator(address, kind(), files)
    await generator.connect()
    pipe.send(None)
    while (order := await asyncio.to_thread(pipe.recv)) is not None:
        pipe.send(await generator.execute(order))
    generator.close()


def execute_orders(*arguments: Any) -> None:
    """Run the process of a generator."""
    asyncio.run(_serve_orders(*arguments))


class LoadProcess(PipedProcess):
    """A generator in a process of its own."""

    def __init__(self, address: str, kind: type[Rpc], files: Sequence[MixedFile]) -> None:
        super().__init__("load generator", execute_orders, address, kind, files)

    def make(self, order: LoadOrder) -> LoadRecords:
        """Make the calls of an order. Raises EOFError if the process has ended."""
        self.send(order)
        records: LoadRecords = self.receive()
        return records
