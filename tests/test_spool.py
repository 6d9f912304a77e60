"""The spool: bytes that are written once and read as often as needed, on a disk."""

import os
import tempfile
from collections.abc import Callable

import pytest

from compressor import spool as spool_module
from compressor import spool_directory
from compressor.errors import LimitError, SpoolError
from compressor.memory import Resources


@pytest.fixture
def disk() -> str:
    return spool_directory.default_spool_dir()


def test_each_access_to_a_spool_checks_whether_it_is_still_wanted(disk: str) -> None:
    answers = iter([None, None])

    def still_wanted() -> None:
        if next(answers, InterruptedError):
            raise InterruptedError

    spool = Resources(spool_dir=disk).spool(still_wanted)
    spool.write(b"abc")
    assert spool.read(1, 5) == b"bc"
    accesses: list[Callable[[], object]] = [
        lambda: spool.write(b"d"),
        lambda: spool.read(0, 1),
        lambda: list(spool.chunks()),
    ]
    for access in accesses:
        with pytest.raises(InterruptedError):
            access()
    spool.close()


def test_a_header_made_last_is_read_before_its_spool(disk: str) -> None:
    spool = Resources(spool_dir=disk).spool()
    spool.write(b"defgh")
    headed = spool_module.WithHead(b"abc", spool)
    for start in range(10):
        for count in range(10):
            assert headed.read(start, count) == b"abcdefgh"[start : start + count]
    assert b"".join(headed.chunks()) == b"abcdefgh"
    assert headed.size == 8
    spool.close()


SIZES = [
    0,
    1,
    1000,
    spool_module.SPOOL_MEMORY_BYTES + 1,
    3 * spool_module.CHUNK_BYTES + 5,
    spool_module.LENT_BYTES_MAX + 200_000,
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("budget", [None, 0])
@pytest.mark.parametrize("step", [70_000, 1001, 13])
def test_a_spool_can_be_read_repeatedly(disk: str, size: int, budget: int | None, step: int) -> None:
    if step == 13:
        size %= 1 << 18
    data = os.urandom(size)
    resources = Resources(spool_dir=disk, memory_budget=budget)
    spool = resources.spool()
    for at in range(0, size, step):
        spool.write(memoryview(data)[at : at + step])

    assert b"".join(spool.chunks()) == b"".join(spool.chunks()) == data
    assert spool.read(size // 2, 10) == data[size // 2 : size // 2 + 10]
    assert b"".join(spool.chunks(size // 2)) == data[size // 2 :]
    for start in range(0, size, size // 20 + 1):
        assert spool.read(start, 50_000) == data[start : start + 50_000]
    with spool.file() as file:
        file.seek(-size // 3, os.SEEK_END)
        assert file.read() == data[len(data) - -(-size // 3) :]
        assert file.seek(0) == 0 and file.read(10) == data[:10]
    spool.close()
    assert resources.spooled_bytes == 0


def test_a_spool_leaves_no_file_in_its_directory(disk: str) -> None:
    directory = os.path.join(disk, f"spool-test-{os.getpid()}")
    os.mkdir(directory)
    spool = Resources(spool_dir=directory).spool()
    spool.write(bytes(1 << 20))
    assert os.listdir(directory) == []
    spool.close()
    os.rmdir(directory)


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)


@pytest.mark.usefixtures("no_files")
def test_a_spool_makes_no_file_up_to_what_can_be_lent_to_it(disk: str) -> None:
    resources = Resources(spool_dir=disk)
    spool = resources.spool()
    data = os.urandom(spool_module.LENT_BYTES_MAX + spool_module.SPOOL_MEMORY_BYTES)
    for at in range(0, len(data), 1 << 16):
        spool.write(data[at : at + (1 << 16)])
    assert b"".join(spool.chunks()) == data
    with pytest.raises(SpoolError, match=f"^the spool directory {disk}: the disk is full$"):
        spool.write(b"x")
    spool.close()
    assert resources.spooled_bytes == resources.reserved_bytes == 0


def test_a_vacated_spool_continues_in_its_file(disk: str) -> None:
    resources = Resources(spool_dir=disk)
    spool = resources.spool()
    data = os.urandom(600_000)
    spool.write(data[:300_000])
    assert resources.reserved_bytes >= 300_000 - spool_module.SPOOL_MEMORY_BYTES
    spool.vacate()
    assert resources.reserved_bytes == 0
    for at in range(300_000, 600_000, 1000):
        spool.write(data[at : at + 1000])
    assert resources.reserved_bytes == 0
    assert spool.read(299_000, 300_500) == data[299_000:599_500]
    assert b"".join(spool.chunks()) == data
    spool.close()


@pytest.mark.usefixtures("no_files")
def test_a_spool_that_could_not_be_vacated_ends_the_work_of_its_owner_alone(disk: str) -> None:
    resources = Resources(spool_dir=disk)
    spool = resources.spool()
    spool.write(bytes(300_000))
    spool.vacate()
    assert resources.reserved_bytes == 0
    for access in (lambda: spool.read(0, 1), lambda: spool.write(b"x")):
        with pytest.raises(SpoolError, match="full"):
            access()
    spool.close()
    assert resources.spooled_bytes == 0


def test_the_descriptor_of_a_spool_gives_all_of_its_bytes(disk: str) -> None:
    spool = Resources(spool_dir=disk).spool()
    spool.write(b"abc" * 1000)
    spool.write(b"def")
    assert os.pread(spool.file().fileno(), 5000, 0) == b"abc" * 1000 + b"def"
    spool.write(b"g")
    assert spool.read(3000, 10) == b"defg"
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.read(0, 1)


@pytest.mark.usefixtures("no_files")
def test_an_error_is_raised_again_by_each_access_since_bytes_are_missing(disk: str) -> None:
    resources = Resources(spool_dir=disk, memory_budget=0)
    spool = resources.spool()
    spool.write(b"abc")
    with pytest.raises(SpoolError):
        spool.write(bytes(100_000))
    for access in (lambda: spool.write(b"x"), lambda: spool.read(0, 1), spool.fileno):
        with pytest.raises(SpoolError):
            access()
    spool.close()
    assert resources.spooled_bytes == 0


def test_a_spool_that_did_not_fit_is_not_read_as_if_it_were_complete(disk: str) -> None:
    resources = Resources(spool_dir=disk, spool_budget=1000)
    spool = resources.spool()
    spool.write(bytes(10))
    with pytest.raises(LimitError):
        spool.write(bytes(2000))
    with pytest.raises(LimitError):
        spool.read(0, 10)
    spool.close()
    assert resources.spooled_bytes == 0
