"""The summary of a batch run on a terminal."""

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from compressor.cli.output import facts
from compressor.humanize import (
    ENERGY_UNITS,
    MASS_UNITS,
    common_unit,
    human_bytes,
    human_formats,
    human_seconds,
    many,
    printable,
    range_in,
)
from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.prices import human_money
from compressor.report.summary import Problem, Projection, Summary
from compressor.report.words import outcome_words, reason_words
from compressor.settings import Footprint

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

EXAMPLES_MAX = 3  # for each class of failures
COLORS = {
    ObjectOutcome.COMPRESSED: "green",
    ObjectOutcome.STRIPPED: "green",
    ObjectOutcome.UNARCHIVED: "green",
    ObjectOutcome.COPIED: "default",
    ObjectOutcome.KEPT: "default",
    ObjectOutcome.SKIPPED: "yellow",
    ObjectOutcome.FAILED: "red",
}


def print_summary(console: "Console", summary: Summary) -> None:
    """Print what a run saved, the outcomes of its objects, its failures, and what can be done about them."""
    from rich.markup import escape

    places = f"[bold]{escape(printable(summary.source))}[/]"
    if summary.target and summary.target != summary.source:
        places += f" → [bold]{escape(printable(summary.target))}[/]"
    remark = {"dry run": "  dry run: nothing was written", "in place": "  in place"}
    ended = "  [yellow]interrupted[/]" if summary.interrupted else ""
    console.print(f"{places}{remark.get(summary.mode, '')}{ended}", soft_wrap=True)
    if summary.keep is not None and summary.mode == "in place":
        kept = f"originals are kept unchanged in [bold]{escape(printable(summary.keep))}[/], with their metadata"
        console.print(kept, soft_wrap=True)
    facts(console, headline(summary))
    if summary.totals:
        console.print()
        console.print(outcome_table(summary))
    if summary.failed:
        console.print()
        print_failures(console, summary)
    notices = sorted(summary.notices.items(), key=lambda item: -item[1])
    counts = [(f"{many(objects)}: " if objects else "", what) for what, objects in notices]  # 0: about the run
    lines = [f"  [yellow]note[/]  {count}{escape(printable(what))}" for count, what in counts]
    lines += [f"  [cyan]next[/]  {escape(step)}" for step in next_steps(summary)]
    for line in ("", *lines) if lines else ():
        console.print(line, soft_wrap=True)


def headline(summary: Summary) -> Iterable[tuple[str, str, str]]:
    """Yield names, values and remarks of the first lines."""
    if summary.projection is not None:
        yield projected(summary.projection)
    else:
        color = "green" if summary.saved_bytes > 0 else "yellow"
        yield "before", human_bytes(summary.bytes_in), many(summary.objects)
        done = f"{summary.count(ObjectOutcome.COMPRESSED):,} of them compressed"
        if stripped := summary.count(ObjectOutcome.STRIPPED):
            done += f", {stripped:,} stripped of metadata"
        if unarchived := summary.count(ObjectOutcome.UNARCHIVED):
            done += f", {unarchived:,} unarchived"
        yield "after", human_bytes(summary.bytes_out), done
        yield "saved", f"[{color} bold]{summary.saved:.1%}[/]", human_bytes(summary.saved_bytes)
        yield from stored(summary)
    yield from money_facts(summary)
    if (scores := summary.scores) is not None:
        rest = f"median {scores.median:.1f}: SSIMULACRA2 of {many(scores.objects)}"
        yield "score", f"{scores.minimum:.1f}", f"lowest; 10th percentile {scores.percentile_10:.1f}, {rest}"
    seconds = max(summary.wall_seconds, 1e-9)
    codec = sum(summary.stage_seconds.values())
    rate = f"{summary.objects / seconds:,.1f} objects/s, {human_bytes(summary.bytes_in / seconds)}/s"
    yield "took", human_seconds(summary.wall_seconds), rate
    spent = f"{human_seconds(codec)} in the codec, {human_seconds(summary.other_seconds)} in everything else"
    yield "CPU", human_seconds(codec + summary.other_seconds), spent
    if summary.footprint is not None:
        used = summary.footprint.used_energy_joules
        avoided = summary.avoided_per_year(summary.footprint.avoided_energy_joules_per_gb_year)
        unit = common_unit((used.high, avoided.high), ENERGY_UNITS)
        used_grams, avoided_grams = co2e_words(summary, summary.footprint)
        yield "used", range_in(unit, used.low, used.high), f"{used_grams}estimated, not measured: CPU and memory"
        if avoided.high > 0:
            text = f"per year, estimated, once originals are deleted from {summary.footprint.storage_class}"
            yield "avoids", range_in(unit, avoided.low, avoided.high), avoided_grams + text


def co2e_words(summary: Summary, footprint: Footprint) -> tuple[str, str]:
    """Return the CO2e that was used, and that a year avoids, in one unit: "0.2 to 1.3 mg CO2e, "; "" without a grid."""
    used, rate = footprint.used_co2e_grams, footprint.avoided_co2e_grams_per_gb_year
    if used is None or rate is None:
        return "", ""
    avoided = summary.avoided_per_year(rate)
    unit = common_unit((used.high, avoided.high), MASS_UNITS)
    first, second = (f"{range_in(unit, one.low, one.high)} CO2e, " for one in (used, avoided))
    return first, second


def stored(summary: Summary) -> Iterable[tuple[str, str, str]]:
    """Yield what the objects take now, where originals or versions are still stored besides the results."""
    space = summary.space
    if space is None or not space.to_delete:
        return
    if space.copied:
        held = "source and destination together"
    else:
        sizes = {"kept originals": space.originals, "old versions": space.versions}
        held = "with " + " and ".join(f"{human_bytes(size)} of {name}" for name, size in sizes.items() if size)
    yield "stored", human_bytes(space.now), f"{held}: {space.in_words}"


def money_facts(summary: Summary) -> Iterable[tuple[str, str, str]]:
    """Yield what the run saves in money, and what it saves or costs while the originals are stored."""
    money, prices, space = summary.money, summary.prices, summary.space
    if money is None or prices is None:
        return
    parts = [f"{human_money(money.per_month, money.currency)} per month"]
    if money.storage is not None and money.egress is not None:
        names = {"storage": money.storage, f"{prices.downloads_per_month:,.9g} downloads a month": money.egress}
        parts.append(" and ".join(f"{human_money(one, money.currency)} for {what}" for what, one in names.items()))
    once = "" if space is None else space.once_deleted
    would = "would be saved" if summary.mode == "dry run" else "saved"
    ends = summary.money_per_year_range
    span = "" if ends is None else f" ({' to '.join(human_money(end, money.currency) for end in ends)})"
    color = "green" if money.per_year > 0 else "yellow"
    yield (
        "money", f"[{color} bold]{human_money(money.per_year, money.currency)}[/]",
        f"{', '.join(filter(None, (f'{would} per year{span}', once)))}: {', '.join(parts)}",
    )  # fmt: skip
    if once:
        cost, amount = money.until_deleted < 0, human_money(abs(money.until_deleted), money.currency)
        yield "", amount, f"{'more' if cost else 'saved'} per month until then"


def projected(projection: Projection) -> tuple[str, str, str]:
    """Return a name, a value and a remark such as "1.20 TB of 3.90 TB (1.13 to 1.28 TB), from 1,000 of 48,000"."""
    share, margin, others = projection.rounded().partition(" ± ")
    value = f"[green bold]{share}[/]{margin}{others}"
    size = f"{human_bytes(projection.saved_bytes)} of {human_bytes(projection.bytes_in)}"
    if projection.low == projection.high:
        return "saves", value, f"{size}, from all {many(projection.objects)}"
    span = f"{human_bytes(projection.low)} to {human_bytes(projection.high)}"
    sampled = f"from {projection.sampled_objects:,} of {many(projection.objects)}"
    return "saves", value, f"{size} ({span}), {sampled}"


def outcome_table(summary: Summary) -> "Table":
    """Return a table of totals by outcome, reason and format."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("  outcome", "format"):
        table.add_column(name)
    numbers = ("objects", "bytes") if summary.restores else ("objects", "before", "after", "saved", "")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for total in summary.by_outcome():
        words = outcome_words(total.outcome, total.reason, total.format, summary.mode)
        table.add_row(outcome_cell(words, total.outcome), *cells_of(total)[: 1 + len(numbers)])
    return table


def outcome_cell(words: str, outcome: ObjectOutcome) -> "RenderableType":
    """Return the first cell of a row; words that don't fit continue below themselves."""
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(words, COLORS[outcome]), (0, 0, 0, 2))


def cells_of(total: Total) -> tuple[str, ...]:
    """Return the cells of a row: format, objects, bytes before; for compressed objects also after, saved, and share."""
    formats = human_formats(printable(total.format), printable(total.result_format)) or "other"
    row = formats, f"{total.objects:,}", human_bytes(total.bytes_in)
    if not total.outcome.changed:
        return (*row, "", "", "")
    share = total.saved_bytes / max(1, total.bytes_in)
    return (*row, human_bytes(total.bytes_out), human_bytes(total.saved_bytes), f"{share:.1%}")


def print_failures(console: "Console", summary: Summary, outcome: ObjectOutcome = ObjectOutcome.FAILED) -> None:
    """Print each class of failures, or of another outcome, with its number and a few examples, new ones first."""
    from rich.markup import escape

    examples: dict[Reason, list[Problem]] = {}
    for problem in sorted(summary.problems, key=lambda one: one.known):
        examples.setdefault(problem.reason, []).append(problem)
    for total in summary.by_failure(outcome):
        known = summary.known_failures.get(total.reason, 0) if outcome is ObjectOutcome.FAILED else 0
        remark = f", {known:,} of them known" if known else ""
        reason = escape(reason_words(total.reason) or "unknown")
        head = f"  [{COLORS[outcome]}]{outcome}[/]  {total.objects:,}  [bold]{reason}[/]"
        console.print(head + remark, soft_wrap=True)
        shown = examples.get(total.reason, [])[:EXAMPLES_MAX]
        for problem in shown:
            known_mark = " [dim](known)[/]" if problem.known else ""
            console.print(f"    {escape(printable(problem.key))}{known_mark}", soft_wrap=True)
            console.print(f"      [dim]{escape(printable(problem.error))}[/]", soft_wrap=True)
        if shown and total.objects > len(shown):
            console.print(f"    [dim]and {total.objects - len(shown):,} more[/]")


def next_steps(summary: Summary) -> Iterable[str]:
    """Yield what can be done now, the most urgent first."""

    def of(*reasons: Reason) -> int:
        return sum(total.objects for total in summary.totals if total.reason in reasons)

    if summary.interrupted:
        yield "repeat the command to resume the run"
    elif again := of(Reason.THROTTLED, Reason.UNAVAILABLE):
        what = "the store or the compression service was unavailable for"
        yield f"{what} {many(again)}: repeat the command later"
    if denied := of(Reason.DENIED):
        yield f"access to {many(denied)} was denied: allow reading and writing, and repeat the command"
    if exists := of(Reason.EXISTS):
        yield f"the destination had other content for {many(exists)}: --overwrite replaces it"
    if summary.missing:
        what = f"{many(summary.missing)} that could not be processed as images were not copied"
        yield f"{what}: their metadata could not be removed; --unstrippable copy copies them anyway"
    if taken := of(Reason.KEY_TAKEN):
        yield f"other objects have the keys that {many(taken)} would get: give them other names, and repeat"
    if not_atomic := of(Reason.NOT_ATOMIC):
        yield f"this store can't replace {many(not_atomic)} atomically: --allow-non-atomic replaces them anyway"
    if (
        summary.mode == "in place"
        and summary.keep is not None
        and summary.count(ObjectOutcome.COMPRESSED, ObjectOutcome.STRIPPED)
    ):
        ledger, kept = printable(shlex.quote(summary.ledger)), printable(summary.keep)
        yield f"compressor ledger restore {ledger}  puts back the originals, kept under {kept}"
    if summary.problems_more > 0 and summary.ledger:
        yield f"compressor ledger failures {printable(shlex.quote(summary.ledger))}  lists all failures"
    if summary.failed and not summary.new_failures and not summary.accept_failures:
        yield "all failures are known: --accept-failures makes the command exit with 0"
    if summary.mode == "dry run" and not summary.interrupted:
        yield "repeat the command without --dry-run to carry it out"
