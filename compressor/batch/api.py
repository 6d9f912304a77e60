"""From what was asked for to a summary: stores, ledger, engine and run put together."""

import dataclasses
from collections.abc import Callable
from contextlib import closing

from compressor.batch.dry_run import DryRun
from compressor.batch.job import Engine, Job
from compressor.batch.originals import mark, refuse_kept
from compressor.batch.plan import Keys, Listing, Manifest
from compressor.batch.rate_limit import RateLimit
from compressor.batch.request import (
    Request,
    Restoration,
    check,
    default_ledger,
    facts_of,
    require_conditions,
    require_single_links,
    without,
)
from compressor.batch.restore import require_kept, restore, would_restore
from compressor.batch.run import Run
from compressor.batch.tally import estimated, problem, samples_of, summary_of
from compressor.errors import SettingsError
from compressor.ledger.ledger import Ledger, LedgerError
from compressor.ledger.reader import facts_in, reading
from compressor.ledger.records import ALL, FINISHED, RESTORED
from compressor.report.summary import PROBLEMS_MAX, Mode, Progress, Summary, project
from compressor.settings import Metadata
from compressor.stores.contract import Store
from compressor.stores.files import Files
from compressor.stores.open import open_store
from compressor.stores.places import keep_place, prefix_of, relative_prefix
from compressor.stores.tree import Carrier
from compressor.usage import Stopwatch

Stopped = Callable[[], bool]
Told = Callable[[Progress], None]


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
        job, inside = dataclasses.replace(job, keep=keep), relative_prefix(keep, job.source)
        filters = filters if inside is None else without(filters, inside)
    elif not job.in_place and (inside := relative_prefix(job.target, job.source)):
        filters = without(filters, inside)  # results are not to be compressed again
    refuse_kept(job.source, job.target, job.keep)
    request = dataclasses.replace(request, job=job, filters=filters)
    source = open_store(job.source, job.conditional_bytes, probed=request.dry_run)
    if request.manifest is None:
        require_single_links(job, source, filters)
    return trial(request, source, stopped, told) if request.dry_run else run_batch(request, source, stopped, told)


def trial(request: Request, source: Store, stopped: Stopped, told: Told) -> Summary:
    """A dry run."""
    watch = Stopwatch()
    with closing(engine_for(request)) as engine:
        listing = listing_for(request, source)
        trial = DryRun(engine, listing, request.filters, request.sample)
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


def run_batch(request: Request, source: Store, stopped: Stopped, told: Told) -> Summary:
    """A run that writes."""
    job, watch = request.job, Stopwatch()
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
            pace = RateLimit(request.objects_per_second, request.read_bytes_per_second)
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


def restore_originals(
    restoring: Restoration, stopped: Stopped = lambda: False, told: Told = lambda progress: None
) -> Summary:
    """Restore the originals that a run kept, or say what that would do."""
    watch, path = Stopwatch(), restoring.ledger
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
