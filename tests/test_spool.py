"""The spool: bytes that are written once and read as often as needed, on a disk."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from compressor import spool as spool_module
from compressor.errors import LimitError, SettingsError
from compressor.memory import Resources


@pytest.fixture
def disk() -> str:
    return spool_module.default_spool_dir()


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


@pytest.mark.parametrize("size", [0, 1, 1000, spool_module.SPOOL_MEMORY_BYTES + 1, 3 * spool_module.CHUNK_BYTES + 5])
def test_a_spool_can_be_read_repeatedly(disk: str, size: int) -> None:
    data = os.urandom(size)
    resources = Resources(spool_dir=disk)
    spool = resources.spool()
    for at in range(0, size, 70_000):
        spool.write(data[at : at + 70_000])

    assert b"".join(spool.chunks()) == b"".join(spool.chunks()) == data
    assert spool.read(size // 2, 10) == data[size // 2 : size // 2 + 10]
    assert b"".join(spool.chunks(size // 2)) == data[size // 2 :]
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


def test_spools_share_a_disk_budget(disk: str) -> None:
    resources = Resources(spool_dir=disk, spool_budget=1000)
    first, second = resources.spool(), resources.spool()
    first.write(bytes(600))
    with pytest.raises(LimitError, match="1000"):
        second.write(bytes(600))
    first.close()
    second.write(bytes(600))
    second.close()


def test_a_spool_directory_in_memory_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {tmp_path} rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(spool_module, "MOUNTINFO", str(mounts))
    with pytest.raises(SettingsError, match="tmpfs"):
        Resources(spool_dir=str(tmp_path))


def test_a_spool_directory_that_does_not_exist_is_rejected() -> None:
    with pytest.raises(SettingsError, match="spool_dir"):
        Resources(spool_dir="/nowhere/at/all")


@pytest.mark.parametrize(
    "name",
    [
        "größe 日本".encode(),
        b"caf\xe9",
        b"a b\tc\nd\\e#f",
        b"\\040",
        b"\\x41",
        "\N{NO-BREAK SPACE}\x85".encode(),
        b"r\rs",
    ],
    ids=repr,
)
def test_a_mount_point_is_recognized_with_any_bytes_in_its_name(
    name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(directory)
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in directory)
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(b"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / " + escaped + b" rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(spool_module, "MOUNTINFO", str(mounts))

    assert spool_module.file_system(os.fsdecode(directory)) == "tmpfs"
    assert spool_module.file_system(str(tmp_path)) == "ext4"
    with pytest.raises(SettingsError, match="in memory"):
        Resources(spool_dir=os.fsdecode(directory))
