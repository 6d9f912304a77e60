"""The benchmark of starting: its measurements, checks and sizes."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import compressor
from benchmarks.start import installed, run
from benchmarks.start.measure import (
    SIZE,
    Command,
    IdleServer,
    Measured,
    Use,
    commands,
    environment,
    launch,
    measure,
    problem_of,
    run_once,
    source,
)

MB = 10**6
SERVER = IdleServer(0.5, 0.5, 50 * MB, 60 * MB, "")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    source(path)
    return path


def test_a_process_is_measured_alone(tmp_path: Path) -> None:
    """Its peak must not have the memory of this process, which is larger."""
    code = "import time; start = time.process_time()\nwhile time.process_time() - start < 0.2: pass\nprint('done')"
    use = launch([sys.executable, "-I", "-S", "-c", code], tmp_path / "output", tmp_path)

    assert (tmp_path / "output").read_text() == "done\n"
    assert 0.2 <= use.cpu_seconds < 1 and use.wall_seconds >= 0.2
    assert 4 * MB < use.peak_bytes < 30 * MB

    more = launch([sys.executable, "-I", "-S", "-c", "b'x' * 50_000_000"], tmp_path / "output", tmp_path)
    assert 45 * MB < more.peak_bytes - use.peak_bytes < 60 * MB


def test_a_command_that_fails_is_an_error_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"code 3: left\n"):
        launch([sys.executable, "-c", "import sys; print('left'); sys.exit(3)"], tmp_path / "output", tmp_path)


def test_users_settings_and_caches_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_QUALITY", "20")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = environment(tmp_path)

    assert found["HOME"] == str(tmp_path) and found["PATH"]
    assert not {"COMPRESSOR_QUALITY", "PYTHONDONTWRITEBYTECODE"} & set(found)


def test_commands_of_others_are_measured_and_checked(photo: Path) -> None:
    others = [one for one in commands() if not one.is_ours]
    results = measure(others, 2, lambda text: None)

    assert {"Pillow", "python -c pass"} <= {one.command.tool for one in results}
    assert [one.problem for one in results] == [""] * len(others)
    assert all(len(one.uses) == 2 and one.medians.cpu_seconds > 0 and not one.is_slow for one in results)


def test_wrong_output_is_found(photo: Path) -> None:
    data = photo.read_bytes()
    smaller = compressor.compress(photo, quality=70).data

    assert problem_of(data, smaller) == ""
    assert problem_of(data, data) == "not smaller"
    blank = photo.with_name("blank.jpg")
    blank.write_bytes(photo.read_bytes())
    from PIL import Image

    Image.new("RGB", SIZE).save(blank)
    assert problem_of(data, blank.read_bytes()).endswith(" dB")

    silent = Command("--help", "compressor", (sys.executable, "-c", "pass"), "Usage")
    assert run_once(silent, photo.parent, photo.parent)[1] == "does not print 'Usage'"


def test_missed_goals_are_found() -> None:
    help_, inspect = (
        Measured(Command(task, "compressor", ()), [Use(0.3, 0.3, 1), Use(0.1, 0.1, 1), Use(0.3, 0.3, 1)])
        for task in ("--help", "inspect")
    )
    assert help_.is_slow and not inspect.is_slow
    assert run.misses([inspect], SERVER, MB) == []

    big = IdleServer(0.5, 0.5, 100 * MB, 100 * MB, "not smaller")
    inspect.problem = "does not print '1'"
    assert run.misses([help_, inspect], big, 151 * MB) == [
        "inspect, compressor: does not print '1'",
        "--help: 0.300 s of CPU time",
        "server: not smaller",
        "server: 95 MiB, more than 90",
        "installed: 151 MB, more than 150",
    ]


def test_the_installed_size_has_dependencies_of_dependencies_and_no_extras() -> None:
    found = installed.needed(installed.declared())

    assert {"numpy", "grpcio", "rich", "pygments"} <= set(found)
    assert not {"pip", "setuptools", "boto3", "pytest"} & set(found)
    assert "boto3" in installed.needed([Requirement("compressor[batch]")])

    size = installed.installation()
    assert list(size.sizes.values()) == sorted(size.sizes.values(), reverse=True)
    assert size.sizes["numpy"] > 10 * MB and size.sizes["compressor"] > MB
    assert 0 <= size.bytecode_bytes < size.total_bytes / 2
