"""The benchmark of whole buckets: its measurements, and its checks of results."""

import dataclasses
import io
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.batch import measure, table
from benchmarks.batch.backends import FolderBackend, S3Backend, moto_server
from benchmarks.harness import process, record
from tests import ROOT


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    return measure.generate_objects(3)


def command_run(objects: dict[str, bytes], bytes_out: int) -> measure.CommandRun:
    totals = [{"objects": len(objects), "outcome": "compressed", "reason": ""}]
    return measure.CommandRun({"objects": len(objects), "totals": totals, "bytes_out": bytes_out}, 1.0, [], 1.0, 1)


def smaller(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        sink = io.BytesIO()
        image.save(sink, "JPEG", quality=80)
    return sink.getvalue()


def test_objects_are_different_photographs(objects: dict[str, bytes]) -> None:
    assert len(set(objects.values())) == len(objects) == 3
    for data in objects.values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (512, 512)
    assert measure.generate_objects(3) == objects


def test_wrong_results_are_detected(tmp_path: Path, objects: dict[str, bytes]) -> None:
    backend = FolderBackend(tmp_path)
    results = {key: smaller(data) for key, data in objects.items()}
    first, second, _ = objects

    def problem(found: dict[str, bytes]) -> str:
        size = sum(map(len, found.values()))
        return measure.problem_of(command_run(objects, size), objects, backend, backend.create_with(found))

    assert problem(results) == "" == problem(objects)
    assert problem({key: results[key] for key in (first, second)}) == "1 objects are missing"
    assert problem(results | {first: objects[first] + b"more"}) == f"{first} is larger than its source"
    assert problem(results | {first: results[second]}).startswith(f"{first} has ")
    assert problem(results | {"0/new.jpg": b""}) == "0/new.jpg has no source"
    misreported = measure.problem_of(command_run(objects, 5), objects, backend, backend.create_with(results))
    assert misreported.startswith("reported 5 bytes, ")
    few = measure.problem_of(command_run({first: b""}, 5), objects, backend, backend.create_with(results))
    assert few == "the summary has 1 of 3 objects"


RESULT = measure.BatchResult("local files", "local", 1, 9, 40.0, 4e6, 1.0, 0.5, 0.013, 0.002, "")
FAST_PATH = measure.FastPathResult("S3, moto", 400, 0.015, 0.020, 9.0, 10.0, "")


def test_too_much_time_or_memory_is_a_problem() -> None:
    listings = [measure.ListingResult(10, 1.0, 100 << 20, ""), measure.ListingResult(100, 1.0, 107 << 20, "")]
    assert measure.problems_of([RESULT], FAST_PATH, listings) == []

    assert measure.problems_of([dataclasses.replace(RESULT, other_seconds=0.0041)], None, []) == [
        "local files, 1 workers: 4.1 ms of CPU time outside the codec"
    ]
    assert measure.problems_of([dataclasses.replace(RESULT, other_seconds=-0.0041)], None, []) == [
        "local files, 1 workers: -4.1 ms of CPU time outside the codec is impossible: measure more objects"
    ]
    on_s3 = dataclasses.replace(RESULT, backend="S3, moto", other_seconds=0.0041)
    assert measure.problems_of([on_s3], None, []) == []
    assert measure.problems_of([dataclasses.replace(RESULT, problem="wrong")], None, []) == [
        "local files, local: wrong"
    ]
    assert measure.problems_of([], dataclasses.replace(FAST_PATH, problem="wrong"), []) == [
        "S3, moto, fast path: wrong"
    ]
    grown = [listings[0], dataclasses.replace(listings[1], peak_bytes=109 << 20)]
    assert measure.problems_of([], None, grown) == ["the coordinator grows by 9.0 MiB from 10 to 100 keys"]


def test_tables_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    two = dataclasses.replace(RESULT, workers=2, objects_per_second=70.0)
    record.console().print(table.batch_table([RESULT, two], 6e4))
    record.console().print(table.fast_path_table(FAST_PATH))
    record.console().print(table.listing_table([measure.ListingResult(10_000, 2.0, 50 << 20, "")]))

    printed = capsys.readouterr().out
    assert "1.75" in printed and "10,000" in printed
    assert "25.0%" in printed and "10.0%" in printed


BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_cpu_time_of_ended_children_and_grandchildren_counts() -> None:
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n{BURN}"
    before = measure.children_cpu_seconds()
    subprocess.run([sys.executable, "-c", child], check=True)
    assert measure.children_cpu_seconds() - before >= 0.6


def test_a_process_that_has_ended_has_no_memory() -> None:
    assert process.status_bytes("VmHWM", 1 << 30) is None
    assert (process.status_bytes("VmHWM", os.getpid()) or 0) > 10 << 20


def test_samples_count_only_while_all_workers_are_busy() -> None:
    samples = [measure.ProgressSample(float(number), number) for number in range(1, 100, 5)]
    run = measure.CommandRun({}, 20.0, samples, 12.0, 1)

    first, last = measure.steady_interval(run, 100, 2)

    assert (first.results, last.results) == (16, 91)
    with pytest.raises(RuntimeError, match="20 objects are too few"):
        measure.steady_interval(run, 20, 1)


def test_a_run_is_measured_and_its_output_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SAMPLE_SECONDS", 0.02)

    result = measure.measure(FolderBackend(tmp_path), measure.generate_objects(60), "local", 1)

    assert result.problem == ""
    assert result.objects == 60 and result.objects_per_second > 0
    assert result.codec_seconds != 0 and result.other_seconds


def test_cpu_times_exclude_start_up_and_shutdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start-up takes a second, half of it in the codec; each object then takes 5 ms in the codec and 2 ms outside."""

    def run(source: str, target: str, *_: object, **__: object) -> measure.CommandRun:
        count = FolderBackend(tmp_path).count(source)
        summary = {"stage_seconds": {"decode": 0.5, "encode": count * 5e-3}, "bytes_in": 1}
        samples = [measure.ProgressSample(number / 10, number) for number in range(count)]
        return measure.CommandRun(summary, 9.0, samples, 1.0 + count * 7e-3, 1)

    monkeypatch.setattr(measure, "run_command", run)
    monkeypatch.setattr(measure, "problem_of", lambda *_: "")

    result = measure.measure(FolderBackend(tmp_path), {f"0/{number}": b"" for number in range(50)}, "local", 1)

    assert result.codec_seconds == pytest.approx(5e-3) and result.other_seconds == pytest.approx(2e-3)
    assert result.objects_per_second == pytest.approx(10)


def test_keys_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    found = measure.measure_listing(tmp_path, 30)

    assert found.problem == "" and found.peak_bytes > 10 << 20


def test_buckets_of_motos_server_store_objects(objects: dict[str, bytes]) -> None:
    with moto_server() as address, closing(S3Backend("S3, moto", address)) as backend:
        url = backend.create_with(objects)

        assert backend.count(url) == 3
        assert dict(backend.contents(url)) == objects
        assert backend.count(backend.create()) == 0


SPAWNING = """
import multiprocessing

from benchmarks.batch.without_fast_path import FastPath


def check():
    print(FastPath.discover(None, ""), flush=True)


if __name__ == "__main__":
    check()
    process = multiprocessing.get_context("spawn").Process(target=check)
    process.start()
    process.join()
"""


def test_the_fast_path_is_disabled_in_spawned_processes_too(tmp_path: Path) -> None:
    (tmp_path / "spawning.py").write_text(SPAWNING)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    command = [sys.executable, "-m", "spawning"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)

    assert done.stdout.split() == ["False", "False"], done.stderr


def test_the_fast_path_is_compared_with_boto3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object takes 5 ms of CPU time with it and 10 ms without it; each run takes a second to start."""

    def compress(_: object, objects: dict[str, bytes], workers: int, module: str) -> tuple[measure.CommandRun, str]:
        each = {measure.COMMAND: 5e-3, measure.COMMAND_WITHOUT_FAST_PATH: 10e-3}[module]
        return measure.CommandRun({}, 1.0, [], 1.0 + each * len(objects), 1), ""

    monkeypatch.setattr(measure, "compress", compress)
    monkeypatch.setattr(measure, "problem_of", lambda *_: "")

    result = measure.measure_fast_path(FolderBackend(tmp_path), {f"{n}": b"" for n in range(100)}, rounds=3)

    assert (result.cpu_seconds, result.cpu_seconds_without) == pytest.approx((5e-3, 10e-3))
    assert result.object_share == pytest.approx(0.5)
    assert result.run_share == pytest.approx(0.25)
