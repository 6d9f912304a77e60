"""Members of a folder other than files are copied too, or reported."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from compressor.batch import api
from compressor.cli.app import app
from compressor.stores.files import Files
from compressor.stores.filters import Filters
from compressor.stores.markers import MARKER
from compressor.stores.tree import TreeCopier
from tests.batch.support import Inline, jpeg
from tests.stores.s3_servers import moto_server

THEN_NS = 1_500_000_000_123_456_789


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with folders of all modes, links of all kinds, a pipe and a socket."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "engine_for", lambda request, server: Inline(request.job, None, None))
    root = tmp_path / "in"
    for folder in ("empty/inner", "full", "sealed", "bytes\udcff"):
        (root / folder).mkdir(parents=True)
    for name in ("full/a.jpg", "sealed/b.jpg"):
        (root / name).write_bytes(jpeg(1))
    for link, destination in LINKS.items():
        (root / link).symlink_to(destination)
    os.mkfifo(root / "full/pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(root)  # the path of a socket is short
        bound.bind("socket")
        monkeypatch.chdir(tmp_path)
    (root / "full").chmod(0o2750)
    (root / "empty/inner").chmod(0o700)
    (root / "sealed").chmod(0o555)
    for folder in ("empty/inner", "empty", "full", "sealed", "."):
        os.utime(root / folder, ns=(THEN_NS, THEN_NS))
    return root


LINKS = {
    "full/near": "a.jpg",
    "up": "full/../full/a.jpg",
    "folder": "full",
    "broken": "no/such\nplace",
    "outside": "../elsewhere",
    "absolute": "/etc/passwd",
    "bytes\udcff/l\udcfe": b"\xff\xfe".decode("utf-8", "surrogateescape"),
}


def batch(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["batch", *arguments, "--quality", "60", "--json"])


def shape(root: Path) -> dict[str, tuple[int, str]]:
    """Return mode and link destination of everything below, without pipes and sockets."""
    paths = [path for path in root.rglob("*") if not stat.S_ISFIFO(path.lstat().st_mode)]
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, os.readlink(path) if path.is_symlink() else "")
        for path in paths
        if not stat.S_ISSOCK(path.lstat().st_mode)
    }


def test_a_copied_folder_is_complete(source: Path, tmp_path: Path) -> None:
    found = batch("in", "out")

    assert found.exit_code == 0, found.stderr
    summary = json.loads(found.stdout)
    assert shape(tmp_path / "out") == shape(source)
    for folder in ("empty/inner", "empty", "full", "sealed", "."):
        assert (tmp_path / "out" / folder).stat().st_mtime_ns == THEN_NS
    named = [notice for notice in summary["notices"] if notice.startswith("not copied")]
    assert sorted(named) == ["not copied: 1 × FIFO: full/pipe", "not copied: 1 × socket: socket"]
    assert summary["objects"] == 2

    before = {path: path.lstat().st_ino for path in (tmp_path / "out").rglob("*")}
    assert batch("in", "out").exit_code == 0
    assert {path: path.lstat().st_ino for path in (tmp_path / "out").rglob("*")} == before


def test_an_existing_member_is_kept_and_the_link_reported(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/up").write_text("mine")
    (tmp_path / "out/broken").symlink_to("mine")

    def named(*more: str) -> list[str]:
        notices = json.loads(batch("in", "out", "--ledger", f"l{len(more)}", *more).stdout)["notices"]
        return [notice for notice in notices if "symbolic link" in notice]

    assert named() == ["not copied: 2 × symbolic link: broken (exists), up (exists)"]
    assert os.readlink(tmp_path / "out/broken") == "mine"
    assert named("--overwrite") == ["not copied: 1 × symbolic link: up (exists)"]
    assert os.readlink(tmp_path / "out/broken") == LINKS["broken"] and (tmp_path / "out/up").read_text() == "mine"


def test_only_selected_members_are_copied(source: Path, tmp_path: Path) -> None:
    assert batch("in", "out", "--include", "full/*", "--exclude", "*/pipe").exit_code == 0

    assert shape(tmp_path / "out").keys() == {"full", "full/a.jpg", "full/near"}


def test_links_at_the_target_are_not_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/empty").symlink_to(tmp_path / "elsewhere")

    batch("in", "out")

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_target_within_the_source_and_kept_originals_are_not_copied(source: Path, tmp_path: Path) -> None:
    (source / "kept/empty").mkdir(parents=True)
    (source / "kept" / MARKER).touch()

    assert batch("in", "in/out").exit_code == 0
    assert batch("in", "in/out").exit_code == 0

    assert not (source / "out/out").exists() and not (source / "out/kept").exists()
    assert (source / "out/empty/inner").is_dir()


def test_a_run_in_place_does_not_touch_links_and_pipes(source: Path) -> None:
    before = shape(source)

    found = batch("in", "--in-place", "--discard-originals")

    assert found.exit_code == 0, found.stderr
    assert shape(source) == before and json.loads(found.stdout)["notices"] == {}


def test_members_that_a_bucket_cannot_hold_are_reported(source: Path) -> None:
    with moto_server() as server:
        bucket = server.bucket()

        found = batch("in", f"s3://{bucket}/out")

        assert found.exit_code == 0, found.stderr
        notices = "\n".join(json.loads(found.stdout)["notices"])
        for said in ("7 × symbolic link", "1 × FIFO: full/pipe", "1 × socket", "1 × empty folder: empty/inner/"):
            assert f"not copied: {said}" in notices
        keys = [item["Key"] for item in server.client.list_objects_v2(Bucket=bucket)["Contents"]]
        assert keys == ["out/full/a.jpg", "out/sealed/b.jpg"]


def test_folder_placeholders_in_a_bucket_are_reported(tmp_path: Path, source: Path) -> None:
    with moto_server() as server:
        bucket = server.bucket()
        for key in ("in/", "in/a/", "in/b/", "in/b/c.jpg"):
            server.client.put_object(Bucket=bucket, Key=key, Body=jpeg(1) if key.endswith("jpg") else b"")

        found = batch(f"s3://{bucket}/in", "from-s3")

        assert found.exit_code == 0, found.stderr
        assert any(notice.startswith("2 keys that end in /") for notice in json.loads(found.stdout)["notices"])


def test_a_deep_folder_is_copied_completely(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    here = os.open(tmp_path / "in", os.O_RDONLY)
    depth = 200
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    assert TreeCopier(Files(str(tmp_path / "in")), Files(str(tmp_path / "out")), Filters()).copy() == ()
    with Files(str(tmp_path / "out")).folder(b"d/" * depth) as folder:
        assert os.listdir(folder) == []
