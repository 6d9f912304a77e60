"""A rolling restart: two servers behind one client, restarted one after the other while callers go on."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.harness import sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service.checks import EFFORT
from benchmarks.service.goals import Goal, none_of
from benchmarks.service.overload import CALLERS
from benchmarks.small.measure import ours
from compressor.settings import Effort

PAUSE_SECONDS, QUICK_PAUSE_SECONDS = 5.0, 1.0  # before the first restart, between both, and after the second
DRAIN_SECONDS = 1.0


@dataclass
class RestartResult:
    """Calls during a rolling restart.

    lost       calls that raised an error, after the client's own repetitions
    wrong      calls with another result than the expected one
    longest    seconds of the longest call
    """

    calls: int
    lost: int
    wrong: int
    longest: float
    errors: dict[str, int]
    codes: list[int]
    goals: list[Goal] = field(default_factory=list)


class _Callers:
    """Threads that share a client and make calls until they are stopped."""

    def __init__(self, target: str, data: bytes, expected: bytes) -> None:
        from compressor.client import Client

        self._client, self._data, self._expected = Client(target), data, expected
        self._stopped = threading.Event()
        self.seconds, self.wrong, self.errors = list[float](), list[bytes](), list[str]()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def _call(self) -> None:
        while not self._stopped.is_set():
            begin = time.perf_counter()
            try:
                result = bytes(self._client.compress(self._data, effort=Effort(EFFORT)).data)
                if result != self._expected:
                    self.wrong.append(result)
            except Exception as error:  # whatever it is, the call is lost
                self.errors.append(f"{type(error).__name__}: {error}"[:200])
                time.sleep(0.1)
            self.seconds.append(time.perf_counter() - begin)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Call within the `with`; return after the last call."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join()
            self._client.close()


def measure_restart(pause: float = PAUSE_SECONDS, size: sources.Size = sources.SIZES["0.4"]) -> RestartResult:
    """Restart each of two servers once, on their ports, while callers of one client go on."""
    data = sources.files(size, 1)[0]
    expected, codes = ours(EFFORT)(data), []

    def server(*options: str) -> ServerProcess:
        return ServerProcess(*options, "--drain-seconds", str(DRAIN_SECONDS))

    with contextlib.ExitStack() as stack:
        running = [(stack.enter_context(contextlib.ExitStack()), server()) for _ in range(2)]
        addresses = [own.enter_context(process).address for own, process in running]
        callers = _Callers(f"ipv4:{','.join(addresses)}", data, expected)
        with callers.calling():
            time.sleep(pause)
            for (own, process), address in zip(running, addresses, strict=True):
                own.close()
                codes.append(process.code)
                own.enter_context(server("--address", address))
                time.sleep(pause)
    lost, wrong = len(callers.errors), len(callers.wrong)
    return RestartResult(
        calls=len(callers.seconds),
        lost=lost,
        wrong=wrong,
        longest=max(callers.seconds, default=0.0),
        errors=dict(Counter(callers.errors).most_common(5)),
        codes=codes,
        goals=[none_of("calls lost in a rolling restart", lost), none_of("wrong results", wrong)],
    )
