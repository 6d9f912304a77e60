"""The command line: compress, batch, ledger, footprint, exporter, inspect, serve, warmup, health.

Exit codes: 0 done, 1 failed, 2 not meant like that (usage), 130 interrupted. What is slow to import (kernels, gRPC,
rich) is imported by the command that needs it, so that `--help` answers at once.
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
from compressor.cli.serve import health, serve, warmup
from compressor.settings import VERSION

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # half the time of `--help`
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"compressor {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="COMPRESSOR_CONFIG", help="TOML file with defaults: the options' names, as in `quality = 85`."
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=show_version, help="Show it.")] = False,
) -> None:
    """Fewer bytes for the same picture, in bounded memory.

    Every option of a command can also be given in the environment (--min-saving as COMPRESSOR_MIN_SAVING) or in
    a TOML file (as min_saving = "5%"). The command line wins over the environment, and that over the file.
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
    """Click's commands by what is typed for them: "batch", "ledger restore"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {below}", found) for below, found in commands_of(command))
        else:
            yield name, command


app.command()(compress)
app.command()(batch)
app.add_typer(ledger, name="ledger")
app.command()(exporter)
app.command()(footprint)
app.command()(inspect)
app.command()(serve)
app.command()(warmup)
app.command()(health)


def main() -> None:
    """The console script."""
    app(prog_name="compressor")
