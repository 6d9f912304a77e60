"""Which savings are credited, and for how long."""

import logging
from pathlib import Path
from typing import Any

import pytest

from compressor.exporter.accounting import PENDING
from compressor.exporter.state import State, StateError
from compressor.footprint import Basis, Drivers, Profile, amounts
from compressor.ledger.ledger import Ledger
from compressor.ledger.schema import RESTORED
from tests.exporter.support import CREDITED, DAY, Bench, added, avoided
from tests.ledger.ledgers import COPY, IN_PLACE, KEPT, write


def test_a_saving_is_credited_for_as_long_as_it_is_stored(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600), "b.jpg": (500, 500)}, cpu=3.0)
    bench = Bench(tmp_path)

    first = bench.observe()
    assert (avoided(first), first.saved_bytes, first.expired_bytes, first.result_bytes) == (0, 400, 0, 600)
    assert first.counters["ledger_cpu_seconds", ""] == 6.0
    assert avoided(bench.wait(10)) == 4000
    assert avoided(bench.wait(0.5)) == 4200


def test_credit_ends_after_a_year_and_a_confirmation_is_not_retroactive(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path, feeds=(tmp_path / "feed.jsonl",))
    bench.observe()

    assert avoided(bench.wait(400)) == 365 * 400
    found = bench.wait(10)
    assert (avoided(found), found.saved_bytes, found.expired_bytes) == (365 * 400, 0, 400)
    assert found.result_bytes == 600  # the result still exists

    bench.append_event("confirm")
    found = bench.observe()
    assert (avoided(found), found.saved_bytes, found.expired_bytes) == (365 * 400, 400, 0)
    assert avoided(bench.wait(1000)) == 2 * 365 * 400


@pytest.mark.parametrize("facts", [KEPT, COPY])
def test_results_are_a_cost_where_originals_are_kept(tmp_path: Path, facts: dict[str, str]) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)}, facts)
    bench = Bench(tmp_path)
    bench.observe()

    found = bench.wait(10)

    assert (avoided(found), added(found), found.saved_bytes) == (0, 6000, 0)
    assert found.amounts["used", "energy", "storage"][2] > 0
    assert found.amounts["avoided", "energy", "storage"] == (0, 0, 0)


def test_nothing_is_credited_unless_originals_are_declared_deleted(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path, Basis(storage_class="hdd-3az"))
    bench.observe()

    found = bench.wait(10)

    assert (avoided(found), added(found), found.amounts) == (0, 6000, {})

    bench.restart(basis=CREDITED)  # from now on, not for the time before
    bench.exporter.readings()
    found = bench.wait(1)
    assert (avoided(found), added(found)) == (0, 6600)
    assert (avoided(bench.wait(1)), added(bench.observe())) == (400, 6600)


def test_without_a_storage_class_only_work_is_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path, Basis())
    bench.observe()

    found = bench.wait(10)

    assert found.counters["ledger_cpu_seconds", ""] == 1.0
    assert not [name for name, _ in found.counters if name.startswith("storage")]


def test_usage_before_estimates_were_enabled_is_estimated_later(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)}, cpu=100.0)
    bench = Bench(tmp_path, Basis())
    bench.observe()
    assert bench.wait(1).amounts == {}

    bench.restart(basis=CREDITED)
    bench.exporter.readings()
    found = bench.observe()

    assert found.amounts["used", "energy", "cpu"] == pytest.approx(tuple(cpu_energy(100.0)))
    assert set(PENDING) == {"pending cpu seconds", "pending memory byte-seconds", "pending added byte-seconds"}


def cpu_energy(seconds: float) -> Any:
    return amounts(CREDITED.estimate(Drivers(seconds, 0.0)))["used", "energy", "cpu"]


def test_a_resumed_run_adds_a_cohort_of_the_difference(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path)
    bench.observe()
    bench.wait(300)

    write(tmp_path / "a.ledger", {"b.jpg": (1000, 900)})
    bench.observe()
    assert avoided(bench.wait(100)) == 400 * 365 + 100 * 100
    assert bench.observe().counters["ledger_cpu_seconds", ""] == 2.0

    write(tmp_path / "a.ledger", {"b.jpg": (1000, 950)})  # it was written again, with a smaller saving
    found = bench.observe()
    assert (found.saved_bytes, found.expired_bytes) == (50, 400)
    assert bench.observe().counters["ledger_cpu_seconds", ""] == 3.0  # b.jpg was compressed twice
    assert avoided(bench.wait(10)) == 400 * 365 + 100 * 100 + 10 * 50


def test_a_shard_is_credited_when_it_is_done_but_costs_from_the_start(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)}, done=False)
    write(tmp_path / "b.ledger", {"a.jpg": (1000, 600)}, COPY, done=False)
    bench = Bench(tmp_path)
    bench.observe()

    found = bench.wait(1)
    assert (avoided(found), added(found), found.counters["ledger_cpu_seconds", ""]) == (0, 600, 2.0)

    write(tmp_path / "a.ledger", {"b.jpg": (1000, 700)}, done=True)
    bench.observe()
    found = bench.wait(1)
    assert (avoided(found), added(found), found.counters["ledger_cpu_seconds", ""]) == (700, 1200, 3.0)


def test_a_reopened_shard_keeps_its_credit(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path)
    bench.observe()

    write(tmp_path / "a.ledger", {"b.jpg": (1000, 600)}, done=False)
    assert avoided(bench.wait(10)) == 4000
    assert bench.observe().saved_bytes == 400


def test_a_ledger_that_a_run_holds_is_still_credited_and_is_read_later(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path)
    seen = bench.observe().oldest_read_timestamp
    with Ledger(tmp_path / "a.ledger") as ledger:
        ledger.add_shard("c")
        ledger.commit()

        found = bench.wait(10)
        assert (avoided(found), found.oldest_read_timestamp) == (4000, seen)
        bench.restart()
        assert avoided(bench.wait(10)) == 8000
    assert bench.wait(1).oldest_read_timestamp == bench.now


def test_a_missing_ledger_is_no_longer_credited_but_its_added_storage_still_counts(tmp_path: Path) -> None:
    for name, facts in (("a.ledger", IN_PLACE), ("b.ledger", COPY)):
        write(tmp_path / name, {"a.jpg": (1000, 600)}, facts)
    bench = Bench(tmp_path)
    bench.observe()
    bench.wait(10)
    (tmp_path / "elsewhere").mkdir()
    for name in ("a.ledger", "b.ledger"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)

    found = bench.wait(10)
    assert (avoided(found), added(found), found.saved_bytes) == (4000, 12000, 0)

    (tmp_path / "elsewhere" / "a.ledger").rename(tmp_path / "c.ledger")  # back, under another name
    assert avoided(bench.wait(10)) == 4000
    found = bench.wait(10)
    assert (avoided(found), found.counters["ledger_cpu_seconds", ""]) == (8000, 2.0)


def test_a_ledger_and_its_copy_count_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    (tmp_path / "b.ledger").write_bytes((tmp_path / "a.ledger").read_bytes())
    (tmp_path / "c.ledger").symlink_to(tmp_path / "a.ledger")
    write(tmp_path / "b.ledger", {"b.jpg": (1000, 900)}, shard=2)  # the run continues with this one
    bench = Bench(tmp_path)
    with caplog.at_level(logging.WARNING):
        bench.observe()
        bench.observe()

    found = bench.wait(1)
    assert (avoided(found), found.oldest_read_timestamp) == (500, bench.now)
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/a.ledger is a copy of {tmp_path}/b.ledger: it counts once"
    ]


def test_missing_and_invalid_files_are_reported_before_the_first_scrape(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.ledger").write_bytes(b"no ledger at all, whatever its name says")

    Bench(tmp_path, ledgers=(tmp_path / "bad.ledger", tmp_path / "misspelled"), feeds=(tmp_path / "events.jsonl",))

    messages = [record.message for record in caplog.records]
    assert len(messages) == 3
    assert messages[0].startswith(f"{tmp_path}/bad.ledger ") and messages[1].startswith(f"{tmp_path}/misspelled ")
    assert messages[2] == f"{tmp_path}/events.jsonl does not exist yet"


def test_a_restored_ledger_is_no_longer_credited(tmp_path: Path) -> None:
    for name, facts in (("a.ledger", IN_PLACE), ("b.ledger", KEPT)):
        write(tmp_path / name, {"a.jpg": (1000, 600)}, facts)
    bench = Bench(tmp_path)
    bench.observe()
    bench.wait(10)
    for name in ("a.ledger", "b.ledger"):
        with Ledger(tmp_path / name) as ledger:
            ledger.set_fact(RESTORED, "begun")

    found = bench.wait(10)

    assert avoided(found) == 4000  # not even for the time of the restore
    assert added(bench.wait(10)) == added(found) == 12000


def test_a_clock_that_goes_back_accrues_nothing_twice(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path)
    bench.observe()
    bench.wait(10)

    assert avoided(bench.wait(-5)) == 4000
    assert avoided(bench.wait(5)) == 4000
    assert avoided(bench.wait(1)) == 4400


def test_the_first_scrape_sees_all_counters_at_zero(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    bench = Bench(tmp_path, scraped=False)
    for _ in range(3):
        bench.exporter.tick()
        bench.exporter.follow()
        bench.now += DAY

    first = bench.exporter.readings()

    assert set(first.counters.values()) == {0.0}
    assert set(first.amounts.values()) == {(0.0, 0.0, 0.0)}
    assert {of for of in first.amounts if of[0] == "avoided"} == {
        ("avoided", "energy", "storage"),
        ("avoided", "co2e", "storage"),
    }
    assert bench.exporter.readings().counters["ledger_cpu_seconds", ""] == 1.0
    bench.restart()
    assert bench.exporter.readings().counters["ledger_cpu_seconds", ""] == 1.0  # only once


def test_history_is_not_rewritten_when_the_profile_or_the_grid_changes(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (10**9, 6 * 10**8)}, cpu=0.0)
    bench = Bench(tmp_path)
    bench.observe()
    before = bench.wait(10).amounts["avoided", "co2e", "storage"]
    changed = Basis(profile=Profile.CCF, storage_class="hdd-3az", originals_deleted=True, grid_grams_per_kwh=2 * 383.55)
    bench.restart(basis=changed)

    assert bench.observe().amounts["avoided", "co2e", "storage"] == before
    found = bench.wait(10).amounts["avoided", "co2e", "storage"]
    grown = amounts(
        changed.estimate(Drivers(0.0, 0.0, stored_byte_seconds=4e8 * 10 * DAY))
    )["avoided", "co2e", "storage"]  # fmt: skip
    assert [now - was for now, was in zip(found, before, strict=True)] == pytest.approx(list(grown))


def test_the_worked_example_accrues_to_its_published_figure(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (2 * 10**9, 10**9)}, cpu=60.0)
    bench = Bench(tmp_path)
    bench.observe()

    found = bench.wait(365).amounts

    kwh = [joules / 3.6e6 for joules in found["avoided", "energy", "storage"]]
    assert kwh == pytest.approx([0.00329, 0.01179, 0.02690], rel=0.002)


def test_only_one_exporter_at_a_time_can_use_a_state(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    with pytest.raises(StateError, match="in use by another exporter"):
        State(tmp_path / "state")
    bench.exporter.close()
    (tmp_path / "other").write_bytes(b"no database at all" * 100)
    with pytest.raises(StateError, match="is not the state"):
        State(tmp_path / "other")
    with pytest.raises(StateError, match="unable to open"):
        State(tmp_path / "nowhere" / "state")
