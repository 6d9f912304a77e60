"""Outcomes and reasons in words."""

import pytest

from compressor.ledger.records import ObjectOutcome, Reason
from compressor.report.words import outcome_words, reason_words


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_every_reason_has_words_without_underscores(reason: Reason) -> None:
    words = reason_words(reason, "gif")

    assert words and "_" not in words
    assert len(words) <= 50


@pytest.mark.parametrize(
    "outcome, reason, format, mode, words",
    [
        (ObjectOutcome.COMPRESSED, Reason.NONE, "jpeg", "copy", "compressed"),
        (ObjectOutcome.KEPT, Reason.NOT_SMALLER, "jpeg", "in place", "kept: already small"),
        (ObjectOutcome.KEPT, Reason.MADE_BEFORE, "jpeg", "in place", "kept: made by compressor before"),
        (
            ObjectOutcome.COPIED, Reason.NOT_REENCODED, "gif", "copy",
            "copied: GIF is not re-encoded unless a format is named",
        ),
        (ObjectOutcome.COPIED, Reason.NOT_REENCODED, "png", "copy", "copied: animated PNG is not re-encoded"),
        (ObjectOutcome.COPIED, Reason.NOT_AN_IMAGE, "", "dry run", "unchanged: not an image"),
        (ObjectOutcome.STRIPPED, Reason.NOT_SMALLER, "jpeg", "copy", "stripped of metadata: already small"),
        (ObjectOutcome.COPIED, Reason.NONE, "jpeg", "restore", "restored"),
        (ObjectOutcome.FAILED, Reason.BROKEN, "jpeg", "copy", "failed: broken image"),
    ],
)  # fmt: skip
def test_the_outcome_says_what_was_done_and_why(
    outcome: ObjectOutcome, reason: Reason, format: str, mode: str, words: str
) -> None:
    assert outcome_words(outcome, reason, format, mode) == words


def test_the_name_of_a_format_can_not_speak_to_the_terminal() -> None:
    assert reason_words(Reason.NOT_REENCODED, "\x1b[31m").isprintable()
