"""From what was asked for to a summary: stores, ledger, engine and run put together."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from compressor.batch.atomic import require_conditions, require_single_links
from compressor.batch.dry_run import Trial
from compressor.batch.engine import Engine
from compressor.batch.job import Done, Job
from compressor.batch.originals import mark, originals_of, refuse_kept
from compressor.batch.plan import Filters, Keys, Listing, Manifest
from compressor.batch.rate_limit import Pace
from compressor.batch.restore import ALL, RESTORED, WORKERS, require_kept, restore, would_restore
from compressor.batch.run import Run
from compressor.batch.tally import SAMPLE_BYTES_MAX, Tally, problem
from compressor.errors import SettingsError
from compressor.footprint import Basis
from compressor.ledger.ledger import Ledger, LedgerError
from compressor.ledger.reader import facts_in, reading
from compressor.memory import resident_bytes
from compressor.report.summary import (
    PROBLEMS_MAX,
    Mode,
    Progress,
    Sample,
    Summary,
    project,
)
from compressor.settings import VERSION, Metadata
from compressor.stores.contract import (
    Store,
    StoreError,
    Trouble,
    open_store,
)
from compressor.stores.files import Files
from compressor.stores.places import (
    below,
    keep_place,
    prefix_of,
)
from compressor.stores.tree import Carrier

FINISHED = "finished"  # a fact of the ledger: when the last run came to its end, "" while one has yet to
Stopped = Callable[[], bool]
Told = Callable[[Progress], None]


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
    bytes_per_second: float | None = None
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


class Watch:
    """When a run began, and what this process takes from then on."""

    def __init__(self) -> None:
        self.started = time.time()
        self._clock, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._clock

    def spent(self) -> tuple[float, float]:
        """CPU seconds, and byte-seconds of memory as if all that is held now had been held from the start."""
        return time.process_time() - self._cpu, resident_bytes() * self.seconds()


def default_ledger(job: Job) -> Path:
    """In the working directory, by source and target: the same command goes on where it was."""
    names = "\0".join((job.source, job.target, str(job.in_place)))
    return Path(f"compressor-{hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:12]}.ledger")


def check(request: Request) -> None:
    """Raises SettingsError for what can't be meant."""
    job = request.job
    if job.in_place and job.target != job.source:
        raise SettingsError("in_place", "takes no DST: objects are replaced where they are")
    if not job.in_place and not request.dry_run and below(job.target, job.source) == "":
        raise SettingsError("dst", "is SRC: to replace objects where they are say --in-place")
    ledger = request.ledger or default_ledger(job)
    if not request.dry_run and below(str(ledger), job.source) is not None:
        raise SettingsError("ledger", f"{ledger} would lie in SRC, among the objects: name another place")
    for name, cap in (("objects_per_second", request.objects_per_second), ("bandwidth", request.bytes_per_second)):
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


def engine_for(request: Request) -> Engine:
    """Local processes, or a Dask cluster."""
    if request.scheduler:
        try:
            from compressor.batch.engine_dask import Distributed
        except ImportError:
            raise SettingsError(
                "engine", "dask needs: pip install 'compressor[dask]', here and on its workers"
            ) from None
        return Distributed(request.job, request.scheduler)
    from compressor.batch.engine_local import Local

    return Local(request.job, request.workers)


def listing_for(request: Request, source: Store) -> Listing:
    if request.manifest is None:
        return Keys(source)
    return Manifest(request.manifest, prefix_of(request.job.source), source)


def launch(request: Request, stopped: Stopped = lambda: False, told: Told = lambda progress: None) -> Summary:
    """Do what is left to do of a run. Raises CompressorError where it can't begin, or its ledger or listing fails."""
    check(request)
    job, filters = request.job, request.filters
    if job.keep is not None:
        keep = keep_place(job.keep, job.source)
        job, inside = dataclasses.replace(job, keep=keep), below(keep, job.source)
        filters = filters if inside is None else without(filters, inside)
    elif not job.in_place and (inside := below(job.target, job.source)):
        filters = without(filters, inside)  # results are not to be compressed again
    refuse_kept(job.source, job.target, job.keep)
    request = dataclasses.replace(request, job=job, filters=filters)
    source = open_store(job.source, job.conditional_bytes, probed=request.dry_run)
    if request.manifest is None:
        require_single_links(job, source, filters)
    return trial(request, source, stopped, told) if request.dry_run else real(request, source, stopped, told)


def trial(request: Request, source: Store, stopped: Stopped, told: Told) -> Summary:
    """A dry run."""
    watch = Watch()
    with closing(engine_for(request)) as engine:
        listing = listing_for(request, source)
        trial = Trial(engine, listing, request.filters, request.sample)
        whole = trial.run(stopped, told)
    tally = trial.tally
    sample = trial.sample if request.sample is not None else [(tally.bytes_in, tally.bytes_in - tally.bytes_out)]
    objects = trial.objects if request.sample is not None else min(1, trial.objects)
    found = dataclasses.replace(
        project(sample, objects, trial.size), objects=trial.objects, sampled_objects=tally.objects
    )
    summary = summary_of(request.job, tally, watch, not whole)
    summary = dataclasses.replace(
        summary,
        mode="dry run", projection=found if whole else None,
        notices={**dict.fromkeys(listing.left_out, 0), **summary.notices},
    )  # fmt: skip
    return estimated(summary, watch.spent(), request.footprint)


def real(request: Request, source: Store, stopped: Stopped, told: Told) -> Summary:
    """A run that writes."""
    job, watch = request.job, Watch()
    target = source if job.in_place else open_store(job.target, job.conditional_bytes)
    # Found out once, here: workers take it from the job.
    job = dataclasses.replace(job, conditional_bytes=require_conditions(job, target))
    request = dataclasses.replace(request, job=job)
    path = request.ledger or default_ledger(job)
    with Ledger(path) as ledger:
        ledger.begin(facts_of(request))
        refuse_restored(ledger)
        ledger.note(FINISHED, "")
        ledger.commit()
        if job.keep is not None:
            mark(job.keep, job.source)
        with closing(engine_for(request)) as engine:
            pace = Pace(request.objects_per_second, request.bytes_per_second)
            listing = listing_for(request, source)
            run = Run(job, ledger, engine, listing, request.filters, source, target, pace, stopped, told)
            whole = run.work()
        left = carried(request, source, target, stopped) if whole else ()
        tally = run.tally
        totals = (*ledger.totals(), *tally.unlisted_total)
        failures = (problem(done, known) for done, known in ledger.failures(PROBLEMS_MAX))
        problems = (*tally.unlisted, *failures)[:PROBLEMS_MAX]
        failed = sum(total.objects for total in totals if total.outcome == "failed")
        summary = dataclasses.replace(
            summary_of(job, tally, watch, not whole),
            totals=totals, problems=problems, problems_more=failed - len(problems), ledger=str(path),
            samples=tuple(samples_of(tally.samples, job, source, target)) if request.samples else (),
            known_failures=ledger.known_failures(), accept_failures=request.accept_failures,
        )  # fmt: skip
        if whole:
            ledger.report_failures()
            ledger.note(FINISHED, repr(summary.ended))
        summary = estimated(summary, ledger.spend(*watch.spent()), request.footprint)
        store = source if job.in_place else target
        for notice in (*_notices_of(job), *store.notices, *listing.left_out, *left):
            summary = dataclasses.replace(summary, notices={notice: 0, **summary.notices})
        return summary


def refuse_restored(ledger: Ledger) -> None:
    """Raise LedgerError where originals were put back: to go on would replace them again."""
    said, path = ledger.facts().get(RESTORED), ledger.path
    if said == ALL or (said is not None and not ledger.restored()):
        raise LedgerError(f"{path} is of a run that was restored: name another with --ledger")
    if said is not None:
        part = f"{path} is of a run of which a part was restored, {ledger.restored():,} originals"
        raise LedgerError(f"{part}: name another with --ledger, or have compressor ledger restore put back the rest")


def _notices_of(job: Job) -> list[str]:
    """Return what an operator would not expect of a run."""
    if job.keep is not None and job.settings.metadata is not Metadata.KEEP:
        return [f"the originals kept under {job.keep} are as they were: their metadata remain"]
    return []


def carried(request: Request, source: Store, target: Store, stopped: Stopped) -> tuple[str, ...]:
    """Carry what a folder that was copied has beside files; return what of it could not be, in words."""
    job = request.job
    if job.in_place or request.manifest is not None or not isinstance(source, Files):
        return ()
    return Carrier(source, target, request.filters, job.overwrite, stopped).carry()


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


def estimated(summary: Summary, spent: tuple[float, float], footprint: Basis) -> Summary:
    """With what the coordinator took beside the objects, and what all of it is estimated to have used."""
    other, memory = summary.other_seconds + spent[0], summary.memory_byte_seconds + spent[1]
    used = footprint.of(sum(summary.stage_seconds.values()) + other, memory)
    return dataclasses.replace(summary, other_seconds=other, memory_byte_seconds=memory, footprint=used)


def summary_of(job: Job, tally: Tally, watch: Watch, interrupted: bool) -> Summary:
    return Summary(
        source=job.source,
        target=job.target,
        mode="in place" if job.in_place else "copy",
        settings=job.settings,
        started=watch.started,
        ended=time.time(),
        wall_seconds=watch.seconds(),
        interrupted=interrupted,
        totals=tally.totals,
        problems=(*tally.unlisted, *tally.problems)[:PROBLEMS_MAX],
        problems_more=max(0, tally.failed - len(tally.unlisted) - len(tally.problems)),
        notices=dict(tally.notices),
        stage_seconds=dict(tally.stage_seconds),
        other_seconds=tally.other_seconds,
        memory_byte_seconds=tally.memory_byte_seconds,
        keep=job.keep,
        histogram=tuple(tally.histogram),
        failed_copied=not job.in_place and (job.copy_unstrippable or job.settings.metadata is Metadata.KEEP),
    )


def samples_of(chosen: Iterable[Done], job: Job, source: Store, target: Store) -> list[Sample]:
    """Files before and after, where both are still there."""
    found, originals = [], source
    if job.in_place and job.keep is not None:
        originals = originals_of(job.keep, source).store
    for done in chosen:
        before = done.kept if job.in_place else done.key
        if before:
            with suppress(StoreError):
                found.append(Sample(done.key, whole(originals, before), whole(target, done.key), done.score))
    return found


def whole(store: Store, key: str) -> bytes:
    """A file that is known to be small."""
    data = bytearray()
    with store.open(key) as opened:
        for chunk in opened.chunks():
            data += chunk
            if len(data) > SAMPLE_BYTES_MAX:
                raise StoreError(Trouble.CHANGED, f"{key!r} is larger than it was")
    return bytes(data)


def put_back(restoring: Restoration, stopped: Stopped = lambda: False, told: Told = lambda progress: None) -> Summary:
    """Restore the originals that a run kept, or say what that would do."""
    watch, path = Watch(), restoring.ledger
    with reading(path) as database:
        facts = facts_in(database)
    job = Job(source=facts["source"], target=facts["target"], in_place=True, keep=facts.get("keep") or None)
    chosen, workers = restoring.filters, restoring.workers
    if restoring.dry_run:
        tally, whole = would_restore(path, open_store(job.source, probed=True), stopped, told, chosen, workers)
    else:
        with Ledger(path) as ledger:
            require_kept(path, ledger.facts())
            tally, whole = restore(ledger, open_store(job.source), stopped, told, chosen, workers)
            ledger.spend(*watch.spent())
    mode: Mode = "restore dry run" if restoring.dry_run else "restore"
    summary = dataclasses.replace(summary_of(job, tally, watch, not whole), mode=mode, ledger=str(path))
    return dataclasses.replace(summary, other_seconds=summary.other_seconds + watch.spent()[0])
