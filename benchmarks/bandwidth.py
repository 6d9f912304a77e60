"""Real photographs through a real server over loopback: bytes on the wire both ways, time to first byte, MB/s.

Bytes are counted by a proxy between client and server; times are taken without it, in a run of its own. Beside it: the
original bytes through a bare TCP socket, the least that sending them can cost.
"""

import io
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from rich.table import Table

from benchmarks.harness import fidelity, photos, record
from benchmarks.harness.proxy import CountingProxy, sink_address
from benchmarks.harness.server import ServerProcess

if TYPE_CHECKING:
    from compressor.client import Client

CHUNKS = (64 << 10, 256 << 10, 1 << 20)
ROUNDS = 5
BIG = (3000, 3000)
LOOKS_FINE_DB = 28.0


@dataclass
class Measured:
    """One image at one chunk size. `wire_*` are TCP payload, `bytes_*` are image bytes; times are medians."""

    name: str
    effort: str
    chunk_bytes: int
    bytes_in: int
    bytes_out: int
    wire_up: int
    wire_down: int
    seconds: float
    first_byte_seconds: float
    psnr_db: float

    @property
    def overhead(self) -> float:
        """What framing adds to the image bytes of both directions, as a share."""
        return (self.wire_up + self.wire_down) / (self.bytes_in + self.bytes_out) - 1

    @property
    def good(self) -> bool:
        return self.psnr_db >= LOOKS_FINE_DB and self.bytes_out <= self.bytes_in


def pieces(data: bytes, chunk_bytes: int) -> Iterator[bytes]:
    for at in range(0, len(data), chunk_bytes):
        yield data[at : at + chunk_bytes]


def send(client: "Client", data: bytes, chunk_bytes: int, effort: str) -> tuple[bytes, float, float]:
    """The result, seconds in all and to the first byte of it."""
    from compressor.settings import Delivery, Effort, Format, Settings

    delivery = Delivery.IMMEDIATE if effort == "fast" else Delivery.SAFE
    settings = Settings(effort=Effort(effort), delivery=delivery, format=Format.JPEG)
    start = time.perf_counter()
    first = 0.0
    result = []
    with client.stream(pieces(data, chunk_bytes), settings) as stream:
        for chunk in stream:
            first = first or time.perf_counter() - start
            result.append(chunk)
    return b"".join(result), time.perf_counter() - start, first


def measure(
    direct: "Client", counted: "Client", proxy: CountingProxy, image: tuple[str, bytes], way: tuple[int, str]
) -> Measured:
    """One image, one chunk size: a run through the proxy for the bytes, then some without it for the time."""
    name, data = image
    chunk_bytes, effort = way
    up, down = proxy.counts()
    result, _, _ = send(counted, data, chunk_bytes, effort)
    after = proxy.counts()
    times = [send(direct, data, chunk_bytes, effort)[1:] for _ in range(ROUNDS)]
    return Measured(
        name=name,
        effort=effort,
        chunk_bytes=chunk_bytes,
        bytes_in=len(data),
        bytes_out=len(result),
        wire_up=after[0] - up,
        wire_down=after[1] - down,
        seconds=statistics.median(seconds for seconds, _ in times),
        first_byte_seconds=statistics.median(first for _, first in times),
        psnr_db=fidelity.psnr(fidelity.decoded(data), fidelity.decoded(result)),
    )


def plain_seconds(address: tuple[str, int], data: bytes) -> float:
    """Sending the original through a bare socket, until the other side has all of it."""
    start = time.perf_counter()
    with socket.create_connection(address) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return time.perf_counter() - start


def images() -> list[tuple[str, bytes]]:
    """A small PNG and a small JPEG, camera files where there are some, and 9 MP as a PNG."""
    small = [path for path in photos.packaged() if path.name in ("astronaut.png", "retina.jpg")]
    camera = sorted(photos.from_corpus("camera"), key=lambda path: path.stat().st_size)[-2:]
    found = [(path.name, path.read_bytes()) for path in small + camera]
    file = io.BytesIO()
    Image.fromarray(photos.mosaic(*BIG)[0]).save(file, "PNG", compress_level=1)
    return [*found, ("9 MP photograph.png", file.getvalue())]


def table_of(measured: list[Measured], plain: dict[str, float]) -> Table:
    """100 columns at most."""
    table = record.table(
        "Through the service over loopback, JPEG out, quality 80",
        ("image", "how"),
        (
            "chunk",
            "wire up\nkB",
            "wire down\nkB",
            "framing",
            "both ÷\noriginal",
            "first\nbyte ms",
            "all\nms",
            "MB/s\nin",
        ),
    )
    name = ""
    for one in measured:
        if one.name != name:
            name = one.name
            seconds = plain[name]
            table.add_section()
            table.add_row(
                name, "[dim]original[/]", "-", f"{one.bytes_in / 1e3:.0f}", "0", "-", "1.00", "-",
                f"{seconds * 1e3:.1f}", f"{one.bytes_in / seconds / 1e6:.0f}",
            )  # fmt: skip
        table.add_row(
            "" if one.good else "[red]differs[/]",
            one.effort,
            f"{one.chunk_bytes >> 10} KiB" if one.chunk_bytes < 1 << 20 else f"{one.chunk_bytes >> 20} MiB",
            f"{one.wire_up / 1e3:.0f}",
            f"{one.wire_down / 1e3:.0f}",
            f"{one.overhead:.2%}",
            f"{(one.wire_up + one.wire_down) / one.bytes_in:.2f}",
            f"{one.first_byte_seconds * 1e3:.1f}",
            f"{one.seconds * 1e3:.0f}",
            f"{one.bytes_in / one.seconds / 1e6:.1f}",
        )
    return table


def run(out: Path) -> bool:
    """Measure, print, save; False where a result is not what it should be."""
    from compressor.client import Client

    console = record.console()
    measured: list[Measured] = []
    plain: dict[str, float] = {}
    stop = threading.Event()
    sink = sink_address(stop)
    with ServerProcess() as server, CountingProxy(server.address) as proxy:
        subjects = images()
        for name, data in subjects:
            plain[name] = statistics.median(plain_seconds(sink, data) for _ in range(ROUNDS))
        for chunk_bytes in CHUNKS:
            with (
                Client(server.address, chunk_bytes=chunk_bytes) as direct,
                Client(proxy.address, chunk_bytes=chunk_bytes) as counted,
            ):
                for client in (direct, counted):  # connects, and pays for what happens once
                    send(client, subjects[0][1], chunk_bytes, "fast")
                measured.extend(
                    measure(direct, counted, proxy, subject, (chunk_bytes, effort))
                    for subject in subjects
                    for effort in ("fast", "balanced")
                )
    order = [name for name, _ in subjects]
    measured.sort(key=lambda one: (order.index(one.name), one.effort == "balanced", one.chunk_bytes))
    stop.set()
    console.print(table_of(measured, plain))
    results: dict[str, Any] = {"plain_seconds": plain, "rounds": ROUNDS, "images": [asdict(one) for one in measured]}
    console.print(f"[dim]{record.save(out, 'bandwidth', results)}[/]", soft_wrap=True)
    return all(one.good for one in measured)
