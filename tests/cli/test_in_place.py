"""Images that are replaced where they are."""

import os
import stat
from pathlib import Path

import pytest

from compressor.cli import result_files
from compressor.settings import Outcome, Settings
from tests.cli.fakes import FakePipeline, names, run
from tests.cli.test_targets import JPEG, tree, write


def state_of(name: str) -> tuple[int, int, int, int]:
    """Return what is the same as long as nobody writes to a file, replaces it, or changes its permissions."""
    found = os.stat(name)
    return found.st_ino, found.st_mode, found.st_size, found.st_ctime_ns


def test_a_smaller_result_replaces_its_source_losslessly(fake: FakePipeline) -> None:
    text, _ = run("compress", "photo.jpg", "--in-place")

    assert names() == ["photo.jpg"]
    assert Path("photo.jpg").stat().st_size == 500
    assert "photo.jpg  replaced" in text
    assert fake.streams[0].settings == Settings(lossless=True)


@pytest.mark.parametrize(
    "words", ["--quality 70", "--target-score 80", "--max-bytes 20KiB", "--quality 70 --png-colors 8"]
)
def test_settings_of_lossy_compression_are_respected(fake: FakePipeline, words: str) -> None:
    run("compress", "photo.jpg", "--in-place", *words.split())

    assert not fake.streams[0].settings.lossless


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"outcome": Outcome.UNCHANGED, "reason": "already small", "bytes_out": 1000}, "already small"),
        ({"outcome": Outcome.LARGER, "bytes_out": 1200}, "the result would not be smaller"),
        ({"format": "png"}, "it would become PNG, and in place the format stays"),
    ],
)
def test_a_file_that_would_not_get_smaller_is_not_touched(
    fake: FakePipeline, changes: dict[str, object], reason: str
) -> None:
    fake.changes |= changes
    before = state_of("photo.jpg")

    single, _ = run("compress", "photo.jpg", "--in-place", "--keep-original")
    several, _ = run("compress", "photo.jpg", "./photo.jpg", "--in-place")

    assert f"photo.jpg  unchanged: {reason}" in single and f"photo.jpg  unchanged: {reason}" in several
    assert "1.00 kB" in single and "0 smaller, 1 not smaller" in several
    assert names() == ["photo.jpg"]
    assert state_of("photo.jpg") == before


def test_a_file_without_its_metadata_replaces_it_although_it_is_unchanged(fake: FakePipeline) -> None:
    fake.changes |= {"outcome": Outcome.UNCHANGED, "reason": "not smaller; metadata removed"}

    run("compress", "photo.jpg", "--in-place", "--metadata", "strip")

    assert Path("photo.jpg").stat().st_size == 500


def test_the_original_is_kept_and_never_overwritten(fake: FakePipeline) -> None:
    text, _ = run("compress", "photo.jpg", "--in-place", "--keep-original")
    _, error = run("compress", "photo.jpg", "--in-place", "--keep-original", code=1)

    assert "original kept as photo.orig.jpg" in text
    assert "compressor: photo.jpg: photo.orig.jpg exists, and is never overwritten; move it" in error
    assert {name: Path(name).stat().st_size for name in names()} == {"photo.jpg": 500, "photo.orig.jpg": 1000}


def test_originals_are_left_alone_by_later_runs(fake: FakePipeline) -> None:
    write("in/a.jpg", "in/b.orig.jpg")

    text, _ = run("compress", "-r", "in", "--in-place")

    assert len(fake.streams) == 1 and "1 from an earlier run" in text


def test_a_run_that_was_killed_before_the_replacement_is_repeated(fake: FakePipeline) -> None:
    os.link("photo.jpg", "photo.orig.jpg")

    run("compress", "photo.jpg", "--in-place", "--keep-original")

    assert (Path("photo.jpg").stat().st_size, Path("photo.orig.jpg").stat().st_size) == (500, 1000)


def test_an_original_is_copied_where_there_are_no_hard_links(
    fake: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    os.utime("photo.jpg", ns=(5, 7_000_000_000))

    run("compress", "photo.jpg", "--in-place", "--keep-original")

    assert Path("photo.orig.jpg").read_bytes() == bytes(1000)
    assert Path("photo.orig.jpg").stat().st_mtime_ns == 7_000_000_000
    assert Path("photo.jpg").stat().st_size == 500


def test_mode_and_links_stay_and_times_if_that_is_wanted(fake: FakePipeline) -> None:
    write("in/real.jpg")
    Path("in/real.jpg").chmod(0o640)
    os.utime("in/real.jpg", ns=(5, 7_000_000_000))
    Path("link.jpg").symlink_to("in/real.jpg")

    run("compress", "link.jpg", "--in-place", "--preserve-times")
    kept = Path("in/real.jpg").stat()
    run("compress", "in/real.jpg", "--in-place")

    assert Path("link.jpg").is_symlink() and tree("in") == ["real.jpg"]
    assert (stat.S_IMODE(kept.st_mode), kept.st_mtime_ns, kept.st_size) == (0o640, 7_000_000_000, 500)
    assert Path("in/real.jpg").stat().st_mtime_ns > 1e18


def test_a_file_that_changes_in_the_meantime_is_not_replaced(
    fake: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = result_files.Replacement.outcome

    def late(self: result_files.Replacement, report: object) -> object:
        Path("photo.jpg").write_bytes(b"newer")
        return outcome(self, report)  # type: ignore[arg-type]

    monkeypatch.setattr(result_files.Replacement, "outcome", late)

    _, error = run("compress", "photo.jpg", "--in-place", code=1)

    assert error.startswith("compressor: photo.jpg: was changed while it was compressed")
    assert names() == ["photo.jpg"] and Path("photo.jpg").read_bytes() == b"newer"


def test_what_is_no_file_is_not_replaced(fake: FakePipeline) -> None:
    os.mkfifo("pipe.jpg")

    _, error = run("compress", "pipe.jpg", "missing.jpg", "photo.jpg", "--in-place", code=1)

    assert error.splitlines() == [
        "compressor: pipe.jpg: is no regular file, and can't be replaced",
        "compressor: missing.jpg: No such file or directory",
    ]
    assert Path("photo.jpg").stat().st_size == 500


def test_only_the_command_line_makes_files_be_replaced(fake: FakePipeline) -> None:
    Path("c.toml").write_text("in_place = true\ndry_run = true\n")

    run("--config", "c.toml", "compress", "photo.jpg", env={"COMPRESSOR_IN_PLACE": "1", "COMPRESSOR_DRY_RUN": "1"})

    assert Path("photo.jpg").stat().st_size == 1000
    assert Path("photo.compressed.jpg").stat().st_size == 500


def test_a_failure_leaves_the_source(fake: FakePipeline) -> None:
    write("a.jpg")
    fake.changes["raises"] = RuntimeError("broken")

    run("compress", "a.jpg", "photo.jpg", "--in-place", code=1)

    assert names() == ["a.jpg", "photo.jpg"]
    assert Path("a.jpg").read_bytes() == JPEG
