"""`compressor batch` as users run it: in a separate process, on folders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.harness.server import ServerProcess
from compressor.batch.outcomes import SCORED_ONE_IN
from compressor.cli import batch as batch_command
from compressor.cli.app import app
from tests import ROOT
from tests.batch.support import jpeg, png

FILES = {"a b.jpg": jpeg(1), "sub/ü\n.jpg": jpeg(2), "flat.png": png(1), "notes.txt": b"text", "empty.png": b""}


def batch(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return command("batch", *arguments, folder=folder)


def command(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "compressor.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for key, data in FILES.items():
        path = tmp_path / "in" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "in"


def test_a_copy_writes_report_metrics_and_ledger_and_a_repeated_run_writes_nothing(
    source: Path, tmp_path: Path
) -> None:
    more = ["--report", "report.html", "--metrics-textfile", "batch.prom", "--json"]
    first = batch("in", "out", *more, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)

    assert (summary["objects"], summary["failed"], summary["mode"]) == (5, 0, "copy")
    out = {
        path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert out.keys() == FILES.keys()
    assert summary["bytes_out"] == sum(path.stat().st_size for path in out.values())
    assert "a b.jpg" in (tmp_path / "report.html").read_text()
    assert "compressor_batch_objects" in (tmp_path / "batch.prom").read_text()
    assert len(list(tmp_path.glob("compressor-*.ledger"))) == 1

    before = {key: path.stat().st_mtime_ns for key, path in out.items()}
    again = batch("in", "out", "--json", folder=tmp_path)
    assert json.loads(again.stdout)["objects"] == 5
    assert {key: path.stat().st_mtime_ns for key, path in out.items()} == before


def test_a_run_in_place_with_a_target_scores_its_results_and_changes_nothing_again(
    source: Path, tmp_path: Path
) -> None:
    options = ["--in-place", "--discard-originals", "--target-score", "70", "--report", "report.html", "--json"]
    first = batch("in", *options, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)

    assert (summary["settings"]["lossless"], summary["settings"]["target_score"]) == (False, 70.0)
    assert summary["scores"]["objects"] == sum(t["objects"] for t in summary["totals"] if t["outcome"] == "compressed")
    assert summary["scores"]["minimum"] >= 70
    assert summary["stage_seconds"]["score"] > 0
    assert {one["key"] for one in summary["scores"]["worst"]} >= {"a b.jpg", "sub/ü\n.jpg"}
    assert "Lowest scores" in (tmp_path / "report.html").read_text()

    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    other = batch("in", *options, "--ledger", "other", folder=tmp_path)
    assert json.loads(other.stdout)["saved_bytes"] == 0
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_a_run_in_place_is_restored_and_cannot_be_repeated(source: Path, tmp_path: Path) -> None:
    options = ["--in-place", "--keep-originals", "kept", "--quality", 60, "--ledger", "m"]
    done = batch("in", *options, folder=tmp_path)
    assert done.returncode == 0 and "compressor ledger restore m" in done.stdout
    assert len((source / "a b.jpg").read_bytes()) < len(FILES["a b.jpg"])
    assert f"originals are kept unchanged in {tmp_path / 'kept'}," in done.stdout
    assert (tmp_path / "kept/a b.jpg").read_bytes() == FILES["a b.jpg"]

    assert command("ledger", "restore", "m", folder=tmp_path).returncode == 0
    assert {
        path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob("*") if path.is_file()
    } == FILES
    again = batch("in", *options, folder=tmp_path)
    assert again.returncode == 1 and "was restored" in again.stderr


def test_a_destination_below_the_source_is_not_read_as_source(source: Path, tmp_path: Path) -> None:
    for _ in range(2):
        found = batch("in", "in/out", "--ledger", "l", "--json", folder=tmp_path)
        assert json.loads(found.stdout)["objects"] == 5
    assert sum(path.is_file() for path in (source / "out").rglob("*")) == 5


def test_a_dry_run_leaves_no_trace(source: Path, tmp_path: Path) -> None:
    found = batch("in", "--dry-run", "--sample", "all", "--quality", 60, "--json", folder=tmp_path)

    projection = json.loads(found.stdout)["projection"]
    assert projection["objects"] == 5 and projection["low"] == projection["high"] == projection["saved_bytes"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_service_can_compress_for_a_run(source: Path, tmp_path: Path) -> None:
    with ServerProcess("--memory-budget", "64MiB") as server:
        found = batch("in", "out", "--server", server.address, "--json", folder=tmp_path)

    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["saved_bytes"] > 0
    assert len((tmp_path / "out/a b.jpg").read_bytes()) < len(FILES["a b.jpg"])


@pytest.mark.parametrize(
    "words, lossless",
    [
        ({}, True),
        ({"quality": 70}, False),
        ({"target_score": 76.0}, False),
        ({"max_bytes": 1000}, False),
        ({"lossless": True, "max_bytes": 1000}, True),
        ({"min_score": 70.0}, True),
    ],
)
def test_in_place_is_lossless_unless_a_lossy_setting_is_given(
    words: dict[str, object], lossless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, object]] = []
    monkeypatch.setattr(batch_command, "run_command", given.append)
    flags = [word for name, value in words.items() for word in flag(name, value)]
    CliRunner().invoke(app, ["batch", "in", "--in-place", "--discard-originals", *flags])

    settings = batch_command.settings_of(given[0])

    assert settings.lossless is lossless
    assert {name: getattr(settings, name) for name in words if name != "min_score"} == {
        name: value for name, value in words.items() if name != "min_score"
    }


def flag(name: str, value: object) -> list[str]:
    """Return an option as it is written."""
    option = f"--{name.replace('_', '-')}"
    return [option] if value is True else [option, str(value)]


@pytest.mark.parametrize(
    "words, environment, one_in",
    [
        ([], {}, 0),
        (["--score-sample"], {}, SCORED_ONE_IN),
        (["--score"], {}, 1),
        (["--score", "--score-sample"], {}, 1),
        ([], {"COMPRESSOR_SCORE": "true"}, 1),
        ([], {"COMPRESSOR_SCORE_SAMPLE": "true"}, SCORED_ONE_IN),
        ([], {"COMPRESSOR_SCORE": "false"}, 0),
    ],
)
def test_a_sample_or_all_are_scored(
    words: list[str], environment: dict[str, str], one_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, object]] = []
    monkeypatch.setattr(batch_command, "run_command", given.append)
    CliRunner().invoke(app, ["batch", "in", "out", "--min-score", "60", *words], env=environment)

    job = batch_command.request_of(given[0]).job

    assert (job.score_one_in, job.min_score, job.settings.score) == (one_in, 60.0, False)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["in"], "give DST"),
        (["in", "--in-place"], "--keep-originals"),
        (["in", "--in-place", "--keep-originals", "k", "--discard-originals"], "--keep-originals"),
        (["in", "out", "--in-place", "--discard-originals"], "takes no DST"),
        (["in", "in"], "is the same as SRC"),
        (["in", "./in/", "--overwrite"], "is the same as SRC"),
        (["in", "out", "--ledger", "in/l"], "would be inside SRC"),
        ([".", "out"], "would be inside SRC"),
        (["in", "out", "--keep-originals", "k"], "need --in-place"),
        (["in", "out", "--engine", "dask"], "--scheduler"),
        (["in", "out", "--lossless", "--quality", "5"], "contradict"),
        (["in", "out", "--lossless", "--target-score", "70"], "contradict"),
        (["in", "out", "--lossless", "--png-colors", "64"], "contradict"),
        (["in", "--in-place", "--discard-originals", "--png-colors", "64"], "--png-colors in place needs"),
        (["in", "out", "--quality", "80", "--target-score", "70"], "contradicts quality"),
        (["in", "out", "--score", "sample"], "sample"),
        (["in", "out", "--min-score", "101"], "--min-score is 101.0, must be from 0 to 100"),
        (["in", "out", "--sample", "x"], "is not a number of objects"),
        (["in", "out", "--older-than", "x"], "is not an age"),
        (["restore"], "give DST"),
        (["in/notes.txt", "out"], "SRC in/notes.txt is not a folder"),
        (["in", "in/notes.txt/out"], "/in/notes.txt is not a folder"),
        (["in", "--in-place", "--keep-originals", "in/notes.txt"], "/in/notes.txt is not a folder"),
        (["in", "out", "--objects-per-second", "0"], "--objects-per-second is 0.0, must be above 0"),
        (["in", "out", "--read-bytes-per-second", "0"], "--read-bytes-per-second is 0, must be above 0"),
        (["in", "out", "--workers", "-1"], "--workers is -1, must be at least 1"),
    ],
    ids=str,
)
def test_invalid_arguments_are_refused(
    arguments: list[str], problem: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["batch", *arguments])

    assert found.exit_code == 2 and problem in " ".join(found.stderr.split()) and not found.stdout
    assert len(list(tmp_path.iterdir())) == 1
