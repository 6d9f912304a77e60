"""The help of each command, on a terminal of 80 columns."""

import os
import subprocess
import sys

import pytest
import typer.main

from compressor.cli.app import app, commands_of
from tests import ROOT
from tests.cli.fakes import MODULE, run

COMMANDS = ["", "ledger", *(name for name, _ in commands_of(typer.main.get_command(app)))]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_and_no_sentence_is_cut(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text, _ = run(*command.split(), "--help")

    assert [line for line in text.splitlines() if len(line) > 80] == []
    listed = text.partition("Commands:")[2].splitlines()
    assert [line for line in listed if line.endswith("...")] == []


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_the_version_is_short(words: list[str]) -> None:
    assert run(*words)[0].startswith("compressor 0.")


@pytest.mark.parametrize(
    "shell, line, found",
    [
        ("bash", "compressor un", "unarchive"),
        ("bash", "compressor compress --keep", "--keep-original"),
        ("bash", "compressor compress --format we", "webp"),
        ("zsh", "compressor compress --effort b", "balanced"),
        ("fish", "compressor compress --effort b", "balanced"),
    ],
)
def test_commands_options_and_values_are_completed(shell: str, line: str, found: str) -> None:
    variables = {"_COMPRESSOR_COMPLETE": f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    variables |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    command = [sys.executable, *MODULE]
    completed = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert found in completed.stdout
