"""A server that is watched: health checks that are late or never answered, and memory that can't be read."""

import threading
import time
from typing import Any

import pytest

from benchmarks.harness.cgroup import MemoryGroup, memory_group
from benchmarks.service import http2, watch
from benchmarks.service.goals import at_most, ratio
from benchmarks.service.records import percentiles
from benchmarks.service.watch import Watch, memory_of


class Server:
    """A server whose health checks wait for an event."""

    address, cpu_seconds, alive = "127.0.0.1:1", 1.0, True

    def __init__(self, resident_bytes: int | None = None) -> None:
        self.resident_bytes, self.answers = resident_bytes, threading.Event()

    def call(self, _: bytes) -> bytes:
        if not self.answers.wait(5):
            raise RuntimeError("the server closed the connection")
        return http2.prefixed(watch.SERVING)

    def close(self) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr(http2, "Http2Connection", lambda *_: found)
    monkeypatch.setattr(watch, "PROBE_SECONDS", 0.01)
    return found


def watching(server: Server) -> Watch:
    found: Any = server
    return Watch(found)


def test_health_checks_that_a_stall_delays_count_from_when_they_were_due(server: Server) -> None:
    server.answers.set()
    with watching(server) as watched:
        time.sleep(0.1)
        server.answers.clear()
        threading.Timer(0.5, server.answers.set).start()
        time.sleep(0.3)  # the watch ends within the stall

    took = [seconds for _, seconds in watched.seen.health]
    assert watched.seen.unhealthy == 0
    assert len(took) >= 30
    late = percentiles(took)["p99"]
    assert late is not None and late > 0.4
    assert sum(seconds > 0.2 for seconds in took) >= 25, "all that were due within the stall"


def test_health_checks_without_an_answer_are_unhealthy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ANSWER_SECONDS_MAX", 0.1)
    with watching(server) as watched:
        time.sleep(0.3)
    server.answers.set()

    assert watched.seen.unhealthy == len(watched.seen.health) >= 30
    assert min(seconds for _, seconds in watched.seen.health) >= 0.09
    assert max(seconds for _, seconds in watched.seen.health) >= 0.3


def test_memory_that_was_not_measured_meets_no_goal(server: Server) -> None:
    server.answers.set()
    with watching(server) as watched:
        watched.sample()

    process: Any = server
    memory = memory_of(process, None, watched.seen, 0.0, time.perf_counter())
    assert (memory.idle, memory.peak, memory.settled, memory.group_peak) == (None, None, None, None)
    assert not memory.killed and not memory.in_group
    assert ratio(memory.settled, memory.idle) is None and ratio(3, 2) == 1.5
    assert not at_most("resident memory", memory.peak, 1.0, "MiB").met


@pytest.mark.parametrize("version2", [False, True])
def test_a_group_whose_limit_can_not_be_set_is_not_used(
    version2: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an ordinary folder there is no file for the limit."""
    monkeypatch.setattr("benchmarks.harness.cgroup.own_group", lambda: (tmp_path, version2))

    with memory_group(1 << 30) as group:
        assert group is None
    assert list(tmp_path.iterdir()) == []


def test_a_group_has_its_limit_or_there_is_none() -> None:
    with memory_group(1 << 30) as group:
        assert group is None or (isinstance(group, MemoryGroup) and group.killed == 0)
    with memory_group(-2) as group:  # which no system accepts
        assert group is None
