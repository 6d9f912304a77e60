"""Originals that return under the keys that they had, in place of results with other keys."""

from pathlib import Path
from typing import Any

import pytest

from compressor.batch.request import Request, facts_of
from compressor.batch.restore import restore, would_restore
from compressor.ledger.ledger import Ledger
from compressor.ledger.schema import ALL, RESTORED
from compressor.stores.contract import Attributes
from tests.batch.renaming import IN_PLACE, ORIGINALS, RENAMED, Dying, KilledError, run_killed_at
from tests.batch.restoring import counts, restored
from tests.batch.support import GLOB, Memory, run_of

JPEG = Attributes(headers={"content-type": "image/jpeg"})


def original() -> Memory:
    store = Memory(ORIGINALS)
    store.put("photo.jpg", ORIGINALS["photo.jpg"], JPEG)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Memory:
    """Return a store after a run with `tmp_path / "ledger"`."""
    store = original()
    run_of(IN_PLACE, store, store, tmp_path / "ledger", filters=GLOB)
    begin(tmp_path / "ledger")
    assert store.objects["photo.webp"][1].headers == {"content-type": "image/webp"}
    return store


def begin(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.begin(facts_of(Request(job=IN_PLACE)))


def test_originals_return_under_their_keys_and_results_are_deleted(store: Memory, tmp_path: Path) -> None:
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)

    assert store.data() == ORIGINALS and store.objects["photo.jpg"][1] == JPEG
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.facts()[RESTORED] == ALL
    before = dict(store.objects)
    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.objects == before


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_restore_killed_at_any_write_can_be_completed(after: bool, tmp_path: Path) -> None:
    at, killed = 0, True
    while killed:
        store, path, killed = original(), tmp_path / f"ledger {at}", False
        run_of(IN_PLACE, store, store, path, filters=GLOB)
        begin(path)
        dying: Any = Dying(store, at, after)
        try:
            with Ledger(path) as ledger:
                restore(ledger, dying, workers=1)
        except KilledError:
            killed = True
        assert set(store.data().values()) >= set(ORIGINALS.values())

        assert restored(path, store) == ({("copied", ""): 6}, True), at
        assert store.data() == ORIGINALS, at
        at += 1
    assert at >= 5 * 3 + 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_originals_of_a_killed_run_return(after: bool, tmp_path: Path) -> None:
    at = 0
    while run_killed_at(IN_PLACE, store := original(), path := tmp_path / f"ledger {at}", at, after):
        begin(path)
        assert restored(path, store)[1]
        assert store.data() == ORIGINALS, at
        at += 1
    assert at == 17


def test_results_that_were_changed_or_deleted_are_left_alone_and_so_are_their_originals(
    store: Memory, tmp_path: Path
) -> None:
    store.put("photo.webp", b"edited")
    del store.objects["UPPER.WEBP"]
    store.put("no suffix", b"somebody else's")

    found, completed = restored(tmp_path / "ledger", store)

    assert completed and found == {("copied", ""): 3, ("skipped", "changed"): 2, ("skipped", "missing"): 1}
    now = store.data()
    assert now["photo.webp"] == b"edited" and now["no suffix"] == b"somebody else's" and "no suffix.webp" in now
    assert not {"photo.jpg", "UPPER.JPG", "UPPER.WEBP"} & now.keys()
    assert {key for key in now if key.startswith("kept/")} == {"kept/photo.jpg", "kept/UPPER.JPG", "kept/no suffix"}


def test_an_original_that_somebody_has_put_back_is_enough(store: Memory, tmp_path: Path) -> None:
    store.put("photo.jpg", ORIGINALS["photo.jpg"])
    store.put("UPPER.JPG", ORIGINALS["UPPER.JPG"])
    store.put("UPPER.WEBP", b"edited")

    assert restored(tmp_path / "ledger", store) == ({("copied", ""): 6}, True)
    assert store.data() == ORIGINALS | {"UPPER.WEBP": b"edited"}


def test_a_dry_run_of_a_restore_writes_nothing(store: Memory, tmp_path: Path) -> None:
    store.put("kept/photo.jpg", b"damaged")
    before = dict(store.objects)

    tally, completed = would_restore(tmp_path / "ledger", store)

    assert completed and counts(tally) == {("copied", ""): 5, ("failed", "other"): 1} and store.objects == before
    assert restored(tmp_path / "ledger", store)[0] == {("copied", ""): 5, ("failed", "other"): 1}
    assert store.data()["photo.webp"] == before["photo.webp"][0] and "photo.jpg" not in store.data()
    assert store.data().keys() >= ORIGINALS.keys() - {"photo.jpg"} and RENAMED["UPPER.JPG"] not in store.data()
