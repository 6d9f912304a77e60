"""The command line, against a pipeline that only pretends, and as a process of its own."""

import dataclasses
import inspect
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import compressor
from benchmarks.server import ServerProcess
from compressor import cli, cli_output
from compressor.cli_options import share, size
from compressor.errors import BusyError, FormatError
from compressor.settings import Outcome, Report, Settings, Source
from compressor.settings import Path as Way

ROOT = Path(__file__).parents[1]
MODULE = ["-m", "compressor.cli"]
RUNNER = CliRunner()


class FakeStream:
    """Halves the input by leaving out every other byte."""

    def __init__(self, chunks: Iterable[bytes], settings: Settings, changes: dict[str, object]) -> None:
        self._chunks = chunks
        self._changes = changes
        self.settings = settings
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        bytes_in = bytes_out = 0
        for chunk in self._chunks:
            bytes_in += len(chunk)
            bytes_out += len(chunk[::2])
            yield chunk[::2]
        if "raises" in self._changes:
            raise self._changes["raises"]  # type: ignore[misc]
        given = {
            "outcome": Outcome.COMPRESSED,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
            "source_format": "jpeg",
            "format": "jpeg",
            "width": 4000,
            "height": 3000,
            "path": Way.COEFFICIENTS,
            "stage_seconds": {"decode": 0.25, "encode": 0.5},
        }
        self.report = Report(**(given | self._changes))  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


class FakePipeline(types.ModuleType):
    """Stands for compressor.pipeline; `changes` are made to its reports, `streams` were asked for."""

    def __init__(self) -> None:
        super().__init__("compressor.pipeline")
        self.changes: dict[str, object] = {}
        self.streams: list[FakeStream] = []

    def stream(self, chunks: Iterable[bytes], settings: Settings) -> FakeStream:
        self.streams.append(FakeStream(chunks, settings, self.changes))
        return self.streams[-1]

    def inspect(self, chunks: Iterable[bytes], settings: Settings) -> Source:
        assert b"".join(chunks)
        return Source(
            format="jpeg",
            description="baseline JPEG 4:2:0",
            width=4000,
            height=3000,
            channels=3,
            quality=92,
            reserved_bytes=9_500_000,
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePipeline:
    """A pretended pipeline, and an empty folder to work in."""
    pipeline = FakePipeline()
    monkeypatch.setitem(sys.modules, "compressor.pipeline", pipeline)
    monkeypatch.setattr(compressor, "pipeline", pipeline, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(bytes(1000))
    for name in [name for name in os.environ if name.startswith("COMPRESSOR_")]:
        monkeypatch.delenv(name)
    return pipeline


def run(*words: str, code: int = 0, **more: object) -> tuple[str, str]:
    """Standard output and standard error of a run that ends with `code`."""
    result = RUNNER.invoke(cli.app, list(words), **more)  # type: ignore[arg-type]
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def process(*words: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own that ends with 0."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT)


def names() -> list[str]:
    return sorted(os.listdir())


# --- where the result goes ----------------------------------------------------------------------------------------


def test_result_lies_beside_the_input_under_a_name_of_its_own(fake: FakePipeline) -> None:
    run("compress", "photo.jpg")

    assert names() == ["photo.compressed.jpg", "photo.jpg"]
    assert Path("photo.compressed.jpg").stat().st_size == 500
    assert Path("photo.jpg").stat().st_size == 1000


def test_result_is_named_after_its_format(fake: FakePipeline) -> None:
    Path("scan.PNG").write_bytes(bytes(10))

    run("compress", "scan.PNG", "--format", "jpeg")

    assert "scan.compressed.jpg" in names()


@pytest.mark.parametrize(
    "name, format, expected",
    [("a.jpeg", "jpeg", "a.jpeg"), ("a.bmp", "jpeg", "a.jpg"), ("a.tif", "tiff", "a.tif"), ("a", "png", "a.png")],
)
def test_suffix_stays_where_it_says_the_right_thing(name: str, format: str, expected: str) -> None:
    assert cli_output.with_suffix_of(name, format) == expected


def test_folder_as_output_keeps_the_name(fake: FakePipeline) -> None:
    Path("small").mkdir()

    run("compress", "photo.jpg", "-o", "small")

    assert os.listdir("small") == ["photo.jpg"]


def test_existing_output_is_kept_without_force(fake: FakePipeline) -> None:
    Path("out.jpg").write_bytes(b"mine")

    _, error = run("compress", "photo.jpg", "-o", "out.jpg", code=2)

    assert error == f"compressor: {Path('out.jpg').resolve()}: exists; --force overwrites it\n"
    assert Path("out.jpg").read_bytes() == b"mine"
    run("compress", "photo.jpg", "-o", "out.jpg", "--force")
    assert Path("out.jpg").stat().st_size == 500


def test_name_that_is_known_only_at_the_end_is_checked_too(fake: FakePipeline) -> None:
    fake.changes["format"] = "png"
    Path("photo.compressed.png").write_bytes(b"mine")

    run("compress", "photo.jpg", code=2)

    assert Path("photo.compressed.png").read_bytes() == b"mine"
    assert names() == ["photo.compressed.png", "photo.jpg"]


@pytest.mark.parametrize("out", ["photo.jpg", "./photo.jpg", "link.jpg", "."])
def test_input_is_never_overwritten_even_by_force(fake: FakePipeline, out: str) -> None:
    Path("link.jpg").symlink_to("photo.jpg")

    _, error = run("compress", "photo.jpg", "-o", out, "--force", code=2)

    assert "is the input, which is never modified" in error
    assert Path("photo.jpg").stat().st_size == 1000


def test_link_as_output_is_written_through(fake: FakePipeline) -> None:
    Path("real.jpg").write_bytes(b"old")
    Path("link.jpg").symlink_to("real.jpg")

    run("compress", "photo.jpg", "-o", "link.jpg", "--force")

    assert Path("link.jpg").is_symlink()
    assert Path("real.jpg").stat().st_size == 500


def test_device_as_output_is_written_and_not_replaced(fake: FakePipeline) -> None:
    run("compress", "photo.jpg", "-o", "/dev/null")

    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_result_is_as_private_as_its_input(fake: FakePipeline) -> None:
    Path("photo.jpg").chmod(0o600)

    run("compress", "photo.jpg")

    assert stat.S_IMODE(Path("photo.compressed.jpg").stat().st_mode) == 0o600


def test_failure_in_the_middle_leaves_no_file(fake: FakePipeline) -> None:
    fake.changes["raises"] = FormatError("JPEG", "SOS", 1234, "no EOI")

    _, error = run("compress", "photo.jpg", code=1)

    assert error == "compressor: JPEG: SOS at byte 1234: no EOI\n"
    assert names() == ["photo.jpg"]
    assert fake.streams[0].closed


def test_interruption_leaves_no_file(fake: FakePipeline) -> None:
    fake.changes["raises"] = KeyboardInterrupt()

    _, error = run("compress", "photo.jpg", code=130)

    assert error == "compressor: interrupted\n"
    assert names() == ["photo.jpg"]


def test_standard_input_goes_to_standard_output_and_the_words_to_standard_error(fake: FakePipeline) -> None:
    result = RUNNER.invoke(cli.app, ["compress", "-"], input=bytes(range(100)))

    assert result.exit_code == 0
    assert result.stdout_bytes == bytes(range(0, 100, 2))
    assert "stdin → stdout" in result.stderr
    assert "50.0%" in result.stderr


# --- what is printed ----------------------------------------------------------------------------------------------


def test_report_for_people_says_what_was_saved(fake: FakePipeline) -> None:
    fake.changes["notices"] = ("gain map kept as it was",)

    text, _ = run("compress", "photo.jpg", "--quality", "85")

    assert "photo.jpg → photo.compressed.jpg" in text
    for words in ("1.00 kB", "JPEG, 4000 × 3000", "500 B", "quality 85", "50.0%", "MP/s, requantized", "gain map"):
        assert words in text


def test_unchanged_is_said_with_its_reason(fake: FakePipeline) -> None:
    fake.changes |= {"outcome": Outcome.UNCHANGED, "reason": "already small", "bytes_out": 1000}

    text, _ = run("compress", "photo.jpg")

    assert "unchanged: already small" in text
    assert "quality" not in text


def test_misleading_name_is_noted(fake: FakePipeline) -> None:
    _, error = run("compress", "photo.jpg", "-o", "out.png")

    assert "out.png holds JPEG; --format png converts" in error


def test_json_is_the_report_alone(fake: FakePipeline) -> None:
    text, error = run("compress", "photo.jpg", "--json")

    report = json.loads(text)
    assert error == ""
    assert report["outcome"] == "compressed"
    assert report["path"] == "coefficients"
    assert (report["bytes_in"], report["bytes_out"], report["saved"]) == (1000, 500, 0.5)
    assert report["cpu_seconds"] == 0.75
    assert set(report) == set(Report.__slots__) | {"cpu_seconds", "saved"}


def test_inspect_tells_people_and_machines_the_same(fake: FakePipeline) -> None:
    text, _ = run("inspect", "photo.jpg")
    source = json.loads(run("inspect", "photo.jpg", "--json")[0])

    for words in ("baseline JPEG 4:2:0", "4000 × 3000", "12.00 MP", "about 92", "9.50 MB"):
        assert words in text
    assert source["quality"] == 92
    assert source["reserved_bytes"] == 9_500_000


@pytest.mark.parametrize(
    "count, text",
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (34_200_000, "34.2 MB"), (999_600, "1.00 MB"), (-1500, "-1.50 kB")],
)
def test_sizes_have_three_digits(count: int, text: str) -> None:
    assert cli_output.human_bytes(count) == text


def test_progress_is_shown_on_a_terminal_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(cli_output, "PROGRESS_AFTER_SECONDS", 0.01)
    monkeypatch.setattr(cli_output, "error_console", lambda: Console(file=screen, force_terminal=True, width=100))
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: True))

    with cli_output.Bar("photo.jpg", 1000) as bar:
        assert list(bar.watch([bytes(400)])) == [bytes(400)]
        deadline = time.monotonic() + 10
        while "photo.jpg" not in screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)

    assert "photo.jpg" in screen.getvalue()


def test_progress_is_not_shown_for_what_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_output, "error_console", lambda: pytest.fail("a bar was made"))
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: True))

    with cli_output.Bar("photo.jpg", 1000) as bar:
        assert list(bar.watch([bytes(400)])) == [bytes(400)]


# --- what is taken ------------------------------------------------------------------------------------------------


def test_every_setting_reaches_the_pipeline(fake: FakePipeline) -> None:
    words = (
        "--quality 70 --target-score 80.5 --max-bytes 20KiB --lossless --effort best --format auto "
        "--delivery immediate --subsampling 444 --metadata strip --min-saving 5% --background 1,2,3"
    )
    run("compress", "photo.jpg", *words.split())

    assert fake.streams[0].settings == Settings(
        quality=70,
        target_score=80.5,
        max_bytes=20480,
        lossless=True,
        effort="best",  # type: ignore[arg-type]
        format="auto",  # type: ignore[arg-type]
        delivery="immediate",  # type: ignore[arg-type]
        subsampling="444",  # type: ignore[arg-type]
        metadata="strip",  # type: ignore[arg-type]
        min_saving=0.05,
        background=(1, 2, 3),
    )


def test_defaults_are_those_of_the_settings(fake: FakePipeline) -> None:
    run("compress", "photo.jpg")

    assert fake.streams[0].settings == Settings()


def test_command_line_wins_over_environment_and_that_over_the_file(fake: FakePipeline) -> None:
    Path("c.toml").write_text(
        'quality = 10\nmin_saving = "7%"\nmax-bytes = "1MiB"\nbackground = [9, 8, 7]\neffort = "fast"\n'
    )
    environment = {"COMPRESSOR_CONFIG": "c.toml", "COMPRESSOR_QUALITY": "20", "COMPRESSOR_MIN_SAVING": "0.08"}

    run("compress", "photo.jpg", "--quality", "30", env=environment)

    assert fake.streams[0].settings == Settings(
        quality=30,
        min_saving=0.08,
        max_bytes=1 << 20,
        background=(9, 8, 7),
        effort="fast",  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "text, problem",
    [
        ("qality = 3", "qality is not an option"),
        ("quality = ", "Invalid value (at end of document)"),
        ("[quality]\nx = 1", "quality is a table, must be a value"),
    ],
)
def test_mistakes_in_the_file_are_named(fake: FakePipeline, text: str, problem: str) -> None:
    Path("c.toml").write_text(text)

    _, error = run("--config", "c.toml", "compress", "photo.jpg", code=2)

    assert error.startswith("compressor: c.toml: ")
    assert problem in error


@pytest.mark.parametrize(
    "words, problem",
    [
        ("--quality 101", "compressor: --quality is 101, must be a whole number from 1 to 100\n"),
        ("--background 1,2", "compressor: --background is '1,2', must be red, green and blue such as 255,255,255\n"),
        ("--max-bytes 3q", "'3q' is not a size"),
        ("--min-saving x%", "'x%' is not a share"),
        ("--effort hard", "'hard'"),
        ("--qality 3", "--qality"),
        ("--json -o -", "--json and the image can't both go to standard output"),
    ],
)
def test_usage_errors_have_code_2_and_touch_nothing(fake: FakePipeline, words: str, problem: str) -> None:
    _, error = run("compress", "photo.jpg", *words.split(), code=2)

    assert problem in error
    assert names() == ["photo.jpg"]


def test_missing_input_is_one_line_and_code_1(fake: FakePipeline) -> None:
    assert run("compress", "nope.jpg", code=1)[1] == "compressor: nope.jpg: No such file or directory\n"


def test_errors_of_several_lines_are_told_in_one(fake: FakePipeline) -> None:
    fake.changes["raises"] = RuntimeError("first\nsecond")

    _, error = run("compress", "photo.jpg", code=1)

    assert error == "compressor: RuntimeError: first second (COMPRESSOR_DEBUG=1 shows where)\n"
    assert "Traceback" in run("compress", "photo.jpg", code=1, env={"COMPRESSOR_DEBUG": "1"})[1]


def test_busy_is_a_failure(fake: FakePipeline) -> None:
    fake.changes["raises"] = BusyError("no room", 1.5)

    assert run("compress", "photo.jpg", code=1)[1] == "compressor: no room\n"


@pytest.mark.parametrize(
    "text, count", [("1", 1), (7, 7), ("64KiB", 65536), ("1.5 MiB", 1572864), ("2gib", 2 << 30), ("3MB", 3_000_000)]
)
def test_sizes_take_units(text: str | int, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text, value", [("0.05", 0.05), ("5%", 0.05), ("7 %", 0.07), (0.25, 0.25), ("0", 0.0)])
def test_shares_take_percent(text: str | float, value: float) -> None:
    assert share(text) == value


# --- with the real pipeline, and as a process -----------------------------------------------------------------------


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A JPEG of quality 95 in a folder of its own, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(1).normal(128, 40, (12, 16, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC).save("photo.jpg", quality=95)
    return tmp_path / "photo.jpg"


def test_real_jpeg_gets_smaller_and_stays_an_image(photo: Path) -> None:
    report = json.loads(run("compress", "photo.jpg", "--json", "--quality", "70")[0])

    with Image.open("photo.compressed.jpg") as image:
        image.load()
        assert (image.format, image.size) == ("JPEG", (160, 120))
    assert report["outcome"] == "compressed"
    assert report["bytes_out"] == Path("photo.compressed.jpg").stat().st_size < photo.stat().st_size


def test_broken_image_is_told_with_place_and_offset_in_one_line(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:-1000])

    _, error = run("compress", "photo.jpg", code=1)

    assert re.fullmatch(r"compressor: JPEG: \w+ at byte \d+: .+\n", error)
    assert names() == ["photo.jpg"]


def test_help_and_version_need_no_kernels() -> None:
    """What is slow to import must not be imported to say what there is."""
    heavy = "{'numba', 'numpy', 'grpc', 'PIL', 'rich.console'}"
    code = f"import sys, compressor.cli; print(sorted({heavy} & set(sys.modules)))"
    assert process("-c", code).stdout == "[]\n"
    assert re.fullmatch(r"compressor \d\S*\n", process(*MODULE, "--version").stdout)
    commands = process(*MODULE, "--help").stdout
    assert all(name in commands for name in ("compress", "inspect", "serve", "warmup", "health"))


@pytest.mark.parametrize(
    "number, code, said", [(signal.SIGINT, 130, "compressor: interrupted\n"), (signal.SIGTERM, 143, "")]
)
def test_a_signal_leaves_nothing_behind(photo: Path, number: signal.Signals, code: int, said: str) -> None:
    """Standard input stays open: it waits for more when it is told to stop."""
    command = [sys.executable, *MODULE, "compress", "-", "-o", str(photo.with_name("out.jpg"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True, cwd=ROOT) as running:
        deadline = time.monotonic() + 60
        while names() == ["photo.jpg"] and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(number)
        _, error = running.communicate(timeout=60)

    assert (error, running.returncode) == (said, code)
    assert names() == ["photo.jpg"]


def test_serve_takes_the_options_of_the_server_config() -> None:
    from compressor.service.server import ServerConfig

    options = inspect.signature(cli.serve).parameters

    assert {name: parameter.default for name, parameter in options.items()} == {
        field.name: field.default for field in dataclasses.fields(ServerConfig)
    }


def test_running_service_does_the_same(photo: Path) -> None:
    here = json.loads(run("compress", "photo.jpg", "--json")[0])
    with ServerProcess("--memory-budget", "64MiB") as server:
        there = json.loads(run("compress", "photo.jpg", "-o", "there.jpg", "--server", server.address, "--json")[0])
        healthy, _ = run("health", "--address", server.address)
    _, gone = run("health", "--address", server.address, "--timeout", "1", code=1)

    assert Path("there.jpg").read_bytes() == Path("photo.compressed.jpg").read_bytes()
    assert there["settings_digest"] == here["settings_digest"]
    assert healthy == f"{server.address}: serving\n"
    assert gone == f"{server.address}: not serving\n"
    assert server.code == 0
