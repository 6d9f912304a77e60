"""`compressor compress` and `compressor inspect`."""

import contextlib
import dataclasses
import importlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import typer

from compressor.atomic_write import AtomicFile, temporary_name
from compressor.cli import options as opt
from compressor.cli import output
from compressor.cli.errors import one_line_errors
from compressor.cli.interruption import CleanUpOnSignal
from compressor.cli.options import UsageError
from compressor.cli.output import STANDARD
from compressor.humanize import human_format
from compressor.inputs import Replayable
from compressor.settings import Access, Report, Settings

CHUNK_BYTES = 1 << 18
DEFAULTS = Settings()

Service = tuple[str, Access]  # address and credentials


def compress(
    source: opt.In,
    out: opt.Out = None,
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
    server: opt.ServerOption = None,
    tls_ca: opt.TlsCa = None,
    tls_cert: opt.TlsCert = None,
    tls_key: opt.TlsKey = None,
    token_file: opt.ClientTokenFile = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Make an image smaller.

    The input is never modified. The result gets its name only when it is complete.
    """
    with one_line_errors():
        settings = Settings(
            quality=quality,
            target_score=target_score,
            max_bytes=max_bytes,
            png_colors=png_colors,
            score=score,
            lossless=lossless,
            effort=effort,
            format=format,
            delivery=delivery,
            subsampling=subsampling,
            metadata=metadata,
            content_credentials=content_credentials,
            min_saving=min_saving,
            background=opt.color(background),
            accept=accept,
            archive=archive,
        )
        out = output_of(source, out, json)
        if server is None:
            importlib.import_module(
                "compressor.pipeline"
            )  # loads the kernels, which is not counted as time for the image
        start = time.perf_counter()
        service = None if server is None else (server, opt.access(tls_ca, tls_cert, tls_key, token_file))
        report, name = compress_file(source, out, settings, service, force)
        show_result(report, (source, name), settings, time.perf_counter() - start, json)


def output_of(source: str, out: str | None, json: bool) -> str | None:
    """Return where the result goes: to standard output if the input is standard input. Raise UsageError if it can't."""
    if source == STANDARD and out is None:
        out = STANDARD
    if out == STANDARD and json:
        raise UsageError("--json and the image can't both go to standard output; give -o FILE")
    if out == STANDARD and sys.stdout.isatty():
        raise UsageError("standard output is a terminal; give -o FILE")
    return out


def compress_file(
    source: str, out: str | None, settings: Settings, service: Service | None, force: bool
) -> tuple[Report, str]:
    """Compress to the target that `out` means. Return the report, and the name of what was written."""

    def target(report: Report | None) -> Path:
        return output.target(source, out, settings.format if report is None else report.format)

    return write_result(source, out, lambda chunks: stream_of(chunks, settings, service), target, force)


def write_result(
    source: str,
    out: str | None,
    open_stream: Callable[[Iterable[bytes]], AbstractContextManager[Any]],
    target: Callable[[Report | None], Path],
    force: bool,
) -> tuple[Report, str]:
    """Write the output of a stream to its target. Return its report, and the name of what was written.

    target  return the path of the result, from its report, or from None while there is none
    """
    streamed = out if output.is_stream(out) else None
    if streamed is None:
        output.check_target(source, target(None), force)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened(source))
        bar = stack.enter_context(output.Bar("stdin" if source == STANDARD else Path(source).name, size_of(file)))
        stream = stack.enter_context(open_stream(watched_chunks(file, bar)))
        if streamed is not None:
            output.write_stream(stream, streamed)
            return stream.report, streamed
        result = stack.enter_context(AtomicFile(temporary_name(target(None).parent), mode_of(file)))
        stack.enter_context(CleanUpOnSignal(result.discard))
        writer = result.open()
        for chunk in stream:
            writer.write(chunk)
        path = target(stream.report)
        output.check_target(source, path, force)
        result.publish(path)
        return stream.report, out if out is not None and Path(out) == path else os.path.relpath(path)


@contextlib.contextmanager
def stream_of(chunks: Iterable[bytes], settings: Settings, service: Service | None) -> Iterator[Any]:
    """Yield an iterator of output chunks with a `.report` after the last one, from this process or a service."""
    if service is None:
        from compressor import pipeline

        with pipeline.stream(chunks, settings) as stream:
            yield stream
    else:
        from compressor.client import connect

        with connect(*service) as client, client.stream(chunks, settings) as stream:
            yield stream


def show_result(report: Report, names: tuple[str, str], settings: Settings, seconds: float, json: bool) -> None:
    """Print the report, to standard error if the image went to standard output."""
    report = with_footprint(report)
    if json:
        typer.echo(output.record_as_json(report))
        return
    from rich.console import Console

    console = output.error_console() if names[1] == STANDARD else Console(highlight=False)
    output.print_report(console, names, report, settings, seconds)
    suffixes = {suffix: format for format, suffixes in output.SUFFIXES.items() for suffix in suffixes}
    expected = suffixes.get(Path(names[1]).suffix.lower(), report.format)
    if expected != report.format:
        text = f"{names[1]} holds {human_format(report.format)}; --format {expected} converts it"
        output.error_console().print(f"  [yellow]note[/]  {text}", soft_wrap=True)


def with_footprint(report: Report) -> Report:
    """Return a report with an estimate of what the work used. A service has made its own."""
    if report.footprint is not None:
        return report
    from compressor.footprint import Basis

    footprint = Basis().footprint_of(report.cpu_seconds, report.memory_byte_seconds)
    return dataclasses.replace(report, footprint=footprint)


@contextlib.contextmanager
def opened(source: str) -> Iterator[BufferedIOBase]:
    if source == STANDARD:
        yield cast(BufferedIOBase, sys.stdin.buffer)
    else:
        with open(source, "rb") as file:
            yield file


def watched_chunks(file: BufferedIOBase, bar: output.Bar) -> Iterable[bytes]:
    """Return the bytes of the input. Those of a regular file are replayable, if a connection is lost."""
    with contextlib.suppress(OSError, ValueError):
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            start = file.tell()
            return Replayable(lambda: bar.watch(chunks_from(file.fileno(), start)))
    return bar.watch(chunks_of(file))


def chunks_from(descriptor: int, start: int) -> Iterator[bytes]:
    """Yield the bytes of a regular file from an offset on."""
    while chunk := os.pread(descriptor, CHUNK_BYTES, start):
        start += len(chunk)
        yield chunk


def chunks_of(file: BufferedIOBase) -> Iterator[bytes]:
    """Yield bytes as soon as they are available: a pipe may be slow."""
    while chunk := file.read1(CHUNK_BYTES):
        yield chunk


def size_of(file: BufferedIOBase) -> int | None:
    """Return the bytes in a file; None for a pipe."""
    with contextlib.suppress(OSError, ValueError):
        return os.fstat(file.fileno()).st_size or None
    return None


def mode_of(file: BufferedIOBase) -> int:
    """Return the permissions of the result: those of its source, to which the umask applies."""
    with contextlib.suppress(OSError, ValueError):
        if size_of(file) is not None:
            return os.fstat(file.fileno()).st_mode & 0o666
    return 0o666


def inspect(source: opt.In, json: opt.Json = False) -> None:
    """Show what an image is, from its header."""
    with one_line_errors():
        from compressor import pipeline

        with opened(source) as file:
            bytes_in = size_of(file)
            found = pipeline.inspect(chunks_of(file), Settings())
        if json:
            typer.echo(output.record_as_json(found))
            return
        from rich.console import Console

        output.print_source(Console(highlight=False), source, found, bytes_in)
