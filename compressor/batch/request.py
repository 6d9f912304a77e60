"""Requests for a run or for restoring originals, and the checks made before anything is read."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compressor.batch.job import Job
from compressor.batch.plan import FOUND_STEP, Manifest
from compressor.batch.restore import WORKERS
from compressor.errors import SettingsError
from compressor.footprint import Basis
from compressor.humanize import printable
from compressor.report.money import Prices
from compressor.report.summary import Progress
from compressor.settings import VERSION
from compressor.sniff import PREFIX, sniff
from compressor.stores.contract import Store, StoreError
from compressor.stores.file_write import hard_links_problem
from compressor.stores.files import Files
from compressor.stores.filters import Filters
from compressor.stores.places import relative_prefix

NON_ATOMIC_OPTION = "allow_non_atomic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for a run.

    ledger      None: `default_ledger`
    manifest    URL of a file that lists the objects; None: the store lists them
    sample      of a dry run: number of objects, None for all
    workers     processes of the local engine
    scheduler   address of a Dask scheduler; "" for the local engine
    samples     whether the summary shall contain images before and after
    accept_failures  whether a run with known failures alone is a success
    footprint   basis of the summary's estimates
    prices      for the summary's savings in money; None: none
    """

    job: Job
    filters: Filters = field(default_factory=Filters)
    ledger: Path | None = None
    manifest: str | None = None
    dry_run: bool = False
    sample: int | None = None
    workers: int = 1
    scheduler: str = ""
    objects_per_second: float | None = None
    read_bytes_per_second: float | None = None
    samples: bool = False
    accept_failures: bool = False
    footprint: Basis = field(default_factory=Basis)
    prices: Prices | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """A request to restore originals.

    filters  by key only; None: everything
    workers  originals restored at a time
    """

    ledger: Path
    filters: Filters | None = None
    dry_run: bool = False
    workers: int = WORKERS


def default_ledger(job: Job) -> Path:
    """Return a path in the working directory that depends on source and target: the same command finds its ledger."""
    names = "\0".join((job.source, job.target, str(job.in_place)))
    return Path(f"compressor-{hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:12]}.ledger")


def check_request(request: Request) -> None:
    """Raise SettingsError for a request that makes no sense."""
    job = request.job
    if job.in_place and job.target != job.source:
        raise SettingsError("in_place", "takes no DST: objects are replaced in SRC")
    if job.unarchive and job.settings.archive:
        raise SettingsError("unarchive", "contradicts archive: give one of them")
    if job.unarchive or job.settings.archive:
        name = "unarchive" if job.unarchive else "archive"
        if job.in_place:
            raise SettingsError(name, "is not supported in place: the key would not fit the format; give DST")
        if not (job.server or request.scheduler):
            from compressor import archive

            archive.require_library()
    if not job.in_place and not request.dry_run and relative_prefix(job.target, job.source) == "":
        raise SettingsError("dst", "is the same as SRC; use --in-place to replace objects there")
    if job.in_place and job.may_change_format and not job.rename:
        raise SettingsError("rename", "must be suffix: in place, a result of another format gets another key")
    ledger = request.ledger or default_ledger(job)
    if not request.dry_run and relative_prefix(str(ledger), job.source) is not None:
        raise SettingsError("ledger", f"{ledger} would be inside SRC, among the objects: choose another path")
    caps = {name: getattr(request, name) for name in ("objects_per_second", "read_bytes_per_second")}
    for name, cap in caps.items():
        if cap is not None and not cap > 0:
            raise SettingsError(name, f"is {cap}, must be above 0")
    if request.workers < 1:
        raise SettingsError("workers", f"is {request.workers}, must be at least 1")
    if job.min_score is not None and not 0 <= job.min_score <= 100:
        raise SettingsError("min_score", f"is {job.min_score}, must be from 0 to 100")
    if job.server:
        from compressor.client import check_access

        check_access(job.access)
    ages = [name for name in ("older_than", "newer_than") if getattr(request.filters, name) is not None]
    if ages and request.manifest is not None and not Manifest(request.manifest).dated():
        raise SettingsError(ages[0], f"{request.manifest} does not say when objects were last modified")


def without(filters: Filters, prefix: str) -> Filters:
    """Return filters that also leave out every key below a prefix."""
    return dataclasses.replace(filters, excluded_prefixes=(*filters.excluded_prefixes, prefix))


def facts_of(request: Request) -> dict[str, str]:
    """Return the facts that a ledger records of a run, none of which may differ when it is resumed."""
    job = request.job
    settings = {name: value for name, value in dataclasses.asdict(job.settings).items() if value is not None}
    if not job.settings.is_search:
        settings["quality"] = job.settings.effective_quality
    return {
        "source": job.source,
        "target": job.target,
        "mode": "in place" if job.in_place else "unarchive" if job.unarchive else "copy",
        "keep": job.keep or "",
        "manifest": request.manifest or "",
        "settings": json.dumps(settings, sort_keys=True),
        "rename": "suffix" if job.rename else "keep",
        "min_score": "" if job.min_score is None else f"{job.min_score:g}",
        "version": VERSION,
    }


def require_conditions(job: Job, store: Store) -> int:
    """Return the store's `conditional_bytes`, for which a write may be tried.

    Raises SettingsError where a run in place needs conditional writes and the store has none.
    """
    most = store.conditional_bytes
    if job.in_place and not most and not job.allow_non_atomic:
        what = "this file system can't exchange two names" if isinstance(store, Files) else "this server can't"
        raise SettingsError(
            NON_ATOMIC_OPTION,
            f"is needed: {printable(job.source)}: {what}, so an object can't be replaced on the condition that nobody "
            "has changed it in the meantime; with this option it is only checked before and after",
        )
    return most


def require_single_links(
    job: Job, store: Store, filters: Filters, on_progress: Callable[[Progress], None] = lambda progress: None
) -> None:
    """Raise SettingsError where a run in place over a folder would meet an image with several hard links: the other
    names would keep the old content. Walks through the folder; only files with several links are opened."""
    if not isinstance(store, Files) or not job.in_place or job.allow_non_atomic:
        return
    now = time.time()
    for listed, entry in enumerate(store.entries(lambda key, error: None), 1):
        if listed % FOUND_STEP == 0:
            on_progress(Progress(found=listed))
        if entry.links > 1 and filters.match(entry, now) and is_image(store, entry.key):
            raise SettingsError(
                NON_ATOMIC_OPTION,
                f'is needed: "{printable(entry.key)}" {hard_links_problem(entry.links)}; with this option it is '
                "replaced anyway, and --exclude leaves it out",
            )


def is_image(store: Files, key: str) -> bool:
    """Return whether a file begins like an image; False if it can't be read, which the run will report."""
    head = b""
    try:
        with store.open(key) as opened:
            for chunk in opened.chunks():
                head += chunk
                if len(head) >= PREFIX:
                    break
    except StoreError:
        return False
    return sniff(head[:PREFIX]) != "unknown"
