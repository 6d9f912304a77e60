"""The options of `compressor batch`, besides those of `compress`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compressor.cli.options import not_negative, option, share, size
from compressor.prices import Price, parse_price


class EngineName(StrEnum):
    """Engines that do the work."""

    LOCAL = "local"
    DASK = "dask"


class Unstrippable(StrEnum):
    """The treatment of an image whose metadata can't be removed."""

    FAIL = "fail"
    COPY = "copy"


class Rename(StrEnum):
    """The key of a result whose format is not that of its source."""

    KEEP = "keep"
    SUFFIX = "suffix"


def age(text: str | float | None) -> float | None:
    """Return the seconds of an age such as 90d, 12h, 30m, 10s or 2w."""
    if not isinstance(text, str):
        return text
    from compressor.batch.plan import seconds_of

    try:
        return seconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def sample(value: str | int) -> int:
    """Return a number of objects; 0 for "all"."""
    text = str(value)
    if text == "all":
        return 0
    if not text.isdecimal() or not int(text):
        raise typer.BadParameter(f"{text!r} is not a number of objects, or all")
    return int(text)


def price(value: str | float) -> Price:
    """Parse a price: "0.023", "0.023USD" or "$0.023"."""
    try:
        return parse_price(str(value))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Src = Annotated[
    str,
    typer.Argument(
        metavar="SRC",
        help="s3://BUCKET/PREFIX, gs://…, az://…, file:///… or a folder.",
        show_default=False,
    ),
]
Dst = Annotated[
    str | None, typer.Argument(metavar="[DST]", help="Where to write results; not with --in-place.", show_default=False)
]
DryRunOption = Annotated[
    bool, option("dry_run", "Compress a sample, write nothing, and estimate what the whole run would save.")
]
SampleSize = Annotated[
    int | None,
    option(
        "sample",
        "With --dry-run: number of objects to sample at random, or all.",
        parser=sample,
        metavar="N|all",
        show_default="200",
    ),
]
InPlace = Annotated[
    bool,
    option("in_place", "Replace objects in SRC; losslessly, unless --quality, --target-score or --max-bytes is given."),
]
KeepOriginals = Annotated[
    str | None,
    option(
        "keep_originals",
        "With --in-place: first copy each original here, under the same key. A folder, or a prefix of SRC's bucket "
        "that does not contain SRC (originals/ means s3://BUCKET/originals/).",
        metavar="PLACE",
        show_default=False,
    ),
]
DiscardOriginals = Annotated[
    bool, option("discard_originals", "With --in-place: don't keep originals. This can't be undone.")
]
AllowNonAtomic = Annotated[
    bool,
    option(
        "allow_non_atomic",
        "With --in-place: also replace objects that the store can't replace conditionally, and files with several hard "
        "links. Writes by others at the same time may be lost.",
    ),
]
Unstrippable_ = Annotated[
    Unstrippable,
    option(
        "unstrippable",
        "What to do with an image whose metadata can't be removed: fail, or copy it unchanged (in place: keep it).",
    ),
]
RenameOption = Annotated[
    Rename,
    option(
        "rename",
        "Key of a result of another format: suffix replaces .jpg by .webp, for example; keep changes only the "
        "Content-Type, not with --in-place.",
    ),
]
Overwrite = Annotated[bool, option("overwrite", "Overwrite existing objects at the destination.")]
LedgerPath = Annotated[
    Path | None,
    option(
        "ledger",
        "File that records the run, so that it can be resumed. Default: in this folder, named after SRC and DST.",
        metavar="FILE",
        show_default=False,
    ),
]
AcceptFailures = Annotated[
    bool,
    option(
        "accept_failures",
        "Exit with 0 if all failures are known: an earlier run reported them, and the objects have not changed since.",
    ),
]
ManifestUrl = Annotated[
    str | None,
    option(
        "manifest",
        "List of objects: CSV or Parquet with key, size, etag, last_modified, or an S3 inventory's manifest.json.",
        metavar="FILE",
        show_default=False,
    ),
]
Include = Annotated[
    list[str] | None,
    option("include", "Process only keys that match; may be repeated.", metavar="GLOB", show_default=False),
]
Exclude = Annotated[
    list[str] | None,
    option("exclude", "Leave out keys that match; may be repeated.", metavar="GLOB", show_default=False),
]
MinSize = Annotated[int, option("min_size", "Leave out smaller objects.", parser=size, metavar="SIZE")]
MaxSize = Annotated[
    int | None, option("max_size", "Leave out larger objects.", parser=size, metavar="SIZE", show_default=False)
]
OlderThan = Annotated[
    float | None,
    option(
        "older_than",
        "Process only objects not modified for at least this long, such as 30d.",
        parser=age,
        metavar="AGE",
        show_default=False,
    ),
]
NewerThan = Annotated[
    float | None,
    option(
        "newer_than",
        "Process only objects modified within this time, such as 12h.",
        parser=age,
        metavar="AGE",
        show_default=False,
    ),
]
ContentType = Annotated[
    list[str] | None,
    option(
        "content_type",
        "Process only objects with such a Content-Type, for example image/*; may be repeated.",
        metavar="GLOB",
        show_default=False,
    ),
]
LossyQuality = Annotated[
    int | None,
    option(
        "quality",
        "Visual quality, 1 to 100: that of libjpeg-turbo's 4:2:0 at this setting.",
        show_default="80, not in place",
    ),
]
BatchScore = Annotated[bool, option("score", "Measure the SSIMULACRA2 scores of all results.")]
ScoreSample = Annotated[
    bool,
    option(
        "score_sample", "Measure the scores of 1 in 20 results, and of the first five of each worker, if not of all."
    ),
]
MinScore = Annotated[
    float | None,
    option(
        "min_score",
        "Keep objects unchanged whose result would score less than this SSIMULACRA2 score; measures all.",
        metavar="SCORE",
        show_default=False,
    ),
]
BatchMinSaving = Annotated[
    float,
    option(
        "min_saving",
        "Keep objects unchanged if less than this share would be saved.",
        parser=share,
        metavar="SHARE",
        show_default="5%",
    ),
]
Unarchive = Annotated[
    bool, option("unarchive", "Make the JPEGs of archives again, and copy everything else; takes no other settings.")
]
Workers = Annotated[
    int | None, option("workers", "Number of worker processes.", metavar="N", show_default="one per core")
]
EngineOption = Annotated[EngineName, option("engine", "Do the work in local processes, or on a Dask cluster.")]
Scheduler = Annotated[
    str | None, option("scheduler", "Address of the Dask scheduler.", metavar="tcp://HOST:PORT", show_default=False)
]
BatchMemory = Annotated[
    int,
    option(
        "memory_budget",
        "Memory that all workers together may reserve for images.",
        parser=size,
        metavar="SIZE",
        show_default="512MiB",
    ),
]
ObjectsPerSecond = Annotated[
    float | None,
    option("objects_per_second", "Maximum number of objects started per second.", metavar="N", show_default=False),
]
ReadBytesPerSecond = Annotated[
    int | None,
    option(
        "read_bytes_per_second",
        "Maximum number of bytes read per second, such as 50MB.",
        parser=size,
        metavar="SIZE",
        show_default=False,
    ),
]
MaxConditionalSize = Annotated[
    int,
    option(
        "max_conditional_size",
        "Largest object to replace conditionally: such a request holds the whole object in memory.",
        parser=size,
        metavar="SIZE",
        show_default="64MiB",
    ),
]
PricePerGbMonth = Annotated[
    Price | None,
    option(
        "price_per_gb_month",
        "Price of storage per GB and month, such as 0.023USD: savings are also shown in money.",
        parser=price,
        metavar="PRICE",
        show_default=False,
    ),
]
PricePerGbEgress = Annotated[
    Price | None,
    option(
        "price_per_gb_egress",
        "Price per GB sent, such as 0.09USD; with --downloads-per-month.",
        parser=price,
        metavar="PRICE",
        show_default=False,
    ),
]
DownloadsPerMonth = Annotated[
    float | None,
    option(
        "downloads_per_month",
        "How often an object is sent in a month, on average; with --price-per-gb-egress.",
        parser=not_negative,
        metavar="N",
        show_default=False,
    ),
]
ReportPath = Annotated[
    Path | None,
    option(
        "report",
        "Write an HTML report with plots and sample images when the run has ended.",
        metavar="FILE.html",
        show_default=False,
    ),
]
MetricsTextfile = Annotated[
    Path | None,
    option(
        "metrics_textfile",
        "Write the metrics for node_exporter's textfile collector.",
        metavar="FILE.prom",
        show_default=False,
    ),
]
MetricsPush = Annotated[
    str | None, option("metrics_push", "Push the metrics to a Pushgateway.", metavar="URL", show_default=False)
]
BatchJson = Annotated[bool, typer.Option("--json", help="Print only the summary, as one line of JSON.")]
