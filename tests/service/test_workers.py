"""A service with several processes: their calls, budgets, metrics and ends."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from compressor.client import Client, health
from compressor.client.sync import ResultStream
from compressor.errors import CompressorError, LimitError, SettingsError
from compressor.service.config import ServerConfig
from compressor.service.port import ReservedPort
from compressor.service.serve import serve
from compressor.service.worker import share_of_cores
from compressor.service.workers import serve_with_workers
from tests.service.fake_pipeline import fake_codec, file_of
from tests.service.running import FAKE_WORKER, LOCAL, Process, eventually
from tests.service.test_drain import get

MIB = 1 << 20
CHANNELS = 16


@pytest.fixture(scope="module")
def shared() -> Iterator[Process]:
    with Process("fake", workers=2, memory_budget=64 * MIB, idle_seconds=30) as process:
        yield process


def holding(count: int) -> bytes:
    """Return the start of a file whose call reserves `count` bytes."""
    return b"FAKEhold%08d" % count


@contextlib.contextmanager
def clients(process: Process, count: int = CHANNELS) -> Iterator[dict[int, Client]]:
    """Open connections, and yield one client for each worker, by the number of its process."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Client(process.address, timeout=30, retries=0)) for _ in range(count)]
        yield {int(client.inspect(file_of(100)).description): client for client in opened}


class Held:
    """A call that has begun and ends when its context does."""

    def __init__(self, client: Client, start: bytes = b"FAKEhalf") -> None:
        self._go = threading.Event()
        self.stream: ResultStream = client.stream(self._chunks(start))

    def _chunks(self, start: bytes) -> Iterator[bytes]:
        yield start
        self._go.wait(20)
        yield bytes(1000)

    def __enter__(self) -> "Held":
        assert self.stream.source.format == "fake"
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._go.set()
        if kind is None:
            list(self.stream)


def value(process: Process, series: str) -> float:
    page = get(f"{process.metrics}/metrics")[1]
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.rpartition(" ")[0] == series)


OK = 'compressor_requests_total{code="OK",path="pixels"}'


@pytest.mark.parametrize("cores, workers, share", [(1, 1, 1), (2, 1, 2), (2, 2, 1), (8, 3, 3), (2, 16, 1)])
def test_workers_divide_the_cores_rounded_up(cores: int, workers: int, share: int) -> None:
    assert share_of_cores(cores, workers) == share


def test_connections_are_distributed_and_calls_are_counted_together(shared: Process) -> None:
    before = value(shared, OK)
    with clients(shared) as by_worker:
        for client in by_worker.values():
            client.compress(file_of(1000))

        assert len(by_worker) == 2
        assert not set(by_worker) & {shared.process.pid}
        assert eventually(lambda: value(shared, OK) == before + 2)


def test_metrics_are_those_of_one_service(shared: Process) -> None:
    page = get(f"{shared.metrics}/metrics")[1]
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert value(shared, "compressor_memory_budget_bytes") == 64 * MIB
    processes = [shared.process.pid, *(child.pid for child in psutil.Process(shared.process.pid).children())]
    resident = sum(psutil.Process(pid).memory_info().rss for pid in processes)
    assert len(processes) == 3
    assert value(shared, "process_resident_memory_bytes") == pytest.approx(resident, rel=0.1)
    assert value(shared, "compressor_memory_byte_seconds_total") > 0
    assert "compressor_estimated" not in page


def test_a_request_may_need_more_than_a_share(shared: Process) -> None:
    """Each of them needs the memory that the other worker needed before."""
    with clients(shared) as by_worker:
        for client in (*by_worker.values(), *by_worker.values()):
            client.compress(holding(60 * MIB) + bytes(100))
        with pytest.raises(LimitError, match="whole memory budget"):
            client.compress(holding(65 * MIB) + bytes(100))


def test_a_request_waits_for_memory_that_another_worker_uses(shared: Process) -> None:
    with clients(shared) as by_worker:
        first, second = by_worker.values()
        done = threading.Event()

        def compress() -> None:
            second.compress(holding(40 * MIB) + bytes(100))
            done.set()

        with Held(first, holding(40 * MIB)):
            assert value(shared, "compressor_memory_reserved_bytes") > 40 * MIB
            waiting = threading.Thread(target=compress)
            waiting.start()
            assert not done.wait(0.3)
        assert done.wait(5)
        waiting.join()


def test_no_other_server_gets_the_port(shared: Process) -> None:
    for workers in (1, 2):
        with pytest.raises((OSError, RuntimeError), match="bind|in use"):
            serve(ServerConfig(**(LOCAL | {"address": shared.address, "workers": workers})), codec=fake_codec())


def test_a_reserved_port_is_free_again_after_its_end() -> None:
    with ReservedPort("localhost:0") as port:
        with pytest.raises(OSError, match="in use"):
            ReservedPort(port.address)
    ReservedPort(port.address).close()


def test_a_worker_that_dies_is_replaced_and_takes_no_other_call_with_it() -> None:
    with Process("fake", workers=2, memory_budget=64 * MIB) as process:
        with clients(process) as by_worker:
            (victim, client), (survivor, other) = by_worker.items()
            client.compress(file_of(1000))
            with contextlib.suppress(CompressorError), Held(client, holding(60 * MIB)) as lost, Held(other) as kept:
                before = value(process, OK), value(process, "process_cpu_seconds_total")
                os.kill(victim, signal.SIGKILL)
                with pytest.raises(CompressorError):
                    list(lost.stream)
                other.compress(holding(60 * MIB) + bytes(100))  # with the share of the one that died
                assert get(f"{process.metrics}/readyz")[0] == 200
                after = value(process, OK), value(process, "process_cpu_seconds_total")
                assert after[0] == before[0] + 1 and after[1] >= before[1]
        assert kept.stream.report.bytes_in == 1008

        def replaced() -> bool:
            with clients(process) as now:
                return len(now) == 2 and survivor in now and victim not in now

        assert eventually(replaced, 10)
        assert value(process, OK) == before[0] + 2
        with clients(process) as by_worker:
            for client in by_worker.values():
                client.compress(holding(60 * MIB) + bytes(100))


def test_all_workers_drain() -> None:
    with Process("fake", workers=2, drain_seconds=1.0) as process, clients(process) as by_worker:
        first, second = by_worker.values()
        with Held(first) as one, Held(second) as two:
            process.process.send_signal(signal.SIGTERM)
            assert eventually(lambda: not health(process.address), 1.0), "NOT_SERVING while draining"
            assert get(f"{process.metrics}/readyz")[0] == 503
            assert get(f"{process.metrics}/healthz")[0] == 200
            assert value(process, "compressor_requests_in_progress") == 2
        assert [held.stream.report.bytes_in for held in (one, two)] == [1008, 1008]
        assert process.process.wait(10) == 0
    assert not [pid for pid in by_worker if psutil.pid_exists(pid)]


@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGKILL,)])
def test_workers_end_with_their_service(signals: tuple[signal.Signals, ...]) -> None:
    """A second signal ends all processes at once, whatever runs; so does the end of the service by any other cause."""
    process = Process("fake", workers=2)
    assert process.process.stdout is not None
    with process.process.stdout, clients(process) as by_worker:
        held = Held(next(iter(by_worker.values())))
        with pytest.raises(CompressorError), held:
            for number in signals:
                process.process.send_signal(number)
                time.sleep(0.2)
            assert process.process.wait(5) == -signals[-1]
            assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in by_worker))
            list(held.stream)


@pytest.mark.parametrize(
    "config, problem",
    [
        ({"spool_dir": "/nowhere"}, "spool_dir: /nowhere is not a writable directory"),
        ({"tls_cert": "/nowhere"}, "tls_key"),
        ({"address": "unix:/nowhere"}, "address"),
    ],
)
def test_a_wrong_setting_keeps_the_service_from_starting(config: dict[str, str], problem: str) -> None:
    values = LOCAL | {"workers": 2} | config
    with pytest.raises(SettingsError, match=re.escape(problem)):
        serve_with_workers(ServerConfig(**values), None, FAKE_WORKER)


def test_workers_that_can_not_start_end_the_service() -> None:
    config = ServerConfig(**(LOCAL | {"workers": 2}))
    with pytest.raises(RuntimeError, match="worker .* ended with code 3"):
        serve_with_workers(config, None, [sys.executable, "-c", "raise SystemExit(3)"])


def test_the_number_of_workers_has_bounds() -> None:
    for workers in (0, 257):
        with pytest.raises(SettingsError, match=f"workers: is {workers}, must be 1 to 256"):
            serve(ServerConfig(workers=workers))


def test_a_worker_that_sends_nonsense_ends() -> None:
    program = "import signal, socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(bytes(4) + b'{}'); "
    program += "signal.pause()"
    with pytest.raises(RuntimeError, match="sent an invalid message"):
        serve_with_workers(ServerConfig(**(LOCAL | {"workers": 2})), None, [sys.executable, "-c", program])
