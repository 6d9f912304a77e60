"""A run: what becomes of every object, whatever happens on the way."""

import dataclasses
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import pipeline
from compressor.batch import run as running
from compressor.batch.job import Job
from compressor.batch.plan import Keys
from compressor.batch.rate_limit import RateLimit
from compressor.ledger.ledger import Ledger
from compressor.settings import Settings
from compressor.stores.contract import Attributes, StoreError, StoreErrorKind
from compressor.stores.filters import Filters
from tests.batch.support import Faulty, Inline, Memory, jpeg, png, run_of

COPY = Job(source="a", target="b", settings=Settings(min_saving=0.05))
IN_PLACE = Job(
    source="a", target="a", in_place=True, keep="kept/", settings=Settings(min_saving=0.05, quality=60, effort="fast")
)
FILES = {
    **{f"photos/{n}.jpg": jpeg(n) for n in range(6)},
    "png/flat.png": png(1),
    "small already.jpg": pipeline.compress(jpeg(9), quality=40).data,
    "text\nof two lines.txt": b"no image",
    "empty": b"",
    "broken.jpg": jpeg(3)[:900],
    "ünïcode/😀 %41+#?.jpg": jpeg(12),
}
GLOB = Filters(excluded_prefixes=("kept/",))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_all_of_a_bucket_arrives_and_what_is_an_image_is_smaller(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()

    whole, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")

    assert whole and source.data() == FILES
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


def test_in_place_each_object_is_smaller_or_untouched_and_originals_are_kept(tmp_path: Path) -> None:
    store = Memory(FILES)

    run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)

    now = store.data()
    replaced = {key for key in FILES if now[key] != FILES[key]}
    assert replaced == {*(f"photos/{n}.jpg" for n in range(6)), "png/flat.png", "ünïcode/😀 %41+#?.jpg"}
    assert {key[len("kept/") :]: data for key, data in now.items() if key.startswith("kept/")} == {
        key: FILES[key] for key in replaced
    }


def test_attributes_go_with_the_object(tmp_path: Path) -> None:
    attributes = Attributes(
        headers={"content-type": "image/jpeg", "cache-control": "max-age=9"}, metadata={"k": "v"}, tags={"t": "1"}
    )
    source, target = Memory(), Memory()
    source.put("a.jpg", jpeg(1), attributes)
    source.put("b.txt", b"text", attributes)

    run_of(COPY, source, target, tmp_path / "ledger")

    assert {key: found[1] for key, found in target.objects.items()} == {"a.jpg": attributes, "b.txt": attributes}


def test_a_finished_run_does_nothing_and_sees_what_has_changed(tmp_path: Path) -> None:
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


def test_who_writes_meanwhile_wins(tmp_path: Path) -> None:
    store = Memory(FILES)

    class Busy(Memory):
        def write(self, key, body, attributes, only):
            if key == "photos/2.jpg":
                store.put(key, b"somebody else's")
            return store.write(key, body, attributes, only)

    busy = Busy()
    busy.objects = store.objects
    _, totals, _ = run_of(IN_PLACE, busy, busy, tmp_path / "ledger", filters=GLOB)

    assert store.data()["photos/2.jpg"] == b"somebody else's"
    assert "kept/photos/2.jpg" not in store.objects
    assert totals["skipped", "changed"] == 1


def test_a_worker_that_outlives_its_run_does_no_harm(tmp_path: Path) -> None:
    """It writes what this run is about to write, before it."""
    store = Memory({"a.jpg": jpeg(1)})
    late = Inline(IN_PLACE, store, store)
    late.prepare(1, store.head("a.jpg"))
    ((_, prepared),) = late.answers(0)

    class Overtaken(Memory):
        def copy(self, key, etag, to):
            if prepared.token in late.worker._pending:
                late.commit(2, prepared)
                assert late.answers(0)[0][1].result_etag
            return store.copy(key, etag, to)

    overtaken = Overtaken()
    overtaken.objects = store.objects
    _, totals, _ = run_of(IN_PLACE, overtaken, overtaken, tmp_path / "ledger", filters=GLOB)

    assert totals == {("compressed", ""): 1}
    assert store.data()["kept/a.jpg"] == jpeg(1)
    with Ledger(tmp_path / "ledger") as ledger:
        assert [done.kept for done in ledger.objects()] == ["kept/a.jpg"]
    late.close()


def test_nothing_is_written_over_at_the_destination_unless_asked(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory({"photos/1.jpg": b"precious", "empty": b""})

    _, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")
    assert target.data()["photos/1.jpg"] == b"precious"
    assert totals["skipped", "exists_at_destination"] == 1

    run_of(dataclasses.replace(COPY, overwrite=True), source, target, tmp_path / "another")
    assert len(target.data()["photos/1.jpg"]) > 100


def test_what_is_held_or_would_lose_something_is_left_alone_in_place(tmp_path: Path) -> None:
    store = Memory({"held.jpg": jpeg(1), "acl.jpg": jpeg(2), "free.jpg": jpeg(3)})
    store.held["held.jpg"] = "under a legal hold"
    data, _, etag = store.objects["acl.jpg"]
    store.objects["acl.jpg"] = (data, Attributes(lost=("ACL",)), etag)

    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)

    assert totals == {("skipped", "held"): 1, ("skipped", "unreadable_attributes"): 1, ("compressed", ""): 1}


def test_a_store_that_is_not_atomic_needs_a_word(tmp_path: Path) -> None:
    store = Memory({"a.jpg": jpeg(1)})
    store.conditional_bytes = 0

    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert totals == {("skipped", "not_atomic"): 1}

    allowed = dataclasses.replace(IN_PLACE, allow_non_atomic=True)
    _, totals, _ = run_of(allowed, store, store, tmp_path / "another", filters=GLOB)
    assert totals == {("compressed", ""): 1}


@pytest.mark.parametrize("seed", range(12))
def test_faults_lose_nothing_and_every_object_is_accounted_for(
    seed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    dice = random.Random(seed)
    store = Memory(FILES)

    def roll(what, key):
        return dice.choice(["before", "after", "cut", "throttled"]) if dice.random() < 0.25 else ""

    faulty = Faulty(store, roll)
    engine = Inline(IN_PLACE, faulty, faulty)
    _, totals, _ = run_of(IN_PLACE, faulty, store, tmp_path / "ledger", engine=engine, filters=GLOB)
    calm = Memory(FILES)
    _, expected, _ = run_of(IN_PLACE, calm, calm, tmp_path / "calm", filters=GLOB)

    assert sum(totals.values()) == len(FILES)
    for key, data in FILES.items():  # each is its original or the verified result
        assert store.data()[key] in (data, calm.data()[key])
        if store.data()[key] != data:
            assert store.data()["kept/" + key] == data
    # What failed for a passing reason is done by the next run.
    _, again, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert again == expected and store.data() == calm.data()


def test_a_poison_image_is_found_and_set_aside(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()
    engine = Inline(COPY, source, target, dies=lambda what, key: key == "photos/3.jpg")

    _, totals, _ = run_of(COPY, source, target, tmp_path / "ledger", engine=engine)

    assert totals["failed", "poison"] == 1
    assert sum(totals.values()) == len(FILES) and "photos/3.jpg" not in target.objects


@pytest.mark.parametrize("after", range(1, 40, 3))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_is_killed_goes_on_where_it_was(after: Any, moment: str, tmp_path: Path) -> None:
    """Killed with the worker in the middle of an order: what the ledger holds on disk is all that is left."""
    store = Memory(FILES)

    class KilledError(BaseException):
        pass

    class Killed(Inline):
        def answers(self, timeout):
            found = []
            for _ in range(len(self._orders)):
                killed = len(self.log) == after
                if killed and moment == "before":
                    raise KilledError
                what, number, subject, _ = self._orders.popleft()
                key = subject.key if what == "prepare" else subject.done.key
                self.log.append((what, key))
                answer = self.worker.prepare(subject) if what == "prepare" else self.worker.commit(subject.token)
                if killed:
                    raise KilledError
                found.append((number, answer))
            return found

    class Dropped(Ledger):
        """Nothing that was not committed is there afterwards."""

        def close(self) -> None:
            self._database.close()

    run_of_killed(IN_PLACE, store, Killed(IN_PLACE, store, store), Dropped(tmp_path / "ledger"), KilledError)
    _, totals, engine = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)

    calm = Memory(FILES)
    _, expected, _ = run_of(IN_PLACE, calm, calm, tmp_path / "calm", filters=GLOB)
    assert store.data() == calm.data() and totals == expected
    assert len({key for what, key in engine.log if what == "commit"}) == sum(what == "commit" for what, _ in engine.log)


def run_of_killed(job, store, engine, ledger, killed):
    with ledger:
        run = running.Run(job, ledger, engine, Keys(store), GLOB, store, store, RateLimit())
        try:
            run.work()
        except killed:
            return
        finally:
            engine.close()


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


@pytest.mark.parametrize("moment", ["prepare", "before", "after"])
def test_a_defect_fails_one_object_and_not_the_run(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody has thought of, while an object is read or written; written it may be all the same."""
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    store, odd = Memory(FILES), "photos/3.jpg"

    class Odd(Memory):
        def open(self, key):
            if moment == "prepare" and key == odd:
                raise ZeroDivisionError("two\nlines")
            return super().open(key)

        def write(self, key, body, attributes, only):
            if moment == "before" and key == odd:
                raise ZeroDivisionError("two\nlines")
            written = super().write(key, body, attributes, only)
            if moment == "after" and key == odd:
                raise ZeroDivisionError("two\nlines")
            return written

    target = Odd({}) if moment != "prepare" else Memory({})
    source = Odd(FILES) if moment == "prepare" else store
    whole, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")

    assert whole and sum(totals.values()) == len(FILES)
    if moment == "after":
        assert totals["compressed", ""] == 8 and odd in target.data()
    else:
        assert totals["failed", "other"] == 1 and odd not in target.data()
        with Ledger(tmp_path / "ledger") as ledger:
            assert "ZeroDivisionError: two lines" in [done.error for done, _ in ledger.failures(9)]


def test_an_intent_that_cannot_be_settled_keeps_its_shard_open(tmp_path: Path) -> None:
    """Nothing is known of it while the store does not answer; the next run finds out."""
    store, key = Memory(FILES), "photos/3.jpg"

    class Silent(Memory):
        silent = False

        def head(self, asked):
            if self.silent and asked == key:
                raise StoreError(StoreErrorKind.UNAVAILABLE, "503")
            return super().head(asked)

    target = Silent({})
    run_of(COPY, store, target, tmp_path / "ledger")
    with Ledger(tmp_path / "ledger") as ledger:
        (shard,) = ledger.shards()
        ledger.reopen(shard)
        ledger.intend(shard.number, next(done for done in ledger.known(shard).values() if done.key == key))
    target.silent = True
    _, totals, _ = run_of(COPY, store, target, tmp_path / "ledger")
    assert totals["failed", "unavailable"] == 1 and totals["compressed", ""] == 7
    with Ledger(tmp_path / "ledger") as ledger:
        assert [done.key for done, _ in ledger.intents()] == [key] and not ledger.shards()[0].done

    target.silent = False
    _, totals, _ = run_of(COPY, store, target, tmp_path / "ledger")
    assert totals["compressed", ""] == 8 and ("failed", "unavailable") not in totals
    with Ledger(tmp_path / "ledger") as ledger:
        assert not ledger.intents() and ledger.shards()[0].done


def test_memory_is_accounted_for_by_object_and_the_coordinator_by_ledger(tmp_path: Path) -> None:
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


def test_a_folder_that_may_not_be_listed_is_told_and_the_rest_is_done(tmp_path: Path) -> None:
    class Private(Memory):
        def entries(self, refused=None):
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
        assert "private/" not in {done.key for done in ledger.objects()}  # nothing stale when it is readable again
    engine.close()


def test_what_was_spent_on_an_object_stays_spent_when_it_is_done_anew(tmp_path: Path) -> None:
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


def test_tries_that_came_to_nothing_are_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    tried = []

    def dice(what, key):
        tried.append(key)
        return "before" if what == "write" and tried.count(key) < 3 else ""

    target = Memory()
    run_of(COPY, Memory(FILES), Faulty(target, dice), tmp_path / "ledger")
    calm = Memory()
    run_of(COPY, Memory(FILES), calm, tmp_path / "calm")

    assert target.data() == calm.data()
    costs = []
    for name in ("ledger", "calm"):
        with Ledger(tmp_path / name) as ledger:
            costs.append(sum(total.cpu_seconds for total in ledger.totals()))
    assert costs[0] > 1.5 * costs[1]  # each was done three times


def test_a_run_under_two_caps_sleeps_until_an_object_may_begin(tmp_path: Path) -> None:
    """Each pass commits the ledger: there are a few for each object, not thousands."""
    files = {f"{n}.txt": b"x" * 100 for n in range(12)}
    source, target, passes = Memory(files), Memory(), []
    engine = Inline(COPY, source, target)
    engine.patient = True

    whole, _, _ = run_of(
        COPY,
        source,
        target,
        tmp_path / "ledger",
        engine=engine,
        rate_limit=RateLimit(1000, 3000),
        on_progress=passes.append,
    )

    assert whole and target.data() == files
    assert len(passes) < 6 * len(files)
