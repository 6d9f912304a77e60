"""A run whose originals are restored."""

from pathlib import Path
from typing import Any

from compressor.batch.job import Job
from compressor.batch.restore import restore
from compressor.batch.tally import Tally
from compressor.ledger.ledger import Ledger
from compressor.settings import Effort, Settings
from compressor.stores.contract import Store
from compressor.stores.filters import Filters
from tests.batch.support import jpeg

JOB = Job(
    source="a",
    target="a",
    in_place=True,
    keep="kept/",
    settings=Settings(min_saving=0.05, quality=60, effort=Effort.FAST),
)
PHOTOS = {f"photos/{n}.jpg": jpeg(n) for n in range(6)}
FILES = PHOTOS | {"text.txt": b"no image"}
GLOB = Filters(excluded_prefixes=("kept/",))
NEVER = Filters(include=("nothing",))


def restored(path: Path, store: Store, **options: Any) -> tuple[dict[tuple[str, str], int], bool]:
    """Restore; return numbers of objects by (outcome, reason), and whether it was completed."""
    with Ledger(path) as ledger:
        tally, completed = restore(ledger, store, **options)
    return counts(tally), completed


def counts(tally: Tally) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for total in tally.totals:
        kind = (total.outcome.value, total.reason.value)
        found[kind] = found.get(kind, 0) + total.objects
    return found
