"""Many images at once in little memory: in a control group with a limit, and with a budget for few of them.

Where no control group can be made, the peak of the server's resident memory must not exceed the same limit.
"""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.harness.cgroup import memory_group
from benchmarks.harness.server import ServerProcess
from benchmarks.harness.transfer import send
from benchmarks.memory import measure, tiled_images
from compressor.calls.call import Codec
from compressor.calls.codec import pipeline_codec
from compressor.client import Client
from compressor.errors import BusyError
from compressor.memory import Resources
from tests.service.running import Running

MIB = 1 << 20
# Kind of source, format of the result, effort.
EIGHT = (
    ("baseline", "jpeg", "balanced"),
    ("progressive", "jpeg", "balanced"),
    ("png", "jpeg", "balanced"),
    ("interlaced", "jpeg", "balanced"),
    ("baseline", "jpeg", "fast"),
    ("progressive", "jpeg", "fast"),
    ("png", "png", "fast"),
    ("interlaced", "jpeg", "fast"),
)


def send_all(address: str, files: tiled_images.Files, folder: Path, times: int = 1) -> tuple[int, int]:
    """Send the eight images at once, `times` times each, and retry when busy. Return (done, rejected)."""
    rejected = []
    barrier = threading.Barrier(8 * times)

    def one(number: int) -> None:
        kind, format, effort = EIGHT[number % 8]
        result = folder / f"{number}.{format}"
        barrier.wait()
        with Client(address, retries=0) as client:
            while True:
                try:
                    report = send(client, files[kind], result, format=format, effort=effort)[0]
                    break
                except BusyError as error:
                    assert error.retry_after_seconds > 0
                    rejected.append(number)
                    time.sleep(error.retry_after_seconds * random.uniform(1, 1.5))
        assert report.bytes_out == result.stat().st_size

    with ThreadPoolExecutor(8 * times) as pool:
        done = len(list(pool.map(one, range(8 * times))))
    return done, len(rejected)


def check_results(files: tiled_images.Files, folder: Path, count: int) -> None:
    """Check that the first eight show what was drawn, and that the others have the same bytes."""
    picture = files.picture
    for number in range(count):
        kind, format, _ = EIGHT[number % 8]
        path = folder / f"{number}.{format}"
        if number < 8:
            found = measure.psnr_of(path, format, picture)
            assert not measure.problem_of(found, "png" if format == "png" else kind, format, picture.width**2)
        else:
            assert path.read_bytes() == (folder / f"{number % 8}.{format}").read_bytes()


def files_of(side: int, folder: Path) -> tiled_images.Files:
    """Make the four kinds of files."""
    files = tiled_images.Files(folder / "sources", side, side)
    for kind in tiled_images.KINDS:
        assert files[kind].exists()
    return files


def eight_at_once(side: int, limit_bytes: int, folder: Path) -> None:
    files = files_of(side, folder)
    with memory_group(limit_bytes) as group:
        with ServerProcess(prefix=group.prefix if group else ()) as server:
            idle = server.resident_bytes
            done, rejected = send_all(server.address, files, folder)
            peak = server.peak_bytes
        assert (done, rejected, server.code) == (8, 0, 0)
        assert idle is not None and peak is not None and peak <= limit_bytes
        counted = f", {group.peak_bytes / MIB:.0f} MiB counted by its control group" if group else ""
        print(f"\neight of {side} x {side}: {idle / MIB:.0f} MiB idle, {peak / MIB:.0f} MiB at most{counted}")
        assert group is None or group.killed == 0
    check_results(files, folder, 8)


def test_eight_images_at_once_succeed_in_little_memory(tmp_path: Path) -> None:
    """4 MP each. An idle server takes about 200 MiB, and the pixels alone would take 96 MB more."""
    eight_at_once(2000, 256 * MIB, tmp_path)


@pytest.mark.heavy
def test_eight_images_of_100_megapixels_at_once_succeed_in_512_mebibytes(tmp_path: Path) -> None:
    eight_at_once(10_000, 512 * MIB, tmp_path)


def impatient_codec(budget: int, wait_seconds: float) -> Codec:
    """Return the real pipeline with a budget and a short wait for it."""
    return pipeline_codec(Resources(memory_budget=budget, wait_seconds=wait_seconds, overhead=MIB))


def test_sixty_four_at_once_with_a_budget_for_a_few_all_succeed(tmp_path: Path) -> None:
    files = files_of(400, tmp_path)
    codec = impatient_codec(8 * MIB, wait_seconds=0.1)
    with Running(codec) as server:
        done, rejected = send_all(server.address, files, tmp_path, times=8)

    assert done == 64
    assert rejected > 0
    assert codec.resources.reserved_bytes == 0
    check_results(files, tmp_path, 64)


@pytest.mark.heavy
def test_sixty_four_of_100_megapixels_at_once_with_a_budget_of_160_mebibytes_all_succeed(tmp_path: Path) -> None:
    files = files_of(10_000, tmp_path)
    with memory_group(512 * MIB) as group:
        options = ("--memory-budget", "160MiB", "--idle-seconds", "600")
        with ServerProcess(*options, prefix=group.prefix if group else ()) as server:
            done, rejected = send_all(server.address, files, tmp_path, times=8)
            peak = server.peak_bytes
        assert (done, server.code) == (64, 0)
        assert peak is not None and peak <= 512 * MIB
        assert group is None or group.killed == 0
        print(f"\n64 at once: rejected as busy {rejected} times, {peak / MIB:.0f} MiB at most")
    check_results(files, tmp_path, 64)
