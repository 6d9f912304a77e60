"""Files that appear under their name only when they are complete."""

import os
import stat
from pathlib import Path

import pytest

from compressor.atomic_write import AtomicFile, temporary_name


def test_a_file_appears_when_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_bytes(b"old")

    with AtomicFile(temporary_name(tmp_path), 0o600) as file:
        file.open().write(b"new")
        assert path.read_bytes() == b"old"
        file.publish(path, sync_folder=True)

    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["result"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), AtomicFile(temporary_name(tmp_path)) as file:
        file.open().write(b"half")
        raise ValueError("broken")

    assert os.listdir(tmp_path) == []


def test_an_existing_temporary_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"another process's")

    with pytest.raises(FileExistsError):
        AtomicFile(tmp_path / "taken").open()
    assert (tmp_path / "taken").read_bytes() == b"another process's"


def test_only_a_required_sync_of_the_folder_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def unsupported(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(file)

    monkeypatch.setattr(os, "fsync", unsupported)

    with AtomicFile(temporary_name(tmp_path)) as file:
        file.open()
        file.publish(tmp_path / "a")
    with pytest.raises(OSError, match="Invalid argument"), AtomicFile(temporary_name(tmp_path)) as file:
        file.open()
        file.publish(tmp_path / "b", sync_folder=True)
