"""What `compressor batch` takes beside what `compress` does."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compressor.cli.options import option, share, size


class Engine(StrEnum):
    """Who does the work."""

    LOCAL = "local"
    DASK = "dask"


class Unstrippable(StrEnum):
    """What becomes of an image whose metadata can't be removed."""

    FAIL = "fail"
    COPY = "copy"


def age(text: str | float | None) -> float | None:
    """Seconds, from 90d, 12h, 30m, 10s or 2w."""
    if not isinstance(text, str):
        return text
    from compressor.batch.plan import seconds_of

    try:
        return seconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def sample(value: str | int) -> int:
    """Objects; 0 from "all"."""
    text = str(value)
    if text == "all":
        return 0
    if not text.isdecimal() or not int(text):
        raise typer.BadParameter(f"{text!r} is not a number of objects, or all")
    return int(text)


Src = Annotated[
    str,
    typer.Argument(
        metavar="SRC",
        help="s3://BUCKET/PREFIX, gs://…, az://…, file:///… or a folder.",
        show_default=False,
    ),
]
Dst = Annotated[
    str | None, typer.Argument(metavar="[DST]", help="Where results go; not with --in-place.", show_default=False)
]
DryRun = Annotated[bool, option("dry_run", "Compress a sample, write nothing, and say what all would save.")]
SampleSize = Annotated[
    int | None,
    option(
        "sample",
        "Of a dry run: how many objects, drawn at random, or all.",
        parser=sample,
        metavar="N|all",
        show_default="200",
    ),
]
InPlace = Annotated[bool, option("in_place", "Replace objects where they are; losslessly, unless --quality is given.")]
KeepOriginals = Annotated[
    str | None,
    option(
        "keep_originals",
        "In place: copy each original to the same key in this place first: a folder's path, or a prefix of SRC's "
        "bucket, not of SRC (originals/ is s3://BUCKET/originals/).",
        metavar="PLACE",
        show_default=False,
    ),
]
DiscardOriginals = Annotated[bool, option("discard_originals", "In place: keep none. There is no way back.")]
AllowNonAtomic = Annotated[
    bool,
    option(
        "allow_non_atomic",
        "Replace in place also where the store can't do it on a condition, and files with further hard links: who "
        "writes meanwhile may lose.",
    ),
]
Unstrippable_ = Annotated[
    Unstrippable,
    option(
        "unstrippable",
        "An image whose metadata can't be removed: it fails, or is copied (in place: left) as it is.",
    ),
]
Overwrite = Annotated[bool, option("overwrite", "Write over what is at the destination.")]
LedgerPath = Annotated[
    Path | None,
    option(
        "ledger",
        "What was done: the same one goes on where it was. Else one in this folder, named by SRC and DST.",
        metavar="FILE",
        show_default=False,
    ),
]
AcceptFailures = Annotated[
    bool,
    option(
        "accept_failures",
        "Exit with 0 where all failures are known: an earlier run has reported them, and nothing has changed since.",
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
    list[str] | None, option("include", "Only keys that match; may be repeated.", metavar="GLOB", show_default=False)
]
Exclude = Annotated[
    list[str] | None, option("exclude", "No keys that match; may be repeated.", metavar="GLOB", show_default=False)
]
MinSize = Annotated[int, option("min_size", "Smaller objects are left out.", parser=size, metavar="SIZE")]
MaxSize = Annotated[
    int | None, option("max_size", "Larger objects are left out.", parser=size, metavar="SIZE", show_default=False)
]
OlderThan = Annotated[
    float | None,
    option("older_than", "Not changed for so long, such as 30d.", parser=age, metavar="AGE", show_default=False),
]
NewerThan = Annotated[
    float | None,
    option("newer_than", "Changed since then, such as 12h.", parser=age, metavar="AGE", show_default=False),
]
ContentType = Annotated[
    list[str] | None,
    option(
        "content_type", "Only with such a Content-Type: image/*; may be repeated.", metavar="GLOB", show_default=False
    ),
]
LossyQuality = Annotated[
    int | None,
    option(
        "quality", "1 to 100: looks as libjpeg-turbo's 4:2:0 does at that quality.", show_default="80, not in place"
    ),
]
BatchMinSaving = Annotated[
    float,
    option(
        "min_saving",
        "Leave objects alone where less than this share is saved.",
        parser=share,
        metavar="SHARE",
        show_default="5%",
    ),
]
Workers = Annotated[int | None, option("workers", "Processes.", metavar="N", show_default="one a core")]
EngineName = Annotated[Engine, option("engine", "Who does the work: processes here, or a Dask cluster.")]
Scheduler = Annotated[
    str | None, option("scheduler", "Of the Dask cluster.", metavar="tcp://HOST:PORT", show_default=False)
]
BatchMemory = Annotated[
    int,
    option(
        "memory_budget",
        "What all workers together may reserve for images.",
        parser=size,
        metavar="SIZE",
        show_default="512MiB",
    ),
]
ObjectsPerSecond = Annotated[
    float | None, option("objects_per_second", "No more than so many.", metavar="N", show_default=False)
]
ReadBytesPerSecond = Annotated[
    int | None,
    option(
        "read_bytes_per_second",
        "Bytes read a second, at most, such as 50MB.",
        parser=size,
        metavar="SIZE",
        show_default=False,
    ),
]
MaxConditionalSize = Annotated[
    int,
    option(
        "max_conditional_size",
        "Larger objects are not replaced on a condition: a request with one is held in memory.",
        parser=size,
        metavar="SIZE",
        show_default="64MiB",
    ),
]
ReportPath = Annotated[
    Path | None,
    option("report", "Page with plots and pictures, when it has ended.", metavar="FILE.html", show_default=False),
]
MetricsTextfile = Annotated[
    Path | None,
    option("metrics_textfile", "For node_exporter's textfile collector.", metavar="FILE.prom", show_default=False),
]
MetricsPush = Annotated[
    str | None, option("metrics_push", "Push the metrics to a Pushgateway.", metavar="URL", show_default=False)
]
BatchJson = Annotated[bool, typer.Option("--json", help="Print the summary alone, as one line of JSON.")]
