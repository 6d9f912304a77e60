"""`--help` of every command fits a terminal of 80 columns."""

from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from compressor.cli.app import app, commands_of

COLUMNS = 80
ROOT_COMMAND: Any = typer.main.get_command(app)
NAMES = ["", "ledger", *(name for name, _ in commands_of(ROOT_COMMAND))]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name or "compressor")
def test_help_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    result = CliRunner().invoke(app, [*name.split(), "--help"], prog_name="compressor")

    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: compressor {name}".rstrip())
    assert [line for line in result.output.splitlines() if len(line) > COLUMNS] == []


def test_all_commands_are_looked_at() -> None:
    assert {"compress", "batch", "serve", "ledger restore"} <= set(NAMES)
