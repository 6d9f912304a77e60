"""A server in a process of its own, started as users start it and measured from outside."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from benchmarks import ROOT
from benchmarks.harness import process

FREE_PORT = "127.0.0.1:0"
SERVE = ("compressor.cli", "serve", "--address", FREE_PORT, "--metrics-address", FREE_PORT, "--drain-seconds", "0")
START_SECONDS_MAX = 120  # with an empty cache all kernels are compiled first


class ServerProcess:
    """`compressor serve`, or another server, on free ports; healthy within the `with`, ended after it.

    address        host:port of gRPC
    start_seconds  from the start of the process until it is healthy
    code           the exit code, after the `with`
    prefix         a command that runs the server by exec
    module         the main module and its first arguments; it prints "serving on HOST:PORT"
    """

    def __init__(self, *options: str, prefix: Sequence[str] = (), module: Sequence[str] = SERVE) -> None:
        self._command = [*prefix, sys.executable, "-m", *module, *options]

    def __enter__(self) -> Self:
        start = time.perf_counter()
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=ROOT)
        self.pid = self._process.pid
        try:
            self.address = self._read_address()
            self._wait_until_healthy(start)
        except BaseException:
            self._process.kill()
            self._end(show_log=True)
            raise
        self.start_seconds = time.perf_counter() - start
        return self

    def _read_address(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"serving on (\S+:\d+)", line):
                return found[1]
        raise RuntimeError(f"the server ended with code {self._process.wait()} before it served")

    def _wait_until_healthy(self, start: float) -> None:
        from compressor import client

        while not client.health(self.address, 1.0):
            if time.perf_counter() - start > START_SECONDS_MAX:
                raise RuntimeError(f"the server is not healthy after {START_SECONDS_MAX} s")
            time.sleep(0.05)

    def _end(self, show_log: bool) -> None:
        self.code = self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if show_log:
            self._log.seek(0)
            sys.stderr.write(self._log.read())
        self._log.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end(show_log=error is not None)

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    @property
    def resident_bytes(self) -> int | None:
        """The resident memory now; None if it cannot be read."""
        return process.status_bytes("VmRSS", self.pid)

    @property
    def peak_bytes(self) -> int | None:
        """The peak of the resident memory since `reset_peak`; None if it cannot be read."""
        return process.status_bytes("VmHWM", self.pid)

    def reset_peak(self) -> None:
        """Make `peak_bytes` count from now on, where the system supports it."""
        with contextlib.suppress(OSError):
            process.reset_peak(self.pid)

    @property
    def cpu_seconds(self) -> float | None:
        """The user and system time so far of the server and its workers; None if it cannot be read."""
        times = self._sum_of_stat(11, 12)  # utime and stime, without pid and comm (proc(5))
        return None if times is None else times / os.sysconf("SC_CLK_TCK")

    @property
    def page_faults(self) -> int | None:
        """The minor page faults so far of the server and its workers; None if they cannot be read."""
        return self._sum_of_stat(7)

    def _sum_of_stat(self, *fields: int) -> int | None:
        """Return the sum of fields of /proc/PID/stat, of the server and of all processes that it has started."""
        import psutil

        pids, total = [self.pid], 0
        with contextlib.suppress(psutil.Error):
            pids += [child.pid for child in psutil.Process(self.pid).children(recursive=True)]
        try:
            for pid in pids:
                with open(f"/proc/{pid}/stat") as stat:
                    values = stat.read().rpartition(")")[2].split()
                total += sum(int(values[field]) for field in fields)
        except OSError:
            return None
        return total
