"""`compress --archive` and `unarchive`: names, standard streams, JSON and errors."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from compressor.cli import app as cli
from tests.cli.fakes import RUNNER, run
from tests.service.conftest import Service


def test_an_archive_and_its_jpeg_are_next_to_the_input(photo: Path) -> None:
    data = photo.read_bytes()

    said, _ = run("compress", "--archive", "photo.jpg")
    assert "JPEG XL" in said and "lossless" in said
    archived = Path("photo.compressed.jxl").read_bytes()
    assert len(archived) < len(data)

    said, _ = run("unarchive", "photo.compressed.jxl")
    assert "photo.compressed.jxl → photo.compressed.jpg" in said
    assert Path("photo.compressed.jpg").read_bytes() == data


@pytest.mark.parametrize(
    "name, expected", [("a.jxl", "a.jpg"), ("a.JPEG.JXL", "a.JPEG"), ("a.b.jxl", "a.b.jpg"), ("a", "a.jpg")]
)
def test_the_jpeg_is_named_after_its_archive(photo: Path, name: str, expected: str) -> None:
    run("compress", "--archive", "photo.jpg", "-o", name)

    run("unarchive", name)
    assert Path(expected).read_bytes() == photo.read_bytes()

    os.mkdir("folder")
    run("unarchive", name, "-o", "folder")
    assert os.listdir("folder") == [expected]


def test_an_existing_jpeg_is_kept_without_force(photo: Path) -> None:
    run("compress", "--archive", "photo.jpg", "-o", "photo.jxl")

    _, error = run("unarchive", "photo.jxl", code=2)
    assert error.endswith("photo.jpg exists; --force overwrites it\n")

    photo.write_bytes(b"mine")
    run("unarchive", "photo.jxl", "--force")
    assert photo.stat().st_size > 4


def test_standard_streams_and_json(photo: Path) -> None:
    data = photo.read_bytes()
    run("compress", "--archive", "photo.jpg", "-o", "photo.jxl")

    result = RUNNER.invoke(cli.app, ["unarchive", "-"], input=Path("photo.jxl").read_bytes())
    assert result.stdout_bytes == data

    said, _ = run("unarchive", "photo.jxl", "--json", "-o", "again.jpg")
    report = json.loads(said)
    assert (report["format"], report["source_format"], report["bytes_out"]) == ("jpeg", "jxl", len(data))
    assert report["footprint"]["used_energy_joules"]["low"] > 0


def test_an_archive_can_be_inspected(photo: Path) -> None:
    run("compress", "--archive", "photo.jpg", "-o", "photo.jxl")

    said, _ = run("inspect", "photo.jxl")
    assert said.splitlines()[0] == "photo.jxl  JPEG XL" and "bits per pixel" not in said
    said, _ = run("compress", "photo.jxl", "--force")
    assert "unchanged: JPEG XL is returned unchanged: `unarchive` makes the JPEG again if it was archived" in said


def test_errors_are_one_line(photo: Path) -> None:
    assert run("unarchive", "photo.jpg", "-o", "again.jpg", code=1)[1] == (
        "compressor: photo.jpg: JPEG: only an archive, which is a JPEG XL file, can be unarchived\n"
    )
    assert run("unarchive", "-", "-o", ".", code=2)[1].endswith("from standard input needs a file name\n")
    error = run("compress", "--archive", "--quality", "80", "photo.jpg", code=2)[1]
    assert error == "compressor: --archive contradicts quality: every byte of the JPEG is kept\n"
    assert sorted(os.listdir()) == ["photo.jpg"]


def test_a_service_makes_the_same(photo: Path, real_service: Service) -> None:
    run("compress", "--archive", "photo.jpg", "-o", "here.jxl")
    run("compress", "--archive", "photo.jpg", "-o", "there.jxl", "--server", real_service.address)
    run("unarchive", "there.jxl", "--server", real_service.address)

    assert Path("here.jxl").read_bytes() == Path("there.jxl").read_bytes()
    assert Path("there.jpg").read_bytes() == photo.read_bytes()


@pytest.fixture
def real_service() -> Iterator[Service]:
    with Service("pipeline") as running:
        yield running
