"""A server that ends while calls run: a thread in a kernel must not crash the process."""

import contextlib
import io
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness.server import ServerProcess
from compressor.client import Client
from compressor.errors import CompressorError


def file_of(kind: str, height: int, width: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("exits", [2, pytest.param(60, marks=pytest.mark.heavy)])
def test_a_server_ends_cleanly_at_any_stage_of_its_calls(exits: int) -> None:
    files = [file_of("JPEG", 1500, 2400), file_of("PNG", 700, 900), file_of("JPEG", 200, 200)]

    def work(address: str, data: bytes, effort: Any) -> None:
        with contextlib.suppress(CompressorError), Client(address, timeout=60, retries=0) as client:
            while True:
                client.compress(data, quality=60, effort=effort, format="jpeg")

    for number in range(exits):
        with ServerProcess("--grace-seconds", "0") as server:
            threads = [
                threading.Thread(target=work, args=(server.address, data, effort))
                for data in files
                for effort in ("fast", "best")
            ]
            for thread in threads:
                thread.start()
            threading.Event().wait(0.5 + number % 10 / 20)
        for thread in threads:
            thread.join()
        assert server.code == 0
