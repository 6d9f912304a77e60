"""`compressor compress` and `compressor inspect`."""

import dataclasses
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from compressor.cli import compress_options as of
from compressor.cli import options as opt
from compressor.cli import output
from compressor.cli.compress_many import (
    JOBS_MAX,
    CompressedImage,
    compress_many,
    default_memory_budget,
)
from compressor.cli.errors import one_line_errors
from compressor.cli.listing import FoundImages, ImageFile, list_images
from compressor.cli.one_image import (
    Compression,
    Service,
    Watch,
    chunks_of,
    opened,
    state_of,
    write_result,
    write_stream,
)
from compressor.cli.options import UsageError
from compressor.cli.output import STANDARD
from compressor.cli.result_files import NewFile, Replacement, ResultFile, Unwritten, Written
from compressor.cli.targets import Destination, check_targets, destination_of, format_for
from compressor.humanize import human_format, printable
from compressor.settings import Report, Settings
from compressor.sniff import FORMAT_SUFFIXES, format_named
from compressor.usage import usable_cores

DEFAULTS = Settings()


def compress(
    sources: of.Sources,
    recursive: of.Recursive = False,
    out: of.Out = None,
    output_dir: of.OutputDir = None,
    suffix: of.NameSuffix = None,
    in_place: of.ReplaceSource = False,
    keep_original: of.KeepOriginal = False,
    preserve_times: of.PreserveTimes = False,
    force: opt.Force = False,
    dry_run: of.WriteNothing = False,
    quality: opt.Quality = DEFAULTS.quality,
    target_score: opt.TargetScore = DEFAULTS.target_score,
    max_bytes: opt.MaxBytes = DEFAULTS.max_bytes,
    png_colors: opt.PngColors = DEFAULTS.png_colors,
    score: opt.Score = DEFAULTS.score,
    lossless: opt.Lossless = DEFAULTS.lossless,
    effort: opt.EffortOption = DEFAULTS.effort,
    format: opt.FormatOption = DEFAULTS.format,
    subsampling: opt.SubsamplingOption = DEFAULTS.subsampling,
    metadata: opt.MetadataOption = DEFAULTS.metadata,
    content_credentials: opt.ContentCredentialsOption = DEFAULTS.content_credentials,
    background: opt.Background = None,
    accept: opt.Accept = None,
    min_saving: opt.MinSaving = DEFAULTS.min_saving,
    delivery: opt.DeliveryOption = DEFAULTS.delivery,
    archive: opt.Archive = DEFAULTS.archive,
    jobs: of.Jobs = None,
    memory_budget: of.ImagesMemory = None,
    server: opt.ServerOption = None,
    tls_ca: opt.TlsCa = None,
    tls_cert: opt.TlsCert = None,
    tls_key: opt.TlsKey = None,
    token_file: opt.ClientTokenFile = None,
    quiet: of.Quiet = False,
    verbose: of.Verbose = False,
    json: of.JsonReports = False,
) -> None:
    """Make images smaller.

    No input is changed without --in-place. A result gets its name only when it is complete, and is never larger than
    its input unless another format is requested.
    """
    options = dict(locals())
    with one_line_errors():
        settings = requested_settings(options)
        names = ("out", "output_dir", "suffix", "in_place", "keep_original", "force")
        destination = destination_of(sources, **{name: options[name] for name in names})
        check_options(options, settings, destination)
        found = list_images(
            sources, recursive=recursive, is_earlier=destination.is_earlier, left_out=destination.folder
        )
        if found.files and destination.out is not None:
            settings = dataclasses.replace(
                settings, format=format_for(destination.out, settings, found.files[0].format)
            )
        check_targets(found.files, destination, settings)
    if len(sources) > 1 or os.path.isdir(sources[0]):
        with one_line_errors():
            compress_all(found, options, settings, destination)
    else:
        with one_line_errors("" if sources[0] == STANDARD else sources[0]):
            compress_single(found.files[0], options, settings, destination)


def requested_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings: lossless in place, unless a setting of lossy compression is given."""
    given = {field.name: options[field.name] for field in dataclasses.fields(Settings)}
    given["background"] = opt.color(options["background"])
    given["lossless"] |= options["in_place"] and opt.is_lossless_in_place(options)
    return Settings(**given)


def check_options(options: Mapping[str, Any], settings: Settings, destination: Destination) -> None:
    """Raise UsageError for options that contradict each other."""
    if options["quiet"] and options["verbose"]:
        raise UsageError("--quiet and --verbose contradict each other")
    if options["jobs"] is not None and not 1 <= options["jobs"] <= JOBS_MAX:
        raise UsageError(f"--jobs is {options['jobs']}, must be from 1 to {JOBS_MAX}")
    if destination.in_place and settings.archive:
        raise UsageError(
            "--in-place and --archive contradict each other: an archive has another name; use --output-dir"
        )
    if destination.in_place and settings.format != DEFAULTS.format:
        raise UsageError("--in-place and --format contradict each other: a name has the suffix of its format")
    if destination.out == STANDARD and options["json"]:
        raise UsageError("--json and the image can't both go to standard output; give -o FILE")
    if destination.out == STANDARD and not options["dry_run"] and output.is_terminal():
        raise UsageError("standard output is a terminal; give -o FILE")


def compression_of(options: Mapping[str, Any], settings: Settings) -> Compression:
    """Return what compresses: this process, or a service."""
    service: Service | None = None
    if options["server"] is not None:
        access = opt.access(**{name: options[name] for name in ("tls_ca", "tls_cert", "tls_key", "token_file")})
        service = options["server"], access
    return Compression(settings, service, options["memory_budget"] or default_memory_budget())


def result_file(
    file: ImageFile, destination: Destination, settings: Settings, options: Mapping[str, Any]
) -> ResultFile:
    """Return where the result of an image goes."""

    def target(report: Report | None) -> Path:
        return destination.target(file, settings.format if report is None else report.format)

    wanted: NewFile | Replacement
    if destination.in_place:
        wanted = Replacement(file.name, destination.keep_original, options["preserve_times"])
    else:
        wanted = NewFile(file.name, target, destination.force, options["preserve_times"])
    return Unwritten(wanted) if options["dry_run"] else wanted


def compress_single(file: ImageFile, options: Mapping[str, Any], settings: Settings, destination: Destination) -> None:
    """Compress the only image, and print its report."""
    with (
        compression_of(options, settings) as compression,
        output.Bar("stdin" if file.name == STANDARD else printable(Path(file.name).name), file.size or None) as bar,
    ):
        start = time.perf_counter()
        out = destination.out
        if out is not None and output.is_stream(out) and not options["dry_run"]:
            report = write_stream(file.name, compression.stream, out, bar.watch)
            written, target = Written(report, Path(out)), out
        else:
            result = result_file(file, destination, settings, options)
            written = write_result(file.name, compression.stream, result, bar.watch)
            target = out if out is not None and Path(out) == written.path else written.name(file.name)
        seconds = time.perf_counter() - start
    if options["json"]:
        from compressor.cli.many_output import json_line

        typer.echo(json_line(CompressedImage(file, written, None, seconds)))
    elif not options["quiet"]:
        show_result(written, (file.name, target), settings, seconds, options["verbose"])


def show_result(written: Written, names: tuple[str, str], settings: Settings, seconds: float, verbose: bool) -> None:
    """Print the report, to standard error if the image went to standard output."""
    from rich.console import Console

    report = written.report
    console = output.error_console() if names[1] == STANDARD else Console(highlight=False)
    output.print_report(console, names, report, settings, seconds, remark=written.remark, verbose=verbose)
    named = format_named(Path(names[1]).suffix)
    if named in FORMAT_SUFFIXES and named != report.format:
        text = f"{printable(names[1])} holds {human_format(report.format)}"
        output.error_console().print(f"  [yellow]note[/]  {text}", soft_wrap=True)


def compress_all(found: FoundImages, options: Mapping[str, Any], settings: Settings, destination: Destination) -> None:
    """Compress several images, print a line for each and a summary, and exit with 1 if one of them failed."""
    from compressor.cli import many_output as many

    total, start = many.Sum(), time.perf_counter()
    jobs = min(options["jobs"] or usable_cores(), max(1, len(found.files)))
    with (
        compression_of(options, settings) as compression,
        many.FilesBar(len(found.files), sum(file.size for file in found.files)) as bar,
    ):

        def work(file: ImageFile) -> Written:
            watch: Watch = lambda chunks: bar.watch_file(file.name, chunks)  # noqa: E731
            result = result_file(file, destination, settings, options)
            return write_result(file.name, compression.stream, result, watch)

        for failure in found.failures:
            unread = ImageFile(str(failure.filename), "", "unknown", 0)
            many.print_line(bar, CompressedImage(unread, None, failure, 0.0), options)
        for image in compress_many(found.files, work, jobs):
            total.add(image)
            bar.end_file()
            many.print_line(bar, image, options)
    if not options["json"] and not options["quiet"]:
        many.print_sum(total, found.skipped, time.perf_counter() - start, jobs, options["dry_run"])
    if total.failed or found.failures:
        raise typer.Exit(1)


def inspect(source: opt.In, json: opt.Json = False) -> None:
    """Show what an image is, from its header."""
    with one_line_errors("" if source == STANDARD else source):
        from compressor import pipeline

        with opened(source) as file:
            state = state_of(file)
            bytes_in = state.st_size or None if state is not None else None
            found = pipeline.inspect(chunks_of(file), Settings())
        if json:
            typer.echo(output.record_as_json(found))
            return
        from rich.console import Console

        output.print_source(Console(highlight=False), source, found, bytes_in)
