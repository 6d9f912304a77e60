"""Runs whose results have another format and another key: nothing is lost, and each key is given once."""

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from compressor.batch import plan
from compressor.batch import run as running
from compressor.batch.job import Lost, Prepared, WorkerAnswer
from compressor.batch.plan import Manifest
from compressor.batch.rate_limit import RateLimit
from compressor.batch.result_keys import result_key
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectResult, Reason
from compressor.settings import Format, Metadata, Settings
from compressor.sniff import sniff
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
from tests.batch.renaming import (
    COPY,
    IN_PLACE,
    ORIGINALS,
    RENAMED,
    TOTALS,
    UNCHANGED,
    Growing,
    run_killed_at,
    undisturbed,
)
from tests.batch.support import GLOB, Faulty, Inline, Memory, jpeg, png, run_of


def test_in_place_results_replace_their_sources_under_new_keys(tmp_path: Path) -> None:
    store, totals = undisturbed(tmp_path)

    assert totals == TOTALS
    now = store.data()
    for old, new in RENAMED.items():
        assert old not in now and sniff(now[new]) == "webp" and len(now[new]) < len(ORIGINALS[old])
        assert store.objects[new][1].headers == {"content-type": "image/webp"}
        assert now["kept/" + old] == ORIGINALS[old]
    assert sniff(now["a JPEG.webp"]) == "webp" and now["kept/a JPEG.webp"] == ORIGINALS["a JPEG.webp"]
    assert store.objects["a JPEG.webp"][1].headers == {"content-type": "image/webp"}
    assert {key: now[key] for key in UNCHANGED} == {key: ORIGINALS[key] for key in UNCHANGED}
    assert len(now) == len(ORIGINALS) + len(RENAMED) + 1
    with Ledger(tmp_path / "undisturbed") as ledger:
        records = {done.key: done for done in ledger.objects()}
        assert {key: done.result_key for key, done in records.items() if done.result_key} == RENAMED
        assert {done.error for done in records.values() if done.reason is Reason.KEY_TAKEN} == {
            "would become 'clash.webp', which another object is", "would become 'taken.webp', which another object is",
        }  # fmt: skip


def test_a_second_run_leaves_results_alone_and_counts_their_sources(tmp_path: Path) -> None:
    store, totals = undisturbed(tmp_path)
    before = dict(store.objects)

    completed, again, engine = run_of(IN_PLACE, store, store, tmp_path / "undisturbed", filters=GLOB)

    assert completed and again == totals and engine.log == [] and store.objects == before


def test_a_result_that_somebody_has_changed_is_a_new_object(tmp_path: Path) -> None:
    store, _ = undisturbed(tmp_path)
    store.put("photo.webp", jpeg(9))

    _, _, engine = run_of(IN_PLACE, store, store, tmp_path / "undisturbed", filters=GLOB)

    assert engine.log == [("prepare", "photo.webp"), ("commit", "photo.webp")]
    assert store.data()["kept/photo.webp"] == jpeg(9) and store.data()["kept/photo.jpg"] == ORIGINALS["photo.jpg"]


def test_a_source_that_is_put_again_is_not_lost(tmp_path: Path) -> None:
    store, _ = undisturbed(tmp_path)
    result = store.data()["photo.webp"]
    store.put("photo.jpg", jpeg(10))

    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "undisturbed", filters=GLOB)

    assert totals["skipped", "key_taken"] == 3
    assert store.data()["photo.jpg"] == jpeg(10) and store.data()["photo.webp"] == result
    assert store.data()["kept/photo.jpg"] == ORIGINALS["photo.jpg"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("keep", ["kept/", None], ids=["kept", "discarded"])
def test_a_run_killed_at_any_write_ends_as_an_undisturbed_one(moment: str, keep: str | None, tmp_path: Path) -> None:
    job = dataclasses.replace(IN_PLACE, keep=keep)
    expected, totals = undisturbed(tmp_path, job)
    at, killed = 0, True
    while killed:
        store = Memory(ORIGINALS)
        path = tmp_path / f"ledger {at}"
        killed = run_killed_at(job, store, path, at, moment == "after")
        stored = set(store.data().values())
        assert stored >= (set(ORIGINALS.values()) if keep else {ORIGINALS[key] for key in UNCHANGED})

        _, found, again = run_of(job, store, store, path, filters=GLOB)

        assert store.data() == expected.data() and found == (totals if killed else found), at
        assert [entry[1].headers for entry in store.objects.values() if sniff(entry[0]) == "webp"] == (
            [{"content-type": "image/webp"}] * 6
        )
        assert killed or not again.log
        at += 1
    assert at == 1 + (17 if keep else 11)  # a copy, a new object and a deletion each, and one replacement


@pytest.mark.parametrize("seed", range(12))
def test_faults_lose_nothing_and_leave_no_picture_twice(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    rng, store = random.Random(seed), Memory(ORIGINALS)

    def fault(what: str, key: str) -> str:
        return rng.choice(["before", "after", "cut", "throttled"]) if rng.random() < 0.2 else ""

    faulty = Faulty(store, fault)
    _, totals, _ = run_of(
        IN_PLACE, faulty, faulty, tmp_path / "ledger", engine=Inline(IN_PLACE, faulty, faulty), filters=GLOB
    )
    expected = undisturbed(tmp_path)[0].data()

    assert sum(totals.values()) == len(ORIGINALS)
    now = store.data()
    for key, data in ORIGINALS.items():
        assert now.get(key) == data or now["kept/" + key] == data
    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    now, clash = store.data(), {"clash.jpg", "clash.png", "clash.webp", "kept/clash.jpg", "kept/clash.png"}
    assert {key: data for key, data in now.items() if key not in clash} == {
        key: data for key, data in expected.items() if key not in clash
    }
    # Which of the two became clash.webp depends on whether the store answered five times in vain for the first.
    assert sum(totals.values()) == len(ORIGINALS) and totals["skipped", "key_taken"] == 2
    assert ("clash.jpg" in now) != ("clash.png" in now)


def test_a_source_that_somebody_has_changed_stays_and_the_result_does_not(tmp_path: Path) -> None:
    """It is changed between the creation of the new object and the deletion of the old one."""

    class Busy(Memory):
        def write_successor(self, key: str, body: Body, attributes: Attributes, of: str) -> Entry:
            written = super().write_successor(key, body, attributes, of)
            if of == "photo.jpg":
                self.put("photo.jpg", b"newer")
            return written

    store = Busy(ORIGINALS)
    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)

    assert totals["skipped", "changed"] == 1
    now = store.data()
    assert now["photo.jpg"] == b"newer" and not {"photo.webp", "kept/photo.jpg"} & now.keys()
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.result_at("photo.webp") is None and ledger.result_at("clash.webp") is not None


def test_a_store_that_denies_deletions_is_reported_with_what_is_left(tmp_path: Path) -> None:
    class Denying(Memory):
        def delete(self, key: str, etag: str) -> None:
            raise StoreError(StoreErrorKind.DENIED, "403")

    store = Denying({"a.jpg": jpeg(1)})
    job = dataclasses.replace(IN_PLACE, keep=None)
    _, totals, _ = run_of(job, store, store, tmp_path / "ledger", filters=GLOB)

    assert totals == {("failed", "denied"): 1} and store.data().keys() == {"a.jpg", "a.webp"}
    with Ledger(tmp_path / "ledger") as ledger:
        ((failed, _),) = ledger.failures(9)
    assert failed.error == "403; 'a.webp' was created and is left: 403"


@pytest.mark.parametrize("keep", ["kept/", None], ids=["kept", "discarded"])
def test_a_source_that_somebody_deletes_does_not_return_under_another_key(keep: str | None, tmp_path: Path) -> None:
    job, store = dataclasses.replace(IN_PLACE, keep=keep), Memory(ORIGINALS)

    class Late(Inline):
        def commit(self, number: int, prepared: Prepared) -> None:
            if prepared.done.key == "photo.jpg":
                del store.objects["photo.jpg"]
            super().commit(number, prepared)

    _, totals, _ = run_of(job, store, store, tmp_path / "ledger", engine=Late(job, store, store), filters=GLOB)

    assert totals["skipped", "changed" if keep else "missing"] == 1
    assert not {"photo.jpg", "photo.webp", "kept/photo.jpg"} & store.data().keys()


def test_an_object_that_appears_under_the_new_key_is_not_overwritten(tmp_path: Path) -> None:
    store = Memory(ORIGINALS)

    class Late(Inline):
        def commit(self, number: int, prepared: Prepared) -> None:
            if prepared.done.key == "photo.jpg":
                store.put("photo.webp", b"theirs")
            super().commit(number, prepared)

    engine = Late(IN_PLACE, store, store)
    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", engine=engine, filters=GLOB)

    assert (totals["skipped", "key_taken"], totals["compressed", ""]) == (3, 5)
    now = store.data()
    assert (now["photo.webp"], now["photo.jpg"]) == (b"theirs", ORIGINALS["photo.jpg"]) and "kept/photo.jpg" not in now


@pytest.mark.parametrize("moment", ["before it is prepared", "before it is written"])
def test_a_worker_that_outlives_its_run_does_no_harm(moment: str, tmp_path: Path) -> None:
    """A worker of a killed run writes after this run has found out that it had not."""
    store = Memory({"a.jpg": jpeg(1)})
    late = Inline(IN_PLACE, store, store)
    with Ledger(tmp_path / "ledger") as ledger:
        late.prepare(1, store.entry("a.jpg"))
        ((_, prepared),) = late.answers(0)
        assert isinstance(prepared, Prepared)
        ledger.intend(ledger.add_shard("a.jpg").number, prepared.done)
        token = prepared.token

    class Overtaken(Inline):
        def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
            found = super().answers(timeout) if moment == "before it is written" else []
            if late.worker._pending:
                late.worker.commit(token)
            return found or super().answers(timeout)

    _, totals, _ = run_of(
        IN_PLACE, store, store, tmp_path / "ledger", engine=Overtaken(IN_PLACE, store, store), filters=GLOB
    )

    assert totals == {("compressed", ""): 1}
    assert store.data().keys() == {"a.webp", "kept/a.jpg"} and store.data()["kept/a.jpg"] == jpeg(1)
    with Ledger(tmp_path / "ledger") as ledger:
        assert [(done.kept, done.result_key) for done in ledger.objects()] == [("kept/a.jpg", "a.webp")]
    late.close()


def test_an_intent_that_cannot_be_settled_keeps_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the result nor a contender for its key is touched until the store says whether it was written."""
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    files = {"a.jpg": jpeg(1), "a.png": png(1)}

    class Silent(Memory):
        silent = True

        def head(self, key: str) -> Entry | None:
            if self.silent and key == "a.webp":
                raise StoreError(StoreErrorKind.UNAVAILABLE, "503")
            return super().head(key)

        def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
            return iter([Memory.head(self, key) or Entry(key, 0, "") for key in sorted(self.objects)])

    store, late = Silent(files), Memory()
    late.objects = store.objects
    worker = Inline(IN_PLACE, late, late)
    worker.prepare(1, late.entry("a.jpg"))
    ((_, prepared),) = worker.answers(0)
    assert isinstance(prepared, Prepared)
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.intend(ledger.add_shard("a.png").number, prepared.done)
    worker.worker.commit(prepared.token)
    worker.close()

    _, totals, engine = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert totals["failed", "unavailable"] >= 2 and not any(what == "commit" for what, _ in engine.log)
    assert store.data().keys() == {"a.webp", "a.png", "kept/a.jpg"}

    store.silent = False
    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert totals == {("compressed", ""): 1, ("skipped", "key_taken"): 1}
    assert store.data().keys() == {"a.webp", "a.png", "kept/a.jpg"}


@pytest.mark.parametrize("shard_keys", [1, 2, 10])
def test_results_that_a_listing_shows_while_the_run_goes_on_are_not_processed(
    shard_keys: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SHARD_KEYS", shard_keys)

    store = Growing(ORIGINALS)
    _, totals, _ = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    expected, expected_totals = undisturbed(tmp_path)

    assert store.data() == expected.data() and totals == expected_totals
    _, again, engine = run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    assert again == totals and engine.log == []


def test_a_manifest_with_the_old_keys_changes_nothing_in_a_second_run(tmp_path: Path) -> None:
    store = Memory({"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    (tmp_path / "list.csv").write_text("key\na.jpg\nb.jpg\n")

    def run() -> list[ObjectResult]:
        engine = Inline(IN_PLACE, store, store)
        listing = Manifest(str(tmp_path / "list.csv"), "", store)
        with Ledger(tmp_path / "ledger") as ledger:
            running.Run(IN_PLACE, ledger, engine, listing, Filters(), store, store, RateLimit()).work()
            engine.close()
            return list(ledger.objects())

    first, data = run(), store.data()
    assert [(done.result_key, done.kept) for done in first] == [("a.webp", "kept/a.jpg"), ("b.webp", "kept/b.jpg")]
    again = run()
    assert [(done.result_key, done.kept) for done in again] == [("a.webp", "kept/a.jpg"), ("b.webp", "kept/b.jpg")]
    assert store.data() == data


def test_a_result_that_saves_too_little_in_another_format_is_not_used(tmp_path: Path) -> None:
    """Its metadata is removed all the same, in its own format."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0e\0\x02\0\0\0\x0e\0\0\0\x1aa description\0\0"
    files = {"a.jpg": jpeg(1, quality=40, exif=exif), "b.jpg": jpeg(2, quality=40)}
    settings = Settings(lossless=True, format=Format.PNG, metadata=Metadata.STRIP, min_saving=0.05)
    job = dataclasses.replace(IN_PLACE, settings=settings)
    store = Memory(files)

    _, totals, _ = run_of(job, store, store, tmp_path / "ledger", filters=GLOB)

    assert sum(count for (outcome, _), count in totals.items() if outcome in ("stripped", "kept")) == 2
    now = store.data()
    assert sniff(now["a.jpg"]) == "jpeg" and b"a description" not in now["a.jpg"] and "a.png" not in now


def test_min_saving_holds_for_other_formats(tmp_path: Path) -> None:
    settings = dataclasses.replace(IN_PLACE.settings, min_saving=0.99)
    store = Memory({"a.jpg": jpeg(1)})

    _, totals, _ = run_of(
        dataclasses.replace(IN_PLACE, settings=settings), store, store, tmp_path / "ledger", filters=GLOB
    )

    assert totals == {("kept", "not_smaller"): 1} and store.data() == {"a.jpg": jpeg(1)}


@pytest.mark.parametrize("format", [Format.JPEG, Format.PNG, Format.WEBP, Format.AVIF])
def test_all_formats_are_written_verified_and_named(format: Format, tmp_path: Path) -> None:
    """The source is rotated by its Exif, and so is the result."""
    orientation = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    name, data = ("a.tiff", tiff()) if format is Format.PNG else ("a.jpg", jpeg(1, exif=orientation))
    if format is Format.JPEG:
        name, data = "a.png", png(1)
    settings = dataclasses.replace(IN_PLACE.settings, format=format)
    store = Memory({name: data})

    _, totals, _ = run_of(
        dataclasses.replace(IN_PLACE, settings=settings), store, store, tmp_path / "ledger", filters=GLOB
    )

    assert totals == {("compressed", ""): 1}
    (key,) = store.data().keys() - {f"kept/{name}"}
    assert (key, sniff(store.data()[key])) == (result_key(name, format), format)
    assert store.objects[key][1].headers["content-type"] == f"image/{format}"


def tiff() -> bytes:
    import io

    from PIL import Image

    from tests.batch.support import picture

    sink = io.BytesIO()
    Image.fromarray(picture(3) // 64 * 64).save(sink, "TIFF")
    return sink.getvalue()


def test_a_lost_worker_loses_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies once after it has created the new object."""
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    store, dead = Memory(ORIGINALS), list[str]()

    class Mortal(Inline):
        def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
            found = super().answers(timeout)
            for at, (number, answer) in enumerate(found):
                if not dead and isinstance(answer, ObjectResult) and answer.result_key:
                    dead.append(answer.key)
                    found[at] = number, Lost(alone=True)
            return found

    _, totals, _ = run_of(
        IN_PLACE, store, store, tmp_path / "ledger", engine=Mortal(IN_PLACE, store, store), filters=GLOB
    )

    assert dead and totals == TOTALS and store.data() == undisturbed(tmp_path)[0].data()


def test_a_contender_waits_for_the_next_run_if_the_first_may_have_been_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    source = Memory({"a.jpg": jpeg(1), "a.png": png(1), "b.jpg": jpeg(2)})

    class Silent(Memory):
        silent = True

        def head(self, key: str) -> Entry | None:
            if self.silent and key == "a.webp":
                raise StoreError(StoreErrorKind.UNAVAILABLE, "503")
            return super().head(key)

        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            self.head(key)
            return super().write(key, body, attributes, only)

    target = Silent()
    _, totals, engine = run_of(COPY, source, target, tmp_path / "ledger")
    assert totals == {("compressed", ""): 1, ("failed", "unavailable"): 2}
    assert ("commit", "a.png") not in engine.log and target.data().keys() == {"b.webp"}

    target.silent = False
    _, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")
    assert totals == {("compressed", ""): 2, ("skipped", "key_taken"): 1}
    with Ledger(tmp_path / "ledger") as ledger:
        assert {done.key: done.result_key for done in ledger.objects()} == {
            "a.jpg": "a.webp", "a.png": "", "b.jpg": "b.webp",
        }  # fmt: skip
