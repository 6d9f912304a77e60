"""The tables of `compressor ledger`: a ledger's run, and what was restored."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from compressor.cli.batch_output import COLORS, cells_of, many, outcome_table, print_failures, reasoned
from compressor.cli.output import facts
from compressor.humanize import human_bytes, human_seconds, printable
from compressor.ledger.records import ObjectOutcome
from compressor.ledger.status import Status
from compressor.report.summary import Summary

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
    from rich.text import Text

    facts(console, ((name, escape(printable(value)), escape(remark)) for name, value, remark in status_facts(status)))
    if not status.totals:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("  outcome", "format"):
        table.add_column(name)
    for name in ("objects", "before", "after", "saved", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for total in status.totals:
        table.add_row(Text(f"  {reasoned(total)}", COLORS[total.outcome]), *cells_of(total))
    console.print()
    console.print(table)


def status_facts(status: Status) -> Iterator[tuple[str, str, str]]:
    """Yield names, values and remarks."""
    yield "source", status.source, f"manifest {printable(status.manifest)}" if status.manifest else ""
    if status.mode != "in place":
        yield "destination", status.target, ""
    yield "mode", status.mode, f"started by compressor {status.version}"
    yield "settings", ", ".join(f"{name} {value}" for name, value in status.settings.items()), ""
    if status.mode == "in place":
        back = "compressor ledger restore puts them back"
        kept = (status.keep, back) if status.keep else ("discarded", "they can't be restored")
        yield "originals", *kept
    if status.finished is None:
        yield "finished", "no", "repeat the command to resume the run"
    else:
        yield "finished", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(status.finished)), ""
    yield "progress", many(status.objects), f"{status.shards_done:,} of {status.shards:,} shards finished"
    if status.failed:
        yield (
            "failed",
            f"{status.failed:,}",
            f"{status.new_failures:,} of them new: see compressor ledger failures",
        )
    if status.open_intents:
        yield "open", many(status.open_intents), "may or may not have been written: the next run will check"
    if status.restored != "no":
        yield "restored", status.restored, f"{many(status.restored_objects)} put back"
