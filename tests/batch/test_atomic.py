"""Runs in place where objects can't be replaced conditionally."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from compressor.cli.app import app
from compressor.stores import file_write
from tests.batch.support import jpeg

PLAIN = jpeg(1)
IN_PLACE = ["in", "--in-place", "--discard-originals", "--quality", "60", "--workers", "1", "--json"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(PLAIN)
    return tmp_path / "in"


def batch(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["batch", *arguments])


def test_a_folder_does_not_need_allow_non_atomic(folder: Path) -> None:
    found = batch(*IN_PLACE)

    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["saved_bytes"] > 0
    assert len((folder / "a.jpg").read_bytes()) < len(PLAIN)
    assert [path.name for path in folder.iterdir()] == ["a.jpg"]


def test_a_file_system_without_atomic_exchange_is_refused_before_any_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_write, "_renameat2", None)

    found = batch(*IN_PLACE)

    assert found.exit_code == 2 and "--allow-non-atomic" in found.stderr
    assert [path.name for path in folder.parent.iterdir()] == ["in"]
    assert [path.name for path in folder.iterdir()] == ["a.jpg"]
    assert (folder / "a.jpg").read_bytes() == PLAIN
    assert batch(*IN_PLACE, "--allow-non-atomic").exit_code == 0
    assert len((folder / "a.jpg").read_bytes()) < len(PLAIN)


def test_an_image_with_other_hard_links_is_refused_before_any_write(folder: Path) -> None:
    (folder.parent / "snapshot.jpg").hardlink_to(folder / "a.jpg")
    (folder / "b.jpg").write_bytes(jpeg(2))

    for more in ([], ["--dry-run"]):
        found = batch(*IN_PLACE, *more)
        assert found.exit_code == 2 and "--allow-non-atomic" in found.stderr and "a.jpg" in found.stderr
    assert (folder / "b.jpg").read_bytes() == jpeg(2)

    assert batch(*IN_PLACE, "--exclude", "a.jpg").exit_code == 0
    assert len((folder / "b.jpg").read_bytes()) < len(jpeg(2))
    assert (folder / "a.jpg").samefile(folder.parent / "snapshot.jpg")

    assert batch(*IN_PLACE, "--allow-non-atomic").exit_code == 0
    assert len((folder / "a.jpg").read_bytes()) < len(PLAIN)
    assert (folder.parent / "snapshot.jpg").read_bytes() == PLAIN


def test_hard_links_to_files_other_than_images_are_ignored(folder: Path) -> None:
    (folder / "notes.txt").write_bytes(b"text")
    (folder / "more.txt").hardlink_to(folder / "notes.txt")
    (folder / "empty").touch()
    (folder / "nothing").hardlink_to(folder / "empty")

    assert batch(*IN_PLACE).exit_code == 0
    assert len((folder / "a.jpg").read_bytes()) < len(PLAIN)


def test_a_hard_link_in_a_manifest_is_reported_and_left_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "b.jpg").hardlink_to(folder / "a.jpg")
    (tmp_path / "list.csv").write_text("key\na.jpg\n")

    found = batch(*IN_PLACE, "--manifest", "list.csv", "--ledger", "l")

    summary = json.loads(found.stdout)
    assert [(total["outcome"], total["reason"]) for total in summary["totals"]] == [("skipped", "not_atomic")]
    assert (folder / "a.jpg").samefile(folder / "b.jpg")
    again = batch(*IN_PLACE, "--manifest", "list.csv", "--ledger", "l", "--allow-non-atomic")
    assert json.loads(again.stdout)["saved_bytes"] > 0
