"""The tables of `compressor ledger`: a ledger's run, and what was restored."""

import shlex
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from compressor.cli.batch_output import cells_of, outcome_cell, outcome_table, print_failures
from compressor.cli.output import facts
from compressor.humanize import human_bytes, human_seconds, many, printable
from compressor.ledger.changes import setting_words
from compressor.ledger.records import ObjectOutcome
from compressor.ledger.status import Status
from compressor.ledger.totals import without_path
from compressor.report.summary import Summary
from compressor.report.words import outcome_words

if TYPE_CHECKING:
    from rich.console import Console


def print_restored(console: "Console", summary: Summary) -> None:
    """Print what was restored, or would be, and what was not, with the reason."""
    from rich.markup import escape

    remark = "  dry run: nothing was written" if summary.mode == "restore dry run" else ""
    ended = "  [yellow]interrupted[/]" if summary.interrupted else ""
    console.print(f"[bold]{escape(printable(summary.source))}[/]{remark}{ended}", soft_wrap=True)
    verb = "would restore" if remark else "restored"
    size = human_bytes(sum(total.bytes_in for total in summary.totals if total.outcome is ObjectOutcome.COPIED))
    back = f"[bold]{summary.count(ObjectOutcome.COPIED):,}[/]"
    took = human_seconds(summary.wall_seconds)
    facts(console, [(verb, back, f"of {many(summary.objects)}, {size}"), ("took", took, "")])
    if summary.totals:
        console.print()
        console.print(outcome_table(summary))
    for outcome in (ObjectOutcome.SKIPPED, ObjectOutcome.FAILED):
        if summary.count(outcome):
            console.print()
            print_failures(console, summary, outcome)
    for step in restore_steps(summary):
        console.print(f"\n  [cyan]next[/]  {step}", soft_wrap=True)


def restore_steps(summary: Summary) -> Iterator[str]:
    if summary.interrupted:
        yield "repeat the command to resume it"
    elif summary.failed:
        yield "objects that failed are unchanged: repeat the command to retry them"
    elif summary.mode == "restore dry run" and summary.count(ObjectOutcome.COPIED):
        yield "repeat the command without --dry-run to carry it out"


def print_status(console: "Console", status: Status) -> None:
    """Print a ledger's run and its progress."""
    from rich.markup import escape
    from rich.table import Table

    facts(console, ((name, escape(printable(value)), escape(remark)) for name, value, remark in status_facts(status)))
    if not status.totals:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("  outcome", "format"):
        table.add_column(name)
    for name in ("objects", "before", "after", "saved", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for total in without_path(status.totals):
        words = outcome_words(total.outcome, total.reason, total.format)
        table.add_row(outcome_cell(words, total.outcome), *cells_of(total))
    console.print()
    console.print(table)
    steps = [f"  [cyan]next[/]  {escape(step)}" for step in status_steps(status)]
    for line in ("", *steps) if steps else ():
        console.print(line, soft_wrap=True)


def status_facts(status: Status) -> Iterator[tuple[str, str, str]]:
    """Yield names, values and remarks."""
    yield "source", status.source, f"manifest {printable(status.manifest)}" if status.manifest else ""
    if status.mode != "in place":
        yield "destination", status.target, ""
    yield "mode", status.mode, f"started by compressor {status.version}"
    used = {name: value for name, value in status.settings.items() if value is not False}
    words = (name if value is True else f"{name} {setting_words(value)}" for name, value in used.items())
    yield "settings", ", ".join(words), ""
    if status.mode == "in place":
        kept = (status.keep, "kept") if status.keep else ("discarded", "they can't be restored")
        yield "originals", *kept
    if status.finished is None:
        yield "finished", "no", "the last run was interrupted, or is about to begin"
    else:
        yield "finished", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(status.finished)), ""
    yield "progress", many(status.objects), f"{status.shards_done:,} of {status.shards:,} shards finished"
    if status.failed:
        yield "failed", f"{status.failed:,}", f"{status.new_failures:,} of them new"
    if status.open_intents:
        yield "open", many(status.open_intents), "may or may not have been written: the next run will check"
    if status.restored != "no":
        yield "restored", status.restored, f"{many(status.restored_objects)} put back"


def status_steps(status: Status) -> Iterator[str]:
    """Yield what can be done with the ledger."""
    ledger = printable(shlex.quote(status.ledger))
    if status.restored == "no" and status.finished is None:
        yield "repeat the batch command to resume the run"
    if status.failed:
        yield f"compressor ledger failures {ledger}  lists what failed, and says how to try again"
    if status.keep and status.restored != "all":
        yield f"compressor ledger restore {ledger}  puts back the originals"
