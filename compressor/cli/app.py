"""The command line: compress, unarchive, batch, ledger, footprint, exporter, inspect, serve, health, token.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted. A command's module is imported when the command is
called. Kernels, gRPC and rich are slow to import, so that the commands that need them import them when they run.
"""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from compressor.cli import options as opt
from compressor.cli.errors import one_line_errors
from compressor.settings import VERSION

# The commands in the order of `--help`, and the modules that have them.
MODULES = {
    "compress": "compress",
    "unarchive": "unarchive",
    "batch": "batch",
    "exporter": "exporter",
    "footprint": "footprint",
    "inspect": "compress",
    "serve": "serve",
    "health": "serve",
    "token": "serve",
    "ledger": "ledger",
}


class Commands(Mapping[str, Any]):
    """Typer's commands by name. The module of a command is imported when the command is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            found = getattr(importlib.import_module(f"compressor.cli.{MODULES[name]}"), name)
            if not isinstance(found, typer.Typer):
                single = typer.Typer(add_completion=False, rich_markup_mode=None)
                single.command(name)(found)
                found = single
            self._loaded[name] = typer.main.get_command(found)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


class CommandGroup(TyperGroup):
    """All commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**(attributes | {"commands": Commands()}))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, without importing the commands."""
        return list(self.commands)


app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich doubles the time of `--help`
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    if wanted:
        from compressor.kernels import library

        typer.echo(f"compressor {VERSION}, kernels: {library.description()}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(envvar="COMPRESSOR_CONFIG", help="TOML file of option defaults, such as `quality = 85`."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", is_eager=True, callback=show_version, help="Show the version, and which kernels run."
        ),
    ] = False,
) -> None:
    """Recompress images to fewer bytes, in bounded memory.

    Every option of a command can also be set in the environment (--min-saving as COMPRESSOR_MIN_SAVING) or in
    a TOML file (as min_saving = "5%"). The command line takes precedence over the environment, and the environment
    over the file.
    """
    if config is not None:
        with one_line_errors():
            params = {
                name: [p for p in command.params if str(p.envvar).startswith(opt.PREFIX)]
                for name, command in commands_of(context.command)
            }
            options = {name: {str(p.name) for p in found} for name, found in params.items()}
            repeatable = {name: {str(p.name) for p in found if p.multiple} for name, found in params.items()}
            defaults: dict[str, Any] = {}
            for name, values in opt.configuration(config, options, repeatable).items():
                group, _, command = name.rpartition(" ")
                (defaults.setdefault(group, {}) if group else defaults)[command] = values
            context.default_map = defaults


def commands_of(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield Click's commands with their full names: "batch", "ledger restore"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {child}", found) for child, found in commands_of(command))
        else:
            yield name, command


def dispatch() -> None:
    """Run the command that the arguments name. Called by `start`."""
    app(prog_name="compressor")
