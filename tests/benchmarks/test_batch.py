"""The benchmark of whole buckets: its measurements, and its checks of results."""

import dataclasses
import io
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.batch import local_peer, measure, run, table
from benchmarks.batch.backends import FolderBackend, S3Backend, moto_server
from benchmarks.harness import process, record, sources
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

    def run_command(source: str, target: str, *_: object, **__: object) -> measure.CommandRun:
        count = FolderBackend(tmp_path).count(source)
        summary = {"stage_seconds": {"decode": 0.5, "encode": count * 5e-3}, "bytes_in": 1}
        samples = [measure.ProgressSample(number / 10, number) for number in range(count)]
        return measure.CommandRun(summary, 9.0, samples, 1.0 + count * 7e-3, 1)

    monkeypatch.setattr(measure, "run_command", run_command)
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


def test_workers_run_without_the_fast_path_too(tmp_path: Path, objects: dict[str, bytes]) -> None:
    backend = FolderBackend(tmp_path)

    run, target = measure.compress(backend, objects, 1, module=measure.COMMAND_WITHOUT_FAST_PATH)

    assert run.summary["objects"] == backend.count(target) == len(objects)


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


# --- local files compared with jpegoptim -----------------------------------------------------------------------------

TINY = sources.Size(64, 48)
JPEGOPTIM = f"""#!{sys.executable}
import sys
from PIL import Image

assert sys.argv[1:4] == ["--quiet", "--all-progressive", "-m85"]
for path in sys.argv[4:]:
    with Image.open(path) as image:
        image.load()
    image.save(path, "JPEG", quality=85, progressive=True)
"""


def test_local_files_are_compared_with_jpegoptim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that calls Pillow takes the place of jpegoptim."""
    (tmp_path / "jpegoptim").write_text(JPEGOPTIM)
    (tmp_path / "jpegoptim").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    ours, peer = local_peer.compare(TINY, 18, rounds=1)

    assert (ours.tool, peer.tool) == ("compressor batch", "jpegoptim")
    assert ours.problem == "" == peer.problem
    assert ours.objects_per_second > 0 and ours.vs_peer is not None and peer.vs_peer == 1
    assert ours.saved > 0.05 and peer.saved > 0.05
    assert ours.codec_seconds is not None and ours.other_seconds is not None
    assert peer.codec_seconds is None and peer.cpu_seconds > 0


def test_without_jpegoptim_local_files_are_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_ours(_: object, objects: dict[str, bytes], runs: local_peer.ToolRuns) -> None:
        runs.seconds.append(2.0)
        runs.cpu_seconds.append(0.1)
        runs.check(objects, objects.items())

    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(local_peer.TOOLS, local_peer.OURS, run_ours)

    (ours,) = local_peer.compare(TINY, 4, rounds=2)

    assert (ours.objects_per_second, ours.vs_peer, ours.saved, ours.problem) == (2.0, None, 0.0, "")


def test_results_of_local_files_have_to_be_right_and_equal_in_all_runs(objects: dict[str, bytes]) -> None:
    first, *_ = objects
    results = {key: smaller(data) for key, data in objects.items()}

    runs = local_peer.ToolRuns()
    runs.check(objects, results.items())
    runs.check(objects, reversed(results.items()))
    assert runs.problem == "" and runs.written == sum(map(len, results.values()))
    runs.check(objects, (results | {first: objects[first]}).items())
    assert runs.problem == "the results differ between two runs"

    runs = local_peer.ToolRuns()
    runs.check(objects, {first: results[first]}.items())
    assert runs.problem == "2 objects are missing"


def test_local_files_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    one = local_peer.LocalResult("compressor batch", "3264 × 2448", 200, 101.5, 1.234, 0.2, 0.19, 0.0017, 0.344, "")
    peer = local_peer.LocalResult("jpegoptim", "3264 × 2448", 200, 85.0, 1.0, 0.1, None, None, 0.235, "")

    record.console().print(table.local_table([one, peer], 5))

    printed = capsys.readouterr().out
    assert "1.23×" in printed and "1.70" in printed and "34.4%" in printed and "…" not in printed


def test_parts_of_the_benchmark_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, usual = run.options(["--quick", "--parts", "peer"]), run.options(["--keys", ""])
    assert quick.objects < usual.objects and quick.peer_rounds < usual.peer_rounds
    assert usual.keys == "" and {*usual.parts} == {*run.PARTS}
    with pytest.raises(SystemExit):
        run.options(["--parts", "speed"])

    monkeypatch.setattr(local_peer, "compare", lambda size, count, rounds: [])
    assert run.run(tmp_path, ["--quick", "--parts", "peer"])
    assert len(list(tmp_path.glob("batch-*.json"))) == 1
