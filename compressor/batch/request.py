"""A batch run as it is asked for, checked before anything is read."""

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from compressor.batch.job import Job
from compressor.batch.plan import Manifest
from compressor.batch.restore import WORKERS
from compressor.errors import SettingsError
from compressor.footprint import Basis
from compressor.humanize import printable
from compressor.settings import VERSION
from compressor.sniff import PREFIX, sniff
from compressor.stores.contract import Store, StoreError
from compressor.stores.file_write import further_links
from compressor.stores.files import Files
from compressor.stores.filters import Filters
from compressor.stores.places import relative_prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole run.

    ledger      None: `default_ledger`
    manifest    URL of a file that lists the objects; None: the store does
    sample      of a dry run: objects, None for all
    workers     processes of the local engine
    scheduler   address of a Dask scheduler; "" for the local engine
    samples     whether the summary is to have pictures
    accept_failures  whether a run whose failures are all known is a success
    footprint   what the estimates of the summary stand on
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What is to be put back.

    filters  by key alone; None: everything
    workers  originals at a time
    """

    ledger: Path
    filters: Filters | None = None
    dry_run: bool = False
    workers: int = WORKERS


def default_ledger(job: Job) -> Path:
    """In the working directory, by source and target: the same command goes on where it was."""
    names = "\0".join((job.source, job.target, str(job.in_place)))
    return Path(f"compressor-{hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:12]}.ledger")


def check(request: Request) -> None:
    """Raises SettingsError for what can't be meant."""
    job = request.job
    if job.in_place and job.target != job.source:
        raise SettingsError("in_place", "takes no DST: objects are replaced where they are")
    if not job.in_place and not request.dry_run and relative_prefix(job.target, job.source) == "":
        raise SettingsError("dst", "is SRC: to replace objects where they are say --in-place")
    ledger = request.ledger or default_ledger(job)
    if not request.dry_run and relative_prefix(str(ledger), job.source) is not None:
        raise SettingsError("ledger", f"{ledger} would lie in SRC, among the objects: name another place")
    for name, cap in (
        ("objects_per_second", request.objects_per_second),
        ("read_bytes_per_second", request.read_bytes_per_second),
    ):
        if cap is not None and not cap > 0:
            raise SettingsError(name, f"is {cap}, must be above 0")
    if request.workers < 1:
        raise SettingsError("workers", f"is {request.workers}, must be at least 1")
    if job.server:
        from compressor.client import check_access

        check_access(job.access)
    ages = [name for name in ("older_than", "newer_than") if getattr(request.filters, name) is not None]
    if ages and request.manifest is not None and not Manifest(request.manifest).dated():
        raise SettingsError(ages[0], f"{request.manifest} does not say when objects were last modified")


def without(filters: Filters, prefix: str) -> Filters:
    return dataclasses.replace(filters, but=(*filters.but, prefix))


def facts_of(request: Request) -> dict[str, str]:
    """What a run is, for its ledger: nothing of it may differ when the run is gone on with."""
    job = request.job
    settings = {name: value for name, value in dataclasses.asdict(job.settings).items() if value is not None}
    return {
        "source": job.source,
        "target": job.target,
        "mode": "in place" if job.in_place else "copy",
        "keep": job.keep or "",
        "manifest": request.manifest or "",
        "settings": json.dumps(settings, sort_keys=True),
        "version": VERSION,
    }


FLAG = "allow_non_atomic"


def require_conditions(job: Job, store: Store) -> int:
    """Return the store's `conditional_bytes`, for which a write may be tried; raise SettingsError where a run in place
    needs it and it is 0."""
    most = store.conditional_bytes
    if job.in_place and not most and not job.allow_non_atomic:
        what = "this file system can't exchange two names" if isinstance(store, Files) else "this server can't"
        raise SettingsError(
            FLAG,
            f"is needed: {printable(job.source)}: {what}, so that nothing can be replaced on the condition that nobody "
            "has changed it meanwhile; with this flag there is a look before and after",
        )
    return most


def require_single_links(job: Job, store: Store, filters: Filters) -> None:
    """Raise SettingsError where a run in place over a folder would come upon an image with further hard links: they
    would keep the old content. Takes a walk through the folder; nothing but such files is opened."""
    if not isinstance(store, Files) or not job.in_place or job.allow_non_atomic:
        return
    now = time.time()
    for entry in store.entries(lambda key, error: None):
        if entry.links > 1 and filters.match(entry, now) and is_image(store, entry.key):
            raise SettingsError(
                FLAG,
                f'is needed: "{printable(entry.key)}" {further_links(entry.links)}; with this flag it is replaced all '
                "the same, and --exclude leaves it out",
            )


def is_image(store: Files, key: str) -> bool:
    """Return whether a file begins as an image does; not if it can't be read, which the run will tell."""
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
