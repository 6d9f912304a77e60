"""A real file system of 8 MiB under the spool directory: full, and read-only. Needs root and a loop device."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from compressor.client import Client
from compressor.errors import BusyError
from compressor.settings import Format
from compressor.spool_directory import default_spool_dir
from tests.service.conftest import png
from tests.service.running import Process, eventually
from tests.service.test_drain import get
from tests.service.test_workers import value

pytestmark = pytest.mark.heavy
MIB = 1 << 20


@pytest.fixture
def small_disk() -> Iterator[str]:
    """Mount an ext4 of 8 MiB, and yield a directory on it."""
    folder = Path(tempfile.mkdtemp(dir=default_spool_dir()))
    image, mount = folder / "image", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        yield str(mount)
    finally:
        subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(folder)


@pytest.fixture
def service(small_disk: str) -> Iterator[Process]:
    with Process("pipeline", spool_dir=small_disk) as process:
        yield process


@pytest.fixture(scope="module")
def picture() -> bytes:
    """A PNG of 5 MB. The spools of its conversion to JPEG take 6 MB, those of a smaller PNG 10 MB."""
    return png(2100, 1000)


def is_ready(process: Process) -> bool:
    return get(f"{process.metrics}/readyz")[0] == 200


def compresses(process: Process, picture: bytes, format: str = "jpeg") -> None:
    with Client(process.address, timeout=120, retries=0) as client:
        assert client.compress(picture, effort="fast", format=Format(format)).report.bytes_in == len(picture)


def is_rejected(process: Process, picture: bytes, problem: str, format: str = "jpeg") -> None:
    with pytest.raises(BusyError, match=f"^the spool directory /.*/disk: {problem}$") as busy:
        compresses(process, picture, format)
    assert busy.value.retry_after_seconds > 1


def check_metrics(process: Process, rejected: int) -> None:
    assert value(process, 'compressor_requests_rejected_total{reason="disk"}') == rejected
    assert value(process, "compressor_spool_errors_total") >= rejected
    assert value(process, 'compressor_requests_total{code="INTERNAL",path="none"}') == 0
    assert value(process, "compressor_spool_bytes") == value(process, "compressor_spool_files") == 0


def test_a_disk_that_a_call_fills_has_as_much_space_as_before_once_that_call_has_failed(
    small_disk: str, service: Process, picture: bytes
) -> None:
    before = shutil.disk_usage(small_disk).free
    assert value(service, "compressor_spool_budget_bytes") == 256 * MIB, "at least so much, whatever is free"
    for _ in range(2):
        compresses(service, picture)
        is_rejected(service, picture, "No space left on device", "png")
        assert eventually(lambda: is_ready(service))
    assert shutil.disk_usage(small_disk).free == before
    check_metrics(service, 2)


def test_a_disk_that_others_fill_makes_the_service_not_ready_until_they_free_it(
    small_disk: str, service: Process, picture: bytes
) -> None:
    other = Path(small_disk) / "other"
    other.write_bytes(bytes(shutil.disk_usage(small_disk).free - 300_000))
    is_rejected(service, picture, "No space left on device")
    assert not eventually(lambda: is_ready(service), 3), "no probe succeeds"
    compresses(service, png(300, 200))  # in memory
    other.unlink()
    assert eventually(lambda: is_ready(service))
    compresses(service, picture)
    check_metrics(service, 1)


def test_a_disk_that_becomes_read_only(small_disk: str, service: Process, picture: bytes) -> None:
    compresses(service, picture)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    is_rejected(service, picture, "Read-only file system")
    assert not eventually(lambda: is_ready(service), 3)
    compresses(service, png(300, 200))
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert eventually(lambda: is_ready(service))
    compresses(service, picture)
    check_metrics(service, 1)
