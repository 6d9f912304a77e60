"""A run whose spool directory fails: no object is to blame, and the next run does what was left."""

import dataclasses
import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from compressor import spool
from compressor.batch import run as running
from compressor.settings import Metadata
from tests.batch.support import FILES, GLOB, IN_PLACE, Memory, run_of

STRIPPING = dataclasses.replace(IN_PLACE, settings=dataclasses.replace(IN_PLACE.settings, metadata=Metadata.STRIP))


@pytest.fixture(autouse=True)
def in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have spools of small images use files, too."""
    monkeypatch.setattr(spool, "SPOOL_MEMORY_BYTES", 16)
    monkeypatch.setattr(spool, "LENT_BYTES_MAX", 0)
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)


@pytest.mark.parametrize("working", [*range(4), 7, 11])
def test_objects_fail_for_a_temporary_reason_and_the_next_run_processes_them(
    working: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full after `working` files have been created."""
    undisturbed = Memory(FILES)
    expected = run_of(STRIPPING, undisturbed, undisturbed, tmp_path / "undisturbed", filters=GLOB)[1]
    store, create, created = Memory(FILES), tempfile.TemporaryFile, [0]

    def creating(**options: Any) -> Any:
        created[0] += 1
        if created[0] > working:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return create(**options)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", creating)
        totals = run_of(STRIPPING, store, store, tmp_path / "ledger", filters=GLOB)[1]

    assert totals["failed", "unavailable"] >= 5
    assert set(totals) - set(expected) <= {("failed", "unavailable")}  # one of the files is broken
    again = run_of(STRIPPING, store, store, tmp_path / "ledger", filters=GLOB)[1]
    assert again == expected and store.data() == undisturbed.data()
