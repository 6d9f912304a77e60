"""A run: the outcome of every object, and a second run over the same objects."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.batch import run as running
from compressor.batch.plan import Keys
from compressor.batch.rate_limit import RateLimit
from compressor.ledger.ledger import Ledger
from compressor.report.summary import Progress
from compressor.stores.contract import (
    Attributes,
    Body,
    Entry,
    OnAccessDenied,
    Precondition,
    StoreError,
    StoreErrorKind,
)
from compressor.stores.filters import Filters
from tests.batch.support import COPY, FILES, GLOB, IN_PLACE, Inline, Memory, jpeg, run_of


def pixels(data: bytes) -> np.ndarray[Any, np.dtype[np.int_]]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_all_objects_are_copied_and_images_become_smaller(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()

    completed, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")

    assert completed and source.data() == FILES
    assert target.data().keys() == FILES.keys()
    assert totals == {
        ("compressed", ""): 8,
        ("copied", "not_smaller"): 1,
        ("copied", "not_an_image"): 1,
        ("copied", "empty"): 1,
        ("failed", "broken_image"): 1,
    }
    for key, data in target.data().items():
        if "photos" in key or "png" in key:
            assert len(data) < 0.95 * len(FILES[key])
            assert np.abs(pixels(data) - pixels(FILES[key])).mean() < 8
        elif "😀" not in key:
            assert data == FILES[key]


def test_in_place_each_object_becomes_smaller_or_stays_unchanged_and_originals_are_kept(tmp_path: Path) -> None:
    store = Memory(FILES)

    run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)

    now = store.data()
    replaced = {key for key in FILES if now[key] != FILES[key]}
    assert replaced == {*(f"photos/{n}.jpg" for n in range(6)), "png/flat.png", "ünïcode/😀 %41+#?.jpg"}
    assert {key[len("kept/") :]: data for key, data in now.items() if key.startswith("kept/")} == {
        key: FILES[key] for key in replaced
    }


def test_attributes_are_copied_with_the_object(tmp_path: Path) -> None:
    attributes = Attributes(
        headers={"content-type": "image/jpeg", "cache-control": "max-age=9"}, metadata={"k": "v"}, tags={"t": "1"}
    )
    source, target = Memory(), Memory()
    source.put("a.jpg", jpeg(1), attributes)
    source.put("b.txt", b"text", attributes)

    run_of(COPY, source, target, tmp_path / "ledger")

    assert {key: found[1] for key, found in target.objects.items()} == {"a.jpg": attributes, "b.txt": attributes}


def test_a_repeated_run_processes_only_new_and_changed_objects(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()
    run_of(COPY, source, target, tmp_path / "ledger")
    job = dataclasses.replace(COPY, overwrite=True)

    _, totals, engine = run_of(COPY, source, target, tmp_path / "ledger")
    assert engine.log == []

    source.put("photos/3.jpg", jpeg(33))
    source.put("photos/new.jpg", jpeg(34))
    _, again, engine = run_of(job, source, target, tmp_path / "ledger")
    assert {key for _, key in engine.log} == {"photos/3.jpg", "photos/new.jpg"}
    assert again["compressed", ""] == totals["compressed", ""] + 1


def test_in_place_a_second_run_changes_nothing(tmp_path: Path) -> None:
    store = Memory(FILES)
    run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    before = dict(store.objects)

    _, _, engine = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert engine.log == [] and store.objects == before

    run_of(IN_PLACE, store, store, tmp_path / "another ledger", filters=GLOB)
    assert store.objects == before


def test_a_concurrent_write_wins(tmp_path: Path) -> None:
    store = Memory(FILES)

    class Busy(Memory):
        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            if key == "photos/2.jpg":
                store.put(key, b"somebody else's")
            return store.write(key, body, attributes, only)

    busy = Busy()
    busy.objects = store.objects
    _, totals, _ = run_of(IN_PLACE, busy, busy, tmp_path / "ledger", filters=GLOB)

    assert store.data()["photos/2.jpg"] == b"somebody else's"
    assert "kept/photos/2.jpg" not in store.objects
    assert totals["skipped", "changed"] == 1


def test_nothing_is_overwritten_at_the_destination_unless_requested(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory({"photos/1.jpg": b"precious", "empty": b""})

    _, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")
    assert target.data()["photos/1.jpg"] == b"precious"
    assert totals["skipped", "exists_at_destination"] == 1

    run_of(dataclasses.replace(COPY, overwrite=True), source, target, tmp_path / "another")
    assert len(target.data()["photos/1.jpg"]) > 100


def test_objects_under_a_hold_or_with_unreadable_attributes_are_not_replaced(tmp_path: Path) -> None:
    store = Memory({"held.jpg": jpeg(1), "acl.jpg": jpeg(2), "free.jpg": jpeg(3)})
    store.held["held.jpg"] = "under a legal hold"
    data, _, etag = store.objects["acl.jpg"]
    store.objects["acl.jpg"] = (data, Attributes(lost=("ACL",)), etag)

    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)

    assert totals == {("skipped", "held"): 1, ("skipped", "unreadable_attributes"): 1, ("compressed", ""): 1}


def test_a_non_atomic_store_needs_permission(tmp_path: Path) -> None:
    store = Memory({"a.jpg": jpeg(1)})
    store.conditional_bytes = 0

    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert totals == {("skipped", "not_atomic"): 1}

    allowed = dataclasses.replace(IN_PLACE, allow_non_atomic=True)
    _, totals, _ = run_of(allowed, store, store, tmp_path / "another", filters=GLOB)
    assert totals == {("compressed", ""): 1}


def test_shards_become_parts_and_failures_stay_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor.batch import plan

    monkeypatch.setattr(plan, "SHARD_KEYS", 5)
    source, target = Memory(FILES), Memory()

    _, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")
    assert sorted(path.name for path in (tmp_path / "ledger.parts").iterdir()) == [
        f"{n:08d}.jsonl.gz" for n in (1, 2, 3)
    ]
    with Ledger(tmp_path / "ledger") as ledger:
        assert {done.key for done in ledger.objects()} == FILES.keys()
        assert [(done.key, known) for done, known in ledger.failures(9)] == [("broken.jpg", False)]
        assert ledger._database.execute("SELECT count(*) FROM objects").fetchone() == (1,)

    source.put("b in the middle.jpg", jpeg(44))
    del source.objects["empty"]
    _, again, engine = run_of(COPY, source, target, tmp_path / "ledger")
    assert {key for _, key in engine.log} == {"b in the middle.jpg"}
    assert sum(again.values()) == sum(totals.values()) + 1


def test_memory_is_counted_per_object_and_coordinator_overhead_per_ledger(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()
    run_of(COPY, source, target, tmp_path / "ledger")

    with Ledger(tmp_path / "ledger") as ledger:
        done = list(ledger.objects())
        assert all(one.memory_byte_seconds > 0 for one in done)
        assert sum(total.memory_byte_seconds for total in ledger.totals()) == pytest.approx(
            sum(one.memory_byte_seconds for one in done)
        )
        assert ledger.add_overhead(1.5, 100.0) == (1.5, 100.0)
        assert ledger.add_overhead(0.5, 11.0) == (2.0, 111.0)


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_is_processed(tmp_path: Path) -> None:
    class Private(Memory):
        def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
            assert refused is not None
            refused("private/", StoreError(StoreErrorKind.DENIED, "a: 'private/': Permission denied"))
            return super().entries(refused)

    source, target = Private(FILES), Memory()
    engine = Inline(COPY, source, target)
    with Ledger(tmp_path / "ledger") as ledger:
        run = running.Run(COPY, ledger, engine, Keys(source), Filters(), source, target, RateLimit())
        assert run.work() and target.data().keys() == FILES.keys()
        (total,) = run.tally.unlisted_total
        assert (total.reason.value, total.objects) == ("denied", 1) and run.tally.failed == 2  # and a broken image
        assert [problem.key for problem in run.tally.unlisted] == ["private/"]
        assert "private/" not in {done.key for done in ledger.objects()}  # or it would be stale once listable
    engine.close()


def test_the_first_cost_of_an_object_still_counts_when_it_is_processed_again(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()
    run_of(COPY, source, target, tmp_path / "ledger")
    with Ledger(tmp_path / "ledger") as ledger:
        before = sum(total.cpu_seconds for total in ledger.totals())
        first = next(done for done in ledger.objects() if done.key == "photos/3.jpg")
    source.put("photos/3.jpg", jpeg(77))
    del target.objects["photos/3.jpg"]
    run_of(COPY, source, target, tmp_path / "ledger")

    with Ledger(tmp_path / "ledger") as ledger:
        second = next(done for done in ledger.objects() if done.key == "photos/3.jpg")
        spent, held = ledger.add_overhead(0.0, 0.0)
        after = sum(total.cpu_seconds for total in ledger.totals()) + spent
    assert second.etag != first.etag and spent == pytest.approx(first.cpu_seconds) and held > 0
    assert after == pytest.approx(before + second.cpu_seconds)


def test_a_run_with_two_caps_sleeps_until_an_object_may_start(tmp_path: Path) -> None:
    """Each pass commits the ledger: there are a few for each object, not thousands."""
    files = {f"{n}.txt": b"x" * 100 for n in range(12)}
    source, target, passes = Memory(files), Memory(), list[Progress]()
    engine = Inline(COPY, source, target)
    engine.patient = True

    completed, _, _ = run_of(
        COPY,
        source,
        target,
        tmp_path / "ledger",
        engine=engine,
        rate_limit=RateLimit(1000, 3000),
        on_progress=passes.append,
    )

    assert completed and target.data() == files
    assert len(passes) < 6 * len(files)
