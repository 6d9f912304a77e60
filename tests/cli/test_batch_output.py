"""The summary of a batch run."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from compressor.cli.batch_output import print_summary
from compressor.cli.ledger_output import print_restored
from compressor.humanize import printable
from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.report.summary import Problem, Projection
from tests.report.summaries import HOSTILE, PROJECTION, SCORES, TOTALS, summary


def printed(width: int = 200, **changes: Any) -> str:
    screen = io.StringIO()
    print_summary(Console(file=screen, width=width, highlight=False), summary(**changes))
    return screen.getvalue()


def test_the_summary_says_what_was_saved() -> None:
    text = printed()

    assert text.startswith("s3://photos/originals → s3://photos/small\n")
    for words in (
        r"before +2.00 MB +464 objects",
        r"after +1.30 MB +401 of them compressed",
        r"saved +35.0% +700 kB",
        r"took +1 min 40 s +4.6 objects/s, 20.0 kB/s",
        r"CPU +6.50 s +6.00 s in the codec, 0.50 s in everything else",
        r"compressed +JPEG +400 +1.50 MB +1.10 MB +400 kB +26.7%",
        r"stored +3.29 MB +source and destination together: 1.29 MB more than before, until the source is deleted",
        r"copied: already small +PNG +50 +70.0 kB *\n",
        r"failed  9  broken image\n    a/1.jpg\n      JPEG: SOS at byte 17: cut off\n    and 8 more\n",
        r"note  450 objects: ACL",
    ):
        assert re.search(words, text)


def test_the_summary_fits_a_narrow_terminal() -> None:
    long = Total(ObjectOutcome.COPIED, Reason.EXISTS, "jp2", "none", 48_000_000, 10**15, 10**15, 0.0)
    big = Total(ObjectOutcome.COMPRESSED, Reason.NONE, "jp2", "none", 48_000_000, 10**15, 10**14, 0.0)

    lines = printed(80, totals=(*TOTALS, long, big)).splitlines()

    assert max(len(line) for line in lines if "next" not in line) <= 80  # those are for copying


@pytest.mark.parametrize(
    "projection, words",
    [
        (PROJECTION, r"31% ± 2% +1.21 MB of 3.90 MB \(1.13 MB to 1.29 MB\), from 1,000 of 48,000 objects"),
        (Projection(9, 2_000_000, 9, 2_000_000, 5, 5, 5), r"0.0% +5 B of 2.00 MB, from all 9 objects"),
    ],
)
def test_a_dry_run_says_how_sure_it_is(projection: Projection, words: str) -> None:
    text = printed(mode="dry run", projection=projection)

    assert re.search(rf"saves +{words}", text)
    assert "dry run: nothing was written" in text
    assert "repeat the command without --dry-run to carry it out" in text


@pytest.mark.parametrize(
    "changes, step",
    [
        ({"interrupted": True}, "repeat the command to resume the run"),
        (
            {},
            "the store or the compression service was unavailable for 1 object: repeat the command later",
        ),
        (
            {"failed_copied": False},
            "9 objects that could not be processed as images were not copied: their metadata could not be removed; "
            "--unstrippable copy "
            "copies them anyway",
        ),
        (
            {"mode": "in place", "keep": "before/", "ledger": "my photos.ledger"},
            "compressor ledger restore 'my photos.ledger'  puts back the originals, kept under before/",
        ),
        (
            {"totals": (Total(ObjectOutcome.FAILED, Reason.DENIED, "", "none", 2, 9, 0, 0.0),)},
            "access to 2 objects was denied: allow reading and writing, and repeat the command",
        ),
        (
            {"totals": (Total(ObjectOutcome.SKIPPED, Reason.NOT_ATOMIC, "", "none", 2, 9, 0, 0.0),)},
            "this store can't replace 2 objects atomically: --allow-non-atomic replaces them anyway",
        ),
        (
            {"totals": (Total(ObjectOutcome.SKIPPED, Reason.EXISTS, "", "none", 1, 9, 0, 0.0),)},
            "the destination had other content for 1 object: --overwrite replaces it",
        ),
    ],
)
def test_what_can_be_done_next_is_said(changes: dict[str, Any], step: str) -> None:
    assert f"  next  {step}\n" in printed(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "in place", "totals": TOTALS[:5]},  # originals were discarded
        {"totals": TOTALS[:5]},
        {"mode": "in place", "keep": "before/", "totals": TOTALS[3:4]},  # nothing was replaced
    ],
)
def test_nothing_is_advised_that_is_not_possible(changes: dict[str, Any]) -> None:
    assert "next" not in printed(**changes)


def test_failures_that_are_known_are_told_apart() -> None:
    problems = (Problem("old.jpg", 9, Reason.BROKEN, "y", (), True), Problem("new.jpg", 9, Reason.BROKEN, "x"))

    text = printed(problems=problems, known_failures={"broken_image": 7})

    assert "failed  9  broken image, 7 of them known\n    new.jpg\n      x\n    old.jpg (known)\n      y\n" in text
    assert "failed  1  unavailable\n" in text
    assert "--accept-failures" not in text  # one is new


def test_how_known_failures_are_accepted_is_said_where_it_helps() -> None:
    known = {"broken_image": 9, "unavailable": 1}
    step = "all failures are known: --accept-failures makes the command exit with 0"

    assert step in printed(known_failures=known)
    assert step not in printed(known_failures=known, accept_failures=True)


def test_more_failures_than_a_summary_takes_are_in_the_ledger() -> None:
    assert "compressor ledger failures 'a b'  lists all failures" in printed(problems_more=5, ledger="a b")


def restored(width: int = 200, **changes: Any) -> str:
    back = Total(ObjectOutcome.COPIED, Reason.NONE, "jpeg", "none", 9, 90, 90, 0.0)
    changed = Total(ObjectOutcome.SKIPPED, Reason.CHANGED, "jpeg", "none", 1, 10, 0, 0.0)
    problems = (Problem(HOSTILE, 1, Reason.CHANGED, HOSTILE),)
    screen = io.StringIO()
    fields: dict[str, Any] = {"mode": "restore", "totals": (back, changed), "problems": problems, "notices": {}}
    print_restored(Console(file=screen, width=width, highlight=False), summary(**fields | changes))
    return screen.getvalue()


def test_a_restored_bucket_says_how_many_are_back_and_which_are_not() -> None:
    text = restored()

    assert re.search(r"restored +9 +of 10 objects, 90 B", text)
    assert f"skipped  1  changed in the meantime\n    {printable(HOSTILE)}\n" in text
    assert "saved" not in text and "next" not in text and "dry run" not in text
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"mode": "restore dry run"},
            ("would restore", "nothing was written", "repeat the command without --dry-run to carry it out"),
        ),
        ({"interrupted": True}, ("interrupted", "repeat the command to resume it")),
        (
            {"totals": (Total(ObjectOutcome.FAILED, Reason.OTHER, "jpeg", "none", 1, 10, 0, 0.0),)},
            ("failed  1  another error", "repeat the command to retry them"),
        ),
    ],
)
def test_what_a_restore_has_left_to_do_is_said(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    text = restored(**changes)

    assert all(word in text for word in words)


def test_keys_can_not_speak_to_the_terminal() -> None:
    problem = Problem(HOSTILE, 1, Reason.BROKEN, HOSTILE)

    text = printed(
        source=HOSTILE, problems=(problem,), notices={HOSTILE: 1}, ledger=HOSTILE, keep=HOSTILE, mode="in place"
    )

    assert text.count(printable(HOSTILE)) >= 5
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_run_without_objects_is_told_as_well() -> None:
    text = printed(totals=(), problems=(), notices={}, stage_seconds={}, wall_seconds=0.0)

    assert re.search(r"saved +0.0% +0 B", text)
    assert "outcome" not in text


def test_what_was_only_stripped_is_counted_beside_what_was_compressed() -> None:
    stripped = Total(ObjectOutcome.STRIPPED, Reason.NOT_SMALLER, "gif", "none", 1_200, 9_000, 8_000, 0.0)

    assert "401 of them compressed, 1,200 stripped of metadata" in printed(totals=(*TOTALS, stripped))


def test_the_summary_shows_the_distribution_of_scores_if_any_were_measured() -> None:
    assert "lowest; 10th percentile 65.1, median 75.0: SSIMULACRA2 of 4 objects" in printed(scores=SCORES)
    assert "SSIMULACRA2" not in printed()
