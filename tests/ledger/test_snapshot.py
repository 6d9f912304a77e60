"""Snapshots of ledgers, for readers that write nothing."""

from pathlib import Path

import pytest

from compressor.ledger.errors import LedgerError, LedgerHeldError
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectOutcome, ObjectResult
from compressor.ledger.snapshot import take_snapshot
from tests.ledger.ledgers import write


def test_a_ledger_is_read_without_writing_anything(tmp_path: Path) -> None:
    """No file is left next to it that a run of another user could not open."""
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    before = sorted(tmp_path.iterdir())

    found = take_snapshot(tmp_path / "a.ledger")

    assert (found.in_place, found.kept, found.restored) == (True, False, False)
    assert found.shards[1].saved_bytes == 400
    assert sorted(tmp_path.iterdir()) == before


def test_a_ledger_of_a_run_that_was_killed_is_read_with_its_journal(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})
    with Ledger(tmp_path / "a.ledger") as ledger:
        ledger.add_shard("2")
        ledger.finish(
            2,
            ObjectResult(key="b", etag="e", size=10, outcome=ObjectOutcome.COMPRESSED, bytes_out=4, other_seconds=2.5),
        )
        ledger.commit()
        with pytest.raises(LedgerHeldError, match="is in use by a run"):
            take_snapshot(tmp_path / "a.ledger")
        for name in ("a.ledger", "a.ledger-wal"):
            (tmp_path / f"killed-{name}").write_bytes((tmp_path / name).read_bytes())

    found = take_snapshot(tmp_path / "killed-a.ledger").shards

    assert (found[1].done, found[1].saved_bytes) == (True, 400)
    assert (found[2].done, found[2].saved_bytes, found[2].bytes_out, found[2].cpu_seconds) == (False, 6, 4, 2.5)


@pytest.mark.parametrize("data", [b"", b"text", b"SQLite format 3\0" + bytes(4000)])
def test_a_file_that_is_not_a_ledger_is_an_error_of_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ledger").write_bytes(data)

    with pytest.raises(LedgerError, match=r"a\.ledger (is not a ledger|can't be read)") as caught:
        take_snapshot(tmp_path / "a.ledger")
    assert "\n" not in str(caught.value)
