"""A run with every outcome."""

from typing import Any

from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.report.scores import ScoreTally
from compressor.report.summary import Problem, Projection, Summary
from compressor.settings import Settings

TOTALS = (
    Total(ObjectOutcome.COMPRESSED, Reason.NONE, "jpeg", "lossless", 300, 1_000_000, 800_000, 3.0),
    Total(ObjectOutcome.COMPRESSED, Reason.NONE, "jpeg", "coefficients", 100, 500_000, 300_000, 2.0),
    Total(ObjectOutcome.COMPRESSED, Reason.NONE, "webp", "pixels", 1, 400_000, 100_000, 0.5),
    Total(ObjectOutcome.COPIED, Reason.NOT_SMALLER, "png", "lossless", 50, 70_000, 70_000, 1.0),
    Total(ObjectOutcome.SKIPPED, Reason.HELD, "", "none", 3, 9_000, 0, 0.0),
    Total(ObjectOutcome.FAILED, Reason.BROKEN, "jpeg", "none", 7, 15_000, 0, 0.1),
    Total(ObjectOutcome.FAILED, Reason.BROKEN, "png", "none", 2, 4_000, 0, 0.1),
    Total(ObjectOutcome.FAILED, Reason.UNAVAILABLE, "", "none", 1, 2_000, 0, 0.0),
)
PROJECTION = Projection(48_000, 3_900_000, 1_000, 81_000, 1_209_000, 1_131_000, 1_287_000)
_TALLY = ScoreTally()
for _key, _format, _score in (
    ("soft.jpg", "jpeg", 65.1),
    ("a/b.jpg", "jpeg", 75.0),
    ("c.jpg", "jpeg", 80.1),
    ("flat.png", "png", 100.0),
):
    _TALLY.add(_key, _format, _score)
SCORES = _TALLY.scores()
# A key that a stranger may choose, to be shown on somebody's screen.
HOSTILE = "</code><script>alert(1)</script>\"'&\n\x1b[31m\x07\u202egpj.\udcff[bold]x[/]"


def summary(**changes: Any) -> Summary:
    """Return a summary of `TOTALS`, with these fields changed."""
    fields: dict[str, Any] = {
        "source": "s3://photos/originals",
        "target": "s3://photos/small",
        "mode": "copy",
        "settings": Settings(lossless=True, min_saving=0.05),
        "started": 1_700_000_000.0,
        "ended": 1_700_000_100.0,
        "wall_seconds": 100.0,
        "totals": TOTALS,
        "problems": (Problem("a/1.jpg", 2_000, Reason.BROKEN, "JPEG: SOS at byte 17: cut off"),),
        "notices": {"ACL": 450},
        "stage_seconds": {"decode": 2.0, "encode": 4.0},
        "other_seconds": 0.5,
        "ledger": "photos.ledger",
        "failed_copied": True,
        "histogram": (0, 10, 100, 200, 91),
    }
    return Summary(**fields | changes)
