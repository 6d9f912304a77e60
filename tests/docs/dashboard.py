"""A service, a batch run and an exporter that a Prometheus scrapes for some minutes, for a picture of the dashboard."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from compressor.client import Client
from tests import ROOT
from tests.deploy.real_prometheus import scraping
from tests.docs import pictures
from tests.service.running import free_port

COMPRESSOR = str(Path(sys.executable).parent / "compressor")
MINUTES = 4


@contextmanager
def running(*words: str) -> Iterator[None]:
    """Run a service until the end of the block, from its first line on."""
    with subprocess.Popen([COMPRESSOR, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None and process.stdout.readline()
            yield
        finally:
            process.terminate()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder over HTTP; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class Silent(SimpleHTTPRequestHandler):
    """Files, without a log."""

    def log_message(self, format: str, *values: object) -> None: ...


def draw(folder: Path) -> Path:
    """Run everything in a folder, and draw the dashboard; return the picture."""
    address, metrics, accrual = (f"127.0.0.1:{free_port()}" for _ in range(3))
    files = {name: data for name, data in pictures.photos().items() if name != "broken.jpg"}
    pictures.write(folder / "photos", files)
    (folder / "ledgers").mkdir()
    basis = ("--storage", "hdd-3az", "--originals-deleted", "--region", "de")
    ledger = ("--ledger", f"{folder}/ledgers")
    with (
        running("serve", "--address", address, "--metrics-address", metrics, *basis),
        running("exporter", *ledger, "--state", f"{folder}/state", "--metrics-address", accrual, *basis),
        served(folder) as textfile,
        scraping(
            folder,
            [
                ("compressor", metrics, "/metrics"),
                ("compressor-exporter", accrual, "/metrics"),
                ("compressor-batch", textfile, "/batch.prom"),
            ],
            interval="2s",
        ) as prometheus,
    ):
        time.sleep(10)  # every counter is seen at 0 before anything happens
        to_prometheus = ("--metrics-textfile", f"{folder}/batch.prom")
        in_place = ("--in-place", "--discard-originals", "--quality", "80", *ledger[:1], f"{folder}/ledgers/run.ledger")
        subprocess.run([COMPRESSOR, "batch", f"{folder}/photos", *in_place, *to_prometheus], check=True)
        send_photographs(address, MINUTES * 60)
        command = [sys.executable, "-m", "benchmarks", "dashboard", "--prometheus", f"http://{prometheus}"]
        subprocess.run([*command, "--minutes", str(MINUTES), "--out", str(folder / "out")], cwd=ROOT, check=True)
    return folder / "out" / "dashboard.png"


def send_photographs(address: str, seconds: float) -> None:
    """Compress photographs by the service, as several users would, for some time."""
    end = time.monotonic() + seconds
    with Client(address) as client:
        while time.monotonic() < end:
            for number in range(8):
                client.compress(pictures.small_photo(number), score=True)
            client.compress(pictures.photo(), effort="fast")
            client.compress(pictures.scan())
            time.sleep(2)
