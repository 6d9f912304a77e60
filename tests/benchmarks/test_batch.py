"""The benchmark of whole buckets: what it measures is checked, and what is wrong is noticed."""

import dataclasses
import io
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.batch import run as batch
from benchmarks.batch.backends import Buckets, Folders, moto_server
from benchmarks.harness import record


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    return batch.objects_of(3)


def command(objects: dict[str, bytes], bytes_out: int) -> batch.Command:
    totals = [{"objects": len(objects), "outcome": "compressed", "reason": ""}]
    return batch.Command({"objects": len(objects), "totals": totals, "bytes_out": bytes_out}, 1.0, [], 1.0, 1)


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
    assert batch.objects_of(3) == objects


def test_wrong_results_are_noticed(tmp_path: Path, objects: dict[str, bytes]) -> None:
    place = Folders(tmp_path)
    results = {key: smaller(data) for key, data in objects.items()}
    first, second, _ = objects

    def problem(found: dict[str, bytes]) -> str:
        size = sum(map(len, found.values()))
        return batch.problem_of(command(objects, size), objects, place, place.filled(found))

    assert problem(results) == "" == problem(objects)
    assert problem({key: results[key] for key in (first, second)}) == "1 objects are not there"
    assert problem(results | {first: objects[first] + b"more"}) == f"{first} is larger than it was"
    assert problem(results | {first: results[second]}).startswith(f"{first} has ")
    assert problem(results | {"0/new.jpg": b""}) == "0/new.jpg came from nowhere"
    told = batch.problem_of(command(objects, 5), objects, place, place.filled(results))
    assert told.startswith("5 bytes were told, ")
    few = batch.problem_of(command({first: b""}, 5), objects, place, place.filled(results))
    assert few == "1 of 3 objects are accounted for"


ROW = batch.Row("local files", "local", 1, 9, 40.0, 4e6, 1.0, 0.5, 0.013, 0.002, "")


def test_too_much_time_or_memory_is_a_problem() -> None:
    rows, lists = [ROW], [batch.Listed(10, 1.0, 100 << 20, ""), batch.Listed(100, 1.0, 107 << 20, "")]
    assert batch.problems_of(rows, lists) == []

    assert batch.problems_of([dataclasses.replace(ROW, other_seconds=0.0041)], []) == [
        "local files, 1 workers: 4.1 ms beside the codec"
    ]
    assert batch.problems_of([dataclasses.replace(ROW, other_seconds=-0.0041)], []) == [
        "local files, 1 workers: -4.1 ms beside the codec can't be: more objects would tell"
    ]
    assert batch.problems_of([dataclasses.replace(ROW, place="S3, moto", other_seconds=0.0041)], []) == []
    assert batch.problems_of([dataclasses.replace(ROW, problem="wrong")], []) == ["local files, local: wrong"]
    grown = [lists[0], dataclasses.replace(lists[1], peak_bytes=109 << 20)]
    assert batch.problems_of([], grown) == ["the coordinator grows by 9.0 MiB from 10 to 100 keys"]


def test_tables_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    record.console().print(batch.table_of([ROW, dataclasses.replace(ROW, workers=2, objects_per_second=70.0)], 6e4))
    record.console().print(batch.table_of_lists([batch.Listed(10_000, 2.0, 50 << 20, "")]))

    printed = capsys.readouterr().out
    assert "1.75" in printed and "10,000" in printed


BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_the_time_of_processes_below_counts_when_they_have_ended() -> None:
    """Also that of a process below a process."""
    below = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n{BURN}"
    before = batch.ended_seconds()
    subprocess.run([sys.executable, "-c", below], check=True)
    assert batch.ended_seconds() - before >= 0.6


def test_what_is_gone_has_no_memory() -> None:
    assert batch.peak_of(1 << 30) == 0
    assert batch.peak_of(os.getpid()) > 10 << 20


def test_looks_while_not_all_workers_are_busy_do_not_count() -> None:
    looks = [batch.Look(float(number), number) for number in range(1, 100, 5)]
    run = batch.Command({}, 20.0, looks, 12.0, 1)

    first, last = batch.steady_of(run, 100, 2)

    assert (first.results, last.results) == (16, 91)
    with pytest.raises(RuntimeError, match="20 objects are too few"):
        batch.steady_of(run, 20, 1)


def test_a_run_is_measured_and_its_output_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "LOOK_SECONDS", 0.02)

    row = batch.measure(Folders(tmp_path), batch.objects_of(60), "local", 1)

    assert row.problem == ""
    assert row.objects == 60 and row.objects_per_second > 0
    assert row.codec_seconds != 0 and row.other_seconds


def test_cpu_times_are_those_without_beginning_and_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that takes a second to begin, half of it in the codec, and then 5 ms an object and 2 beside them."""

    def run(source: str, target: str, *_: object, **__: object) -> batch.Command:
        count = Folders(tmp_path).count(source)
        summary = {"stage_seconds": {"decode": 0.5, "encode": count * 5e-3}, "bytes_in": 1}
        looks = [batch.Look(number / 10, number) for number in range(count)]
        return batch.Command(summary, 9.0, looks, 1.0 + count * 7e-3, 1)

    monkeypatch.setattr(batch, "batch", run)
    monkeypatch.setattr(batch, "problem_of", lambda *_: "")

    row = batch.measure(Folders(tmp_path), {f"0/{number}": b"" for number in range(50)}, "local", 1)

    assert row.codec_seconds == pytest.approx(5e-3) and row.other_seconds == pytest.approx(2e-3)
    assert row.objects_per_second == pytest.approx(10)


def test_keys_are_listed_and_none_is_written(tmp_path: Path) -> None:
    found = batch.listed(tmp_path, 30)

    assert found.problem == "" and found.peak_bytes > 10 << 20


def test_buckets_of_motos_server_keep_what_they_are_given(objects: dict[str, bytes]) -> None:
    with moto_server() as address, closing(Buckets("S3, moto", address)) as place:
        url = place.filled(objects)

        assert place.count(url) == 3
        assert dict(place.contents(url)) == objects
        assert place.count(place.empty()) == 0
