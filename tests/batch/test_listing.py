"""Progress while a listing goes on: what was found so far, long before anything is done; and the way to stop it."""

import dataclasses
from pathlib import Path

import pytest

from compressor.batch import dry_run, request
from compressor.batch import run as running
from compressor.batch.dry_run import DryRun
from compressor.batch.plan import Keys
from compressor.batch.request import require_single_links
from compressor.report.summary import Progress
from compressor.stores.files import Files
from compressor.stores.filters import Filters
from tests.batch.support import COPY, FILES, IN_PLACE, Inline, Memory, jpeg, run_of

PHOTOS = Filters(include=("photos/*",))


@pytest.fixture(autouse=True)
def each_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report progress after every entry."""
    for module in (running, dry_run, request):
        monkeypatch.setattr(module, "FOUND_STEP", 1)


def test_a_run_shows_what_it_has_found_before_it_has_done_anything(tmp_path: Path) -> None:
    seen: list[Progress] = []

    run_of(COPY, Memory(FILES), Memory(), tmp_path / "ledger", filters=PHOTOS, on_progress=seen.append)

    idle = [one for one in seen if not one.objects and not one.listed_all]
    assert {one.found for one in idle} == set(range(7)) and all(one.total_objects == 0 for one in idle)
    last = seen[-1]
    size = sum(len(data) for key, data in FILES.items() if key.startswith("photos/"))
    assert (last.objects, last.total_objects, last.found_bytes, last.bytes_in) == (6, 6, size, size)


def test_a_short_listing_is_complete_before_the_first_object_is_done(tmp_path: Path) -> None:
    seen: list[Progress] = []

    run_of(COPY, Memory(FILES), Memory(), tmp_path / "ledger", on_progress=seen.append)

    assert next(one.total_objects for one in seen if one.objects) == len(FILES)


def test_a_run_over_finished_objects_counts_them_while_it_lists(tmp_path: Path) -> None:
    source, target, seen = Memory(FILES), Memory(), list[Progress]()
    run_of(COPY, source, target, tmp_path / "ledger")

    run_of(COPY, source, target, tmp_path / "ledger", on_progress=seen.append)

    assert max(one.found for one in seen if not one.listed_all) == len(FILES)
    assert (seen[-1].objects, seen[-1].total_objects) == (len(FILES), len(FILES))


def test_a_run_stops_while_it_lists_and_continues_later(tmp_path: Path) -> None:
    source, target, seen = Memory(FILES), Memory(), list[Progress]()

    completed, totals, _ = run_of(
        COPY, source, target, tmp_path / "ledger", on_progress=seen.append, should_stop=lambda: len(seen) > 3
    )

    assert not completed and totals == {} and len(seen) == 4 and target.data() == {}
    completed, totals, _ = run_of(COPY, source, target, tmp_path / "ledger")
    assert completed and sum(totals.values()) == len(FILES)


@pytest.mark.parametrize("count, sampled", [(3, 3), (None, 6)])
def test_a_dry_run_shows_what_it_has_found_and_then_how_far_its_sample_is(count: int | None, sampled: int) -> None:
    source, seen = Memory(FILES), list[Progress]()
    engine = Inline(COPY, source, Memory())
    run = DryRun(engine, Keys(source), PHOTOS, count)

    assert run.run(lambda: False, seen.append)

    assert max(one.found for one in seen if not one.listed_all) == 6
    assert (seen[-1].objects, seen[-1].total_objects, run.objects) == (sampled, sampled, 6)
    engine.close()


def test_a_dry_run_stops_while_it_lists() -> None:
    source, seen = Memory(FILES), list[Progress]()
    engine = Inline(COPY, source, Memory())

    assert not DryRun(engine, Keys(source), Filters(), 3).run(lambda: len(seen) > 3, seen.append)

    assert len(seen) == 4 and engine.log == []
    engine.close()


def test_the_search_for_hard_links_shows_what_it_has_found(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(jpeg(1))
    job, seen = dataclasses.replace(IN_PLACE, source=str(tmp_path), target=str(tmp_path)), list[Progress]()

    require_single_links(job, Files(str(tmp_path)), Filters(), seen.append)

    assert [one.found for one in seen] == [1, 2]
