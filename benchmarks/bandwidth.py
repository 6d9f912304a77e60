"""Real photographs through a real server over loopback: bytes on the wire both ways, time to first byte, MB/s.

A proxy between client and server counts the bytes; times are measured in separate runs without it. For comparison the
original bytes are sent through a bare TCP socket, which is the minimum that sending them can cost.
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
PSNR_MIN_DB = 28.0


@dataclass
class TransferResult:
    """One image at one chunk size. `wire_*` is TCP payload, `bytes_*` are image bytes; times are medians."""

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
        """The bytes of framing as a share of the image bytes, in both directions."""
        return (self.wire_up + self.wire_down) / (self.bytes_in + self.bytes_out) - 1

    @property
    def is_valid(self) -> bool:
        """True if the result is similar to its source and not larger."""
        return self.psnr_db >= PSNR_MIN_DB and self.bytes_out <= self.bytes_in


def split(data: bytes, chunk_bytes: int) -> Iterator[bytes]:
    """Yield `data` in chunks."""
    for at in range(0, len(data), chunk_bytes):
        yield data[at : at + chunk_bytes]


def convert(client: "Client", data: bytes, chunk_bytes: int, effort: str) -> tuple[bytes, float, float]:
    """Send an image; return the result, and the seconds to the end and to the first byte of the result."""
    from compressor.settings import Delivery, Effort, Format, Settings

    delivery = Delivery.IMMEDIATE if effort == "fast" else Delivery.SAFE
    settings = Settings(effort=Effort(effort), delivery=delivery, format=Format.JPEG)
    start = time.perf_counter()
    first = 0.0
    result = []
    with client.stream(split(data, chunk_bytes), settings) as stream:
        for chunk in stream:
            first = first or time.perf_counter() - start
            result.append(chunk)
    return b"".join(result), time.perf_counter() - start, first


def measure(
    direct: "Client", counted: "Client", proxy: CountingProxy, image: tuple[str, bytes], call: tuple[int, str]
) -> TransferResult:
    """Measure one image at a chunk size and effort: the bytes through the proxy, then the times without it."""
    name, data = image
    chunk_bytes, effort = call
    up, down = proxy.counts()
    result, _, _ = convert(counted, data, chunk_bytes, effort)
    after = proxy.counts()
    times = [convert(direct, data, chunk_bytes, effort)[1:] for _ in range(ROUNDS)]
    return TransferResult(
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


def socket_seconds(address: tuple[str, int], data: bytes) -> float:
    """Return the time to send the original through a bare socket until the other side has received all of it."""
    start = time.perf_counter()
    with socket.create_connection(address) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return time.perf_counter() - start


def images() -> list[tuple[str, bytes]]:
    """Return a small PNG and a small JPEG, camera files if there is a corpus, and a PNG of 9 MP."""
    small = [path for path in photos.packaged() if path.name in ("astronaut.png", "retina.jpg")]
    camera = sorted(photos.from_corpus("camera"), key=lambda path: path.stat().st_size)[-2:]
    found = [(path.name, path.read_bytes()) for path in small + camera]
    file = io.BytesIO()
    Image.fromarray(photos.mosaic(*BIG)[0]).save(file, "PNG", compress_level=1)
    return [*found, ("9 MP photograph.png", file.getvalue())]


def table_of(results: list[TransferResult], socket_times: dict[str, float]) -> Table:
    """Return a table of at most 100 columns."""
    table = record.table(
        "Through the service over loopback, JPEG out, quality 80",
        ("image", "effort"),
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
    for one in results:
        if one.name != name:
            name = one.name
            seconds = socket_times[name]
            table.add_section()
            table.add_row(
                name, "[dim]original[/]", "-", f"{one.bytes_in / 1e3:.0f}", "0", "-", "1.00", "-",
                f"{seconds * 1e3:.1f}", f"{one.bytes_in / seconds / 1e6:.0f}",
            )  # fmt: skip
        table.add_row(
            "" if one.is_valid else "[red]wrong[/]",
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
    """Measure, print and save; return False if a result is wrong."""
    from compressor.client import Client

    console = record.console()
    measured: list[TransferResult] = []
    socket_times: dict[str, float] = {}
    stop = threading.Event()
    sink = sink_address(stop)
    with ServerProcess() as server, CountingProxy(server.address) as proxy:
        subjects = images()
        for name, data in subjects:
            socket_times[name] = statistics.median(socket_seconds(sink, data) for _ in range(ROUNDS))
        for chunk_bytes in CHUNKS:
            with (
                Client(server.address, chunk_bytes=chunk_bytes) as direct,
                Client(proxy.address, chunk_bytes=chunk_bytes) as counted,
            ):
                for client in (direct, counted):  # connect, and exclude one-time costs
                    convert(client, subjects[0][1], chunk_bytes, "fast")
                measured.extend(
                    measure(direct, counted, proxy, subject, (chunk_bytes, effort))
                    for subject in subjects
                    for effort in ("fast", "balanced")
                )
    order = [name for name, _ in subjects]
    measured.sort(key=lambda one: (order.index(one.name), one.effort == "balanced", one.chunk_bytes))
    stop.set()
    console.print(table_of(measured, socket_times))
    content: dict[str, Any] = {"socket_seconds": socket_times, "rounds": ROUNDS}
    content["images"] = [asdict(one) for one in measured]
    console.print(f"[dim]{record.save(out, 'bandwidth', content)}[/]", soft_wrap=True)
    return all(one.is_valid for one in measured)
