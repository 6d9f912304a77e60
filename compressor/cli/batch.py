"""`compressor batch`: compress whole buckets."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import typer

from compressor.cli import batch_options as of
from compressor.cli import options as opt
from compressor.cli.basis import BasisStorage, Grid, ProfileOption, RegionOption, basis_of
from compressor.cli.errors import one_line_errors
from compressor.cli.interruption import leave
from compressor.cli.options import UsageError
from compressor.settings import Delivery, Settings
from compressor.usage import usable_cores

if TYPE_CHECKING:
    from compressor.batch.request import Request
    from compressor.fork_server import ForkServer
    from compressor.report.money import Prices
    from compressor.report.summary import Summary
    from compressor.stores.filters import Filters

DEFAULTS = Settings()
SAMPLE = 200
# Options that --unarchive excludes, with their defaults.
NOT_UNARCHIVED: Mapping[str, Any] = {
    "archive": False, "quality": None, "target_score": None, "max_bytes": None, "png_colors": None, "score": False,
    "score_sample": False, "min_score": None, "lossless": False, "format": DEFAULTS.format,
    "metadata": DEFAULTS.metadata,
}  # fmt: skip


def batch(
    source: of.Src,
    target: of.Dst = None,
    dry_run: of.DryRunOption = False,
    sample: of.SampleSize = SAMPLE,
    in_place: of.InPlace = False,
    keep_originals: of.KeepOriginals = None,
    discard_originals: of.DiscardOriginals = False,
    allow_non_atomic: of.AllowNonAtomic = False,
    overwrite: of.Overwrite = False,
    ledger: of.LedgerPath = None,
    accept_failures: of.AcceptFailures = False,
    manifest: of.ManifestUrl = None,
    include: of.Include = None,
    exclude: of.Exclude = None,
    min_size: of.MinSize = 0,
    max_size: of.MaxSize = None,
    older_than: of.OlderThan = None,
    newer_than: of.NewerThan = None,
    content_type: of.ContentType = None,
    quality: of.LossyQuality = None,
    target_score: opt.TargetScore = None,
    max_bytes: opt.MaxBytes = None,
    png_colors: opt.PngColors = None,
    score: of.BatchScore = False,
    score_sample: of.ScoreSample = False,
    min_score: of.MinScore = None,
    lossless: opt.Lossless = False,
    effort: opt.EffortOption = DEFAULTS.effort,
    format: opt.FormatOption = DEFAULTS.format,
    rename: of.RenameOption = of.Rename.KEEP,
    metadata: opt.MetadataOption = DEFAULTS.metadata,
    content_credentials: opt.ContentCredentialsOption = DEFAULTS.content_credentials,
    archive: opt.Archive = False,
    unarchive: of.Unarchive = False,
    unstrippable: of.Unstrippable_ = of.Unstrippable.FAIL,
    min_saving: of.BatchMinSaving = 0.05,
    workers: of.Workers = None,
    engine: of.EngineOption = of.EngineName.LOCAL,
    scheduler: of.Scheduler = None,
    server: opt.ServerOption = None,
    tls_ca: opt.TlsCa = None,
    tls_cert: opt.TlsCert = None,
    tls_key: opt.TlsKey = None,
    token_file: opt.ClientTokenFile = None,
    memory_budget: of.BatchMemory = 512 << 20,
    spool_dir: opt.SpoolDir = None,
    objects_per_second: of.ObjectsPerSecond = None,
    read_bytes_per_second: of.ReadBytesPerSecond = None,
    max_conditional_size: of.MaxConditionalSize = 64 << 20,
    profile: ProfileOption = "conservative",
    storage: BasisStorage = None,
    region: RegionOption = None,
    grid: Grid = None,
    price_per_gb_month: of.PricePerGbMonth = None,
    price_per_gb_egress: of.PricePerGbEgress = None,
    downloads_per_month: of.DownloadsPerMonth = None,
    report: of.ReportPath = None,
    metrics_textfile: of.MetricsTextfile = None,
    metrics_push: of.MetricsPush = None,
    json: of.BatchJson = False,
) -> None:
    """Compress all images of a bucket, or of a large folder.

    Each result is verified before it is written, and a record is kept: the same command again continues the run.
    """
    run_command(dict(locals()))


def run_command(options: Mapping[str, Any]) -> None:
    """Run the command, print its summary, and exit."""
    with one_line_errors():
        summary = run_batch(options)
        report_summary(summary, options)
        if summary.interrupted:
            raise typer.Exit(130)
        raise typer.Exit(0 if summary.succeeded else 1)


def request_of(options: Mapping[str, Any]) -> "Request":
    """Return the request that the options make. Raises UsageError where they contradict each other."""
    from compressor.batch.job import Job
    from compressor.batch.request import Request

    source, target, in_place = options["source"], options["target"], options["in_place"]
    if target is None and not in_place and not options["dry_run"]:
        raise UsageError("give DST, or --in-place to replace objects in SRC, or --dry-run to write nothing")
    if in_place and target is not None:
        raise UsageError("--in-place takes no DST: objects are replaced in SRC")
    keep, discard = options["keep_originals"], options["discard_originals"]
    if in_place and not options["dry_run"] and (keep is None) != discard:
        raise UsageError("--in-place needs --keep-originals PLACE, or --discard-originals to delete the originals")
    if not in_place and (keep is not None or discard):
        raise UsageError("--keep-originals and --discard-originals need --in-place")
    if (options["engine"] == of.EngineName.DASK) != (options["scheduler"] is not None):
        raise UsageError("--engine dask and --scheduler tcp://HOST:PORT go together")
    check_settings(options)
    workers = options["workers"] or usable_cores()
    dask = options["engine"] == of.EngineName.DASK
    if dask:  # its workers have other working directories
        source, target = (
            place if place is None or "://" in place else os.path.abspath(place) for place in (source, target)
        )
    job = Job(
        source=source,
        target=source if in_place or target is None else target,
        in_place=in_place,
        keep=keep,
        settings=settings_of(options),
        allow_non_atomic=options["allow_non_atomic"],
        copy_unstrippable=options["unstrippable"] == of.Unstrippable.COPY,
        overwrite=options["overwrite"],
        rename=options["rename"] == of.Rename.SUFFIX,
        score_one_in=one_in(score=options["score"], sample=options["score_sample"]),
        min_score=options["min_score"],
        content_types=tuple(options["content_type"] or ()),
        server=options["server"] or "",
        memory_budget=options["memory_budget"] // (1 if dask else workers),
        spool_dir=options["spool_dir"],
        conditional_bytes=options["max_conditional_size"],
        unarchive=options["unarchive"],
        access=opt.access(**{name: options[name] for name in ("tls_ca", "tls_cert", "tls_key", "token_file")}),
    )
    return Request(
        job=job,
        filters=filters_of(options),
        ledger=options["ledger"],
        manifest=options["manifest"],
        dry_run=options["dry_run"],
        sample=options["sample"] or None,
        workers=workers,
        scheduler=options["scheduler"] or "",
        objects_per_second=options["objects_per_second"],
        read_bytes_per_second=options["read_bytes_per_second"],
        samples=options["report"] is not None,
        accept_failures=options["accept_failures"],
        footprint=basis_of({name: options[name] for name in ("profile", "storage", "region", "grid")}),
        prices=prices_of(options),
    )


def check_settings(options: Mapping[str, Any]) -> None:
    """Raise UsageError for settings that contradict each other."""
    for name in ("quality", "target_score", "png_colors"):
        if options["lossless"] and options[name] is not None:
            raise UsageError(f"--lossless and --{name.replace('_', '-')} contradict each other")
    if options["unarchive"] and (given := [name for name in NOT_UNARCHIVED if options[name] != NOT_UNARCHIVED[name]]):
        raise UsageError(f"--unarchive and --{given[0].replace('_', '-')} contradict each other: a JPEG is as it was")


def prices_of(options: Mapping[str, Any]) -> "Prices | None":
    """Return the prices that the options give; None without any. Raises SettingsError."""
    from compressor.report.money import Prices

    storage, egress = options["price_per_gb_month"], options["price_per_gb_egress"]
    downloads = options["downloads_per_month"]
    if storage is None and egress is None and downloads is None:
        return None
    return Prices(storage=storage, egress=egress, downloads_per_month=downloads)


def filters_of(options: Mapping[str, Any]) -> "Filters":
    """Return the filters that the options make."""
    from compressor.stores.filters import Filters

    return Filters(
        include=tuple(options["include"] or ()),
        exclude=tuple(options["exclude"] or ()),
        size_min=options["min_size"],
        size_max=options["max_size"],
        older_than=options["older_than"],
        newer_than=options["newer_than"],
    )


def one_in(*, score: bool, sample: bool) -> int:
    """Return 1 where the results of all objects are scored, the sampling interval for a sample, 0 for none."""
    from compressor.batch.outcomes import SCORED_ONE_IN

    if score:
        return 1
    return SCORED_ONE_IN if sample else 0


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Return the settings: lossless in place, unless a setting of lossy compression is given."""
    return Settings(
        **{name: options[name] for name in (*opt.LOSSY, "png_colors")},
        lossless=options["lossless"] or (options["in_place"] and opt.is_lossless_in_place(options)),
        effort=options["effort"],
        format=options["format"],
        metadata=options["metadata"],
        content_credentials=options["content_credentials"],
        min_saving=options["min_saving"],
        archive=options["archive"],
        delivery=Delivery.SAFE,
    )


def run_batch(options: Mapping[str, Any]) -> "Summary":
    """Do the run that the options request, with its progress on standard error."""
    with fork_server(options) as server:
        request = request_of(options)
        from compressor.batch.api import launch
        from compressor.cli.batch_progress import Live

        with Live() as live, stop_on_signals() as should_stop:
            return launch(request, should_stop, live.update, server)


def fork_server(options: Mapping[str, Any]) -> AbstractContextManager["ForkServer | None"]:
    """Start the server of the local engine: it imports the codec while this process imports what it needs itself."""
    if options["engine"] != of.EngineName.LOCAL:
        return nullcontext()
    from compressor.cli import batch_server

    return batch_server.take()


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether to stop: after a Ctrl-C or SIGTERM, objects that are being written are
    finished. A second one ends the process at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        if asked:
            leave(number)
        asked.append(number)
        # Not by way of sys.stderr: this may be in the middle of a write to it, which can't be entered twice.
        with suppress(OSError):
            os.write(2, b"compressor: finishing objects that are being written; once more to stop at once\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def report_summary(summary: "Summary", options: Mapping[str, Any]) -> None:
    """Print the summary, and write the page and the metrics that were requested."""
    if options["report"] is not None:
        from compressor.report import page

        page.write(summary, options["report"])
    if options["metrics_textfile"] is not None or options["metrics_push"] is not None:
        from compressor import metrics

        registry = metrics.batch_metrics(summary)
        if options["metrics_textfile"] is not None:
            metrics.write_textfile(registry, options["metrics_textfile"])
        if options["metrics_push"] is not None:
            metrics.push(registry, options["metrics_push"])
    if options["json"]:
        from compressor.report.summary import as_json

        typer.echo(as_json(summary))
        return
    from rich.console import Console

    from compressor.cli.batch_output import print_summary

    print_summary(Console(highlight=False), summary)
    sys.stdout.flush()
