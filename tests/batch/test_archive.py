"""Runs that archive JPEGs, and runs that make them again: objects, keys, attributes, and runs that are killed."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest

from compressor import archive, pipeline
from compressor.batch.job import Job, Prepared
from compressor.batch.request import Request, check_request
from compressor.batch.result_keys import archive_key
from compressor.batch.work import Worker
from compressor.errors import SettingsError, UnsupportedError
from compressor.settings import Settings
from compressor.stores.contract import Attributes, Store
from tests import ROOT, jpeg_files
from tests.batch.support import FILES, Faulty, Inline, Memory, jpeg, png, run_of
from tests.batch.test_kills import contents, leftovers
from tests.service.conftest import Service
from tests.service.lossy_proxy import LossyProxy

ARCHIVING = Job(source="a", target="b", settings=Settings(min_saving=0.05, archive=True))
UNARCHIVING = Job(source="b", target="c", unarchive=True)
JPEGS = {key for key in FILES if key.endswith(".jpg") and not key.startswith(("broken", "small"))}


def archived(tmp_path: Path, files: dict[str, bytes]) -> Memory:
    target = Memory()
    run_of(ARCHIVING, Memory(files), target, tmp_path / "archiving")
    return target


def test_jpegs_are_archived_and_everything_else_is_copied(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()

    completed, totals, _ = run_of(ARCHIVING, source, target, tmp_path / "ledger")

    assert completed and source.data() == FILES
    assert target.data().keys() == {f"{key}.jxl" if key in JPEGS else key for key in FILES}
    assert totals == {
        ("compressed", ""): len(JPEGS),
        ("copied", "unsupported"): 2,  # the PNG and the broken JPEG
        ("copied", "not_smaller"): 1,  # by 5 %
        ("copied", "not_an_image"): 1,
        ("copied", "empty"): 1,
    }
    for key in FILES:
        if key in JPEGS:
            assert target.data()[f"{key}.jxl"] == pipeline.compress(FILES[key], archive=True).data
        else:
            assert target.data()[key] == FILES[key]


def test_unarchiving_gives_every_object_its_key_and_its_bytes_again(tmp_path: Path) -> None:
    source, target = archived(tmp_path, FILES), Memory()

    completed, totals, _ = run_of(UNARCHIVING, source, target, tmp_path / "ledger")

    assert completed and target.data() == FILES
    assert totals == {
        ("unarchived", ""): len(JPEGS),
        ("copied", "unsupported"): 3,
        ("copied", "not_an_image"): 1,
        ("copied", "empty"): 1,
    }


def test_a_second_run_leaves_everything(tmp_path: Path) -> None:
    source, middle, target = Memory(FILES), Memory(), Memory()
    for number in range(2):
        archiving = run_of(ARCHIVING, source, middle, tmp_path / "archiving")[2]
        unarchiving = run_of(UNARCHIVING, middle, target, tmp_path / "unarchiving")[2]
        for engine in (archiving, unarchiving):
            assert sum(what == "commit" for what, _ in engine.log) == (0 if number else len(FILES))


@pytest.mark.parametrize(
    "key, expected",
    [
        ("a.jpg.jxl", "a.jpg"),
        ("a.JPEG.JXL", "a.JPEG"),
        ("b/a.jxl", "b/a.jpg"),
        ("a.png.jxl", "a.png.jpg"),
        ("a", "a.jpg"),
    ],
)
def test_keys_of_jpegs_that_are_made_again(key: str, expected: str) -> None:
    assert archive_key(key, "jpeg") == expected
    assert archive_key(key, "") == key
    assert archive_key(archive_key(expected, "jxl"), "jpeg") == expected


def test_content_types_are_those_of_what_is_stored(tmp_path: Path) -> None:
    source, middle, target = Memory(), Memory(), Memory()
    for key, headers in (("a.jpg", {"content-type": "image/jpeg", "cache-control": "no-store"}), ("b.jpg", {})):
        source.put(key, jpeg(1), Attributes(headers=headers))

    run_of(ARCHIVING, source, middle, tmp_path / "archiving")
    run_of(UNARCHIVING, middle, target, tmp_path / "unarchiving")

    for store, suffix, kind in ((middle, ".jxl", "image/jxl"), (target, "", "image/jpeg")):
        found = [store.objects[f"{name}.jpg{suffix}"][1].headers for name in "ab"]
        assert found == [{"content-type": kind, "cache-control": "no-store"}, {"content-type": kind}]


def test_an_archive_that_would_give_other_bytes_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "jpeg_of", lambda jxl, limit: memoryview(jpeg(2)))
    target = Memory()

    _, totals, _ = run_of(ARCHIVING, Memory({"a.jpg": jpeg(1), "b.jpg": jpeg(2)}), target, tmp_path / "ledger")

    assert totals == {("compressed", ""): 1, ("copied", "verification"): 1}
    assert target.data().keys() == {"a.jpg", "b.jpg.jxl"} and target.data()["a.jpg"] == jpeg(1)


def test_an_object_that_is_in_the_way_is_kept(tmp_path: Path) -> None:
    target = Memory({"a.jpg.jxl": b"mine"})

    _, totals, _ = run_of(ARCHIVING, Memory({"a.jpg": jpeg(1)}), target, tmp_path / "ledger")

    assert totals == {("skipped", "exists_at_destination"): 1} and target.data() == {"a.jpg.jxl": b"mine"}


def test_a_damaged_archive_fails_and_is_copied(tmp_path: Path) -> None:
    source = archived(tmp_path, {"a.jpg": jpeg(1)})
    damaged = source.data()["a.jpg.jxl"][:-100] + bytes(100)
    target = Memory()

    _, totals, _ = run_of(UNARCHIVING, Memory({"a.jpg.jxl": damaged}), target, tmp_path / "ledger")

    assert totals == {("failed", "broken_image"): 1} and target.data() == {"a.jpg.jxl": damaged}


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_the_stores_and_dying_workers_change_nothing(tmp_path: Path, seed: int) -> None:
    rng, files = random.Random(seed), {f"{n}.jpg": jpeg(n) for n in range(6)} | {"flat.png": png(1)}
    middle, target, dead = Memory(), Memory(), set[tuple[str, str]]()

    def fault(what: str, key: str) -> str:
        return rng.choice(("before", "after", "", "", "")) if what == "write" else ""

    def dies(what: str, key: str) -> bool:
        """Twice with the same object would be its fault."""
        if rng.random() < 0.2 and not any(key == other for _, other in dead):
            dead.add((what, key))
            return True
        return False

    for job, source, written in ((ARCHIVING, Memory(files), middle), (UNARCHIVING, middle, target)):
        for _ in range(20):  # a ledger may end a run with objects that are to be tried again
            faulty = Faulty(written, fault)
            engine = Inline(job, source, faulty, dies)
            completed, totals, _ = run_of(job, source, faulty, tmp_path / job.target, engine=engine)
            if completed and all(outcome != "failed" for outcome, _ in totals):
                break
    assert middle.data().keys() == {*(f"{n}.jpg.jxl" for n in range(6)), "flat.png"}
    assert target.data() == files


def test_requests_that_contradict_themselves() -> None:
    for job, problem in (
        (dataclasses.replace(ARCHIVING, unarchive=True), "unarchive: contradicts archive"),
        (dataclasses.replace(ARCHIVING, in_place=True, target="a"), "archive: is not supported in place"),
        (dataclasses.replace(UNARCHIVING, in_place=True, target="b"), "unarchive: is not supported in place"),
    ):
        with pytest.raises(SettingsError, match=problem):
            check_request(Request(job=job))


def test_without_the_extra_a_run_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for job in (ARCHIVING, UNARCHIVING):
        with pytest.raises(UnsupportedError, match=r"compressor\[archive\]"):
            check_request(Request(job=job))
        check_request(Request(job=dataclasses.replace(job, server="127.0.0.1:1")))


def test_a_service_does_the_work(tmp_path: Path) -> None:
    files = {"a.jpg": jpeg(1), "flat.png": png(1)}
    middle, target = Memory(), Memory()
    with Service("pipeline") as service:
        for job, source, written in ((ARCHIVING, Memory(files), middle), (UNARCHIVING, middle, target)):
            served = dataclasses.replace(job, server=service.address)
            assert run_of(served, source, written, tmp_path / job.target)[0]
    assert middle.data().keys() == {"a.jpg.jxl", "flat.png"}
    assert middle.data()["a.jpg.jxl"] == pipeline.compress(files["a.jpg"], archive=True).data
    assert target.data() == files


def test_an_image_is_sent_again_if_the_connection_is_lost() -> None:
    """By the client: a worker that fails would leave that to the run."""
    image = jpeg_files.jpeg(1200, 900, quality=97)
    archive_of_it = pipeline.compress(image, archive=True).data
    with Service("pipeline") as service:
        for job, key, data in ((ARCHIVING, "a.jpg", image), (UNARCHIVING, "a.jpg.jxl", archive_of_it)):
            source, target = Memory({key: data}), Memory()
            with LossyProxy(service.address, losses=1, count=250_000) as proxy:
                worker = Worker(
                    dataclasses.replace(job, server=proxy.address), cast(Store, source), cast(Store, target)
                )
                prepared = worker.prepare(source.put(key, data))
                worker.close()
                assert proxy.lost == 1
            assert isinstance(prepared, Prepared)


# --- processes that are killed --------------------------------------------------------------------------------------


def start(source: Path, target: Path, ledger: Path, option: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "compressor.cli", "batch", str(source), str(target), option]
    return subprocess.Popen(
        [*command, "--workers", "2", "--json", "--ledger", str(ledger)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def finish(source: Path, target: Path, ledger: Path, option: str) -> dict[str, Any]:
    process = start(source, target, ledger, option)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    summary: dict[str, Any] = json.loads(out)
    return {name: summary[name] for name in ("objects", "bytes_in", "bytes_out", "failed")}


def kill_and_resume(source: Path, tmp_path: Path, option: str, kills: int) -> Path:
    """Run undisturbed, and killed again and again as soon as some more objects are written. Return the result."""
    undisturbed, target = tmp_path / f"undisturbed {option}", tmp_path / f"killed {option}"
    expected = finish(source, undisturbed, tmp_path / f"{option} 1", option)
    result, rng, ledger, killed = contents(undisturbed), random.Random(7), tmp_path / f"{option} 2", 0
    for _ in range(kills):
        wanted = (len(contents(target)) if target.exists() else 0) + rng.randint(1, 3)
        process = start(source, target, ledger, option)
        while process.poll() is None and (not target.exists() or len(contents(target)) < wanted):
            time.sleep(0.002)
        time.sleep(rng.random() * 0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()
        now = contents(target)
        assert now.items() <= result.items()  # complete, under their own keys, or not there
    assert killed
    assert finish(source, target, ledger, option) == expected
    assert contents(target) == result and leftovers(target) == []
    return target


def kill_both_ways(tmp_path: Path, count: int, kills: int) -> None:
    source = tmp_path / "source"
    files = {f"{n % 7}/{n}.jpg": jpeg(n) for n in range(count)}
    files |= {"flat.png": png(1), "text.txt": b"text", "empty": b"", "cut.jpg": jpeg(1)[:700]}
    for key, data in files.items():
        (source / key).parent.mkdir(parents=True, exist_ok=True)
        (source / key).write_bytes(data)
    middle = kill_and_resume(source, tmp_path, "--archive", kills)
    assert sum(key.endswith(".jpg.jxl") for key in contents(middle)) == count
    assert contents(kill_and_resume(middle, tmp_path, "--unarchive", kills)) == files


def test_killed_runs_of_archiving_and_unarchiving_end_like_undisturbed_ones(tmp_path: Path) -> None:
    kill_both_ways(tmp_path, 20, 2)


@pytest.mark.heavy
def test_runs_killed_thirty_times_end_like_undisturbed_ones(tmp_path: Path) -> None:
    kill_both_ways(tmp_path, 120, 30)
