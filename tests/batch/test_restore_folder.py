"""Restoring in folders through the API: dry runs, which write nothing, and refusals."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest

from compressor.batch.api import launch, restore_originals
from compressor.batch.job import Job
from compressor.batch.request import Request as RunRequest
from compressor.batch.request import Restoration, facts_of
from compressor.ledger.errors import LedgerError, LedgerHeldError
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectOutcome
from compressor.stores.filters import Filters
from tests.batch.restoring import FILES, JOB
from tests.batch.support import Inline


def snapshot_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Return digests and modification times by path, of which every write changes at least one."""
    found = {}
    for path in sorted(folder.rglob("*")):
        data = path.read_bytes() if path.is_file() else b"folder"
        found[str(path)] = hashlib.sha256(data).hexdigest(), path.stat().st_mtime_ns
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose photos were replaced by a run with `tmp_path / "ledger"`, without worker processes."""
    from compressor.batch import api as launching
    from compressor.stores.open import open_store

    for key, data in FILES.items():
        (tmp_path / "in" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / key).write_bytes(data)
    monkeypatch.setattr(
        launching,
        "engine_for",
        lambda request, server: Inline(request.job, store := open_store(request.job.source), store),
    )
    assert launch(request(tmp_path)).failed == 0
    return tmp_path / "in"


def request(tmp_path: Path) -> RunRequest:
    job = dataclasses.replace(JOB, source=str(tmp_path / "in"), target=str(tmp_path / "in"))
    job = dataclasses.replace(job, keep=str(tmp_path / "kept"))
    return RunRequest(job=job, ledger=tmp_path / "ledger")


def killed(path: Path) -> Path:
    """Return a copy of a ledger as a killed run leaves it: with a journal."""
    copy = path.with_name("killed")
    with Ledger(path) as ledger:
        ledger.set_fact("x", "y")
        ledger.commit()
        shutil.copytree(ledger.parts, copy.with_name("killed.parts"))
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{copy}{end}")
    assert copy.with_name("killed-wal").stat().st_size
    return copy


@pytest.mark.parametrize("how", ["ended", "killed", "restored in part"])
def test_a_dry_run_reports_what_a_restore_would_do_and_writes_nothing(how: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    if how == "killed":
        path = killed(path)
    elif how == "restored in part":
        restore_originals(Restoration(ledger=path, filters=Filters(include=("*/0.jpg",))))
    (folder / "photos/1.jpg").write_bytes(b"changed")
    (tmp_path / "kept/photos/3.jpg").write_bytes(bytes(len(FILES["photos/3.jpg"])))
    (tmp_path / "kept/photos/4.jpg").write_bytes(b"short")
    before = snapshot_of(tmp_path)

    some = restore_originals(Restoration(ledger=path, filters=Filters(include=("*/[12].jpg",)), dry_run=True))
    plan = restore_originals(Restoration(ledger=path, dry_run=True))

    assert snapshot_of(tmp_path) == before
    assert (some.mode, some.objects, some.count(ObjectOutcome.COPIED)) == ("restore dry run", 2, 1)
    restored = restore_originals(Restoration(ledger=path))
    for summary, mode in ((plan, "restore dry run"), (restored, "restore")):
        found = [
            summary.count(outcome) for outcome in (ObjectOutcome.COPIED, ObjectOutcome.SKIPPED, ObjectOutcome.FAILED)
        ]
        assert (summary.mode, summary.objects, found) == (mode, 6, [3, 1, 2])
    problems = [sorted((problem.key, problem.reason) for problem in summary.problems) for summary in (plan, restored)]
    assert problems[0] == problems[1]
    chosen = [f"photos/{number}.jpg" for number in (0, 2, 5)]
    assert {key: (folder / key).read_bytes() for key in chosen} == {key: FILES[key] for key in chosen}


def test_a_run_is_refused_when_some_or_all_of_it_was_restored(folder: Path, tmp_path: Path) -> None:
    restore_originals(Restoration(ledger=tmp_path / "ledger", filters=Filters(include=("*/[0-3].jpg",))))
    with pytest.raises(LedgerError, match="partly restored, 4 originals so far: choose another one with --ledger, or"):
        launch(request(tmp_path))

    restore_originals(Restoration(ledger=tmp_path / "ledger"))
    assert {key: (folder / key).read_bytes() for key in FILES} == FILES
    with pytest.raises(LedgerError, match=r"belongs to a run that was restored: choose another one with --ledger"):
        launch(request(tmp_path))


def test_a_ledger_that_cannot_be_restored_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = RunRequest(
        job=Job(source=str(folder / "photos"), target=str(tmp_path / "out")), ledger=tmp_path / "copy.ledger"
    )
    with Ledger(tmp_path / "copy.ledger") as ledger:
        ledger.begin(facts_of(copy))
    for dry_run in (True, False):
        with pytest.raises(LedgerError, match="originals were not kept"):
            restore_originals(Restoration(ledger=tmp_path / "copy.ledger", dry_run=dry_run))
        with pytest.raises(LedgerError, match="does not exist"):
            restore_originals(Restoration(ledger=tmp_path / "nowhere", dry_run=dry_run))
        with Ledger(tmp_path / "ledger") as ledger:
            ledger.set_fact("x", "y")
            ledger.commit()
            with pytest.raises(LedgerHeldError, match="in use by a run"):
                restore_originals(Restoration(ledger=tmp_path / "ledger", dry_run=dry_run))
    assert not (tmp_path / "nowhere").exists()
