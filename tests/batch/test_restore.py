"""Restoring kept originals: every object's outcome, whatever happened to it or to the restore."""

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


class Over(Memory):
    """A store that shares its objects with another one."""

    def __init__(self, store: Memory) -> None:
        super().__init__()
        self.objects = store.objects


def test_all_originals_go_back_and_their_copies_go(store: Memory, tmp_path: Path) -> None:
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)

    assert store.data() == FILES
    assert fact(tmp_path / "ledger") == (ALL, 6)
    before = dict(store.objects)
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.objects == before


def test_several_go_back_at_a_time(store: Memory, tmp_path: Path) -> None:
    together = threading.Barrier(3)

    class Slow(Over):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            together.wait(20)  # raises unless three are here
            return super().write(key, body, attributes, only)

    assert restored(tmp_path / "ledger", Slow(store), workers=3) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


def test_originals_of_what_was_only_stripped_go_back_with_their_metadata(tmp_path: Path) -> None:
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


def test_a_part_can_be_restored_and_then_the_rest(store: Memory, tmp_path: Path) -> None:
    some = Filters(include=("photos/[0-3].jpg",), exclude=("*/2.jpg",))
    assert restored(tmp_path / "ledger", store, filters=some) == ({("copied", ""): 3}, True)

    back = {f"photos/{n}.jpg" for n in (0, 1, 3)}
    now = store.data()
    assert {key for key in PHOTOS if now[key] == PHOTOS[key]} == back
    assert {key.removeprefix("kept/") for key in now if key.startswith("kept/")} == PHOTOS.keys() - back
    assert fact(tmp_path / "ledger") == (PART, 3)

    store.put("photos/0.jpg", b"edited after it was restored")
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES | {"photos/0.jpg": b"edited after it was restored"}
    assert fact(tmp_path / "ledger") == (ALL, 6)


def test_a_choice_that_matches_nothing_leaves_the_run_as_it_was(store: Memory, tmp_path: Path) -> None:
    assert restored(tmp_path / "ledger", store, filters=NEVER) == ({}, True)
    assert fact(tmp_path / "ledger") == (None, 0)


def test_what_was_changed_or_deleted_since_is_left_alone_and_listed(store: Memory, tmp_path: Path) -> None:
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


def test_an_object_whose_bytes_are_still_ours_goes_back_though_its_etag_differs(store: Memory, tmp_path: Path) -> None:
    """All etags differ in a folder that was moved to another disk."""
    for key, data in list(store.data().items()):
        store.put(key, data)

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


@pytest.mark.parametrize("there", ["result", "as long", "nothing"])
def test_a_copy_that_is_gone_is_restored_only_where_the_original_is_back(
    there: str, store: Memory, tmp_path: Path
) -> None:
    """A length that fits proves nothing."""
    for key in ("photos/1.jpg", "photos/2.jpg"):
        del store.objects[f"kept/{key}"]
    store.put("photos/1.jpg", FILES["photos/1.jpg"])
    if there == "as long":
        store.put("photos/2.jpg", bytes(len(FILES["photos/2.jpg"])))
    elif there == "nothing":
        del store.objects["photos/2.jpg"]

    with Ledger(tmp_path / "ledger") as ledger:
        tally, _ = restore(ledger, store)

    assert counts(tally) == {("copied", ""): 5, ("failed", "other"): 1}
    assert [problem.key for problem in tally.problems] == ["photos/2.jpg"]
    assert "its original is no longer at 'memory/kept/photos/2.jpg'" in tally.problems[0].error


@pytest.mark.parametrize("data", [bytes(len(FILES["photos/1.jpg"])), b"short", b""], ids=["as long", "short", "empty"])
def test_a_copy_that_has_changed_is_not_put_back(data: Any, store: Memory, tmp_path: Path) -> None:
    store.put("kept/photos/1.jpg", data)
    result = store.data()["photos/1.jpg"]

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 5, ("failed", "other"): 1}, True)

    assert store.data() == FILES | {"photos/1.jpg": result, "kept/photos/1.jpg": data}
    assert fact(tmp_path / "ledger") == (PART, 5)


def test_a_copy_that_somebody_has_replaced_is_not_deleted(store: Memory, tmp_path: Path) -> None:
    store.put("photos/1.jpg", FILES["photos/1.jpg"])
    store.put("kept/photos/1.jpg", b"something else")

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES | {"kept/photos/1.jpg": b"something else"}


def test_who_writes_meanwhile_wins(store: Memory, tmp_path: Path) -> None:
    class Busy(Over):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            if key == "photos/3.jpg":
                self.put(key, b"somebody else's")
            return super().write(key, body, attributes, only)

    found, _ = restored(tmp_path / "ledger", Busy(store))

    assert found == {("copied", ""): 5, ("skipped", "changed"): 1}
    assert store.data()["photos/3.jpg"] == b"somebody else's"
    assert store.data()["kept/photos/3.jpg"] == FILES["photos/3.jpg"]


def test_stopped_it_finishes_what_it_is_writing_and_begins_nothing(store: Memory, tmp_path: Path) -> None:
    writing, asked = threading.Event(), threading.Event()

    class Slow(Over):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            writing.set()
            assert asked.wait(20)
            time.sleep(0.1)
            return super().write(key, body, attributes, only)

    def stopped() -> bool:
        if writing.is_set():
            asked.set()
        return asked.is_set()

    found, whole = restored(tmp_path / "ledger", Slow(store), should_stop=stopped, workers=2)

    assert not whole and 1 <= found["copied", ""] <= 2
    now = store.data()
    assert sum(now[key] == PHOTOS[key] for key in PHOTOS) == found["copied", ""]
    assert sum(key.startswith("kept/") for key in now) == 6 - found["copied", ""]
    assert fact(tmp_path / "ledger") == (PART, found["copied", ""])

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


def test_stopped_it_does_not_read_an_object_to_its_end(store: Memory, tmp_path: Path) -> None:
    """To compare one of 100 GB takes its time."""
    asked = threading.Event()

    class Endless(Over):
        def open(self, key: str) -> Reading:
            opened: Any = super().open(key)
            data = opened.chunks

            def chunks() -> Iterator[bytes]:
                asked.set()
                while True:
                    yield from data()

            opened.chunks = chunks
            assert isinstance(opened, Reading)
            return opened

    store.put("photos/1.jpg", store.data()["photos/1.jpg"])  # its etag is another
    only = Filters(include=("photos/1.jpg",))
    assert restored(tmp_path / "ledger", Endless(store), should_stop=asked.is_set, filters=only) == ({}, False)
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)


class Dead(BaseException):
    """An exception that ends everything, like a kill."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", ["head", "open", "write", "delete"])
def test_wherever_it_is_killed_it_goes_on(what: str, after: bool, store: Memory, tmp_path: Path) -> None:
    """The ledger is as it was on disk at that moment: it may not know yet what is back."""
    for number in itertools.count(1):
        there, left = Memory(), itertools.count(1)
        there.objects = dict(store.objects)
        path = tmp_path / f"ledger-{number}"
        with Ledger(tmp_path / "ledger") as ledger:
            shutil.copytree(ledger.parts, tmp_path / f"{path.name}.parts")
        shutil.copy(tmp_path / "ledger", path)

        class Dying(Over):
            def dying(self, name: str, *arguments: Any, left: Iterator[int] = left, number: int = number) -> Any:
                if name != what or next(left) != number:
                    return getattr(super(), name)(*arguments)
                if after:
                    getattr(super(), name)(*arguments)
                raise Dead

        for name in ("head", "open", "write", "delete"):
            setattr(Dying, name, lambda self, *arguments, name=name: self.dying(name, *arguments))
        try:
            restored(path, Dying(there), workers=1)
        except Dead:
            pass
        else:
            break  # it has no so many calls
        shutil.copy(tmp_path / "ledger", path)
        for key in PHOTOS:
            assert there.data()[key] == FILES[key] or there.data()[f"kept/{key}"] == FILES[key]
        assert restored(path, there) == ({("copied", ""): 6}, True)
        assert there.data() == FILES
    assert number > 6


@pytest.mark.parametrize("written", [True, False])
def test_an_object_whose_end_is_open_is_looked_at(written: bool, tmp_path: Path) -> None:
    """The run was killed when it had kept the original, and written the result or not."""
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


def test_an_error_of_the_store_fails_its_object_alone(store: Memory, tmp_path: Path) -> None:
    class Faulty(Over):
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
        tally, whole = restore(ledger, Faulty(store))

    assert whole and counts(tally) == {("copied", ""): 3, ("failed", "unavailable"): 1, ("failed", "other"): 2}
    errors = {problem.key: problem.error for problem in tally.problems}
    assert errors["photos/2.jpg"] == "ZeroDivisionError: two lines"
    assert errors["photos/3.jpg"] == "restored, but the kept copy can't be deleted: 403"
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == FILES


def test_what_is_back_is_on_disk_within_a_second(
    store: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore of days that is killed must not begin anew."""
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
