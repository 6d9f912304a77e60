"""The engine on Dask: real workers in real processes, some of which die."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor.batch import engine_dask
from compressor.batch.engine_dask import Distributed
from compressor.batch.job import Job, Lost, Prepared, WorkerAnswer
from compressor.errors import CompressorError
from compressor.ledger.records import ObjectOutcome, Reason
from compressor.stores.contract import Entry
from compressor.stores.open import open_store
from tests.batch.dask_cluster import Cluster, until
from tests.jpeg_files import jpeg

Folders = tuple[Path, Path]
IMAGE: bytes = jpeg(64, 48, quality=95)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("dask")) as running:
        yield running


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    return source, target


@pytest.fixture
def engine(cluster: Cluster, folders: Folders) -> Iterator[Distributed]:
    distributed = Distributed(job_of(folders), cluster.address, slots_per_worker=4)
    yield distributed
    distributed.close()


def job_of(folders: Folders) -> Job:
    return Job(source=str(folders[0]), target=str(folders[1]))


def entries_of(folder: Path, *keys: str) -> list[Entry]:
    for key in keys:
        (folder / key).write_bytes(IMAGE)
    return list(open_store(str(folder)).entries())


def answers_of(engine: Distributed, count: int, seconds: float = 60) -> dict[int, Any]:
    """Return `count` answers by number; a second answer to a number is an error."""
    found: dict[int, Any] = {}
    end = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} answers after {seconds} s"
        for number, answer in engine.answers(0.1):
            assert number not in found
            found[number] = answer
    return found


def complete(
    engine: Distributed,
    entries: list[Entry],
    on_answer: Callable[[int, WorkerAnswer], None] = lambda number, answer: None,
) -> tuple[dict[int, Any], list[int]]:
    """Prepare and commit all entries, lost ones again and isolated; return answers by number, and losses."""
    waiting = [(number, entry, False) for number, entry in enumerate(entries)]
    in_flight, done, lost = set[int](), dict[int, Any](), list[int]()
    end = time.monotonic() + 180
    while len(done) < len(entries):
        assert time.monotonic() < end, f"{len(done)} of {len(entries)} done"
        while waiting and len(in_flight) < engine.slots:
            number, entry, alone = waiting.pop()
            in_flight.add(number)
            engine.prepare(number, entry, alone)
        for number, answer in engine.answers(0.1):
            on_answer(number, answer)
            assert number in in_flight
            if isinstance(answer, Prepared):
                engine.commit(number, answer)
                continue
            in_flight.remove(number)
            if not isinstance(answer, Lost):
                done[number] = answer
            elif answer.alone and lost.count(number):
                done[number] = answer
            else:
                lost.append(number)
                waiting.append((number, entries[number], True))
    return done, lost


def test_objects_are_prepared_and_then_written(engine: Distributed, folders: Folders) -> None:
    entries = entries_of(folders[0], "one.jpg", "two.jpg")
    for number, entry in enumerate(entries):
        engine.prepare(number, entry)
    prepared = answers_of(engine, 2)

    assert all(isinstance(one, Prepared) for one in prepared.values())
    assert list(folders[1].iterdir()) == []

    for number, one in prepared.items():
        engine.commit(number + 10, one)
    done = answers_of(engine, 2)

    assert {number: one.outcome for number, one in done.items()} == dict.fromkeys((10, 11), ObjectOutcome.COMPRESSED)
    assert {one.key: one.bytes_out for one in done.values()} == {
        path.name: path.stat().st_size for path in folders[1].iterdir()
    }


def test_both_workers_get_work_but_no_more_than_their_slots(
    engine: Distributed, cluster: Cluster, folders: Folders
) -> None:
    before = len(cluster.notes("prepare"))
    until(lambda: engine.slots == 8)
    entries = entries_of(folders[0], *(f"{n}-slow.jpg" for n in range(10)))
    for number, entry in enumerate(entries):
        engine.prepare(number, entry)

    until(lambda: len(cluster.notes("prepare")) - before >= 8)
    time.sleep(0.2)
    started = cluster.notes("prepare")[before:]
    pids = [pid for pid, _ in started]
    assert sorted(pids.count(pid) for pid in set(pids)) == [4, 4]

    prepared = answers_of(engine, 8)  # an object that waits for its commit still has its slot
    assert engine.answers(0.3) == []
    engine.drop(prepared.popitem()[1])
    engine.drop(prepared.popitem()[1])
    answers_of(engine, 2)


def test_an_isolated_object_has_a_worker_to_itself(engine: Distributed, cluster: Cluster, folders: Folders) -> None:
    entries = entries_of(folders[0], *(f"{n}-slow.jpg" for n in range(5)))
    before = len(cluster.notes("prepare"))
    engine.prepare(0, entries[0], alone=True)
    for number, entry in enumerate(entries[1:], 1):
        engine.prepare(number, entry)

    answers_of(engine, 5)

    pids = {key: pid for pid, key in cluster.notes("prepare")[before:]}
    isolated = pids.pop(entries[0].key)
    assert set(pids.values()) == {*pids.values()} - {isolated}


def test_a_missing_object_needs_no_commit(engine: Distributed, folders: Folders) -> None:
    (entry,) = entries_of(folders[0], "missing.jpg")
    (folders[0] / "missing.jpg").unlink()
    engine.prepare(1, entry)

    assert answers_of(engine, 1)[1].reason is Reason.MISSING


def test_an_unexpected_exception_fails_its_object_with_an_error_of_one_line(
    engine: Distributed, folders: Folders
) -> None:
    (entry,) = entries_of(folders[0], "broken.jpg")
    engine.prepare(1, entry)

    done = answers_of(engine, 1)[1]

    assert (done.outcome, done.reason, done.key) == (ObjectOutcome.FAILED, Reason.OTHER, "broken.jpg")
    assert done.error == "RuntimeError: two lines"


def test_a_dropped_or_committed_result_cannot_be_committed_again(engine: Distributed, folders: Folders) -> None:
    for number, entry in enumerate(entries_of(folders[0], "one.jpg", "two.jpg")):
        engine.prepare(number, entry)
    prepared = answers_of(engine, 2)
    engine.drop(prepared[0])
    engine.commit(1, prepared[1])
    assert answers_of(engine, 1)[1].outcome is ObjectOutcome.COMPRESSED

    for number, one in prepared.items():
        engine.commit(number, one)

    assert answers_of(engine, 2) == {0: Lost(), 1: Lost()}


def test_a_result_is_lost_within_seconds_when_its_worker_dies(
    engine: Distributed, cluster: Cluster, folders: Folders
) -> None:
    entries = entries_of(folders[0], "one.jpg", "two-slow.jpg")
    engine.prepare(0, entries[0])
    prepared = answers_of(engine, 1)[0]
    (pid,) = {pid for pid, key in cluster.notes("prepare") if key == "one.jpg" and alive(pid)} & {
        cluster.notes("prepare")[-1][0]
    }
    os.kill(pid, signal.SIGKILL)
    start = time.monotonic()
    engine.commit(5, prepared)  # the engine has not noticed the loss yet

    assert isinstance(answers_of(engine, 1)[5], Lost)
    assert time.monotonic() - start < 5

    engine.commit(6, prepared)
    assert answers_of(engine, 1) == {6: Lost()}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_killing_a_worker_loses_no_object_and_repeats_only_the_lost_ones(
    engine: Distributed, cluster: Cluster, folders: Folders
) -> None:
    entries = entries_of(folders[0], *(f"{n:02}.jpg" for n in range(40)))
    before, killed = len(cluster.notes("prepare")), list[int]()

    def kill_one(number: int, answer: WorkerAnswer) -> None:
        if isinstance(answer, Prepared) and not killed and len(cluster.notes("prepare")) - before > 15:
            killed.append(cluster.notes("prepare")[-1][0])
            os.kill(killed[0], signal.SIGKILL)

    committed = len(cluster.notes("commit"))
    done, lost = complete(engine, entries, kill_one)

    assert killed and lost
    assert {one.outcome for one in done.values()} <= {ObjectOutcome.COMPRESSED, ObjectOutcome.SKIPPED}
    assert sorted(path.name for path in folders[1].iterdir()) == [entry.key for entry in entries]
    starts = [key for _, key in cluster.notes("prepare")[before:]]
    again = sorted(entries.index(entry) for entry in entries for _ in range(starts.count(entry.key) - 1))
    assert set(again) <= set(lost)
    assert len(cluster.notes("commit")) - committed <= len(entries) + len(lost)


def test_an_object_that_kills_its_workers_is_identified(
    engine: Distributed, cluster: Cluster, folders: Folders
) -> None:
    entries = entries_of(folders[0], *(f"{n:02}.jpg" for n in range(12)), "05-poison.jpg")
    before = len(cluster.notes("prepare"))

    done, _ = complete(engine, entries)

    poison = next(n for n, entry in enumerate(entries) if "poison" in entry.key)
    assert done.pop(poison) == Lost(alone=True)
    assert {one.outcome for one in done.values()} <= {ObjectOutcome.COMPRESSED, ObjectOutcome.SKIPPED}
    assert len(list(folders[1].iterdir())) == 12
    starts = [key for _, key in cluster.notes("prepare")[before:]]
    assert starts.count("05-poison.jpg") == 2
    until(lambda: engine.slots == 8)  # the nannies started new workers


def test_closing_an_engine_closes_its_workers_once(cluster: Cluster, folders: Folders) -> None:
    (entry,) = entries_of(folders[0], "one.jpg")
    engine = Distributed(job_of(folders), cluster.address)
    engine.prepare(0, entry)
    answers_of(engine, 1)
    closed = len(cluster.notes("close"))

    engine.close()
    engine.close()

    assert len(cluster.notes("close")) == closed + 1


def test_without_a_scheduler_the_error_is_one_line(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_dask, "CONNECT_SECONDS_MAX", 0.5)

    with pytest.raises(CompressorError, match=r"^tcp://127.0.0.1:9: no Dask scheduler answers: [^\n]+$"):
        Distributed(job_of(folders), "tcp://127.0.0.1:9")


def test_workers_of_another_version_are_not_used(
    cluster: Cluster, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_dask, "VERSION", "9.9")

    with pytest.raises(CompressorError, match=r"worker tcp://\S+ has version \S+ of compressor, not 9\.9$"):
        Distributed(job_of(folders), cluster.address)


def test_losing_the_scheduler_ends_the_run(cluster: Cluster, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the scheduler of the shared cluster: this test must be the last one."""
    monkeypatch.setattr(engine_dask, "SCHEDULER_SECONDS_MAX", 3.0)
    (entry,) = entries_of(folders[0], "one-slow.jpg")
    engine = Distributed(job_of(folders), cluster.address)
    engine.prepare(0, entry)
    cluster.scheduler.kill()

    with pytest.raises(CompressorError, match="the Dask scheduler was lost"):
        for _ in range(100):
            assert all(isinstance(answer, Lost) for _, answer in engine.answers(0.2))
    engine.close()
