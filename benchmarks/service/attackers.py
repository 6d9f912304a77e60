"""A process of clients that hold calls open: slow ones, which send next to nothing, and ones that never read.

They connect from many addresses of the loopback network, as in a distributed attack: a limit for each peer does not
end it.
"""

import asyncio
import contextlib
import struct
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from benchmarks.harness.piped_process import PipedProcess
from benchmarks.service import http2, multiplexed
from benchmarks.service.multiplexed import RUNNING, STREAM_WINDOW, Exchange, MultiplexedConnection
from benchmarks.service.rpcs import CompressRpc

ADDRESSES = 250
TRICKLE_SECONDS = 1.0
CONNECTING_MAX = 20  # at a time, for each attack
BEGIN_SECONDS_MAX = 120.0
HELD_SECONDS = 1.0  # a call that the server ends sooner is refused
ENDLESS_BYTES = 1 << 16  # of a message whose end never comes
HEAD_BYTES = 1 << 10  # of an image
EMPTY_CHUNKS = 4096  # more than a call lasts seconds
NEVER_READ_CALLS = 10  # on each connection


@dataclass(frozen=True)
class Attack:
    """Calls that are held open.

    body     of each request
    allowed  bytes of it that are sent at once
    trickle  bytes that follow in each TRICKLE_SECONDS; 0: none
    count    of calls
    calls    on each connection
    window   of each stream, for responses
    """

    name: str
    body: bytes
    allowed: int
    trickle: int
    count: int
    calls: int = 1
    window: int = STREAM_WINDOW


@dataclass
class AttackResult:
    """Calls of an attack.

    refused      calls that the server ended within HELD_SECONDS, or whose connection it did not accept
    ends         seconds from the begin of each other call to its end by the server, sorted
    running      calls that the server has not ended
    reasons      why calls ended, and how often
    connections  that are still open
    """

    name: str
    count: int
    refused: int = 0
    ends: list[float] = field(default_factory=list)
    running: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    connections: int = 0

    @property
    def held(self) -> int:
        """Number of calls that were open for HELD_SECONDS or longer."""
        return len(self.ends) + self.running


def loris_attacks(data: bytes, count: int) -> list[Attack]:
    """Return three kinds of slow calls of an image, `count` together, each on a connection of its own."""
    from compressor.v1 import compressor_pb2 as pb

    def message(**part: object) -> bytes:
        return http2.prefixed(pb.CompressRequest(**part).SerializeToString())  # type: ignore[arg-type]

    begin = message(settings=pb.Settings()) + message(chunk=data[:HEAD_BYTES])
    endless = struct.pack(">BI", 0, ENDLESS_BYTES)
    empty = message(chunk=b"")
    each = count // 3
    return [
        Attack("a byte a second", endless + bytes(ENDLESS_BYTES), len(endless), 1, count - 2 * each),
        Attack("a chunk, then a byte a second", begin + endless + bytes(ENDLESS_BYTES), len(begin), 1, each),
        Attack("a chunk, then empty chunks", begin + empty * EMPTY_CHUNKS, len(begin), len(empty), each),
    ]


def never_reading_attacks(data: bytes, count: int) -> list[Attack]:
    """Return complete requests whose responses can't be sent, since the window of their streams is 0."""
    body = b"".join(map(http2.prefixed, CompressRpc().messages(data, {})))
    return [Attack("never read", body, len(body), 0, count, NEVER_READ_CALLS, 0)]


class Attacker:
    """The calls of one attack."""

    def __init__(self, address: str, attack: Attack) -> None:
        self._address, self._attack = address, attack
        self._slots = asyncio.Semaphore(CONNECTING_MAX)
        self._headers = http2.request_headers(address, CompressRpc.method)
        self._calls = list[tuple[MultiplexedConnection, Exchange]]()
        self._ended = list[Exchange]()
        self.result = AttackResult(attack.name, attack.count)

    async def begin(self) -> None:
        """Connect, and begin all calls."""
        counts = [self._attack.calls] * (self._attack.count // self._attack.calls)
        counts += [rest] if (rest := self._attack.count % self._attack.calls) else []
        await asyncio.gather(*(self._begin(number, count) for number, count in enumerate(counts)))

    async def _begin(self, number: int, count: int) -> None:
        async with self._slots:
            source = f"127.0.9.{1 + number % ADDRESSES}"
            connection = await multiplexed.connected(self._address, self._attack.window, source)
        if connection is None:
            self.result.refused += count
            return
        for _ in range(count):
            exchange = Exchange(self._attack.body, self._ended.append, self._attack.allowed)
            self._calls.append((connection, exchange))
            connection.begin(exchange, self._headers)

    @property
    def running(self) -> bool:
        """Return whether a call has not ended."""
        return len(self._ended) < len(self._calls)

    def trickle(self) -> None:
        """Send a bit more on each call."""
        if self._attack.trickle:
            for connection, exchange in self._calls:
                connection.allow(exchange, self._attack.trickle)

    def close(self) -> AttackResult:
        """Close the connections; return the result."""
        result = self.result
        connections = {id(connection): connection for connection, _ in self._calls}.values()
        lasted = [exchange.end_at - exchange.sent_at for exchange in self._ended]
        result.ends = sorted(seconds for seconds in lasted if seconds >= HELD_SECONDS)
        result.refused += len(lasted) - len(result.ends)
        result.running = sum(exchange.code == RUNNING for _, exchange in self._calls)
        result.reasons = dict(Counter(f"status {one.code}: {one.reason}" for one in self._ended).most_common(8))
        result.connections = sum(connection.usable for connection in connections)
        for connection in connections:
            connection.close()
        return result


async def _attack(pipe: Connection, address: str, attacks: Sequence[Attack], seconds: float) -> list[AttackResult]:
    attackers = [Attacker(address, attack) for attack in attacks]
    last = time.perf_counter() + seconds
    await asyncio.gather(*(one.begin() for one in attackers))
    pipe.send(None)
    while time.perf_counter() < last and any(one.running for one in attackers):
        await asyncio.sleep(TRICKLE_SECONDS)
        for one in attackers:
            one.trickle()
    return [one.close() for one in attackers]


def run_attacks(pipe: Connection, address: str, attacks: Sequence[Attack]) -> None:
    """Attack when told so through the pipe, for the seconds that it says; then send the results."""
    pipe.send(None)
    with contextlib.suppress(EOFError):
        if (seconds := pipe.recv()) is not None:
            pipe.send(asyncio.run(_attack(pipe, address, attacks, seconds)))


class AttackProcess(PipedProcess):
    """Attackers in a process of their own: `begin`, then `result`."""

    def __init__(self, address: str, attacks: Sequence[Attack]) -> None:
        super().__init__("attackers", run_attacks, address, attacks)

    def begin(self, seconds: float) -> None:
        """Begin all calls; they are held until the server has ended them, for so many seconds at most."""
        self.send(seconds)
        self.receive(BEGIN_SECONDS_MAX)

    def result(self) -> list[AttackResult]:
        """Wait for the end of the attacks; return the result of each. Raises EOFError if the process has ended."""
        results: list[AttackResult] = self.receive()
        return results
