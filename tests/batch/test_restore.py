"""Restoring kept originals: every object's outcome, after any change to it and any interruption."""

import dataclasses
import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from compressor.batch import restore as restoring
from compressor.batch.job import Prepared
from compressor.batch.request import Request as RunRequest
from compressor.batch.request import facts_of
from compressor.batch.restore import restore, would_restore
from compressor.ledger.ledger import Ledger
from compressor.ledger.schema import ALL, PART, RESTORED
from compressor.settings import Metadata, Settings
from compressor.stores.contract import Attributes, Body, Entry, Precondition, StoreError, StoreErrorKind
from compressor.stores.filters import Filters
from tests.batch.restoring import FILES, GLOB, JOB, NEVER, PHOTOS, counts, restored
from tests.batch.support import Inline, Memory, Reading, jpeg, run_of


@pytest.fixture
def store(tmp_path: Path) -> Memory:
    """Return a store whose photos were replaced by a run with `tmp_path / "ledger"`."""
    store = Memory(FILES)
    run_of(JOB, store, store, tmp_path / "ledger", filters=GLOB)
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin(facts_of(RunRequest(job=JOB)))
    assert {key for key in FILES if store.data()[key] != FILES[key]} == PHOTOS.keys()
    return store


def fact(path: Path) -> tuple[str | None, int]:
    with Ledger(path) as ledger:
        return ledger.facts().get(RESTORED), ledger.restored()


class Shared(Memory):
    """A store that shares its objects with another one."""

    def __init__(self, store: Memory) -> None:
        super().__init__()
        self.objects = store.objects


def test_all_originals_are_restored_and_their_copies_deleted(store: Memory, tmp_path: Path) -> None:
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)

    assert store.data() == FILES
    assert fact(tmp_path / "ledger") == (ALL, 6)
    before = dict(store.objects)
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.objects == before


def test_several_originals_are_restored_at_a_time(store: Memory, tmp_path: Path) -> None:
    together = threading.Barrier(3)

    class Slow(Shared):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            together.wait(20)  # raises unless three threads arrive
            return super().write(key, body, attributes, only)

    assert restored(tmp_path / "ledger", Slow(store), workers=3) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


def test_originals_of_stripped_objects_are_restored_with_their_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    original = jpeg(1, quality=60, exif=exif)
    store = Memory({"a.jpg": original})
    settings = Settings(min_saving=0.99, lossless=True, metadata=Metadata.STRIP)
    job = dataclasses.replace(JOB, settings=settings)
    _, totals, _ = run_of(job, store, store, tmp_path / "ledger", filters=GLOB)
    assert sum(totals[kind] for kind in totals if kind[0] == "stripped") == 1
    assert b"a description" not in store.data()["a.jpg"]
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin(facts_of(RunRequest(job=job)))

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 1}, True)
    assert store.data() == {"a.jpg": original}


def test_some_originals_can_be_restored_first_and_the_rest_later(store: Memory, tmp_path: Path) -> None:
    some = Filters(include=("photos/[0-3].jpg",), exclude=("*/2.jpg",))
    assert restored(tmp_path / "ledger", store, filters=some) == ({("copied", ""): 3}, True)

    chosen = {f"photos/{n}.jpg" for n in (0, 1, 3)}
    now = store.data()
    assert {key for key in PHOTOS if now[key] == PHOTOS[key]} == chosen
    assert {key.removeprefix("kept/") for key in now if key.startswith("kept/")} == PHOTOS.keys() - chosen
    assert fact(tmp_path / "ledger") == (PART, 3)

    store.put("photos/0.jpg", b"edited after it was restored")
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES | {"photos/0.jpg": b"edited after it was restored"}
    assert fact(tmp_path / "ledger") == (ALL, 6)


def test_filters_that_match_nothing_leave_the_run_unchanged(store: Memory, tmp_path: Path) -> None:
    assert restored(tmp_path / "ledger", store, filters=NEVER) == ({}, True)
    assert fact(tmp_path / "ledger") == (None, 0)


def test_objects_changed_or_deleted_since_the_run_are_left_alone_and_listed(store: Memory, tmp_path: Path) -> None:
    store.put("photos/1.jpg", b"somebody else's")
    del store.objects["photos/2.jpg"]
    only = Filters(include=("photos/[12].jpg",))

    with Ledger(tmp_path / "ledger") as ledger:
        tally, _ = restore(ledger, store, filters=only)
    assert counts(tally) == {("skipped", "changed"): 1, ("skipped", "missing"): 1}
    assert {problem.key for problem in tally.problems} == {"photos/1.jpg", "photos/2.jpg"}
    assert fact(tmp_path / "ledger") == (None, 0)  # nothing was written

    found, _ = restored(tmp_path / "ledger", store)
    assert found == {("copied", ""): 4, ("skipped", "changed"): 1, ("skipped", "missing"): 1}
    now = store.data()
    assert now["photos/1.jpg"] == b"somebody else's" and "photos/2.jpg" not in now
    assert {key for key in now if key.startswith("kept/")} == {"kept/photos/1.jpg", "kept/photos/2.jpg"}
    assert fact(tmp_path / "ledger") == (PART, 4)


def test_an_object_with_the_bytes_of_the_result_is_restored_even_if_its_etag_differs(
    store: Memory, tmp_path: Path
) -> None:
    """All etags differ in a folder that was moved to another disk."""
    for key, data in list(store.data().items()):
        store.put(key, data)

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


@pytest.mark.parametrize("current", ["result", "same length", "nothing"])
def test_an_object_without_a_kept_copy_counts_as_restored_only_if_it_is_the_original(
    current: str, store: Memory, tmp_path: Path
) -> None:
    """An equal length proves nothing."""
    for key in ("photos/1.jpg", "photos/2.jpg"):
        del store.objects[f"kept/{key}"]
    store.put("photos/1.jpg", FILES["photos/1.jpg"])
    if current == "same length":
        store.put("photos/2.jpg", bytes(len(FILES["photos/2.jpg"])))
    elif current == "nothing":
        del store.objects["photos/2.jpg"]

    with Ledger(tmp_path / "ledger") as ledger:
        tally, _ = restore(ledger, store)

    assert counts(tally) == {("copied", ""): 5, ("failed", "other"): 1}
    assert [problem.key for problem in tally.problems] == ["photos/2.jpg"]
    assert "its original is no longer at 'memory/kept/photos/2.jpg'" in tally.problems[0].error


@pytest.mark.parametrize(
    "data", [bytes(len(FILES["photos/1.jpg"])), b"short", b""], ids=["same length", "short", "empty"]
)
def test_a_copy_that_has_changed_is_not_restored(data: Any, store: Memory, tmp_path: Path) -> None:
    store.put("kept/photos/1.jpg", data)
    result = store.data()["photos/1.jpg"]

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 5, ("failed", "other"): 1}, True)

    assert store.data() == FILES | {"photos/1.jpg": result, "kept/photos/1.jpg": data}
    assert fact(tmp_path / "ledger") == (PART, 5)


def test_a_copy_that_somebody_else_replaced_is_not_deleted(store: Memory, tmp_path: Path) -> None:
    store.put("photos/1.jpg", FILES["photos/1.jpg"])
    store.put("kept/photos/1.jpg", b"something else")

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES | {"kept/photos/1.jpg": b"something else"}


def test_a_concurrent_write_wins(store: Memory, tmp_path: Path) -> None:
    class Busy(Shared):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            if key == "photos/3.jpg":
                self.put(key, b"somebody else's")
            return super().write(key, body, attributes, only)

    found, _ = restored(tmp_path / "ledger", Busy(store))

    assert found == {("copied", ""): 5, ("skipped", "changed"): 1}
    assert store.data()["photos/3.jpg"] == b"somebody else's"
    assert store.data()["kept/photos/3.jpg"] == FILES["photos/3.jpg"]


def test_a_stopped_restore_finishes_its_writes_and_starts_no_others(store: Memory, tmp_path: Path) -> None:
    writing, stop_requested = threading.Event(), threading.Event()

    class Slow(Shared):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            writing.set()
            assert stop_requested.wait(20)
            time.sleep(0.1)
            return super().write(key, body, attributes, only)

    def stopped() -> bool:
        if writing.is_set():
            stop_requested.set()
        return stop_requested.is_set()

    found, completed = restored(tmp_path / "ledger", Slow(store), should_stop=stopped, workers=2)

    assert not completed and 1 <= found["copied", ""] <= 2
    now = store.data()
    assert sum(now[key] == PHOTOS[key] for key in PHOTOS) == found["copied", ""]
    assert sum(key.startswith("kept/") for key in now) == 6 - found["copied", ""]
    assert fact(tmp_path / "ledger") == (PART, found["copied", ""])

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


def test_a_stopped_restore_does_not_read_an_object_to_its_end(store: Memory, tmp_path: Path) -> None:
    """Comparing an object of 100 GB takes a long time."""
    stop_requested = threading.Event()

    class Endless(Shared):
        def open(self, key: str) -> Reading:
            opened: Any = super().open(key)
            data = opened.chunks

            def chunks() -> Iterator[bytes]:
                stop_requested.set()
                while True:
                    yield from data()

            opened.chunks = chunks
            assert isinstance(opened, Reading)
            return opened

    store.put("photos/1.jpg", store.data()["photos/1.jpg"])  # with another etag
    only = Filters(include=("photos/1.jpg",))
    assert restored(tmp_path / "ledger", Endless(store), should_stop=stop_requested.is_set, filters=only) == ({}, False)
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)


class Dead(BaseException):
    """An exception that ends everything, like a kill."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", ["head", "open", "write", "delete"])
def test_a_restore_that_is_killed_at_any_call_can_be_repeated(
    what: str, after: bool, store: Memory, tmp_path: Path
) -> None:
    """The ledger is the one on disk at that moment: it may not list all restored objects yet."""
    for number in itertools.count(1):
        remaining, left = Memory(), itertools.count(1)
        remaining.objects = dict(store.objects)
        path = tmp_path / f"ledger-{number}"
        with Ledger(tmp_path / "ledger") as ledger:
            shutil.copytree(ledger.parts, tmp_path / f"{path.name}.parts")
        shutil.copy(tmp_path / "ledger", path)

        class Dying(Shared):
            def dying(self, name: str, *arguments: Any, left: Iterator[int] = left, number: int = number) -> Any:
                if name != what or next(left) != number:
                    return getattr(super(), name)(*arguments)
                if after:
                    getattr(super(), name)(*arguments)
                raise Dead

        for name in ("head", "open", "write", "delete"):
            setattr(Dying, name, lambda self, *arguments, name=name: self.dying(name, *arguments))
        try:
            restored(path, Dying(remaining), workers=1)
        except Dead:
            pass
        else:
            break  # there are no more calls
        shutil.copy(tmp_path / "ledger", path)
        for key in PHOTOS:
            assert remaining.data()[key] == FILES[key] or remaining.data()[f"kept/{key}"] == FILES[key]
        assert restored(path, remaining) == ({("copied", ""): 6}, True)
        assert remaining.data() == FILES
    assert number > 6


@pytest.mark.parametrize("written", [True, False])
def test_an_object_with_an_open_intent_is_examined(written: bool, tmp_path: Path) -> None:
    """The run was killed after it had kept the original, before or after it wrote the result."""
    store = Memory(FILES)
    worker = Inline(JOB, store, store).worker
    prepared, never = (worker.prepare(store.entry(f"photos/{number}.jpg")) for number in (1, 2))
    assert isinstance(prepared, Prepared) and isinstance(never, Prepared)
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin(facts_of(RunRequest(job=JOB)))
        shard = ledger.add_shard("z")
        ledger.intend(shard.number, prepared.done)
        ledger.intend(shard.number, never.done)
    if written:
        worker.commit(prepared.token)
        assert store.data()["photos/1.jpg"] != FILES["photos/1.jpg"]
    else:
        store.copy("photos/1.jpg", store.entry("photos/1.jpg").etag, "kept/photos/1.jpg")
    worker.close()

    plan, _ = would_restore(tmp_path / "ledger", store)
    assert counts(plan) == {("copied", ""): 1}
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 1}, True)
    assert store.data() == FILES


def test_a_store_error_fails_only_its_object(store: Memory, tmp_path: Path) -> None:
    class Faulty(Shared):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            if key == "photos/1.jpg":
                raise StoreError(StoreErrorKind.UNAVAILABLE, "503")
            if key == "photos/2.jpg":
                raise ZeroDivisionError("two\nlines")
            return super().write(key, body, attributes, only)

        def delete(self, key: str, etag: str) -> None:
            if key == "kept/photos/3.jpg":
                raise StoreError(StoreErrorKind.DENIED, "403")
            super().delete(key, etag)

    with Ledger(tmp_path / "ledger") as ledger:
        tally, completed = restore(ledger, Faulty(store))

    assert completed and counts(tally) == {("copied", ""): 3, ("failed", "unavailable"): 1, ("failed", "other"): 2}
    errors = {problem.key: problem.error for problem in tally.problems}
    assert errors["photos/2.jpg"] == "ZeroDivisionError: two lines"
    assert errors["photos/3.jpg"] == "restored, but the kept copy can't be deleted: 403"
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


def test_restored_objects_are_recorded_on_disk_within_a_second(
    store: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore that takes days must not start over when it is killed."""
    monkeypatch.setattr(restoring, "COMMIT_SECONDS", 0.0)
    commits = []
    with Ledger(tmp_path / "ledger") as ledger:
        original = ledger.commit

        def commit() -> None:
            commits.append(ledger.restored())
            original()

        monkeypatch.setattr(ledger, "commit", commit)
        restore(ledger, store, workers=1)
    assert commits == [0, 1, 2, 3, 4, 5, 6, 6]
