"""A run's report as an HTML page to pass on: one file, no network access, no scripts."""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

from compressor.atomic_write import AtomicFile, temporary_name
from compressor.errors import CompressorError
from compressor.humanize import (
    human_bytes,
    human_format,
    human_formats,
    human_seconds,
    many,
)
from compressor.ledger.records import ObjectOutcome
from compressor.ledger.totals import Total
from compressor.report.balance import footprint_section, money_section, space_section
from compressor.report.html import section, table, text
from compressor.report.plots import STEP, formats_plot, histogram_plot, median_step, share_bar
from compressor.report.summary import Problem, Sample, Summary
from compressor.report.words import outcome_words, reason_words
from compressor.settings import VERSION

SAMPLES_MAX = 12
ZOOM = 2
# Nothing is fetched and nothing is executed, whatever a key contains.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
DONE = {
    "copy": "Compressed to another destination",
    "in place": "Compressed in place",
    "dry run": "Dry run: nothing was written",
}


def write(summary: Summary, path: Path) -> None:
    """Write a run's report; the file appears when it is complete."""
    with AtomicFile(temporary_name(path.parent)) as page:
        page.open().write(render(summary).encode())
        page.publish(path)


def render(summary: Summary) -> str:
    """Return the whole document."""
    style = files("compressor.report").joinpath("report.css").read_text(encoding="utf-8")
    became, saved = ("would become", "would be saved") if summary.mode == "dry run" else ("became", "were saved")
    changed = "would change" if summary.mode == "dry run" else "changed"
    sections = (
        _head(summary),
        _warning(summary),
        _facts(summary),
        section(f"What {became} of the objects", _outcomes(summary)),
        section(f"Formats that {changed}", _format_changes(summary)),
        section("What is stored now", space_section(summary)),
        section("Money", money_section(summary)),
        section("Estimated footprint", footprint_section(summary)),
        section(f"Where bytes {saved}", _plots(summary)),
        section("SSIMULACRA2 scores", _scores(summary)),
        section("Before and after", _samples(summary.samples[:SAMPLES_MAX])),
        section("What failed", _failures(summary)),
        section("Notes", _notices(summary.notices)),
        section("How the run was made", _provenance(summary)),
    )
    body = "\n".join(section for section in sections if section)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(summary.source)}: batch report</title>
<style>
{style}</style>
</head>
<body>
{body}
<footer class="quiet">compressor {text(VERSION)}, {_utc(summary.ended)}</footer>
</body>
</html>
"""


def _utc(unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(unix))


# --- overview -----------------------------------------------------------------------------------------------------


def _head(summary: Summary) -> str:
    places = f"<code>{text(summary.source)}</code>"
    if summary.target and summary.target != summary.source:
        places += f" → <code>{text(summary.target)}</code>"
    strong, words, bar = _headline(summary)
    color = "" if summary.saved_bytes > 0 or summary.projection else ' class="none"'
    return (
        f'<header>\n<h1>{DONE[summary.mode]}</h1>\n<p class="quiet">{places}</p>\n'
        f'<p class="answer"><strong{color}>{strong}</strong> <span>{words}</span></p>\n{bar}\n'
        f"{_stored(summary)}</header>"
    )


def _stored(summary: Summary) -> str:
    """Return a line on what is stored now; "" where nothing but the results is."""
    space = summary.space
    if space is None or not space.to_delete:
        return ""
    return f'<p class="quiet">Stored now: {human_bytes(space.now)}, {space.in_words}.</p>\n'


def _headline(summary: Summary) -> tuple[str, str, str]:
    """Return the share saved, a line that explains it, and a bar that shows it."""
    if (estimate := summary.projection) is None:
        words = f"saved: {human_bytes(summary.saved_bytes)} of {human_bytes(summary.bytes_in)}"
        return f"{summary.saved:.1%}", words, share_bar(summary.saved)
    size = f"{human_bytes(estimate.saved_bytes)} of {human_bytes(estimate.bytes_in)}"
    if estimate.low == estimate.high:
        return f"{estimate.saved:.1%}", f"would be saved: {size}", share_bar(estimate.saved)
    low, high = (value / max(1, estimate.bytes_in) for value in (estimate.low, estimate.high))
    note = (
        f"Projected from {estimate.sampled_objects:,} of {many(estimate.objects)}; with {estimate.confidence:.0%} "
        f"confidence {human_bytes(estimate.low)} to {human_bytes(estimate.high)}."
    )
    bar = f'{share_bar(estimate.saved, low, high)}\n<p class="quiet">{note}</p>'
    return f"{estimate.rounded()}", f"would be saved: {size}", bar


def _warning(summary: Summary) -> str:
    lines = []
    if summary.interrupted:
        lines.append("The run was interrupted. This report covers the objects that it processed.")
    if known := summary.failed - summary.new_failures:
        kept = ", and accepted" if summary.accept_failures else ""
        lines.append(f"{many(known)} failed as in an earlier run, and the objects have not changed since: known{kept}.")
    if summary.new_failures:
        copied = summary.mode == "copy" and summary.failed_copied
        where = "broken images were copied unchanged" if copied else "they were not changed"
        lines.append(f"{many(summary.new_failures)} failed: {where}.")
    if summary.missing:
        why = "their metadata could not be removed (--unstrippable copy copies them anyway)"
        lines.append(f"{many(summary.missing)} that could not be processed as images were not copied: {why}.")
    return "".join(f'<p class="warning">{line}</p>' for line in lines)


def _facts(summary: Summary) -> str:
    seconds = max(summary.wall_seconds, 1e-9)
    codec = sum(summary.stage_seconds.values())
    done = summary.count(ObjectOutcome.COMPRESSED)
    stripped = summary.count(ObjectOutcome.STRIPPED)
    unarchived = summary.count(ObjectOutcome.UNARCHIVED)
    rest = summary.objects - done - stripped - unarchived - summary.failed
    known = summary.failed - summary.new_failures
    rows = [
        (
            "Objects read" if summary.mode == "dry run" else "Objects",
            f"{summary.objects:,}",
            human_bytes(summary.bytes_in),
        ),
        ("Compressed", f"{done:,}", ""),
        *([("Stripped of metadata", f"{stripped:,}", "")] if stripped else []),
        *([("Unarchived", f"{unarchived:,}", "")] if unarchived else []),
        ("Unchanged", f"{rest:,}", ""),
        ("Failed", f"{summary.failed:,}", f"{known:,} of them known" if known else ""),
        ("Took", human_seconds(summary.wall_seconds), f"{summary.objects / seconds:,.1f} objects/s"),
        ("CPU time", human_seconds(codec + summary.other_seconds), f"{human_seconds(codec)} in the codec"),
    ]
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value}{f'<small>{remark}</small>' if remark else ''}</dd></div>\n"
        for name, value, remark in rows
    )
    return f'<dl class="facts">\n{cells}</dl>'


# --- tables -------------------------------------------------------------------------------------------------------


def _outcomes(summary: Summary) -> str:
    totals = summary.by_outcome()
    if not totals:
        return '<p class="quiet">No objects.</p>'
    names = ("Outcome", "Format", "Objects", "Before", "After", "Saved", "")
    foot = ("All", "", f"{summary.objects:,}", human_bytes(summary.bytes_in), human_bytes(summary.bytes_out))
    saved = (human_bytes(summary.saved_bytes), f"{summary.saved:.1%}")
    return table(names, 5, (_outcome_row(total, summary.mode) for total in totals), (*foot, *saved), "sizes")


def _outcome_row(total: Total, mode: str) -> tuple[str, ...]:
    words = text(outcome_words(total.outcome, total.reason, total.format, mode))
    outcome, colon, reason = words.partition(":")
    words = f'{outcome}{colon}<span class="quiet">{reason}</span>' if reason else outcome
    if total.outcome is ObjectOutcome.FAILED:
        words = f'<span class="bad">{words}</span>'
    formats = text(human_formats(total.format, total.result_format)) or "other"
    row = words, formats, f"{total.objects:,}", human_bytes(total.bytes_in)
    return (*row, *_saved_cells(total)) if total.outcome.changed else (*row, "", "", "")


def _saved_cells(total: Total) -> tuple[str, str, str]:
    """Return bytes after, bytes saved, and the share of them."""
    share = f"{total.saved_bytes / max(1, total.bytes_in):.1%}"
    return human_bytes(total.bytes_out), human_bytes(total.saved_bytes), share


def _format_changes(summary: Summary) -> str:
    """Return a table of the objects whose result has another format; "" where there is none."""
    rows = [
        (text(human_format(total.format)), text(human_format(total.result_format)), f"{total.objects:,}",
         human_bytes(total.bytes_in), *_saved_cells(total))
        for total in summary.format_changes()
    ]  # fmt: skip
    return table(("From", "To", "Objects", "Before", "After", "Saved", ""), 5, rows, name="sizes") if rows else ""


def _failures(summary: Summary) -> str:
    """Return failures by class, then a list, which includes objects that were skipped."""
    if not summary.totals:
        return ""
    classes = [
        (
            f'<span class="bad">{reason_words(total.reason) or "unknown"}</span>',
            f"{total.objects:,}",
            human_bytes(total.bytes_in),
        )
        for total in summary.by_failure()
    ]
    parts = [table(("Class", "Objects", "Bytes"), 2, classes) if classes else "<p>Nothing failed.</p>"]
    if summary.problems:
        rows = map(_problem_row, summary.problems)
        parts.append(f"<h3>{_list_title(summary)}</h3>\n{table(('Object', 'Why', 'Size'), 1, rows, name='problems')}")
    return "\n".join(parts)


def _list_title(summary: Summary) -> str:
    if not summary.problems_more:
        return "All of them"
    return f"The first {len(summary.problems):,}; the ledger has {summary.problems_more:,} more"


def _problem_row(problem: Problem) -> tuple[str, str, str]:
    details = "; ".join(filter(None, (problem.error, *problem.notices)))
    known = ", known" if problem.known else ""
    why = f"{reason_words(problem.reason)}{known}<br>" if problem.reason else ""
    return (
        f"<code>{text(problem.key)}</code>",
        f'{why}<span class="quiet">{text(details)}</span>',
        human_bytes(problem.size),
    )


def _notices(notices: Mapping[str, int]) -> str:
    """Return a table of notices with the number of their objects; "" where there is none."""
    rows = sorted(notices.items(), key=lambda item: (-item[1], item[0]))
    cells = ((text(what), f"{count:,}" if count else "") for what, count in rows)  # 0: about the run
    return table(("What", "Objects"), 1, cells, name="notes") if rows else ""


# --- pictures -----------------------------------------------------------------------------------------------------


def _plots(summary: Summary) -> str:
    parts = []
    sums: dict[str, tuple[int, int]] = {}
    for total in summary.totals:
        before, saved = sums.get(total.format, (0, 0))
        sums[total.format] = before + total.bytes_in, saved + total.saved_bytes
    rows = sorted(((name, *sizes) for name, sizes in sums.items()), key=lambda row: (-row[2], -row[1]))
    if summary.saved_bytes > 0:
        caption = "Bytes by format; the colored part was saved."
        parts.append(f"<figure>\n<p>{caption}</p>\n{formats_plot(rows)}\n</figure>")
    if sum(summary.histogram):
        middle = median_step(summary.histogram)
        caption = f"Compressed objects by the share saved, in steps of {STEP:.0%}."
        if middle:
            caption += f" At least half of them saved {middle:.0%} or more."
        parts.append(f"<figure>\n<p>{caption}</p>\n{histogram_plot(summary.histogram)}\n</figure>")
    return "\n".join(parts)


def _scores(summary: Summary) -> str:
    """Return the distribution of the scores, and the objects with the lowest ones; "" where none was measured."""
    if (scores := summary.scores) is None:
        return ""
    names = ("Objects scored", "Lowest", "10th percentile", "Median")
    row = (f"{scores.objects:,}", *(f"{one:.1f}" for one in (scores.minimum, scores.percentile_10, scores.median)))
    worst = ((f"<code>{text(key)}</code>", f"{score:.1f}") for key, score in scores.worst)
    note = "90 is visually lossless, 70 high quality, 50 medium quality; of compressed objects only."
    return (
        f'<p class="quiet">{note}</p>\n{table(names, 4, [row])}\n<h3>Lowest scores</h3>\n'
        f"{table(('Object', 'Score'), 1, worst, name='problems')}"
    )


def _samples(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    note = f"The most detailed part of each image at {ZOOM * 100}%: before on the left, after on the right."
    return f'<p>{note}</p>\n<div class="samples">\n{"".join(map(_sample, samples))}</div>'


def _sample(sample: Sample) -> str:
    saved = 1 - len(sample.after) / max(1, len(sample.before))
    sizes = f"{human_bytes(len(sample.before))} → {human_bytes(len(sample.after))}, saved {saved:.1%}"
    score = f", SSIMULACRA2 {sample.score:.1f}" if sample.score is not None else ""
    return (
        f'<figure>\n<div class="pair">{"".join(_pair(sample))}</div>\n'
        f'<figcaption>{sizes}{score}<br><code class="key quiet">{text(sample.key)}</code></figcaption>\n</figure>\n'
    )


def _pair(sample: Sample) -> Iterator[str]:
    """Yield both crops, or the reason why there are none."""
    from compressor.raster.crops import crops

    try:
        pair = crops(sample.before, sample.after)
    except CompressorError as error:
        yield f'<p class="quiet">Not shown: {text(error)}</p>'
        return
    for name, png in zip(("before", "after"), pair, strict=True):
        width, height = (int.from_bytes(png[at : at + 4], "big") * ZOOM for at in (16, 20))  # IHDR, PNG 11.2.1
        data = base64.b64encode(png).decode("ascii")
        yield f'<img alt="{name}" width="{width}" height="{height}" src="data:image/png;base64,{data}">'


# --- provenance ---------------------------------------------------------------------------------------------------


def _provenance(summary: Summary) -> str:
    rows = [
        ("Source", f"<code>{text(summary.source)}</code>"),
        ("Target", f"<code>{text(summary.target)}</code>"),
        ("Mode", summary.mode),
        ("Originals", _originals(summary)),
        ("Began", _utc(summary.started)),
        ("Ended", _utc(summary.ended)),
        ("Settings", text(_settings(summary))),
        ("Lowest score", "" if summary.min_score is None else f"{summary.min_score:g}"),
        ("Settings digest", f"<code>{summary.settings.digest()}</code>"),
        ("CPU time", text(", ".join(f"{stage} {human_seconds(s)}" for stage, s in _stages(summary)))),
        ("Ledger", f"<code>{text(summary.ledger)}</code>" if summary.ledger else ""),
        ("Version", f"compressor {text(VERSION)}"),
    ]
    lines = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>\n' for name, value in rows if value)
    return f'<div class="wide"><table class="names">\n{lines}</table></div>'


def _originals(summary: Summary) -> str:
    if summary.mode != "in place":
        return ""
    return f"kept in <code>{text(summary.keep)}</code>" if summary.keep is not None else "not kept"


def _settings(summary: Summary) -> str:
    """Return the settings that had an effect: "lossless, effort balanced, format keep, …"."""
    values = {field.name: getattr(summary.settings, field.name) for field in fields(summary.settings)}
    if values["quality"] is None and not summary.settings.is_search:
        values["quality"] = summary.settings.effective_quality
    if values["lossless"]:
        del values["quality"]
    words = {
        name.replace("_", " "): value for name, value in values.items() if value is not None and value is not False
    }
    return ", ".join(name if value is True else f"{name} {value}" for name, value in words.items())


def _stages(summary: Summary) -> list[tuple[str, float]]:
    return [*summary.stage_seconds.items(), ("everything else", summary.other_seconds)]
