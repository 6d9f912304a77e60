"""Entry points of a batch: a request becomes a summary, by way of stores, ledger, engine and run."""

import dataclasses
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from compressor.batch.dry_run import DryRun
from compressor.batch.job import Engine, Job
from compressor.batch.originals import refuse_kept, write_marker
from compressor.batch.plan import Keys, Listing, Manifest
from compressor.batch.rate_limit import RateLimit
from compressor.batch.request import (
    Request,
    Restoration,
    check_request,
    default_ledger,
    facts_of,
    require_conditions,
    require_single_links,
    without,
)
from compressor.batch.restore import require_kept, restore, would_restore
from compressor.batch.run import Run
from compressor.batch.tally import problem_of, samples_of, summary_of, with_estimates
from compressor.errors import SettingsError
from compressor.ledger.errors import LedgerError
from compressor.ledger.ledger import Ledger
from compressor.ledger.queries import run_facts_in
from compressor.ledger.reader import reading
from compressor.ledger.schema import ALL, FINISHED, RESTORED
from compressor.report.summary import PROBLEMS_MAX, Mode, Progress, Summary, project
from compressor.settings import Metadata
from compressor.stores.contract import VERSIONED, Store
from compressor.stores.files import Files
from compressor.stores.open import open_store
from compressor.stores.places import keep_place, prefix_of, relative_prefix
from compressor.stores.tree import TreeCopier
from compressor.usage import ProcessUsage

if TYPE_CHECKING:
    from compressor.fork_server import ForkServer

ShouldStop = Callable[[], bool]
OnProgress = Callable[[Progress], None]


def engine_for(request: Request, server: "ForkServer | None") -> Engine:
    """Return an engine of local processes, or of a Dask cluster."""
    if request.scheduler:
        try:
            from compressor.batch.engine_dask import Distributed
        except ImportError:
            raise SettingsError(
                "engine", "dask needs: pip install 'compressor[dask]', here and on its workers"
            ) from None
        return Distributed(request.job, request.scheduler)
    from compressor.batch.engine_local import Local

    return Local(request.job, request.workers, server)


def listing_for(request: Request, source: Store) -> Listing:
    """Return the manifest's listing, or the store's."""
    if request.manifest is None:
        return Keys(source)
    return Manifest(request.manifest, prefix_of(request.job.source), source)


def launch(
    request: Request,
    should_stop: ShouldStop = lambda: False,
    on_progress: OnProgress = lambda progress: None,
    server: "ForkServer | None" = None,
) -> Summary:
    """Do what is left of a run. Raises CompressorError where it can't begin, or where its ledger or listing fails.

    server  forks the workers of the local engine; None: started when it is needed
    """
    check_request(request)
    job, filters = request.job, request.filters
    if job.keep is not None:
        keep = keep_place(job.keep, job.source)
        job, inside = dataclasses.replace(job, keep=keep), relative_prefix(keep, job.source)
        filters = filters if inside is None else without(filters, inside)
    elif not job.in_place and (inside := relative_prefix(job.target, job.source)):
        filters = without(filters, inside)  # results must not be compressed again
    refuse_kept(job.source, job.target, job.keep)
    request = dataclasses.replace(request, job=job, filters=filters)
    source = open_store(job.source, job.conditional_bytes, probed=request.dry_run)
    if request.manifest is None:
        require_single_links(job, source, filters, on_progress)
    run = run_dry if request.dry_run else run_batch
    return run(request, source, server, should_stop, on_progress)


def run_dry(
    request: Request, source: Store, server: "ForkServer | None", should_stop: ShouldStop, on_progress: OnProgress
) -> Summary:
    """Do a dry run."""
    usage = ProcessUsage()
    with closing(engine_for(request, server)) as engine:
        listing = listing_for(request, source)
        run = DryRun(engine, listing, request.filters, request.sample)
        completed = run.run(should_stop, on_progress)
    tally = run.tally
    sample = run.sample if request.sample is not None else [(tally.bytes_in, tally.bytes_in - tally.bytes_out)]
    objects = run.objects if request.sample is not None else min(1, run.objects)
    projection = dataclasses.replace(
        project(sample, objects, run.size), objects=run.objects, sampled_objects=tally.objects
    )
    summary = summary_of(request.job, tally, usage, not completed)
    summary = dataclasses.replace(
        summary,
        mode="dry run", projection=projection if completed else None, prices=request.prices,
        notices={**dict.fromkeys(listing.left_out, 0), **summary.notices},
    )  # fmt: skip
    own = usage.read()
    return with_estimates(summary, own.cpu_seconds, own.memory_byte_seconds, request.footprint)


def run_batch(
    request: Request, source: Store, server: "ForkServer | None", should_stop: ShouldStop, on_progress: OnProgress
) -> Summary:
    """Do a run that writes."""
    job, usage = request.job, ProcessUsage()
    target = source if job.in_place else open_store(job.target, job.conditional_bytes)
    # The store is probed once, here: workers read the result from the job.
    job = dataclasses.replace(job, conditional_bytes=require_conditions(job, target))
    request = dataclasses.replace(request, job=job)
    path = request.ledger or default_ledger(job)
    with Ledger(path) as ledger:
        ledger.begin(facts_of(request))
        require_not_restored(ledger)
        ledger.set_fact(FINISHED, "")
        ledger.commit()
        if job.keep is not None:
            write_marker(job.keep, job.source)
        with closing(engine_for(request, server)) as engine:
            limit = RateLimit(request.objects_per_second, request.read_bytes_per_second)
            listing = listing_for(request, source)
            run = Run(
                job, ledger, engine, listing, request.filters, source, target, limit, should_stop, on_progress
            )  # fmt: skip
            completed = run.work()
        not_carried = carry_tree(request, source, target, should_stop) if completed else ()
        tally = run.tally
        totals = (*ledger.totals(), *tally.unlisted_total)
        failures = (problem_of(done, known) for done, known in ledger.failures(PROBLEMS_MAX))
        problems = (*tally.unlisted, *failures)[:PROBLEMS_MAX]
        failed = sum(total.objects for total in totals if total.outcome == "failed")
        summary = dataclasses.replace(
            summary_of(job, tally, usage, not completed),
            totals=totals, problems=problems, problems_more=failed - len(problems), ledger=str(path),
            samples=tuple(samples_of(tally.samples, job, source, target)) if request.samples else (),
            known_failures=ledger.known_failures(), accept_failures=request.accept_failures,
            prices=request.prices,
        )  # fmt: skip
        if completed:
            ledger.report_failures()
            ledger.set_fact(FINISHED, repr(summary.ended))
        own = usage.read()
        spent = ledger.add_overhead(own.cpu_seconds, own.memory_byte_seconds)
        summary = with_estimates(summary, *spent, request.footprint)
        store = source if job.in_place else target
        summary = dataclasses.replace(summary, versioned=VERSIONED in store.notices)
        for notice in (*_notices_of(job), *store.notices, *listing.left_out, *not_carried):
            summary = dataclasses.replace(summary, notices={notice: 0, **summary.notices})
        return summary


def require_not_restored(ledger: Ledger) -> None:
    """Raise LedgerError where originals were restored: resuming the run would replace them again."""
    restored, path = ledger.facts().get(RESTORED), ledger.path
    if restored == ALL or (restored is not None and not ledger.restored()):
        raise LedgerError(f"{path} belongs to a run that was restored: choose another one with --ledger")
    if restored is not None:
        part = f"{path} belongs to a run that was partly restored, {ledger.restored():,} originals so far"
        raise LedgerError(f"{part}: choose another one with --ledger, or let compressor ledger restore do the rest")


def _notices_of(job: Job) -> list[str]:
    """Return what might surprise the operator of a run."""
    if job.keep is not None and job.settings.metadata is not Metadata.KEEP:
        return [f"the originals kept under {job.keep} are unchanged: they still contain their metadata"]
    return []


def carry_tree(request: Request, source: Store, target: Store, should_stop: ShouldStop) -> tuple[str, ...]:
    """Copy what a folder contains besides files; return descriptions of what could not be copied."""
    job = request.job
    if job.in_place or request.manifest is not None or not isinstance(source, Files):
        return ()
    return TreeCopier(source, target, request.filters, job.overwrite, should_stop).copy()


def restore_originals(
    restoration: Restoration, should_stop: ShouldStop = lambda: False, on_progress: OnProgress = lambda progress: None
) -> Summary:
    """Restore the originals that a run kept, or find out what that would do."""
    usage, path = ProcessUsage(), restoration.ledger
    with reading(path) as database:
        facts = run_facts_in(database)
    job = Job(source=facts["source"], target=facts["target"], in_place=True, keep=facts.get("keep") or None)
    how = (should_stop, on_progress, restoration.filters, restoration.workers)
    if restoration.dry_run:
        tally, completed = would_restore(path, open_store(job.source, probed=True), *how)
    else:
        with Ledger(path) as ledger:
            require_kept(path, ledger.facts())
            tally, completed = restore(ledger, open_store(job.source), *how)
            own = usage.read()
            ledger.add_overhead(own.cpu_seconds, own.memory_byte_seconds)
    mode: Mode = "restore dry run" if restoration.dry_run else "restore"
    summary = dataclasses.replace(summary_of(job, tally, usage, not completed), mode=mode, ledger=str(path))
    return dataclasses.replace(summary, other_seconds=summary.other_seconds + usage.read().cpu_seconds)
