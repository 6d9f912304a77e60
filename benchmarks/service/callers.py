"""Callers of a server, in a process of their own, each with a connection of its own and one call at a time."""

import asyncio
import contextlib
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import grpc

from benchmarks.service import pyvips_server

READY_SECONDS_MAX = 120
BUSY_SECONDS = 0.1  # before a call that was rejected as busy is sent again
WINDOW_BYTES = 1 << 20
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
    """A connection to our server. Messages are built once, so that callers take little CPU time from the server."""

    def __init__(self, address: str, data: bytes, settings: dict[str, Any]) -> None:
        from compressor.client import transfer
        from compressor.client.connection import channel_options
        from compressor.settings import Settings
        from compressor.v1 import compressor_pb2 as pb
        from compressor.v1 import compressor_pb2_grpc as rpc
        from compressor.wire import CHUNK_BYTES

        own = ("grpc.use_local_subchannel_pool", 1)  # or all channels of a process would share a connection
        self._channel = grpc.aio.insecure_channel(address, [*channel_options(WINDOW_BYTES), own])
        self._stub: Any = rpc.CompressorServiceStub(self._channel)
        self._messages = list(
            transfer.RequestBuilder(pb.CompressRequest, CHUNK_BYTES).all(Settings(**settings), None, [data])
        )

    async def call(self) -> bytes:
        """Return the result. Raises grpc.aio.AioRpcError."""
        return b"".join([message.chunk async for message in self._stub.Compress(iter(self._messages))])

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


class PyvipsCaller:
    """A connection to `pyvips_server`, which has no settings."""

    def __init__(self, address: str, data: bytes, _: dict[str, Any]) -> None:
        own = ("grpc.use_local_subchannel_pool", 1)
        size = ("grpc.max_receive_message_length", pyvips_server.MESSAGE_BYTES_MAX)
        self._channel = grpc.aio.insecure_channel(address, [own, size])
        self._recode: Any = self._channel.unary_unary(f"/{pyvips_server.SERVICE}/{pyvips_server.METHOD}")
        self._data = data

    async def call(self) -> bytes:
        """Return the result. Raises grpc.aio.AioRpcError."""
        return bytes(await self._recode(self._data))

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


async def call_until(caller: Caller | PyvipsCaller, order: Order, expected: bytes, calls: Calls) -> None:
    """Make one call after the other."""
    await asyncio.sleep(max(0.0, order.begin - time.perf_counter()))
    for _ in range(order.calls):
        start = time.perf_counter()
        if start >= order.begin + order.seconds:
            return
        while True:
            try:
                result = await caller.call()
                break
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                calls.rejected += 1
                await asyncio.sleep(BUSY_SECONDS)
        calls.ends.append(time.perf_counter())
        calls.latencies.append(calls.ends[-1] - start)
        calls.wrong += result != expected


async def execute(callers: Sequence[Caller | PyvipsCaller], order: Order, expected: bytes) -> Calls:
    """Execute an order with all callers at once."""
    calls, cpu = Calls(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(call_until(caller, order, expected, calls))
    calls.cpu_seconds = time.process_time() - cpu
    return calls


def execute_forever(
    pipe: Connection, kind: type[Caller | PyvipsCaller], number: int, arguments: tuple[Any, ...], expected: bytes
) -> None:
    """Execute the orders that come through the pipe, until one is None."""

    async def close(callers: Sequence[Caller | PyvipsCaller]) -> None:
        for caller in callers:
            await caller.close()

    async def connect() -> list[Caller | PyvipsCaller]:
        return [kind(*arguments) for _ in range(number)]

    with asyncio.Runner() as runner:
        callers = runner.run(connect())
        pipe.send(os.getpid())
        while (order := pipe.recv()) is not None:
            pipe.send(runner.run(execute(callers, order, expected)))
        runner.run(close(callers))


class CallerProcess:
    """A process with a number of callers, which send the same file again and again.

    expected  the result of each call
    """

    def __init__(
        self,
        address: str,
        data: bytes,
        expected: bytes,
        callers: int,
        kind: type[Caller | PyvipsCaller] = Caller,
        **settings: Any,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, self._theirs = context.Pipe()
        arguments = (self._theirs, kind, callers, (address, data, settings), expected)
        self._process = context.Process(target=execute_forever, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        if not self._pipe.poll(READY_SECONDS_MAX):
            raise RuntimeError("a process of callers did not start")
        self._pipe.recv()
        return self

    def order(self, order: Order) -> None:
        """Send an order; `result` waits for its calls."""
        self._pipe.send(order)

    def result(self) -> Calls:
        """Return the calls of an order. Raises EOFError if the process has failed."""
        calls: Calls = self._pipe.recv()
        return calls

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.terminate()
        with contextlib.suppress(OSError):  # it has ended
            self._pipe.send(None)
        self._process.join()
        self._pipe.close()


def make_calls(processes: Sequence[CallerProcess], seconds: float, calls: int = 1 << 30) -> tuple[Order, Calls]:
    """Let several processes make calls at the same time; return the order, too."""
    order, total = Order(time.perf_counter() + LEAD_SECONDS, seconds, calls), Calls()
    for process in processes:
        process.order(order)
    for process in processes:
        total.add(process.result())
    return order, total
