"""Runs and workers in real processes that are killed: the folder at that moment, and at the end."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from compressor.batch.engine_local import Process
from compressor.batch.job import Engine, Job
from compressor.ledger.ledger import Ledger
from compressor.settings import Settings
from compressor.stores.contract import Entry
from compressor.stores.markers import MARKER
from tests import ROOT
from tests.batch.support import jpeg, png

BATCH = [sys.executable, "-m", "compressor.cli", "batch"]
IN_PLACE = [
    "--in-place",
    "--quality",
    "60",
    "--workers",
    "2",
    "--json",
]


def fill(folder: Path, count: int) -> dict[str, bytes]:
    files = {f"{n % 7}/{n}.jpg": jpeg(n) for n in range(count)}
    files |= {"flat.png": png(1), "text.txt": b"text", "empty": b"", "cut.jpg": jpeg(1)[:700]}
    for key, data in files.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def start(folder: Path, ledger: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*BATCH, str(folder), *IN_PLACE, "--keep-originals", str(folder / "kept"), "--ledger", str(ledger)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def finish(folder: Path, ledger: Path) -> dict[str, Any]:
    process = start(folder, ledger)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 1  # the cut file
    summary: dict[str, Any] = json.loads(out)
    return summary


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".part", ".lock")) and path.name != MARKER
    }


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files of killed writers."""
    return [path.name for path in folder.rglob(".*.compressor-*")]


def kill_at(process: subprocess.Popen[bytes], kept: Path, count: int, delay: float) -> bool:
    """Kill the run and its workers when `count` originals have been kept; return False if it ended before."""
    while process.poll() is None:
        if sum(len({*files} - {MARKER}) for _, _, files in os.walk(kept)) >= count:
            time.sleep(delay)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        time.sleep(0.002)
    process.communicate()
    return False


def kill_and_resume(tmp_path: Path, count: int, kills: int) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "folder"
    files = fill(undisturbed, count)
    fill(folder, count)
    expected = finish(undisturbed, tmp_path / "undisturbed.ledger")
    result = contents(undisturbed)
    rng, ledger, done = random.Random(7), tmp_path / "ledger", 0
    for number in range(kills):
        # Originals are kept one by one, so each kill happens a little later.
        if not kill_at(start(folder, ledger), folder / "kept", done + rng.randint(1, 3), rng.random() * 0.02):
            break
        now = contents(folder)
        done = sum(key.startswith("kept/") for key in now)
        shutil.copytree(
            tmp_path, tmp_path.with_name("snapshot"), ignore=shutil.ignore_patterns("undisturbed", "folder")
        )
        with Ledger(tmp_path.with_name("snapshot") / "ledger") as snapshot:
            records = {row.key: row for row in snapshot.objects()} | {row.key: row for row, _ in snapshot.intents()}
        shutil.rmtree(tmp_path.with_name("snapshot"))
        for key, data in files.items():
            assert now[key] in (data, result[key]), f"{key} after kill {number}"
            if now[key] != data:
                assert records[key].digest and records[key].etag and now["kept/" + key] == data
    found = finish(folder, ledger)
    assert contents(folder) == result
    assert leftovers(folder) == []
    assert [found[name] for name in ("objects", "bytes_in", "bytes_out", "failed")] == [
        expected[name] for name in ("objects", "bytes_in", "bytes_out", "failed")
    ]


def test_a_killed_and_resumed_run_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 24, 3)


@pytest.mark.heavy
def test_a_run_killed_fifty_times_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 160, 50)


def test_a_worker_that_dies_is_replaced_and_its_results_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    from compressor.batch.engine_local import Local
    from compressor.batch.job import Lost, Prepared

    fill(tmp_path / "a", 6)
    engine = Local(Job(source=str(tmp_path / "a"), target=str(tmp_path / "b"), settings=Settings(quality=60)), 1)
    entry = Entry("0/0.jpg", 1, "")
    try:
        engine.prepare(1, entry)
        (first,) = collect(engine, 1)
        assert isinstance(first[1], Prepared)
        os.kill(pid_of(engine._processes[0]), signal.SIGKILL)
        engine.commit(2, first[1])
        assert collect(engine, 1) == [(2, Lost(alone=True))]
        engine.prepare(3, entry)
        (again,) = collect(engine, 1)
        engine.commit(4, again[1])
        assert collect(engine, 1)[0][1].result_etag
        assert (tmp_path / "b/0/0.jpg").stat().st_size < (tmp_path / "a/0/0.jpg").stat().st_size
    finally:
        engine.close()


@pytest.mark.parametrize(
    "cores, workers, expected",
    [(4, 4, [1, 1, 1, 1]), (8, 3, [3, 3, 2]), (2, 1, [2]), (2, 5, [1] * 5), (64, 10, [7, 7, 7, 7, *[6] * 6])],
)
def test_workers_divide_the_cores(cores: int, workers: int, expected: Any) -> None:
    from compressor.batch.engine_local import cores_per_worker

    assert cores_per_worker(cores, workers) == expected


def test_a_worker_and_its_replacement_get_the_same_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compressor.batch import engine_local
    from compressor.batch.job import Prepared
    from tests.batch import local_watched

    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(local_watched.NOTES, str(notes))
    monkeypatch.setattr(engine_local, "worker_main", local_watched.main)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(5)))
    fill(tmp_path / "a", 6)
    job = Job(source=str(tmp_path / "a"), target=str(tmp_path / "b"), settings=Settings(quality=60))
    engine = engine_local.Local(job, 2)

    def counts() -> list[tuple[int, int]]:
        """Return the cores that each worker should have, and those that it has."""
        found = {int(path.name): int(path.read_text()) for path in notes.iterdir()}
        return [(one.share, found[pid_of(one)]) for one in engine._processes]

    try:
        engine.prepare(1, Entry("0/0.jpg", 1, ""))
        engine.prepare(2, Entry("1/1.jpg", 1, ""))
        assert all(isinstance(answer, Prepared) for _, answer in collect(engine, 2))
        assert counts() == [(3, 3), (2, 2)]

        engine.prepare(3, Entry("2/2.jpg", 1, ""))
        (holder,) = [one for one in engine._processes if one.numbers]
        os.kill(pid_of(holder), signal.SIGKILL)
        collect(engine, 1)
        engine.prepare(4, Entry("3/3.jpg", 1, ""))
        engine.prepare(5, Entry("4/4.jpg", 1, ""))
        collect(engine, 2)
        assert counts() == [(3, 3), (2, 2)]
    finally:
        engine.close()


def pid_of(worker: Process) -> int:
    assert worker.process.pid is not None
    return worker.process.pid


def collect(engine: Engine, count: int) -> list[tuple[int, Any]]:
    """Return `count` answers, or those that arrive within a minute."""
    found: list[tuple[int, Any]] = []
    end = time.monotonic() + 60
    while len(found) < count and time.monotonic() < end:
        found += engine.answers(0.2)
    return found


def test_workers_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    from compressor.batch.engine_local import Local
    from compressor.errors import CompressorError

    fill(tmp_path / "a", 1)
    nowhere = str(tmp_path / "nowhere")
    engine = Local(Job(source=str(tmp_path / "a"), target=str(tmp_path / "b"), spool_dir=nowhere), 1)
    try:
        engine.prepare(1, Entry("0/0.jpg", 1, ""))
        with pytest.raises(CompressorError, match=r"can't start: spool_dir: .* is not a writable directory"):
            collect(engine, 1)
    finally:
        engine.close()


def test_workers_that_end_before_they_start_are_not_replaced_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    from compressor.batch.engine_local import Local
    from compressor.errors import CompressorError

    engine = Local(Job(source=str(tmp_path), target=str(tmp_path / "b")), 1)
    started = []

    start_worker = engine._start

    def start_and_kill(share: int) -> Process:
        started.append(process := start_worker(share))
        process.process.kill()
        return process

    monkeypatch.setattr(engine, "_start", start_and_kill)
    try:
        engine.prepare(1, Entry("0/0.jpg", 1, ""))
        with pytest.raises(CompressorError, match="end before they have started"):
            collect(engine, 9)
        assert len(started) <= 4
    finally:
        engine.close()


def test_workers_end_when_their_coordinator_is_killed(tmp_path: Path) -> None:
    fill(tmp_path / "a", 30)
    command = [sys.executable, "-c", COORDINATOR, str(tmp_path / "a"), str(tmp_path / "b")]
    coordinator = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert coordinator.stdout is not None
    worker = int(coordinator.stdout.readline())
    coordinator.kill()
    coordinator.wait()
    coordinator.stdout.close()
    end = time.monotonic() + 20
    while os.path.exists(f"/proc/{worker}/fd") and alive(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(worker)


def alive(process: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it is opened, or while it is read
        return False


COORDINATOR = """
import sys, time
from compressor.batch.engine_local import Local
from compressor.batch.job import Job
from compressor.stores.contract import Entry

if __name__ == "__main__":
    engine = Local(Job(source=sys.argv[1], target=sys.argv[2]), 2)
    engine.prepare(1, Entry("0/0.jpg", 1, ""))
    while not engine.answers(0.2):
        pass
    print(engine._processes[1].process.pid, flush=True)
    time.sleep(600)
"""
