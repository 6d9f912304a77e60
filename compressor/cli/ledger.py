"""`compressor ledger`: what a batch run has written down, and the way back."""

import json as jsons
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compressor.cli import batch_options as of
from compressor.cli.errors import one_line_errors
from compressor.cli.options import option

if TYPE_CHECKING:
    from compressor.ledger.records import ObjectResult
    from compressor.report.summary import Summary
    from compressor.stores.filters import Filters

WORKERS = 8  # that of batch.restore, which is slow to import

ledger = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What a batch run has written down.")

LedgerFile = Annotated[Path, typer.Argument(metavar="LEDGER", help="What a batch run wrote.", show_default=False)]
Plan = Annotated[bool, option("dry_run", "Write nothing, and say what would be done.")]
AtATime = Annotated[int, option("workers", "Originals that are put back at a time.", metavar="N", min=1, max=256)]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each.")]


@ledger.command()
def restore(
    path: LedgerFile,
    dry_run: Plan = False,
    include: of.Include = None,
    exclude: of.Exclude = None,
    workers: AtATime = WORKERS,
    json: of.BatchJson = False,
) -> None:
    """Put back the originals that an in-place run kept.

    Each goes back with what it carried where the object is still what the run wrote; then the kept copy goes. What was
    changed or deleted since is left alone, and listed. May be interrupted: the same command goes on.
    """
    with one_line_errors():
        from compressor.batch.api import restore_originals
        from compressor.batch.request import Restoration
        from compressor.cli.batch import until_stopped
        from compressor.cli.batch_output import Live

        restoration = Restoration(ledger=path, filters=keys_of(include, exclude), dry_run=dry_run, workers=workers)
        with Live(None, None) as live, until_stopped() as stopped:
            summary = restore_originals(restoration, stopped, live.update)
        tell(summary, json)
        if summary.interrupted:
            raise typer.Exit(130)
        raise typer.Exit(0 if summary.succeeded else 1)


def tell(summary: "Summary", json: bool) -> None:
    """Print it."""
    if json:
        from compressor.report.summary import as_json

        typer.echo(as_json(summary))
        return
    from rich.console import Console

    from compressor.cli.ledger_output import print_restored

    print_restored(Console(highlight=False), summary)


def keys_of(include: list[str] | None, exclude: list[str] | None) -> "Filters | None":
    """Return filters by key; None where every key is meant."""
    from compressor.stores.filters import Filters

    return Filters(include=tuple(include or ()), exclude=tuple(exclude or ())) if include or exclude else None


@ledger.command()
def failures(path: LedgerFile, json: JsonLines = False) -> None:
    """List every object that failed, and why: new, or known from the summary of an earlier run."""
    with one_line_errors():
        from compressor.humanize import printable
        from compressor.ledger.queries import failures_in
        from compressor.ledger.reader import reading

        count = known_count = 0
        with reading(path) as database:
            if not json:
                typer.echo(row("", "reason", "object"))
            for done, known in failures_in(database):
                count, known_count = count + 1, known_count + known
                if json:
                    typer.echo(jsons.dumps(fields(done, known)))
                else:
                    typer.echo(row("known" if known else "new", done.reason.as_text, printable(done.key)))
                    typer.echo(row("", "", f"  {printable(done.error)}"))
        if not json:
            typer.echo(f"{count:,} failed, {known_count:,} of them known")


def row(state: str, reason: str, rest: str) -> str:
    return f"{state:<7}{reason:<17}{rest}".rstrip()


def fields(done: "ObjectResult", known: bool) -> dict[str, str | int | bool]:
    """Return the fields of a line of JSON."""
    return {
        "key": done.key,
        "etag": done.etag,
        "size": done.size,
        "format": done.format,
        "reason": done.reason,
        "error": done.error,
        "known": known,
    }


@ledger.command()
def status(path: LedgerFile, json: Json = False) -> None:
    """Show what run a ledger is of, and how far it has come."""
    with one_line_errors():
        from compressor.ledger.status import status as status_of

        found = status_of(path)
        if json:
            typer.echo(found.as_json())
            return
        from rich.console import Console

        from compressor.cli.ledger_output import print_status

        print_status(Console(highlight=False), found)
