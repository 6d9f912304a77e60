"""A store in memory, one that fails, an engine without processes, and pictures; jobs, and objects for them."""

import dataclasses
import hashlib
import io
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from compressor import pipeline
from compressor.batch import work
from compressor.batch.job import Job, Lost, Prepared, WorkerAnswer
from compressor.batch.plan import Keys
from compressor.batch.rate_limit import RateLimit
from compressor.batch.run import Run
from compressor.ledger.ledger import Ledger
from compressor.settings import Effort, Settings
from compressor.stores.contract import (
    Attributes,
    Body,
    Entry,
    OnAccessDenied,
    OpenObject,
    Precondition,
    Store,
    StoreError,
    StoreErrorKind,
)
from compressor.stores.filters import Filters


class Memory:
    """A store with conditional writes and attributes, without versions. `objects`: key → (data, attributes, etag)."""

    conditional_bytes = 1 << 40
    notices: tuple[str, ...] = ()
    numbers = itertools.count(1)

    def __init__(self, files: dict[str, bytes] | None = None, url: str = "memory") -> None:
        self.url = url
        self.left_out: list[str] = []
        self.objects: dict[str, tuple[bytes, Attributes, str]] = {}
        self.held: dict[str, str] = {}
        for key, data in (files or {}).items():
            self.put(key, data)

    def put(self, key: str, data: bytes, attributes: Attributes | None = None) -> Entry:
        etag = f"{hashlib.md5(data).hexdigest()}-{next(self.numbers)}"
        self.objects[key] = (data, attributes or Attributes(), etag)
        return Entry(key, len(data), etag)

    def data(self) -> dict[str, bytes]:
        return {key: data for key, (data, _, _) in self.objects.items()}

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        for key in sorted(self.objects, key=lambda key: key.encode("utf-8", "surrogateescape")):
            if (entry := self.head(key)) is not None:
                yield entry

    def head(self, key: str) -> Entry | None:
        if key not in self.objects:
            return None
        data, _, etag = self.objects[key]
        return Entry(key, len(data), etag)

    def entry(self, key: str) -> Entry:
        """Return the entry of an object that exists."""
        found = self.head(key)
        assert found is not None
        return found

    def _check(self, key: str, etag: str) -> Entry:
        entry = self.head(key)
        if entry is None or entry.etag != etag:
            raise StoreError(StoreErrorKind.CHANGED, f"{key} has changed since it was read")
        return entry

    def open(self, key: str) -> "Reading":
        entry = self.head(key)
        if entry is None:
            raise StoreError(StoreErrorKind.MISSING, f"{key} does not exist")
        return Reading(entry, self.objects[key][1], self.held.get(key, ""), self.objects[key][0])

    def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
        if only is not None:
            if only.etag is None and key in self.objects:
                raise StoreError(StoreErrorKind.EXISTS, f"{key} already exists")
            if only.etag is not None:
                self._check(key, only.etag)
        return self.put(key, b"".join(body.chunks()), attributes)

    def write_successor(self, key: str, body: Body, attributes: Attributes, of: str) -> Entry:
        return self.write(key, body, attributes, Precondition(None))

    def copy(self, key: str, etag: str, to: str, target: Any = None) -> Entry:
        self._check(key, etag)
        target = target or self
        if to in target.objects:
            raise StoreError(StoreErrorKind.EXISTS, f"{to} already exists")
        data, attributes, _ = self.objects[key]
        copied: Entry = target.put(to, data, attributes)
        return copied

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        return ()

    def clean_up(self, key: str) -> None: ...

    def delete(self, key: str, etag: str) -> None:
        if key in self.objects:
            self._check(key, etag)
            del self.objects[key]


@dataclasses.dataclass
class Reading:
    """An open object of Memory."""

    entry: Entry
    attributes: Attributes
    held: str
    data: bytes

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, len(self.data), 1000):
            yield self.data[at : at + 1000]

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Faulty:
    """A store on a bad network: `fault(operation, key)` returns "", "before", "denied", "throttled", "after" (done,
    but the answer is lost) or "cut" (a body that ends early)."""

    def __init__(self, store: Memory, fault: Callable[[str, str], str]) -> None:
        self._store, self._fault = store, fault
        self.url, self.conditional_bytes, self.notices = store.url, store.conditional_bytes, store.notices
        self.left_out = store.left_out

    def entries(self, refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        return self._store.entries(refused)

    def _do(self, what: str, key: str, *arguments: object) -> Any:
        fault = self._fault(what, key)
        if fault == "before":
            raise StoreError(StoreErrorKind.UNAVAILABLE, "500 Internal Server Error")
        if fault == "denied":
            raise StoreError(StoreErrorKind.DENIED, "access denied")
        if fault == "throttled":
            raise StoreError(StoreErrorKind.THROTTLED, "503 SlowDown")
        result = getattr(self._store, what)(key, *arguments)
        if fault == "after":
            raise StoreError(StoreErrorKind.UNAVAILABLE, "timed out")
        if fault == "cut" and what == "open":
            result.data = result.data[: len(result.data) // 2]
        return result

    def unsupported_attributes(self, attributes: Attributes) -> tuple[str, ...]:
        return self._store.unsupported_attributes(attributes)

    def open(self, key: str) -> OpenObject:
        opened: OpenObject = self._do("open", key)
        return opened

    def head(self, key: str) -> Entry | None:
        return self._store.head(key)

    def clean_up(self, key: str) -> None:
        self._do("clean_up", key)

    def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
        written: Entry = self._do("write", key, body, attributes, only)
        return written

    def write_successor(self, key: str, body: Body, attributes: Attributes, of: str) -> Entry:
        written: Entry = self._do("write_successor", key, body, attributes, of)
        return written

    def copy(self, key: str, etag: str, to: str, target: Any = None) -> Entry:
        copied: Entry = self._do("copy", key, etag, to)
        return copied

    def delete(self, key: str, etag: str) -> None:
        self._do("delete", key, etag)


class Inline:
    """An engine that works when answers are requested. If `dies(operation, key)` is true, the worker dies instead."""

    slots = 4
    patient = False  # True: wait for the timeout while there is no answer, as engines with processes do

    def __init__(
        self,
        job: Job,
        source: Store | None = None,
        target: Store | None = None,
        dies: Callable[[str, str], bool] = lambda what, key: False,
    ) -> None:
        self.worker = work.Worker(job, source, target)
        self._dies = dies
        self._orders: deque[tuple[str, int, Any, bool]] = deque()
        self.log: list[tuple[str, str]] = []

    def prepare(self, number: int, entry: Entry, alone: bool = False) -> None:
        self._orders.append(("prepare", number, entry, alone))

    def commit(self, number: int, prepared: Prepared) -> None:
        self._orders.append(("commit", number, prepared, False))

    def drop(self, prepared: Prepared) -> None:
        self.worker.drop(prepared.token)

    def answers(self, timeout: float) -> list[tuple[int, WorkerAnswer]]:
        found: list[tuple[int, WorkerAnswer]] = []
        if not self._orders and self.patient:
            time.sleep(timeout)
        while self._orders:
            what, number, subject, alone = self._orders.popleft()
            key = subject.key if what == "prepare" else subject.done.key
            self.log.append((what, key))
            if self._dies(what, key):
                found.append((number, Lost(alone=alone)))
            else:
                answer = self.worker.prepare(subject) if what == "prepare" else self.worker.commit(subject.token)
                found.append((number, answer or Lost()))
        return found

    def close(self) -> None:
        self.worker.close()


def run_of(
    job: Job,
    source: Store,
    target: Store,
    path: Path,
    *,
    engine: Inline | None = None,
    filters: Filters | None = None,
    rate_limit: RateLimit | None = None,
    **more: Any,
) -> tuple[bool, dict[tuple[str, str], int], Inline]:
    """Run a job on stores in memory; return whether it was completed, totals by (outcome, reason), and the engine."""
    engine = engine or Inline(job, source, target)
    with Ledger(path) as ledger:
        run = Run(
            job, ledger, engine, Keys(source), filters or Filters(), source, target, rate_limit or RateLimit(), **more
        )
        completed = run.work()
        totals = {(row.outcome.value, row.reason.value): 0 for row in ledger.totals()}
        for row in ledger.totals():
            totals[row.outcome.value, row.reason.value] += row.objects
    engine.close()
    return completed, totals, engine


def picture(seed: int, size: tuple[int, int] = (64, 80)) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a picture with noise: (height, width, 3)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    planes = [128 + 90 * np.sin((x + seed) / (9 + c)) * np.cos(y / (7 + c)) for c in range(3)]
    return np.clip(np.stack(planes, 2) + generator.normal(0, 6, (*size, 3)), 0, 255).astype(np.uint8)


def jpeg(seed: int, quality: int = 95, **options: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(picture(seed)).save(sink, "JPEG", quality=quality, **options)
    return sink.getvalue()


def png(seed: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(picture(seed) // 32 * 32).save(sink, "PNG", compress_level=0)
    return sink.getvalue()


COPY = Job(source="a", target="b", settings=Settings(min_saving=0.05))
IN_PLACE = Job(
    source="a",
    target="a",
    in_place=True,
    keep="kept/",
    settings=Settings(min_saving=0.05, quality=60, effort=Effort.FAST),
)
FILES = {
    **{f"photos/{n}.jpg": jpeg(n) for n in range(6)},
    "png/flat.png": png(1),
    "small already.jpg": pipeline.compress(jpeg(9), quality=40).data,
    "text\nof two lines.txt": b"no image",
    "empty": b"",
    "broken.jpg": jpeg(3)[:900],
    "ünïcode/😀 %41+#?.jpg": jpeg(12),
}
GLOB = Filters(excluded_prefixes=("kept/",))
