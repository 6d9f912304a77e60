"""A run in which stores fail, workers die, or the process is killed: nothing is lost, every object has an outcome."""

import random
from pathlib import Path
from typing import Any

import pytest

from compressor.batch import run as running
from compressor.batch.job import Job, Lost, Prepared, WorkerAnswer
from compressor.batch.plan import Keys
from compressor.batch.rate_limit import RateLimit
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectResult
from compressor.stores.contract import Attributes, Body, Entry, Precondition, StoreError, StoreErrorKind
from tests.batch.support import COPY, FILES, GLOB, IN_PLACE, Faulty, Inline, Memory, Reading, jpeg, run_of


@pytest.mark.parametrize("seed", range(12))
def test_faults_lose_nothing_and_every_object_is_accounted_for(
    seed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    rng = random.Random(seed)
    store = Memory(FILES)

    def fault(what: str, key: str) -> str:
        return rng.choice(["before", "after", "cut", "throttled"]) if rng.random() < 0.25 else ""

    faulty = Faulty(store, fault)
    engine = Inline(IN_PLACE, faulty, faulty)
    _, totals, _ = run_of(IN_PLACE, faulty, store, tmp_path / "ledger", engine=engine, filters=GLOB)
    undisturbed = Memory(FILES)
    _, expected, _ = run_of(IN_PLACE, undisturbed, undisturbed, tmp_path / "undisturbed", filters=GLOB)

    assert sum(totals.values()) == len(FILES)
    for key, data in FILES.items():  # each is its original or the verified result
        assert store.data()[key] in (data, undisturbed.data()[key])
        if store.data()[key] != data:
            assert store.data()["kept/" + key] == data
    # The next run processes objects that failed for a temporary reason.
    _, again, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert again == expected and store.data() == undisturbed.data()


def test_a_poison_image_is_identified_and_the_other_objects_are_processed(tmp_path: Path) -> None:
    source, target = Memory(FILES), Memory()
    engine = Inline(COPY, source, target, dies=lambda what, key: key == "photos/3.jpg")

    _, totals, _ = run_of(COPY, source, target, tmp_path / "ledger", engine=engine)

    assert totals["failed", "poison"] == 1
    assert sum(totals.values()) == len(FILES) and "photos/3.jpg" not in target.objects


@pytest.mark.parametrize("after", range(1, 40, 3))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_run_resumes_where_it_stopped(after: Any, moment: str, tmp_path: Path) -> None:
    """The run is killed while a worker processes an object: only the ledger on disk is left."""
    store = Memory(FILES)

    class KilledError(BaseException):
        pass

    class Killed(Inline):
        def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
            found: list[tuple[int, WorkerAnswer]] = []
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
                found.append((number, answer or Lost()))
            return found

    class Uncommitted(Ledger):
        """A ledger that loses what was not committed."""

        def close(self) -> None:
            self._database.close()

    run_of_killed(IN_PLACE, store, Killed(IN_PLACE, store, store), Uncommitted(tmp_path / "ledger"), KilledError)
    _, totals, engine = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)

    undisturbed = Memory(FILES)
    _, expected, _ = run_of(IN_PLACE, undisturbed, undisturbed, tmp_path / "undisturbed", filters=GLOB)
    assert store.data() == undisturbed.data() and totals == expected
    assert len({key for what, key in engine.log if what == "commit"}) == sum(what == "commit" for what, _ in engine.log)


def run_of_killed(job: Job, store: Memory, engine: Inline, ledger: Ledger, killed: type[BaseException]) -> None:
    with ledger:
        run = running.Run(job, ledger, engine, Keys(store), GLOB, store, store, RateLimit())
        try:
            run.work()
        except killed:
            return
        finally:
            engine.close()


def test_a_worker_that_outlives_its_run_does_no_harm(tmp_path: Path) -> None:
    """The worker writes first what this run is about to write."""
    store = Memory({"a.jpg": jpeg(1)})
    late = Inline(IN_PLACE, store, store)
    late.prepare(1, store.entry("a.jpg"))
    ((_, prepared),) = late.answers(0)
    assert isinstance(prepared, Prepared)
    answer: Prepared = prepared

    class Overtaken(Memory):
        def copy(self, key: str, etag: str, to: str, target: Any = None) -> Entry:
            if answer.token in late.worker._pending:
                late.commit(2, answer)
                ((_, done),) = late.answers(0)
                assert isinstance(done, ObjectResult) and done.result_etag
            return store.copy(key, etag, to)

    overtaken = Overtaken()
    overtaken.objects = store.objects
    _, totals, _ = run_of(IN_PLACE, overtaken, overtaken, tmp_path / "ledger", filters=GLOB)

    assert totals == {("compressed", ""): 1}
    assert store.data()["kept/a.jpg"] == jpeg(1)
    with Ledger(tmp_path / "ledger") as ledger:
        assert [done.kept for done in ledger.objects()] == ["kept/a.jpg"]
    late.close()


@pytest.mark.parametrize("moment", ["prepare", "before", "after"])
def test_a_defect_fails_one_object_and_not_the_run(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exception occurs while an object is read, or before or after it is written."""
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    store, odd = Memory(FILES), "photos/3.jpg"

    class Odd(Memory):
        def open(self, key: str) -> Reading:
            if moment == "prepare" and key == odd:
                raise ZeroDivisionError("two\nlines")
            return super().open(key)

        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            if moment == "before" and key == odd:
                raise ZeroDivisionError("two\nlines")
            written = super().write(key, body, attributes, only)
            if moment == "after" and key == odd:
                raise ZeroDivisionError("two\nlines")
            return written

    target = Odd({}) if moment != "prepare" else Memory({})
    source = Odd(FILES) if moment == "prepare" else store
    completed, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")

    assert completed and sum(totals.values()) == len(FILES)
    if moment == "after":
        assert totals["compressed", ""] == 8 and odd in target.data()
    else:
        assert totals["failed", "other"] == 1 and odd not in target.data()
        with Ledger(tmp_path / "ledger") as ledger:
            assert "ZeroDivisionError: two lines" in [done.error for done, _ in ledger.failures(9)]


def test_an_intent_that_cannot_be_settled_keeps_its_shard_open(tmp_path: Path) -> None:
    """Its outcome is unknown while the store does not answer; the next run determines it."""
    store, key = Memory(FILES), "photos/3.jpg"

    class Silent(Memory):
        silent = False

        def head(self, requested: str) -> Entry | None:
            if self.silent and requested == key:
                raise StoreError(StoreErrorKind.UNAVAILABLE, "503")
            return super().head(requested)

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


def test_failed_attempts_count_as_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    tried = []

    def fault(what: str, key: str) -> str:
        tried.append(key)
        return "before" if what == "write" and tried.count(key) < 3 else ""

    target = Memory()
    run_of(COPY, Memory(FILES), Faulty(target, fault), tmp_path / "ledger")
    undisturbed = Memory()
    run_of(COPY, Memory(FILES), undisturbed, tmp_path / "undisturbed")

    assert target.data() == undisturbed.data()
    costs = []
    for name in ("ledger", "undisturbed"):
        with Ledger(tmp_path / name) as ledger:
            costs.append(sum(total.cpu_seconds for total in ledger.totals()))
    assert costs[0] > 1.5 * costs[1]  # each object was compressed three times
