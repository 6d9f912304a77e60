"""Outcomes and their reasons in words for people. Their values, which programs read, are those of the ledger."""

from compressor.humanize import human_format, printable
from compressor.ledger.records import ObjectOutcome, Reason

OUTCOMES = {ObjectOutcome.STRIPPED: "stripped of metadata"}  # the others are words already
REASONS = {
    Reason.NOT_SMALLER: "already small",
    Reason.MADE_BEFORE: "made by compressor before",
    Reason.LOSSY_ALREADY: "lossy already, would lose quality again",
    Reason.CREDENTIALS: "has content credentials",
    Reason.LOW_SCORE: "the result would score too low",
    Reason.NOT_AN_IMAGE: "not an image",
    Reason.UNSUPPORTED: "not supported",
    Reason.UNSTRIPPABLE: "metadata can't be removed",
    Reason.EMPTY: "empty",
    Reason.ARCHIVED: "in an archive tier of the store",
    Reason.HELD: "must not be replaced",
    Reason.MISSING: "deleted in the meantime",
    Reason.CHANGED: "changed in the meantime",
    Reason.EXISTS: "something else is at the destination",
    Reason.KEY_TAKEN: "another object has the new key",
    Reason.FILTERED: "left out by its Content-Type",
    Reason.NOT_ATOMIC: "can't be replaced atomically",
    Reason.UNREADABLE: "its attributes can't be carried over",
    Reason.BROKEN: "broken image",
    Reason.LIMIT: "over a limit",
    Reason.VERIFY: "failed verification",
    Reason.POISON: "killed two workers",
    Reason.DENIED: "access denied",
    Reason.THROTTLED: "throttled by the store",
    Reason.UNAVAILABLE: "unavailable",
    Reason.OTHER: "another error",
}
NOT_REENCODED = {"png": "animated PNG is not re-encoded", "jxl": "JPEG XL is not re-encoded"}


def reason_words(reason: Reason, format: str = "") -> str:
    """Return a reason in a few words; "" without one.

    format  of the source, which NOT_REENCODED names
    """
    if reason is Reason.NOT_REENCODED:
        name = human_format(printable(format)) or "such a file"
        return NOT_REENCODED.get(format, f"{name} is not re-encoded unless a format is named")
    return REASONS.get(reason, "")


def outcome_words(outcome: ObjectOutcome, reason: Reason, format: str = "", mode: str = "") -> str:
    """Return what became of an object, and why: "kept: already small".

    mode  of the run, as in Summary: a dry run neither copies nor keeps, and a restore puts originals back
    """
    word = OUTCOMES.get(outcome, str(outcome))
    if outcome in (ObjectOutcome.COPIED, ObjectOutcome.KEPT):
        word = {"dry run": "unchanged", "restore": "restored", "restore dry run": "to be restored"}.get(mode, word)
    why = reason_words(reason, format)
    return f"{word}: {why}" if why else word
