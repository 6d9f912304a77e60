"""Ledgers of another schema are refused by name, and not changed."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compressor.cli.app import app
from compressor.exporter.ledgers import Ledgers
from compressor.ledger.errors import LedgerError
from compressor.ledger.ledger import Ledger
from compressor.ledger.reader import reading
from compressor.ledger.schema import SCHEMA_NUMBER
from compressor.ledger.snapshot import take_snapshot
from compressor.ledger.status import status
from compressor.settings import VERSION
from tests.ledger.ledgers import write

OTHERS = [0, SCHEMA_NUMBER + 1]  # 0: a ledger from before schemas were numbered


def ledger_of_schema(path: Path, number: int) -> Path:
    write(path, {"a.jpg": (1000, 600)})
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {number}")
    return path


def refusal(path: Path, number: int) -> str:
    return (
        f"{path} has ledger schema {number}, and compressor {VERSION} reads schema {SCHEMA_NUMBER} only: "
        "use the version of compressor that wrote it, or choose another ledger"
    )


def test_a_new_ledger_has_the_schema_number(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", {"a.jpg": (1000, 600)})

    with reading(tmp_path / "a.ledger") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_NUMBER,)


@pytest.mark.parametrize("number", OTHERS)
def test_a_ledger_of_another_schema_is_neither_read_nor_changed(number: int, tmp_path: Path) -> None:
    path = ledger_of_schema(tmp_path / "a.ledger", number)
    before = path.read_bytes()

    for use in (Ledger, status, take_snapshot):
        with pytest.raises(LedgerError) as caught:
            use(path)
        assert str(caught.value) == refusal(path, number)
    assert path.read_bytes() == before
    assert {found.name for found in tmp_path.iterdir()} == {"a.ledger", "a.ledger.parts"}


@pytest.mark.parametrize("number", OTHERS)
@pytest.mark.parametrize(
    "command",
    [
        ["batch", "in", "out", "--ledger", "a.ledger"],
        ["ledger", "restore", "a.ledger"],
        ["ledger", "restore", "a.ledger", "--dry-run"],
        ["ledger", "status", "a.ledger"],
        ["ledger", "failures", "a.ledger"],
    ],
    ids=" ".join,
)
def test_commands_name_the_schemas_and_what_to_do(
    command: list[str], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    path = ledger_of_schema(tmp_path / "a.ledger", number)

    found = CliRunner().invoke(app, command)

    assert found.exit_code == 1
    shown = path if command[0] == "ledger" else "a.ledger"
    assert found.stderr.splitlines()[-1] == f"compressor: {refusal(Path(shown), number)}"


@pytest.mark.parametrize("number", OTHERS)
def test_the_exporter_skips_a_ledger_of_another_schema_and_logs_why(
    number: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = ledger_of_schema(tmp_path / "a.ledger", number)
    ledgers = Ledgers((tmp_path,))

    with caplog.at_level(logging.WARNING):
        assert ledgers.observe() == ledgers.observe() == []
    assert [record.message for record in caplog.records] == [refusal(path, number)]


def test_another_programs_database_is_not_made_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "songs"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE songs (name TEXT)")
    before = path.read_bytes()

    for use in (Ledger, status):
        with pytest.raises(LedgerError, match="songs is not a ledger"):
            use(path)
    assert path.read_bytes() == before
