"""Keys of results of other formats: how they are named, and who gets one that several objects would get."""

import dataclasses
import random
from pathlib import Path

import pytest

from compressor.batch import plan, work
from compressor.batch.dry_run import DryRun
from compressor.batch.job import Job, WorkerAnswer
from compressor.batch.plan import Keys
from compressor.batch.request import Request, check_request
from compressor.batch.result_keys import Contenders, result_key
from compressor.errors import SettingsError
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import Reason
from compressor.settings import Format, Settings
from compressor.sniff import sniff
from compressor.stores.contract import Attributes
from tests.batch.renaming import (
    COPY,
    IN_PLACE,
    ORIGINALS,
    RENAMED,
    TOTALS,
    Growing,
    run_killed_at,
)
from tests.batch.support import GLOB, Inline, Memory, jpeg, png, run_of


@pytest.mark.parametrize(
    "key, format, expected",
    [
        ("a.jpg", "webp", "a.webp"),
        ("a.JPG", "webp", "a.WEBP"),
        ("a.Jpg", "avif", "a.Avif"),
        ("a.jPg", "avif", "a.avif"),
        ("a", "png", "a.png"),
        ("a.JPEG", "jpeg", "a.JPEG"),
        ("a.jfif", "jpeg", "a.jfif"),
        ("a.v2", "webp", "a.v2.webp"),
        ("a.jpg.bak", "webp", "a.jpg.bak.webp"),
        ("b.jpg/a", "webp", "b.jpg/a.webp"),
        ("b/.jpg", "webp", "b/.jpg.webp"),
        ("a.jxl", "jpeg", "a.jpg"),
        ("a.jpg", "jxl", "a.jxl"),
        ("日本.png", "jpeg", "日本.jpg"),
        ("\udcff.tif", "webp", "\udcff.webp"),
        ("a.jpg", "unheard of", "a.jpg"),
    ],
)
def test_a_key_gets_the_suffix_of_the_format(key: str, format: str, expected: str) -> None:
    assert result_key(key, format) == expected
    assert result_key(expected, format) == expected


def test_contenders_for_a_key_are_processed_one_after_the_other() -> None:
    contenders = Contenders[int]()
    keys = ("a.jpg", "b.jpg", "a.PNG", "a", "a.v2", "a/b")

    assert [contenders.enter(key, number) for number, key in enumerate(keys)] == [True, True, False, False, True, True]
    assert [contenders.leave("a.jpg"), contenders.leave("a.PNG"), contenders.leave("a")] == [2, 3, None]
    assert contenders.enter("a.png", 9)


class Reversed(Inline):
    """An engine that answers the last order first."""

    def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
        self._orders.reverse()
        return super().answers(timeout)


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "copy"])
@pytest.mark.parametrize("engine", [Inline, Reversed])
@pytest.mark.parametrize("overwrite", [False, True])
def test_of_two_sources_for_one_key_the_first_of_the_listing_gets_it(
    in_place: bool, engine: type[Inline], overwrite: bool, tmp_path: Path
) -> None:
    job = dataclasses.replace(IN_PLACE if in_place else COPY, overwrite=overwrite)
    files = {"a.bmp.jpg": jpeg(1), "a.JPG": jpeg(2), "a.jpeg": png(1), "a.jpg": jpeg(1), "a.png": png(1), "a": jpeg(3)}
    source = Memory(files)
    target = source if in_place else Memory()
    _, totals, _ = run_of(job, source, target, tmp_path / "ledger", engine=engine(job, source, target), filters=GLOB)

    assert totals == {("compressed", ""): 3, ("skipped", "key_taken"): 3}
    with Ledger(tmp_path / "ledger") as ledger:
        assert {done.key: done.result_key for done in ledger.objects() if done.outcome.changed} == {
            "a": "a.webp", "a.JPG": "a.WEBP", "a.bmp.jpg": "a.bmp.webp",
        }  # fmt: skip
        refused = {done.key for done in ledger.objects() if done.reason is Reason.KEY_TAKEN}
    assert refused == {"a.jpeg", "a.jpg", "a.png"}
    assert all(source.data()[key] == files[key] for key in refused)
    again = engine(job, source, target)
    _, repeated, _ = run_of(job, source, target, tmp_path / "ledger", engine=again, filters=GLOB)
    assert repeated == totals and again.log == []


def test_a_copy_never_gets_the_key_of_another_source(tmp_path: Path) -> None:
    source, target = Memory(ORIGINALS), Memory()

    _, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")

    assert totals == {("compressed", ""): 6, ("skipped", "key_taken"): 2, ("copied", "not_an_image"): 2}
    assert target.data().keys() == {*RENAMED.values(), "a JPEG.webp", "taken.webp", "text.txt"}
    assert target.data()["taken.webp"] == b"another picture" and source.data() == ORIGINALS
    assert all(target.objects[key][1].headers == {"content-type": "image/webp"} for key in RENAMED.values())
    _, again, engine = run_of(COPY, source, target, tmp_path / "ledger")
    assert again == totals and engine.log == []


def test_a_copy_may_keep_its_key_and_gets_the_content_type_of_its_format(tmp_path: Path) -> None:
    source, target = Memory(), Memory()
    source.put("a.jpg", jpeg(1), Attributes(headers={"content-type": "image/jpeg", "cache-control": "public"}))
    source.put("b.png", png(1))
    job = dataclasses.replace(COPY, rename=False)

    _, totals, _ = run_of(job, source, target, tmp_path / "ledger")

    assert totals == {("compressed", ""): 2} and {sniff(data) for data in target.data().values()} == {"webp"}
    assert target.objects["a.jpg"][1].headers == {"content-type": "image/webp", "cache-control": "public"}
    assert target.objects["b.png"][1].headers == {"content-type": "image/webp"}


@pytest.mark.parametrize("count", [None, 10])
def test_a_dry_run_knows_the_keys_that_are_taken(count: int | None) -> None:
    store = Memory(ORIGINALS)
    engine = Inline(IN_PLACE, store, store)
    run = DryRun(engine, Keys(store), GLOB, count)

    assert run.run(lambda: False, lambda progress: None)

    engine.close()
    counted = {(total.outcome.value, total.reason.value): 0 for total in run.tally.totals}
    for total in run.tally.totals:
        counted[total.outcome.value, total.reason.value] += total.objects
    assert counted == TOTALS and store.data() == ORIGINALS


def test_in_place_another_format_needs_another_key() -> None:
    job = Job(source="a", target="a", in_place=True, settings=Settings(format=Format.WEBP))
    with pytest.raises(SettingsError, match="rename: must be suffix: in place"):
        check_request(Request(job=job))
    check_request(Request(job=dataclasses.replace(job, rename=True)))
    check_request(Request(job=dataclasses.replace(job, in_place=False, target="b")))


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "copy"])
def test_the_key_of_a_source_is_not_given_to_another_result(
    in_place: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even after its own result got another key."""
    keys = {"a.jpg": "a.webp", "a.png": "a.jpg"}  # as if their results had different formats
    monkeypatch.setattr(work, "result_key", lambda key, format: keys[key])
    source = Memory({"a.jpg": jpeg(1), "a.png": png(1)})
    target = source if in_place else Memory()

    for _ in range(2):
        _, totals, _ = run_of(IN_PLACE if in_place else COPY, source, target, tmp_path / "ledger", filters=GLOB)
        assert totals == {("compressed", ""): 1, ("skipped", "key_taken"): 1}
        assert target.data().keys() == ({"a.webp", "kept/a.jpg", "a.png"} if in_place else {"a.webp"})


IMAGES = (jpeg(1), jpeg(2), jpeg(3), png(1), png(2), b"no image", jpeg(4)[:500])


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "copy"])
@pytest.mark.parametrize("seed", range(8))
def test_any_set_of_keys_ends_the_same_however_often_the_run_is_killed(
    seed: int, in_place: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, job = random.Random(seed), IN_PLACE if in_place else COPY
    suffixes = ("", ".jpg", ".JPG", ".jpeg", ".png", ".webp", ".v2", ".v2.jpg", "/x.png")
    chosen = rng.sample([stem + suffix for stem in ("a", "b-1", "b", "Ü") for suffix in suffixes], 14)
    files = {key: rng.choice(IMAGES) for key in chosen}
    store, expected = Memory(files), Memory()
    _, totals, _ = run_of(job, store, store if in_place else expected, tmp_path / "undisturbed", filters=GLOB)
    results = store if in_place else expected

    monkeypatch.setattr(plan, "SHARD_KEYS", rng.choice([1, 3, 100]))
    source, kills = Growing(files), 0
    target = source if in_place else Memory()
    while True:
        at, after = rng.randrange(6), rng.random() < 0.5
        if not run_killed_at(job, source, tmp_path / "ledger", at, after, target=None if in_place else target):
            break
        kills += 1
        stored = {*source.data().values(), *target.data().values()}
        assert all(source.data().get(key) == data or data in stored for key, data in files.items())
    _, found, engine = run_of(job, source, target, tmp_path / "ledger", filters=GLOB)

    assert target.data() == results.data() and source.data() == store.data()
    assert found == totals and engine.log == [] and kills > 1
