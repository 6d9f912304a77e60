"""A ledger's database: one run at a time, and readers that hold little of it in memory."""

import dataclasses
import tracemalloc
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compressor.cli.app import app
from compressor.ledger.errors import LedgerError
from compressor.ledger.ledger import Ledger, ResultKey
from compressor.ledger.queries import failures_in
from compressor.ledger.reader import reading
from compressor.ledger.records import ObjectOutcome, ObjectResult, Reason, decode_record, encode_record
from compressor.ledger.status import status
from compressor.stores.contract import Entry


def test_a_ledger_belongs_to_one_run(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin({"source": "mistaken"})  # and has processed nothing
        ledger.begin({"source": "a"})
        ledger.add_shard("z")
        ledger.commit()
        with pytest.raises(LedgerError, match="in use"):
            Ledger(tmp_path / "ledger")
        with pytest.raises(LedgerError, match=r"belongs to another run \(SRC: a → b\)"):
            ledger.begin({"source": "b"})
    (tmp_path / "other").write_bytes(b"no database at all, but long enough to look at" * 9)
    with pytest.raises(LedgerError, match="is not a ledger"):
        Ledger(tmp_path / "other")


def test_a_ledger_in_a_folder_that_is_missing_names_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"ledgers is not a folder: create it first"):
        Ledger(tmp_path / "ledgers" / "photos.ledger")


def test_a_run_needs_no_shared_memory_file(tmp_path: Path) -> None:
    """Network file systems may not support one."""
    for _ in range(2):
        with Ledger(tmp_path / "ledger") as ledger:
            ledger.set_fact("name", "value")
            ledger.commit()
            assert {path.name for path in tmp_path.iterdir()} == {"ledger", "ledger-wal"}
        assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_what_was_spent_on_a_removed_object_still_counts(tmp_path: Path) -> None:
    failed = ObjectResult(
        key="a", etag="e", size=9, outcome=ObjectOutcome.FAILED, other_seconds=1.5, memory_byte_seconds=7.0
    )
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add_shard("z")
        ledger.finish(1, failed)
        ledger.remove("a")

        assert list(ledger.objects()) == [] and ledger.add_overhead(0.0, 0.0) == (1.5, 7.0)


def test_the_key_of_a_result_belongs_to_one_source_until_its_intent_ends(tmp_path: Path) -> None:
    intent = ObjectResult(
        key="a\udcff.jpg", etag="e", size=9, outcome=ObjectOutcome.COMPRESSED, bytes_out=5, result_key="a\udcff.webp"
    )
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add_shard("z")
        ledger.intend(1, intent)
        assert ledger.result_at("a\udcff.webp") == ResultKey(intent.key, "", 5) and ledger.result_at(intent.key) is None
        assert not ResultKey(intent.key, "", 5).is_at(Entry("a", 5, ""))
        ledger.finish(1, dataclasses.replace(intent, outcome=ObjectOutcome.SKIPPED, result_key=""))
        assert ledger.result_at("a\udcff.webp") is None

        ledger.intend(1, intent)
        ledger.delete_intent(intent.key)
        assert ledger.result_at("a\udcff.webp") is None and not ledger.intents()

        ledger.intend(1, intent)
        ledger.intend(1, dataclasses.replace(intent, result_key="a\udcff.avif"))
        ledger.finish(1, dataclasses.replace(intent, result_key="a\udcff.avif", result_etag="new"))
        ledger.finish_shard(1)
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.result_at("a\udcff.webp") is None
        found = ledger.result_at("a\udcff.avif")
    assert found is not None and found.is_at(Entry("a", 1, "new")) and found.is_at(Entry("a", 5, ""))
    assert not found.is_at(Entry("a", 5, "newer")) and not found.is_at(Entry("a", 6, ""))


def test_totals_are_divided_by_the_format_of_results(tmp_path: Path) -> None:
    done = ObjectResult(key="", etag="e", size=9, outcome=ObjectOutcome.COMPRESSED, bytes_out=5, format="jpeg")
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add_shard("z")
        for key, other in (("a", "webp"), ("b", "webp"), ("c", ""), ("d", "avif")):
            ledger.finish(1, dataclasses.replace(done, key=key, result_format=other))
        open_totals = {(total.format, total.result_format): total for total in ledger.totals()}
        ledger.finish_shard(1)
        assert {(total.format, total.result_format): total for total in ledger.totals()} == open_totals
    assert {formats: total.objects for formats, total in open_totals.items()} == {
        ("jpeg", "webp"): 2, ("jpeg", ""): 1, ("jpeg", "avif"): 1,
    }  # fmt: skip
    assert open_totals["jpeg", "webp"].saved_bytes == 8


def test_few_failures_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin({"mode": "copy", "source": "a", "target": "b"})
        ledger.add_shard("z")
        broken = ObjectResult(
            key="", etag="e" * 32, size=9, outcome=ObjectOutcome.FAILED, reason=Reason.BROKEN, error="x" * 200
        )
        for number in range(20_000):
            ledger.finish(1, dataclasses.replace(broken, key=f"{number:06d}.jpg"))
    tracemalloc.start()
    with reading(tmp_path / "ledger") as database:
        count = sum(1 for _ in failures_in(database))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000 and peak < 3 << 20


def test_a_record_is_decoded_as_it_was_encoded() -> None:
    result = ObjectResult(
        key="a\n\udcff",
        etag="e",
        size=0,
        outcome=ObjectOutcome.KEPT,
        notices=("x",),
        stage_seconds={"decode": 1.5},
        retry=True,
    )
    assert decode_record(encode_record(result)) == result


@pytest.mark.parametrize("command", ["status", "failures", "restore"])
def test_a_file_that_is_not_a_ledger_is_reported_in_one_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"text" * 100)
    for name, problem in (("text", "is not a ledger"), ("nowhere", "does not exist")):
        found = CliRunner().invoke(app, ["ledger", command, str(tmp_path / name)])
        assert found.exit_code == 1 and problem in found.stderr and found.stderr.count("\n") <= 2
    with pytest.raises(LedgerError, match="no run has begun"):
        with Ledger(tmp_path / "empty"):
            pass
        status(tmp_path / "empty")
