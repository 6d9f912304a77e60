"""`compressor ledger`: show what a batch run has recorded, and restore its originals."""

import json as jsons
from collections.abc import Iterator
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

RESTORE_WORKERS = 8  # as batch.restore has it, which is slow to import

ledger = typer.Typer(
    name="ledger",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show the ledger of a batch run, or restore its originals.",
)

LedgerFile = Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger of a batch run.", show_default=False)]
RestoreDryRun = Annotated[bool, option("dry_run", "Write nothing, and show what would be done.")]
AtATime = Annotated[
    int, option("workers", "Number of originals to restore at the same time.", metavar="N", min=1, max=256)
]
StatusJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each object.")]


@ledger.command()
def restore(
    path: LedgerFile,
    dry_run: RestoreDryRun = False,
    include: of.Include = None,
    exclude: of.Exclude = None,
    workers: AtATime = RESTORE_WORKERS,
    json: of.BatchJson = False,
) -> None:
    """Put back the originals that an in-place run has kept.

    Each original is written back with its attributes if the object is still what the run wrote; then the kept copy is
    deleted. Objects that were changed or deleted since are left alone and listed. Repeat the command to resume it if it
    was interrupted.
    """
    with one_line_errors():
        from compressor.batch.api import restore_originals
        from compressor.batch.request import Restoration
        from compressor.cli.batch import stop_on_signals
        from compressor.cli.batch_progress import Live

        restoration = Restoration(ledger=path, filters=keys_of(include, exclude), dry_run=dry_run, workers=workers)
        with Live() as live, stop_on_signals() as should_stop:
            summary = restore_originals(restoration, should_stop, live.update)
        print_restoration(summary, json)
        if summary.interrupted:
            raise typer.Exit(130)
        raise typer.Exit(0 if summary.succeeded else 1)


def print_restoration(summary: "Summary", json: bool) -> None:
    """Print the summary of a restore."""
    if json:
        from compressor.report.summary import as_json

        typer.echo(as_json(summary))
        return
    from rich.console import Console

    from compressor.cli.ledger_output import print_restored

    print_restored(Console(highlight=False), summary)


def keys_of(include: list[str] | None, exclude: list[str] | None) -> "Filters | None":
    """Return filters by key; None without any."""
    from compressor.stores.filters import Filters

    return Filters(include=tuple(include or ()), exclude=tuple(exclude or ())) if include or exclude else None


@ledger.command()
def failures(path: LedgerFile, json: JsonLines = False) -> None:
    """List every object that failed, with the reason.

    "known" marks those that an earlier run has reported already.
    """
    with one_line_errors():
        from compressor.humanize import printable
        from compressor.ledger.queries import failures_in
        from compressor.ledger.reader import reading
        from compressor.ledger.records import Reason
        from compressor.report.words import reason_words

        count = known_count = again = 0
        with reading(path) as database:
            for done, known in failures_in(database):
                if not json and not count:
                    typer.echo(row("", "reason", "object"))
                retried = done.retry or done.reason is Reason.DENIED
                count, known_count, again = count + 1, known_count + known, again + retried
                if json:
                    typer.echo(jsons.dumps(fields(done, known)))
                else:
                    words = reason_words(done.reason)
                    typer.echo(row("known" if known else "new", words, printable(done.key)))
                    typer.echo(row("", "", f"  {printable(done.error)}"))
        if not json:
            typer.echo(f"{count:,} failed, {known_count:,} of them known" if count else "nothing failed")
            for step in failure_steps(count, known_count, again):
                typer.echo(f"  next  {step}")


def failure_steps(count: int, known: int, again: int) -> Iterator[str]:
    """Yield how failures are tried again, or accepted.

    again  number of those that every run tries again
    """
    if again:
        yield f"repeat the batch command: it tries {again:,} again, since their reason may be gone"
    if count > again:
        yield "an object is tried again once it has changed, or with another --ledger; a deleted one no longer fails"
    if known:
        yield "with --accept-failures, batch exits with 0 as long as all failures are known"


def row(state: str, reason: str, rest: str) -> str:
    return f"{state:<7}{reason:<27}{rest}".rstrip()


def fields(done: "ObjectResult", known: bool) -> dict[str, str | int | bool]:
    """Return the fields of a failed object's line of JSON."""
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
def status(path: LedgerFile, json: StatusJson = False) -> None:
    """Show a ledger's run and its progress."""
    with one_line_errors():
        from compressor.ledger.status import status as status_of

        found = status_of(path)
        if json:
            typer.echo(found.as_json())
            return
        from rich.console import Console

        from compressor.cli.ledger_output import print_status

        print_status(Console(highlight=False), found)
