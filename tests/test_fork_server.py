"""The server that imports the codec once and forks worker processes."""

import os
import signal
import threading
import time
from multiprocessing.connection import Connection, Pipe

import pytest

from compressor import usage
from compressor.errors import CompressorError
from compressor.fork_server import Forked, ForkServer
from tests import ROOT


def child(connection: Connection, word: str) -> None:
    """Send the state of a forked process, and end when the other end of its connection does."""
    threads = len(os.listdir("/proc/self/task"))
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    connection.send((word, os.getppid(), threads, threading.active_count(), blocked, usage.inherited_cpu_seconds))
    try:
        connection.recv()
    except EOFError:
        os._exit(3)


def started(server: ForkServer, word: str) -> tuple[Connection, Forked]:
    ours, theirs = Pipe()
    with theirs:
        return ours, server.fork(theirs, child, word)


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_forks_have_one_thread_and_are_charged_with_the_imports_once() -> None:
    with ForkServer("compressor.batch.work", "compressor.no_such_module") as server:
        workers = [started(server, word) for word in ("a", "b")]
        found = [ours.recv() for ours, _ in workers]
        for ours, _ in workers:
            ours.close()
        assert [forked.wait() for _, forked in workers] == [3, 3]

    assert [state[0] for state in found] == ["a", "b"]
    assert found[0][1] == found[1][1] != os.getpid()
    assert all(state[2:5] == (1, 1, True) for state in found)
    assert found[0][5] > 0.05 > found[1][5] >= 0.0


def test_a_fork_that_is_killed_has_the_status_of_its_signal() -> None:
    with ForkServer() as server:
        ours, forked = started(server, "a")
        ours.recv()
        os.kill(forked.pid, signal.SIGKILL)
        assert forked.wait() == -signal.SIGKILL
        ours.close()


def test_forks_end_when_their_parent_closes_the_connection() -> None:
    with ForkServer() as server:
        ours, forked = started(server, "a")
        ours.recv()
        pid = forked.pid
        ours.close()

    assert not os.path.exists(f"/proc/{pid}")


def test_a_server_waits_for_its_forks_so_that_their_cpu_time_is_counted() -> None:
    with ForkServer() as server:
        ours, _ = started(server, "a")
        ours.recv()
        ours.close()

    assert server._process.returncode == 0


def test_a_server_that_is_not_used_ends_at_once() -> None:
    began = time.monotonic()
    with ForkServer() as server:
        process = server._process

    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 5


def test_a_server_that_died_is_an_error_of_one_line() -> None:
    with ForkServer() as server:
        server._process.kill()
        server._process.wait()
        with pytest.raises(CompressorError, match="their server ended with -9"):
            _ = started(server, "a")[1].pid


def test_a_server_that_dies_does_not_prevent_the_end() -> None:
    with ForkServer() as server:
        _, forked = started(server, "a")
        server._process.kill()
        server._process.wait()
        if forked.exists:
            forked.kill()


def test_too_many_arguments_are_an_error() -> None:
    with ForkServer() as server, pytest.raises(CompressorError, match="bytes of arguments are too many"):
        started(server, "a" * (1 << 17))
