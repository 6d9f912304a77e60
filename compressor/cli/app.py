"""The command line: compress, batch, ledger, footprint, exporter, inspect, serve, health.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted. Kernels, gRPC and rich are slow to import, so the
commands that need them import them, and `--help` is fast.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from compressor.cli import options as opt
from compressor.cli.batch import batch
from compressor.cli.compress import compress, inspect
from compressor.cli.errors import one_line_errors
from compressor.cli.exporter import exporter
from compressor.cli.footprint import footprint
from compressor.cli.ledger import ledger
from compressor.cli.serve import health, serve
from compressor.settings import VERSION

app = typer.Typer(
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
            "--version", is_eager=True, callback=show_version, help="Show the version, and which kernels run."
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


app.command()(compress)
app.command()(batch)
app.add_typer(ledger, name="ledger")
app.command()(exporter)
app.command()(footprint)
app.command()(inspect)
app.command()(serve)
app.command()(health)


def dispatch() -> None:
    """Run the command that the arguments name. Called by `start`."""
    app(prog_name="compressor")
