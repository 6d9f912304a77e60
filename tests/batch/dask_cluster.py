"""A Dask cluster as users start it: a scheduler, and workers with a nanny each, in separate processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests import ROOT

START_SECONDS_MAX = 120  # with an empty cache every kernel is compiled first


class Cluster:
    """`workers` workers of `threads` threads, watched by dask_watched.py; stopped after the `with`.

    address    of the scheduler
    scheduler  its process
    """

    def __init__(self, folder: Path, workers: int = 2, threads: int = 1) -> None:
        self._folder, self._workers, self._threads = folder, workers, threads
        self._file, self._notes = folder / "scheduler.json", folder / "notes"
        self._stack = ExitStack()

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COMPRESSOR_TEST_NOTES": str(self._notes)}
        command = [sys.executable, "-m", f"distributed.cli.{program}", *words, "--no-dashboard", "--host", "127.0.0.1"]
        with open(self._folder / "log", "a") as log:
            process = subprocess.Popen(
                [*command, "--scheduler-file", self._file], env=environment, stdout=log, stderr=log, cwd=self._folder
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.send_signal, signal.SIGTERM)
        return process

    def __enter__(self) -> Self:
        try:
            self.scheduler = self._start("dask_scheduler", "--port", "0")
            options = ["--nworkers", str(self._workers), "--nthreads", str(self._threads)]
            options += ["--preload", "tests.batch.dask_watched", "--local-directory", str(self._folder / "scratch")]
            self._start("dask_worker", *options)
            self.address = json.loads(until(lambda: self._file.exists() and self._file.read_text()))["address"]
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def notes(self, what: str) -> list[tuple[int, str]]:
        """Return (PID, key or token) of all calls of that name so far."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return [(pid, subject) for pid, name, subject in map(json.loads, lines) if name == what]


def until(condition: Callable[[], Any], seconds: float = START_SECONDS_MAX) -> Any:
    """Return what `condition` returns, as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"still false after {seconds} s"
        time.sleep(0.02)
    return found
