"""`compressor ledger restore` in a process of its own: killed, interrupted, and with invalid arguments."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from compressor.batch import api as launching
from compressor.batch.api import launch
from compressor.batch.job import Job
from compressor.batch.request import Request
from compressor.cli.app import app, commands_of
from compressor.settings import Settings
from compressor.stores.markers import MARKER
from compressor.stores.open import open_store
from tests import ROOT
from tests.batch.support import Inline, jpeg

COUNT = 200


@pytest.fixture(scope="module")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Return a folder with "in", whose pictures were replaced, "kept" and "ledger"; and the originals."""
    home = tmp_path_factory.mktemp("replaced") / "home"
    home.mkdir()
    data = [jpeg(n) for n in range(5)]
    files = {f"{n % 7}/{n}.jpg": data[n % 5] for n in range(COUNT)}
    for key, original in files.items():
        (home / "in" / key).parent.mkdir(parents=True, exist_ok=True)
        (home / "in" / key).write_bytes(original)
    settings = Settings(quality=60, effort="fast", min_saving=0.05)
    previous = os.getcwd()
    os.chdir(home)
    try:
        job = Job(source="in", target="in", in_place=True, keep="kept", settings=settings)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                launching, "engine_for", lambda request, server: Inline(request.job, store := open_store("in"), store)
            )
            assert launch(Request(job=job, ledger=Path("ledger"))).failed == 0
    finally:
        os.chdir(previous)
    assert len(contents(home / "kept")) == COUNT + 1  # the marker
    shutil.copytree(home, home.with_name("pristine"))
    return home, files


@pytest.fixture
def home(replaced: tuple[Path, dict[str, bytes]]) -> Path:
    """Return a copy of the folder, with other inodes, so that every etag differs from the ledger and content decides.

    It has the same path, since the ledger contains the path of the originals.
    """
    shutil.rmtree(replaced[0])
    return Path(shutil.copytree(replaced[0].with_name("pristine"), replaced[0]))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start(home: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "compressor.cli", "ledger", "restore", "ledger", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def remaining(home: Path) -> int:
    """Return the number of originals that are still kept."""
    return sum(name != MARKER for _, _, files in os.walk(home / "kept") for name in files)


def ended_early(process: subprocess.Popen[bytes], home: Path, at: int) -> bool:
    """Wait until at most `at` originals are still kept; return whether the process ended before that."""
    while remaining(home) > at:
        if process.poll() is not None:
            return True
        time.sleep(0.001)
    return False


def restore(home: Path, files: dict[str, bytes]) -> None:
    """Restore the rest, and assert that everything is as it was before the run."""
    process = start(home, "--json")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    summary: dict[str, Any] = json.loads(out)
    assert (summary["objects"], summary["failed"], summary["interrupted"]) == (COUNT, 0, False)
    assert [total["outcome"] for total in summary["totals"]] == ["copied"]
    assert contents(home / "in") == files


def test_a_repeatedly_killed_restore_can_be_completed(home: Path, replaced: tuple[Path, dict[str, bytes]]) -> None:
    files, rng = replaced[1], random.Random(3)
    results = contents(replaced[0] / "in")
    for at in (180, 120, 60):
        process = start(home)
        assert not ended_early(process, home, at)
        time.sleep(rng.random() * 0.02)
        process.kill()
        process.communicate()
        now, kept = contents(home / "in"), contents(home / "kept")
        for key, original in files.items():
            assert now[key] in (original, results[key])
            assert now[key] == original or kept[key] == original
    restore(home, files)


@pytest.mark.serial
def test_an_interrupted_restore_ends_soon_and_can_be_resumed(
    home: Path, replaced: tuple[Path, dict[str, bytes]]
) -> None:
    process = start(home, "--workers", "2")
    assert not ended_early(process, home, COUNT - 10)
    process.send_signal(signal.SIGINT)
    requested = time.monotonic()
    out, errors = process.communicate(timeout=30)

    assert process.returncode == 130, errors
    assert time.monotonic() - requested < 10
    assert b"interrupted" in out and b"repeat the command to resume it" in out and b"Traceback" not in errors
    assert 0 < remaining(home) < COUNT
    now = contents(home / "in")
    assert not [key for key in now if ".compressor-" in key]
    restore(home, replaced[1])


def test_a_dry_run_changes_nothing_and_a_partial_restore_leaves_the_rest(
    home: Path, replaced: tuple[Path, dict[str, bytes]]
) -> None:
    before = contents(home)
    process = start(home, "--dry-run", "--include", "3/*", "--json")
    summary = json.loads(process.communicate(timeout=60)[0])
    chosen = [key for key in replaced[1] if key.startswith("3/")]
    assert (process.returncode, summary["mode"], summary["objects"]) == (0, "restore dry run", len(chosen))
    assert contents(home) == before

    process = start(home, "--exclude", "[0-24-9]/*", "--json")
    assert json.loads(process.communicate(timeout=60)[0])["objects"] == len(chosen)
    assert all((home / "in" / key).read_bytes() == replaced[1][key] for key in chosen)
    assert remaining(home) == COUNT - len(chosen)
    restore(home, replaced[1])


COMMANDS: Any = dict(commands_of(typer.main.get_command(app)))
HONORED = {"--dry-run", "--include", "--exclude", "--workers", "--json"}


def flags(command: str) -> set[str]:
    return {flag for parameter in COMMANDS[command].params for flag in parameter.opts if flag.startswith("--")}


def test_restore_takes_the_options_that_it_honors_and_no_others() -> None:
    assert flags("ledger restore") - {"--help"} == HONORED
    assert flags("batch") > HONORED


@pytest.mark.parametrize("flag", sorted(flags("batch") - HONORED))
@pytest.mark.parametrize("more", [[], ["5"]], ids=["alone", "with a value"])
def test_options_that_restore_does_not_honor_are_refused(flag: Any, more: Any, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["ledger", "restore", str(tmp_path / "ledger"), flag, *more])

    assert found.exit_code == 2 and "No such option" in found.stderr and not found.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["another"], ["--workers", "0"], ["--workers", "1000"]], ids=" ".join)
def test_invalid_arguments_are_refused(words: Any, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["ledger", "restore", str(tmp_path / "ledger"), *words])

    assert found.exit_code == 2 and not found.stdout and not list(tmp_path.iterdir())


def test_a_folder_called_restore_is_a_source_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "restore").mkdir()
    (tmp_path / "restore/a.txt").write_bytes(b"text")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        launching,
        "engine_for",
        lambda request, server: Inline(request.job, open_store(request.job.source), open_store(request.job.target)),
    )

    found = CliRunner().invoke(app, ["batch", "restore", "out", "--ledger", "l"])

    assert found.exit_code == 0, found.stderr
    assert (tmp_path / "out/a.txt").read_bytes() == b"text"


def test_a_configuration_file_applies_to_the_ledger_commands(home: Path) -> None:
    (home / "c.toml").write_text('include = ["3/*"]\ndry-run = true\n')
    before = contents(home / "in")
    previous = os.getcwd()
    os.chdir(home)
    try:
        found = CliRunner().invoke(app, ["--config", "c.toml", "ledger", "restore", "ledger", "--json"])
    finally:
        os.chdir(previous)

    summary = json.loads(found.stdout)
    assert (summary["mode"], summary["objects"]) == ("restore dry run", sum(key.startswith("3/") for key in before))
    assert contents(home / "in") == before
