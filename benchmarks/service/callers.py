"""Callers of a server, in a process of their own, each with a connection of its own and one call at a time."""

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.harness.piped_process import PipedProcess
from benchmarks.service import http2
from benchmarks.service.rpcs import CompressRpc, RecodeRpc, RejectedError, Rpc

BUSY_SECONDS = 0.1  # before a call that was rejected as busy is sent again
LEAD_SECONDS = 0.1  # from the order to its begin, so that all processes begin together


@dataclass(frozen=True)
class Order:
    """Calls to make: as many as each caller can begin within `seconds`, but at most `calls` each.

    begin  by time.perf_counter, which all processes share
    """

    begin: float
    seconds: float
    calls: int


@dataclass
class Calls:
    """Calls that were made.

    latencies  seconds of each call, its repetitions included
    ends       of each call, by time.perf_counter
    rejected   number of times that a call was rejected as busy
    wrong      number of results that were not the expected one
    """

    latencies: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    rejected: int = 0
    wrong: int = 0

    def add(self, other: "Calls") -> None:
        """Add the calls of another process."""
        self.latencies += other.latencies
        self.ends += other.ends
        self.cpu_seconds += other.cpu_seconds
        self.rejected += other.rejected
        self.wrong += other.wrong


class Caller:
    """A connection to a server. Messages are built once, so that callers take little CPU time from the server."""

    def __init__(self, address: str, data: bytes, settings: dict[str, Any]) -> None:
        self._rpc = self.rpc()
        self._body = b"".join(map(http2.prefixed, self._rpc.messages(data, settings)))
        self._connection = http2.Http2Connection(address, self.rpc.method)

    rpc: type[Rpc]

    def call(self) -> bytes:
        """Make a call and return its result. Raises as `Rpc.result`."""
        return self._rpc.result(http2.unprefixed(self._connection.call(self._body)))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class OurCaller(Caller):
    """A connection to our server."""

    rpc = CompressRpc


class PeerCaller(Caller):
    """A connection to a peer, which has no settings."""

    rpc = RecodeRpc


def call_until(caller: Caller, order: Order, expected: bytes) -> Calls:
    """Make one call after the other."""
    calls = Calls()
    time.sleep(max(0.0, order.begin - time.perf_counter()))
    while len(calls.ends) < order.calls and (start := time.perf_counter()) < order.begin + order.seconds:
        while True:
            try:
                result = caller.call()
                break
            except RejectedError:
                calls.rejected += 1
                time.sleep(BUSY_SECONDS)
        calls.ends.append(time.perf_counter())
        calls.latencies.append(calls.ends[-1] - start)
        calls.wrong += result != expected
    return calls


def execute_forever(
    pipe: Connection, kind: type[Caller], number: int, arguments: tuple[Any, ...], expected: bytes
) -> None:
    """Execute the orders that come through the pipe, with all callers at once, until one is None."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(number) as pool:
        callers = [stack.enter_context(contextlib.closing(kind(*arguments))) for _ in range(number)]
        pipe.send(None)
        while (order := pipe.recv()) is not None:
            calls, cpu = Calls(), time.process_time()
            for found in pool.map(lambda caller: call_until(caller, order, expected), callers):
                calls.add(found)
            calls.cpu_seconds = time.process_time() - cpu
            pipe.send(calls)


class CallerProcess(PipedProcess):
    """A process with a number of callers, which send the same file again and again.

    expected  the result of each call
    """

    def __init__(
        self,
        address: str,
        data: bytes,
        expected: bytes,
        callers: int,
        kind: type[Caller] = OurCaller,
        **settings: Any,
    ) -> None:
        super().__init__("callers", execute_forever, kind, callers, (address, data, settings), expected)

    def order(self, order: Order) -> None:
        """Send an order; `result` waits for its calls."""
        self.send(order)

    def result(self) -> Calls:
        """Return the calls of an order. Raises EOFError if the process has ended."""
        calls: Calls = self.receive()
        return calls


def make_calls(processes: Sequence[CallerProcess], seconds: float, calls: int = 1 << 30) -> tuple[Order, Calls]:
    """Let several processes make calls at the same time; return the order, too."""
    order, total = Order(time.perf_counter() + LEAD_SECONDS, seconds, calls), Calls()
    for process in processes:
        process.order(order)
    for process in processes:
        total.add(process.result())
    return order, total
