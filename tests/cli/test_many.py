"""Several images at once: lines in order, failures, a summary, JSON, and what a killed run leaves."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from compressor.cli import many_output, output
from compressor.cli.compress_many import compress_many
from compressor.cli.listing import ImageFile
from compressor.cli.result_files import Written
from compressor.errors import FormatError
from compressor.settings import Settings
from tests import ROOT
from tests.cli.fakes import MODULE, FakePipeline, FakeStream, names, run
from tests.cli.test_targets import write

PATIENCE = 120.0


class FailingPipeline:
    """Makes every image of a fake pipeline fail whose second to last byte is 1."""

    def __init__(self, fake: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stream = fake.stream
        monkeypatch.setattr(fake, "stream", self.stream)

    def stream(self, chunks: Iterable[bytes], settings: Settings, *, resources: object) -> FakeStream:
        content = b"".join(chunks)
        stream = self._stream([content], settings, resources=resources)
        if content[-2:-1] == b"\1":
            stream = FakeStream([content], settings, {"raises": FormatError("JPEG", "SOS", 7, "no EOI")})
        return stream


@pytest.fixture
def three(fake: FakePipeline, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write three images, of which the second one fails."""
    FailingPipeline(fake, monkeypatch)
    write("a.jpg", "c.jpg")
    write("b.jpg", content=bytes(98) + b"\1\0")
    return ["a.jpg", "b.jpg", "c.jpg"]


def test_one_that_fails_does_not_stop_the_others(three: list[str]) -> None:
    text, error = run("compress", *three, "missing.jpg", code=1)

    lines = text.splitlines()
    assert [line.split("  ")[-1] for line in lines[:2]] == ["a.jpg → a.compressed.jpg", "c.jpg → c.compressed.jpg"]
    assert lines[0].startswith("  50.0%   1.00 kB →    500 B")
    assert lines[2] == "4 images: 2 smaller, 2 failed"
    for words in ("2.00 kB", "1.00 kB", "50.0%", "at a time", "estimated, not measured"):
        assert words in text
    assert error.splitlines() == [
        "compressor: b.jpg: JPEG: SOS at byte 7: no EOI",
        "compressor: missing.jpg: No such file or directory",
    ]
    assert names() == ["a.compressed.jpg", "a.jpg", "b.jpg", "c.compressed.jpg", "c.jpg", "photo.jpg"]


def test_quiet_prints_errors_only(three: list[str]) -> None:
    text, error = run("compress", *three, "--quiet", code=1)

    assert text == ""
    assert error == "compressor: b.jpg: JPEG: SOS at byte 7: no EOI\n"


def test_json_is_a_line_for_each_with_its_names_or_its_error(three: list[str]) -> None:
    text, _ = run("compress", *three, "--json", "--output-dir", "out", code=1)

    reports = [json.loads(line) for line in text.splitlines()]
    assert [(report["source"], report["target"]) for report in reports] == [
        ("a.jpg", "out/a.jpg"),
        ("b.jpg", None),
        ("c.jpg", "out/c.jpg"),
    ]
    assert reports[1]["error"] == "JPEG: SOS at byte 7: no EOI"
    assert [report.get("bytes_out") for report in reports] == [500, None, 500]


def test_verbose_shows_what_was_decided_for_each(three: list[str]) -> None:
    text, _ = run("compress", "a.jpg", "c.jpg", "-v")

    assert text.count("requantized, without decoding to pixels") == 2
    assert text.count("decode 0.25 s, encode 0.50 s") == 2


def written(file: ImageFile) -> Written:
    """Return nothing that is looked at."""
    return Written(None, Path(file.name))  # type: ignore[arg-type]


def test_results_come_in_order_while_several_are_made() -> None:
    """The first image waits until the others are done, which needs another thread."""
    files = [ImageFile(str(number), str(number), "jpeg", 1) for number in range(100)]
    others = threading.Semaphore(0)

    def work(file: ImageFile) -> Written:
        if file.name != "0":
            others.release()
        elif not all(others.acquire(timeout=PATIENCE) for _ in range(20)):
            raise TimeoutError
        return written(file)

    done = list(compress_many(files, work, 2))

    assert [image.file.name for image in done] == [file.name for file in files]
    assert [image.error for image in done] == [None] * 100


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_are_compressed_at_once_than_is_wanted(jobs: int) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def work(file: ImageFile) -> Written:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return written(file)

    files = [ImageFile(str(number), str(number), "jpeg", 1) for number in range(30)]
    assert len(list(compress_many(files, work, jobs))) == 30
    assert most <= jobs


def test_the_rest_is_not_begun_if_the_output_is_not_wanted_any_more() -> None:
    begun: list[str] = []

    def work(file: ImageFile) -> Written:
        begun.append(file.name)
        return written(file)

    files = [ImageFile(str(number), str(number), "jpeg", 1) for number in range(10_000)]
    with contextlib.closing(compress_many(files, work, 2)) as images:  # type: ignore[type-var]
        next(images)

    assert len(begun) < 1000


def test_the_bar_shows_names_and_totals_and_lines_are_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr(output, "PROGRESS_AFTER_SECONDS", 0.01)
    monkeypatch.setattr(output, "error_console", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(sys, "stdout", type("Terminal", (), {"isatty": lambda self: True})())

    with many_output.FilesBar(3, 1000) as bar:
        deadline = time.monotonic() + PATIENCE
        while bar.console() is not terminal and time.monotonic() < deadline:
            time.sleep(0.01)
        bar.end_file()
        assert list(bar.watch_file("photo.jpg", [bytes(400), bytes(100)])) == [bytes(400), bytes(100)]
        bar.print("compressor: [b].jpg: broken", error=True)

    assert "1/3  photo.jpg" in screen.getvalue() and "compressor: [b].jpg: broken" in screen.getvalue()


# --- processes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 40 JPEGs, which take some seconds."""
    noise = np.random.default_rng(5).integers(0, 255, (500, 700, 3), np.uint8)
    (tmp_path / "in").mkdir()
    for number in range(40):
        Image.fromarray(np.roll(noise, number, axis=0)).save(tmp_path / f"in/{number:02}.jpg", quality=97)
    return tmp_path


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Run the command in the folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *MODULE, "compress", *words],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
@pytest.mark.parametrize("place", ["--output-dir out", "--in-place --quality 60 --keep-original"])
def test_a_killed_run_leaves_only_whole_images(folder: Path, number: signal.Signals, code: int, place: str) -> None:
    before = {path.name: path.read_bytes() for path in (folder / "in").iterdir()}
    with start(folder, "-r", "in", "--effort", "best", "--jobs", "2", *place.split()) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(number)
        _, error = running.communicate(timeout=PATIENCE)

    assert running.returncode == code
    assert error == ("compressor: interrupted\n" if number == signal.SIGINT else "")
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(found) > 40  # with results, or with kept originals
    for path in found:
        with Image.open(path) as image:
            image.load()
        if path.suffixes == [".orig", ".jpg"]:
            assert path.read_bytes() == before[path.name.replace(".orig", "")]
    leftovers = [path.name for path in folder.rglob(".*") if path.is_file()]
    assert number == signal.SIGKILL or leftovers == []
    if "keep" in place:  # each original is there, under one name or the other
        kept = {path.name.replace(".orig", ""): path.read_bytes() for path in found if ".orig" in path.name}
        assert all(kept.get(name, (folder / "in" / name).read_bytes()) == content for name, content in before.items())


@pytest.mark.parametrize("module", ["compressor", "compressor.cli"])
def test_real_images_of_several_formats(module: str, folder: Path) -> None:
    for path in sorted((folder / "in").iterdir())[3:]:
        path.unlink()
    with Image.open(folder / "in/00.jpg") as image:
        image.save(folder / "in/00.png")
        image.save(folder / "in/b.bmp")
    (folder / "in/01.jpg").write_bytes((folder / "in/01.jpg").read_bytes()[:9000])
    command = [sys.executable, "-m", module, "compress", "-r", "in", "--output-dir", "out", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    reports = {report["source"]: report for report in map(json.loads, ran.stdout.splitlines())}
    assert ran.returncode == 1
    assert list(reports) == [f"in/{name}" for name in ("00.jpg", "00.png", "01.jpg", "02.jpg", "b.bmp")]
    assert [name for name, report in reports.items() if "error" in report] == ["in/01.jpg"]
    assert reports["in/b.bmp"]["target"] == "out/b.jpg"
    for report in reports.values():
        if "error" not in report:
            assert (folder / report["target"]).stat().st_size == report["bytes_out"] <= report["bytes_in"]
