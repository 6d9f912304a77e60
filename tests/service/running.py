"""Servers for the tests: in this process, with an event loop on a thread, and in another process."""

import asyncio
import contextlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Self

import psutil

from compressor.calls.call import Codec
from compressor.service.config import ServerConfig
from compressor.service.server import Server
from tests import ROOT

# Nothing is refused because the machine is slow: only tests of that set a time that calls may wait for cores.
LOCAL: dict[str, Any] = {
    "address": "127.0.0.1:0",
    "metrics_address": "127.0.0.1:0",
    "drain_seconds": 0.0,
    "queue_seconds": 3600.0,
}

FAKE_WORKER = (sys.executable, "-m", "tests.service.worker")


class Running:
    """A server in this process."""

    def __init__(self, codec: Codec, **config: Any) -> None:
        self.server = Server(ServerConfig(**(LOCAL | config)), codec)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop")
        self._thread.start()
        self.run(self.server.start())
        self.address = f"127.0.0.1:{self.server.port}"
        self.metrics = f"http://127.0.0.1:{self.server.metrics_port}"

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def scrape(self) -> str:
        with urllib.request.urlopen(f"{self.metrics}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Process:
    """A server in another process, whose memory can be measured."""

    def __init__(self, codec: str, **config: Any) -> None:
        self.codec = codec
        command = [sys.executable, "-m", "tests.service.process", codec, json.dumps(LOCAL | config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        ports = json.loads(self.process.stdout.readline())
        self.address = f"127.0.0.1:{ports['port']}"
        self.http_port: int | None = ports["http_port"]
        self.metrics = f"http://127.0.0.1:{ports['metrics_port']}"

    @property
    def rss_bytes(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert self.process.wait(60) == 0


def eventually(true: Callable[[], object], seconds: float = 5.0) -> bool:
    """Return whether something becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return bool(true())


def free_port() -> int:
    """Return a port that is free at the moment. It is below those that Linux gives to sockets that ask for any: nobody
    gets it by chance before it is used."""
    while True:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
