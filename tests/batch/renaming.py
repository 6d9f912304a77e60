"""Objects whose results have another format and another key, and a run that is killed at one of its writes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from compressor.batch import run as running
from compressor.batch.job import Job
from compressor.batch.plan import Keys
from compressor.batch.rate_limit import RateLimit
from compressor.ledger.ledger import Ledger
from compressor.settings import Effort, Format, Settings
from compressor.stores.contract import Entry, OnAccessDenied, Store
from compressor.stores.filters import Filters
from tests.batch.support import GLOB, Inline, Memory, jpeg, png, run_of

SETTINGS = Settings(quality=60, effort=Effort.FAST, format=Format.WEBP, min_saving=0.05)
IN_PLACE = Job(source="a", target="a", in_place=True, keep="kept/", rename=True, settings=SETTINGS)
COPY = Job(source="a", target="b", rename=True, settings=SETTINGS)
RENAMED = {
    "photo.jpg": "photo.webp",
    "UPPER.JPG": "UPPER.WEBP",
    "no suffix": "no suffix.webp",
    "folder.v2/flat.png": "folder.v2/flat.webp",
    "clash.jpg": "clash.webp",
}
ORIGINALS = {
    "photo.jpg": jpeg(1),
    "UPPER.JPG": jpeg(2),
    "no suffix": jpeg(3),
    "folder.v2/flat.png": png(1),
    "clash.jpg": jpeg(4),
    "a JPEG.webp": jpeg(5),
    "clash.png": png(2),
    "taken.jpg": jpeg(6),
    "taken.webp": b"another picture",
    "text.txt": b"no image",
}
UNCHANGED = {"clash.png", "taken.jpg", "taken.webp", "text.txt"}
TOTALS = {("compressed", ""): 6, ("skipped", "key_taken"): 2, ("kept", "not_an_image"): 2}


WRITES = ("write", "write_successor", "copy", "delete")


class KilledError(BaseException):
    """The end of a process."""


class Dying:
    """A store whose process dies at a write, before or after it.

    at  number of that write; `writes`: how many there were
    """

    def __init__(self, store: Store, at: int = -1, after: bool = False) -> None:
        self._store, self.at, self.after, self.writes = store, at, after, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return (lambda *given: self._do(found, *given)) if name in WRITES else found

    def _do(self, write: Callable[..., Any], *given: Any) -> Any:
        number, self.writes = self.writes, self.writes + 1
        if number == self.at and not self.after:
            raise KilledError
        found = write(*given)
        if number == self.at:
            raise KilledError
        return found


class Growing(Memory):
    """A store whose listing shows what is written behind its position, as that of a bucket does."""

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        key = ""
        while after := [other for other in self.objects if other > key]:
            key = min(after)
            if (entry := self.head(key)) is not None:
                yield entry


class Uncommitted(Ledger):
    """A ledger that loses what was not committed."""

    def close(self) -> None:
        self._database.close()


def run_killed_at(
    job: Job, store: Store, path: Path, at: int, after: bool, *, target: Store | None = None, filters: Filters = GLOB
) -> bool:
    """Run until a write kills the process, and leave its ledger; return False if the run has ended before.

    target  of a copy; None: in place
    """
    dying: Any = Dying(target or store, at, after)
    source = dying if target is None else store
    engine = Inline(job, source, dying)
    with Uncommitted(path) as ledger:
        try:
            running.Run(job, ledger, engine, Keys(source), filters, source, dying, RateLimit()).work()
        except KilledError:
            return True
        finally:
            engine.close()
    return False


def undisturbed(tmp_path: Path, job: Job = IN_PLACE) -> tuple[Memory, dict[tuple[str, str], int]]:
    """Return a store after a run that nothing has disturbed, and its totals."""
    store = Memory(ORIGINALS)
    _, totals, _ = run_of(job, store, store, tmp_path / "undisturbed", filters=GLOB)
    return store, totals
