"""The spool directory: which ones are accepted, and every error of its files."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor import spool_directory
from compressor.errors import SettingsError, SpoolError
from compressor.spool_directory import SpoolDirectory, default_spool_dir

DATA = bytes(range(256)) * 300


@pytest.fixture
def folder() -> Iterator[str]:
    """A directory on a disk."""
    with tempfile.TemporaryDirectory(dir=default_spool_dir()) as found:
        yield found


def fail(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Have a function of the system fail with this error number."""

    def failing(*arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile if name == "TemporaryFile" else os, name, failing)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ENOENT, errno.EACCES, errno.EMFILE])
def test_a_file_that_can_not_be_created_is_an_error_of_the_spool(
    folder: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = SpoolDirectory(folder)
    fail(monkeypatch, "TemporaryFile", number)
    with pytest.raises(SpoolError) as caught:
        directory.open()

    assert str(caught.value) == f"the spool directory {folder}: {os.strerror(number)}"
    assert caught.value.retry_after_seconds > 0
    assert (directory.errors, directory.files, directory.problem) == (1, 0, os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_a_write_that_fails_is_an_error_of_the_spool(folder: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = SpoolDirectory(folder)
    file = directory.open()
    with monkeypatch.context() as patch:
        fail(patch, "pwrite", number)
        with pytest.raises(SpoolError, match=os.strerror(number)):
            file.append(DATA)
    assert directory.files == 1
    file.close()
    file.close()
    assert (directory.errors, directory.files) == (1, 0)


def test_a_read_that_fails_is_an_error_of_the_spool(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = SpoolDirectory(folder)
    file = directory.open()
    file.append(DATA)
    with monkeypatch.context() as patch:
        fail(patch, "pread", errno.EIO)
        with pytest.raises(SpoolError, match="Input/output error"):
            file.read(0, 10)
    assert file.read(0, 10) == DATA[:10]
    file.close()


def test_writes_and_reads_may_be_short(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write, read = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda number, data, at: write(number, data[:1009], at))
    monkeypatch.setattr(os, "pread", lambda number, count, at: read(number, min(count, 997), at))
    file = SpoolDirectory(folder).open()
    file.append(DATA)

    assert file.size == len(DATA)
    assert file.read(0, len(DATA)) == DATA
    assert file.read(5, 2000) == DATA[5:2005]
    file.close()


def test_a_write_of_nothing_is_an_error_and_not_an_endless_loop(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SpoolDirectory(folder).open()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *arguments: 0)
        with pytest.raises(SpoolError, match="nothing was written"):
            file.append(DATA)
    file.close()


def test_a_file_that_has_become_shorter_is_an_error_and_not_a_shorter_image(folder: str) -> None:
    file = SpoolDirectory(folder).open()
    file.append(DATA)
    os.ftruncate(file.fileno(), 1000)
    with pytest.raises(SpoolError, match="fewer bytes are read than were written"):
        file.read(900, 200)
    file.close()


def test_an_error_at_the_end_is_counted_and_not_raised(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = SpoolDirectory(folder)

    class Failing:
        closed = False

        def close(self) -> None:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Failing())
    directory.open().close()
    assert (directory.errors, directory.files) == (1, 0)


def test_a_probe_says_whether_the_directory_works_and_leaves_nothing(folder: str) -> None:
    directory = SpoolDirectory(folder)
    assert directory.probe()
    shutil.rmtree(folder)
    assert not directory.probe()
    assert directory.problem == "No such file or directory"
    os.mkdir(folder)
    assert directory.probe()
    assert (directory.problem, directory.errors, directory.files, os.listdir(folder)) == ("", 1, 0, [])


@pytest.mark.parametrize("name", ["TemporaryFile", "pwrite", "pread"])
def test_a_probe_writes_and_reads(folder: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = SpoolDirectory(folder)
    fail(monkeypatch, name, errno.EIO)
    assert not directory.probe()
    assert directory.files == 0


def test_a_probe_notices_bytes_that_are_not_kept(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = SpoolDirectory(folder)
    monkeypatch.setattr(os, "pread", lambda number, count, at: bytes(count))
    assert not directory.probe()
    assert "other bytes" in directory.problem


def test_the_default_budget_is_half_of_what_is_free(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = SpoolDirectory(folder)

    def free(count: int) -> None:
        values = (4096, 4096, 2 * count // 4096, count // 2048, count // 4096, 0, 0, 0, 0, 255)
        monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))

    free(4 << 30)
    assert directory.default_budget() == 2 << 30
    free(1 << 20)  # full for the moment
    assert directory.default_budget() == spool_directory.BUDGET_BYTES_MIN


def test_a_spool_directory_in_memory_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {tmp_path} rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(spool_directory, "MOUNTINFO", str(mounts))
    with pytest.raises(SettingsError, match="tmpfs"):
        SpoolDirectory(str(tmp_path))


def test_a_spool_directory_that_does_not_exist_is_rejected() -> None:
    with pytest.raises(SettingsError, match="spool_dir"):
        SpoolDirectory("/nowhere/at/all")


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
    monkeypatch.setattr(spool_directory, "MOUNTINFO", str(mounts))

    assert spool_directory.file_system(os.fsdecode(directory)) == "tmpfs"
    assert spool_directory.file_system(str(tmp_path)) == "ext4"
    with pytest.raises(SettingsError, match="in memory"):
        SpoolDirectory(os.fsdecode(directory))
