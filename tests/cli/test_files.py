"""The target of a result: names, folders, links, devices, and no partial files after a failure."""

import os
import stat
from pathlib import Path

import pytest

from compressor.cli import app as cli
from compressor.cli import output
from compressor.cli.one_image import watched_chunks
from compressor.errors import FormatError
from compressor.inputs import is_replayable
from tests.cli.fakes import RUNNER, FakePipeline, names, run


def test_a_file_can_be_read_again_but_a_pipe_can_not(tmp_path: Path) -> None:
    """A service whose connection was lost gets a file again."""
    content = bytes(range(256)) * 4000
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file, output.Bar("file", None) as bar:
        chunks = watched_chunks(file, bar.watch)
        begun = iter(chunks)
        assert next(begun) == content[: 256 << 10]
        assert is_replayable(chunks)
        assert b"".join(chunks) == content
        assert content.startswith(next(begun), 256 << 10)

    reading, writing = os.pipe()
    os.write(writing, b"image")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, output.Bar("pipe", None) as bar:
        chunks = watched_chunks(pipe, bar.watch)
        assert not is_replayable(chunks)
        assert b"".join(chunks) == b"image"


def test_the_result_is_next_to_the_input_under_its_own_name(fake: FakePipeline) -> None:
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
def test_a_correct_suffix_is_kept(name: str, format: str, expected: str) -> None:
    assert output.with_suffix_of(name, format) == expected


def test_folder_as_output_keeps_the_name(fake: FakePipeline) -> None:
    Path("small").mkdir()

    run("compress", "photo.jpg", "-o", "small")

    assert os.listdir("small") == ["photo.jpg"]


def test_existing_output_is_kept_without_force(fake: FakePipeline) -> None:
    Path("out.jpg").write_bytes(b"mine")

    _, error = run("compress", "photo.jpg", "-o", "out.jpg", code=2)

    assert error == f"compressor: {Path('out.jpg').resolve()} exists; --force overwrites it\n"
    assert Path("out.jpg").read_bytes() == b"mine"
    run("compress", "photo.jpg", "-o", "out.jpg", "--force")
    assert Path("out.jpg").stat().st_size == 500


def test_a_name_that_is_only_known_at_the_end_is_checked_too(fake: FakePipeline) -> None:
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

    assert error == "compressor: photo.jpg: JPEG: SOS at byte 1234: no EOI\n"
    assert names() == ["photo.jpg"]
    assert fake.streams[0].closed


def test_interruption_leaves_no_file(fake: FakePipeline) -> None:
    fake.changes["raises"] = KeyboardInterrupt()

    _, error = run("compress", "photo.jpg", code=130)

    assert error == "compressor: interrupted\n"
    assert names() == ["photo.jpg"]


def test_standard_input_is_written_to_standard_output_and_the_report_to_standard_error(fake: FakePipeline) -> None:
    result = RUNNER.invoke(cli.app, ["compress", "-"], input=bytes(range(100)))

    assert result.exit_code == 0
    assert result.stdout_bytes == bytes(range(0, 100, 2))
    assert "stdin → stdout" in result.stderr
    assert "50.0%" in result.stderr
